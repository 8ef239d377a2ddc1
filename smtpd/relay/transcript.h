/*
 * What was said on a connection, as people read it: lines that end with LF and begin with
 *
 *   "> "  what we sent
 *   "< "  a line of the server, as it came, without its CRLF
 *   "= "  what happened
 *
 * Printable ASCII and UTF-8 stand as they are, a backslash doubled, every other octet as \xNN (also
 * a LF without CR, and a CR before it that is not the line's end). Bounded: the beginning and the
 * end are kept whole, and a line says how much between them is not. Pure; relay.
 */
#ifndef SMTPD_RELAY_TRANSCRIPT_H
#define SMTPD_RELAY_TRANSCRIPT_H

#include "common/buffer.h"

enum {
    TRANSCRIPT_MAX = 12000,     /* octets of all lines, the mark's not counted */
    TRANSCRIPT_HEAD = 4096,     /* of the beginning, once something is left out */
    TRANSCRIPT_LINE_MAX = 4200, /* of a line; the rest of a longer one is left out, and said so */
    TRANSCRIPT_MARK_MAX = 80,   /* of the line that says what is left out */
};

enum transcript_side { TRANSCRIPT_OURS = '>', TRANSCRIPT_THEIRS = '<', TRANSCRIPT_EVENT = '=' };

/* Zeroed: empty. Without memory lines are left out, as beyond the bound. */
struct transcript {
    struct buffer text;
    size_t head;    /* octets of `text` that come before what was left out */
    size_t omitted; /* octets left out; 0: none */
};

void transcript_clear(struct transcript *transcript); /* frees; may run twice */
void transcript_reset(struct transcript *transcript); /* empty, and keeps its memory */

/* One line for each of the octets' lines; an end without LF ends one too. */
void transcript_add(struct transcript *transcript, enum transcript_side side, struct slice octets);
void transcript_add_event(struct transcript *transcript, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The lines of the other one after ours. */
void transcript_join(struct transcript *transcript, const struct transcript *other);

static inline bool transcript_is_empty(const struct transcript *transcript)
{
    return transcript->text.len == 0 && transcript->omitted == 0;
}

/* At most TRANSCRIPT_MAX + TRANSCRIPT_MARK_MAX octets. Failure is the buffer's. */
void transcript_format(const struct transcript *transcript, struct buffer *out);

#endif
