/*
 * What the role `resolver` is asked and what it answers: one question to the DNS, validated by
 * DNSSEC. It chases CNAMEs, keeps one cache for all who ask, and interprets no record: what an MX
 * or a TLSA means is its asker's.
 *
 *   relay, fetch ── DNS_QUESTION ──> resolver
 *   relay, fetch <─ DNS_ANSWER ───── resolver
 */
#ifndef COMMON_DNS_DNS_PROTOCOL_H
#define COMMON_DNS_DNS_PROTOCOL_H

#include "common/role/ipc.h"

enum dns_record {
    DNS_QUESTION = 1,
    DNS_ANSWER = 101,
};

/* RFC 1035 3.2.2, 3596, 6698 7.1: the types that may be asked for. */
enum dns_type {
    DNS_A = 1,
    DNS_CNAME = 5, /* the alias itself: whether DNSSEC vouches for it */
    DNS_PTR = 12,
    DNS_MX = 15,
    DNS_TXT = 16,
    DNS_AAAA = 28,
    DNS_TLSA = 52,
};

enum {
    DNS_NAME_MAX = 253,    /* octets of a name as text, without the dot at its end */
    DNS_RECORDS_MAX = 256, /* of one answer; what is beyond is left out */
};

/* The name follows: A-labels, no dot at its end. */
struct dns_question {
    struct ipc_header header;
    uint16_t type; /* enum dns_type */
    uint16_t name_octets;
    uint32_t reserved;
};

enum dns_status {
    DNS_FOUND = 1,
    DNS_NO_DATA,   /* the name exists, without a record of that type */
    DNS_NO_NAME,   /* NXDOMAIN */
    DNS_BOGUS,     /* signed, and the signature is wrong: as good as no answer */
    DNS_TEMPORARY, /* SERVFAIL, no server answered, no memory */
};

enum dns_flags {
    DNS_SECURE = 1, /* validated up to the trust anchor, the denial of NO_DATA and NO_NAME too */
};

/* Then, of DNS_FOUND, `records` times an uint16_t length and the RDATA in wire format, names in
 * it not compressed; then the canonical name that the records belong to (the question's unless
 * CNAMEs led elsewhere); for BOGUS and TEMPORARY instead a text for the log: why. */
struct dns_answer {
    struct ipc_header header; /* request: of the question */
    uint16_t status;          /* enum dns_status */
    uint16_t flags;           /* enum dns_flags */
    uint16_t records;
    uint16_t name_octets; /* or of the text */
    uint32_t ttl;         /* seconds that the answer stays good */
    uint32_t reserved;
};

#endif
