/*
 * The server side of SASL: turns the base64 lines of SMTP AUTH (RFC 4954), IMAP AUTHENTICATE (RFC
 * 9051 6.2.2) and POP3 AUTH (RFC 5034) into questions for `auth`. Of PLAIN (RFC 4616) and LOGIN it
 * parses name and password; the messages of SCRAM (RFC 7677), OAUTHBEARER (RFC 7628), XOAUTH2 and
 * EXTERNAL (RFC 4422 A) it only decodes. It checks none of them. Pure; session and login processes.
 *
 *     sasl_start ──> SASL_CONTINUE ──(challenge out, line in)──> sasl_respond ──> ...
 *         │              ├──> SASL_ASK: auth's answer is the next challenge
 *         └──────────────┴──> SASL_DONE | SASL_CANCELLED | SASL_MALFORMED, then sasl_clear
 */
#ifndef COMMON_LOGIN_SASL_H
#define COMMON_LOGIN_SASL_H

#include "common/slice.h"
#include "common/text/base64.h"

enum {
    SASL_NAME_LIMIT = 255,     /* octets of each name, RFC 4616 2 */
    SASL_PASSWORD_LIMIT = 511, /* octets, as PAM_MAX_RESP_SIZE */
    SASL_MESSAGE_LIMIT = 8192, /* octets; room for an access token */

    /* The longest response that can succeed: octets of base64, without the line end. */
    SASL_LINE_LIMIT = BASE64_LENGTH(SASL_MESSAGE_LIMIT),
};

/* In the order in which they are offered. */
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
    SASL_DONE,      /* names and password are complete, but not checked */
    SASL_ASK,       /* send `message` to auth; its answer ends the exchange, or is a challenge for
                       the client, whose next line goes to sasl_respond() */
    SASL_CANCELLED, /* the client sent "*" */
    SASL_MALFORMED, /* not base64, or invalid for the mechanism: empty, too long, not UTF-8 */
};

struct sasl {
    enum sasl_mechanism mechanism;

    /* Valid after SASL_DONE. They point into this struct, so it must not be copied. */
    struct slice authorization_id;  /* the identity to act as; empty: authentication_id */
    struct slice authentication_id; /* UTF-8, 1 to SASL_NAME_LIMIT octets, no NUL */
    struct slice password;          /* 1 to SASL_PASSWORD_LIMIT octets, no NUL */

    /* Valid after SASL_ASK. Points into this struct too. */
    struct slice message; /* may be empty */
    unsigned messages;    /* in this exchange, including this one */

    uint8_t octets[SASL_MESSAGE_LIMIT];
};

/* What decides which mechanisms are offered, on connections where passwords may be sent. */
enum sasl_means {
    SASL_HAS_SCRAM = 1 << 0,       /* auth allows SCRAM to be offered */
    SASL_HAS_TLS = 1 << 1,         /* there is a TLS channel to bind to */
    SASL_HAS_TOKENS = 1 << 2,      /* oauth { } is configured */
    SASL_HAS_CERTIFICATE = 1 << 3, /* the client has sent a certificate */
};

/* The set of offered mechanisms: bits 1 << mechanism. */
unsigned sasl_offer(unsigned means);

/* Finds an offered mechanism by its name, ignoring case. */
bool sasl_find_mechanism(struct slice name, unsigned offered, enum sasl_mechanism *mechanism);

/* Appends the names of the offered mechanisms, each between `before` and `after`. */
void sasl_append_mechanisms(unsigned offered, const char *before, const char *after,
                            struct buffer *text);

/* Begins an exchange. `initial` is the initial response as the client wrote it ("=" is an empty
 * one), NULL if there was none. *challenge is for SASL_CONTINUE: base64, static, may be empty. */
enum sasl_result sasl_start(struct sasl *sasl, enum sasl_mechanism mechanism,
                            const struct slice *initial, struct slice *challenge);

/* Takes the client's line, without CRLF: after SASL_CONTINUE, or SASL_ASK and its answer. */
enum sasl_result sasl_respond(struct sasl *sasl, struct slice line, struct slice *challenge);

/* Zeroes everything, the password first of all. May run twice, and on a zeroed struct. */
void sasl_clear(struct sasl *sasl);

#endif
