/*
 * Fetching a policy from its host: https://mta-sts.DOMAIN/.well-known/mta-sts.txt (RFC 8461 3.3),
 * by libcurl on the loop of the role. No redirect, no more than STS_POLICY_MAX octets, no longer
 * than a minute, a certificate with the host's name from a known authority. libcurl is given the
 * addresses; it asks nobody and opens no file. fetch.
 */
#ifndef SMTPD_FETCH_POLICY_REQUEST_H
#define SMTPD_FETCH_POLICY_REQUEST_H

#include <ev.h>

#include "common/error.h"
#include "common/ip_address.h"
#include "common/slice.h"

struct policy_requests; /* all of a process */
struct policy_request;

/* Outside the walls. NULL on failure. */
struct policy_requests *policy_requests_new(struct ev_loop *loop, struct error *error);

/* Certificates in PEM: whose word counts from now on. How many there were is the result. */
size_t policy_requests_trust(struct policy_requests *requests, struct slice pem);

/* text: the policy as it came, unread; error: NULL, or why there is none. */
typedef void policy_requested(void *owner, struct slice text, const struct error *error);

enum { POLICY_ADDRESSES_MAX = 8 };

/* `done` is called once, never before this returns. NULL on failure; then it is not called. */
struct policy_request *policy_request_begin(struct policy_requests *requests, const char *host,
                                            const struct ip_address *addresses, size_t count,
                                            policy_requested *done, void *owner,
                                            struct error *error);

#endif
