/* What a server offers in its answer to EHLO or LHLO, RFC 5321 4.1.1.1. Pure; relay. */
#ifndef SMTPD_RELAY_CAPABILITIES_H
#define SMTPD_RELAY_CAPABILITIES_H

#include "smtpd/relay/peer_reply.h"

enum capability {
    OFFERS_PIPELINING = 1 << 0, /* RFC 2920 */
    OFFERS_SIZE = 1 << 1,       /* RFC 1870 */
    OFFERS_8BITMIME = 1 << 2,   /* RFC 6152 */
    OFFERS_SMTPUTF8 = 1 << 3,   /* RFC 6531; only beside 8BITMIME */
    OFFERS_CHUNKING = 1 << 4,   /* RFC 3030 */
    OFFERS_STARTTLS = 1 << 5,   /* RFC 3207 */
    OFFERS_DSN = 1 << 6,        /* RFC 3461 */
    OFFERS_ENHANCED = 1 << 7,   /* RFC 2034 */
    OFFERS_REQUIRETLS = 1 << 8, /* RFC 8689 */
    OFFERS_PLAIN = 1 << 9,      /* AUTH, RFC 4954 */
    OFFERS_LOGIN = 1 << 10,
    OFFERS_DELIVERBY = 1 << 11,   /* RFC 2852 */
    OFFERS_SCRAM_SHA_1 = 1 << 12, /* RFC 5802 */
    OFFERS_SCRAM_SHA_1_PLUS = 1 << 13,
    OFFERS_SCRAM_SHA_256 = 1 << 14, /* RFC 7677 */
    OFFERS_SCRAM_SHA_256_PLUS = 1 << 15,
};

struct capabilities {
    unsigned offered;        /* of enum capability */
    uint64_t size;           /* octets of a message; 0: not said */
    uint32_t recipients_max; /* LIMITS RCPTMAX, RFC 9422; 0: not said */
    uint32_t by_least_s; /* DELIVERBY: less it does not take where late mail is returned; 0: all */
    uint32_t messages_max; /* LIMITS MAILMAX: transactions of one connection; 0: not said */
};

/* Unknown keywords and malformed parameters count for nothing; a keyword given twice adds up. */
void capabilities_read(const struct peer_reply *reply, struct capabilities *capabilities);

static inline bool capabilities_offer(const struct capabilities *capabilities, enum capability one)
{
    return (capabilities->offered & (unsigned)one) != 0;
}

#endif
