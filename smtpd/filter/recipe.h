/*
 * Makes the recipe of a message: header fields to put before it, and parts to leave out, so that
 * the message itself is never rewritten. On port 25 only trace fields change; a submission is
 * completed (RFC 6409 8), and its From must be a single field with valid addresses. Pure;
 * smtpd-filter.
 */
#ifndef SMTPD_FILTER_RECIPE_H
#define SMTPD_FILTER_RECIPE_H

#include "common/buffer.h"
#include "smtpd/filter/filter_protocol.h"

struct recipe_question {
    uint32_t flags;    /* enum filter_flags */
    struct slice helo; /* this and the fields up to `arrival`: as in struct filter_message */
    struct slice client;
    struct slice tls;
    struct slice id;
    struct slice account;
    struct slice recipient;
    int64_t arrival;
    struct slice header;   /* beginning of the message with its whole header, unless that is long */
    bool header_is_whole;  /* false: the header is longer than header_limit */
    const char *hostname;  /* of this server */
    const char *domain;    /* for accounts without a domain */
    size_t header_limit;   /* limits.header-size, octets */
    size_t received_limit; /* limits.received */
};

struct recipe {
    struct buffer prefix;
    struct filter_cut cuts[FILTER_CUTS_MAX];
    uint16_t cut_count;
    struct buffer from; /* as in filter_recipe: each a length and an address */
    uint16_t from_count;
    struct slice message_id; /* of the first Message-ID field, borrowed from the header; empty: none
                              */
    uint32_t findings;       /* enum filter_findings */
};

/* The reply to the end of DATA for a message that is refused. */
struct recipe_refusal {
    uint16_t code;
    char text[200]; /* "5.6.0 words" */
};

void recipe_init(struct recipe *recipe);
void recipe_clear(struct recipe *recipe); /* may run twice */

/*
 * False with *refusal filled: the message is refused; with 451: no memory.
 *
 *   552 5.3.4   header longer than limits.header-size
 *   554 5.4.6   more Received fields than limits.received: a loop (RFC 5321 6.3)
 *   550 5.6.0   of a submission: two From fields, invalid addresses in From or Sender, or too many
 *
 * Prefix: Received (RFC 5321 4.4, RFC 8314 4.3, RFC 6531 4.3); for a submission also Date,
 * Message-ID and From if the message has none. If the message begins with neither a field nor an
 * empty line, all of it is body, and the prefix ends with an empty line. Cuts: Return-Path, which
 * only the final delivery writes (RFC 5321 4.4); for a submission also Bcc and Resent-Bcc.
 */
bool recipe_make(const struct recipe_question *question, struct recipe *recipe,
                 struct recipe_refusal *refusal);

#endif
