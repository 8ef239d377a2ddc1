/*
 * Checks by token that a session may send for the account it names. Used only by the intake.
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

/* False: ERROR_PEER if the claim was never true, ERROR_TEMPORARY if it is no longer true. */
bool claim_check_account(const struct role_peer *peer, const struct submitted *submitted,
                         struct error *error);
bool claim_check_foreign(const struct role_peer *peer, const struct submission *submission,
                         const struct submitted *submitted, struct error *error);

#endif
