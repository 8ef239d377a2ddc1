/*
 * The role `auth`: resolves names, checks passwords (by `check` workers), admits logins. It reads
 * only the files of accounts, aliases and senders; it never blocks.
 *
 *   auth.c             start, reload, changed files, requests that wait for a system user
 *   auth_names.c       recipients, senders, delivery targets, full mailboxes
 *   auth_logins.c      passwords: throttle, proofs, refusals of equal duration, admission
 *   auth_exchanges.c   SCRAM: exchanges of several messages; whether SCRAM is offered
 *   auth_tokens.c      access tokens and client certificates
 *   auth_workers.c     the pool of `check` processes and the jobs for them
 */
#ifndef COMMON_AUTH_AUTH_H
#define COMMON_AUTH_AUTH_H

#include "common/role/role.h"

struct auth;

extern const struct role_spec auth_role; /* its state: auth_new() */

/* NULL: no memory. Lives as long as its process. */
struct auth *auth_new(void);

#endif
