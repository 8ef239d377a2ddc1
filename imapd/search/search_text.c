/* The comparison and the window of search_text.h. */
#include "imapd/search/search_text.h"

#include <stdlib.h>

#include <unicase.h>
#include <uninorm.h>
#include <unistr.h>

#include "common/mime/encoded_word.h"
#include "common/mime/header.h"
#include "common/mime/header_address.h"
#include "common/mime/token.h"
#include "common/size.h"
#include "imapd/search/search_grams.h"

enum {
    WINDOW_OCTETS = 32 << 20, /* a piece of 64 KiB, folded, and the longest term before it */
    DECOMPOSITION_DEPTH = 8,  /* no character's mapping is longer than a few steps */
};

/* --- comparison --- */

static void append_character(struct buffer *folded, ucs4_t character)
{
    uint8_t octets[6];
    int length = u8_uctomb(octets, uc_tolower(character), sizeof(octets));
    if (length > 0)
        buffer_append(folded, slice_of(octets, (size_t)length));
}

/* "recursively ... the decomposition", RFC 5051 2 */
static void append_decomposed(struct buffer *folded, ucs4_t character, int depth)
{
    ucs4_t parts[UC_DECOMPOSITION_MAX_LENGTH];
    int tag;
    int count = depth > 0 ? uc_decomposition(character, &tag, parts) : -1;
    if (count <= 0)
        append_character(folded, character);
    for (int i = 0; i < count; i++)
        append_decomposed(folded, parts[i], depth - 1);
}

/* The octets up to the first above 127, all at once: most texts have no others. */
static size_t fold_ascii(struct slice text, struct buffer *folded)
{
    size_t length = 0;
    if (!buffer_reserve(folded, text.len))
        return text.len;
    uint8_t *out = folded->ptr + folded->len;
    for (; length < text.len && text.ptr[length] < 0x80; length++)
        out[length] = ascii_lower(text.ptr[length]);
    buffer_commit(folded, length);
    return length;
}

/* One character above 127, which may become several. */
static size_t fold_character(struct slice text, struct buffer *folded)
{
    ucs4_t character;
    ucs4_t cases[8];
    size_t count = ARRAY_LENGTH(cases);
    int length = u8_mbtouc(&character, text.ptr, text.len);
    ucs4_t *all = u32_casefold(&character, 1, NULL, NULL, cases, &count);
    if (all == cases) {
        for (size_t i = 0; i < count; i++)
            append_decomposed(folded, cases[i], DECOMPOSITION_DEPTH);
    } else {
        append_decomposed(folded, character, DECOMPOSITION_DEPTH);
        free(all);
    }
    return (size_t)length;
}

void search_fold(struct slice text, struct buffer *folded)
{
    while (text.len > 0) {
        size_t taken = text.ptr[0] < 0x80 ? fold_ascii(text, folded) : fold_character(text, folded);
        text = slice_from(text, taken);
    }
}

/* --- the window --- */

void search_text_init(struct search_text *text, struct search_term *terms)
{
    *text = (struct search_text){
        .terms = terms, .first = terms, .window = BUFFER_WITH_LIMIT(WINDOW_OCTETS)};
    for (const struct search_term *term = terms; term; term = term->next, text->count++)
        if (term->folded.len > text->longest)
            text->longest = term->folded.len;
}

void search_text_clear(struct search_text *text)
{
    buffer_clear(&text->window);
}

void search_text_reset(struct search_text *text)
{
    for (struct search_term *term = text->terms; term; term = term->next) {
        term->found = term->folded.len == 0 && !(term->scopes & SEARCH_IN_FIELD);
        term->excluded = false;
    }
    text->first = text->terms;
    text->behind = NULL;
    buffer_reset(&text->window);
}

bool search_text_wants(const struct search_text *text, unsigned scopes)
{
    for (const struct search_term *term = text->terms; term; term = term->next)
        if (!term->found && !term->excluded && (term->scopes & scopes))
            return true;
    return false;
}

static bool counts_here(const struct search_term *term, unsigned scopes, struct slice name)
{
    unsigned both = term->scopes & scopes;
    return (both & ~(unsigned)SEARCH_IN_FIELD)
           || ((both & SEARCH_IN_FIELD) && slice_equal_nocase(term->field, name));
}

/* In octets of which those before `seen` were looked through already. */
static bool is_in(struct slice octets, size_t seen, struct slice folded)
{
    size_t from = seen < folded.len ? 0 : seen - folded.len + 1;
    octets = slice_from(octets, from);
    return slice_find(octets, folded) < octets.len;
}

void search_text_feed(struct search_text *text, unsigned scopes, struct slice name,
                      struct slice piece)
{
    struct buffer *window = &text->window;
    size_t before = window->len;
    search_fold(piece, window);
    if (text->grams)
        search_grams_feed(text->grams, slice_from(buffer_slice(window), before));
    text->failed = text->failed || window->failed;
    struct slice octets = buffer_slice(window);
    for (struct search_term *term = text->first; term != text->behind; term = term->next)
        if (!term->found && counts_here(term, scopes, name))
            term->found = term->folded.len == 0 || is_in(octets, before, term->folded);
    /* A match that begins in what is dropped would have been seen. */
    size_t kept = text->longest > 0 ? text->longest - 1 : 0;
    if (window->len > kept)
        buffer_consume(window, window->len - kept);
}

void search_text_end(struct search_text *text)
{
    buffer_reset(&text->window);
    if (text->grams)
        search_grams_end(text->grams);
}

/* --- headers --- */

static bool wants_field(const struct search_text *text, unsigned scopes, struct slice name)
{
    for (const struct search_term *term = text->first; term != text->behind; term = term->next)
        if (!term->found && counts_here(term, scopes, name))
            return true;
    return false;
}

bool search_holds_addresses(struct slice name)
{
    static const struct slice names[] = {SLICE("From"), SLICE("To"),     SLICE("Cc"),
                                         SLICE("Bcc"),  SLICE("Sender"), SLICE("Reply-To")};
    size_t i = 0;
    while (i < ARRAY_LENGTH(names) && !slice_equal_nocase(names[i], name))
        i++;
    return i < ARRAY_LENGTH(names);
}

/* "Name <local-part@domain>", or what there is of it, without quotes, comments and folding. */
static void append_address(const struct header_address *address, struct buffer *text)
{
    bool angles = address->kind == HEADER_ADDRESS_MAILBOX && address->name.len > 0
                  && (address->local_part.len > 0 || address->domain.len > 0);
    buffer_append(text, text->len > 0 ? SLICE(", ") : SLICE(""));
    buffer_append(text, address->name);
    buffer_append(text, angles ? SLICE(" <") : SLICE(""));
    buffer_append(text, address->local_part);
    buffer_append(text, address->domain.len > 0 ? SLICE("@") : SLICE(""));
    buffer_append(text, address->domain);
    buffer_append(text, angles ? SLICE(">") : SLICE(""));
}

void search_decode_addresses(const struct header_field *field, struct buffer *decoded)
{
    struct header_address_reader reader;
    struct header_address address;
    struct buffer plain = BUFFER_WITH_LIMIT(4 * SEARCH_FIELD_OCTETS);
    header_address_reader_init(&reader, slice_range(field->body, 0, SEARCH_FIELD_OCTETS));
    while (header_address_next(&reader, &address))
        append_address(&address, &plain);
    encoded_word_decode(buffer_slice(&plain), decoded);
    decoded->failed = decoded->failed || header_address_reader_failed(&reader) || plain.failed;
    header_address_reader_clear(&reader);
    buffer_clear(&plain);
}

static bool is_spaced_once(struct slice text)
{
    bool after_space = true; /* none at the beginning */
    for (size_t i = 0; i < text.len; i++) {
        bool is_space = token_is(text.ptr[i], TOKEN_SPACE);
        if (is_space && (after_space || text.ptr[i] != ' '))
            return false;
        after_space = is_space;
    }
    return text.len == 0 || !after_space;
}

/* Adds, on a line of its own, the text with runs of white space as single spaces, if that differs:
 * a user who sees "a b" in a list searches for that, even if folding has left "a\tb". */
static void append_spaced_once(struct buffer *decoded)
{
    struct slice text = buffer_slice(decoded);
    if (text.len > SEARCH_FIELD_SPACED_OCTETS || is_spaced_once(text))
        return;
    struct buffer words = BUFFER_WITH_LIMIT(SEARCH_FIELD_SPACED_OCTETS);
    token_append_words(text, &words);
    buffer_append_octet(decoded, '\n');
    buffer_append(decoded, buffer_slice(&words));
    decoded->failed = decoded->failed || words.failed;
    buffer_clear(&words);
}

void search_decode_field(const struct header_field *field, struct buffer *decoded)
{
    struct buffer unfolded = BUFFER_WITH_LIMIT(SEARCH_FIELD_OCTETS);
    header_unfold(slice_range(field->body, 0, SEARCH_FIELD_OCTETS), &unfolded);
    encoded_word_decode(buffer_slice(&unfolded), decoded);
    append_spaced_once(decoded);
    decoded->failed = decoded->failed || unfolded.failed;
    buffer_clear(&unfolded);
}

static void feed_addresses(struct search_text *text, const struct header_field *field)
{
    struct buffer decoded = BUFFER_WITH_LIMIT(SEARCH_FIELD_DECODED_OCTETS);
    search_decode_addresses(field, &decoded);
    text->failed = text->failed || decoded.failed;
    search_text_feed(text, SEARCH_IN_FIELD, field->name, buffer_slice(&decoded));
    search_text_end(text);
    buffer_clear(&decoded);
}

/* The value for terms of the field, "Name: value" for those of all the header. */
static void feed_field(struct search_text *text, unsigned scopes, const struct header_field *field)
{
    struct buffer decoded = BUFFER_WITH_LIMIT(SEARCH_FIELD_DECODED_OCTETS);
    search_decode_field(field, &decoded);
    text->failed = text->failed || decoded.failed;
    search_text_feed(text, scopes & SEARCH_IN_FIELD, field->name, buffer_slice(&decoded));
    search_text_end(text);
    if (search_holds_addresses(field->name)
        && wants_field(text, scopes & SEARCH_IN_FIELD, field->name))
        feed_addresses(text, field);
    unsigned rest = scopes & ~(unsigned)SEARCH_IN_FIELD;
    search_text_feed(text, rest, field->name, field->name);
    search_text_feed(text, rest, field->name, SLICE(": "));
    search_text_feed(text, rest, field->name, buffer_slice(&decoded));
    search_text_end(text);
    buffer_clear(&decoded);
}

/* What it costs to look through a header, in octets: an empty line has its price, too. */
static size_t cost_of(struct slice header)
{
    enum { LINE_COST = 32 };
    size_t cost = 1;
    for (size_t at = 0; at < header.len; at++) {
        size_t length = slice_find_octet(slice_from(header, at), '\n');
        cost += length + LINE_COST;
        at += length;
    }
    return cost;
}

/* As many terms as may be looked for in it. */
static void begin_turn(struct search_text *text, struct slice header)
{
    size_t terms = SEARCH_COMPARED_IN_HEADER / cost_of(header) + 1;
    text->behind = text->first;
    for (; terms > 0 && text->behind; terms--)
        text->behind = text->behind->next;
}

/* True: it was the last one; all are looked for again. */
static bool end_turn(struct search_text *text)
{
    bool last = !text->behind;
    text->first = last ? text->terms : text->behind;
    text->behind = NULL;
    return last;
}

bool search_text_feed_header(struct search_text *text, struct slice header, bool inside)
{
    struct cursor in = cursor_of(header);
    struct header_field field;
    unsigned scopes = inside ? SEARCH_IN_BODY : SEARCH_IN_FIELD | SEARCH_IN_HEADER;
    bool takes_grams = text->grams && text->first == text->terms;
    begin_turn(text, header);
    while (header_next(&in, &field))
        if (takes_grams || wants_field(text, scopes, field.name))
            feed_field(text, scopes, &field);
    return end_turn(text);
}
