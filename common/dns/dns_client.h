/*
 * Asking `resolver` from the loop of another role: questions under way, their answers, and what
 * becomes of them when it dies or does not answer. For relay and filter.
 */
#ifndef COMMON_DNS_DNS_CLIENT_H
#define COMMON_DNS_DNS_CLIENT_H

#include "common/buffer.h"
#include "common/dns/dns_protocol.h"
#include "common/role/questions.h"
#include "common/role/role.h"

struct dns_client {
    struct role *role;
    struct questions questions;
};

/* An answer, or that there is none: status DNS_TEMPORARY. Slices are good during the call. */
struct dns_result {
    enum dns_status status;
    bool secure;
    uint32_t ttl;
    size_t count;
    struct slice rdata; /* the records one after the other; see dns_result_next() */
    struct slice name;  /* canonical */
    struct slice text;  /* BOGUS, TEMPORARY: why */
};

/* The next record's RDATA off the front of *rest; false at the end. */
bool dns_result_next(struct slice *rest, struct slice *rdata);

struct dns_inquiry;
typedef void dns_answered(void *owner, const struct dns_result *answer);

void dns_client_init(struct dns_client *client, struct role *role);

/* Asks; `answered` is called once, never before this returns, also without a resolver, after
 * DNS_WAIT_MS at most. NULL: no memory, and it is not called. */
enum { DNS_WAIT_MS = 60000 };
struct dns_inquiry *dns_ask(struct dns_client *client, enum dns_type type, struct slice name,
                            dns_answered *answered, void *owner);

/* The answer will not be heard. Not after it was. */
void dns_cancel(struct dns_client *client, struct dns_inquiry *question);

/* For role_spec: the rule of the link to ROLE_RESOLVER, and its channel's coming and going. The
 * rule finds the client in peer->data, where dns_client_up() put it. */
enum { DNS_CLIENT_RULES = 1 };
extern const struct ipc_rule dns_client_rules[DNS_CLIENT_RULES];
void dns_client_up(struct dns_client *client, struct role_peer *peer);
void dns_client_down(struct dns_client *client, struct role_peer *peer);

/* RDATA as text and struct. False: malformed. Names have no dot at their end; the root (null MX,
 * RFC 7505) is "". */
struct mx_record {
    uint16_t preference;
    char exchange[DNS_NAME_MAX + 1]; /* lower case */
};
bool mx_record_parse(struct slice rdata, struct mx_record *record);

/* Of TXT records, as in dns_result, the one that begins with that version and the end of a field,
 * *WSP ";" (RFC 8460 3, RFC 8461 3.1): what stands after the version is appended. False: there is
 * none, or several. */
bool dns_find_versioned_txt(struct slice rdata, struct slice version, struct buffer *fields);

#endif
