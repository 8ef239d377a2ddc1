/*
 * The scan of scan.h. It goes line by line:
 *
 *     feed: cut into lines ──> on_line ─┬─ boundary ─> end the parts inside, open the next part
 *                                       ├─ in a header: a field, more of one, or the empty line
 *                                       └─ in a body: counted
 *
 * Open parts are the innermost one and its parents. A boundary line is compared with those of all
 * of them, so that a missing last delimiter inside ends with the outer part (RFC 2046 5.1.2); depth
 * is bounded, so this is too. While a part is open, its spans hold the counters of their beginning.
 */
#include "common/mime/scan.h"

#include "common/mime/content.h"
#include "common/mime/header.h"
#include "common/mime/token.h"
#include "common/size.h"

enum {
    /* The longest beginning of a line that is examined. A boundary with its dashes fits into the
     * 998 octets of RFC 5322 2.1.1; longer ones cannot be told from text. */
    BODY_LINE_KEPT = 1000,
    HEADER_LINE_KEPT = MIME_FIELD_LIMIT,
    LONGEST_BOUNDARY = 994,
    SCRATCH_LIMIT = 8 * MIME_CONTENT_FIELD_LIMIT, /* parameters with their %-encoding */
};

static const struct slice field_names[MIME_FIELD_IDS] = {
    [MIME_CONTENT_TYPE] = SLICE("Content-Type"),
    [MIME_CONTENT_TRANSFER_ENCODING] = SLICE("Content-Transfer-Encoding"),
    [MIME_CONTENT_ID] = SLICE("Content-ID"),
    [MIME_CONTENT_DESCRIPTION] = SLICE("Content-Description"),
    [MIME_CONTENT_DISPOSITION] = SLICE("Content-Disposition"),
    [MIME_CONTENT_LANGUAGE] = SLICE("Content-Language"),
    [MIME_CONTENT_LOCATION] = SLICE("Content-Location"),
    [MIME_CONTENT_MD5] = SLICE("Content-MD5"),
    [MIME_DATE] = SLICE("Date"),
    [MIME_SUBJECT] = SLICE("Subject"),
    [MIME_FROM] = SLICE("From"),
    [MIME_SENDER] = SLICE("Sender"),
    [MIME_REPLY_TO] = SLICE("Reply-To"),
    [MIME_TO] = SLICE("To"),
    [MIME_CC] = SLICE("Cc"),
    [MIME_BCC] = SLICE("Bcc"),
    [MIME_IN_REPLY_TO] = SLICE("In-Reply-To"),
    [MIME_MESSAGE_ID] = SLICE("Message-ID"),
};

enum {
    /* RFC 5322 4.5.3; two of an originator, which 4.5 leaves open, are both shown, as SEARCH FROM
     * looks into both. */
    JOINED_FIELDS = 1 << MIME_TO | 1 << MIME_CC | 1 << MIME_BCC | 1 << MIME_FROM | 1 << MIME_SENDER
                    | 1 << MIME_REPLY_TO,
    NO_FIELD = -1,
};

const struct mime_field *mime_part_field(const struct mime_part *part, enum mime_field_id id)
{
    const struct mime_field *field = part->fields;
    while (field && field->id != id)
        field = field->next;
    return field;
}

/* Allocation in the tree's arena; NULL, and the scan has failed, without memory. */
static void *tree_alloc(struct mime_scan *scan, size_t octets)
{
    void *memory = arena_alloc(scan->arena, octets);
    if (!memory)
        scan->failed = true;
    return memory;
}

/* A new part after the others of its parent; its header begins at scan->seen. */
static void open_part(struct mime_scan *scan, struct mime_part *parent)
{
    struct mime_part *part = tree_alloc(scan, sizeof(*part));
    if (!part)
        return;
    if (parent) {
        *(parent->last_child ? &parent->last_child->next : &parent->children) = part;
        parent->last_child = part;
    }
    part->parent = parent;
    part->is_message = !parent || parent->kind == MIME_MESSAGE;
    part->header = scan->seen;
    scan->innermost = part;
    scan->parts++;
    scan->in_header = true;
    scan->field_id = NO_FIELD;
    scan->last_field = NULL;
    scan->fields_kept = 0;
}

size_t mime_arena_limit(const struct mime_limits *limits)
{
    /* Fields, as many octets of boundaries copied out of them, and what alignment adds. */
    return 3 * (size_t)MIME_FIELDS_LIMIT + limits->parts * 2 * sizeof(struct mime_part);
}

void mime_scan_init(struct mime_scan *scan, struct arena *arena, const struct mime_limits *limits)
{
    *scan = (struct mime_scan){
        .arena = arena,
        .limits = *limits,
        .line = BUFFER_WITH_LIMIT(HEADER_LINE_KEPT),
        .field = BUFFER_WITH_LIMIT(MIME_FIELD_LIMIT),
    };
    arena_init(&scan->scratch, SCRATCH_LIMIT);
    open_part(scan, NULL);
    scan->root = scan->innermost;
}

void mime_scan_clear(struct mime_scan *scan)
{
    arena_clear(&scan->scratch);
    buffer_clear(&scan->line);
    buffer_clear(&scan->field);
}

/* --- fields --- */

static int find_field_id(struct slice name, bool of_message)
{
    int end = of_message ? MIME_FIELD_IDS : MIME_DATE;
    for (int id = 0; id < end; id++)
        if (slice_equal_nocase(name, field_names[id]))
            return id;
    return NO_FIELD;
}

/* Stores the field that was read, if it is one to keep and the first of its name. */
static void keep_field(struct mime_scan *scan)
{
    int id = scan->field_id;
    scan->field_id = NO_FIELD;
    if (id == NO_FIELD || (scan->fields_kept & ~(uint32_t)JOINED_FIELDS & 1U << id))
        return;
    struct slice body = token_trim(buffer_slice(&scan->field));
    size_t octets = sizeof(struct mime_field) + body.len;
    if (octets > MIME_FIELDS_LIMIT - scan->field_octets)
        return;
    struct mime_field *field = tree_alloc(scan, sizeof(*field));
    if (!field)
        return;
    field->id = (enum mime_field_id)id;
    field->body = arena_copy(scan->arena, body);
    if (!field->body.ptr)
        scan->failed = true;
    *(scan->last_field ? &scan->last_field->next : &scan->innermost->fields) = field;
    scan->last_field = field;
    scan->field_octets += octets;
    scan->fields_kept |= 1U << id;
}

static void add_to_field(struct mime_scan *scan, struct slice text)
{
    size_t limit =
        scan->field_id < MIME_DATE ? (size_t)MIME_CONTENT_FIELD_LIMIT : (size_t)MIME_FIELD_LIMIT;
    buffer_append(&scan->field, slice_range(text, 0, limit - scan->field.len));
    scan->failed |= scan->field.failed;
}

static void on_header_line(struct mime_scan *scan, struct slice line)
{
    if (line.ptr[0] == ' ' || line.ptr[0] == '\t') {
        if (scan->field_id != NO_FIELD)
            add_to_field(scan, line);
        return;
    }
    struct slice name, body;
    keep_field(scan);
    if (!header_split_line(line, &name, &body))
        return;
    scan->field_id = find_field_id(name, scan->innermost->is_message);
    if (scan->field_id == NO_FIELD)
        return;
    buffer_reset(&scan->field);
    add_to_field(scan, body);
}

/* --- what a part is, once its header has been read --- */

static bool is_type(const struct mime_part *part, struct slice type, struct slice subtype)
{
    return slice_equal_nocase(part->type, type)
           && (subtype.len == 0 || slice_equal_nocase(part->subtype, subtype));
}

/* False if the part's Content-Type gives no boundary that could be one. */
static bool set_boundary(struct mime_scan *scan, struct mime_part *part)
{
    struct content_parameters parameters;
    struct slice boundary;
    arena_reset(&scan->scratch);
    if (!content_parameters_parse(part->parameters, &scan->scratch, &parameters)) {
        scan->failed = true;
        return false;
    }
    if (!content_parameters_find(&parameters, SLICE("boundary"), &scan->scratch, &boundary))
        return false;
    boundary = token_trim_end(boundary); /* RFC 2046 5.1.1: it does not end with a space */
    if (boundary.len == 0 || boundary.len > LONGEST_BOUNDARY)
        return false;
    part->boundary = arena_copy(scan->arena, boundary);
    scan->failed |= !part->boundary.ptr;
    return true;
}

/* RFC 2045 5.2; in a digest RFC 2046 5.1.5. */
static void set_default_type(struct mime_part *part)
{
    bool digest = part->parent && is_type(part->parent, SLICE("multipart"), SLICE("digest"));
    part->type = digest ? SLICE("message") : SLICE("text");
    part->subtype = digest ? SLICE("rfc822") : SLICE("plain");
    part->parameters = slice_of(NULL, 0);
}

/* A Content-Type with a syntax error counts as none, and so does multipart without a boundary. */
static void set_type(struct mime_scan *scan, struct mime_part *part)
{
    const struct mime_field *field = mime_part_field(part, MIME_CONTENT_TYPE);
    struct content_type type;
    set_default_type(part);
    if (!field || !content_type_parse(field->body, &type))
        return;
    part->type = type.type;
    part->subtype = type.subtype;
    part->parameters = type.parameters;
    if (is_type(part, SLICE("multipart"), SLICE("")) && !set_boundary(scan, part))
        set_default_type(part);
}

static size_t depth_of(const struct mime_part *part)
{
    size_t depth = 0;
    while ((part = part->parent) != NULL)
        depth++;
    return depth;
}

/* The innermost part's header ends at scan->seen. A message inside opens at once. */
static void end_header(struct mime_scan *scan)
{
    struct mime_part *part = scan->innermost;
    keep_field(scan);
    part->header.octets = scan->seen.offset - part->header.offset;
    part->header.crlf_octets = scan->seen.crlf_octets - part->header.crlf_octets;
    part->header.lines = scan->seen.lines - part->header.lines;
    part->body = scan->seen;
    scan->in_header = false;
    set_type(scan, part);
    bool multipart = is_type(part, SLICE("multipart"), SLICE(""));
    bool message = is_type(part, SLICE("message"), SLICE("rfc822"));
    if (!multipart && !message)
        return;
    if (scan->parts >= scan->limits.parts || depth_of(part) >= scan->limits.depth) {
        part->opaque = true;
        part->boundary.len = 0;
    } else if (multipart) {
        part->kind = MIME_MULTIPART;
    } else {
        part->kind = MIME_MESSAGE;
        open_part(scan, part);
    }
}

/* --- the ends of parts --- */

/* Ends the innermost part where `end` says, or where its body begins if that is later: the line end
 * before a boundary is never taken from a header. What is outside ends no earlier. */
static void end_innermost(struct mime_scan *scan, struct mime_span *end)
{
    struct mime_part *part = scan->innermost;
    if (end->offset < part->body.offset)
        *end = part->body;
    part->body.octets = end->offset - part->body.offset;
    part->body.crlf_octets = end->crlf_octets - part->body.crlf_octets;
    part->body.lines = end->lines - part->body.lines;
    scan->innermost = part->parent;
}

/* Ends all parts inside `container`; NULL: all there are. */
static void end_parts(struct mime_scan *scan, const struct mime_part *container, size_t line_end)
{
    while (scan->in_header && scan->innermost != container && !scan->failed) {
        line_end = 0;
        end_header(scan);
    }
    struct mime_span end = scan->seen;
    if (line_end > 0) {
        end.offset -= line_end;
        end.crlf_octets -= 2;
        end.lines--;
    }
    while (scan->innermost != container && !scan->failed)
        end_innermost(scan, &end);
}

/* --- boundaries --- */

struct boundary_match {
    struct mime_part *multipart;
    bool exact; /* nothing but white space after the delimiter */
    bool last;  /* close-delimiter */
};

/* RFC 2046 5.1.1: it is enough that the boundary stands at the beginning of the line. So one may be
 * the beginning of another's: the line that is exactly a delimiter is that one, else the longest
 * boundary wins, else the innermost. */
static bool match_boundary(const struct mime_scan *scan, struct slice line,
                           struct boundary_match *match)
{
    struct slice text = token_trim_end(slice_from(line, 2));
    *match = (struct boundary_match){.multipart = NULL};
    for (struct mime_part *part = scan->innermost; part; part = part->parent) {
        if (part->boundary.len == 0 || !slice_starts_with(text, part->boundary))
            continue;
        struct slice rest = slice_from(text, part->boundary.len);
        bool exact = rest.len == 0 || slice_equal(rest, SLICE("--"));
        if (match->multipart
            && (exact == match->exact ? part->boundary.len <= match->multipart->boundary.len
                                      : match->exact))
            continue;
        match->multipart = part;
        match->exact = exact;
        match->last = slice_starts_with(rest, SLICE("--"));
    }
    return match->multipart != NULL;
}

/* Steps over a line. */
static void count_line(struct mime_scan *scan, uint64_t octets, size_t line_end)
{
    scan->seen.offset += octets + line_end;
    scan->seen.crlf_octets += octets + (line_end > 0 ? 2 : 0);
    scan->seen.lines += line_end > 0;
    scan->last_line_end = line_end;
}

/* True if the line was a boundary, which is consumed. */
static bool take_boundary(struct mime_scan *scan, struct slice line, uint64_t octets,
                          size_t line_end)
{
    struct boundary_match match;
    if (scan->sealed || !slice_starts_with(line, SLICE("--"))
        || !match_boundary(scan, line, &match))
        return false;
    if (!match.last && scan->parts >= scan->limits.parts) {
        scan->sealed = true;
        return false;
    }
    end_parts(scan, match.multipart, scan->last_line_end);
    count_line(scan, octets, line_end);
    if (match.last)
        match.multipart->boundary.len = 0; /* the epilogue; RFC 2046 5.1.1 has it ignored */
    else if (!scan->failed)
        open_part(scan, match.multipart);
    return true;
}

/* --- lines --- */

/* `line` is the beginning of a line of `octets` octets before its line end. */
static void on_line(struct mime_scan *scan, struct slice line, uint64_t octets, size_t line_end)
{
    if (take_boundary(scan, line, octets, line_end))
        return;
    count_line(scan, octets, line_end);
    if (!scan->in_header)
        return;
    if (octets == 0)
        end_header(scan);
    else
        on_header_line(scan, line);
}

static size_t kept_of_line(const struct mime_scan *scan)
{
    return scan->in_header ? (size_t)HEADER_LINE_KEPT : (size_t)BODY_LINE_KEPT;
}

/* Keeps part of a line whose end is in a later piece, as far as it will be examined. */
static void hold(struct mime_scan *scan, struct slice text)
{
    if (text.len == 0)
        return;
    size_t room = kept_of_line(scan) - scan->line.len;
    buffer_append(&scan->line, slice_range(text, 0, room));
    scan->failed |= scan->line.failed;
    scan->line_octets += text.len;
    scan->last_octet = text.ptr[text.len - 1];
}

/* The line that hold() began ends here. */
static void on_held_line(struct mime_scan *scan, bool newline)
{
    bool cr = newline && scan->last_octet == '\r';
    uint64_t octets = scan->line_octets - cr;
    struct slice line = buffer_slice(&scan->line);
    if (line.len > octets)
        line.len = (size_t)octets;
    scan->line_octets = 0;
    on_line(scan, line, octets, (size_t)newline + cr);
    buffer_reset(&scan->line);
}

static void on_whole_line(struct mime_scan *scan, struct slice line)
{
    bool cr = line.len > 0 && line.ptr[line.len - 1] == '\r';
    line.len -= cr;
    on_line(scan, slice_range(line, 0, kept_of_line(scan)), line.len, 1 + (size_t)cr);
}

void mime_scan_feed(struct mime_scan *scan, struct slice piece)
{
    while (piece.len > 0 && !scan->failed) {
        size_t at = slice_find_octet(piece, '\n');
        struct slice line = slice_range(piece, 0, at);
        if (at == piece.len) {
            hold(scan, line);
            return;
        }
        piece = slice_from(piece, at + 1);
        if (scan->line_octets == 0) {
            on_whole_line(scan, line);
        } else {
            hold(scan, line);
            on_held_line(scan, true);
        }
    }
}

const struct mime_part *mime_scan_finish(struct mime_scan *scan)
{
    if (scan->line_octets > 0)
        on_held_line(scan, false);
    end_parts(scan, NULL, 0);
    return scan->failed ? NULL : scan->root;
}
