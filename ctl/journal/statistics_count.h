/*
 * What an event adds to the statistics: (table, name, index) counters, each by one. Pure; the
 * journal only. Events and their roles: docs/log.md.
 */
#ifndef CTL_JOURNAL_STATISTICS_COUNT_H
#define CTL_JOURNAL_STATISTICS_COUNT_H

#include "common/log.h"

/* Numbers may be added but never reused: they are in keys on disk. */
enum statistics_table {
    STATISTICS_TOTAL = 1, /* name: empty; index: enum statistics_counter */
    STATISTICS_DOMAIN,    /* of the recipient, the same */
    STATISTICS_SENDER,    /* reverse-path, the same */
    STATISTICS_OPERATOR,  /* of the receiving server's operator, the same */
    STATISTICS_REFUSAL,   /* name: a class; index: enum statistics_refuser */
    STATISTICS_DELAY,     /* name: "delivered" or "relayed"; index: of a span of time */
    STATISTICS_TLS,       /* of the recipient's domain; index: enum statistics_tls */
    STATISTICS_TLS_FAULT, /* name: a result-type of RFC 8460 4.3; index 0 */
    STATISTICS_TABLES,
};

enum statistics_counter {
    STATISTICS_ACCEPTED,  /* messages on disk; of a domain: their recipients */
    STATISTICS_DELIVERED, /* recipients whose mail is in a Maildir here */
    STATISTICS_RELAYED,   /* recipients whose mail another server took */
    STATISTICS_DEFERRED,  /* attempts for a recipient that will be repeated */
    STATISTICS_BOUNCED,   /* recipients given up */
    STATISTICS_REFUSED,   /* recipients, senders and messages refused at our door; of an operator:
                             recipients that its servers did not take */
    STATISTICS_COUNTERS,
};

/* How mail was protected on its way to a server, by the strongest that applied; and how often TLS,
 * or the policy to check it by, failed. */
enum statistics_tls {
    STATISTICS_TLS_DANE,
    STATISTICS_TLS_STS,        /* a certificate for the host's name, as the policy demands */
    STATISTICS_TLS_VERIFIED,   /* the same without being asked */
    STATISTICS_TLS_UNVERIFIED, /* encrypted, to whoever it was */
    STATISTICS_TLS_NONE,
    STATISTICS_TLS_FAILED,
};

enum statistics_refuser { STATISTICS_BY_US, STATISTICS_BY_OTHERS, STATISTICS_REFUSERS };

/* The classes of refusals. */
enum { STATISTICS_CLASSES = 7 };
extern const char *const statistics_classes[STATISTICS_CLASSES];

enum {
    STATISTICS_NAME_MAX = 128, /* octets; the rest of a longer name is cut */
    STATISTICS_SPANS = 128,
};

/* What the event `queued` says about a message. */
struct statistics_origin {
    bool is_known;
    uint64_t accepted_us;
    size_t sender_octets;
    uint8_t sender[STATISTICS_NAME_MAX];
};

/* `name` is borrowed, printable UTF-8 without control characters. False stops counting. */
typedef bool statistics_emit(void *context, enum statistics_table table, struct slice name,
                             unsigned index);

/* Whether the event is about a queued message but does not name its sender: then statistics_count
 * needs the origin of the message `id` (borrowed). */
bool statistics_wants_origin(unsigned role_kind, const struct log_entry *entry, struct slice *id);

/* Whether the event gives an origin, and of which message. */
bool statistics_tells_origin(unsigned role_kind, const struct log_entry *entry, struct slice *id,
                             struct statistics_origin *origin);

/* With an unknown origin the sender counts as null, and there is no delay. An event counts only
 * from the role responsible for it. False if `emit` returned false. */
bool statistics_count(unsigned role_kind, const struct log_entry *entry,
                      const struct statistics_origin *origin, statistics_emit *emit, void *context);

/* One of statistics_classes, by the enhanced status code (RFC 3463, RFC 7372, RFC 7505) that the
 * text starts with; "other" without one. Static. */
const char *statistics_refusal_class(struct slice text);

/* Spans of a delay: four for each doubling of milliseconds, so a percentile is at most a quarter
 * too long. The last one has no end. statistics_span_end: the longest delay in it, in ms. */
unsigned statistics_span(uint64_t delay_ms);
uint64_t statistics_span_end(unsigned span);

#endif
