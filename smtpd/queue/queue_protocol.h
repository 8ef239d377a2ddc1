/*
 * How an SMTP session puts a message into the queue.
 *
 *   session                                queue
 *      <──────────── QUEUE_IDS ─────────────     at once after the channel is there, and whenever
 *      ── QUEUE_MORE_IDS ──────────────────>     few are left
 *      ── QUEUE_SPOOL ─────────────────────>     only for a body of more than 64 KiB
 *      <─ QUEUE_SPOOLED (descriptor) ───────
 *      ── QUEUE_RECIPIENT, one a target ──>      buffered under `request`; all but the last
 *      ── QUEUE_SUBMIT ────────────────────>
 *      <─ QUEUE_COMMITTED / QUEUE_REFUSED ──     committed: on disk, and 250 may be said
 *      ── QUEUE_FORGET ────────────────────>     instead of SUBMIT: the transaction is off
 *
 * `request` is the session role's number of the transaction: all records of one message bear it.
 */
#ifndef SMTPD_QUEUE_QUEUE_PROTOCOL_H
#define SMTPD_QUEUE_QUEUE_PROTOCOL_H

#include "common/auth/token.h"
#include "common/role/ipc.h"
#include "smtpd/filter/filter_protocol.h"

enum queue_record {
    QUEUE_RECIPIENT = 1,
    QUEUE_SUBMIT,
    QUEUE_SPOOL,
    QUEUE_FORGET,
    QUEUE_MORE_IDS,

    QUEUE_IDS = 101,
    QUEUE_SPOOLED,
    QUEUE_COMMITTED,
    QUEUE_REFUSED,
    QUEUE_SPACE,
};

enum { QUEUE_IDS_LENT = 256, QUEUE_ADDRESS_MAX = 512, QUEUE_ENVID_MAX = 100 };

/* Numbers first .. first + count - 1 are the session role's to give to messages, each once. Their
 * text: smtpd/queue/queue_id.h. */
struct queue_ids {
    struct ipc_header header;
    uint64_t first;
    uint32_t count;
    uint32_t reserved;
};
struct queue_more_ids {
    struct ipc_header header;
};

/* RFC 3461 4.1 */
enum queue_notify {
    QUEUE_NOTIFY_SUCCESS = 1,
    QUEUE_NOTIFY_FAILURE = 2,
    QUEUE_NOTIFY_DELAY = 4,
    QUEUE_NOTIFY_NEVER = 8,
};

enum queue_recipient_flags {
    QUEUE_FORWARDED = 1, /* an alias led to this foreign address: a foreign sender is rewritten
                            (common/auth/srs.h) */
};

/* One account or foreign address that gets the message. The account, the address, then ORCPT
 * (decoded "type;address", may be empty) follow. With an account the address is the recipient as
 * given at RCPT (for Delivered-To and reports); without one (account_octets 0) it is where the
 * message is to be sent, and where an alias led there, ORCPT tells the recipient as given. The same
 * account or address twice, its domain in whatever case, counts once. */
struct queue_recipient {
    struct ipc_header header;
    uint16_t account_octets;
    uint16_t address_octets;
    uint16_t orcpt_octets;
    uint16_t notify;     /* of enum queue_notify; 0: not given */
    struct token permit; /* a foreign address, from a session on port 25: from auth, for this
                            address. With QUEUE_SUBMITTED the account's token permits all */
    uint32_t flags;
    uint32_t reserved;
};

enum queue_submit_flags {
    QUEUE_IN_SPOOL = 1,  /* the body is in the file that QUEUE_SPOOLED lent; the session has closed
                            its descriptor */
    QUEUE_SUBMITTED = 2, /* by an account: token and account say whose */
    QUEUE_UTF8 = 4,      /* SMTPUTF8 */
    QUEUE_8BITMIME = 8,
    QUEUE_RET_FULL = 16, /* RFC 3461 4.3 */
    QUEUE_RET_HDRS = 32,
    QUEUE_REQUIRETLS = 64,    /* RFC 8689 2: nowhere without TLS and a name that is proved */
    QUEUE_BY_RETURN = 128,    /* RFC 2852 4: too late it is returned; else only its sender told */
    QUEUE_BY_TRACE = 256,     /* and told when it goes on to a server without DELIVERBY */
    QUEUE_TLS_OPTIONAL = 512, /* TLS-Required: No, RFC 8689 3: policies are as if not there */
};

/* The last recipient as a QUEUE_RECIPIENT has it (its header does not matter), unless all came
 * before; reverse-path (empty: null), envid, account, prefix, cuts (structs), then the body unless
 * QUEUE_IN_SPOOL. */
struct queue_submit {
    struct ipc_header header;
    uint64_t id; /* one of those lent */
    uint64_t session;
    int64_t arrival;     /* seconds since 1970, as in Received */
    struct token token;  /* with QUEUE_SUBMITTED */
    uint32_t recipients; /* QUEUE_RECIPIENT records before this one plus the one in it: 1.. */
    uint32_t flags;
    uint16_t reverse_path_octets;
    uint16_t envid_octets;
    uint16_t account_octets;
    uint16_t cuts;
    uint32_t prefix_octets;
    uint32_t recipient_octets; /* 0: none is in it */
    uint64_t body_octets;
    int64_t deliver_by; /* seconds since 1970, RFC 2852; 0: whenever */
    int64_t hold_until; /* seconds since 1970, RFC 4865: not tried before; 0: at once */
};

/* QUEUE_SPOOL, QUEUE_FORGET, QUEUE_COMMITTED: the header alone. QUEUE_SPOOLED: the header and two
 * descriptors of one empty file: the first writable, to be closed before QUEUE_SUBMIT, the second
 * read-only, for `filter`, to be closed by whenever. */

/* Instead of QUEUE_SPOOLED or QUEUE_COMMITTED. The reply as in filter_refused; nothing is kept. */
struct queue_refused {
    struct ipc_header header;
    uint16_t code;
    uint16_t text_octets;
    uint32_t reserved;
};

/* To every session role when it changes: may mail be taken at all (limits.free-space)? Sessions
 * answer MAIL with 452 4.3.1 meanwhile. */
struct queue_space {
    struct ipc_header header;
    uint32_t enough; /* 1: yes, the state assumed at first */
    uint32_t reserved;
};

#endif
