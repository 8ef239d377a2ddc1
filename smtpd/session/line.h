/*
 * Where the lines of commands end: at CRLF and nowhere else (RFC 5321 2.3.8). A CR or LF alone
 * stays in the line, and the line's parser refuses it; at an LF at once, for a client that ends its
 * lines so waits for an answer. Pure; sessions.
 */
#ifndef SMTPD_SESSION_LINE_H
#define SMTPD_SESSION_LINE_H

#include "common/text/cursor.h"

/* Zeroed, it stands at the start of a line. */
struct smtp_line_splitter {
    size_t scanned; /* octets at the cursor known to hold no line end */
    bool overlong;  /* the beginning of this line has been dropped */
    bool told;      /* this line had an LF alone: what is left of it is dropped silently */
};

/* PARSE_DONE: a line, without its CRLF, or as much of it as ends with an LF alone; the cursor is
 *     after that.
 * PARSE_MORE: no line yet. What the cursor has not passed must come again, with more after it; it
 *     is less than `limit` octets.
 * PARSE_BAD: the same as PARSE_DONE of more than `limit` octets, with line end: it was dropped. */
enum parse_result smtp_line_next(struct smtp_line_splitter *splitter, size_t limit,
                                 struct cursor *in, struct slice *line);

#endif
