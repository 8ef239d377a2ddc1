/*
 * Reads the header of a message or MIME part field by field (RFC 5322 2.2, also the obsolete forms
 * of 4.5). Lines end with CRLF or LF; a bare CR is an ordinary octet. A line that is not a field is
 * returned as one without a name; only the empty line ends the header. Linear; allocates only in
 * the caller's buffer; pure; any process.
 */
#ifndef COMMON_MIME_HEADER_H
#define COMMON_MIME_HEADER_H

#include "common/buffer.h"
#include "common/text/cursor.h"

struct header_field {
    struct slice whole; /* from name to last line end, including continuation lines */
    struct slice name;  /* without the white space that obsolete syntax allows before ":" */
    struct slice body;  /* from after ":" to before the last line end: folded, not trimmed */
};

/* Takes the next field; name.len is 0 if its first line has no name. False at the empty line and at
 * the end of the input, leaving the cursor there. */
bool header_next(struct cursor *in, struct header_field *field);

/* field-name *WSP ":" at the beginning of a line without its line end. False if there is none;
 * *body is the text after the colon. */
bool header_split_line(struct slice line, struct slice *name, struct slice *body);

/* Appends the body without the line ends of its folds (RFC 5322 2.2.3), trimmed of white space. */
void header_unfold(struct slice body, struct buffer *text);

#endif
