/*
 * Serves submissions that read a message of the account by a URL (BURL, RFC 4468): the master names
 * the submitter, and the URL must allow that reader (imapd/fetch/url_message.h). The protocol is in
 * common/role/url_reading.h; it gives access to nothing else of the account. imapd-mailbox.
 */
#ifndef IMAPD_URL_READINGS_H
#define IMAPD_URL_READINGS_H

#include "common/slice.h"
#include "imapd/mailbox.h"

struct url_reading;

struct url_readings {
    struct mailbox *mailbox; /* borrowed */
    struct url_reading *all;
    void (*on_idle)(struct url_readings *readings); /* called when the last one has ended */
};

void url_readings_init(struct url_readings *readings, struct mailbox *mailbox,
                       void (*on_idle)(struct url_readings *readings));
void url_readings_clear(struct url_readings *readings); /* ends them; may run twice */

/* Takes ownership of the socket in any case. `account` is the submitter. */
bool url_readings_take(struct url_readings *readings, int fd, struct slice account,
                       struct error *error);

static inline bool url_readings_is_empty(const struct url_readings *readings)
{
    return readings->all == NULL;
}

#endif
