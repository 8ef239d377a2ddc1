/*
 * The octets of BINARY[...] and BINARY.SIZE[...] (RFC 3516 4.2, 4.3): a part without its
 * Content-Transfer-Encoding. It is decoded twice, in slices and with little memory, since the
 * number of octets, and whether NUL is among them, must be known before the first is sent.
 * imapd-mailbox.
 */
#ifndef IMAPD_FETCH_FETCH_BINARY_H
#define IMAPD_FETCH_FETCH_BINARY_H

#include "common/mime/decode.h"
#include "imapd/fetch/fetch_item.h"
#include "imapd/fetch/message_source.h"
#include "imapd/syntax/writer.h"

/* The kind of decoded data, RFC 2045 2.7 to 2.9. */
struct data_domain {
    bool has_high;  /* octets above 127: not 7bit */
    bool is_binary; /* NUL, bare CR or LF, or a line above 998 octets: not 8bit either */
    uint64_t lines; /* lines with a line end */
    uint8_t last;   /* the last octet */
    size_t in_line; /* octets in the current line */
};

struct fetch_binary {
    bool begun;
    bool measured;
    bool has_nul;              /* among the requested octets */
    bool looks;                /* `domain` is wanted */
    struct data_domain domain; /* of the whole part, once measured */
    enum decode_encoding encoding;
    struct mime_span run; /* of the message, encoded */
    uint64_t octets;      /* decoded so far; once measured, of the whole part */
    uint64_t first;       /* first requested decoded octet */
    uint64_t end;         /* end of the requested octets, exclusive */
    /* Of the current pass: */
    struct decode decode;
    uint64_t read; /* octets of `run` read */
    struct buffer piece;
};

/* False: an encoding not in RFC 2045 6.1, UNKNOWN-CTE. A part that does not exist, or that contains
 * other parts and so cannot be encoded (6.4), counts as not encoded. */
bool fetch_binary_can_decode(const struct mime_part *root, const struct section *section);

/* Begins with the item's part, or a range of it, of the message that was read. False: there is no
 * such part. */
bool fetch_binary_begin(struct fetch_binary *binary, struct message_source *source,
                        const struct fetch_item *item);

/* First pass, one slice; when done, `octets` is known. May be repeated. */
enum source_result fetch_binary_measure(struct fetch_binary *binary, struct message_source *source,
                                        struct error *error);

/* Second pass: writes the literal or literal8 with its announcement; *position as in
 * fetch_value_write(). */
enum source_result fetch_binary_write(struct fetch_binary *binary, struct message_source *source,
                                      uint64_t *position, struct writer *writer,
                                      struct error *error);

/* Once measured: "7bit", "8bit" or "binary", the transport that the decoded octets need. */
struct slice fetch_binary_domain(const struct fetch_binary *binary);

void fetch_binary_clear(struct fetch_binary *binary); /* may run twice, and on a zeroed struct */

#endif
