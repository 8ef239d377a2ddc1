/* The searches of search_text.h. */
#include "imapd/search_text.h"

#include <stdlib.h>

#include <unicase.h>

#include "common/date.h"
#include "common/mime/charset.h"
#include "common/mime/content.h"
#include "common/mime/decode.h"
#include "common/mime/encoded_word.h"
#include "common/mime/header.h"

enum {
    HEADER_OCTETS = 8 << 20, /* of a header, beyond which nothing is looked at */
    FIELD_OCTETS = 16 << 20, /* a field of it, decoded */
    BLOCK_OCTETS = 16384,
};

/* Folded with malloc; the result may be longer or shorter. NULL: no memory. */
static uint8_t *fold(struct slice text, size_t *length)
{
    return u8_casefold(text.ptr, text.len, NULL, NULL, NULL, length);
}

struct slice search_text_fold(struct slice text, struct arena *arena)
{
    size_t length;
    if (text.len == 0)
        return SLICE("");
    uint8_t *folded = fold(text, &length);
    struct slice copy = folded ? arena_copy(arena, slice_of(folded, length)) : slice_of(NULL, 0);
    free(folded);
    return copy;
}

/* ASCII, which most of it is, is folded in place. */
static bool contains(struct buffer *text, struct slice wanted, bool *found, struct error *error)
{
    struct slice all = buffer_slice(text);
    if (slice_is_ascii(all)) {
        for (size_t i = 0; i < text->len; i++)
            text->ptr[i] = ascii_lower(text->ptr[i]);
        *found = slice_find(all, wanted) < all.len || wanted.len == 0;
        return true;
    }
    size_t length;
    uint8_t *folded = fold(all, &length);
    if (!folded)
        return error_memory(error);
    struct slice result = slice_of(folded, length);
    *found = slice_find(result, wanted) < result.len || wanted.len == 0;
    free(folded);
    return true;
}

static bool read_header(struct message_source *source, struct mime_span span, struct buffer *header,
                        struct error *error)
{
    size_t octets = span.octets < HEADER_OCTETS ? (size_t)span.octets : HEADER_OCTETS;
    size_t got;
    buffer_init(header, octets);
    if (!buffer_reserve(header, octets))
        return error_memory(error);
    if (!message_file_read(&source->file, span.offset, header->ptr, octets, &got, error))
        return false;
    buffer_commit(header, got);
    return true;
}

/* ---- fields ---- */

static bool field_contains(const struct header_field *field, struct slice wanted, bool *found,
                           struct error *error)
{
    struct buffer unfolded = BUFFER_WITH_LIMIT(FIELD_OCTETS);
    struct buffer text = BUFFER_WITH_LIMIT(3 * FIELD_OCTETS);
    header_unfold(field->body, &unfolded);
    encoded_word_decode(buffer_slice(&unfolded), &text);
    bool looked = unfolded.failed || text.failed ? error_memory(error)
                                                 : contains(&text, wanted, found, error);
    buffer_clear(&unfolded);
    buffer_clear(&text);
    return looked;
}

static bool any_field_contains(struct slice header, const struct slice *name, struct slice wanted,
                               bool *found, struct error *error)
{
    struct cursor in = cursor_of(header);
    struct header_field field;
    *found = false;
    while (!*found && header_next(&in, &field)) {
        if (name && !slice_equal_nocase(field.name, *name))
            continue;
        if (!field_contains(&field, wanted, found, error))
            return false;
    }
    return true;
}

bool search_text_in_field(struct message_source *source, struct slice field, struct slice text,
                          bool *found, struct error *error)
{
    struct buffer header;
    const struct mime_part *root = message_source_root(source, error);
    if (!root)
        return false;
    bool looked = read_header(source, root->header, &header, error)
                  && any_field_contains(buffer_slice(&header), &field, text, found, error);
    buffer_clear(&header);
    return looked;
}

/* The text of a whole header, names among it: what TEXT looks at. */
static bool header_contains(struct message_source *source, const struct mime_part *part,
                            struct slice wanted, bool *found, struct error *error)
{
    struct buffer header;
    struct buffer text = BUFFER_WITH_LIMIT(3 * FIELD_OCTETS);
    bool looked = read_header(source, part->header, &header, error);
    if (looked) {
        encoded_word_decode(buffer_slice(&header), &text);
        looked = text.failed ? error_memory(error) : contains(&text, wanted, found, error);
    }
    if (looked && !*found) /* a line folded within what is looked for */
        looked = any_field_contains(buffer_slice(&header), NULL, wanted, found, error);
    buffer_clear(&header);
    buffer_clear(&text);
    return looked;
}

/* ---- bodies ---- */

/* A body on its way from octets to folded text. */
struct body_text {
    struct decode decode;
    struct charset_decoder charset;
    struct buffer octets;
    struct buffer text; /* with the end of what was looked at before, that may begin a match */
};

static const struct charset *charset_of(const struct mime_part *part, struct arena *arena)
{
    struct content_parameters parameters;
    struct slice name;
    const struct charset *charset = NULL;
    if (content_parameters_parse(part->parameters, arena, &parameters)
        && content_parameters_find(&parameters, SLICE("charset"), arena, &name))
        charset = charset_find(name);
    return charset ? charset : charset_utf8();
}

static enum decode_encoding encoding_of(const struct mime_part *part)
{
    const struct mime_field *field = mime_part_field(part, MIME_CONTENT_TRANSFER_ENCODING);
    struct slice word, rest;
    return field && content_word_parse(field->body, &word, &rest) ? decode_encoding_find(word)
                                                                  : DECODE_IDENTITY;
}

/* Looks at what has come, and keeps as much of its end as a match could begin in. The end of a
 * folded text is not that of the text: four times the octets are enough (a folded character is not
 * longer than that). */
static bool look(struct body_text *body, struct slice wanted, bool *found, struct error *error)
{
    if (body->octets.failed || body->text.failed)
        return error_memory(error);
    if (!contains(&body->text, wanted, found, error))
        return false;
    size_t keep = 4 * wanted.len;
    if (body->text.len <= keep)
        return true;
    size_t drop = body->text.len - keep;
    while (drop > 0 && (body->text.ptr[drop] & 0xc0) == 0x80)
        drop--;
    buffer_consume(&body->text, drop);
    return true;
}

static bool read_body(struct message_source *source, const struct mime_part *part,
                      struct body_text *body, struct slice wanted, bool *found, struct error *error)
{
    uint8_t block[BLOCK_OCTETS];
    for (uint64_t at = 0; !*found && at < part->body.octets;) {
        uint64_t left = part->body.octets - at;
        size_t got;
        if (!message_file_read(&source->file, part->body.offset + at, block,
                               left < sizeof(block) ? (size_t)left : sizeof(block), &got, error))
            return false;
        if (got == 0)
            break;
        at += got;
        decode_feed(&body->decode, slice_of(block, got), &body->octets);
        charset_decoder_feed(&body->charset, buffer_slice(&body->octets), &body->text);
        buffer_reset(&body->octets);
        if (!look(body, wanted, found, error))
            return false;
    }
    if (*found)
        return true;
    decode_finish(&body->decode, &body->octets);
    charset_decoder_feed(&body->charset, buffer_slice(&body->octets), &body->text);
    charset_decoder_finish(&body->charset, &body->text);
    return look(body, wanted, found, error);
}

static bool body_contains(struct message_source *source, const struct mime_part *part,
                          struct slice wanted, bool *found, struct error *error)
{
    struct body_text body = {
        .octets = BUFFER_WITH_LIMIT(4 * BLOCK_OCTETS),
        .text = BUFFER_WITH_LIMIT(FIELD_OCTETS),
    };
    decode_init(&body.decode, encoding_of(part));
    charset_decoder_init(&body.charset, charset_of(part, &source->arena));
    bool looked = read_body(source, part, &body, wanted, found, error);
    buffer_clear(&body.octets);
    buffer_clear(&body.text);
    return looked;
}

/* The part after this one, its children first. */
static const struct mime_part *next_part(const struct mime_part *part)
{
    if (part->children)
        return part->children;
    while (part && !part->next)
        part = part->parent;
    return part ? part->next : NULL;
}

static bool part_contains(struct message_source *source, const struct mime_part *part,
                          struct slice wanted, bool header, bool *found, struct error *error)
{
    bool is_text = part->kind == MIME_LEAF && slice_equal_nocase(part->type, SLICE("text"));
    if ((header || part->parent) && !header_contains(source, part, wanted, found, error))
        return false;
    return *found || !is_text || body_contains(source, part, wanted, found, error);
}

bool search_text_in_message(struct message_source *source, struct slice text, bool header,
                            bool *found, struct error *error)
{
    const struct mime_part *part = message_source_root(source, error);
    *found = text.len == 0;
    if (!part)
        return false;
    for (; part && !*found; part = next_part(part)) {
        if (!part_contains(source, part, text, header, found, error))
            return false;
    }
    return true;
}

bool search_text_sent_day(struct message_source *source, int32_t *day, bool *found,
                          struct error *error)
{
    struct date date;
    const struct mime_part *root = message_source_root(source, error);
    if (!root)
        return false;
    const struct mime_field *field = mime_part_field(root, MIME_DATE);
    *found = field && date_parse_message(field->body, &date);
    if (*found)
        *day = date_day(&date);
    return true;
}
