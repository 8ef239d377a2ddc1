/*
 * A message, and what a server without 8BITMIME gets of it: no octet above 127, no line too long,
 * the same parts, and bodies that decode to the same octets.
 */
#include <assert.h>
#include <stdlib.h>

#include "common/mime/content.h"
#include "common/mime/decode.h"
#include "smtpd/relay/downgrade/downgrade.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct mime_limits limits = {.depth = 10, .parts = 100};

/* With line ends as mail has them. */
static void append_lines(struct slice input, struct buffer *text)
{
    for (size_t i = 0; i < input.len; i++) {
        if (input.ptr[i] == '\n')
            buffer_append_octet(text, '\r');
        if (input.ptr[i] != '\r')
            buffer_append_octet(text, input.ptr[i]);
    }
}

/* False: it cannot be done. */
static bool downgrade(struct slice text, struct buffer *sent)
{
    static uint8_t chunk[OUTGOING_CHUNK];
    const struct outgoing message = {.body = text, .body_octets = text.len, .body_fd = -1};
    struct downgrade *downgrade;
    struct slice octets;
    enum downgrade_progress progress = DOWNGRADE_MORE;
    if (!downgrade_new(&message, &limits, &downgrade, NULL))
        return false;
    while (progress == DOWNGRADE_MORE)
        progress = downgrade_plan(downgrade, chunk, NULL);
    assert(slice_is_ascii(text) == (progress == DOWNGRADE_NOT_NEEDED));
    if (progress == DOWNGRADE_NOT_NEEDED)
        buffer_append(sent, text);
    while (progress == DOWNGRADE_PLANNED && downgrade_read(downgrade, &octets, NULL)
           && octets.len > 0)
        buffer_append(sent, octets);
    downgrade_free(downgrade);
    return progress != DOWNGRADE_FAILED;
}

static const struct mime_part *scan_text(struct slice text, struct arena *arena)
{
    struct mime_scan scan;
    arena_init(arena, mime_arena_limit(&limits));
    mime_scan_init(&scan, arena, &limits);
    mime_scan_feed(&scan, text);
    const struct mime_part *root = mime_scan_finish(&scan);
    mime_scan_clear(&scan);
    return root;
}

static const struct mime_part *next_part(const struct mime_part *part)
{
    if (part->children)
        return part->children;
    while (part && !part->next)
        part = part->parent;
    return part ? part->next : NULL;
}

/* The octets of a body that a reader gets, without the line end at its end, which base64 adds. */
static void decode_body(const struct mime_part *part, struct slice text, struct buffer *octets)
{
    const struct mime_field *field = mime_part_field(part, MIME_CONTENT_TRANSFER_ENCODING);
    struct slice word = SLICE(""), parameters;
    struct decode decode;
    size_t begin = (size_t)part->body.offset;
    if (field)
        content_word_parse(field->body, &word, &parameters);
    decode_init(&decode, decode_encoding_find(word));
    decode_feed(&decode, slice_range(text, begin, begin + (size_t)part->body.octets), octets);
    decode_finish(&decode, octets);
    while (octets->len > 0
           && (octets->ptr[octets->len - 1] == '\n' || octets->ptr[octets->len - 1] == '\r'))
        octets->len--;
}

static void check_body(const struct mime_part *part, struct slice text,
                       const struct mime_part *sent_part, struct slice sent)
{
    struct buffer meant = BUFFER_WITH_LIMIT(1 << 24), got = BUFFER_WITH_LIMIT(1 << 24);
    decode_body(part, text, &meant);
    decode_body(sent_part, sent, &got);
    /* A list of fields is written anew. */
    assert(slice_equal_nocase(part->type, SLICE("message"))
           || slice_equal(buffer_slice(&meant), buffer_slice(&got)));
    buffer_clear(&meant);
    buffer_clear(&got);
}

static void check_parts(struct slice text, struct slice sent)
{
    struct arena arena, sent_arena;
    const struct mime_part *part = scan_text(text, &arena);
    const struct mime_part *sent_part = scan_text(sent, &sent_arena);
    while (part && sent_part) {
        assert(part->kind == sent_part->kind && part->is_message == sent_part->is_message);
        if (part->kind == MIME_LEAF)
            check_body(part, text, sent_part, sent);
        part = next_part(part);
        sent_part = next_part(sent_part);
    }
    assert(!part && !sent_part);
    arena_clear(&arena);
    arena_clear(&sent_arena);
}

/* A boundary in ASCII that is what the octets of another line become: who writes both gets parts
 * where there were none. */
static bool is_escape(const struct mime_part *part)
{
    struct arena arena;
    struct content_parameters parameters;
    struct slice boundary = SLICE("");
    arena_init(&arena, 1 << 20);
    if (part->kind == MIME_MULTIPART
        && content_parameters_parse(part->parameters, &arena, &parameters))
        content_parameters_find(&parameters, SLICE("boundary"), &arena, &boundary);
    bool found = slice_find_octet(boundary, '=') < boundary.len;
    arena_clear(&arena);
    return found;
}

static bool has_escape_as_boundary(struct slice text)
{
    struct arena arena;
    bool found = false;
    for (const struct mime_part *part = scan_text(text, &arena); part; part = next_part(part))
        found = found || is_escape(part);
    arena_clear(&arena);
    return found;
}

/* The same of a line that is what a boundary becomes. */
static bool has_its_own_escapes(struct slice text)
{
    for (size_t at = 0; at + 2 < text.len; at++) {
        struct slice line = slice_from(text, at);
        if ((at > 0 && text.ptr[at - 1] != '\n') || !slice_starts_with(line, SLICE("--")))
            continue;
        line = slice_range(line, 0, slice_find_octet(line, '\n'));
        if (slice_find_octet(line, '=') < line.len)
            return true;
    }
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buffer text = BUFFER_WITH_LIMIT(1 << 21), sent = BUFFER_WITH_LIMIT(1 << 24);
    append_lines(slice_of(data, size), &text);
    bool done = !text.failed && downgrade(buffer_slice(&text), &sent);
    assert(slice_is_ascii(buffer_slice(&sent)) && !sent.failed);
    if (done && !has_its_own_escapes(buffer_slice(&text))
        && !has_escape_as_boundary(buffer_slice(&text)))
        check_parts(buffer_slice(&text), buffer_slice(&sent));
    buffer_clear(&text);
    buffer_clear(&sent);
    return 0;
}
