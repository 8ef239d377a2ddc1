/*
 * The records of search_fields.h: for each text of a field its number, its octets (little-endian)
 * and the text, folded; after the last a zero. A field of addresses has two texts.
 */
#include "imapd/search/search_fields.h"

#include "common/mime/header.h"
#include "common/size.h"

static const struct slice names[] = {SLICE("Subject"), SLICE("From"), SLICE("To"), SLICE("Cc"),
                                     SLICE("Bcc")};

static enum search_fields_group group_of(unsigned number)
{
    return number == 1   ? SEARCH_FIELDS_SUBJECT
           : number == 2 ? SEARCH_FIELDS_SENDER
                         : SEARCH_FIELDS_RECIPIENTS;
}

/* 1..; 0: not one of them. */
static unsigned number_of(struct slice name)
{
    for (unsigned i = 0; i < ARRAY_LENGTH(names); i++)
        if (slice_equal_nocase(names[i], name))
            return i + 1;
    return 0;
}

bool search_fields_decide(struct search_term *terms, unsigned *groups)
{
    *groups = 0;
    for (struct search_term *term = terms; term; term = term->next) {
        term->number = number_of(term->field);
        if ((term->scopes & SEARCH_IN_HEADER)
            || ((term->scopes & SEARCH_IN_FIELD) && term->number == 0))
            return false;
        if (term->scopes & SEARCH_IN_FIELD)
            *groups |= 1U << group_of(term->number);
    }
    return true;
}

/* --- writing --- */

static void append_text(unsigned number, struct slice text, struct buffer *record)
{
    struct buffer folded = BUFFER_WITH_LIMIT(SEARCH_FIELD_FOLDED_OCTETS);
    search_fold(text, &folded);
    buffer_append_octet(record, (uint8_t)number);
    for (int i = 0; i < 4; i++)
        buffer_append_octet(record, (uint8_t)(folded.len >> (8 * i)));
    buffer_append(record, buffer_slice(&folded));
    record->failed = record->failed || folded.failed;
    buffer_clear(&folded);
}

static void append_decoded(unsigned number, const struct header_field *field, search_decode *decode,
                           struct buffer *record)
{
    struct buffer decoded = BUFFER_WITH_LIMIT(SEARCH_FIELD_DECODED_OCTETS);
    decode(field, &decoded);
    append_text(number, buffer_slice(&decoded), record);
    record->failed = record->failed || decoded.failed;
    buffer_clear(&decoded);
}

void search_fields_format(struct slice header, enum search_fields_group group,
                          struct buffer *record)
{
    struct cursor in = cursor_of(header);
    struct header_field field;
    while (header_next(&in, &field)) {
        unsigned number = number_of(field.name);
        if (number == 0 || group_of(number) != group)
            continue;
        append_decoded(number, &field, search_decode_field, record);
        if (search_holds_addresses(field.name))
            append_decoded(number, &field, search_decode_addresses, record);
    }
    buffer_append_octet(record, 0);
}

/* --- reading --- */

/* False: the record ends here, or in the middle. */
static bool take_text(struct cursor *in, unsigned *number, struct slice *text)
{
    struct slice rest = cursor_rest(in);
    size_t octets = 0;
    if (rest.len < 5 || rest.ptr[0] == 0)
        return false;
    for (int i = 0; i < 4; i++)
        octets |= (size_t)rest.ptr[1 + i] << (8 * i);
    if (octets > rest.len - 5)
        return false;
    *number = rest.ptr[0];
    *text = slice_range(rest, 5, 5 + octets);
    in->at += 5 + octets;
    return true;
}

bool search_fields_match(struct slice record, struct search_term *terms)
{
    struct cursor in = cursor_of(record);
    unsigned number;
    struct slice text;
    uint8_t end = 1;
    while (take_text(&in, &number, &text))
        ;
    if (!cursor_peek(&in, &end) || end != 0)
        return false;
    in = cursor_of(record);
    while (take_text(&in, &number, &text))
        for (struct search_term *term = terms; term; term = term->next)
            if (!term->found && (term->scopes & SEARCH_IN_FIELD) && term->number == number)
                term->found = slice_find(text, term->folded) < text.len || term->folded.len == 0;
    return true;
}

void search_fields_mark_absent(struct slice records, enum search_fields_group group,
                               struct search_term *terms)
{
    for (struct search_term *term = terms; term; term = term->next)
        if ((term->scopes & SEARCH_IN_FIELD) && group_of(term->number) == group)
            term->absent = slice_find(records, term->folded) == records.len;
}
