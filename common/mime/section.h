/*
 * IMAP's sections (RFC 3501 6.4.5): maps BODY[section] to a run of the message's octets. Pure; any
 * process.
 */
#ifndef COMMON_MIME_SECTION_H
#define COMMON_MIME_SECTION_H

#include "common/buffer.h"
#include "common/mime/scan.h"
#include "common/text/cursor.h"

enum section_kind {
    SECTION_ALL,        /* BODY[], or the body of a part: BODY[1.2] */
    SECTION_HEADER,     /* HEADER, of the message or an enclosed one */
    SECTION_FIELDS,     /* HEADER.FIELDS (...): filter it with section_filter_fields */
    SECTION_FIELDS_NOT, /* HEADER.FIELDS.NOT (...): as SECTION_FIELDS */
    SECTION_TEXT,       /* TEXT, of the message or an enclosed one */
    SECTION_MIME,       /* MIME: the header of a part */
};

struct section {
    enum section_kind kind;
    size_t depth; /* numbers in the path; a path beyond the limit names no part */
    uint32_t path[MIME_DEPTH_MAX + 1];
};

/* section-spec = section-msgtext / (section-part ["." section-text]), or nothing. Reads up to the
 * "]" or, after HEADER.FIELDS and .NOT, to the space before the header-list, which the caller
 * reads. False, with the cursor unmoved, if it is invalid: a number is zero, or MIME has none
 * before it.
 */
bool section_parse(struct cursor *in, struct section *section);

/* The part at the end of the section's path. NULL: no such part, or no path. */
const struct mime_part *section_part(const struct mime_part *root, const struct section *section);

/* The octets that the section names; the whole header for SECTION_FIELDS and _NOT. False, for which
 * IMAP answers NIL, if there is no such part, or HEADER or TEXT is asked of a part that is not a
 * message. */
bool section_resolve(const struct mime_part *root, const struct section *section,
                     struct mime_span *span);

/* Sorts a list of field names as section_filter_fields() requires. */
void section_sort_names(struct slice *names, size_t count);

/* Appends the header fields whose names are in the list (or are not, if `wanted` is false), with
 * CRLF line ends, followed by an empty line, always (RFC 3501 6.4.5). Lines that are not fields
 * belong to the .NOT side. */
void section_filter_fields(struct slice header, const struct slice *names, size_t count,
                           bool wanted, struct buffer *text);

#endif
