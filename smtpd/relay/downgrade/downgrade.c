/*
 * A plan, then what it says; see downgrade.h. relay.
 *
 *   message ─ scan ─> parts ─> regions, which are all of the message, in its order
 *       └─ look at each: octets above 127? ─> how it is to be written ─> read, write
 */
#include "smtpd/relay/downgrade/downgrade.h"

#include <stdlib.h>

#include "common/mime/content.h"
#include "smtpd/relay/downgrade/downgrade_field.h"
#include "smtpd/relay/downgrade/downgrade_header.h"
#include "smtpd/relay/downgrade/downgrade_parameters.h"
#include "smtpd/relay/downgrade/transfer_encoder.h"
#include "smtpd/relay/downgrade/transfer_mender.h"

enum {
    AT_ONCE = 16384,   /* octets of a body encoded in one run */
    STEP = 1024 << 10, /* octets scanned in one step of the plan */
    HEADER_MAX = 1 << 20,
    OUT_MAX = 24 << 20, /* of such a header: "ü a ü a" is the worst */
    KEPT_OCTETS = 65536,
};

enum region_kind { HEADER, BODY, AROUND };

enum how { COPY, ENCODE, MEND, REWRITE_HEADER, REWRITE_FIELDS };

struct region {
    struct region *next;
    struct region *outer; /* for a header: that of the enclosing part; for a body: its header */
    const struct mime_part *part; /* NULL: AROUND */
    enum region_kind kind;
    uint64_t offset, octets; /* of the message */
    bool is_8bit;            /* has octets above 127 */
    bool is_long;           /* has a line of more than 998 octets; valid only if is_8bit is false */
    bool is_changed_inside; /* of a header: the body, or a part within it, is not copied */
    enum how how;
    enum transfer_encoding encoding; /* ENCODE */
    enum mend mend;                  /* MEND */
    struct downgrade_change change;  /* REWRITE_HEADER */
};

/* Passes over the message. */
enum stage { LOOK_FOR_8BIT, SCAN, LOOK_AT_REGIONS, PLANNED };

/* The position of the pass over the regions. */
struct look {
    struct region *region;
    uint64_t done;   /* octets of it */
    uint64_t column; /* of the current line */
};

struct downgrade {
    const struct outgoing *message;
    struct mime_limits limits;
    enum stage stage;
    struct mime_scan scan; /* in SCAN */
    struct look look;
    uint8_t *chunk; /* OUTGOING_CHUNK octets where `held` lies, of a body in a file */
    struct arena arena;
    struct region *first, *last;
    uint64_t planned; /* octets of the message that regions cover so far */
    bool sealed;      /* limits.mime-parts: the last region may hold parts */

    struct outgoing_cursor at; /* position of the scan, then of the output */

    /* While it is written. */
    struct slice held; /* read from the message, not used yet */
    struct region *region;
    uint64_t done; /* octets of it */
    struct transfer_encoder encoder;
    struct transfer_mender mender;
    struct buffer gathered; /* a header to be rewritten */
    struct buffer out;
};

/* ---- regions ---- */

static struct region *add_region(struct downgrade *downgrade, enum region_kind kind,
                                 const struct mime_part *part, uint64_t end)
{
    struct region *region = arena_alloc(&downgrade->arena, sizeof(*region));
    if (!region)
        return NULL;
    region->kind = kind;
    region->part = part;
    region->offset = downgrade->planned;
    region->octets = end - downgrade->planned;
    downgrade->planned = end;
    *(downgrade->last ? &downgrade->last->next : &downgrade->first) = region;
    downgrade->last = region;
    return region;
}

/* Adds the text between the parts, if there is any. */
static bool add_around(struct downgrade *downgrade, uint64_t end)
{
    return end <= downgrade->planned || add_region(downgrade, AROUND, NULL, end);
}

static uint64_t end_of(const struct mime_span *span)
{
    return span->offset + span->octets;
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

static bool list_regions(struct downgrade *downgrade, const struct mime_part *root)
{
    struct region *header = NULL;
    for (const struct mime_part *part = root; part; part = next_part(part)) {
        while (header && header->part != part->parent)
            header = header->outer;
        struct region *outer = header;
        if (!add_around(downgrade, part->header.offset))
            return false;
        header = add_region(downgrade, HEADER, part, end_of(&part->header));
        if (!header)
            return false;
        header->outer = outer;
        if (part->kind != MIME_LEAF)
            continue;
        struct region *body = add_region(downgrade, BODY, part, end_of(&part->body));
        if (!body)
            return false;
        body->outer = header;
    }
    return add_around(downgrade, outgoing_octets(downgrade->message));
}

/* ---- a look at them ---- */

static void look_at_run(struct look *look, struct slice run)
{
    struct region *region = look->region;
    while (run.len > 0 && !region->is_8bit) {
        size_t end = slice_find_octet(run, '\n');
        struct slice line = slice_range(run, 0, end);
        uint64_t octets = look->column + line.len;
        bool ends_in_cr = line.len > 0 && line.ptr[line.len - 1] == '\r';
        region->is_8bit = !slice_is_ascii(line);
        region->is_long = region->is_long || octets - ends_in_cr > DOWNGRADE_LINE_OCTETS;
        look->column = end < run.len ? 0 : octets;
        run = slice_from(run, end + 1);
    }
}

static void look_at_regions(struct look *look, struct slice octets)
{
    while (octets.len > 0 && look->region) {
        uint64_t left = look->region->octets - look->done;
        struct slice run = slice_range(octets, 0, left < octets.len ? (size_t)left : octets.len);
        look_at_run(look, run);
        look->done += run.len;
        octets = slice_from(octets, run.len);
        if (look->done == look->region->octets)
            *look = (struct look){.region = look->region->next};
    }
}

/* ---- the plan ---- */

static bool type_is(const struct mime_part *part, struct slice type, struct slice subtype)
{
    return slice_equal_nocase(part->type, type) && slice_equal_nocase(part->subtype, subtype);
}

static bool is_field_list(const struct mime_part *part)
{
    static const char *const subtypes[] = {"delivery-status", "disposition-notification",
                                           "feedback-report", "external-body"};
    for (size_t i = 0; i < sizeof(subtypes) / sizeof(subtypes[0]); i++)
        if (type_is(part, SLICE("message"), slice_of_string(subtypes[i])))
            return true;
    return false;
}

static struct slice encoding_of(const struct mime_part *part)
{
    const struct mime_field *field = mime_part_field(part, MIME_CONTENT_TRANSFER_ENCODING);
    struct slice word, parameters;
    return field && content_word_parse(field->body, &word, &parameters) ? word : SLICE("7bit");
}

/* Why a body, or the text around the parts, cannot be converted; NULL: it can. */
static const char *obstacle(const struct downgrade *downgrade, const struct region *body)
{
    if ((body->part && body->part->opaque) || (downgrade->sealed && !body->next))
        return "in more MIME parts, or deeper ones, than are looked into";
    if (body->kind == AROUND)
        return NULL;
    if (type_is(body->part, SLICE("message"), SLICE("partial")))
        return "in a piece of a message (message/partial)";
    if (is_field_list(body->part) && body->octets > HEADER_MAX)
        return "in a report that is too long";
    return NULL;
}

static void mark_outer(struct region *header, bool is_encoded)
{
    for (; header; header = header->outer) {
        if (header->is_changed_inside && header->change.is_mime >= is_encoded)
            return;
        header->is_changed_inside = true;
        header->change.is_mime |= is_encoded && header->part->is_message;
    }
}

/* Whether it is a multipart, which may not be encoded (RFC 2045 6.4), unless its parts cannot be
 * told apart. */
static bool claims_to_hold_parts(const struct mime_part *part)
{
    const struct mime_field *field = mime_part_field(part, MIME_CONTENT_TYPE);
    struct content_type type;
    return field && content_type_parse(field->body, &type)
           && slice_equal_nocase(type.type, SLICE("multipart"));
}

static void plan_body(struct region *body)
{
    struct region *header = body->outer;
    struct slice encoding = encoding_of(body->part);
    bool is_text = slice_equal_nocase(body->part->type, SLICE("text"));
    if (slice_equal_nocase(encoding, SLICE("quoted-printable"))) {
        body->how = MEND;
        body->mend = MEND_QUOTED_PRINTABLE;
    } else if (slice_equal_nocase(encoding, SLICE("base64"))) {
        body->how = MEND;
        body->mend = MEND_BASE64;
    } else if (is_field_list(body->part)) {
        body->how = REWRITE_FIELDS;
        if (!slice_equal_nocase(encoding, SLICE("7bit")))
            header->change.encoding = "7bit";
    } else {
        body->how = ENCODE;
        body->encoding = is_text ? TRANSFER_QUOTED_PRINTABLE : TRANSFER_BASE64;
        header->change.encoding = is_text ? "quoted-printable" : "base64";
        header->change.has_body = true;
        header->change.is_plain = claims_to_hold_parts(body->part);
    }
    mark_outer(header, body->how == ENCODE);
}

static bool plan_bodies(struct downgrade *downgrade, struct error *error)
{
    for (struct region *region = downgrade->first; region; region = region->next) {
        if (region->kind == HEADER || !(region->is_8bit || region->is_long))
            continue;
        const char *reason = obstacle(downgrade, region);
        if (reason && region->is_8bit)
            return error_set(error, ERROR_PERMANENT, "%s", reason);
        if (region->kind == BODY && !reason)
            plan_body(region);
        if (region->kind == AROUND && !reason) {
            region->how = MEND;
            region->mend = MEND_AROUND;
        }
    }
    return true;
}

/* RFC 2045 6.4: a part that holds others is not encoded, and these now have no octets above 127. */
static bool needs_7bit(const struct region *header)
{
    struct slice encoding = encoding_of(header->part);
    if (header->part->kind == MIME_LEAF || slice_equal_nocase(encoding, SLICE("7bit")))
        return false;
    return header->is_changed_inside || slice_equal_nocase(encoding, SLICE("8bit"))
           || slice_equal_nocase(encoding, SLICE("binary"));
}

static bool plan_header(struct region *header, struct error *error)
{
    struct downgrade_change *change = &header->change;
    switch (downgrade_look_at_boundary(header->part)) {
    case DOWNGRADE_BOUNDARY_FINE:
        break;
    case DOWNGRADE_BOUNDARY_8BIT:
        change->new_type = true;
        break;
    case DOWNGRADE_BOUNDARY_IMPOSSIBLE:
        return error_set(error, ERROR_PERMANENT, "in a boundary that cannot be written otherwise");
    case DOWNGRADE_BOUNDARY_NO_MEMORY:
        return error_memory(error);
    }
    if (needs_7bit(header) || (!change->encoding && !slice_is_ascii(encoding_of(header->part))))
        change->encoding = "7bit";
    if (!header->is_8bit && !header->is_long && !change->encoding && !change->is_mime
        && !change->new_type)
        return true;
    header->how = REWRITE_HEADER;
    return header->octets <= HEADER_MAX
           || error_set(error, ERROR_PERMANENT, "in a header of %llu octets",
                        (unsigned long long)header->octets);
}

static bool plan_headers(struct downgrade *downgrade, struct error *error)
{
    for (struct region *region = downgrade->first; region; region = region->next)
        if (region->kind == HEADER && !plan_header(region, error))
            return false;
    return true;
}

/* ---- passes over the message ---- */

/* Ends the scan: the parts are known, and with them the regions. */
static bool end_scan(struct downgrade *downgrade, struct error *error)
{
    const struct mime_part *root = mime_scan_finish(&downgrade->scan);
    downgrade->sealed = downgrade->scan.sealed;
    mime_scan_clear(&downgrade->scan);
    return (root && list_regions(downgrade, root)) || error_memory(error);
}

/* `has_8bit`: of LOOK_FOR_8BIT, which ends where it has found some. */
static enum downgrade_progress end_pass(struct downgrade *downgrade, bool has_8bit,
                                        struct error *error)
{
    bool done = true;
    switch (downgrade->stage) {
    case LOOK_FOR_8BIT:
        if (!has_8bit)
            return DOWNGRADE_NOT_NEEDED;
        downgrade->stage = SCAN;
        mime_scan_init(&downgrade->scan, &downgrade->arena, &downgrade->limits);
        break;
    case SCAN:
        downgrade->stage = LOOK_AT_REGIONS;
        done = end_scan(downgrade, error);
        downgrade->look = (struct look){.region = downgrade->first};
        break;
    default:
        downgrade->stage = PLANNED;
        done = plan_bodies(downgrade, error) && plan_headers(downgrade, error);
    }
    downgrade_rewind(downgrade);
    if (!done)
        return DOWNGRADE_FAILED;
    return downgrade->stage == PLANNED ? DOWNGRADE_PLANNED : DOWNGRADE_MORE;
}

static enum downgrade_progress look_on(struct downgrade *downgrade, struct slice run,
                                       struct error *error)
{
    bool has_8bit = downgrade->stage == LOOK_FOR_8BIT && !slice_is_ascii(run);
    if (run.len == 0 || has_8bit)
        return end_pass(downgrade, has_8bit, error);
    if (downgrade->stage == SCAN)
        mime_scan_feed(&downgrade->scan, run);
    if (downgrade->stage == LOOK_AT_REGIONS)
        look_at_regions(&downgrade->look, run);
    return DOWNGRADE_MORE;
}

enum downgrade_progress downgrade_plan(struct downgrade *downgrade, uint8_t chunk[OUTGOING_CHUNK],
                                       struct error *error)
{
    enum downgrade_progress progress = DOWNGRADE_MORE;
    for (size_t octets = 0; progress == DOWNGRADE_MORE && octets < STEP;) {
        struct slice run;
        if (!outgoing_read(downgrade->message, &downgrade->at, chunk, &run, error))
            return DOWNGRADE_FAILED;
        progress = look_on(downgrade, run, error);
        octets += run.len;
    }
    return progress;
}

/* ---- its life ---- */

/* A part has a header and a body, and perhaps something before it. */
static size_t arena_limit(const struct mime_limits *limits)
{
    return mime_arena_limit(limits) + (limits->parts + 1) * 3 * (sizeof(struct region) + 16);
}

bool downgrade_new(const struct outgoing *message, const struct mime_limits *limits,
                   struct downgrade **made, struct error *error)
{
    struct downgrade *downgrade = *made = calloc(1, sizeof(*downgrade));
    if (!downgrade)
        return error_memory(error);
    downgrade->message = message;
    downgrade->limits = *limits;
    arena_init(&downgrade->arena, arena_limit(limits));
    buffer_init(&downgrade->gathered, HEADER_MAX);
    buffer_init(&downgrade->out, OUT_MAX);
    return true;
}

void downgrade_free(struct downgrade *downgrade)
{
    if (!downgrade)
        return;
    if (downgrade->stage == SCAN)
        mime_scan_clear(&downgrade->scan);
    arena_clear(&downgrade->arena);
    buffer_clear(&downgrade->gathered);
    buffer_clear(&downgrade->out);
    free(downgrade->chunk);
    free(downgrade);
}

/* ---- writing ---- */

static void begin_region(struct downgrade *downgrade, struct region *region)
{
    downgrade->region = region;
    downgrade->done = 0;
    if (!region)
        return;
    downgrade->encoder = (struct transfer_encoder){.encoding = region->encoding};
    downgrade->mender = (struct transfer_mender){.kind = region->mend};
}

void downgrade_rewind(struct downgrade *downgrade)
{
    downgrade->at = (struct outgoing_cursor){.offset = 0};
    downgrade->held = slice_of(NULL, 0);
    buffer_reset(&downgrade->out);
    begin_region(downgrade, downgrade->first);
}

static bool read_more(struct downgrade *downgrade, struct error *error)
{
    if (!downgrade->chunk && downgrade->message->body_fd >= 0)
        downgrade->chunk = malloc(OUTGOING_CHUNK);
    if (!downgrade->chunk && downgrade->message->body_fd >= 0)
        return error_memory(error);
    return outgoing_read(downgrade->message, &downgrade->at, downgrade->chunk, &downgrade->held,
                         error);
}

/* Takes at most `most` octets of the region, continuing where it stopped; none at its end. */
static bool take(struct downgrade *downgrade, size_t most, struct slice *octets,
                 struct error *error)
{
    uint64_t left = downgrade->region->octets - downgrade->done;
    *octets = slice_of(NULL, 0);
    if (left == 0)
        return true;
    if (downgrade->held.len == 0 && !read_more(downgrade, error))
        return false;
    if (downgrade->held.len == 0)
        return error_set(error, ERROR_TEMPORARY, "the body became shorter");
    if (left < most)
        most = (size_t)left;
    *octets = slice_range(downgrade->held, 0, most);
    downgrade->held = slice_from(downgrade->held, octets->len);
    downgrade->done += octets->len;
    return true;
}

static bool is_at_end(const struct downgrade *downgrade)
{
    return downgrade->done == downgrade->region->octets;
}

static bool encode(struct downgrade *downgrade, struct error *error)
{
    struct slice plain;
    if (!take(downgrade, AT_ONCE, &plain, error))
        return false;
    transfer_encode(&downgrade->encoder, plain, &downgrade->out);
    if (is_at_end(downgrade))
        transfer_end(&downgrade->encoder, &downgrade->out);
    return true;
}

static bool mend(struct downgrade *downgrade, struct error *error)
{
    struct slice plain;
    if (!take(downgrade, AT_ONCE, &plain, error))
        return false;
    transfer_mend(&downgrade->mender, plain, &downgrade->out);
    if (is_at_end(downgrade))
        transfer_mend_end(&downgrade->mender, &downgrade->out);
    return true;
}

static bool rewrite(struct downgrade *downgrade, struct error *error)
{
    struct slice piece;
    buffer_reset(&downgrade->gathered);
    do {
        if (!take(downgrade, OUTGOING_CHUNK, &piece, error))
            return false;
        buffer_append(&downgrade->gathered, piece);
    } while (!is_at_end(downgrade));
    struct slice text = buffer_slice(&downgrade->gathered);
    if (downgrade->region->how == REWRITE_HEADER)
        downgrade_header(text, &downgrade->region->change, &downgrade->out);
    else
        downgrade_field_groups(text, &downgrade->out);
    return !downgrade->gathered.failed || error_memory(error);
}

static bool write_region(struct downgrade *downgrade, struct slice *octets, struct error *error)
{
    bool written = false;
    switch (downgrade->region->how) {
    case COPY:
        return take(downgrade, OUTGOING_CHUNK, octets, error);
    case ENCODE:
        written = encode(downgrade, error);
        break;
    case MEND:
        written = mend(downgrade, error);
        break;
    case REWRITE_HEADER:
    case REWRITE_FIELDS:
        written = rewrite(downgrade, error);
        break;
    }
    *octets = buffer_slice(&downgrade->out);
    return written && (!downgrade->out.failed || error_memory(error));
}

bool downgrade_read(struct downgrade *downgrade, struct slice *octets, struct error *error)
{
    *octets = slice_of(NULL, 0);
    if (downgrade->out.capacity > KEPT_OCTETS * TRANSFER_GROWTH)
        buffer_clear(&downgrade->out);
    buffer_reset(&downgrade->out);
    while (downgrade->region && octets->len == 0) {
        if (!write_region(downgrade, octets, error))
            return false;
        if (is_at_end(downgrade))
            begin_region(downgrade, downgrade->region->next);
    }
    return true;
}
