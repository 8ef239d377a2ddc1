/*
 * What `auth` asks the role `fetch`, which alone speaks HTTP: what the token's server says of an
 * access token (RFC 7662). The answer is JSON that neither of them reads: `check` does.
 *
 *   auth ── INTROSPECT ────────> fetch
 *   auth <─ INTROSPECTED ─────── fetch
 */
#ifndef COMMON_AUTH_INTROSPECTION_PROTOCOL_H
#define COMMON_AUTH_INTROSPECTION_PROTOCOL_H

#include "common/role/ipc.h"

enum introspection_record {
    INTROSPECT = 1,
    INTROSPECTED = 101,
};

enum {
    INTROSPECTION_TOKEN_MAX = 9216,
    INTROSPECTION_TEXT_MAX = 8192, /* of what the server says */
};

/* The token follows. */
struct introspect {
    struct ipc_header header;
};

/* What the server says follows; or, where it said nothing that could be read, why. */
struct introspected {
    struct ipc_header header; /* request: of the question */
    uint32_t said;            /* 1: status 200 */
    uint32_t reserved;
};

#endif
