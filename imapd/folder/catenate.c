/* The copying of catenate.h. */
#include "imapd/folder/catenate.h"

#include "imapd/session/session.h"
#include "imapd/syntax/mailbox_name.h"
#include "storage/folder_name.h"

enum { PIECE_OCTETS = 65536, PIECES_A_SLICE = 16, HEADER_OCTETS = 8 << 20 };

void catenate_clear(struct catenate *catenate)
{
    message_source_clear(&catenate->source);
    url_fetch_end(&catenate->fetch);
    if (catenate->folder)
        folder_close(catenate->folder);
    *catenate = (struct catenate){.begun = false};
}

static bool no_such_url(struct error *error)
{
    return error_set(error, ERROR_NOT_FOUND, "the URL names nothing");
}

/* The directory of the URL's mailbox, or of the one that is selected. */
static bool find_directory(const struct session *session, const struct message_url *url,
                           char directory[MAILDIR_NAME_SIZE], struct error *error)
{
    const struct folder *selected = session->view.folder;
    struct buffer name = BUFFER_WITH_LIMIT(2 * MAILBOX_NAME_MAX);
    const char *problem;
    if (url->mailbox.len == 0 && selected) {
        memcpy(directory, selected->directory, MAILDIR_NAME_SIZE);
        return true;
    }
    bool found = mailbox_name_parse(url->mailbox, MAILBOX_NAME_UTF8, &name, &problem)
                 && folder_name_to_directory(buffer_slice(&name), directory, error);
    buffer_clear(&name);
    return found || no_such_url(error);
}

static bool begin(struct catenate *catenate, struct session *session, struct slice text,
                  struct error *error)
{
    char directory[MAILDIR_NAME_SIZE];
    if (!message_url_parse(text, &session->arena, &catenate->url))
        return no_such_url(error);
    catenate->is_elsewhere = url_fetch_is_needed(session, &catenate->url);
    if (catenate->is_elsewhere)
        return catenate->begun = url_fetch_begin(&catenate->fetch, session, &catenate->url, error);
    if (!find_directory(session, &catenate->url, directory, error)
        || !folder_open(session->mailbox, directory, &catenate->folder, error))
        return false;
    message_source_init(&catenate->source, catenate->folder);
    message_source_turn_to(&catenate->source, catenate->url.uid);
    catenate->begun = true;
    return true;
}

static bool has_fields(const struct section *section)
{
    return section->kind == SECTION_FIELDS || section->kind == SECTION_FIELDS_NOT;
}

static void cut(const struct fetch_item *item, struct mime_span *run)
{
    if (!item->partial)
        return;
    uint64_t skipped = item->offset < run->octets ? item->offset : run->octets;
    run->offset += skipped;
    run->octets -= skipped;
    if (run->octets > item->octets)
        run->octets = item->octets;
}

static bool copy_fields(struct catenate *catenate, struct intake *intake, struct error *error)
{
    const struct fetch_item *item = catenate->url.item;
    struct buffer header = BUFFER_WITH_LIMIT(HEADER_OCTETS);
    struct buffer fields = BUFFER_WITH_LIMIT(2 * HEADER_OCTETS + 2);
    uint64_t octets = catenate->run.octets < HEADER_OCTETS ? catenate->run.octets : HEADER_OCTETS;
    bool copied = message_source_append(&catenate->source, catenate->run.offset, (size_t)octets,
                                        &header, error);
    if (copied) {
        section_filter_fields(buffer_slice(&header), item->fields, item->field_count,
                              item->section.kind == SECTION_FIELDS, &fields);
        struct mime_span wanted = {.octets = fields.len};
        cut(item, &wanted);
        copied = (!fields.failed || error_memory(error))
                 && intake_write(intake,
                                 slice_range(buffer_slice(&fields), (size_t)wanted.offset,
                                             (size_t)(wanted.offset + wanted.octets)),
                                 error);
    }
    buffer_clear(&header);
    buffer_clear(&fields);
    return copied;
}

static bool resolve(struct catenate *catenate, struct error *error)
{
    const struct section *section = &catenate->url.item->section;
    catenate->run = (struct mime_span){.octets = catenate->source.file.crlf_octets};
    bool is_whole = section->depth == 0 && section->kind == SECTION_ALL;
    if (!is_whole && !section_resolve(catenate->source.root, section, &catenate->run))
        return no_such_url(error);
    if (!has_fields(section))
        cut(catenate->url.item, &catenate->run);
    catenate->resolved = true;
    return true;
}

static enum source_result copy_run(struct catenate *catenate, struct intake *intake,
                                   struct error *error)
{
    struct buffer piece = BUFFER_WITH_LIMIT(PIECE_OCTETS);
    bool copied = true;
    for (int i = 0; copied && i < PIECES_A_SLICE && catenate->copied < catenate->run.octets; i++) {
        uint64_t left = catenate->run.octets - catenate->copied;
        size_t octets = left < PIECE_OCTETS ? (size_t)left : PIECE_OCTETS;
        buffer_reset(&piece);
        copied = message_source_append(&catenate->source, catenate->run.offset + catenate->copied,
                                       octets, &piece, error)
                 && intake_write(intake, buffer_slice(&piece), error);
        catenate->copied += octets;
    }
    buffer_clear(&piece);
    if (!copied)
        return SOURCE_FAILED;
    return catenate->copied < catenate->run.octets ? SOURCE_MORE : SOURCE_DONE;
}

static enum source_depth depth_of(const struct section *section)
{
    if (section->depth > 0)
        return SOURCE_PARTS;
    return section->kind == SECTION_ALL ? SOURCE_OPEN : SOURCE_HEADER;
}

static enum source_result go_on(struct catenate *catenate, struct intake *intake,
                                struct error *error)
{
    const struct message_url *url = &catenate->url;
    if (catenate->is_elsewhere)
        return url_fetch_step(&catenate->fetch, intake, error);
    if (folder_step(catenate->folder))
        return SOURCE_MORE;
    if (url->uidvalidity && url->uidvalidity != catenate->folder->record.uidvalidity) {
        no_such_url(error);
        return SOURCE_FAILED;
    }
    enum source_result read =
        message_source_read(&catenate->source, depth_of(&url->item->section), error);
    if (read != SOURCE_DONE)
        return read;
    if (!catenate->resolved && !resolve(catenate, error))
        return SOURCE_FAILED;
    if (has_fields(&url->item->section))
        return copy_fields(catenate, intake, error) ? SOURCE_DONE : SOURCE_FAILED;
    return copy_run(catenate, intake, error);
}

enum source_result catenate_copy(struct catenate *catenate, struct session *session,
                                 struct slice url, struct intake *intake, struct error *error)
{
    enum source_result result = SOURCE_FAILED;
    if (catenate->begun || begin(catenate, session, url, error))
        result = go_on(catenate, intake, error);
    if (result != SOURCE_MORE)
        catenate_clear(catenate);
    return result;
}
