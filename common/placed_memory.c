/* The mappings of placed_memory.h. */
#include "common/placed_memory.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>

/* Programs, libraries and stacks lie above, heaps of programs without PIE below, as does the shadow
 * of AddressSanitizer. */
static const uint64_t LOWEST = UINT64_C(1) << 45;
static const uint64_t HIGHEST = UINT64_C(5) << 44;
static const uint64_t STEP = UINT64_C(1) << 21; /* a huge page */

uint64_t placed_memory_choose(void)
{
    uint64_t random;
    if (getrandom(&random, sizeof(random), 0) != (ssize_t)sizeof(random))
        return 0;
    return LOWEST + random % ((HIGHEST - LOWEST) / STEP) * STEP;
}

void *placed_memory_map(int fd, uint64_t address, size_t octets)
{
    enum { FLAGS = MAP_PRIVATE | MAP_FIXED_NOREPLACE };
    if (address < LOWEST || address >= HIGHEST || address % STEP != 0)
        return NULL;
    void *wanted = (void *)(uintptr_t)address;
    void *memory = mmap(wanted, octets, PROT_READ | PROT_WRITE, FLAGS, fd, 0);
    if (memory == wanted) {
        madvise(memory, octets, MADV_POPULATE_READ); /* all at once: 500 faults are dearer */
        return memory;
    }
    if (memory != MAP_FAILED)
        munmap(memory, octets);
    return NULL;
}

bool placed_memory_settle(void *memory, size_t octets)
{
    enum { FLAGS = MAP_PRIVATE | MAP_ANONYMOUS };
    void *hint = (void *)(uintptr_t)placed_memory_choose(); /* where huge pages can begin */
    void *own = mmap(hint, octets, PROT_READ | PROT_WRITE, FLAGS, -1, 0);
    if (own == MAP_FAILED)
        return false;
    madvise(own, octets, MADV_HUGEPAGE);
    memcpy(own, memory, octets);
    if (mremap(own, octets, octets, MREMAP_MAYMOVE | MREMAP_FIXED, memory) == memory)
        return true;
    munmap(own, octets);
    return false;
}

void placed_memory_free(void *memory, size_t octets)
{
    munmap(memory, octets);
}
