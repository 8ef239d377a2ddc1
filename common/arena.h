/*
 * Memory that ends together: one arena a connection, one a command. Allocation is a pointer bump;
 * nothing is freed alone. Bounded: an arena of limit n never holds more than n octets for its
 * callers. Any process.
 */
#ifndef COMMON_ARENA_H
#define COMMON_ARENA_H

#include "common/slice.h"

struct arena_block;

struct arena {
    struct arena_block *blocks; /* newest first */
    size_t used;                /* octets handed out since the last reset */
    size_t limit;
};

void arena_init(struct arena *arena, size_t limit);
void arena_clear(struct arena *arena); /* frees all; may run twice */
void arena_reset(struct arena *arena); /* forgets all, keeps one block for the next use */

/* Zeroed, aligned for any type; NULL where there is no memory or the limit is reached. */
void *arena_alloc(struct arena *arena, size_t octets);

/* `count` elements of `size`; NULL also where the product overflows. */
void *arena_alloc_array(struct arena *arena, size_t count, size_t size);

/* A copy that lives as long as the arena; .ptr is NULL on failure (never for a success, not even
 * of zero octets). */
struct slice arena_copy(struct arena *arena, struct slice octets);

/* The same with a NUL after it. NULL on failure. The octets hold no NUL, or are cut there. */
char *arena_copy_string(struct arena *arena, struct slice octets);

#endif
