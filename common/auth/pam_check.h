/*
 * One PAM conversation: is this the password of that system user, and may he log in now? Service
 * `staffetta` (/etc/pam.d/staffetta): its auth stack, then its account stack, so an expired or
 * locked account is refused with the right password too.
 *
 * Blocks, for 40 ms with pam_unix, for as long as a module likes in the worst case; therefore only
 * in the process `check`, which is replaced when it hangs. PAM's own delay after a failure is
 * switched off (PAM_FAIL_DELAY): `auth` holds refusals without blocking anybody.
 */
#ifndef COMMON_AUTH_PAM_CHECK_H
#define COMMON_AUTH_PAM_CHECK_H

#include "common/error.h"
#include "common/slice.h"

enum pam_verdict {
    PAM_CHECK_RIGHT,
    PAM_CHECK_WRONG,     /* password wrong or user unknown: to the client they are one */
    PAM_CHECK_FORBIDDEN, /* account stack: expired, locked, password to be changed, wrong hour */
    PAM_CHECK_TEMPORARY, /* nothing is known: a module failed */
};

struct pam_request {
    const char *service;
    const char *user;      /* NUL-terminated; PAM must not change it */
    struct slice password; /* 1..PASSWORD_MAX octets without NUL; else PAM_CHECK_WRONG */
    const char *remote;    /* the client's address for PAM_RHOST, or NULL */
};

/* *error says why for every verdict but PAM_CHECK_RIGHT; it is for the log, not for the client. */
enum pam_verdict pam_check(const struct pam_request *request, struct error *error);

#endif
