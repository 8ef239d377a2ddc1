/*
 * Where a parser stands in its input. Parsers take a cursor, one function an ABNF rule: on success
 * the cursor stands after what was read, on failure where it stood before. Results borrow from
 * the input. Pure; any process.
 */
#ifndef COMMON_TEXT_CURSOR_H
#define COMMON_TEXT_CURSOR_H

#include "common/slice.h"

struct cursor {
    const uint8_t *at;
    const uint8_t *end;
};

/* What a parser of a stream answers, the same however the input is split. */
enum parse_result {
    PARSE_DONE, /* a whole element; the cursor stands after it */
    PARSE_MORE, /* a beginning of one: call again with more input after it */
    PARSE_BAD,  /* never going to be one */
};

static inline struct cursor cursor_of(struct slice text)
{
    return (struct cursor){text.ptr, text.ptr ? text.ptr + text.len : NULL};
}

static inline bool cursor_at_end(const struct cursor *in)
{
    return in->at == in->end;
}

static inline size_t cursor_left(const struct cursor *in)
{
    return (size_t)(in->end - in->at);
}

static inline struct slice cursor_rest(const struct cursor *in)
{
    return slice_of(in->at, cursor_left(in));
}

/* The octets between an earlier position and this one. */
static inline struct slice cursor_since(const struct cursor *in, const struct cursor *start)
{
    return slice_of(start->at, (size_t)(in->at - start->at));
}

static inline bool cursor_peek(const struct cursor *in, uint8_t *octet)
{
    if (in->at == in->end)
        return false;
    *octet = *in->at;
    return true;
}

/* Steps over that octet, if it is next. */
static inline bool cursor_skip(struct cursor *in, uint8_t octet)
{
    if (in->at == in->end || *in->at != octet)
        return false;
    in->at++;
    return true;
}

/* Steps over that word, in any case, if it is next. The word is given in upper or lower case. */
static inline bool cursor_skip_nocase(struct cursor *in, struct slice word)
{
    if (!slice_starts_with_nocase(cursor_rest(in), word))
        return false;
    in->at += word.len;
    return true;
}

/* An octet class: one entry an octet, each bit a set of the grammar that owns the table. Reads the
 * longest run of octets that have any of `bits`, possibly empty. */
static inline struct slice cursor_take_class(struct cursor *in, const uint8_t table[256],
                                             uint8_t bits)
{
    struct cursor start = *in;
    while (in->at != in->end && (table[*in->at] & bits) != 0)
        in->at++;
    return cursor_since(in, &start);
}

/* 1*DIGIT. False if there is no digit or the number passes UINT64_MAX. */
bool cursor_take_number(struct cursor *in, uint64_t *value);

#endif
