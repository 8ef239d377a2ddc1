/* The runs of search_body.h. */
#include "imapd/search/search_body.h"

#include "common/mime/content.h"

/* --- which octets --- */

/* The part after this one in the order of the message, whatever contains it. */
static const struct mime_part *part_behind(const struct mime_part *part)
{
    if (part->children)
        return part->children;
    while (part && !part->next)
        part = part->parent;
    return part ? part->next : NULL;
}

/* Reports (message/delivery-status, RFC 3464) are text too, if in fields. */
static bool is_text(const struct mime_part *part)
{
    return part->kind == MIME_LEAF && !part->opaque
           && (slice_equal_nocase(part->type, SLICE("text"))
               || slice_equal_nocase(part->type, SLICE("message")));
}

/* The body of this part if it is text, else what comes after it. */
static struct search_run run_from(const struct mime_part *part, bool with_header)
{
    for (; part; part = part_behind(part)) {
        if (with_header && part->is_message && part->parent)
            return (struct search_run){part, true, part->header};
        if (is_text(part))
            return (struct search_run){part, false, part->body};
        with_header = true;
    }
    return (struct search_run){.part = NULL};
}

struct search_run search_run_first(const struct mime_part *root)
{
    return run_from(root, true);
}

struct search_run search_run_next(const struct search_run *run)
{
    return run->is_header ? run_from(run->part, false) : run_from(part_behind(run->part), true);
}

/* --- what they say --- */

enum decode_encoding search_body_encoding(const struct mime_part *part)
{
    const struct mime_field *field = mime_part_field(part, MIME_CONTENT_TRANSFER_ENCODING);
    struct slice word, rest;
    if (!field || !content_word_parse(field->body, &word, &rest))
        return DECODE_IDENTITY;
    return decode_encoding_find(word);
}

const struct charset *search_body_charset(const struct mime_part *part)
{
    struct content_parameters parameters;
    struct slice name;
    struct arena arena;
    const struct charset *charset = charset_utf8();
    arena_init(&arena, 16 * MIME_CONTENT_FIELD_LIMIT);
    if (content_parameters_parse(part->parameters, &arena, &parameters)
        && content_parameters_find(&parameters, SLICE("charset"), &arena, &name)) {
        charset = charset_find(name);
        if (!charset || charset == charset_ascii())
            charset = charset ? charset_utf8() : charset_ascii();
    }
    arena_clear(&arena);
    return charset;
}

void search_body_begin(struct search_body *body, struct search_text *text,
                       const struct search_run *run)
{
    *body = (struct search_body){
        .text = text,
        .is_header = run->is_header,
        .octets = BUFFER_WITH_LIMIT(run->is_header ? SEARCH_HEADER_OCTETS : SEARCH_PIECE_OCTETS),
        .utf8 = BUFFER_WITH_LIMIT(4 * SEARCH_PIECE_OCTETS),
    };
    decode_init(&body->decode, search_body_encoding(run->part));
    charset_decoder_init(&body->charset, search_body_charset(run->part));
}

/* What was decoded goes on as UTF-8. */
static void pass_on(struct search_body *body, bool last)
{
    charset_decoder_feed(&body->charset, buffer_slice(&body->octets), &body->utf8);
    if (last)
        charset_decoder_finish(&body->charset, &body->utf8);
    body->text->failed = body->text->failed || body->octets.failed || body->utf8.failed;
    search_text_feed(body->text, SEARCH_IN_BODY, SLICE(""), buffer_slice(&body->utf8));
    buffer_reset(&body->octets);
    buffer_reset(&body->utf8);
}

void search_body_feed(struct search_body *body, struct slice piece)
{
    if (body->is_header) {
        buffer_append(&body->octets,
                      slice_range(piece, 0, SEARCH_HEADER_OCTETS - body->octets.len));
        return;
    }
    while (piece.len > 0) {
        struct slice now = slice_range(piece, 0, SEARCH_PIECE_OCTETS / 2);
        decode_feed(&body->decode, now, &body->octets);
        pass_on(body, false);
        piece = slice_from(piece, now.len);
    }
}

bool search_body_end(struct search_body *body)
{
    if (body->is_header) {
        body->text->failed = body->text->failed || body->octets.failed;
        return search_text_feed_header(body->text, buffer_slice(&body->octets), true);
    }
    decode_finish(&body->decode, &body->octets);
    pass_on(body, true);
    search_text_end(body->text);
    return true;
}

void search_body_clear(struct search_body *body)
{
    buffer_clear(&body->octets);
    buffer_clear(&body->utf8);
}
