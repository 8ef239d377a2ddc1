/*
 * An address of HTTPS that something is sent to, as a text and as a struct (RFC 3986 3, RFC 9110
 * 4.2.2). Pure; any process.
 */
#ifndef COMMON_TEXT_HTTPS_URL_H
#define COMMON_TEXT_HTTPS_URL_H

#include <stdbool.h>
#include <stdint.h>

#include "common/slice.h"

struct https_url {
    struct slice host;      /* as it stands there */
    struct slice authority; /* with the port, if there is one */
    struct slice path;      /* and the query; it begins with a slash */
    uint16_t port;
};

/* Borrows. False: another scheme, or none that anything can be sent to (RFC 9110 4.2.2: without a
 * user or a fragment; the host by its name or its IPv4 address). */
bool https_url_parse(struct slice text, struct https_url *url);

#endif
