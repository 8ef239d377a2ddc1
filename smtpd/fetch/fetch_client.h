/*
 * Asking `fetch` from the loop of relay: questions under way, their answers, and what becomes of
 * them when it dies or does not answer. As common/dns/dns_client.h, but for this: it runs only
 * while it is asked, so where it is not there the master has it started.
 */
#ifndef SMTPD_FETCH_FETCH_CLIENT_H
#define SMTPD_FETCH_FETCH_CLIENT_H

#include "common/role/questions.h"
#include "common/role/role.h"
#include "smtpd/fetch/fetch_protocol.h"

struct fetch_inquiry;

struct fetch_client {
    struct role *role;
    struct questions questions;
    bool called; /* the master was told that fetch is wanted; none has come since */
};

/* text: the policy, or why there is none; for a report the server's words. Borrowed. */
typedef void fetch_answered(void *owner, enum fetch_status status, struct slice text);

void fetch_client_init(struct fetch_client *client, struct role *role);

/* `answered` is called once, never before this returns, after FETCH_WAIT_MS at most: longer than
 * fetch itself waits for the DNS and for the policy's host. NULL: no memory. */
enum { FETCH_WAIT_MS = 200000 };
struct fetch_inquiry *fetch_client_ask_policy(struct fetch_client *client, const char *domain,
                                              fetch_answered *answered, void *owner);

/* A TLS report, gzip'd, of FETCH_BODY_MAX octets at most, to a URI that https_url_parse()
 * takes, of FETCH_URI_MAX at most. Answered as above, by FETCH_UNKNOWN or the statuses of reports;
 * where fetch dies it may be sent twice. NULL: no memory. */
struct fetch_inquiry *fetch_client_post(struct fetch_client *client, struct slice uri,
                                        struct slice report, fetch_answered *answered, void *owner);

/* The answer will not be heard. Not after it was. */
void fetch_client_cancel(struct fetch_client *client, struct fetch_inquiry *question);

/* For role_spec: the rule of the link to ROLE_FETCH, and its channel's coming and going. */
enum { FETCH_CLIENT_RULES = 1 };
extern const struct ipc_rule fetch_client_rules[FETCH_CLIENT_RULES];
void fetch_client_up(struct fetch_client *client, struct role_peer *peer);
void fetch_client_down(struct fetch_client *client, struct role_peer *peer);

#endif
