/* The bump allocator of arena.h: a list of blocks, each twice the last, up to 64 KiB. */
#include "common/arena.h"

#include <stdalign.h>
#include <stdlib.h>

#include "common/size.h"

enum { FIRST_BLOCK = 1024, LARGEST_USUAL_BLOCK = 65536 };

struct arena_block {
    struct arena_block *next;
    size_t capacity;
    size_t used;
    alignas(max_align_t) uint8_t octets[];
};

void arena_init(struct arena *arena, size_t limit)
{
    *arena = (struct arena){.blocks = NULL, .used = 0, .limit = limit};
}

void arena_clear(struct arena *arena)
{
    while (arena->blocks) {
        struct arena_block *next = arena->blocks->next;
        free(arena->blocks);
        arena->blocks = next;
    }
    arena->used = 0;
}

void arena_reset(struct arena *arena)
{
    struct arena_block *kept = arena->blocks;
    if (kept && kept->capacity <= LARGEST_USUAL_BLOCK) {
        arena->blocks = kept->next;
        arena_clear(arena);
        kept->next = NULL;
        kept->used = 0;
        arena->blocks = kept;
    } else {
        arena_clear(arena);
    }
    arena->used = 0;
}

static bool add_block(struct arena *arena, size_t octets)
{
    size_t capacity = arena->blocks ? arena->blocks->capacity : FIRST_BLOCK / 2;
    capacity = capacity >= LARGEST_USUAL_BLOCK / 2 ? LARGEST_USUAL_BLOCK : capacity * 2;
    if (capacity < octets)
        capacity = octets;
    size_t total;
    if (!size_add(sizeof(struct arena_block), capacity, &total))
        return false;
    struct arena_block *block = malloc(total);
    if (!block)
        return false;
    *block = (struct arena_block){.next = arena->blocks, .capacity = capacity, .used = 0};
    arena->blocks = block;
    return true;
}

void *arena_alloc(struct arena *arena, size_t octets)
{
    size_t rounded;
    if (!size_add(octets ? octets : 1, alignof(max_align_t) - 1, &rounded))
        return NULL;
    rounded -= rounded % alignof(max_align_t);
    size_t used;
    if (!size_add(arena->used, rounded, &used) || used > arena->limit)
        return NULL;
    struct arena_block *block = arena->blocks;
    if ((!block || block->capacity - block->used < rounded) && !add_block(arena, rounded))
        return NULL;
    block = arena->blocks;
    void *result = block->octets + block->used;
    block->used += rounded;
    arena->used = used;
    memset(result, 0, rounded);
    return result;
}

void *arena_alloc_array(struct arena *arena, size_t count, size_t size)
{
    size_t total;
    return size_mul(count, size, &total) ? arena_alloc(arena, total) : NULL;
}

struct slice arena_copy(struct arena *arena, struct slice octets)
{
    uint8_t *copy = arena_alloc(arena, octets.len);
    if (!copy)
        return (struct slice){NULL, 0};
    if (octets.len)
        memcpy(copy, octets.ptr, octets.len);
    return (struct slice){copy, octets.len};
}

char *arena_copy_string(struct arena *arena, struct slice octets)
{
    char *copy = octets.len < SIZE_MAX ? arena_alloc(arena, octets.len + 1) : NULL;
    if (copy && octets.len)
        memcpy(copy, octets.ptr, octets.len);
    return copy;
}
