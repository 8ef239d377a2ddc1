/* The file of names_file.h: a header, the names, the entries. */
#include "storage/names_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/disk/fd.h"
#include "common/fresh_memory.h"
#include "common/placed_memory.h"
#include "storage/maildir_name.h"

#define NEW_FILE NAMES_FILE ".new"

enum {
    FILE_OCTETS_MAX = 1 << 28,
    NAME_ALIGNMENT = sizeof(uint64_t), /* so the entries after the names are aligned */
    PLACED_OCTETS_MIN = 1 << 17,       /* less is read as fast */
};

struct header {
    char magic[24];
    uint64_t sum; /* of all, with a zero here */
    struct names_origin origin;
    uint64_t address; /* of this header in memory: the entries' pointers go by that */
    uint64_t name_octets;
    uint64_t entry_octets;
};

static const char magic[24] = NAMES_FILE " 2";

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

enum { LANES = 2, WORD_OCTETS = 8, BLOCK_OCTETS = LANES * WORD_OCTETS };

/* Fletcher's checksum over 64-bit words: 20 GB/s; multiplying each word gave 7. */
struct sum {
    uint64_t words[LANES];
    uint64_t sums[LANES]; /* of what `words` was: that their order counts */
};

static inline void add_block(struct sum *sum, const uint8_t octets[BLOCK_OCTETS])
{
    uint64_t words[LANES];
    memcpy(words, octets, sizeof(words));
    for (int i = 0; i < LANES; i++) {
        sum->words[i] += words[i];
        sum->sums[i] += sum->words[i];
    }
}

static void add_octets(struct sum *sum, struct slice octets)
{
    struct sum now = *sum; /* in registers */
    uint8_t last[BLOCK_OCTETS] = {0};
    size_t whole = octets.len - octets.len % BLOCK_OCTETS;
    for (size_t at = 0; at < whole; at += BLOCK_OCTETS)
        add_block(&now, octets.ptr + at);
    if (octets.len > whole)
        memcpy(last, octets.ptr + whole, octets.len - whole);
    add_block(&now, last);
    *sum = now;
}

static uint64_t mix(uint64_t all, uint64_t more)
{
    uint64_t mixed = (all ^ more) * UINT64_C(0x9e3779b97f4a7c15);
    return mixed ^ mixed >> 32; /* also the highest bits count below */
}

static uint64_t sum_of(struct header header, struct slice names, struct slice entries)
{
    struct sum sum = {.words = {1, 2}};
    header.sum = 0;
    add_octets(&sum, slice_of(&header, sizeof(header)));
    add_octets(&sum, names);
    add_octets(&sum, entries);
    return mix(mix(mix(mix(0, sum.words[0]), sum.sums[0]), sum.words[1]), sum.sums[1]);
}

/* ---- in memory ---- */

void names_file_init(struct names_file *file)
{
    *file = (struct names_file){.address = placed_memory_choose()};
    buffer_init(&file->entries, FILE_OCTETS_MAX);
    buffer_init(&file->names, FILE_OCTETS_MAX);
}

void names_file_clear(struct names_file *file)
{
    buffer_clear(&file->entries);
    buffer_clear(&file->names);
}

void names_file_add(struct names_file *file, const struct names_entry *entry)
{
    static const uint8_t nuls[NAME_ALIGNMENT];
    struct names_entry added = *entry;
    uint64_t name_at = file->address + sizeof(struct header) + file->names.len;
    added.name = (const char *)(uintptr_t)name_at;
    buffer_append(&file->entries, slice_of(&added, sizeof(added)));
    buffer_append(&file->names, slice_of(entry->name, strlen(entry->name) + 1));
    buffer_append(&file->names, slice_of(nuls, (size_t)-file->names.len % NAME_ALIGNMENT));
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
    header.address = file->address;
    header.name_octets = file->names.len;
    header.entry_octets = file->entries.len;
    header.sum = sum_of(header, buffer_slice(&file->names), buffer_slice(&file->entries));
    return fd_write_all(fd, slice_of(&header, sizeof(header)), error)
           && fd_write_all(fd, buffer_slice(&file->names), error)
           && fd_write_all(fd, buffer_slice(&file->entries), error);
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

static size_t octets_of(const struct header *header)
{
    return sizeof(*header) + (size_t)header->name_octets + (size_t)header->entry_octets;
}

static bool read_header(int fd, const struct names_origin *wanted, struct header *header,
                        struct error *error)
{
    struct stat status;
    if (fstat(fd, &status) != 0)
        return error_errno(error, "look at %s", NAMES_FILE);
    if (!S_ISREG(status.st_mode))
        return say_damaged(error);
    ssize_t got = pread(fd, header, sizeof(*header), 0);
    if (got < 0)
        return error_errno(error, "read %s", NAMES_FILE);
    if (got != sizeof(*header) || memcmp(header->magic, magic, sizeof(magic)) != 0
        || header->entry_octets > FILE_OCTETS_MAX || header->name_octets > FILE_OCTETS_MAX
        || header->name_octets % NAME_ALIGNMENT != 0
        || header->entry_octets % sizeof(struct names_entry) != 0 || header->entry_octets == 0
        || octets_of(header) != (uint64_t)status.st_size)
        return say_damaged(error);
    const struct names_origin *origin = &header->origin;
    if (!is_known(origin->boot) || memcmp(origin->boot, wanted->boot, sizeof(origin->boot)) != 0
        || origin->uidvalidity != wanted->uidvalidity
        || !names_directory_equal(&origin->cur, &wanted->cur))
        return error_set(error, ERROR_NOT_FOUND, "%s is of other messages", NAMES_FILE);
    return true;
}

/* Checks the entries as in the file, whose names are at that address: each name is valid and ends
 * where the next one begins. */
static bool is_sound(const struct names_block *block, size_t index, uint64_t names_address)
{
    const struct names_entry *entry = &block->entries[index];
    uint64_t at = (uintptr_t)entry->name - names_address;
    uint64_t end =
        index + 1 < block->count ? (uintptr_t)entry[1].name - names_address : block->name_octets;
    return at < end && end <= block->name_octets && end - at - 1 <= MAILDIR_NAME_MAX
           && block->names[end - 1] == '\0' && entry->reserved == 0
           && entry->uid > (index > 0 ? entry[-1].uid : 0);
}

static bool look_through(struct names_block *block, uint64_t names_address)
{
    block->modseq_least = UINT64_MAX;
    block->unseen_from = UINT32_MAX;
    if ((uintptr_t)block->entries[0].name != names_address)
        return false;
    for (size_t i = 0; i < block->count; i++) {
        const struct names_entry *entry = &block->entries[i];
        if (!is_sound(block, i, names_address))
            return false;
        if (entry->modseq < block->modseq_least)
            block->modseq_least = entry->modseq;
        if (entry->modseq > block->modseq_most)
            block->modseq_most = entry->modseq;
        if (!(entry->flags & MAILDIR_SEEN) && entry->uid < block->unseen_from)
            block->unseen_from = entry->uid;
    }
    return true;
}

/* Loads the file, at its address or elsewhere. */
static bool take_octets(struct names_block *block, int fd, const struct header *header,
                        struct error *error)
{
    size_t got;
    block->octets = octets_of(header);
    if (block->octets >= PLACED_OCTETS_MIN)
        block->memory = placed_memory_map(fd, header->address, block->octets);
    block->is_placed = block->memory != NULL;
    if (block->is_placed)
        return true;
    block->memory = fresh_memory_new(block->octets);
    if (!block->memory)
        return error_memory(error);
    return fd_read_full(fd, block->memory, block->octets, &got, error)
           && (got == block->octets || say_damaged(error));
}

static void move_pointers(struct names_block *block, uint64_t names_address)
{
    for (size_t i = 0; i < block->count; i++) {
        struct names_entry *entry = &block->entries[i];
        entry->name = block->names + ((uintptr_t)entry->name - names_address);
    }
}

static bool read_block(struct names_block *block, int fd, const struct names_origin *wanted,
                       struct error *error)
{
    struct header header;
    if (!read_header(fd, wanted, &header, error) || !take_octets(block, fd, &header, error))
        return false;
    uint64_t names_address = header.address + sizeof(header);
    uint8_t *end = (uint8_t *)block->memory + block->octets;
    block->origin = header.origin;
    block->names = (const char *)block->memory + sizeof(header);
    block->name_octets = (size_t)header.name_octets;
    block->entries = (struct names_entry *)(void *)(end - header.entry_octets);
    block->count = (size_t)header.entry_octets / sizeof(struct names_entry);
    struct slice names = slice_of(block->names, block->name_octets);
    struct slice entries = slice_of(block->entries, (size_t)header.entry_octets);
    if (header.sum != sum_of(header, names, entries) || !look_through(block, names_address))
        return say_damaged(error);
    if (!block->is_placed)
        move_pointers(block, names_address);
    return true;
}

bool names_block_load(struct names_block *block, int folder_fd, const struct names_origin *wanted,
                      struct error *error)
{
    *block = (struct names_block){.entries = NULL};
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

void names_block_settle(struct names_block *block)
{
    if (block->is_placed && !block->is_settled)
        block->is_settled = placed_memory_settle(block->memory, block->octets);
}

void names_block_clear(struct names_block *block)
{
    if (block->is_placed)
        placed_memory_free(block->memory, block->octets);
    else
        free(block->memory);
    *block = (struct names_block){.entries = NULL};
}
