/*
 * A plan, then its steps; see downgrade.h. relay.
 *
 *   message ─ scan ─> parts ─ look at each body ─> those with octets above 127
 *       └─> steps: copy | text of ours | encode, in the order of the message
 */
#include "smtpd/relay/downgrade.h"

#include <stdlib.h>

#include "common/mime/content.h"
#include "common/mime/header.h"
#include "smtpd/relay/transfer_encoder.h"

enum {
    ENCODED_AT_ONCE = 16384, /* octets of a body in one run */
    HEADER_MAX = 1 << 20,
    STEPS_MAX = 1 << 16,
    ARENA_EXTRA = 4 << 20, /* steps and headers beside the tree */
};

enum how { COPY, TEXT, ENCODE };

struct step {
    struct step *next;
    enum how how;
    uint64_t offset, octets; /* of the message; COPY, ENCODE */
    struct slice text;
    enum transfer_encoding encoding;
};

/* A body that is looked at. */
struct leaf {
    struct leaf *next;
    const struct mime_part *part;
    bool is_8bit;
};

struct downgrade {
    const struct outgoing *message;
    uint8_t *chunk; /* OUTGOING_CHUNK octets, where `held` may lie */
    struct arena arena;
    struct step *first, *last;
    size_t steps;
    struct leaf *leaves, *last_leaf;
    uint64_t planned; /* octets of the message that steps cover so far */
    bool failed;

    /* While it is written. */
    struct outgoing_cursor at;
    uint64_t position; /* of `held`'s first octet */
    struct slice held; /* read from the message, not used yet */
    struct step *step;
    struct transfer_encoder encoder;
    struct buffer encoded;
};

/* ---- steps ---- */

static struct step *add_step(struct downgrade *downgrade, enum how how)
{
    struct step *step = arena_alloc(&downgrade->arena, sizeof(*step));
    if (!step || ++downgrade->steps > STEPS_MAX) {
        downgrade->failed = true;
        return NULL;
    }
    step->how = how;
    if (downgrade->last)
        downgrade->last->next = step;
    else
        downgrade->first = step;
    downgrade->last = step;
    return step;
}

static void add_run(struct downgrade *downgrade, enum how how, uint64_t end,
                    enum transfer_encoding encoding)
{
    if (end <= downgrade->planned)
        return;
    struct step *step = add_step(downgrade, how);
    if (!step)
        return;
    step->offset = downgrade->planned;
    step->octets = end - downgrade->planned;
    step->encoding = encoding;
    downgrade->planned = end;
}

static void copy_to(struct downgrade *downgrade, uint64_t end)
{
    add_run(downgrade, COPY, end, TRANSFER_BASE64);
}

static void add_text(struct downgrade *downgrade, struct slice text)
{
    struct step *step = add_step(downgrade, TEXT);
    if (step)
        step->text = text;
}

/* ---- the first pass: parts; the second: which bodies ---- */

static const struct mime_part *scan(struct downgrade *downgrade, const struct mime_limits *limits,
                                    struct error *error)
{
    struct mime_scan scan;
    struct outgoing_cursor at = {.offset = 0};
    struct slice octets;
    bool readable;
    mime_scan_init(&scan, &downgrade->arena, limits);
    while ((readable = outgoing_read(downgrade->message, &at, downgrade->chunk, &octets, error))
           && octets.len > 0)
        mime_scan_feed(&scan, octets);
    const struct mime_part *root = readable ? mime_scan_finish(&scan) : NULL;
    mime_scan_clear(&scan);
    if (readable && !root)
        error_memory(error);
    return root;
}

/* In the order of the message, without recursion: the depth is the sender's. */
static const struct mime_part *next_part(const struct mime_part *part)
{
    if (part->children)
        return part->children;
    while (part && !part->next)
        part = part->parent;
    return part ? part->next : NULL;
}

static void list_leaves(struct downgrade *downgrade, const struct mime_part *root)
{
    for (const struct mime_part *part = root; part; part = next_part(part)) {
        if (part->children || part->kind != MIME_LEAF || part->opaque)
            continue;
        struct leaf *leaf = arena_alloc(&downgrade->arena, sizeof(*leaf));
        if (!leaf) {
            downgrade->failed = true;
            return;
        }
        leaf->part = part;
        if (downgrade->last_leaf)
            downgrade->last_leaf->next = leaf;
        else
            downgrade->leaves = leaf;
        downgrade->last_leaf = leaf;
    }
}

/* The octets [begin, end) of the message are `octets`: marks the leaves that have some of them. */
static void mark_leaves(struct leaf **at, uint64_t begin, struct slice octets)
{
    uint64_t end = begin + octets.len;
    for (struct leaf *leaf = *at; leaf; leaf = leaf->next) {
        const struct mime_span *body = &leaf->part->body;
        uint64_t body_end = body->offset + body->octets;
        if (body->offset >= end)
            return;
        uint64_t from = body->offset > begin ? body->offset : begin;
        uint64_t to = body_end < end ? body_end : end;
        if (from < to)
            leaf->is_8bit = leaf->is_8bit
                            || !slice_is_ascii(
                                slice_range(octets, (size_t)(from - begin), (size_t)(to - begin)));
        if (body_end <= end)
            *at = leaf->next;
    }
}

static bool look_at_bodies(struct downgrade *downgrade, struct error *error)
{
    struct outgoing_cursor at = {.offset = 0};
    struct leaf *leaf = downgrade->leaves;
    struct slice octets;
    uint64_t position = 0;
    for (;;) {
        if (!outgoing_read(downgrade->message, &at, downgrade->chunk, &octets, error))
            return false;
        if (octets.len == 0)
            return true;
        mark_leaves(&leaf, position, octets);
        position += octets.len;
    }
}

/* ---- headers ---- */

/* The octets of a part's header, in the arena. */
static bool read_span(struct downgrade *downgrade, const struct mime_span *span,
                      struct slice *octets, struct error *error)
{
    struct buffer found = BUFFER_WITH_LIMIT(HEADER_MAX);
    struct outgoing_cursor at = {.offset = 0};
    uint64_t position = 0, end = span->offset + span->octets;
    struct slice piece;
    bool readable = true;
    while (position < end
           && (readable = outgoing_read(downgrade->message, &at, downgrade->chunk, &piece, error))
           && piece.len > 0) {
        uint64_t next = position + piece.len;
        uint64_t from = span->offset > position ? span->offset : position;
        uint64_t to = end < next ? end : next;
        if (from < to)
            buffer_append(&found,
                          slice_range(piece, (size_t)(from - position), (size_t)(to - position)));
        position = next;
    }
    *octets = arena_copy(&downgrade->arena, buffer_slice(&found));
    bool whole = readable && !found.failed && octets->ptr;
    if (readable && !whole)
        error_set(error, ERROR_TEMPORARY, "no room for a header of %llu octets",
                  (unsigned long long)span->octets);
    buffer_clear(&found);
    return whole;
}

static struct slice encoding_field(enum transfer_encoding encoding)
{
    return encoding == TRANSFER_BASE64 ? SLICE("Content-Transfer-Encoding: base64\r\n")
                                       : SLICE("Content-Transfer-Encoding: quoted-printable\r\n");
}

/* RFC 2045 4 and 6: without these a text is not MIME, and its encoding would mean nothing. RFC 1428
 * 3: which letters they are, nobody said. */
static void make_it_mime(struct downgrade *downgrade, bool has_version, bool has_type)
{
    if (!has_version)
        add_text(downgrade, SLICE("MIME-Version: 1.0\r\n"));
    if (!has_type)
        add_text(downgrade, SLICE("Content-Type: text/plain; charset=unknown-8bit\r\n"));
}

/* The header with `field` in the place of the encoding that it has; at its end if it has none. */
static bool replace_encoding(struct downgrade *downgrade, const struct mime_part *part,
                             struct slice field_of_ours, struct error *error)
{
    struct slice octets;
    struct header_field field;
    bool replaced = false, has_version = !part->is_message, has_type = !part->is_message;
    copy_to(downgrade, part->header.offset);
    if (!read_span(downgrade, &part->header, &octets, error))
        return false;
    struct cursor in = cursor_of(octets);
    struct cursor start = in;
    while (header_next(&in, &field)) {
        uint64_t end = part->header.offset + cursor_since(&in, &start).len;
        has_version = has_version || slice_equal_nocase(field.name, SLICE("MIME-Version"));
        has_type = has_type || slice_equal_nocase(field.name, SLICE("Content-Type"));
        if (!slice_equal_nocase(field.name, SLICE("Content-Transfer-Encoding")))
            continue;
        copy_to(downgrade, end - field.whole.len);
        downgrade->planned = end; /* left out */
        if (!replaced)
            add_text(downgrade, field_of_ours);
        replaced = true;
    }
    copy_to(downgrade, part->header.offset + cursor_since(&in, &start).len);
    if (!replaced)
        add_text(downgrade, field_of_ours);
    make_it_mime(downgrade, has_version, has_type);
    copy_to(downgrade, part->header.offset + part->header.octets);
    return true;
}

/* ---- the plan ---- */

static bool encoding_is(const struct mime_part *part, struct slice name)
{
    const struct mime_field *field = mime_part_field(part, MIME_CONTENT_TRANSFER_ENCODING);
    struct slice word, parameters;
    return field && content_word_parse(field->body, &word, &parameters)
           && slice_equal_nocase(word, name);
}

/* A body that says it is encoded already, and has octets above 127 all the same, is broken: to
 * encode it once more would make it worse. */
static bool is_encoded(const struct mime_part *part)
{
    return encoding_is(part, SLICE("base64")) || encoding_is(part, SLICE("quoted-printable"));
}

static bool plan_leaf(struct downgrade *downgrade, const struct mime_part *part,
                      struct error *error)
{
    enum transfer_encoding encoding =
        slice_equal_nocase(part->type, SLICE("text")) ? TRANSFER_QUOTED_PRINTABLE : TRANSFER_BASE64;
    if (!replace_encoding(downgrade, part, encoding_field(encoding), error))
        return false;
    copy_to(downgrade, part->body.offset);
    add_run(downgrade, ENCODE, part->body.offset + part->body.octets, encoding);
    return true;
}

/* What is around the parts must not claim to hold octets above 127 any more (RFC 2045 6.4). */
static bool plan_container(struct downgrade *downgrade, const struct mime_part *part,
                           struct error *error)
{
    if (!encoding_is(part, SLICE("8bit")) && !encoding_is(part, SLICE("binary")))
        return true;
    return replace_encoding(downgrade, part, SLICE("Content-Transfer-Encoding: 7bit\r\n"), error);
}

static bool plan(struct downgrade *downgrade, const struct mime_part *root, struct error *error)
{
    const struct leaf *leaf = downgrade->leaves;
    for (const struct mime_part *part = root; part; part = next_part(part)) {
        bool is_leaf = leaf && leaf->part == part;
        bool planned = true;
        if (is_leaf && leaf->is_8bit && !is_encoded(part))
            planned = plan_leaf(downgrade, part, error);
        else if (!is_leaf && part->children)
            planned = plan_container(downgrade, part, error);
        if (!planned)
            return false;
        if (is_leaf)
            leaf = leaf->next;
    }
    copy_to(downgrade, outgoing_octets(downgrade->message));
    return !downgrade->failed || error_memory(error);
}

struct downgrade *downgrade_new(const struct outgoing *message, const struct mime_limits *limits,
                                struct error *error)
{
    struct downgrade *downgrade = calloc(1, sizeof(*downgrade));
    if (downgrade)
        downgrade->chunk = malloc(OUTGOING_CHUNK);
    if (!downgrade || !downgrade->chunk) {
        free(downgrade);
        error_memory(error);
        return NULL;
    }
    downgrade->message = message;
    arena_init(&downgrade->arena, mime_arena_limit(limits) + ARENA_EXTRA);
    buffer_init(&downgrade->encoded, ENCODED_AT_ONCE * TRANSFER_GROWTH + 16);
    const struct mime_part *root = scan(downgrade, limits, error);
    if (root)
        list_leaves(downgrade, root);
    if (root && look_at_bodies(downgrade, error) && plan(downgrade, root, error)) {
        downgrade->step = downgrade->first;
        return downgrade;
    }
    downgrade_free(downgrade);
    return NULL;
}

void downgrade_free(struct downgrade *downgrade)
{
    if (!downgrade)
        return;
    arena_clear(&downgrade->arena);
    buffer_clear(&downgrade->encoded);
    free(downgrade->chunk);
    free(downgrade);
}

/* ---- writing ---- */

/* At most so many octets of the message from step->offset on; what lies before is stepped over. */
static bool take(struct downgrade *downgrade, struct step *step, size_t most, struct slice *octets,
                 struct error *error)
{
    while (downgrade->position + downgrade->held.len <= step->offset) {
        downgrade->position += downgrade->held.len;
        if (!outgoing_read(downgrade->message, &downgrade->at, downgrade->chunk, &downgrade->held,
                           error))
            return false;
        if (downgrade->held.len == 0)
            return error_set(error, ERROR_TEMPORARY, "the body became shorter");
    }
    size_t skipped = (size_t)(step->offset - downgrade->position);
    *octets = slice_from(downgrade->held, skipped);
    if (octets->len > step->octets)
        octets->len = (size_t)step->octets;
    if (octets->len > most)
        octets->len = most;
    step->offset += octets->len;
    step->octets -= octets->len;
    return true;
}

static bool encode(struct downgrade *downgrade, struct step *step, struct slice *octets,
                   struct error *error)
{
    struct slice plain;
    if (!take(downgrade, step, ENCODED_AT_ONCE, &plain, error))
        return false;
    downgrade->encoder.encoding = step->encoding;
    transfer_encode(&downgrade->encoder, plain, &downgrade->encoded);
    if (step->octets == 0) {
        transfer_end(&downgrade->encoder, &downgrade->encoded);
        downgrade->encoder = (struct transfer_encoder){.column = 0};
    }
    *octets = buffer_slice(&downgrade->encoded);
    return !downgrade->encoded.failed || error_memory(error);
}

static bool run_step(struct downgrade *downgrade, struct step *step, struct slice *octets,
                     struct error *error)
{
    switch (step->how) {
    case COPY:
        return take(downgrade, step, OUTGOING_CHUNK, octets, error);
    case ENCODE:
        return encode(downgrade, step, octets, error);
    case TEXT:
        break;
    }
    *octets = step->text;
    return true;
}

bool downgrade_read(struct downgrade *downgrade, struct slice *octets, struct error *error)
{
    *octets = slice_of(NULL, 0);
    buffer_reset(&downgrade->encoded);
    while (downgrade->step && octets->len == 0) {
        struct step *step = downgrade->step;
        if (!run_step(downgrade, step, octets, error))
            return false;
        if (step->octets == 0)
            downgrade->step = step->next;
    }
    return true;
}
