/*
 * The answer of a name server, RFC 1035 4.1, as octets: which of its records answer the question.
 * Pure; the resolver only.
 */
#ifndef COMMON_DNS_ANSWER_H
#define COMMON_DNS_ANSWER_H

#include "common/buffer.h"
#include "common/dns/dns_protocol.h"

struct dns_records {
    uint16_t count;
    uint32_t ttl;                /* of the shortest-lived record, CNAMEs too; seconds */
    char name[DNS_NAME_MAX + 1]; /* that the records belong to; empty where there is none */
};

/* Appends to `out` every record of that type in the answer section, each as an uint16_t length and
 * its RDATA, names in it no longer compressed; DNS_RECORDS_MAX at most. False: the packet is
 * malformed, or no memory. */
bool dns_answer_parse(struct slice packet, enum dns_type type, struct dns_records *records,
                      struct buffer *out);

/* "_25._tcp.mail.example.org": labels of 1 to 63 letters, digits, '-' and '_', DNS_NAME_MAX octets
 * in all, no dot at the end. What else a name may be, no mail is sent to. */
bool dns_name_is_valid(struct slice name);

#endif
