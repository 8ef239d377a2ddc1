/*
 * What `auth` remembers of right passwords, so that a client that opens five connections pays for
 * one hash. A proof is a keyed hash of account, password *and* stored verifier: no account can
 * borrow another's, and a changed password ends it at once. Neither password nor account can be
 * read out of it. Bounded: a fixed table, the oldest goes first. Process `auth` only; never blocks.
 *
 * There are no proofs for PAM: its verifier is not ours to see, so nothing would end them.
 */
#ifndef COMMON_AUTH_PROOF_H
#define COMMON_AUTH_PROOF_H

#include "common/error.h"
#include "common/slice.h"

struct proofs;

struct proof_claim {
    struct slice account; /* canonical */
    struct slice password;
    struct slice verifier; /* as stored now */
};

/* NULL with *error where there is no memory. sodium_init() was called. A lifetime of 0 remembers
 * nothing. */
struct proofs *proofs_new(uint64_t lifetime_ms, struct error *error);
void proofs_free(struct proofs *proofs); /* wipes them; NULL is fine */

/* now_ms: any clock that never goes back. */
void proofs_remember(struct proofs *proofs, const struct proof_claim *claim, uint64_t now_ms);
bool proofs_hold(const struct proofs *proofs, const struct proof_claim *claim, uint64_t now_ms);

#endif
