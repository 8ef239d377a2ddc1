/*
 * Asks `keys` for a signature during a TLS handshake: the only blocking wait inside a loop,
 * KEYS_TIMEOUT_MS at most. Network roles.
 */
#ifndef COMMON_AUTH_KEYS_CLIENT_H
#define COMMON_AUTH_KEYS_CLIENT_H

#include "common/role/ipc.h"

struct keys_client {
    int fd;           /* of the channel to keys, borrowed; -1: not connected now */
    uint64_t request; /* number of the last question */
};

/* The callback for common/tls/keys_provider.h; `owner` is a struct keys_client. `signature` has
 * room for KEYS_SIGNATURE_MAX octets. */
bool keys_client_sign(void *owner, uint32_t certificate, uint16_t scheme, struct slice message,
                      uint8_t *signature, size_t *octets, struct error *error);

/* For the channel: drop answers that come after keys_client_sign() has timed out. */
extern const struct ipc_rule keys_client_rules[2];

#endif
