/* The file of names_file.h: a header, the entries, the names. */
#include "storage/names_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/disk/fd.h"
#include "common/fresh_memory.h"
#include "storage/maildir_name.h"

#define NEW_FILE NAMES_FILE ".new"

enum { FILE_OCTETS_MAX = 1 << 28 };

struct header {
    char magic[24];
    uint64_t sum; /* of all, with a zero here */
    struct names_origin origin;
    uint64_t entry_octets;
    uint64_t name_octets;
};

static const char magic[24] = NAMES_FILE " 1";

/* ---- directories ---- */

static int64_t nanoseconds(struct timespec time)
{
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

struct names_directory names_directory_of(const struct stat *status)
{
    return (struct names_directory){.device = status->st_dev,
                                    .inode = status->st_ino,
                                    .modified_ns = nanoseconds(status->st_mtim),
                                    .changed_ns = nanoseconds(status->st_ctim)};
}

bool names_directory_equal(const struct names_directory *a, const struct names_directory *b)
{
    return a->device == b->device && a->inode == b->inode && a->modified_ns == b->modified_ns
           && a->changed_ns == b->changed_ns;
}

/* ---- the sum: against damage, not against somebody who may write here anyway ---- */

enum { LANES = 4, WORD_OCTETS = 8, BLOCK_OCTETS = LANES * WORD_OCTETS };

struct sum {
    uint64_t lanes[LANES]; /* each waits for its own multiplication: 10 GB/s together */
};

static void add_block(struct sum *sum, const uint8_t octets[BLOCK_OCTETS])
{
    uint64_t words[LANES];
    memcpy(words, octets, sizeof(words));
    for (int i = 0; i < LANES; i++) {
        uint64_t mixed = (sum->lanes[i] ^ words[i]) * UINT64_C(0x9e3779b97f4a7c15);
        sum->lanes[i] = mixed ^ mixed >> 32;
    }
}

static void add_octets(struct sum *sum, struct slice octets)
{
    uint8_t last[BLOCK_OCTETS] = {0};
    size_t whole = octets.len - octets.len % BLOCK_OCTETS;
    for (size_t at = 0; at < whole; at += BLOCK_OCTETS)
        add_block(sum, octets.ptr + at);
    if (octets.len > whole)
        memcpy(last, octets.ptr + whole, octets.len - whole);
    add_block(sum, last);
}

static uint64_t sum_of(struct header header, struct slice entries, struct slice names)
{
    struct sum sum = {{1, 2, 3, 4}};
    header.sum = 0;
    add_octets(&sum, slice_of(&header, sizeof(header)));
    add_octets(&sum, entries);
    add_octets(&sum, names);
    uint64_t all = 0;
    for (int i = 0; i < LANES; i++)
        all = (all ^ sum.lanes[i]) * UINT64_C(0x9e3779b97f4a7c15);
    return all;
}

/* ---- in memory ---- */

void names_file_init(struct names_file *file)
{
    *file = (struct names_file){.origin = {.uidvalidity = 0}};
    buffer_init(&file->entries, FILE_OCTETS_MAX);
    buffer_init(&file->names, FILE_OCTETS_MAX);
}

void names_file_clear(struct names_file *file)
{
    buffer_clear(&file->entries);
    buffer_clear(&file->names);
}

void names_file_add(struct names_file *file, const struct names_entry *entry, const char *name)
{
    struct names_entry added = *entry;
    added.name_at = file->names.len;
    buffer_append(&file->entries, slice_of(&added, sizeof(added)));
    buffer_append(&file->names, slice_of(name, strlen(name) + 1));
}

static bool is_known(const uint8_t boot[CHANGE_LOG_BOOT_OCTETS])
{
    static const uint8_t unknown[CHANGE_LOG_BOOT_OCTETS];
    return memcmp(boot, unknown, sizeof(unknown)) != 0;
}

/* ---- writing ---- */

static bool write_file(int fd, const struct names_file *file, struct error *error)
{
    struct header header;
    memset(&header, 0, sizeof(header)); /* also between the fields */
    memcpy(header.magic, magic, sizeof(magic));
    header.origin = file->origin;
    header.entry_octets = file->entries.len;
    header.name_octets = file->names.len;
    header.sum = sum_of(header, buffer_slice(&file->entries), buffer_slice(&file->names));
    return fd_write_all(fd, slice_of(&header, sizeof(header)), error)
           && fd_write_all(fd, buffer_slice(&file->entries), error)
           && fd_write_all(fd, buffer_slice(&file->names), error);
}

bool names_file_store(const struct names_file *file, int folder_fd, struct error *error)
{
    enum { FLAGS = O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC };
    if (file->entries.failed || file->names.failed)
        return error_memory(error);
    int fd = openat(folder_fd, NEW_FILE, FLAGS, 0600);
    if (fd < 0)
        return error_errno(error, "create %s", NEW_FILE);
    bool stored = write_file(fd, file, error);
    stored = stored && fd_close(&fd, error)
             && (renameat(folder_fd, NEW_FILE, folder_fd, NAMES_FILE) == 0
                 || error_errno(error, "rename %s", NEW_FILE));
    fd_discard(&fd);
    if (!stored)
        unlinkat(folder_fd, NEW_FILE, 0);
    return stored;
}

/* ---- reading ---- */

static bool say_damaged(struct error *error)
{
    return error_set(error, ERROR_PERMANENT, "%s is damaged", NAMES_FILE);
}

static bool read_header(int fd, const struct names_origin *wanted, struct header *header,
                        struct error *error)
{
    struct stat status;
    size_t got;
    if (fstat(fd, &status) != 0)
        return error_errno(error, "look at %s", NAMES_FILE);
    if (!S_ISREG(status.st_mode))
        return say_damaged(error);
    if (!fd_read_full(fd, header, sizeof(*header), &got, error))
        return false;
    if (got != sizeof(*header) || memcmp(header->magic, magic, sizeof(magic)) != 0
        || header->entry_octets > FILE_OCTETS_MAX || header->name_octets > FILE_OCTETS_MAX
        || header->entry_octets % sizeof(struct names_entry) != 0 || header->entry_octets == 0
        || sizeof(*header) + header->entry_octets + header->name_octets != (uint64_t)status.st_size)
        return say_damaged(error);
    const struct names_origin *origin = &header->origin;
    if (!is_known(origin->boot) || memcmp(origin->boot, wanted->boot, sizeof(origin->boot)) != 0
        || origin->uidvalidity != wanted->uidvalidity
        || !names_directory_equal(&origin->cur, &wanted->cur))
        return error_set(error, ERROR_NOT_FOUND, "%s is of other messages", NAMES_FILE);
    return true;
}

/* Each name ends where the next one begins, and is one. */
static bool are_sound(const struct names_block *block)
{
    const uint8_t *names = names_block_names(block);
    struct names_entry entry = {.name_at = 0}, next = names_block_entry(block, 0);
    for (size_t i = 0; i < block->count; i++) {
        uint32_t uid_before = entry.uid;
        entry = next;
        if (i + 1 < block->count)
            next = names_block_entry(block, i + 1);
        uint64_t end = i + 1 < block->count ? next.name_at : block->name_octets;
        if (entry.name_at >= end || end > block->name_octets
            || end - entry.name_at - 1 > MAILDIR_NAME_MAX || names[end - 1] != '\0'
            || entry.uid <= uid_before)
            return false;
    }
    return true;
}

static bool read_block(struct names_block *block, int fd, const struct names_origin *wanted,
                       struct error *error)
{
    struct header header;
    size_t got;
    if (!read_header(fd, wanted, &header, error))
        return false;
    size_t octets = (size_t)(header.entry_octets + header.name_octets);
    block->octets = fresh_memory_new(octets);
    if (!block->octets)
        return error_memory(error);
    block->count = (size_t)header.entry_octets / sizeof(struct names_entry);
    block->name_octets = (size_t)header.name_octets;
    block->origin = header.origin;
    if (!fd_read_full(fd, block->octets, octets, &got, error))
        return false;
    struct slice entries = slice_of(block->octets, (size_t)header.entry_octets);
    struct slice names = slice_of(names_block_names(block), block->name_octets);
    return (got == octets && header.sum == sum_of(header, entries, names) && are_sound(block))
           || say_damaged(error);
}

bool names_block_load(struct names_block *block, int folder_fd, const struct names_origin *wanted,
                      struct error *error)
{
    *block = (struct names_block){.octets = NULL};
    int fd = openat(folder_fd, NAMES_FILE, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 && errno == ELOOP)
        return say_damaged(error);
    if (fd < 0)
        return error_errno(error, "open %s", NAMES_FILE);
    bool loaded = read_block(block, fd, wanted, error);
    fd_discard(&fd);
    if (!loaded)
        names_block_clear(block);
    return loaded;
}

void names_block_clear(struct names_block *block)
{
    free(block->octets);
    *block = (struct names_block){.octets = NULL};
}
