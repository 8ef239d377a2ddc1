/* The sections of section.h. Pure; any process. */
#include "common/mime/section.h"

#include <stdlib.h>

#include "common/mime/header.h"
#include "common/size.h"

/* [section-part ["."]], section-part = nz-number *("." nz-number)    RFC 3501 9 */
static bool take_path(struct cursor *in, struct section *section, bool *ends_with_dot)
{
    uint64_t number;
    section->depth = 0;
    *ends_with_dot = false;
    while (!cursor_at_end(in) && ascii_is_digit(*in->at)) {
        if (*in->at == '0' || !cursor_take_number(in, &number) || number > UINT32_MAX)
            return false;
        if (section->depth < ARRAY_LENGTH(section->path))
            section->path[section->depth] = (uint32_t)number;
        section->depth++;
        *ends_with_dot = cursor_skip(in, '.');
        if (!*ends_with_dot)
            break;
    }
    return true;
}

/* section-text = section-msgtext / "MIME"    RFC 3501 9 */
static bool take_text(struct cursor *in, struct section *section)
{
    static const struct {
        struct slice word;
        enum section_kind kind;
    } words[] = {
        {SLICE("HEADER.FIELDS.NOT"), SECTION_FIELDS_NOT},
        {SLICE("HEADER.FIELDS"), SECTION_FIELDS},
        {SLICE("HEADER"), SECTION_HEADER},
        {SLICE("TEXT"), SECTION_TEXT},
        {SLICE("MIME"), SECTION_MIME},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(words); i++) {
        if (words[i].kind == SECTION_MIME && section->depth == 0)
            continue;
        if (cursor_skip_nocase(in, words[i].word)) {
            section->kind = words[i].kind;
            return true;
        }
    }
    return false;
}

bool section_parse(struct cursor *in, struct section *section)
{
    struct cursor start = *in;
    bool ends_with_dot;
    section->kind = SECTION_ALL;
    bool valid = take_path(in, section, &ends_with_dot);
    if (valid && (ends_with_dot || section->depth == 0))
        valid = take_text(in, section) || !ends_with_dot;
    if (!valid)
        *in = start;
    return valid;
}

/* BODYSTRUCTURE cannot express a multipart without parts (RFC 3501 9, body-type-mpart): structure.c
 * writes an empty part, which is this one. */
static const struct mime_part *nth_child(const struct mime_part *part, uint32_t number)
{
    static const struct mime_part empty = {.kind = MIME_LEAF};
    const struct mime_part *child = part->children ? part->children : &empty;
    while (child && --number > 0)
        child = child->next;
    return child;
}

/* Part `number` of a message: "every message has at least one part number"    RFC 3501 6.4.5 */
static const struct mime_part *part_of_message(const struct mime_part *message, uint32_t number)
{
    if (message->kind == MIME_MULTIPART)
        return nth_child(message, number);
    return number == 1 ? message : NULL;
}

/* The part at the end of the path, which has at least one number. */
static const struct mime_part *find_part(const struct mime_part *root,
                                         const struct section *section)
{
    const struct mime_part *part = part_of_message(root, section->path[0]);
    for (size_t i = 1; part && i < section->depth; i++) {
        if (part->kind == MIME_MULTIPART)
            part = nth_child(part, section->path[i]);
        else if (part->kind == MIME_MESSAGE)
            part = part_of_message(part->children, section->path[i]);
        else
            part = NULL;
    }
    return part;
}

const struct mime_part *section_part(const struct mime_part *root, const struct section *section)
{
    bool possible = section->depth > 0 && section->depth <= ARRAY_LENGTH(section->path);
    return possible ? find_part(root, section) : NULL;
}

static struct mime_span whole_of(const struct mime_part *message)
{
    return (struct mime_span){
        .offset = message->header.offset,
        .octets = message->header.octets + message->body.octets,
        .crlf_octets = message->header.crlf_octets + message->body.crlf_octets,
        .lines = message->header.lines + message->body.lines,
    };
}

bool section_resolve(const struct mime_part *root, const struct section *section,
                     struct mime_span *span)
{
    const struct mime_part *part = section_part(root, section);
    if (section->depth > 0 && !part)
        return false;
    if (section->kind == SECTION_ALL || section->kind == SECTION_MIME) {
        *span = !part ? whole_of(root) : section->kind == SECTION_ALL ? part->body : part->header;
        return true;
    }
    if (part && part->kind != MIME_MESSAGE)
        return false;
    const struct mime_part *message = part ? part->children : root;
    *span = section->kind == SECTION_TEXT ? message->body : message->header;
    return true;
}

/* Whole lines, each with CRLF after it. */
static void append_lines(struct buffer *text, struct slice lines)
{
    while (lines.len > 0) {
        size_t end = slice_find_octet(lines, '\n');
        struct slice line = slice_range(lines, 0, end);
        if (line.len > 0 && line.ptr[line.len - 1] == '\r')
            line.len--;
        buffer_append(text, line);
        buffer_append(text, SLICE("\r\n"));
        lines = slice_from(lines, end + 1);
    }
}

/* Compares without case, shorter names first. */
static int compare_names(const void *left, const void *right)
{
    const struct slice *a = left, *b = right;
    if (a->len != b->len)
        return a->len < b->len ? -1 : 1;
    for (size_t i = 0; i < a->len; i++) {
        int difference = ascii_lower(a->ptr[i]) - ascii_lower(b->ptr[i]);
        if (difference != 0)
            return difference;
    }
    return 0;
}

void section_sort_names(struct slice *names, size_t count)
{
    if (count > 0)
        qsort(names, count, sizeof(*names), compare_names);
}

/* Both the list and the header may have thousands. */
static bool is_listed(struct slice name, const struct slice *names, size_t count)
{
    return count > 0 && bsearch(&name, names, count, sizeof(*names), compare_names);
}

void section_filter_fields(struct slice header, const struct slice *names, size_t count,
                           bool wanted, struct buffer *text)
{
    struct cursor in = cursor_of(header);
    struct header_field field;
    while (header_next(&in, &field))
        if (is_listed(field.name, names, count) == wanted)
            append_lines(text, field.whole);
    buffer_append(text, SLICE("\r\n"));
}
