/* Reading messages for message_source.h. */
#include "imapd/message_source.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "common/config.h"
#include "common/date.h"
#include "common/fd.h"
#include "common/mime/structure.h"
#include "common/stream.h"

enum {
    BLOCK_OCTETS = 16384,
    COPIED_OCTETS = 65536,   /* of a section: longer ones are lent to the stream, if they can be */
    HEADER_OCTETS = 8 << 20, /* what HEADER.FIELDS looks at */
    FILTERED_OCTETS = 8 << 20, /* and what it may answer */
};

void message_source_init(struct message_source *source, const struct config *config)
{
    *source = (struct message_source){
        .limits = {.depth = config->limits.mime_depth, .parts = config->limits.mime_parts},
        .file = MESSAGE_FILE_CLOSED,
    };
    arena_init(&source->arena, mime_arena_limit(&source->limits));
}

static void forget(struct message_source *source)
{
    message_file_close(&source->file);
    stream_file_release(source->share);
    source->share = NULL;
    source->root = NULL;
    source->folder = NULL;
}

void message_source_clear(struct message_source *source)
{
    forget(source);
    arena_clear(&source->arena);
}

void message_source_turn_to(struct message_source *source, const struct folder *folder,
                            uint32_t uid)
{
    if (source->folder == folder && source->uid == uid)
        return;
    forget(source);
    arena_reset(&source->arena);
    source->folder = folder;
    source->uid = uid;
}

static const struct message *message_of(const struct message_source *source, struct error *error)
{
    const struct message *message = folder_find(source->folder, source->uid);
    if (!message)
        error_set(error, ERROR_NOT_FOUND, "message is gone");
    return message;
}

static bool open_file(struct message_source *source, struct error *error)
{
    if (source->file.fd >= 0)
        return true;
    const struct message *message = message_of(source, error);
    return message
           && message_file_open(&source->folder->box, MAILDIR_CUR, message->name, &source->file,
                                error);
}

static bool feed(struct message_source *source, struct mime_scan *scan, struct error *error)
{
    uint8_t block[BLOCK_OCTETS];
    uint64_t offset = 0;
    size_t got;
    do {
        if (!message_file_read(&source->file, offset, block, sizeof(block), &got, error))
            return false;
        mime_scan_feed(scan, slice_of(block, got));
        offset += got;
    } while (got > 0);
    return true;
}

static bool scan_parts(struct message_source *source, struct error *error)
{
    struct mime_scan scan;
    if (source->root)
        return true;
    if (!open_file(source, error))
        return false;
    mime_scan_init(&scan, &source->arena, &source->limits);
    bool fed = feed(source, &scan, error);
    if (fed)
        source->root = mime_scan_finish(&scan);
    mime_scan_clear(&scan);
    return fed && (source->root || error_memory(error));
}

const struct mime_part *message_source_root(struct message_source *source, struct error *error)
{
    return scan_parts(source, error) ? source->root : NULL;
}

bool message_source_date(struct message_source *source, int64_t *seconds, struct error *error)
{
    struct stat status;
    const struct message *message = message_of(source, error);
    if (!message)
        return false;
    if (source->file.fd >= 0) {
        *seconds = source->file.mtime.tv_sec;
        return true;
    }
    if (fstatat(source->folder->box.cur_fd, message->name, &status, AT_SYMLINK_NOFOLLOW) != 0)
        return error_errno(error, "fstatat");
    *seconds = status.st_mtim.tv_sec;
    return true;
}

bool message_source_octets(struct message_source *source, uint64_t *octets, struct error *error)
{
    const struct message *message = message_of(source, error);
    if (!message)
        return false;
    if (source->file.fd < 0 && message_file_octets_from_name(message->name, octets))
        return true;
    if (!open_file(source, error))
        return false;
    *octets = source->file.crlf_octets;
    return true;
}

static bool is_whole(const struct fetch_item *item)
{
    return item->section.depth == 0 && item->section.kind == SECTION_ALL;
}

static bool prepare_item(struct message_source *source, const struct fetch_item *item,
                         struct error *error)
{
    switch (item->kind) {
    case FETCH_FLAGS:
    case FETCH_UID:
    case FETCH_SIZE:
    case FETCH_INTERNALDATE:
        return true;
    case FETCH_SECTION:
        return is_whole(item) ? open_file(source, error) : scan_parts(source, error);
    default:
        return scan_parts(source, error);
    }
}

bool message_source_prepare(struct message_source *source, const struct fetch_item *items,
                            struct error *error)
{
    uint64_t octets;
    int64_t seconds;
    for (const struct fetch_item *item = items; item; item = item->next) {
        if (!prepare_item(source, item, error))
            return false;
        if (item->kind == FETCH_SIZE && !message_source_octets(source, &octets, error))
            return false;
        if (item->kind == FETCH_INTERNALDATE && !message_source_date(source, &seconds, error))
            return false;
    }
    return true;
}

/* ---- values ---- */

static enum source_result write_date(struct message_source *source, struct buffer *text,
                                     struct error *error)
{
    char digits[DATE_TEXT_OCTETS];
    struct date date = {.zone_minutes = 0};
    if (!message_source_date(source, &date.seconds, error))
        return SOURCE_FAILED;
    size_t length = date_format_internal(&date, digits);
    buffer_append_octet(text, '"');
    buffer_append(text, slice_of(digits, length));
    buffer_append_octet(text, '"');
    return SOURCE_DONE;
}

static enum source_result write_octets(struct message_source *source, struct buffer *text,
                                       struct error *error)
{
    uint64_t octets;
    if (!message_source_octets(source, &octets, error))
        return SOURCE_FAILED;
    buffer_append_number(text, octets);
    return SOURCE_DONE;
}

static enum source_result write_structure(const struct message_source *source, enum fetch_kind kind,
                                          struct buffer *text, struct error *error)
{
    bool written = kind == FETCH_ENVELOPE ? structure_format_envelope(source->root, text)
                   : kind == FETCH_BODY   ? structure_format_body(source->root, text)
                                          : structure_format_bodystructure(source->root, text);
    if (written)
        return SOURCE_DONE;
    error_memory(error);
    return SOURCE_FAILED;
}

/* "a partial fetch ... beyond the end of the text, an empty string" (RFC 3501 6.4.5). */
static void cut(const struct fetch_item *item, uint64_t *offset, uint64_t *octets)
{
    if (!item->partial)
        return;
    uint64_t skipped = item->offset < *octets ? item->offset : *octets;
    *offset += skipped;
    *octets -= skipped;
    if (*octets > item->octets)
        *octets = item->octets;
}

static void announce(struct buffer *text, uint64_t octets)
{
    buffer_append_octet(text, '{');
    buffer_append_number(text, octets);
    buffer_append(text, SLICE("}\r\n"));
}

static bool append_octets(struct message_source *source, uint64_t offset, uint64_t octets,
                          struct buffer *text, struct error *error)
{
    size_t got;
    if (!buffer_reserve(text, (size_t)octets))
        return error_memory(error);
    if (!message_file_read(&source->file, offset, text->ptr + text->len, (size_t)octets, &got,
                           error))
        return false;
    if (got != octets)
        return error_set(error, ERROR_TEMPORARY, "message is shorter than it was");
    buffer_commit(text, got);
    return true;
}

static bool share_file(struct message_source *source, struct error *error)
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

/* What is longer goes out in pieces: from the file itself where that has CRLF, else converted. */
static enum source_result write_run(struct message_source *source, struct mime_span run,
                                    uint64_t *position, struct writer *writer, struct error *error)
{
    if (*position == 0)
        announce(&writer->text, run.octets);
    if (run.octets > COPIED_OCTETS && source->file.crlf && *position == 0) {
        if (!share_file(source, error))
            return SOURCE_FAILED;
        writer_lend(writer, source->share, run.offset, run.octets);
        return SOURCE_DONE;
    }
    while (*position < run.octets) {
        uint64_t piece = run.octets - *position;
        if (piece > COPIED_OCTETS)
            piece = COPIED_OCTETS;
        if (!append_octets(source, run.offset + *position, piece, &writer->text, error))
            return SOURCE_FAILED;
        *position += piece;
        if (*position < run.octets) {
            writer_flush(writer);
            if (stream_output_full(writer->stream))
                return SOURCE_MORE;
        }
    }
    return SOURCE_DONE;
}

static enum source_result write_fields(struct message_source *source, const struct fetch_item *item,
                                       struct mime_span header, struct writer *writer,
                                       struct error *error)
{
    struct buffer octets = BUFFER_WITH_LIMIT(HEADER_OCTETS);
    struct buffer fields = BUFFER_WITH_LIMIT(FILTERED_OCTETS);
    uint64_t looked_at = header.octets < HEADER_OCTETS ? header.octets : HEADER_OCTETS;
    bool read = append_octets(source, header.offset, looked_at, &octets, error);
    if (read) {
        section_filter_fields(buffer_slice(&octets), item->fields, item->field_count,
                              item->section.kind == SECTION_FIELDS, &fields);
        struct slice wanted = buffer_slice(&fields);
        uint64_t offset = 0;
        uint64_t length = wanted.len;
        cut(item, &offset, &length);
        announce(&writer->text, length);
        buffer_append(&writer->text, slice_range(wanted, offset, offset + length));
        read = !fields.failed || error_memory(error);
    }
    buffer_clear(&octets);
    buffer_clear(&fields);
    return read ? SOURCE_DONE : SOURCE_FAILED;
}

static enum source_result write_section(struct message_source *source,
                                        const struct fetch_item *item, uint64_t *position,
                                        struct writer *writer, struct error *error)
{
    struct mime_span run = {.offset = 0, .octets = source->file.crlf_octets};
    if (!is_whole(item) && !section_resolve(source->root, &item->section, &run)) {
        buffer_append(&writer->text, SLICE("NIL"));
        return SOURCE_DONE;
    }
    if (item->section.kind == SECTION_FIELDS || item->section.kind == SECTION_FIELDS_NOT)
        return write_fields(source, item, run, writer, error);
    cut(item, &run.offset, &run.octets);
    return write_run(source, run, position, writer, error);
}

enum source_result message_source_write(struct message_source *source,
                                        const struct fetch_item *item, uint64_t *position,
                                        struct writer *writer, struct error *error)
{
    switch (item->kind) {
    case FETCH_INTERNALDATE:
        return write_date(source, &writer->text, error);
    case FETCH_SIZE:
        return write_octets(source, &writer->text, error);
    case FETCH_SECTION:
        return write_section(source, item, position, writer, error);
    default:
        return write_structure(source, item->kind, &writer->text, error);
    }
}
