/* Reading messages for message_source.h. */
#include "imapd/fetch/message_source.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "common/disk/fd.h"
#include "common/net/stream.h"
#include "imapd/mailbox.h"

enum {
    BLOCK_OCTETS = 32768,
    SLICE_OCTETS = 1 << 20, /* scanned in a turn: one or two milliseconds */
};

void message_source_init(struct message_source *source, struct folder *folder)
{
    struct mailbox *mailbox = folder->mailbox;
    *source = (struct message_source){
        .cache = &mailbox->cache,
        .limits = message_limits(mailbox->config),
        .folder = folder,
        .file = MESSAGE_FILE_CLOSED,
    };
    message_tree_init(&source->tree, mailbox->config);
}

static void end_scan(struct message_source *source)
{
    if (source->scanning)
        mime_scan_clear(&source->scan);
    source->scanning = false;
}

static void forget(struct message_source *source)
{
    end_scan(source);
    if (source->depth == SOURCE_PARTS)
        message_cache_trade(source->cache, &source->tree);
    source->tree.uid = 0;
    source->tree.root = NULL;
    arena_reset(&source->tree.arena);
    message_file_close(&source->file);
    stream_file_release(source->share);
    source->share = NULL;
    source->root = NULL;
    source->uid = 0;
    source->depth = SOURCE_UNREAD;
}

void message_source_clear(struct message_source *source)
{
    if (!source->folder)
        return;
    forget(source);
    arena_clear(&source->tree.arena);
    source->folder = NULL;
}

void message_source_turn_to(struct message_source *source, uint32_t uid)
{
    if (source->uid != uid)
        forget(source);
    source->uid = uid;
}

/* --- the file --- */

static const struct message *message_of(const struct message_source *source, struct error *error)
{
    const struct message *message = folder_find(source->folder, source->uid);
    if (!message)
        error_set(error, ERROR_NOT_FOUND, "message is gone");
    return message;
}

static bool open_by_name(struct message_source *source, struct error *error)
{
    const struct message *message = message_of(source, error);
    return message
           && message_file_open(&source->folder->box, MAILDIR_CUR, message->name, &source->file,
                                error);
}

/* Another program may have just renamed the file: then tries again by the new name. */
static bool open_file(struct message_source *source, struct error *error)
{
    struct error why = {0};
    bool opened = open_by_name(source, &why)
                  || (why.kind == ERROR_NOT_FOUND && folder_look(source->folder, &why)
                      && open_by_name(source, &why));
    if (opened)
        source->depth = SOURCE_OPEN;
    else
        *error = why;
    return opened;
}

/* --- the parts --- */

/* Takes the parts from the cache, if this message was the last one read. */
static bool take_last(struct message_source *source)
{
    const struct message_tree *last = &source->cache->last;
    if (last->uid != source->uid || last->uidvalidity != source->folder->record.uidvalidity)
        return false;
    message_cache_trade(source->cache, &source->tree);
    source->root = source->tree.root;
    source->depth = SOURCE_PARTS;
    return true;
}

static void begin_scan(struct message_source *source)
{
    source->depth = SOURCE_OPEN; /* the header's fields are in the arena that is reset here */
    source->root = NULL;
    arena_reset(&source->tree.arena);
    mime_scan_init(&source->scan, &source->tree.arena, &source->limits);
    source->scanning = true;
    source->scanned = 0;
}

/* The scan has read the whole message, or the header and a little more. */
static enum source_result finish_scan(struct message_source *source, bool whole,
                                      struct error *error)
{
    const struct mime_part *root = mime_scan_finish(&source->scan);
    end_scan(source);
    if (!root) {
        error_memory(error);
        return SOURCE_FAILED;
    }
    source->root = root;
    source->depth = whole ? SOURCE_PARTS : SOURCE_HEADER;
    if (whole) {
        source->tree.uidvalidity = source->folder->record.uidvalidity;
        source->tree.uid = source->uid;
        source->tree.root = root;
        return SOURCE_DONE;
    }
    source->head = *root;
    source->head.kind = MIME_LEAF;
    source->head.children = NULL;
    source->head.body.octets = source->file.crlf_octets - root->header.octets;
    source->head.body.crlf_octets = source->head.body.octets;
    source->root = &source->head;
    return SOURCE_DONE;
}

/* Scans one slice. */
static enum source_result scan_on(struct message_source *source, enum source_depth depth,
                                  struct error *error)
{
    uint8_t block[BLOCK_OCTETS];
    size_t got;
    for (size_t slice = 0; slice < SLICE_OCTETS; slice += got) {
        if (!message_file_read(&source->file, source->scanned, block, sizeof(block), &got, error))
            return SOURCE_FAILED;
        mime_scan_feed(&source->scan, slice_of(block, got));
        source->scanned += got;
        if (got == 0)
            return finish_scan(source, true, error);
        if (depth == SOURCE_HEADER && mime_scan_has_header(&source->scan))
            return finish_scan(source, source->scanned == source->file.crlf_octets, error);
    }
    return SOURCE_MORE;
}

enum source_result message_source_read(struct message_source *source, enum source_depth depth,
                                       struct error *error)
{
    if (source->depth >= depth)
        return SOURCE_DONE;
    if (source->depth < SOURCE_OPEN && !open_file(source, error))
        return SOURCE_FAILED;
    if (depth == SOURCE_OPEN)
        return SOURCE_DONE;
    if (!source->scanning && take_last(source))
        return SOURCE_DONE;
    if (!source->scanning)
        begin_scan(source);
    return scan_on(source, depth, error);
}

/* --- properties of the message --- */

bool message_source_date(struct message_source *source, int64_t *seconds, struct error *error)
{
    struct stat status;
    if (source->file.fd >= 0) {
        *seconds = source->file.mtime.tv_sec;
        return true;
    }
    struct message *message = folder_find(source->folder, source->uid);
    if (!message)
        return error_set(error, ERROR_NOT_FOUND, "message is gone");
    if (message->internal_date != 0) {
        *seconds = message->internal_date;
        return true;
    }
    if (fstatat(source->folder->box.cur_fd, message->name, &status, AT_SYMLINK_NOFOLLOW) == 0) {
        *seconds = status.st_mtim.tv_sec;
        if (*seconds > 0 && *seconds <= UINT32_MAX)
            message->internal_date = (uint32_t)*seconds;
        return true;
    }
    if (!open_file(source, error)) /* under another name */
        return false;
    *seconds = source->file.mtime.tv_sec;
    return true;
}

bool message_source_octets(const struct message_source *source, uint64_t *octets)
{
    if (source->file.fd >= 0) {
        *octets = source->file.crlf_octets;
        return true;
    }
    const struct message *message = folder_find(source->folder, source->uid);
    return message && message_file_octets_from_name(message->name, octets);
}

static bool name_of(const struct message_source *source, struct maildir_name *name,
                    struct error *error)
{
    const struct message *message = message_of(source, error);
    if (!message)
        return false;
    *name = (struct maildir_name){.seconds = 0};
    return maildir_name_parse(slice_of_string(message->name), name)
           || error_set(error, ERROR_NOT_FOUND, "message has no name of a message");
}

bool message_source_saved(const struct message_source *source, int64_t *seconds,
                          struct error *error)
{
    struct maildir_name name;
    if (!name_of(source, &name, error))
        return false;
    *seconds = name.seconds <= UINT32_MAX ? (int64_t)name.seconds : 0;
    return true;
}

bool message_source_email_id(const struct message_source *source, char id[EMAIL_ID_SIZE],
                             struct error *error)
{
    struct maildir_name name;
    if (!name_of(source, &name, error))
        return false;
    email_id_format(&name, id);
    return true;
}

struct slice message_source_key(const struct message_source *source)
{
    const struct message *message = folder_find(source->folder, source->uid);
    struct maildir_name name;
    return message && maildir_name_parse(slice_of_string(message->name), &name) ? name.key
                                                                                : SLICE("");
}

bool message_source_append(struct message_source *source, uint64_t offset, size_t octets,
                           struct buffer *text, struct error *error)
{
    size_t got;
    if (octets == 0)
        return true;
    if (!buffer_reserve(text, octets))
        return error_memory(error);
    if (!message_file_read(&source->file, offset, text->ptr + text->len, octets, &got, error))
        return false;
    if (got != octets)
        return error_set(error, ERROR_TEMPORARY, "message is shorter than it was");
    buffer_commit(text, got);
    return true;
}

bool message_source_share(struct message_source *source, struct error *error)
{
    if (source->share)
        return true;
    int fd = fcntl(source->file.fd, F_DUPFD_CLOEXEC, 0);
    if (fd < 0)
        return error_errno(error, "dup");
    source->share = stream_file_new(&fd);
    fd_discard(&fd);
    return source->share || error_memory(error);
}
