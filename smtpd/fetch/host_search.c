/* Addresses of an HTTPS host; see host_search.h. fetch. */
#include "smtpd/fetch/host_search.h"

#include <stdlib.h>

#include "common/dns/answer.h"
#include "smtpd/relay/target.h"

struct host_search {
    host_searched *done;
    void *owner;
    unsigned pending;
    bool wants_private;
    struct host_found found;
};

static void take_addresses(struct host_search *search, const struct dns_result *result,
                           enum ip_family family)
{
    struct slice rest = result->rdata, rdata;
    struct host_found *found = &search->found;
    size_t octets = family == IP_V4 ? 4 : 16;
    while (found->count < HTTPS_ADDRESSES_MAX && dns_result_next(&rest, &rdata)) {
        struct ip_address address = {.family = (uint8_t)family};
        if (rdata.len != octets)
            continue;
        memcpy(address.octets, rdata.ptr, octets);
        if (search->wants_private || !target_address_is_private(&address))
            found->addresses[found->count++] = address;
        else
            found->has_private = true;
    }
}

static void on_addresses(struct host_search *search, const struct dns_result *result,
                         enum ip_family family)
{
    if (result->status == DNS_FOUND)
        take_addresses(search, result, family);
    if (--search->pending > 0)
        return;
    search->done(search->owner, &search->found);
    free(search);
}

static void on_a(void *owner, const struct dns_result *result)
{
    on_addresses(owner, result, IP_V4);
}

static void on_aaaa(void *owner, const struct dns_result *result)
{
    on_addresses(owner, result, IP_V6);
}

bool host_search_begin(struct dns_client *dns, const char *host, bool wants_private,
                       host_searched *done, void *owner)
{
    struct host_search *search = calloc(1, sizeof(*search));
    if (!search)
        return false;
    search->wants_private = wants_private;
    search->done = done;
    search->owner = owner;
    search->pending = 2;
    struct dns_inquiry *first = dns_ask(dns, DNS_A, slice_of_string(host), on_a, search);
    if (first && dns_ask(dns, DNS_AAAA, slice_of_string(host), on_aaaa, search))
        return true;
    if (first)
        dns_cancel(dns, first);
    free(search);
    return false;
}

bool host_search_explain(const char *host, const struct host_found *found, struct error *error)
{
    return error_set(error, ERROR_PEER, "%.100s has no %saddress", host,
                     found->has_private ? "public " : "");
}
