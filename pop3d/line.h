/*
 * What a POP3 client sends, cut into lines (RFC 1939 3, RFC 2449 4). Only CRLF ends a line: a CR or
 * LF alone is an error of the line that it is in. Pure. pop3d-login and pop3d-maildrop.
 */
#ifndef POP3D_LINE_H
#define POP3D_LINE_H

#include "common/text/cursor.h"

enum pop3_line_result {
    POP3_LINE_MORE,     /* the input holds no whole line: call again with more after it */
    POP3_LINE_READY,    /* *line is one, without its CRLF; borrowed from the input */
    POP3_LINE_BARE,     /* a line with a CR or LF alone, or a NUL; the cursor stands after it */
    POP3_LINE_TOO_LONG, /* longer than the limit; what is left of it is skipped silently */
};

struct pop3_line_reader {
    bool skipping; /* of a line that was too long; starts false */
};

/* `limit` counts octets with the CRLF. The same comes out however the input is split, but that a
 * line too long is told as early as that is known. The input must be able to hold `limit` octets.
 */
enum pop3_line_result pop3_line_read(struct pop3_line_reader *reader, struct cursor *input,
                                     size_t limit, struct slice *line);

#endif
