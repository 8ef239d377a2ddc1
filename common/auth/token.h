/*
 * A token lets a submission session act for an account towards `queue` and `auth`: a keyed hash
 * that only `auth` makes, bound to one session, with an expiry time. The session carries it, and
 * can neither forge one nor use another session's; a process for port 25 never gets one. A permit,
 * which lets a port 25 session send to one address of another domain, is a token with that address
 * in place of the account; the two cannot be confused, since no account is in another domain. The
 * master makes the key when it starts and gives it only to `auth` and `queue`. Pure; after
 * sodium_init().
 */
#ifndef COMMON_AUTH_TOKEN_H
#define COMMON_AUTH_TOKEN_H

#include "common/slice.h"

enum { TOKEN_KEY_OCTETS = 32, TOKEN_MAC_OCTETS = 32 };

struct token_key {
    uint8_t octets[TOKEN_KEY_OCTETS];
};

/* Fixed layout without gaps: it travels in IPC records. */
struct token {
    uint64_t session;    /* the session it was issued to */
    uint64_t expires_ms; /* CLOCK_MONOTONIC, one for all processes of the host */
    uint8_t mac[TOKEN_MAC_OCTETS];
};

void token_issue(struct token *token, const struct token_key *key, uint64_t session,
                 struct slice account, uint64_t expires_ms);

/* Whether `auth` issued it to this session for this account, and it has not expired. */
bool token_verify(const struct token *token, const struct token_key *key, uint64_t session,
                  struct slice account, uint64_t now_ms);

#endif
