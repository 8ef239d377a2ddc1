/*
 * The records on disk for a message and for each of its recipients: formats and parses two structs.
 * Pure: no I/O, results borrow from the record. The queue only.
 *
 * A record begins with its version number. Version 2 is written; version 1, without destinations,
 * stays readable for ever, since a queue outlives an upgrade.
 */
#ifndef SMTPD_QUEUE_STORE_RECORD_H
#define SMTPD_QUEUE_STORE_RECORD_H

#include "common/buffer.h"
#include "common/error.h"
#include "common/slice.h"
#include "smtpd/filter/filter_protocol.h"
#include "smtpd/queue/outcome/outcome_text.h"

enum {
    STORED_TEXT_MAX = 65535, /* octets of one text in a record */

    /* The longest possible records, in octets. */
    STORED_MESSAGE_MAX =
        64 + 3 * STORED_TEXT_MAX + 8 * FILTER_CUTS_MAX + FILTER_PREFIX_MAX + FILTER_INLINE_MAX,
    STORED_RECIPIENT_MAX = 64 + 4 * STORED_TEXT_MAX + OUTCOME_TEXT_MAX,
};

/* The bits that a record may have set: enum queue_submit_flags and enum queue_notify. */
#define STORED_FLAGS_ALL 0x3ffU
#define STORED_NOTIFY_ALL 0x0fU

/* A message: envelope, recipe, and the body as it was received. Its key is the id. */
struct stored_message {
    int64_t arrival;           /* seconds since 1970, wall clock */
    int64_t deliver_by;        /* RFC 2852, seconds since 1970; 0: none */
    uint64_t session;          /* number in the log */
    uint32_t flags;            /* enum queue_submit_flags (queue_protocol.h) */
    struct slice reverse_path; /* empty: null */
    struct slice envid;        /* RFC 3461 4.4, decoded; empty: none */
    struct slice account;      /* account of the submitter; empty: it came from outside */
    struct slice prefix;       /* header fields to put before the body */
    struct slice cuts;         /* see stored_cut() */
    size_t cut_count;
    uint64_t body_octets;
    struct slice body; /* empty with QUEUE_IN_SPOOL: the file is named like the id */
};

enum stored_state {
    STORED_WAITING = 1, /* tried when it is due */
    STORED_HELD,        /* not tried until an administrator releases it */
};

/* The kind of message, which decides who is told if it cannot be delivered. */
enum stored_purpose {
    STORED_MAIL,   /* the sender is told */
    STORED_REPORT, /* our report to a sender: postmaster is told */
    STORED_NOTICE, /* our report to postmaster: nobody is told */
    STORED_COPY,   /* a submitted message for the account's \Sent mailbox: nobody is told */
};

/* One recipient. Its key is the id and a number within the message. */
struct stored_recipient {
    enum stored_state state;
    enum stored_purpose purpose;
    bool warned;              /* the sender was told that it waits */
    bool by_return;           /* QUEUE_BY_RETURN: returned after deliver_by */
    bool forwarded;           /* QUEUE_FORWARDED: sent with an SRS reverse-path */
    uint32_t notify;          /* enum queue_notify (queue_protocol.h) */
    uint32_t attempts;        /* failed attempts */
    int64_t arrival;          /* of the message: seconds since 1970, wall clock */
    int64_t release;          /* RFC 4865, wall clock: not tried before; 0: tried at once */
    int64_t deliver_by;       /* RFC 2852, wall clock; 0: no deadline */
    int64_t due;              /* of the next attempt: seconds since 1970, wall clock */
    uint64_t sender;          /* a number that messages of one sender share; 0: not known */
    struct slice account;     /* for local delivery; else empty */
    struct slice destination; /* for other hosts (relay_protocol.h), else empty. Both empty: `auth`
                                 has not resolved the address yet */
    struct slice address;     /* local: as given at RCPT; else the address to send to */
    struct slice orcpt;       /* RFC 3461 4.2, decoded "type;address"; empty: none */
    struct slice reply;       /* outcome_text of the last attempt; empty: none yet */
};

/* Appends the record. Failure is the buffer's: no memory, or a text too long. The argument `cuts`
 * is used, not message->cuts. */
void stored_message_format(const struct stored_message *message, const struct filter_cut *cuts,
                           struct buffer *out);
void stored_recipient_format(const struct stored_recipient *recipient, struct buffer *out);

/* False with ERROR_PERMANENT, the result untouched: not such a record, or damaged. */
bool stored_message_parse(struct slice record, struct stored_message *message, struct error *error);
bool stored_recipient_parse(struct slice record, struct stored_recipient *recipient,
                            struct error *error);

/* The cut with that index, below cut_count. The cuts of a parsed message fit: see
 * stored_cuts_fit().
 */
struct filter_cut stored_cut(const struct stored_message *message, size_t place);

/* Whether all cuts are non-empty, ascending, apart from each other, and within a body of that
 * length. */
bool stored_cuts_fit(const struct filter_cut *cuts, size_t count, uint64_t body_octets);

#endif
