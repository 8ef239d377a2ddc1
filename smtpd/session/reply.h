/*
 * SMTP replies: RFC 5321 4.2 with the enhanced status codes of RFC 2034 and 3463. Pure; sessions.
 */
#ifndef SMTPD_SESSION_REPLY_H
#define SMTPD_SESSION_REPLY_H

#include "common/buffer.h"

enum { SMTP_REPLY_LINE_LIMIT = 512 }; /* octets with CRLF, RFC 5321 4.5.3.1.5 */

struct smtp_reply {
    uint16_t code;         /* 200 to 599 */
    struct slice enhanced; /* "5.5.4"; empty: none, as for the greeting, EHLO, HELO and 3yz */
    struct slice text;     /* lines apart by "\n"; may hold a peer's octets */
};

/* A reply of literals, for tables and arguments. */
#define SMTP_REPLY(number, enhanced_code, words)                                                   \
    (struct smtp_reply)                                                                            \
    {                                                                                              \
        .code = (number), .enhanced = SLICE(enhanced_code), .text = SLICE(words)                   \
    }

/* Another process's words for a reply: "5.6.0 words". The enhanced code is taken off where there is
 * one of the class of `code`, else it is that class's "x.0.0". */
struct smtp_reply smtp_reply_of_words(uint16_t code, struct slice words);

/* Appends the reply, the enhanced code in each of its lines (RFC 2034 4). Lines too long are broken
 * at a space; octets that are not printable ASCII become "?". Failure is the buffer's. */
void smtp_reply_format(const struct smtp_reply *reply, struct buffer *out);

#endif
