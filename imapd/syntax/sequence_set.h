/*
 * Sets of message numbers or UIDs (RFC 3501 9, sequence-set): as a client writes them, and as we
 * answer them. A set lives in an arena. Pure; imapd-mailbox.
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
    bool saved;          /* "$": what a SEARCH saved belongs to it (RFC 5182); view.h knows that */
};

void sequence_set_init(struct sequence_set *set, struct arena *arena);

/* Reads a set as it is written: in any order, overlapping, with "*", and "$" at its end. False, the
 * cursor untouched, if it is none, or with set->full. */
bool sequence_set_parse(struct cursor *in, struct arena *arena, struct sequence_set *set);

/* Another of the same ranges, without what "$" stands for. False: the arena is full. */
bool sequence_set_copy(const struct sequence_set *set, struct arena *arena,
                       struct sequence_set *copy);

/* Puts `largest` for "*", and the ranges in order, none touching another; "4:2" is 2:4. With 0, of
 * an empty mailbox, ranges with "*" name nothing and vanish. Needed before the functions below. */
void sequence_set_resolve(struct sequence_set *set, uint32_t largest);

bool sequence_set_contains(const struct sequence_set *set, uint32_t number);

/* The largest number in it; 0: the set is empty. */
uint32_t sequence_set_largest(const struct sequence_set *set);

/* How many numbers it names. */
uint64_t sequence_set_size(const struct sequence_set *set);

/* Appends one number. Order is kept: COPYUID's sets answer each other by position (RFC 4315 3); one
 * more than the last only makes that range longer. False: the arena is full. */
bool sequence_set_add(struct sequence_set *set, uint32_t number);

/* The same for a range. */
bool sequence_set_add_range(struct sequence_set *set, uint32_t first, uint32_t last);

/* Takes what is below that number out of a resolved set. */
void sequence_set_cut(struct sequence_set *set, uint32_t lowest);

/* "1:3,5". Nothing for an empty set, which the grammar does not have. */
void sequence_set_format(const struct sequence_set *set, struct buffer *text);

#endif
