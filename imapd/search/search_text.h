/*
 * Looking for strings in texts as SEARCH does: without regard to case and to how accents are put
 * together, as i;unicode-casemap (RFC 5051) wants, but with full case folding: "strasse" finds
 * "Straße". A text comes in pieces and is looked through for all terms at once. Pure;
 * imapd-mailbox.
 */
#ifndef IMAPD_SEARCH_SEARCH_TEXT_H
#define IMAPD_SEARCH_SEARCH_TEXT_H

#include "common/buffer.h"

struct header_field;
struct search_grams;

/* Appends valid UTF-8 as i;unicode-casemap compares it, UTF-8 again: title case, decomposed.
 * Failure is the buffer's; up to 18 characters may come of one. */
void search_fold(struct slice text, struct buffer *folded);

/* A field as it is compared, UTF-8: its body decoded, and behind a line end the same with single
 * spaces, as ENVELOPE shows it, if that differs; or the addresses in it, as FROM and its kin
 * look into the envelope (RFC 3501 6.4.4): what stands there may be spelt otherwise in the field.
 * Failure is the buffer's. */
enum {
    SEARCH_FIELD_OCTETS = 1 << 20,        /* that are looked at */
    SEARCH_FIELD_SPACED_OCTETS = 1 << 16, /* of one that is looked at with single spaces, too */
    SEARCH_FIELD_DECODED_OCTETS = 12 * SEARCH_FIELD_OCTETS + SEARCH_FIELD_SPACED_OCTETS + 1,
    SEARCH_FIELD_FOLDED_OCTETS = 32 << 20,
};
typedef void search_decode(const struct header_field *field, struct buffer *decoded);
search_decode search_decode_field, search_decode_addresses;
bool search_holds_addresses(struct slice name);

/* Octets times terms that are compared in one go: some milliseconds; and in a header, that has to
 * be decoded anew for each go. */
enum { SEARCH_COMPARED_OCTETS = 1 << 22, SEARCH_COMPARED_IN_HEADER = 1 << 23 };

enum search_scope {
    SEARCH_IN_FIELD = 1 << 0, /* of header fields with the term's name */
    SEARCH_IN_HEADER = 1 << 1,
    SEARCH_IN_BODY = 1 << 2,
};

/* One string to be found. Lives with the command. */
struct search_term {
    struct search_term *next;
    unsigned scopes;     /* enum search_scope: where it counts */
    struct slice field;  /* of SEARCH_IN_FIELD, in any case */
    unsigned number;     /* of the field, for search_fields.h */
    struct slice folded; /* of search_fold(); empty: of a field, that there is one */
    bool found;          /* in the message that is looked at */
    bool excluded;       /* it is not in there: the index says so */
    bool absent;         /* nor in any message of its block of the index */
};

struct search_text {
    struct search_term *terms;  /* borrowed */
    size_t count;               /* of them */
    size_t longest;             /* folded octets of any */
    struct search_term *first;  /* of those that are looked for now, and the first behind them: */
    struct search_term *behind; /* all terms, but for those of a header that wait for their turn */
    struct buffer window;       /* folded octets that a match may still begin in */
    bool failed;                /* no memory; sticky */
    struct search_grams *grams; /* takes in all that is fed, found or not; NULL: nobody wants it */
};

void search_text_init(struct search_text *text, struct search_term *terms);
void search_text_clear(struct search_text *text); /* may run twice */

/* Another message: nothing is found but the empty string, which is in every header and body. */
void search_text_reset(struct search_text *text);

/* Is anything left to find in one of these scopes? */
bool search_text_wants(const struct search_text *text, unsigned scopes);

/* The next piece of a text, UTF-8, no character cut. Marks the terms of these scopes that are in
 * it; with SEARCH_IN_FIELD those whose field is `name`. */
void search_text_feed(struct search_text *text, unsigned scopes, struct slice name,
                      struct slice piece);

/* What follows is another text. */
void search_text_end(struct search_text *text);

/* All fields of a header, decoded: of the message itself, or of one inside, which belongs to the
 * body. False: it is long, and some of the many terms have not had their turn: call it again, with
 * the same header. */
bool search_text_feed_header(struct search_text *text, struct slice header, bool inside);

#endif
