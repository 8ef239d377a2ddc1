/*
 * The octets of BINARY[...] and BINARY.SIZE[...] (RFC 3516 4.2, 4.3): a part without its
 * Content-Transfer-Encoding. It is decoded twice, in slices and with little memory: how many octets
 * there are, and whether a NUL is among them, is said before the first of them. imapd-mailbox.
 */
#ifndef IMAPD_FETCH_FETCH_BINARY_H
#define IMAPD_FETCH_FETCH_BINARY_H

#include "common/mime/decode.h"
#include "imapd/fetch/fetch_item.h"
#include "imapd/fetch/message_source.h"
#include "imapd/syntax/writer.h"

/* What kind of data decoded octets are, RFC 2045 2.7 to 2.9. */
struct data_domain {
    bool has_high;  /* octets above 127: not 7bit */
    bool is_binary; /* NUL, CR or LF by itself, or a line above 998 octets: not 8bit either */
    uint64_t lines; /* that have an end */
    uint8_t last;   /* octet so far */
    size_t in_line; /* octets of the line that is read */
};

struct fetch_binary {
    bool begun;
    bool measured;
    bool has_nul;              /* among those that are wanted */
    bool looks;                /* the domain is wanted */
    struct data_domain domain; /* of all that there are, once it is measured */
    enum decode_encoding encoding;
    struct mime_span run; /* of the message, encoded */
    uint64_t octets;      /* decoded; all that there are once it is measured */
    uint64_t first;       /* that is wanted, of those */
    uint64_t end;         /* the first after them */
    /* Of the pass: */
    struct decode decode;
    uint64_t read; /* of the run */
    struct buffer piece;
};

/* False: RFC 2045 6.1 has no such encoding, UNKNOWN-CTE. A part that does not exist, and one that
 * holds others and so can have none (6.4), count as not encoded. */
bool fetch_binary_can_decode(const struct mime_part *root, const struct section *section);

/* The item's part of the message that was read, or a piece of it. False: there is no such part. */
bool fetch_binary_begin(struct fetch_binary *binary, struct message_source *source,
                        const struct fetch_item *item);

/* The first pass, a slice; at its end octets is known. May run again. */
enum source_result fetch_binary_measure(struct fetch_binary *binary, struct message_source *source,
                                        struct error *error);

/* The second, with the literal or literal8 that announces it; *position as in fetch_value_write().
 */
enum source_result fetch_binary_write(struct fetch_binary *binary, struct message_source *source,
                                      uint64_t *position, struct writer *writer,
                                      struct error *error);

/* Once it is measured: "7bit", "8bit" or "binary", what decoded octets need of a transport. */
struct slice fetch_binary_domain(const struct fetch_binary *binary);

void fetch_binary_clear(struct fetch_binary *binary); /* may run twice, and on a zeroed struct */

#endif
