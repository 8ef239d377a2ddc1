/*
 * PREVIEW (RFC 8970): the beginning of what a message says, for a list of messages. From the first
 * part that is plain text or HTML and no attachment; markup, script and invisible characters are
 * left out, white space becomes single spaces. Pure; imapd-mailbox.
 */
#ifndef IMAPD_FETCH_PREVIEW_H
#define IMAPD_FETCH_PREVIEW_H

#include "common/buffer.h"
#include "common/mime/scan.h"

enum {
    PREVIEW_OCTETS = 65536,   /* of the part that are looked at, encoded */
    PREVIEW_CHARACTERS = 200, /* RFC 8970 3.3 */
};

/* The part; NULL: there is none that says anything. */
const struct mime_part *preview_part(const struct mime_part *root);

/* Appends the value of the FETCH item, a string in UTF-8, from the first octets of that part's
 * body;
 * "" for no part. False: no memory. */
bool preview_format(const struct mime_part *part, struct slice octets, struct buffer *text);

#endif
