/*
 * The server's side of SASL PLAIN (RFC 4616) and LOGIN, and of SCRAM (RFC 7677), OAUTHBEARER (RFC
 * 7628), XOAUTH2 and EXTERNAL (RFC 4422 A) the part that carries messages, between the base64 lines
 * of SMTP AUTH (RFC 4954), IMAP AUTHENTICATE (RFC 9051 6.2.2) and POP3 AUTH (RFC 5034) and the
 * names and password that `auth` is asked about, or the messages. It decides nothing about them.
 * Pure; session and login processes.
 *
 *     sasl_start ──> SASL_CONTINUE ──(challenge out, line in)──> sasl_respond ──> ...
 *         │              ├──> SASL_ASK, and what auth says to it is the next challenge
 *         └──────────────┴──> SASL_DONE | SASL_CANCELLED | SASL_MALFORMED, then sasl_clear
 */
#ifndef COMMON_LOGIN_SASL_H
#define COMMON_LOGIN_SASL_H

#include "common/slice.h"
#include "common/text/base64.h"

enum {
    SASL_NAME_LIMIT = 255,     /* octets of each name, RFC 4616 2 */
    SASL_PASSWORD_LIMIT = 511, /* octets, as PAM_MAX_RESP_SIZE has it */
    SASL_MESSAGE_LIMIT = 8192, /* octets; of one with an access token */

    /* No response that can succeed is longer than this, in base64, without its line end. */
    SASL_LINE_LIMIT = BASE64_LENGTH(SASL_MESSAGE_LIMIT),
};

/* In the order in which they are named to clients. */
enum sasl_mechanism {
    SASL_PLAIN,
    SASL_LOGIN,
    SASL_SCRAM_SHA_256,
    SASL_SCRAM_SHA_256_PLUS,
    SASL_OAUTHBEARER,
    SASL_XOAUTH2,
    SASL_EXTERNAL,
    SASL_MECHANISMS,
};

enum sasl_result {
    SASL_CONTINUE,  /* send the challenge; the client's next line goes to sasl_respond() */
    SASL_DONE,      /* names and password are there, none of them checked */
    SASL_ASK,       /* `message` is for auth; its answer ends the exchange, or goes to the client,
                       whose next line goes to sasl_respond() */
    SASL_CANCELLED, /* the client sent "*" */
    SASL_MALFORMED, /* no base64, or not what the mechanism wants: empty, too long, not UTF-8 */
};

struct sasl {
    enum sasl_mechanism mechanism;

    /* With SASL_DONE. They point into this struct, so it must not be copied. */
    struct slice authorization_id;  /* whom to act as; empty: whom authentication_id says */
    struct slice authentication_id; /* UTF-8, 1 to SASL_NAME_LIMIT octets, no NUL */
    struct slice password;          /* 1 to SASL_PASSWORD_LIMIT octets, no NUL */

    /* With SASL_ASK, likewise. */
    struct slice message; /* perhaps empty */
    unsigned messages;    /* with this one */

    uint8_t octets[SASL_MESSAGE_LIMIT];
};

/* What there is for it, where passwords may be sent at all. */
enum sasl_means {
    SASL_HAS_SCRAM = 1 << 0,       /* auth says so */
    SASL_HAS_TLS = 1 << 1,         /* to bind to */
    SASL_HAS_TOKENS = 1 << 2,      /* oauth { } is configured */
    SASL_HAS_CERTIFICATE = 1 << 3, /* the client has shown one */
};

/* A bit, 1 << mechanism, for each that is offered. */
unsigned sasl_offer(unsigned means);

/* The name of one that is offered, in any case. */
bool sasl_find_mechanism(struct slice name, unsigned offered, enum sasl_mechanism *mechanism);

/* Appends the names of those that are offered, `before` and `after` around each. */
void sasl_append_mechanisms(unsigned offered, const char *before, const char *after,
                            struct buffer *text);

/* Begins an exchange. `initial` is the initial response as the client wrote it ("=" is an empty
 * one), NULL if there was none. *challenge, base64 of ours and possibly empty, is for
 * SASL_CONTINUE. */
enum sasl_result sasl_start(struct sasl *sasl, enum sasl_mechanism mechanism,
                            const struct slice *initial, struct slice *challenge);

/* Takes the client's line, without CRLF: after SASL_CONTINUE, or SASL_ASK and its answer. */
enum sasl_result sasl_respond(struct sasl *sasl, struct slice line, struct slice *challenge);

/* Zeroes everything, the password first of all. May run twice, and on a zeroed struct. */
void sasl_clear(struct sasl *sasl);

#endif
