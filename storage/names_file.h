/*
 * What a folder's directories said when they were read last: "staffetta-names" beside them, so that
 * the next process need not read and sort 20 000 names again: it has them where they are to be in
 * memory (common/placed_memory.h), 100 octets a message. Where that cannot be they are read.
 *
 * Derived: it is believed only of new/ and cur/ whose inode and times are what they were, to the
 * nanosecond, and only until the host starts anew, since it is never flushed; whoever deletes it
 * loses nothing but time. A directory's times move with each name that comes, goes or changes; who
 * stores the file sees to it that they were past the file system's tick by then.
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

/* What all that the file says belongs to. */
struct names_origin {
    uint8_t boot[CHANGE_LOG_BOOT_OCTETS]; /* zeroes, not known: nothing is kept or believed */
    uint32_t uidvalidity;
    uint32_t reserved;
    struct names_directory cur;
    struct names_directory new;
    uint64_t complete_since; /* of the change log, where the MODSEQs stand too */
    uint64_t changes;        /* records in it */
};

struct names_entry {
    const char *name;
    uint32_t uid; /* ascending */
    uint32_t flags;
    uint32_t letters;
    uint32_t internal_date; /* 0: not known */
    uint64_t modseq;
    uint64_t reserved; /* 0; what takes the entries has room for something of its own */
};

/* ---- writing ---- */

struct names_file {
    struct names_origin origin;
    uint64_t address;      /* where it is to be in memory */
    struct buffer entries; /* struct names_entry */
    struct buffer names;
};

void names_file_init(struct names_file *file);
void names_file_clear(struct names_file *file); /* may run twice */

/* Adds one, in the order of UIDs. Failure is the buffers'. */
void names_file_add(struct names_file *file, const struct names_entry *entry);

/* Replaces what is there, unless something failed before. */
bool names_file_store(const struct names_file *file, int folder_fd, struct error *error);

/* ---- reading ---- */

struct names_block {
    struct names_origin origin;
    struct names_entry *entries; /* NULL: nothing was loaded */
    size_t count;
    const char *names; /* one after the other, each with a NUL at least */
    size_t name_octets;
    uint64_t modseq_least, modseq_most; /* of the entries */
    uint32_t unseen_from;               /* the first UID without \Seen, or past the last one */
    void *memory;                       /* all of it */
    size_t octets;
    bool is_placed;
    bool is_settled;
};

/* Fills *block. ERROR_NOT_FOUND: there is none, or it is of another boot, UIDVALIDITY or
 * cur/ than `wanted`; the rest of the origin is for the caller to compare. ERROR_PERMANENT: it is
 * damaged. */
bool names_block_load(struct names_block *block, int folder_fd, const struct names_origin *wanted,
                      struct error *error);
void names_block_clear(struct names_block *block); /* may run twice, and on a zeroed struct */

/* Soon after, when nobody waits: from then on what becomes of the file is all the same. No pointer
 * changes. May run twice. */
void names_block_settle(struct names_block *block);

/* Does that name lie in it? */
static inline bool names_block_has(const struct names_block *block, const char *name)
{
    return block->names && name >= block->names && name < block->names + block->name_octets;
}

#endif
