/*
 * Records between network roles and `keys`. Framing: common/role/ipc.h.
 *
 *   smtpd-session, imapd-login, pop3d-login     KEYS_SIGN, one at a time, waiting for the answer
 *
 * The client sends the octets to be signed, never a digest: `keys` signs them only if they are what
 * a TLS server signs in its handshake (common/auth/keys_sign.h). A peer that sends anything else is
 * ended.
 */
#ifndef COMMON_AUTH_KEYS_PROTOCOL_H
#define COMMON_AUTH_KEYS_PROTOCOL_H

#include "common/role/ipc.h"

enum keys_record {
    KEYS_SIGN = 1,

    KEYS_SIGNATURE = 101,
    KEYS_NO_SIGNATURE,
};

enum {
    KEYS_MESSAGE_MAX = 256,    /* octets; the longest, TLS 1.2 with P-521, has 201 */
    KEYS_SIGNATURE_MAX = 2048, /* octets; RSA with 16384 bits */
    KEYS_TIMEOUT_MS = 1000,    /* for the answer; after it the handshake fails */
};

/* The message follows. */
struct keys_sign {
    struct ipc_header header;
    uint32_t certificate;    /* index of the `certificate` section */
    uint16_t scheme;         /* TLS SignatureScheme, RFC 8446 4.2.3 */
    uint16_t message_octets; /* 1..KEYS_MESSAGE_MAX */
};

/* The signature follows, as TLS carries it. */
struct keys_signature {
    struct ipc_header header;
    uint32_t octets; /* 1..KEYS_SIGNATURE_MAX */
    uint32_t reserved;
};

/* The question was valid, but that certificate has no key, the key does not fit the scheme, or
 * signing failed; `keys` has logged which. The header alone. */
struct keys_no_signature {
    struct ipc_header header;
};

#endif
