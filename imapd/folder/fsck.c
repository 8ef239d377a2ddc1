/* Looking an account through; see fsck.h. One message after the other, in the order of UIDs: what
 * is renamed here keeps its place. */
#include "imapd/folder/fsck.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/disk/fd.h"
#include "imapd/fetch/message_cache.h"
#include "imapd/folder/folder_internal.h"
#include "imapd/mailbox.h"
#include "imapd/upkeep/upkeep.h"
#include "storage/directory.h"
#include "storage/line_ends.h"
#include "storage/maildir_scan.h"
#include "storage/quota.h"
#include "storage/tombstone.h"

enum {
    OCTETS_A_SLICE = 4 << 20,
    MESSAGES_A_SLICE = 200,
    BLOCK_OCTETS = 65536,
    FUTURE_SECONDS = 24 * 3600,
};

struct fsck {
    struct folder_list folders;
    bool listed;
    size_t next;           /* folder */
    struct folder *folder; /* open; NULL: between two */
    uint32_t next_uid;
    uint64_t messages; /* looked at, in all */
    uint64_t mended;   /* things */
    uint64_t in_future;
    /* The message that is being read. */
    int fd; /* -1: none */
    uint32_t uid;
    uint64_t octets;
    struct line_ends ends;
};

static void say_mended(struct upkeep_job *job, const char *what, const struct message *message)
{
    struct fsck *fsck = job->state;
    fsck->mended++;
    upkeep_say(job, fsck->folder->directory, "UID %" PRIu32 ": %s (%.255s)", message->uid, what,
               message->name);
}

static void end(struct upkeep_job *job)
{
    struct fsck *fsck = job->state;
    if (!fsck)
        return;
    fd_discard(&fsck->fd);
    if (fsck->folder)
        folder_close(fsck->folder);
    folder_list_clear(&fsck->folders);
    free(fsck);
}

/* ---- before a folder is opened: what opening it will mend ---- */

struct oddities {
    struct upkeep_job *job;
    const char *directory;
};

static bool on_entry(void *owner, const char *name, unsigned char type, struct error *error)
{
    const struct oddities *odd = owner;
    struct maildir_name parsed;
    (void)error;
    if (type != DT_REG && type != DT_UNKNOWN)
        upkeep_say(odd->job, odd->directory, "%.255s is no file; left alone", name);
    else if (!maildir_name_parse(slice_of_string(name), &parsed))
        upkeep_say(odd->job, odd->directory, "%.255s can be no message's name; left alone", name);
    return true;
}

static int compare_numbers(const void *left, const void *right)
{
    uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
    return (a > b) - (a < b);
}

static size_t count_twins(uint32_t *uids, size_t count)
{
    size_t twins = 0;
    if (count > 0)
        qsort(uids, count, sizeof(*uids), compare_numbers);
    for (size_t i = 1; i < count; i++)
        twins += uids[i] == uids[i - 1];
    return twins;
}

/* In names, since each UID is given with one. */
static bool look_at_uids(struct upkeep_job *job, const char *directory, const struct maildir *box,
                         const struct folder_record *record, struct error *error)
{
    struct fsck *fsck = job->state;
    struct maildir_list list;
    size_t known = 0, foreign = 0, beyond = 0;
    maildir_list_init(&list);
    bool looked = maildir_scan(box, &list, error);
    uint32_t *uids = looked ? calloc(list.count + 1, sizeof(*uids)) : NULL;
    for (size_t i = 0; uids && i < list.count; i++) {
        struct maildir_name name;
        if (!maildir_name_parse(maildir_entry_name(&list.entries[i]), &name) || name.uid == 0)
            continue;
        foreign += name.uidvalidity != record->uidvalidity;
        if (name.uidvalidity != record->uidvalidity)
            continue;
        beyond += name.uid >= record->uid_watermark;
        uids[known++] = name.uid;
    }
    size_t twins = uids ? count_twins(uids, known) : 0;
    if (twins > 0)
        upkeep_say(job, directory, "%zu messages had the UID of another: they get new ones", twins);
    if (foreign > 0)
        upkeep_say(job, directory, "%zu messages had UIDs of another folder: they get new ones",
                   foreign);
    if (beyond > 0)
        upkeep_say(job, directory, "%zu messages had UIDs that were never given: they get new ones",
                   beyond);
    fsck->mended += twins + foreign + beyond;
    bool has_memory = uids || !looked || error_memory(error);
    free(uids);
    maildir_list_clear(&list);
    return looked && has_memory;
}

/* The record of a folder that is open is in memory, too, and better than what is on disk. */
static bool look_at_record(struct upkeep_job *job, const char *directory, const struct maildir *box,
                           struct folder_record *record, struct error *error)
{
    struct fsck *fsck = job->state;
    const struct folder *open = folder_find_open(job->mailbox, directory);
    if (folder_record_load(box->fd, record, error))
        return true;
    if (error->kind == ERROR_TEMPORARY)
        return false;
    const char *state = error->kind == ERROR_NOT_FOUND ? "was missing" : "was damaged";
    fsck->mended++;
    if (open) {
        *record = open->record;
        upkeep_say(job, directory, "the record %s: written again (%s)", state, error->text);
        return folder_record_store(box->fd, record, error);
    }
    upkeep_say(job, directory, "the record %s: UIDVALIDITY is new (%s)", state, error->text);
    *record = (struct folder_record){.uidvalidity = 0};
    return true;
}

static bool look_before(struct upkeep_job *job, const char *directory, struct error *error)
{
    struct maildir box;
    struct folder_record record;
    struct oddities odd = {job, directory};
    if (!maildir_open(job->mailbox->account_fd, directory, &box, error))
        return error->kind == ERROR_NOT_FOUND;
    bool looked =
        look_at_record(job, directory, &box, &record, error)
        && directory_read(box.new_fd, on_entry, &odd, error)
        && directory_read(box.cur_fd, on_entry, &odd, error)
        && (record.uidvalidity == 0 || look_at_uids(job, directory, &box, &record, error));
    maildir_close(&box);
    return looked;
}

/* ---- the index ---- */

struct index_check {
    const struct folder *folder;
    size_t wrong;
};

static void on_facts(void *owner, uint32_t uid, const struct index_facts *facts)
{
    struct index_check *check = owner;
    struct maildir_name name;
    const struct message *message = folder_find(check->folder, uid);
    if (!message) /* it has gone: swept by and by */
        return;
    bool agrees = maildir_name_parse(slice_of_string(message->name), &name)
                  && slice_equal(name.key, facts->key)
                  && (name.crlf_octets == 0 || name.crlf_octets == facts->crlf_octets);
    check->wrong += !agrees;
}

static void look_at_index(struct upkeep_job *job)
{
    struct fsck *fsck = job->state;
    struct message_cache *cache = &job->mailbox->cache;
    struct index_check check = {.folder = fsck->folder};
    uint32_t uidvalidity = fsck->folder->record.uidvalidity;
    message_cache_visit_facts(cache, uidvalidity, on_facts, &check);
    if (check.wrong == 0)
        return;
    fsck->mended++;
    upkeep_say(job, fsck->folder->directory,
               "the index had %zu messages wrong: what it knew of the folder is forgotten",
               check.wrong);
    while (!message_cache_forget(cache, uidvalidity))
        ;
}

/* ---- a message ---- */

static void set_aside(struct upkeep_job *job, struct message *message, const char *why)
{
    struct fsck *fsck = job->state;
    struct error error;
    if (!folder_set_aside(fsck->folder, message, &error)) {
        upkeep_say(job, fsck->folder->directory, "UID %" PRIu32 ": %s, could not be set aside: %s",
                   message->uid, why, error.text);
        return;
    }
    say_mended(job, why, message);
    folder_let_go(fsck->folder, message);
}

/* The key with its sizes put right; its other parts stay. */
static void format_key(const struct maildir_name *name, uint64_t octets, uint64_t crlf_octets,
                       struct buffer *key)
{
    struct slice rest = name->key;
    while (rest.len > 0) {
        size_t comma = slice_find_octet(rest, ',');
        struct slice part = slice_range(rest, 0, comma);
        bool is_octets = key->len > 0 && slice_starts_with(part, SLICE("S="));
        bool is_crlf = key->len > 0 && slice_starts_with(part, SLICE("W="));
        if (is_octets || is_crlf) {
            buffer_append(key, slice_range(part, 0, 2));
            buffer_append_number(key, is_octets ? octets : crlf_octets);
        } else {
            buffer_append(key, part);
        }
        if (comma < rest.len)
            buffer_append_octet(key, ',');
        rest = slice_from(rest, comma + 1);
    }
}

static void mend_sizes(struct upkeep_job *job, struct message *message, uint64_t octets,
                       uint64_t crlf_octets)
{
    struct fsck *fsck = job->state;
    struct maildir_name name;
    struct buffer key = BUFFER_WITH_LIMIT(MAILDIR_NAME_MAX);
    char renamed[MAILDIR_NAME_SIZE], what[120];
    struct error error;
    if (!maildir_name_parse(slice_of_string(message->name), &name)
        || ((name.octets == 0 || name.octets == octets)
            && (name.crlf_octets == 0 || name.crlf_octets == crlf_octets)))
        return;
    snprintf(what, sizeof(what),
             "the name said %" PRIu64 " octets, it has %" PRIu64 " (%" PRIu64 " with CRLF)",
             name.octets, octets, crlf_octets);
    format_key(&name, octets, crlf_octets, &key);
    name.key = buffer_slice(&key);
    int cur_fd = fsck->folder->box.cur_fd;
    bool mended = !key.failed && maildir_name_format(&name, renamed)
                  && renameat(cur_fd, message->name, cur_fd, renamed) == 0;
    if (mended)
        say_mended(job, what, message);
    else
        upkeep_say(job, fsck->folder->directory, "UID %" PRIu32 ": %s; not mended", message->uid,
                   what);
    if (mended
        && (!maildir_name_parse(slice_of_string(renamed), &name)
            || !folder_take_name(fsck->folder, message, renamed, &name, NULL, &error)))
        fsck->folder->suspicious = true;
    buffer_clear(&key);
}

/* -1 where it cannot be read; said. */
static int open_message(struct upkeep_job *job, struct message *message, struct stat *status)
{
    struct fsck *fsck = job->state;
    int cur_fd = fsck->folder->box.cur_fd;
    enum { FLAGS = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC };
    if (fstatat(cur_fd, message->name, status, AT_SYMLINK_NOFOLLOW) != 0) {
        fsck->folder->suspicious = errno == ENOENT;
        return -1;
    }
    int fd = openat(cur_fd, message->name, FLAGS);
    int why = errno;
    if (fd < 0 && why == EACCES && fchmodat(cur_fd, message->name, 0600, 0) == 0) {
        fd = openat(cur_fd, message->name, FLAGS);
        why = errno;
        if (fd >= 0)
            say_mended(job, "was closed to its owner: its mode is 0600 now", message);
    }
    if (fd < 0 && why == EIO)
        set_aside(job, message, "the disk cannot read it: set aside");
    else if (fd < 0 && why != ENOENT)
        upkeep_say(job, fsck->folder->directory,
                   "UID %" PRIu32 ": cannot be read (%s; it belongs to uid %u): %.255s",
                   message->uid, strerror(why), status->st_uid, message->name);
    return fd;
}

/* Of what APPEND wrote nobody has another copy: what is there of it is all there will ever be. */
static bool queue_has_it(const struct message *message)
{
    struct maildir_name name;
    return maildir_name_parse(slice_of_string(message->name), &name)
           && delivered_unique_is_one(&name);
}

/* Opens it, and deals with what its status tells. False: nothing is to be read. */
static bool begin_message(struct upkeep_job *job, struct message *message)
{
    struct fsck *fsck = job->state;
    struct stat status;
    struct error error;
    int64_t now = mailbox_now();
    fsck->messages++;
    fsck->fd = open_message(job, message, &status);
    if (fsck->fd < 0)
        return false;
    fsck->in_future += status.st_mtim.tv_sec > now + FUTURE_SECONDS;
    if (queue_has_it(message) && !delivered_check_whole(message->name, &status, now, &error)) {
        upkeep_say(job, fsck->folder->directory, "UID %" PRIu32 ": %s", message->uid, error.text);
        fd_discard(&fsck->fd);
        return false;
    }
    if (status.st_size == 0) {
        set_aside(job, message, "is empty: set aside");
        fd_discard(&fsck->fd);
        return false;
    }
    fsck->uid = message->uid;
    fsck->octets = 0;
    fsck->ends = LINE_ENDS_START;
    return true;
}

/* Reads on. False: it is all read, or cannot be. */
static bool read_message(struct upkeep_job *job, uint64_t *left)
{
    struct fsck *fsck = job->state;
    uint8_t block[BLOCK_OCTETS];
    struct error error;
    size_t got = 1;
    struct message *message = folder_find(fsck->folder, fsck->uid);
    while (message && got > 0 && *left > 0) {
        if (!fd_pread_full(fsck->fd, block, sizeof(block), fsck->octets, &got, &error)) {
            set_aside(job, message, "the disk cannot read it: set aside");
            message = NULL;
            break;
        }
        line_ends_count(&fsck->ends, slice_of(block, got));
        fsck->octets += got;
        *left -= got < *left ? got : *left;
    }
    if (message && got > 0)
        return true;
    if (message)
        mend_sizes(job, message, fsck->octets, fsck->octets + fsck->ends.bare_lf);
    fd_discard(&fsck->fd);
    return false;
}

/* False: the folder has no more. */
static bool look_at_messages(struct upkeep_job *job)
{
    struct fsck *fsck = job->state;
    uint64_t left = OCTETS_A_SLICE;
    for (int i = 0; i < MESSAGES_A_SLICE && left > 0; i++) {
        if (fsck->fd >= 0 && read_message(job, &left))
            return true;
        size_t position = folder_position(fsck->folder, fsck->next_uid);
        if (position == fsck->folder->count)
            return false;
        struct message *message = &fsck->folder->messages[position];
        if (message->uid == UINT32_MAX)
            return false;
        fsck->next_uid = message->uid + 1;
        if (message->name)
            begin_message(job, message);
    }
    return true;
}

/* ---- the account ---- */

static bool open_next(struct upkeep_job *job)
{
    struct fsck *fsck = job->state;
    struct error error;
    const char *directory = fsck->folders.entries[fsck->next++].directory;
    fsck->next_uid = 1;
    if (look_before(job, directory, &error)
        && folder_open(job->mailbox, directory, &fsck->folder, &error)
        && folder_look(fsck->folder, &error))
        return true;
    if (error.kind != ERROR_NOT_FOUND) /* removed meanwhile */
        upkeep_say(job, directory, "could not be looked at: %s", error.text);
    if (fsck->folder)
        folder_close(fsck->folder);
    fsck->folder = NULL;
    return true;
}

static void finish_folder(struct upkeep_job *job)
{
    struct fsck *fsck = job->state;
    look_at_index(job);
    folder_close(fsck->folder);
    fsck->folder = NULL;
}

static void count_quota(struct upkeep_job *job)
{
    struct mailbox *mailbox = job->mailbox;
    struct quota_usage said, counted;
    struct error error;
    if (!quota_is_set(&mailbox->quota))
        return;
    bool known = quota_load(&mailbox->inbox, &mailbox->quota, &said, &error);
    if (!quota_recount(&mailbox->inbox, &mailbox->quota, &counted, &error))
        upkeep_say(job, NULL, "the quota could not be counted: %s", error.text);
    else if (known && (said.octets != counted.octets || said.messages != counted.messages))
        upkeep_say(job, NULL,
                   "the quota's count was wrong: %" PRId64 " octets, %" PRId64 " messages now",
                   counted.octets, counted.messages);
}

static bool finish(struct upkeep_job *job)
{
    struct fsck *fsck = job->state;
    maildir_sweep(&job->mailbox->inbox, mailbox_now());
    count_quota(job);
    if (fsck->in_future > 0)
        upkeep_say(job, NULL,
                   "%" PRIu64 " messages have a time in the future: did a clock go back?",
                   fsck->in_future);
    upkeep_say(job, NULL, "%zu folders, %" PRIu64 " messages looked at; mended: %" PRIu64,
               fsck->folders.count, fsck->messages, fsck->mended);
    return false;
}

static bool step(struct upkeep_job *job)
{
    struct fsck *fsck = job->state;
    struct error error;
    if (!fsck->listed) {
        fsck->listed = folders_list(job->mailbox->account_fd, &fsck->folders, &error);
        return fsck->listed || upkeep_fail(job, &error);
    }
    if (!fsck->folder)
        return fsck->next < fsck->folders.count ? open_next(job) : finish(job);
    if (fsck->folder->deleted || (!folder_step(fsck->folder) && !look_at_messages(job)))
        finish_folder(job);
    return true;
}

void fsck_begin(struct upkeep_job *job)
{
    struct fsck *fsck = calloc(1, sizeof(*fsck));
    struct error error;
    job->step = step;
    job->end = end;
    job->state = fsck;
    if (!fsck) {
        error_memory(&error);
        upkeep_fail(job, &error);
        return;
    }
    fsck->fd = -1;
    folder_list_init(&fsck->folders);
}
