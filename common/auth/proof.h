/*
 * A cache of right passwords in `auth`, so that a client with five connections costs one password
 * hash. A proof is a keyed hash of account, password *and* stored verifier: it is valid for no
 * other account, and a changed password invalidates it at once. Neither password nor account can be
 * read from it. Bounded: a fixed table, the oldest proof is replaced first. Process `auth` only;
 * never blocks.
 *
 * There are no proofs for PAM: we cannot read its verifier, so nothing would invalidate them.
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

/* After sodium_init(). NULL with *error: no memory. With a lifetime of 0 nothing is remembered. */
struct proofs *proofs_new(uint64_t lifetime_ms, struct error *error);
void proofs_free(struct proofs *proofs); /* wipes them; NULL is fine */

/* now_ms: any clock that never goes back. */
void proofs_remember(struct proofs *proofs, const struct proof_claim *claim, uint64_t now_ms);
bool proofs_hold(const struct proofs *proofs, const struct proof_claim *claim, uint64_t now_ms);

#endif
