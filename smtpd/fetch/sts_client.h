/*
 * Asking `fetch` from the loop of relay: questions under way, their answers, and what becomes of
 * them when it dies or does not answer. As common/dns/dns_client.h, but for this: it runs only
 * while it is asked, so where it is not there the master has it started.
 */
#ifndef SMTPD_FETCH_STS_CLIENT_H
#define SMTPD_FETCH_STS_CLIENT_H

#include "common/questions.h"
#include "common/role.h"
#include "smtpd/fetch/fetch_protocol.h"

struct sts_inquiry;

struct sts_client {
    struct role *role;
    struct questions questions;
    bool called; /* the master was told that fetch is wanted; none has come since */
};

/* text: the policy, or why there is none. Good during the call. */
typedef void sts_answered(void *owner, enum fetch_status status, struct slice text);

void sts_client_init(struct sts_client *client, struct role *role);

/* `answered` is called once, never before this returns, after STS_WAIT_MS at most: longer than
 * fetch itself waits for the DNS and for the policy's host. NULL: no memory. */
enum { STS_WAIT_MS = 200000 };
struct sts_inquiry *sts_ask(struct sts_client *client, const char *domain, sts_answered *answered,
                            void *owner);

/* The answer will not be heard. Not after it was. */
void sts_cancel(struct sts_client *client, struct sts_inquiry *question);

/* For role_spec: the rule of the link to ROLE_FETCH, and its channel's coming and going. */
enum { STS_CLIENT_RULES = 1 };
extern const struct ipc_rule sts_client_rules[STS_CLIENT_RULES];
void sts_client_up(struct sts_client *client, struct role_peer *peer);
void sts_client_down(struct sts_client *client, struct role_peer *peer);

#endif
