/*
 * Accepts clients: reads the handoff (common/role/handoff.h) of the login process from a socket
 * that the master passed (ROLE_SESSION), then starts the session. imapd-mailbox.
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

/* A client of another account, as named by the master. */
struct entrance_visitor {
    struct slice account;
    uint64_t session; /* its number in the log */
};

/* Takes ownership of the socket in any case. Either `pass` or `visitor` is NULL: a visitor has no
 * pass. */
bool entrance_take(struct entrance *entrance, int fd, const struct session_pass *pass,
                   const struct entrance_visitor *visitor, struct error *error);

static inline bool entrance_is_empty(const struct entrance *entrance)
{
    return entrance->guests == NULL;
}

#endif
