/*
 * Formats the report to a message's sender as a complete message: RFC 3464 (delivery status), RFC
 * 6522 (multipart/report), RFC 6533 (UTF-8 addresses), RFC 3834 5 (Auto-Submitted). report.c
 * decides on recipients and contents. Pure; the queue only.
 */
#ifndef SMTPD_QUEUE_OUTCOME_BOUNCE_H
#define SMTPD_QUEUE_OUTCOME_BOUNCE_H

#include "common/buffer.h"
#include "common/slice.h"
#include "smtpd/queue/outcome/outcome_text.h"

enum bounce_action {
    BOUNCE_FAILED,
    BOUNCE_DELAYED,
    BOUNCE_RELAYED, /* passed to another host that does not send reports */
    BOUNCE_DELIVERED,
    BOUNCE_ACTIONS,
};

enum bounce_kind {
    BOUNCE_TO_SENDER,
    BOUNCE_DOUBLE,     /* to postmaster: a report could not be delivered */
    BOUNCE_QUARANTINE, /* to postmaster: a message is held because processes crash on it */
};

struct bounce_recipient {
    enum bounce_action action;
    struct slice address;     /* as given at RCPT, or as it was sent to */
    struct slice orcpt;       /* decoded "type;address"; empty: none */
    struct outcome_text text; /* a code that does not fit the action is replaced by a general one */
    int64_t last_attempt;     /* seconds since 1970; 0: not known */
    int64_t retry_until;      /* BOUNCE_DELAYED: seconds since 1970 */
};

enum { BOUNCE_BOUNDARY_MAX = 60 };

struct bounce {
    enum bounce_kind kind;
    struct slice hostname;
    const char *id;          /* of the report */
    const char *original_id; /* of the message reported on */
    const char *boundary;    /* up to BOUNCE_BOUNDARY_MAX unguessable letters and digits */
    struct slice to;         /* recipient of the report: the reverse-path, or postmaster */
    struct slice envid;      /* decoded; empty: none */
    int64_t arrival;         /* arrival of the message, seconds since 1970 */
    int64_t now;
    bool utf8; /* the message came with SMTPUTF8 */
    const struct bounce_recipient *recipients;
    size_t recipient_count;
    const struct slice *original; /* the message, or its header section, in pieces */
    size_t original_count;
    bool whole; /* `original` is the whole message; false: only its header section */
};

/* Appends the report. Failure is recorded in the buffer. */
void bounce_format(const struct bounce *bounce, struct buffer *out);

/* Append the text before and after the original, which is written separately (original_count is
 * 0). */
void bounce_append_begin(const struct bounce *bounce, struct buffer *out);
void bounce_append_end(const char *boundary, struct buffer *out);

/* The octets of a text's header section, without the empty line; all if there is no empty line. For
 * the last piece of `original`. */
size_t bounce_header_octets(struct slice text);

#endif
