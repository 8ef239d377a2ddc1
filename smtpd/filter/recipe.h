/*
 * The recipe of a message: what stands before it and what is left out of it, so that nothing ever
 * rewrites a message. On port 25 only trace fields change; a submission is completed (RFC 6409 8)
 * and held to one author who can be named. Pure; smtpd-filter.
 */
#ifndef SMTPD_FILTER_RECIPE_H
#define SMTPD_FILTER_RECIPE_H

#include "common/buffer.h"
#include "smtpd/filter/filter_protocol.h"

struct recipe_question {
    uint32_t flags;    /* enum filter_flags */
    struct slice helo; /* what follows is as in struct filter_message */
    struct slice client;
    struct slice tls;
    struct slice id;
    struct slice account;
    struct slice recipient;
    int64_t arrival;
    struct slice header;   /* the message up to its first empty line or further, or all of it */
    bool header_is_whole;  /* false: the header goes on, header_limit was reached */
    const char *hostname;  /* ours */
    const char *domain;    /* of accounts without one */
    size_t header_limit;   /* limits.header-size, octets */
    size_t received_limit; /* limits.received */
};

struct recipe {
    struct buffer prefix;
    struct filter_cut cuts[FILTER_CUTS_MAX];
    uint16_t cut_count;
    struct buffer from; /* as in filter_recipe: each a length and an address */
    uint16_t from_count;
    struct slice message_id; /* as the message's first such field has it, borrowed from the header;
                                empty: none */
    uint32_t findings;       /* enum filter_findings */
};

/* Why a message is not taken: the reply to the end of DATA. */
struct recipe_refusal {
    uint16_t code;
    char text[200]; /* "5.6.0 words" */
};

void recipe_init(struct recipe *recipe);
void recipe_clear(struct recipe *recipe); /* may run twice */

/*
 * False with *refusal filled where the message is refused, or 451 where there is no memory.
 *
 *   552 5.3.4   header longer than limits.header-size
 *   554 5.4.6   more Received fields than limits.received: a loop (RFC 5321 6.3)
 *   550 5.6.0   of a submission: From twice, From or Sender that is no address, or too many of them
 *
 * The prefix: Received (RFC 5321 4.4, RFC 8314 4.3, RFC 6531 4.3); of a submission also Date,
 * Message-ID and From where the message has none. An empty line ends it where the message begins
 * with neither a field nor an empty line: then all of it is body. The cuts: Return-Path, which only
 * the final delivery writes (RFC 5321 4.4); of a submission also Bcc and Resent-Bcc.
 */
bool recipe_make(const struct recipe_question *question, struct recipe *recipe,
                 struct recipe_refusal *refusal);

#endif
