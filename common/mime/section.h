/*
 * IMAP's sections (RFC 3501 6.4.5): what BODY[section] names, as a run of the message's octets.
 * Pure; any process.
 */
#ifndef COMMON_MIME_SECTION_H
#define COMMON_MIME_SECTION_H

#include "common/buffer.h"
#include "common/mime/scan.h"
#include "common/text/cursor.h"

enum section_kind {
    SECTION_ALL,        /* BODY[], or the body of a part: BODY[1.2] */
    SECTION_HEADER,     /* HEADER, of the message or of one inside */
    SECTION_FIELDS,     /* HEADER.FIELDS (...): filter it with section_filter_fields */
    SECTION_FIELDS_NOT, /* HEADER.FIELDS.NOT (...), likewise */
    SECTION_TEXT,       /* TEXT, of the message or of one inside */
    SECTION_MIME,       /* MIME: the header of a part */
};

struct section {
    enum section_kind kind;
    size_t depth; /* numbers in the path; more than the limit names nothing that exists */
    uint32_t path[MIME_DEPTH_MAX + 1];
};

/* section-spec = section-msgtext / (section-part ["." section-text]), or nothing. Reads up to the
 * "]" or, after HEADER.FIELDS and .NOT, to the space before the header-list, which the caller
 * reads. False, the cursor where it was, if it is none: a zero among the numbers, MIME without one.
 */
bool section_parse(struct cursor *in, struct section *section);

/* The part at the end of the section's path; NULL: there is none, or no path. */
const struct mime_part *section_part(const struct mime_part *root, const struct section *section);

/* The octets that the section names; those of the whole header for SECTION_FIELDS and _NOT. False
 * if the message has no such part, or if a part that is no message is asked for HEADER or TEXT:
 * NIL. */
bool section_resolve(const struct mime_part *root, const struct section *section,
                     struct mime_span *span);

/* Puts a list of field names into the order that section_filter_fields() wants. */
void section_sort_names(struct slice *names, size_t count);

/* Appends those fields of the header whose names are (or, `wanted` false, are not) in the list,
 * with CRLF as line ends, and the empty line after them (RFC 3501 6.4.5: it is always there).
 * Lines that are no fields belong to the .NOT side. */
void section_filter_fields(struct slice header, const struct slice *names, size_t count,
                           bool wanted, struct buffer *text);

#endif
