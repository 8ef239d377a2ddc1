/*
 * What a session claims of who sends: nobody names himself. The intake's only.
 *
 * A session process that was taken over can send for accounts whose sessions live in it, and from
 * port 25 only to where auth let one of its sessions go.
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
