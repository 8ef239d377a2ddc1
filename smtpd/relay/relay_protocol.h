/*
 * How `queue` has mail sent to other hosts. Several messages are under way at once; each is
 * answered once, when the fate of all its recipients in that attempt is known.
 *
 *   queue ── RELAY_MESSAGE / RELAY_MESSAGE_FILE ──> relay
 *   queue <─ RELAY_RESULT (one for each message) ── relay
 *
 *   queue <─ RELAY_TLS_SESSION (one for each connection to a host of the DNS) ── relay
 *   queue ── RELAY_TLS_LOOKUP ──> relay
 *   queue <─ RELAY_TLS_RECORD ─── relay
 *
 * A *destination* is what recipients are gathered by: a domain ("example.org"); or '=', the name of
 * a route that the configuration has for the sender, '/' and that sender
 * ("=far.example/news@ours.example"). Before either stands '~' where the message is to go although
 * the receiver's DANE and MTA-STS cannot be kept to (RFC 8689 5), '!' where it demands REQUIRETLS.
 * TLS reports that are wanted by HTTPS have "https://", the host and perhaps its port; their
 * recipients are URIs, their body is the report, gzip'd (RFC 8460 5.4). All messages of one
 * destination go to the same relay process, which keeps its connections. Queue sends the first
 * message of a destination alone; each result says how many may be under way from then on, so a
 * destination that takes mail gets more and one that does not answer holds one place, whatever
 * waits for it.
 */
#ifndef SMTPD_RELAY_RELAY_PROTOCOL_H
#define SMTPD_RELAY_RELAY_PROTOCOL_H

#include "common/role/ipc.h"
#include "smtpd/filter/filter_protocol.h"
#include "smtpd/tls_report/tls_record.h"
#include "smtpd/tls_report/tls_session.h"

enum relay_record {
    RELAY_MESSAGE = 1,
    RELAY_MESSAGE_FILE, /* one descriptor: the body, read-only */
    RELAY_TLS_LOOKUP,   /* does the domain ask for TLS reports? RFC 8460 3 */
    RELAY_RESULT = 101,
    RELAY_TLS_SESSION, /* how a connection was secured; unasked */
    RELAY_TLS_RECORD,  /* the answer to RELAY_TLS_LOOKUP */
    RELAY_LEAVES, /* the header alone: finishes what it has (a reload), is to get nothing more */
};

enum {
    RELAY_RECIPIENTS_MAX = 100, /* of one record, as many as every server takes (RFC 5321
                                   4.5.3.1.8); more recipients are more records */
    RELAY_TEXT_MAX = 1024,      /* octets of an outcome's text */
    RELAY_WINDOW_MAX = 1000,
};

struct relay_recipient {
    uint16_t address_octets; /* for RCPT TO */
    uint16_t orcpt_octets;   /* decoded "type;address"; 0: none */
    uint16_t notify;         /* enum queue_notify */
    uint16_t reserved;
};

/* `recipients` structs; then of each the address and the ORCPT; then destination, reverse-path
 * (empty: null), envid, id as text, prefix, cuts (structs), then the body unless it is in a file.
 * The message: prefix, body less cuts. */
struct relay_message {
    struct ipc_header header;
    uint64_t id;
    int64_t deliver_by;  /* RFC 2852, seconds since 1970; 0: none */
    uint32_t flags;      /* enum queue_submit_flags: SMTPUTF8, 8BITMIME, RET, REQUIRETLS */
    uint16_t recipients; /* 1..RELAY_RECIPIENTS_MAX */
    uint16_t destination_octets;
    uint16_t reverse_path_octets;
    uint16_t envid_octets;
    uint16_t id_octets;
    uint16_t cuts;
    uint32_t prefix_octets;
    uint32_t reserved;
    uint64_t body_octets;
};

enum relay_status {
    RELAY_DONE = 1, /* the peer answered 2xx to the message for this recipient */
    RELAY_TEMPORARY,
    RELAY_PERMANENT,
};

enum relay_outcome_flags {
    RELAY_PEER_SAID = 1,  /* the reply is the peer's own */
    RELAY_KEEPS_DSN = 2,  /* RELAY_DONE: the peer offered DSN, so a success report is its affair */
    RELAY_KEEPS_TIME = 4, /* RELAY_DONE: the peer was told deliver_by, and offered to keep to it */
};

/* One for each recipient, in the order of the question, then their texts. A text is up to three
 * lines, as smtpd/queue/outcome/outcome_text.h writes and reads them: "5.1.1 words for people", the
 * peer's whole reply with its code ("550 5.1.1 no such user"; empty if it said nothing), the peer
 * ("mx.example.org [192.0.2.1]"; empty if there was none). */
struct relay_outcome {
    uint16_t status; /* enum relay_status */
    uint16_t flags;  /* enum relay_outcome_flags */
    uint16_t text_octets;
    uint16_t reserved;
};
struct relay_result {
    struct ipc_header header; /* request: of the message */
    uint64_t id;
    uint32_t recipients;
    uint32_t window;  /* messages of this destination that may be under way from now on: 1 to
                         RELAY_WINDOW_MAX */
    uint32_t wait_ms; /* not 0: the destination itself failed (it cannot be reached, or asked for
                         less); nothing else is to be sent there for so long */
    uint32_t reserved;
};

/* A run of smtpd/tls_report/tls_session.h follows. A full channel drops it. */
struct relay_tls_session {
    struct ipc_header header;
    int64_t at; /* seconds since 1970 */
};

/* The domain follows: as in the run. */
struct relay_tls_lookup {
    struct ipc_header header;
};

enum relay_tls_status {
    RELAY_TLS_FOUND = 1, /* the URIs of its rua follow, as tls_record_find_uris() writes them */
    RELAY_TLS_NONE,
    RELAY_TLS_UNKNOWN, /* the DNS does not say */
};
struct relay_tls_record {
    struct ipc_header header; /* request: of the question */
    uint16_t status;          /* enum relay_tls_status */
    uint16_t reserved[3];
};

#endif
