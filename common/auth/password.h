/*
 * Stored passwords: Argon2id (RFC 9106) by libsodium, as the encoded string that libsodium, PHP and
 * Dovecot write too, here called the verifier:
 *
 *     $argon2id$v=19$m=19456,t=2,p=1$<salt>$<hash>
 *
 * An '!' before it (or alone) is an account that cannot log in. New verifiers cost 19 MiB and two
 * passes, the least of OWASP's equal choices in memory: 45 ms of one core on a busy machine, and
 * eight workers at once stay under 160 MiB.
 *
 * Before hashing, a password is prepared by SASLprep (RFC 4013), as RFC 4616 2 asks: what was typed
 * decomposed on one machine is right when composed on another. Octets that SASLprep refuses (not
 * UTF-8, control characters) are hashed as they came.
 *
 * Call password_hash and password_verify after sodium_init(). They block for tens of milliseconds:
 * for `check` and the command line, never in an event loop.
 */
#ifndef COMMON_AUTH_PASSWORD_H
#define COMMON_AUTH_PASSWORD_H

#include "common/error.h"
#include "common/slice.h"

enum {
    PASSWORD_MAX = 511, /* octets; what a PAM module takes (PAM_MAX_RESP_SIZE with a NUL) */
    PASSWORD_VERIFIER_MAX = 127, /* octets; libsodium's crypto_pwhash_STRBYTES with a NUL */
};

/* Whether a login could ever succeed with it, and at a bounded price. Pure. */
enum password_kind {
    PASSWORD_ARGON2ID, /* well-formed, at most 256 MiB and 32 passes */
    PASSWORD_LOCKED,   /* begins with '!' */
    PASSWORD_MALFORMED,
};
enum password_kind password_kind(struct slice verifier);

/* Writes the verifier of a password, NUL-terminated. ERROR_PERMANENT: empty or longer than
 * PASSWORD_MAX; ERROR_TEMPORARY: no memory. */
bool password_hash(struct slice password, char verifier[PASSWORD_VERIFIER_MAX + 1],
                   struct error *error);

/* Sets *right. False with ERROR_TEMPORARY if there was no memory, ERROR_PERMANENT if the verifier
 * is malformed: nothing is known about the password then. A locked verifier is never right. */
bool password_verify(struct slice password, struct slice verifier, bool *right,
                     struct error *error);

#endif
