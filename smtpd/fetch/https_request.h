/*
 * One request by HTTPS, by libcurl on the loop of the role: no redirect, no longer than a minute, a
 * certificate with the host's name from a known authority. libcurl is given the addresses; it asks
 * nobody and opens no file. fetch.
 */
#ifndef SMTPD_FETCH_HTTPS_REQUEST_H
#define SMTPD_FETCH_HTTPS_REQUEST_H

#include <ev.h>

#include "common/error.h"
#include "common/net/ip_address.h"
#include "common/slice.h"

struct https_requests; /* all of a process */

/* Before the sandbox is entered. NULL on failure. */
struct https_requests *https_requests_new(struct ev_loop *loop, struct error *error);

/* Certificates in PEM: whose word counts from now on. How many there were is the result. */
size_t https_requests_trust(struct https_requests *requests, struct slice pem);

enum {
    HTTPS_PORT = 443,
    HTTPS_ADDRESSES_MAX = 8,
    HTTPS_TEXT_MAX = 65536, /* octets of an answer */
    HTTPS_HOST_MAX = 319,   /* octets of a host's name */
    HTTPS_URL_MAX = 2400,
};

struct https_wish {
    const char *host; /* its name */
    uint16_t port;
    struct slice path; /* and the query: from the slash on */
    const struct ip_address *addresses;
    size_t address_count;
    struct slice body;         /* what is sent by POST; empty: GET */
    const char *type;          /* of the body: a field, "Content-Type: ..." */
    const char *authorization; /* a field, "Authorization: ..."; NULL: none */
    bool wants_text;           /* of the answer to a POST; to GET it always is */
    uint64_t timeout_ms;       /* less than a minute; 0: that */
};

struct https_answer {
    long status;                 /* of HTTP */
    struct slice type;           /* the answer's media type, as it came */
    struct slice text;           /* empty after a POST that does not want it */
    bool is_untrusted;           /* there is none: the certificate is not to be believed */
    const struct error *failure; /* why there is none; NULL: there is one */
};

typedef void https_answered(void *owner, const struct https_answer *answer);

/* `done` is called once, never before this returns. The wish is copied, its body too. False: it is
 * not called. */
bool https_request_begin(struct https_requests *requests, const struct https_wish *wish,
                         https_answered *done, void *owner, struct error *error);

#endif
