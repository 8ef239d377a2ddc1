/*
 * A folder's messages as last read from its directories: the file "staffetta-names" beside them, so
 * that the next process need not read and sort 20 000 names again. The file is mapped at the
 * address for which it was written (common/placed_memory.h), 100 octets a message; where that is
 * not possible, it is read.
 *
 * Derived data: it is trusted only if inode and times of new/ and cur/ are unchanged, to the
 * nanosecond, and only until the host reboots, since it is never flushed. It may be deleted at any
 * time; that only costs time. A directory's times change with each name that is added, removed or
 * changed; the caller stores the file only when those times are older than the file system's clock
 * tick.
 *
 * One writer: the user's mailbox process. Blocking file I/O.
 */
#ifndef STORAGE_NAMES_FILE_H
#define STORAGE_NAMES_FILE_H

#include <sys/stat.h>

#include "common/buffer.h"
#include "common/error.h"
#include "storage/change_log.h"

#define NAMES_FILE "staffetta-names"

struct names_directory {
    uint64_t device;
    uint64_t inode;
    int64_t modified_ns; /* since 1970 */
    int64_t changed_ns;
};

struct names_directory names_directory_of(const struct stat *status);
bool names_directory_equal(const struct names_directory *a, const struct names_directory *b);

/* The state of the folder for which the file is valid. */
struct names_origin {
    uint8_t boot[CHANGE_LOG_BOOT_OCTETS]; /* zeroes: unknown, no file is written or trusted */
    uint32_t uidvalidity;
    uint32_t reserved;
    struct names_directory cur;
    struct names_directory new;
    uint64_t complete_since; /* of the change log, which has the MODSEQs too */
    uint64_t changes;        /* records in the change log */
};

struct names_entry {
    const char *name;
    uint32_t uid; /* ascending */
    uint32_t flags;
    uint32_t letters;
    uint32_t internal_date; /* 0: not known */
    uint64_t modseq;
    uint64_t reserved; /* 0; room for the loading code's own use */
};

/* ---- writing ---- */

struct names_file {
    struct names_origin origin;
    uint64_t address;      /* where the file is to be mapped */
    struct buffer entries; /* struct names_entry */
    struct buffer names;
};

void names_file_init(struct names_file *file);
void names_file_clear(struct names_file *file); /* may run twice */

/* Adds an entry; UIDs must ascend. Failure is the buffers'. */
void names_file_add(struct names_file *file, const struct names_entry *entry);

/* Replaces the file, unless a buffer has failed. */
bool names_file_store(const struct names_file *file, int folder_fd, struct error *error);

/* ---- reading ---- */

struct names_block {
    struct names_origin origin;
    struct names_entry *entries; /* NULL: nothing was loaded */
    size_t count;
    const char *names; /* consecutive, each followed by at least one NUL */
    size_t name_octets;
    uint64_t modseq_least, modseq_most; /* of the entries */
    uint32_t unseen_from;               /* the first UID without \Seen, or past the last one */
    void *memory;                       /* the whole block */
    size_t octets;
    bool is_placed;
    bool is_settled;
};

/* Fills *block. ERROR_NOT_FOUND: there is no file, or boot, UIDVALIDITY or cur/ differ from
 * `wanted`; the caller compares the rest of the origin. ERROR_PERMANENT: the file is damaged. */
bool names_block_load(struct names_block *block, int folder_fd, const struct names_origin *wanted,
                      struct error *error);
void names_block_clear(struct names_block *block); /* may run twice, and on a zeroed struct */

/* To be called soon after loading, when no client waits: makes the block independent of the file.
 * No pointer changes. May run twice. */
void names_block_settle(struct names_block *block);

/* Whether this name is part of the block. */
static inline bool names_block_has(const struct names_block *block, const char *name)
{
    return block->names && name >= block->names && name < block->names + block->name_octets;
}

#endif
