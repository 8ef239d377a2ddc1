/*
 * A growing run of octets with one owner, a hard limit, and a sticky failure: append as often as
 * the text needs, look at `failed` once at the end. A failed buffer keeps what it held and takes no
 * more. Any process.
 *
 *     struct buffer reply = BUFFER_WITH_LIMIT(4096);
 *     buffer_append(&reply, SLICE("250 "));
 *     ...
 *     buffer_clear(&reply);
 */
#ifndef COMMON_BUFFER_H
#define COMMON_BUFFER_H

#include "common/slice.h"

struct buffer {
    uint8_t *ptr;
    size_t len;      /* octets in use */
    size_t capacity; /* octets allocated */
    size_t limit;    /* len never exceeds it; 0 means no room at all */
    bool failed;     /* an append found no memory or would have passed the limit */
};

#define BUFFER_WITH_LIMIT(octets)                                                                  \
    {                                                                                              \
        .ptr = NULL, .len = 0, .capacity = 0, .limit = (octets), .failed = false                   \
    }

void buffer_init(struct buffer *buffer, size_t limit);

/* Frees the octets; the buffer is empty, not failed, and keeps its limit. May run twice. */
void buffer_clear(struct buffer *buffer);

/* Forgets the octets but keeps the memory for the next use; clears `failed`. */
void buffer_reset(struct buffer *buffer);

/* Takes all of it or nothing; the octets may lie in the buffer itself. */
void buffer_append(struct buffer *buffer, struct slice octets);
void buffer_append_octet(struct buffer *buffer, uint8_t octet);
void buffer_append_string(struct buffer *buffer, const char *text); /* ours, NUL-terminated */
void buffer_append_number(struct buffer *buffer, uint64_t number);  /* decimal */

/* For text whose every %s is ours. */
void buffer_append_format(struct buffer *buffer, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Room for `octets` more at ptr + len; the caller writes there and then says how much with
 * buffer_commit. False (and failed) where there is no memory or the limit is in the way. */
bool buffer_reserve(struct buffer *buffer, size_t octets);
void buffer_commit(struct buffer *buffer, size_t octets);

/* Drops octets from the front (what is left moves down) or from the end. */
void buffer_consume(struct buffer *buffer, size_t octets);
void buffer_truncate(struct buffer *buffer, size_t len);

/* Borrowed until the buffer changes. */
static inline struct slice buffer_slice(const struct buffer *buffer)
{
    return (struct slice){buffer->ptr, buffer->len};
}

#endif
