/*
 * The header of a message or of a MIME part as a run of fields (RFC 5322 2.2, obsolete forms of 4.5
 * too). Lines end with CRLF or with LF; a bare CR is an octet like any other. A line that is no
 * field is handed out as one without a name and does not end the header: only the empty line does.
 * Linear, no allocation but the caller's buffer; pure; any process.
 */
#ifndef COMMON_MIME_HEADER_H
#define COMMON_MIME_HEADER_H

#include "common/buffer.h"
#include "common/text/cursor.h"

struct header_field {
    struct slice whole; /* name to last line end, its continuation lines among it */
    struct slice name;  /* without the white space that obsolete syntax allows before ":" */
    struct slice body;  /* after ":" to before the last line end: folded, not trimmed */
};

/* The next field; name.len is 0 where its first line has none. False at the empty line and at the
 * end of the input, the cursor standing there. */
bool header_next(struct cursor *in, struct header_field *field);

/* field-name *WSP ":" at the beginning of a line without its line end. False if there is none;
 * *body is what stands after the colon. */
bool header_split_line(struct slice line, struct slice *name, struct slice *body);

/* Appends the body without the line ends of its folds (RFC 5322 2.2.3) and without white space at
 * both ends. */
void header_unfold(struct slice body, struct buffer *text);

#endif
