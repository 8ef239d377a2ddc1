/*
 * The values of IMAP's ENVELOPE, BODY and BODYSTRUCTURE (RFC 3501 7.4.2 and 9), as they stand in a
 * FETCH response after the item's name. Strings are quoted where they can be, else literals; NUL,
 * which IMAP cannot carry, is left out. What is written is valid grammar whatever the message:
 *
 *  - A multipart without parts is given one empty text/plain part, since body-type-mpart needs one.
 *  - A part that was not looked into (mime_part.opaque) is application/octet-stream.
 *  - An address without a domain has the empty string for one: NIL would make it a group.
 *  - In the subject and in names a run of white space is one space, as RFC 5256 2.1 has it where
 *    subjects are compared: clients show them in a line.
 *
 * Pure; any process.
 */
#ifndef COMMON_MIME_STRUCTURE_H
#define COMMON_MIME_STRUCTURE_H

#include "common/buffer.h"
#include "common/mime/scan.h"

/* Each appends to *text; false without memory or past the buffer's limit. */

/* Of a part with is_message. */
bool structure_format_envelope(const struct mime_part *message, struct buffer *text);

/* Of the whole message: BODY without extension data, BODYSTRUCTURE with it. */
bool structure_format_body(const struct mime_part *root, struct buffer *text);
bool structure_format_bodystructure(const struct mime_part *root, struct buffer *text);

/* The same between quotes, whatever it is: for UTF-8 without control characters, to a client that
 * has enabled it. */
void structure_append_quoted(struct buffer *text, struct slice string);

/* One IMAP string by the rules above. */
void structure_append_string(struct buffer *text, struct slice string);

#endif
