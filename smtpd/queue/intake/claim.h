/*
 * Checks a session's claim of the sender's account by its token. Only the intake uses this.
 *
 * A compromised session process can send only for accounts with a session in it, and from port 25
 * only to addresses for which auth gave one of its sessions a permit.
 */
#ifndef SMTPD_QUEUE_INTAKE_CLAIM_H
#define SMTPD_QUEUE_INTAKE_CLAIM_H

#include "common/error.h"

struct role_peer;
struct submission;
struct submitted;

/* False: ERROR_PEER for a claim that is false, ERROR_TEMPORARY for one that was true once. */
bool claim_check_account(const struct role_peer *peer, const struct submitted *submitted,
                         struct error *error);
bool claim_check_foreign(const struct role_peer *peer, const struct submission *submission,
                         const struct submitted *submitted, struct error *error);

#endif
