/*
 * Reading a folder; see maildir_scan.h.
 *
 * A directory that changes while it is read may give a renamed file twice or not at all. So the
 * modification times of new/ and cur/ are compared around the reading. Where they show a change, it
 * is read again, the names of all rounds together are sorted, and where several names could be one
 * message, or a name did not come again, the file system is asked which of them are there.
 */
#include "storage/maildir_scan.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "common/size.h"
#include "storage/directory.h"

enum {
    ROUNDS_UNSTEADY = 3, /* readings while others rename, if every name was found again */
    ROUNDS_MAX = 6,
    /* The clock of file times ticks every 10 ms at worst (HZ=100): a change so shortly before the
     * reading could not be told from one after it. */
    CLOCK_TICK_NS = 20 * 1000 * 1000,
    FIRST_CAPACITY = 64,
};

void maildir_list_init(struct maildir_list *list)
{
    *list = (struct maildir_list){.entries = NULL};
    arena_init(&list->names, MAILDIR_SCAN_MEMORY);
}

void maildir_list_clear(struct maildir_list *list)
{
    free(list->entries);
    arena_clear(&list->names);
    maildir_list_init(list);
}

/* ---- reading ---- */

struct reading {
    struct maildir_list *list;
    enum maildir_place place;
    uint8_t round;
};

static bool grow(struct maildir_list *list)
{
    if (list->count < list->capacity)
        return true;
    size_t capacity = list->capacity ? list->capacity : FIRST_CAPACITY / 2;
    size_t octets;
    if (!size_mul(capacity, 2, &capacity) || !size_mul(capacity, sizeof(*list->entries), &octets))
        return false;
    struct maildir_entry *grown = realloc(list->entries, octets);
    if (!grown)
        return false;
    list->entries = grown;
    list->capacity = capacity;
    return true;
}

static bool add_entry(void *owner, const char *name, unsigned char type, struct error *error)
{
    const struct reading *reading = owner;
    struct slice text = slice_of_string(name);
    struct maildir_name parsed;
    if ((type != DT_REG && type != DT_UNKNOWN) || !maildir_name_parse(text, &parsed))
        return true;
    const char *copy = arena_copy_string(&reading->list->names, text);
    if (!copy || !grow(reading->list))
        return error_memory(error);
    reading->list->entries[reading->list->count++] = (struct maildir_entry){
        .name = copy,
        .name_octets = (uint16_t)text.len,
        .key_octets = (uint16_t)parsed.key.len,
        .place = (uint8_t)reading->place,
        .round = reading->round,
    };
    return true;
}

struct times {
    struct timespec new_changed;
    struct timespec cur_changed;
};

static bool look_at_times(const struct maildir *box, struct times *times, struct error *error)
{
    struct stat new_status, cur_status;
    if (fstat(box->new_fd, &new_status) != 0 || fstat(box->cur_fd, &cur_status) != 0)
        return error_errno(error, "look at folder");
    *times = (struct times){new_status.st_mtim, cur_status.st_mtim};
    return true;
}

static bool same_time(struct timespec a, struct timespec b)
{
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

/* Long enough ago that any later change has a later time. */
static bool is_past(struct timespec changed, struct timespec now)
{
    int64_t ns =
        ((int64_t)now.tv_sec - changed.tv_sec) * 1000000000 + now.tv_nsec - changed.tv_nsec;
    return ns > CLOCK_TICK_NS;
}

/* Reads both directories once. new/ first: what moves to cur/ meanwhile is seen at least once. */
static bool read_round(const struct maildir *box, struct maildir_list *list, uint8_t round,
                       bool *steady, struct error *error)
{
    struct times before = {.new_changed = {0, 0}}, after = before;
    struct timespec now;
    struct reading in_new = {list, MAILDIR_NEW, round}, in_cur = {list, MAILDIR_CUR, round};
    clock_gettime(CLOCK_REALTIME, &now);
    if (!look_at_times(box, &before, error)
        || !directory_read(box->new_fd, add_entry, &in_new, error)
        || !directory_read(box->cur_fd, add_entry, &in_cur, error)
        || !look_at_times(box, &after, error))
        return false;
    *steady = same_time(before.new_changed, after.new_changed)
              && same_time(before.cur_changed, after.cur_changed)
              && is_past(before.new_changed, now) && is_past(before.cur_changed, now);
    return true;
}

/* ---- one entry a message ---- */

/* By key; then those in cur/ before those in new/, by name, and the latest round first. */
static int compare_entries(const void *left, const void *right)
{
    const struct maildir_entry *a = left, *b = right;
    int order = slice_compare(maildir_entry_key(a), maildir_entry_key(b));
    if (order == 0)
        order = (b->place == MAILDIR_CUR) - (a->place == MAILDIR_CUR);
    if (order == 0)
        order = slice_compare(maildir_entry_name(a), maildir_entry_name(b));
    return order != 0 ? order : b->round - a->round;
}

static bool same_file_name(const struct maildir_entry *a, const struct maildir_entry *b)
{
    return a->place == b->place && slice_equal(maildir_entry_name(a), maildir_entry_name(b));
}

/* A key of its own for a file whose key another file has. *there is false if the file went away
 * between two calls. */
static bool rename_duplicate(const struct maildir *box, struct maildir_list *list,
                             struct maildir_entry *entry, bool *there, struct error *error)
{
    struct maildir_name name;
    uint64_t random;
    char unique[MAILDIR_UNIQUE_MAX + 1], key[MAILDIR_NAME_SIZE], text[MAILDIR_NAME_SIZE];
    if (!maildir_name_parse(maildir_entry_name(entry), &name))
        return error_set(error, ERROR_PERMANENT, "name %.100s is malformed", entry->name);
    if (getrandom(&random, sizeof(random), 0) != (ssize_t)sizeof(random))
        return error_errno(error, "get random octets");
    snprintf(unique, sizeof(unique), "D%016llx", (unsigned long long)random);
    maildir_key_format_unique(&(struct maildir_key){.seconds = name.seconds,
                                                    .unique = slice_of_string(unique),
                                                    .host = SLICE("duplicate")},
                              key);
    name.key = slice_of_string(key);
    name.uid = name.uidvalidity = 0;
    name.extra = (struct slice){NULL, 0};
    maildir_name_format(&name, text);
    int failed = renameat(maildir_place_fd(box, entry->place), entry->name, box->cur_fd, text);
    *there = !failed;
    if (failed)
        return errno == ENOENT || error_errno(error, "rename duplicate %.100s", entry->name);
    entry->name = arena_copy_string(&list->names, slice_of_string(text));
    entry->name_octets = (uint16_t)strlen(text);
    entry->key_octets = (uint16_t)name.key.len;
    entry->place = MAILDIR_CUR;
    return entry->name || error_memory(error);
}

/* What is left of the run of entries [first, end) that share a key. */
struct run {
    const struct maildir *box;
    struct maildir_list *list;
    size_t kept;   /* entries of the list that are settled */
    bool vanished; /* no name of some message is there any more: removed, or renamed since */
    bool renamed;  /* one of them got another key: they are not in order */
};

static bool is_there(const struct maildir *box, const struct maildir_entry *entry,
                     struct stat *status, bool *there, struct error *error)
{
    int failed =
        fstatat(maildir_place_fd(box, entry->place), entry->name, status, AT_SYMLINK_NOFOLLOW);
    if (failed && errno != ENOENT)
        return error_errno(error, "look at message %.100s", entry->name);
    *there = !failed && S_ISREG(status->st_mode);
    return true;
}

/* Asks the file system which names of the run are there, and keeps one for each different file. */
static bool settle_run(struct run *run, size_t first, size_t end, struct error *error)
{
    struct maildir_entry *entries = run->list->entries;
    size_t kept_before = run->kept;
    struct stat chosen = {.st_ino = 0}, status = chosen;
    for (size_t i = first; i < end; i++) {
        bool there = false;
        if (!is_there(run->box, &entries[i], &status, &there, error))
            return false;
        bool is_first = run->kept == kept_before;
        bool is_link =
            !is_first && chosen.st_ino == status.st_ino && chosen.st_dev == status.st_dev;
        if (there && !is_first && !is_link) {
            run->renamed = true;
            if (!rename_duplicate(run->box, run->list, &entries[i], &there, error))
                return false;
        }
        if (!there || is_link)
            continue;
        if (is_first)
            chosen = status;
        entries[run->kept++] = entries[i];
    }
    run->vanished = run->vanished || run->kept == kept_before;
    return true;
}

static bool settle(const struct maildir *box, struct maildir_list *list, uint8_t last_round,
                   bool *vanished, struct error *error)
{
    struct run run = {box, list, 0, false, false};
    if (list->count > 0)
        qsort(list->entries, list->count, sizeof(*list->entries), compare_entries);
    for (size_t first = 0, end; first < list->count; first = end) {
        struct maildir_entry *entry = &list->entries[first];
        bool several = false;
        for (end = first + 1; end < list->count; end++) {
            const struct maildir_entry *next = &list->entries[end];
            if (!slice_equal(maildir_entry_key(entry), maildir_entry_key(next)))
                break;
            several = several || !same_file_name(entry, next);
        }
        /* One name that the last reading saw too: the usual case, no question asked. */
        if (!several && entry->round == last_round)
            list->entries[run.kept++] = *entry;
        else if (!settle_run(&run, first, end, error))
            return false;
    }
    list->count = run.kept;
    *vanished = run.vanished;
    if (run.renamed)
        qsort(list->entries, list->count, sizeof(*list->entries), compare_entries);
    return true;
}

bool maildir_scan(const struct maildir *box, struct maildir_list *list, struct error *error)
{
    maildir_list_clear(list);
    bool steady, vanished;
    uint8_t round = 0;
    do {
        if (!read_round(box, list, ++round, &steady, error)
            || !settle(box, list, round, &vanished, error))
            return false;
    } while (!steady && round < (vanished ? ROUNDS_MAX : ROUNDS_UNSTEADY));
    return true;
}

bool maildir_scan_new(const struct maildir *box, struct maildir_list *list, struct error *error)
{
    struct reading reading = {list, MAILDIR_NEW, 1};
    maildir_list_clear(list);
    if (!directory_read(box->new_fd, add_entry, &reading, error))
        return false;
    if (list->count > 0)
        qsort(list->entries, list->count, sizeof(*list->entries), compare_entries);
    return true;
}

/* ---- looking up ---- */

static int compare_key(const void *key, const void *entry)
{
    return slice_compare(*(const struct slice *)key, maildir_entry_key(entry));
}

const struct maildir_entry *maildir_list_find(const struct maildir_list *list, struct slice key)
{
    if (list->count == 0)
        return NULL;
    return bsearch(&key, list->entries, list->count, sizeof(*list->entries), compare_key);
}
