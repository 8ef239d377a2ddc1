/*
 * The body of a message as SEARCH looks through it: the text of all text parts and reports, and the
 * headers of the messages inside, transfer encodings undone, as UTF-8 (RFC 3501 6.4.4). Pure;
 * imapd-mailbox.
 */
#ifndef IMAPD_SEARCH_SEARCH_BODY_H
#define IMAPD_SEARCH_SEARCH_BODY_H

#include "common/mime/charset.h"
#include "common/mime/decode.h"
#include "common/mime/scan.h"
#include "imapd/search/search_text.h"

/* A run of octets to look through. */
struct search_run {
    const struct mime_part *part; /* NULL: there is none */
    bool is_header;               /* of a message inside; else the body of a text part */
    struct mime_span span;
};

/* The first run of the message; then the one after another. */
struct search_run search_run_first(const struct mime_part *root);
struct search_run search_run_next(const struct search_run *run);

/* What the octets of a part's body are. Text that says nothing is US-ASCII (RFC 2045 5.2); taken
 * for UTF-8, which has it in itself. Of a charset that is not known the ASCII in it is found. */
enum decode_encoding search_body_encoding(const struct mime_part *part);
const struct charset *search_body_charset(const struct mime_part *part);

/* The octets of one run, fed in order. */
struct search_body {
    struct search_text *text; /* borrowed */
    bool is_header;
    struct decode decode;
    struct charset_decoder charset;
    struct buffer octets; /* decoded, of one piece; of a header, all that has come */
    struct buffer utf8;
};

/* What search_body_feed takes at once, and what is looked at of a header. */
enum { SEARCH_PIECE_OCTETS = 65536, SEARCH_HEADER_OCTETS = 1 << 20 };

void search_body_begin(struct search_body *body, struct search_text *text,
                       const struct search_run *run);
void search_body_feed(struct search_body *body, struct slice piece);
/* False: call it again, as search_text_feed_header() says. */
bool search_body_end(struct search_body *body);
/* Whether it was ended or not; may run twice. */
void search_body_clear(struct search_body *body);

#endif
