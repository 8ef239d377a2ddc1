/*
 * Records between `auth` and `fetch`, the only role that speaks HTTP: asks the server that issued
 * an access token about it (RFC 7662). Only `check` parses the JSON of the answer.
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
    INTROSPECTION_TEXT_MAX = 8192, /* octets of the server's answer */
};

/* The token follows. */
struct introspect {
    struct ipc_header header;
};

/* The server's JSON follows; without a usable answer, the reason for that. */
struct introspected {
    struct ipc_header header; /* request: as in the question */
    uint32_t said;            /* 1: the server answered with status 200; 0: the reason follows */
    uint32_t reserved;
};

#endif
