/* The pages of fresh_memory.h. */
#include "common/fresh_memory.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "common/size.h"

enum {
    HUGE_OCTETS = 2 << 20,
    WASTED_MAX = HUGE_OCTETS / 2, /* of the last one */
};

/* A wish: what comes of it is the kernel's. */
static void wish(void *octets, size_t count, int what)
{
    int before = errno;
    madvise(octets, count, what);
    errno = before;
}

void *fresh_memory_new(size_t octets)
{
    size_t rest = octets % HUGE_OCTETS, rounded;
    if (octets < WASTED_MAX || !size_add(octets, HUGE_OCTETS - 1, &rounded))
        return malloc(octets);
    rounded -= rounded % HUGE_OCTETS;
    uint8_t *memory = aligned_alloc(HUGE_OCTETS, rounded);
    if (!memory)
        return NULL;
    bool wastes = rest > 0 && rest < WASTED_MAX;
    size_t huge = wastes ? octets - rest : rounded;
    wish(memory, huge, MADV_HUGEPAGE);
    if (wastes)
        wish(memory + huge, rest, MADV_POPULATE_WRITE);
    return memory;
}
