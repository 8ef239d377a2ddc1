/*
 * A borrowed run of octets. It owns nothing: the function that returns one says how long its octets
 * are valid. A peer's bytes are slices from the socket to the parser; they are never
 * NUL-terminated, so no string function may touch them. Pure; any process.
 */
#ifndef COMMON_SLICE_H
#define COMMON_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct slice {
    const uint8_t *ptr; /* may be NULL where len is 0 */
    size_t len;         /* octets */
};

/* A slice of a string literal, without its NUL. Also an initialiser of static tables. */
#define SLICE(literal)                                                                             \
    (struct slice)                                                                                 \
    {                                                                                              \
        (const uint8_t *)("" literal), sizeof(literal) - 1                                         \
    }

/* For printf's "%.*s": octets of ours, or already checked to be printable. */
#define SLICE_PRINTF(s) (int)(s).len, (const char *)(s).ptr

static inline struct slice slice_of(const void *ptr, size_t len)
{
    return (struct slice){ptr, len};
}

/* A slice of one of our own NUL-terminated strings; NULL gives the empty slice. */
static inline struct slice slice_of_string(const char *text)
{
    return (struct slice){(const uint8_t *)text, text ? strlen(text) : 0};
}

static inline bool slice_equal(struct slice a, struct slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

/* Equal but for the case of ASCII letters; other octets must be the same. */
bool slice_equal_nocase(struct slice a, struct slice b);

bool slice_starts_with(struct slice text, struct slice prefix);
bool slice_starts_with_nocase(struct slice text, struct slice prefix);
bool slice_ends_with(struct slice text, struct slice suffix);

/* The part from start on, or [start, end); positions past the end are cut to it. */
static inline struct slice slice_from(struct slice text, size_t start)
{
    if (!text.ptr)
        return (struct slice){NULL, 0};
    size_t cut = start < text.len ? start : text.len;
    return (struct slice){text.ptr + cut, text.len - cut};
}

static inline struct slice slice_range(struct slice text, size_t start, size_t end)
{
    if (end < text.len)
        text.len = end;
    return slice_from(text, start);
}

/* The position of the first such octet, or text.len. */
static inline size_t slice_find_octet(struct slice text, uint8_t octet)
{
    const uint8_t *found = text.len ? memchr(text.ptr, octet, text.len) : NULL;
    return found ? (size_t)(found - text.ptr) : text.len;
}

/* The position of the first occurrence of needle, or text.len. */
size_t slice_find(struct slice text, struct slice needle);

/* The first line of *rest, without its LF; *rest is what follows. False, with both untouched, where
 * *rest has no LF: it is empty, or a line that was cut off. */
bool slice_take_line(struct slice *rest, struct slice *line);

/* Without the spaces and tabs at both ends. */
struct slice slice_trim(struct slice text);

/* No octet above 127. */
bool slice_is_ascii(struct slice text);

/* Orders as memcmp does, a prefix first: <0, 0, >0. */
int slice_compare(struct slice a, struct slice b);

/* A decimal number of nothing but digits. False, *value untouched, if empty, not digits, or above
 * UINT64_MAX (leading zeros are taken). */
bool slice_parse_number(struct slice text, uint64_t *value);

/* ASCII only, whatever the locale: a peer's octets are not text of ours. */
static inline uint8_t ascii_lower(uint8_t octet)
{
    return octet >= 'A' && octet <= 'Z' ? (uint8_t)(octet | 0x20) : octet;
}

static inline uint8_t ascii_upper(uint8_t octet)
{
    return octet >= 'a' && octet <= 'z' ? (uint8_t)(octet & ~0x20U) : octet;
}

static inline bool ascii_is_digit(uint8_t octet)
{
    return octet >= '0' && octet <= '9';
}

static inline bool ascii_is_alpha(uint8_t octet)
{
    return (octet | 0x20) >= 'a' && (octet | 0x20) <= 'z';
}

#endif
