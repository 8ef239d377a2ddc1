/*
 * The addresses of a host that speaks HTTPS: A and AAAA at once, those that are no public host's
 * left out unless the configuration wants them. fetch.
 */
#ifndef SMTPD_FETCH_HOST_SEARCH_H
#define SMTPD_FETCH_HOST_SEARCH_H

#include "common/dns/dns_client.h"
#include "smtpd/fetch/https_request.h"

struct host_found {
    size_t count; /* 0: none */
    struct ip_address addresses[HTTPS_ADDRESSES_MAX];
    bool has_private; /* an address was left out */
};

typedef void host_searched(void *owner, const struct host_found *found);

/* `done` is called once, never before this returns. False: no memory, it is not called. */
bool host_search_begin(struct dns_client *dns, const char *host, bool wants_private,
                       host_searched *done, void *owner);

/* Why nothing was found, as ERROR_PEER; false always. */
bool host_search_explain(const char *host, const struct host_found *found, struct error *error);

#endif
