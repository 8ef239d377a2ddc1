/*
 * What a submission has to know of the URL of a BURL (RFC 4468): whose message it names, on which
 * host, and whether it says who may read that (URLAUTH, RFC 4467). The rest is judged by the
 * mailbox process of that account. Pure; sessions.
 *
 *     imap://alice;AUTH=*@mail.example:143/Sent/;uid=20;urlauth=submit+alice:internal:91354a...
 */
#ifndef SMTPD_SESSION_BURL_URL_H
#define SMTPD_SESSION_BURL_URL_H

#include "common/buffer.h"
#include "common/slice.h"

struct burl_url {
    struct slice host; /* without its port */
    bool has_urlauth;
};

/* The owner's name, %-encoding undone, is appended. False: it is no URL of "imap:" with a user, a
 * host and a path, or the name is longer than the buffer may be. */
bool burl_url_parse(struct slice text, struct burl_url *url, struct buffer *owner);

#endif
