/*
 * PREVIEW (RFC 8970): the beginning of a message's text, for message lists. Taken from the first
 * plain text or HTML part that is not an attachment, without markup, script and invisible
 * characters, and with white space as single spaces. Pure; imapd-mailbox.
 */
#ifndef IMAPD_FETCH_PREVIEW_H
#define IMAPD_FETCH_PREVIEW_H

#include "common/buffer.h"
#include "common/mime/scan.h"

enum {
    PREVIEW_OCTETS = 65536,   /* the most of the encoded part that is read */
    PREVIEW_CHARACTERS = 200, /* RFC 8970 3.3 */
};

/* The part to be used; NULL: there is none. */
const struct mime_part *preview_part(const struct mime_part *root);

/* Appends the value of the FETCH item, a string in UTF-8, from the first octets of that part's
 * body;
 * "" for no part. False: no memory. */
bool preview_format(const struct mime_part *part, struct slice octets, struct buffer *text);

#endif
