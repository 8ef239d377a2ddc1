/*
 * Records between SMTP sessions and `filter`. The answer is a recipe, by which `deliver` and
 * `relay` put the message together; the filter never rewrites a message.
 *
 *   session ── FILTER_MESSAGE ──> filter ── FILTER_RECIPE or FILTER_REFUSED ──> session
 */
#ifndef SMTPD_FILTER_FILTER_PROTOCOL_H
#define SMTPD_FILTER_FILTER_PROTOCOL_H

#include "common/role/ipc.h"

enum filter_record {
    FILTER_MESSAGE = 1,  /* the body of at most FILTER_INLINE_MAX octets follows */
    FILTER_MESSAGE_FILE, /* one descriptor: the body, read-only */
    FILTER_RECIPE = 101,
    FILTER_REFUSED,
};

enum {
    FILTER_INLINE_MAX = 65536, /* octets of a body that travels in records */
    FILTER_PREFIX_MAX = 16384, /* octets of a recipe's prefix */
    FILTER_CUTS_MAX = 256,
    FILTER_FROM_MAX = 16,   /* From and Sender addresses reported */
    FILTER_TEXT_MAX = 4096, /* octets of all texts of a FILTER_MESSAGE together */
};

/* How the message was received: for the Received field, and for what the recipe may change. */
enum filter_flags {
    FILTER_SUBMISSION = 1, /* authenticated: complete Date and Message-ID, cut Bcc, report From */
    FILTER_ESMTP = 2,      /* EHLO, not HELO */
    FILTER_UTF8 = 4,       /* SMTPUTF8 was asked for: "UTF8SMTP" in `with`, RFC 6531 4.3 */
};

/* Texts follow in the order of their lengths, then the body (or none: it is in the descriptor).
 * tls is "TLS1.3 TLS_AES_256_GCM_SHA384" in two words, empty without TLS. `recipient` is given with
 * exactly one recipient, for Received's `for`. */
struct filter_message {
    struct ipc_header header;
    uint32_t flags;
    uint16_t helo_octets;   /* as the client gave it */
    uint16_t client_octets; /* its address as text: 192.0.2.1, 2001:db8::1 */
    uint16_t tls_octets;
    uint16_t id_octets;      /* the queue id as text */
    uint16_t account_octets; /* the authenticated account; put into no header field */
    uint16_t recipient_octets;
    uint64_t body_octets; /* of the whole message, header section included */
    int64_t arrival;      /* seconds since 1970 */
};

/* What the filter found in the header. */
enum filter_findings {
    FILTER_TLS_OPTIONAL = 1, /* TLS-Required: No, RFC 8689 3 */
};

/* Octets to leave out of the body: [offset, offset + octets), ascending, apart, in the header. */
struct filter_cut {
    uint32_t offset;
    uint32_t octets;
};

/* The prefix, then `cuts` structs, then `from_count` times an uint16_t length and an address (as
 * address_format() gives it): those in From and Sender of a submission, which the session has
 * checked by AUTH_SENDER. The prefix consists of whole header fields with CRLF; it is put before
 * the body less the cuts. */
struct filter_recipe {
    struct ipc_header header;
    uint32_t prefix_octets;
    uint16_t cuts;
    uint16_t from_count;
    uint32_t findings; /* enum filter_findings */
    uint32_t reserved;
};

/* The reply to the end of DATA, without code: `code` 4yz or 5yz, "5.6.0" and words. */
struct filter_refused {
    struct ipc_header header;
    uint16_t code;
    uint16_t text_octets; /* enhanced status code, a space, words; follows */
    uint32_t reserved;
};

#endif
