/*
 * Splits a POP3 client's input into lines (RFC 1939 3, RFC 2449 4). Only CRLF ends a line: a bare
 * CR or LF is an error in its line. Pure. pop3d-login and pop3d-maildrop.
 */
#ifndef POP3D_LINE_H
#define POP3D_LINE_H

#include "common/text/cursor.h"

enum pop3_line_result {
    POP3_LINE_MORE,     /* no complete line: call again with more input */
    POP3_LINE_READY,    /* *line is a line without its CRLF; borrowed from the input */
    POP3_LINE_BARE,     /* a line with a bare CR or LF, or a NUL; the cursor is after it */
    POP3_LINE_TOO_LONG, /* longer than the limit; the rest of the line is skipped silently */
};

struct pop3_line_reader {
    bool skipping; /* the rest of a line that was too long; starts false */
};

/* `limit` is in octets, including the CRLF. The result is the same however the input is split,
 * except that a line that is too long is reported as early as possible. The input must be able to
 * hold `limit` octets. */
enum pop3_line_result pop3_line_read(struct pop3_line_reader *reader, struct cursor *input,
                                     size_t limit, struct slice *line);

#endif
