/*
 * The report that a message's sender gets: RFC 3464 (delivery status), RFC 6522 (multipart/report),
 * RFC 6533 (the same with UTF-8 addresses), RFC 3834 5 (Auto-Submitted). The whole message as text.
 * Pure; the queue only. Who gets a report, and of what, is report.c's.
 */
#ifndef SMTPD_QUEUE_OUTCOME_BOUNCE_H
#define SMTPD_QUEUE_OUTCOME_BOUNCE_H

#include "common/buffer.h"
#include "common/slice.h"
#include "smtpd/queue/outcome/outcome_text.h"

enum bounce_action {
    BOUNCE_FAILED,
    BOUNCE_DELAYED,
    BOUNCE_RELAYED, /* another host has it, which does not report */
    BOUNCE_DELIVERED,
    BOUNCE_ACTIONS,
};

enum bounce_kind {
    BOUNCE_TO_SENDER,
    BOUNCE_DOUBLE,     /* to postmaster: a report could not be delivered */
    BOUNCE_QUARANTINE, /* to postmaster: a message is held, since it kills who has it */
};

struct bounce_recipient {
    enum bounce_action action;
    struct slice address;     /* as given at RCPT, or where it was sent */
    struct slice orcpt;       /* decoded "type;address"; empty: none */
    struct outcome_text text; /* words without a code that fits the action: a general one is put */
    int64_t last_attempt;     /* seconds since 1970; 0: not known */
    int64_t retry_until;      /* BOUNCE_DELAYED: seconds since 1970 */
};

enum { BOUNCE_BOUNDARY_MAX = 60 };

struct bounce {
    enum bounce_kind kind;
    struct slice hostname;
    const char *id;          /* of the report */
    const char *original_id; /* of the message it is about */
    const char *boundary;    /* up to BOUNCE_BOUNDARY_MAX letters and digits that no sender could
                                guess */
    struct slice to;         /* who gets the report: the reverse-path, or postmaster */
    struct slice envid;      /* decoded; empty: none */
    int64_t arrival;         /* of the message, seconds since 1970 */
    int64_t now;
    bool utf8; /* the message came with SMTPUTF8 */
    const struct bounce_recipient *recipients;
    size_t recipient_count;
    const struct slice *original; /* the message, or its header section, in pieces */
    size_t original_count;
    bool whole; /* the message; else only its header section */
};

/* Appends the report. Failure is the buffer's. */
void bounce_format(const struct bounce *bounce, struct buffer *out);

/* What stands before the original, which comes from elsewhere (original_count is 0), and what after
 * it. */
void bounce_append_begin(const struct bounce *bounce, struct buffer *out);
void bounce_append_end(const char *boundary, struct buffer *out);

/* How many octets of a text are its header section, the empty line not counted; all, if there is no
 * empty line. For the last piece of `original`. */
size_t bounce_header_octets(struct slice text);

#endif
