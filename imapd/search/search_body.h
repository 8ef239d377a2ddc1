/*
 * The body of a message as SEARCH sees it: the text of all text parts and reports, and the headers
 * of embedded messages, without transfer encodings, as UTF-8 (RFC 3501 6.4.4). Pure; imapd-mailbox.
 */
#ifndef IMAPD_SEARCH_SEARCH_BODY_H
#define IMAPD_SEARCH_SEARCH_BODY_H

#include "common/mime/charset.h"
#include "common/mime/decode.h"
#include "common/mime/scan.h"
#include "imapd/search/search_text.h"

/* A run of octets to be searched. */
struct search_run {
    const struct mime_part *part; /* NULL: there is none */
    bool is_header;               /* header of an embedded message; else body of a text part */
    struct mime_span span;
};

/* The first run of the message; the one after `run`. */
struct search_run search_run_first(const struct mime_part *root);
struct search_run search_run_next(const struct search_run *run);

/* Encoding and charset of a part's body. Text without a charset is US-ASCII (RFC 2045 5.2), and is
 * read as UTF-8, which includes it. In an unknown charset only ASCII text is found. */
enum decode_encoding search_body_encoding(const struct mime_part *part);
const struct charset *search_body_charset(const struct mime_part *part);

/* Searches the octets of one run, fed in order. */
struct search_body {
    struct search_text *text; /* borrowed */
    bool is_header;
    struct decode decode;
    struct charset_decoder charset;
    struct buffer octets; /* decoded octets of one piece; of a header, all so far */
    struct buffer utf8;
};

/* The most that search_body_feed() takes at once, and the most of a header that is searched. */
enum { SEARCH_PIECE_OCTETS = 65536, SEARCH_HEADER_OCTETS = 1 << 20 };

void search_body_begin(struct search_body *body, struct search_text *text,
                       const struct search_run *run);
void search_body_feed(struct search_body *body, struct slice piece);
/* False: call it again (see search_text_feed_header()). */
bool search_body_end(struct search_body *body);
/* May run before or after search_body_end(), and twice. */
void search_body_clear(struct search_body *body);

#endif
