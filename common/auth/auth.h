/*
 * The role `auth`: knows every name, checks every password (by `check` workers), admits every
 * login. It reads the files of accounts, aliases and senders, and nothing else; it never blocks.
 *
 *   auth.c             birth, reload, files that change, requests that wait for a system user
 *   auth_names.c       recipients, senders, delivery targets, full mailboxes
 *   auth_logins.c      passwords: throttle, proofs, refusals held to one time, admission
 *   auth_exchanges.c   SCRAM: exchanges of several messages, and whether it is offered
 *   auth_tokens.c      access tokens and client certificates
 *   auth_workers.c     the pool of `check` processes and the jobs for them
 */
#ifndef COMMON_AUTH_AUTH_H
#define COMMON_AUTH_AUTH_H

#include "common/role/role.h"

struct auth;

extern const struct role_spec auth_role; /* its state: auth_new() */

/* NULL where there is no memory. Lives as long as its process. */
struct auth *auth_new(void);

#endif
