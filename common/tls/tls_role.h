/*
 * The TLS of a network role: its certificates from the master, its signatures from `keys`. Network
 * roles.
 */
#ifndef COMMON_TLS_TLS_ROLE_H
#define COMMON_TLS_TLS_ROLE_H

#include "common/auth/keys_client.h"
#include "common/role/role.h"
#include "common/tls/tls.h"

struct tls_role {
    struct tls_context *context; /* NULL: there is no certificate */
    struct keys_signer signer;
    struct keys_client keys;
};

/* Call in prepare(), before the sandbox. The struct must not move afterwards. An unusable
 * certificate is logged and skipped; service continues with the others, or without TLS. */
bool tls_role_open(struct tls_role *tls, struct role *role, const char *alpn, struct error *error);
void tls_role_close(struct tls_role *tls);

/* Called from peer_up and peer_down, for ROLE_KEYS. The role's link to it has keys_client_rules. */
void tls_role_keys_up(struct tls_role *tls, struct role_peer *peer);
void tls_role_keys_down(struct tls_role *tls, struct role_peer *peer);

#endif
