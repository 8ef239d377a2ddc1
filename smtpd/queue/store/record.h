/*
 * What stands on disk of a message and of each of its recipients: two structs as octets and back.
 * Pure: no I/O, results borrow from the record. The queue only.
 *
 * A record begins with the number of its version. What is written is version 2; version 1, without
 * destinations, stays readable for ever, since a queue outlives an upgrade.
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

    /* Records never pass these, whatever is put in. */
    STORED_MESSAGE_MAX =
        64 + 3 * STORED_TEXT_MAX + 8 * FILTER_CUTS_MAX + FILTER_PREFIX_MAX + FILTER_INLINE_MAX,
    STORED_RECIPIENT_MAX = 64 + 4 * STORED_TEXT_MAX + OUTCOME_TEXT_MAX,
};

/* The bits that a record may have set: enum queue_submit_flags and enum queue_notify. */
#define STORED_FLAGS_ALL 0x3ffU
#define STORED_NOTIFY_ALL 0x0fU

/* The body as it came, the recipe by which it is put together, the envelope. Its key is the id. */
struct stored_message {
    int64_t arrival;           /* seconds since 1970, wall clock */
    int64_t deliver_by;        /* RFC 2852, seconds since 1970; 0: none */
    uint64_t session;          /* of the log */
    uint32_t flags;            /* enum queue_submit_flags (queue_protocol.h) */
    struct slice reverse_path; /* empty: null */
    struct slice envid;        /* RFC 3461 4.4, decoded; empty: none */
    struct slice account;      /* who submitted it; empty: it came from outside */
    struct slice prefix;       /* header fields to put before the body */
    struct slice cuts;         /* see stored_cut() */
    size_t cut_count;
    uint64_t body_octets;
    struct slice body; /* empty with QUEUE_IN_SPOOL: the file is named like the id */
};

enum stored_state {
    STORED_WAITING = 1, /* tried when it is due */
    STORED_HELD,        /* not tried until an administrator takes it up */
};

/* What the message is, as far as it matters when it cannot be delivered. */
enum stored_purpose {
    STORED_MAIL,
    STORED_REPORT, /* ours, to a sender: where it fails postmaster is told */
    STORED_NOTICE, /* ours, to postmaster: where it fails nobody is told */
    STORED_COPY,   /* what the account submitted, for its \Sent mailbox; likewise */
};

/* One recipient. Its key is the id and a number within the message. */
struct stored_recipient {
    enum stored_state state;
    enum stored_purpose purpose;
    bool warned;              /* the sender knows that it waits */
    bool by_return;           /* QUEUE_BY_RETURN: too late, it is returned */
    bool forwarded;           /* QUEUE_FORWARDED: leaves with a reverse-path of ours */
    uint32_t notify;          /* enum queue_notify (queue_protocol.h) */
    uint32_t attempts;        /* made and failed */
    int64_t arrival;          /* of the message */
    int64_t release;          /* RFC 4865, wall clock: not tried before; 0: at once */
    int64_t deliver_by;       /* RFC 2852, wall clock; 0: whenever */
    int64_t due;              /* seconds since 1970, wall clock: the next attempt */
    uint64_t sender;          /* a number that messages of one sender share; 0: not known */
    struct slice account;     /* who gets it, here */
    struct slice destination; /* or where it is sent (relay_protocol.h); neither: `auth` has yet to
                                 say who is behind the address */
    struct slice address;     /* here: as given at RCPT; sent: where to */
    struct slice orcpt;       /* RFC 3461 4.2, decoded "type;address"; empty: none */
    struct slice reply;       /* of the last attempt, an outcome_text; empty: none yet */
};

/* Appends the record. Failure is the buffer's: no memory, or a text too long. `cuts` of the struct
 * is not used but what is given here. */
void stored_message_format(const struct stored_message *message, const struct filter_cut *cuts,
                           struct buffer *out);
void stored_recipient_format(const struct stored_recipient *recipient, struct buffer *out);

/* False with ERROR_PERMANENT, the result untouched: the record is none of ours, or damaged. */
bool stored_message_parse(struct slice record, struct stored_message *message, struct error *error);
bool stored_recipient_parse(struct slice record, struct stored_recipient *recipient,
                            struct error *error);

/* The cut of that place, below cut_count. A parsed message's cuts ascend, stand apart, and lie in
 * the body. */
struct filter_cut stored_cut(const struct stored_message *message, size_t place);

/* Whether cuts are such: not empty, ascending, apart, in a body of that length. For the queue's
 * intake too. */
bool stored_cuts_fit(const struct filter_cut *cuts, size_t count, uint64_t body_octets);

#endif
