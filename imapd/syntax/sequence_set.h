/*
 * Sets of message numbers or UIDs (RFC 3501 9, sequence-set): as clients and we
 * write them. A set lives in an arena. Pure; imapd-mailbox.
 */
#ifndef IMAPD_SYNTAX_SEQUENCE_SET_H
#define IMAPD_SYNTAX_SEQUENCE_SET_H

#include "common/arena.h"
#include "common/buffer.h"
#include "common/text/cursor.h"

struct sequence_range {
    uint32_t first; /* 0 in either stands for "*" until sequence_set_resolve() */
    uint32_t last;
};

struct sequence_set {
    struct sequence_range *ranges;
    size_t count;
    size_t capacity;
    struct arena *arena; /* borrowed */
    bool full;           /* the arena had no room for more; sticky */
    bool saved;          /* "$": includes the result saved by SEARCH (RFC 5182), kept in view.h */
};

void sequence_set_init(struct sequence_set *set, struct arena *arena);

/* Reads a set as written: in any order, overlapping, with "*", and "$" at its end. False, with the
 * cursor untouched: not a set, or set->full. */
bool sequence_set_parse(struct cursor *in, struct arena *arena, struct sequence_set *set);

/* A copy of the ranges, without those of "$". False: the arena is full. */
bool sequence_set_copy(const struct sequence_set *set, struct arena *arena,
                       struct sequence_set *copy);

/* Replaces "*" by `largest`, and sorts and merges the ranges; "4:2" is 2:4. With 0 (an empty
 * mailbox) ranges with "*" are removed. Needed before the functions below. */
void sequence_set_resolve(struct sequence_set *set, uint32_t largest);

bool sequence_set_contains(const struct sequence_set *set, uint32_t number);

/* The largest number; 0: the set is empty. */
uint32_t sequence_set_largest(const struct sequence_set *set);

/* How many numbers it names. */
uint64_t sequence_set_size(const struct sequence_set *set);

/* Appends one number. The order is kept: COPYUID's sets correspond by position (RFC 4315 3). The
 * successor of the last number extends its range. False: the arena is full. */
bool sequence_set_add(struct sequence_set *set, uint32_t number);

/* The same for a range. */
bool sequence_set_add_range(struct sequence_set *set, uint32_t first, uint32_t last);

/* Removes numbers below that one from a resolved set. */
void sequence_set_cut(struct sequence_set *set, uint32_t lowest);

/* "1:3,5". Nothing for an empty set, which the grammar cannot express. */
void sequence_set_format(const struct sequence_set *set, struct buffer *text);

#endif
