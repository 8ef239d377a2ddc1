/* The choice of TLS; see tls_choice.h. Pure; relay. */
#include "smtpd/relay/tls_choice.h"

/* A weaker check than already demanded adds nothing. */
static void demand(struct peer_settings *settings, enum tls_client_check check, const char *by)
{
    if (settings->tls == PEER_TLS_MUST && check < settings->server.check)
        return;
    settings->tls = PEER_TLS_MUST;
    settings->server.check = check;
    settings->demanded_by = by;
}

static void apply_route(const struct config_route *route, struct peer_settings *settings)
{
    settings->implicit_tls = route && route->implicit_tls;
    settings->tls = route && route->tls == CONFIG_TLS_NEVER ? PEER_TLS_NEVER : PEER_TLS_MAY;
    /* A password never goes in the clear. */
    if (route && (route->implicit_tls || route->tls == CONFIG_TLS_ENCRYPT || route->user.text))
        demand(settings, TLS_CHECK_NOTHING, "route");
    if (route && route->tls == CONFIG_TLS_VERIFY)
        demand(settings, TLS_CHECK_NAME, "route");
}

static size_t read_tlsa(const struct target_host *host,
                        struct tls_client_tlsa tlsa[TLS_CHOICE_TLSA_MAX])
{
    struct slice rest = buffer_slice(&host->tlsa), rdata;
    size_t count = 0;
    while (count < TLS_CHOICE_TLSA_MAX && dns_result_next(&rest, &rdata))
        count +=
            tls_client_tlsa_parse(rdata, &tlsa[count]) && tls_client_tlsa_is_usable(&tlsa[count]);
    return count;
}

/* The certificate may have the domain's name instead (RFC 7672 3.2.2): its MX host is proved, or
 * there would be no records. */
void tls_choice_make(const struct config_route *route, const struct target *target,
                     const struct target_host *host,
                     struct tls_client_tlsa tlsa[TLS_CHOICE_TLSA_MAX],
                     struct peer_settings *settings)
{
    /* RFC 7672 3.2.2, 8.1: with TLSA records the name is the one that has them. */
    const char *name = host->tlsa_use == TARGET_TLSA_USABLE ? host->tlsa_base : host->name;
    settings->server =
        (struct tls_client_server){.check = TLS_CHECK_NOTHING,
                                   .name = host->has_name ? name : NULL,
                                   .other = target->domain[0] != '\0' ? target->domain : NULL,
                                   .tlsa = tlsa,
                                   .tlsa_count = read_tlsa(host, tlsa)};
    settings->demanded_by = "";
    apply_route(route, settings);
    if (settings->tls == PEER_TLS_NEVER)
        return;
    if (settings->requires_tls) /* the certificate is checked by peer.c (RFC 8689 4.2.1) */
        demand(settings, TLS_CHECK_NOTHING, "requiretls");
    if (host->policy == TARGET_POLICY_ENFORCE) /* RFC 8461 4.2 */
        demand(settings, TLS_CHECK_NAME, "mta-sts");
    if (host->tlsa_use == TARGET_TLSA_USABLE)
        demand(settings, TLS_CHECK_DANE, "dane");
    else if (host->tlsa_use == TARGET_TLSA_UNUSABLE) /* RFC 7672 2.2 */
        demand(settings, TLS_CHECK_NOTHING, "dane");
}
