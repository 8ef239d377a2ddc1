/* Which `route` of the configuration mail takes. Pure; relay. */
#ifndef SMTPD_RELAY_ROUTES_H
#define SMTPD_RELAY_ROUTES_H

#include "common/config/config.h"

/* The first that fits the destination as queue names it (a domain, or '=' and a route's name) and
 * the reverse-path. NULL: none, the DNS decides. */
const struct config_route *routes_find(const struct config *config, struct slice destination,
                                       struct slice reverse_path);

#endif
