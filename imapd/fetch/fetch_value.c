/* The values of fetch_value.h. */
#include "imapd/fetch/fetch_value.h"

#include "common/mime/header.h"
#include "common/mime/structure.h"
#include "common/net/stream.h"
#include "common/text/date.h"
#include "imapd/fetch/preview.h"
#include "imapd/search/message_ids.h"

enum {
    COPIED_OCTETS = 65536,   /* of a section: longer ones are lent to the stream, if they can be */
    HEADER_OCTETS = 8 << 20, /* what HEADER.FIELDS looks at */
    FILTERED_OCTETS = 2 * HEADER_OCTETS + 2, /* and what it may answer: each LF becomes CRLF */
    TEXT_OCTETS = 64 << 20,                  /* of one ENVELOPE or BODYSTRUCTURE */
    INDEXED_OCTETS = 64 << 10,               /* longer texts are not kept: few messages have them */
};

static struct slice no_text(void)
{
    return slice_of(NULL, 0);
}

/* 0: not a text of the index. */
static enum index_kind kind_of(const struct fetch_item *item)
{
    switch (item->kind) {
    case FETCH_ENVELOPE:
        return INDEX_ENVELOPE;
    case FETCH_BODY:
        return INDEX_BODY;
    case FETCH_BODYSTRUCTURE:
        return INDEX_BODYSTRUCTURE;
    case FETCH_REFERENCES:
        return INDEX_REFERENCES;
    case FETCH_PREVIEW:
        return INDEX_PREVIEW;
    default:
        return 0;
    }
}

/* --- the index --- */

static void leave_index(struct fetch_values *values)
{
    for (int kind = INDEX_FACTS; kind < INDEX_KINDS && values->index; kind++)
        index_reader_clear(&values->readers[kind]);
    if (values->entered)
        message_cache_leave(values->source.cache);
    values->entered = false;
    values->index = NULL;
}

/* Only for what it holds: it costs memory while it is open. */
static bool wants_index(const struct fetch_values *values)
{
    for (const struct fetch_item *item = values->items; item; item = item->next)
        if (kind_of(item) != 0)
            return true;
    return false;
}

static void enter_index(struct fetch_values *values)
{
    if (!wants_index(values))
        return;
    message_cache_enter(values->source.cache, values->source.folder);
    values->entered = true;
    values->index = message_cache_index(values->source.cache);
    uint32_t uidvalidity = values->source.folder->record.uidvalidity;
    for (int kind = INDEX_FACTS; kind < INDEX_KINDS && values->index; kind++)
        index_reader_init(&values->readers[kind], values->index, uidvalidity,
                          (enum index_kind)kind);
}

/* It may have failed since, in this command or another. What was borrowed from it stands all the
 * same, until the readers are cleared. */
static bool has_index(const struct fetch_values *values)
{
    return values->index && message_cache_index(values->source.cache);
}

static void look_up_text(struct fetch_values *values, enum index_kind kind)
{
    struct error error;
    if (values->texts[kind].ptr || !has_index(values))
        return;
    if (!index_reader_find(&values->readers[kind], values->source.uid, &values->texts[kind],
                           &error)) {
        values->texts[kind] = no_text();
        message_cache_on_failure(values->source.cache, &error);
    }
}

static void look_up_facts(struct fetch_values *values)
{
    struct error error;
    if (values->facts_known || !has_index(values))
        return;
    values->facts_known = index_reader_find_facts(&values->readers[INDEX_FACTS], values->source.uid,
                                                  &values->facts, &error);
    if (!values->facts_known)
        message_cache_on_failure(values->source.cache, &error);
}

/* The message is open: what the index does not have of it. */
static void put_into_index(struct fetch_values *values)
{
    struct error error = {0};
    const struct message_source *source = &values->source;
    struct index *index = has_index(values) ? values->index : NULL;
    uint32_t uidvalidity = source->folder->record.uidvalidity;
    look_up_facts(values); /* SEARCH may have put more than is put here */
    bool put = index && values->facts_known;
    if (index && !values->facts_known) {
        values->facts = (struct index_facts){.internal_date = source->file.mtime.tv_sec,
                                             .crlf_octets = source->file.crlf_octets,
                                             .key = message_source_key(source)};
        put = index_put_facts(index, uidvalidity, source->uid, &values->facts, &error);
    }
    for (int kind = INDEX_ENVELOPE; kind < INDEX_KINDS && put; kind++) {
        struct slice text = buffer_slice(&values->made[kind]);
        if (text.len > 0 && text.len <= INDEXED_OCTETS)
            put = index_put_text(index, uidvalidity, source->uid, (enum index_kind)kind, text,
                                 &error);
    }
    if (index && !put)
        message_cache_on_failure(source->cache, &error);
    message_cache_commit(source->cache);
}

/* --- preparing --- */

void fetch_values_init(struct fetch_values *values, struct folder *folder,
                       const struct fetch_item *items)
{
    *values = (struct fetch_values){.items = items};
    message_source_init(&values->source, folder);
    for (int kind = 0; kind < INDEX_KINDS; kind++)
        buffer_init(&values->made[kind], TEXT_OCTETS);
    enter_index(values);
}

void fetch_values_clear(struct fetch_values *values)
{
    if (!values->source.folder)
        return;
    leave_index(values);
    for (int kind = 0; kind < INDEX_KINDS; kind++)
        buffer_clear(&values->made[kind]);
    fetch_binary_clear(&values->binary);
    message_source_clear(&values->source);
}

void fetch_values_turn_to(struct fetch_values *values, uint32_t uid)
{
    message_source_turn_to(&values->source, uid);
    values->looked_up = false;
    values->facts_known = false;
    fetch_binary_clear(&values->binary);
    for (int kind = 0; kind < INDEX_KINDS; kind++) {
        values->texts[kind] = no_text();
        buffer_reset(&values->made[kind]);
    }
}

static void look_up(struct fetch_values *values)
{
    const struct fetch_item *item = values->looked_up ? NULL : values->items;
    for (; item; item = item->next) {
        uint64_t octets;
        if (kind_of(item) != 0)
            look_up_text(values, kind_of(item));
        if (item->kind == FETCH_INTERNALDATE
            || (item->kind == FETCH_SIZE && !message_source_octets(&values->source, &octets)))
            look_up_facts(values);
    }
    values->looked_up = true;
}

static enum source_depth depth_of_section(const struct section *section)
{
    if (section->depth > 0)
        return SOURCE_PARTS;
    return section->kind == SECTION_ALL ? SOURCE_OPEN : SOURCE_HEADER;
}

static bool is_binary(const struct fetch_item *item)
{
    return item->kind == FETCH_BINARY || item->kind == FETCH_BINARY_SIZE;
}

static enum source_depth depth_of(const struct fetch_values *values, const struct fetch_item *item)
{
    uint64_t octets;
    enum index_kind kind = kind_of(item);
    if (kind != 0 && (values->texts[kind].ptr || item->lazy))
        return SOURCE_UNREAD;
    if (kind != 0)
        return kind == INDEX_ENVELOPE || kind == INDEX_REFERENCES ? SOURCE_HEADER : SOURCE_PARTS;
    if (item->kind == FETCH_SECTION || is_binary(item))
        return depth_of_section(&item->section);
    bool is_size = item->kind == FETCH_SIZE && !values->facts_known
                   && !message_source_octets(&values->source, &octets);
    return is_size ? SOURCE_OPEN : SOURCE_UNREAD;
}

/* The body of the field that the tree of parts does not keep; borrows from the header. */
static struct slice find_references(struct slice header)
{
    struct cursor in = cursor_of(header);
    struct header_field field;
    while (header_next(&in, &field))
        if (slice_equal_nocase(field.name, SLICE("References")))
            return field.body;
    return SLICE("");
}

static struct slice field_body(const struct mime_part *root, enum mime_field_id id)
{
    const struct mime_field *field = mime_part_field(root, id);
    return field ? field->body : SLICE("");
}

/* The message's own identifier, or an empty line, and those that it refers to: "if there are no
 * valid message IDs in References, the first valid one of In-Reply-To" (RFC 5256 3). */
static bool make_references(struct fetch_values *values, struct buffer *text, struct error *error)
{
    const struct mime_part *root = values->source.root;
    struct buffer header = BUFFER_WITH_LIMIT(HEADER_OCTETS);
    uint64_t octets = root->header.octets < HEADER_OCTETS ? root->header.octets : HEADER_OCTETS;
    bool read =
        message_source_append(&values->source, root->header.offset, (size_t)octets, &header, error);
    if (read) {
        if (message_ids_append(field_body(root, MIME_MESSAGE_ID), 1, text) == 0)
            buffer_append_octet(text, '\n');
        if (message_ids_append(find_references(buffer_slice(&header)), SIZE_MAX, text) == 0)
            message_ids_append(field_body(root, MIME_IN_REPLY_TO), 1, text);
        read = !text->failed || error_memory(error);
    }
    buffer_clear(&header);
    return read;
}

/* Of the first octets of the first text. */
static bool make_preview(struct fetch_values *values, struct buffer *text, struct error *error)
{
    const struct mime_part *part = preview_part(values->source.root);
    struct buffer octets = BUFFER_WITH_LIMIT(PREVIEW_OCTETS);
    uint64_t wanted = !part                                ? 0
                      : part->body.octets < PREVIEW_OCTETS ? part->body.octets
                                                           : PREVIEW_OCTETS;
    bool made = wanted == 0
                || message_source_append(&values->source, part->body.offset, (size_t)wanted,
                                         &octets, error);
    if (made)
        made = preview_format(part, buffer_slice(&octets), text) || error_memory(error);
    buffer_clear(&octets);
    return made;
}

static bool make_text(struct fetch_values *values, enum index_kind kind, struct error *error)
{
    const struct mime_part *root = values->source.root;
    struct buffer *text = &values->made[kind];
    if (kind == INDEX_REFERENCES)
        return make_references(values, text, error);
    if (kind == INDEX_PREVIEW)
        return make_preview(values, text, error);
    bool written = kind == INDEX_ENVELOPE ? structure_format_envelope(root, text)
                   : kind == INDEX_BODY   ? structure_format_body(root, text)
                                          : structure_format_bodystructure(root, text);
    return written || error_memory(error);
}

/* Writes the texts that the index did not have. */
static bool make_texts(struct fetch_values *values, struct error *error)
{
    bool made = false;
    for (const struct fetch_item *item = values->items; item; item = item->next) {
        enum index_kind kind = kind_of(item);
        if (kind == 0 || values->texts[kind].ptr || item->lazy)
            continue;
        if (!make_text(values, kind, error))
            return false;
        values->texts[kind] = buffer_slice(&values->made[kind]);
        made = true;
    }
    if (made)
        put_into_index(values);
    return true;
}

/* What the file's name says. */
static bool read_name(struct fetch_values *values, const struct fetch_item *item,
                      struct error *error)
{
    if (item->kind == FETCH_SAVEDATE)
        return message_source_saved(&values->source, &values->saved, error);
    return item->kind != FETCH_EMAILID
           || message_source_email_id(&values->source, values->email_id, error);
}

static bool can_decode(const struct fetch_values *values, struct error *error)
{
    for (const struct fetch_item *item = values->items; item; item = item->next) {
        if (is_binary(item) && item->section.depth > 0
            && !fetch_binary_can_decode(values->source.root, &item->section))
            return error_set(error, ERROR_PERMANENT, "no such Content-Transfer-Encoding is known");
    }
    return true;
}

enum source_result fetch_values_prepare(struct fetch_values *values, struct error *error)
{
    enum source_depth depth = SOURCE_UNREAD;
    bool wants_date = false;
    look_up(values);
    for (const struct fetch_item *item = values->items; item; item = item->next) {
        enum source_depth wanted = depth_of(values, item);
        depth = wanted > depth ? wanted : depth;
        wants_date = wants_date || item->kind == FETCH_INTERNALDATE;
        if (!read_name(values, item, error))
            return SOURCE_FAILED;
    }
    enum source_result result = message_source_read(&values->source, depth, error);
    if (result != SOURCE_DONE)
        return result;
    if (wants_date && !values->facts_known
        && !message_source_date(&values->source, &values->facts.internal_date, error))
        return SOURCE_FAILED;
    return can_decode(values, error) && make_texts(values, error) ? SOURCE_DONE : SOURCE_FAILED;
}

/* --- writing --- */

static enum source_result write_date(int64_t seconds, struct buffer *text)
{
    char written[DATE_TEXT_OCTETS];
    struct date date = {.seconds = seconds};
    size_t length = date_format_internal(&date, written);
    buffer_append_octet(text, '"');
    buffer_append(text, slice_of(written, length));
    buffer_append_octet(text, '"');
    return SOURCE_DONE;
}

/* "NIL" where there is none (RFC 8514 4.2, RFC 8474 5.3; all threads, so far). */
static enum source_result write_of_name(const struct fetch_values *values,
                                        const struct fetch_item *item, struct buffer *text)
{
    if (item->kind == FETCH_SAVEDATE && values->saved != 0)
        return write_date(values->saved, text);
    if (item->kind == FETCH_EMAILID)
        buffer_append_format(text, "(%s)", values->email_id);
    else
        buffer_append(text, SLICE("NIL"));
    return SOURCE_DONE;
}

static enum source_result write_octets(const struct fetch_values *values, struct buffer *text)
{
    uint64_t octets = values->facts.crlf_octets;
    message_source_octets(&values->source, &octets);
    buffer_append_number(text, octets);
    return SOURCE_DONE;
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

/* Octets of the message, copied; what is longer goes out in pieces. */
static enum source_result copy_run(struct fetch_values *values, struct mime_span run,
                                   uint64_t *position, struct writer *writer, struct error *error)
{
    while (*position < run.octets) {
        uint64_t piece = run.octets - *position;
        if (piece > COPIED_OCTETS)
            piece = COPIED_OCTETS;
        if (!message_source_append(&values->source, run.offset + *position, (size_t)piece,
                                   &writer->text, error))
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

/* From the file itself, where that has CRLF, else converted. */
static enum source_result write_run(struct fetch_values *values, struct mime_span run,
                                    uint64_t *position, struct writer *writer, struct error *error)
{
    if (*position == 0)
        announce(&writer->text, run.octets);
    if (run.octets <= COPIED_OCTETS || !values->source.file.crlf)
        return copy_run(values, run, position, writer, error);
    if (!message_source_share(&values->source, error))
        return SOURCE_FAILED;
    writer_lend(writer, values->source.share, run.offset, run.octets);
    return SOURCE_DONE;
}

static enum source_result write_fields(struct fetch_values *values, const struct fetch_item *item,
                                       struct mime_span header, struct writer *writer,
                                       struct error *error)
{
    struct buffer octets = BUFFER_WITH_LIMIT(HEADER_OCTETS);
    struct buffer fields = BUFFER_WITH_LIMIT(FILTERED_OCTETS);
    size_t looked_at = header.octets < HEADER_OCTETS ? (size_t)header.octets : HEADER_OCTETS;
    bool read = message_source_append(&values->source, header.offset, looked_at, &octets, error);
    if (read) {
        section_filter_fields(buffer_slice(&octets), item->fields, item->field_count,
                              item->section.kind == SECTION_FIELDS, &fields);
        read = !fields.failed || error_memory(error);
    }
    if (read) {
        uint64_t offset = 0;
        uint64_t length = fields.len;
        cut(item, &offset, &length);
        announce(&writer->text, length);
        buffer_append(&writer->text, slice_range(buffer_slice(&fields), (size_t)offset,
                                                 (size_t)(offset + length)));
    }
    buffer_clear(&octets);
    buffer_clear(&fields);
    return read ? SOURCE_DONE : SOURCE_FAILED;
}

static enum source_result write_section(struct fetch_values *values, const struct fetch_item *item,
                                        uint64_t *position, struct writer *writer,
                                        struct error *error)
{
    const struct section *section = &item->section;
    struct mime_span run = {.offset = 0, .octets = values->source.file.crlf_octets};
    if (depth_of_section(section) > SOURCE_OPEN
        && !section_resolve(values->source.root, section, &run)) {
        buffer_append(&writer->text, SLICE("NIL"));
        return SOURCE_DONE;
    }
    if (section->kind == SECTION_FIELDS || section->kind == SECTION_FIELDS_NOT)
        return write_fields(values, item, run, writer, error);
    cut(item, &run.offset, &run.octets);
    return write_run(values, run, position, writer, error);
}

enum source_result fetch_value_measure(struct fetch_values *values, const struct fetch_item *item,
                                       struct error *error)
{
    struct fetch_binary *binary = &values->binary;
    if (!binary->begun && !fetch_binary_begin(binary, &values->source, item)) {
        error_set(error, ERROR_NOT_FOUND, "no such part");
        return SOURCE_FAILED;
    }
    binary->looks = true;
    return fetch_binary_measure(binary, &values->source, error);
}

/* "NIL" and a size of 0 for a part that there is not. */
static enum source_result write_binary(struct fetch_values *values, const struct fetch_item *item,
                                       uint64_t *position, struct writer *writer,
                                       struct error *error)
{
    struct fetch_binary *binary = &values->binary;
    bool only_size = item->kind == FETCH_BINARY_SIZE;
    if (!binary->begun && !fetch_binary_begin(binary, &values->source, item)) {
        buffer_append_string(&writer->text, only_size ? "0" : "NIL");
        return SOURCE_DONE;
    }
    enum source_result result = fetch_binary_measure(binary, &values->source, error);
    if (result == SOURCE_DONE && only_size)
        buffer_append_number(&writer->text, binary->octets);
    else if (result == SOURCE_DONE)
        result = fetch_binary_write(binary, &values->source, position, writer, error);
    if (result == SOURCE_DONE)
        fetch_binary_clear(binary);
    return result;
}

enum source_result fetch_value_write(struct fetch_values *values, const struct fetch_item *item,
                                     uint64_t *position, struct writer *writer, struct error *error)
{
    switch (item->kind) {
    case FETCH_INTERNALDATE:
        return write_date(values->facts.internal_date, &writer->text);
    case FETCH_SIZE:
        return write_octets(values, &writer->text);
    case FETCH_SAVEDATE:
    case FETCH_EMAILID:
    case FETCH_THREADID:
        return write_of_name(values, item, &writer->text);
    case FETCH_BINARY:
    case FETCH_BINARY_SIZE:
        return write_binary(values, item, position, writer, error);
    case FETCH_SECTION:
        return write_section(values, item, position, writer, error);
    case FETCH_PREVIEW:
        buffer_append(&writer->text, values->texts[INDEX_PREVIEW].ptr ? values->texts[INDEX_PREVIEW]
                                                                      : SLICE("NIL")); /* LAZY */
        return SOURCE_DONE;
    default:
        buffer_append(&writer->text, values->texts[kind_of(item)]);
        return SOURCE_DONE;
    }
}
