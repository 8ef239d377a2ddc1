/*
 * Where clients come in: the socket that the master gave (ROLE_SESSION), until the login process
 * has said on it what it hands over (common/role/handoff.h). Then there is a session.
 * imapd-mailbox.
 */
#ifndef IMAPD_SESSION_ENTRANCE_H
#define IMAPD_SESSION_ENTRANCE_H

#include "common/role/master_protocol.h"
#include "imapd/mailbox.h"

struct guest;

struct entrance {
    struct mailbox *mailbox; /* borrowed */
    struct guest *guests;
};

void entrance_init(struct entrance *entrance, struct mailbox *mailbox);
void entrance_clear(struct entrance *entrance); /* may run twice */

/* A client of another account: which one, the master says. */
struct entrance_visitor {
    struct slice account;
    uint64_t session; /* in the log */
};

/* Takes the socket in any case. Of a visitor there is no pass; of others, visitor is NULL. */
bool entrance_take(struct entrance *entrance, int fd, const struct session_pass *pass,
                   const struct entrance_visitor *visitor, struct error *error);

static inline bool entrance_is_empty(const struct entrance *entrance)
{
    return entrance->guests == NULL;
}

#endif
