/*
 * String search for SEARCH: ignores case and the composition of accents, like i;unicode-casemap
 * (RFC 5051), but with full case folding: "strasse" finds "Straße". A text is fed in pieces and
 * searched for all terms at once. Pure; imapd-mailbox.
 */
#ifndef IMAPD_SEARCH_SEARCH_TEXT_H
#define IMAPD_SEARCH_SEARCH_TEXT_H

#include "common/buffer.h"

struct header_field;
struct search_grams;

/* Appends valid UTF-8 in the form that i;unicode-casemap compares: title case, decomposed, again
 * UTF-8. Failure is the buffer's; one character may become up to 18. */
void search_fold(struct slice text, struct buffer *folded);

/* Decodes a field for comparison, as UTF-8. search_decode_field: its body, and if that differs,
 * after a line end the same with single spaces, as ENVELOPE shows it. search_decode_addresses: its
 * addresses, since FROM etc. search the envelope (RFC 3501 6.4.4), whose spelling may differ from
 * the field's. Failure is the buffer's. */
enum {
    SEARCH_FIELD_OCTETS = 1 << 20,        /* the most of a field that is searched */
    SEARCH_FIELD_SPACED_OCTETS = 1 << 16, /* longest field also searched with single spaces */
    SEARCH_FIELD_DECODED_OCTETS = 12 * SEARCH_FIELD_OCTETS + SEARCH_FIELD_SPACED_OCTETS + 1,
    SEARCH_FIELD_FOLDED_OCTETS = 32 << 20,
};
typedef void search_decode(const struct header_field *field, struct buffer *decoded);
search_decode search_decode_field, search_decode_addresses;
bool search_holds_addresses(struct slice name);

/* Octets times terms compared in one pass: a few milliseconds; more in a header, which must be
 * decoded again for each pass. */
enum { SEARCH_COMPARED_OCTETS = 1 << 22, SEARCH_COMPARED_IN_HEADER = 1 << 23 };

enum search_scope {
    SEARCH_IN_FIELD = 1 << 0, /* in header fields with the term's name */
    SEARCH_IN_HEADER = 1 << 1,
    SEARCH_IN_BODY = 1 << 2,
};

/* One string to be found. Lives as long as the command. */
struct search_term {
    struct search_term *next;
    unsigned scopes;     /* enum search_scope: where it is searched */
    struct slice field;  /* name for SEARCH_IN_FIELD, in upper or lower case */
    unsigned number;     /* number of the field, for search_fields.h */
    struct slice folded; /* from search_fold(); empty: matches if the field exists */
    bool found;          /* in the current message */
    bool excluded;       /* the index says that it is not in the current message */
    bool absent;         /* the index says that it is in no message of the index block */
};

struct search_text {
    struct search_term *terms;  /* borrowed */
    size_t count;               /* number of terms */
    size_t longest;             /* folded octets of the longest term */
    struct search_term *first;  /* first term of this pass; all terms, except in a long header */
    struct search_term *behind; /* the term after the last one of this pass */
    struct buffer window;       /* folded octets in which a match may still begin */
    bool failed;                /* no memory; sticky */
    struct search_grams *grams; /* collects the trigrams of all that is fed; NULL: not wanted */
};

void search_text_init(struct search_text *text, struct search_term *terms);
void search_text_clear(struct search_text *text); /* may run twice */

/* Starts another message: only the empty string, which is in every header and body, is found. */
void search_text_reset(struct search_text *text);

/* Whether some term is still to be found in one of these scopes. */
bool search_text_wants(const struct search_text *text, unsigned scopes);

/* Feeds the next piece of a text, UTF-8 with whole characters. Marks the terms of these scopes
 * found in it; with SEARCH_IN_FIELD those whose field is `name`. */
void search_text_feed(struct search_text *text, unsigned scopes, struct slice name,
                      struct slice piece);

/* Ends a text: what follows is another one. */
void search_text_end(struct search_text *text);

/* Feeds all fields of a header, decoded; `inside`: of an embedded message, which is part of the
 * body. False: the header is long and some terms were not compared yet: call it again with the same
 * header. */
bool search_text_feed_header(struct search_text *text, struct slice header, bool inside);

#endif
