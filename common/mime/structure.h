/*
 * Formats the values of IMAP's ENVELOPE, BODY and BODYSTRUCTURE (RFC 3501 7.4.2 and 9), as they
 * follow the item's name in a FETCH response. Strings are quoted where possible, else literals;
 * NUL, which IMAP cannot carry, is dropped. The output is grammatically valid for any message:
 *
 *  - A multipart without parts gets one empty text/plain part, since body-type-mpart needs one.
 *  - An unparsed part (mime_part.opaque) is application/octet-stream.
 *  - An address without a domain gets an empty string: NIL would make it a group.
 *  - In subjects and names a run of white space becomes one space, as RFC 5256 2.1 does to compare
 *    subjects: clients show them on one line.
 *
 * Pure; any process.
 */
#ifndef COMMON_MIME_STRUCTURE_H
#define COMMON_MIME_STRUCTURE_H

#include "common/buffer.h"
#include "common/mime/scan.h"

/* Each appends to *text; false: no memory, or past the buffer's limit. */

/* `message` is a part with is_message. */
bool structure_format_envelope(const struct mime_part *message, struct buffer *text);

/* For the whole message: BODY without extension data, BODYSTRUCTURE with it. */
bool structure_format_body(const struct mime_part *root, struct buffer *text);
bool structure_format_bodystructure(const struct mime_part *root, struct buffer *text);

/* Appends a string in quotes, unconditionally: for UTF-8 without control characters, to a client
 * that has enabled UTF-8. */
void structure_append_quoted(struct buffer *text, struct slice string);

/* Appends one IMAP string by the rules above. */
void structure_append_string(struct buffer *text, struct slice string);

#endif
