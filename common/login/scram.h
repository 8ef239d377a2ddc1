/*
 * SCRAM (RFC 5802) with SHA-256 (RFC 7677) and SHA-1: a client proves its password to a server that
 * does not learn it, and the server proves that it knew it. This file has the keys and the grammar,
 * shared by both sides, and the client (used by relay); the server is in scram_server.h. Texts are
 * before base64. Pure except for libidn's memory; sodium_init() must have been called. Any process.
 *
 *   client                                             server
 *     n,,n=user,r=NONCE              ──first──>
 *                                    <──first──   r=NONCE+ITS,s=SALT,i=4096
 *     c=biws,r=NONCE+ITS,p=PROOF     ──final──>
 *                                    <──final──   v=SIGNATURE
 */
#ifndef COMMON_LOGIN_SCRAM_H
#define COMMON_LOGIN_SCRAM_H

#include "common/buffer.h"
#include "common/error.h"

enum scram_hash { SCRAM_SHA_1, SCRAM_SHA_256 };

enum {
    SCRAM_OCTETS_MAX = 32,    /* of a hash */
    SCRAM_SALT_MAX = 256,     /* octets */
    SCRAM_MESSAGE_MAX = 2048, /* octets of a received message */
    SCRAM_NONCE_OCTETS = 18,
    /* RFC 7677 4 requires the minimum; the maximum, some 0.1 s of work, limits what a hostile
     * server can cost. */
    SCRAM_ITERATIONS_LEAST = 4096,
    SCRAM_ITERATIONS_MOST = 100000,
};

/* ---- keys, RFC 5802 3 ---- */

struct scram_keys {
    uint8_t client[SCRAM_OCTETS_MAX];
    uint8_t stored[SCRAM_OCTETS_MAX];
    uint8_t server[SCRAM_OCTETS_MAX];
};

/* Appends the text prepared by SASLprep (RFC 4013). False: not UTF-8, or prohibited characters. */
bool scram_prepare(struct slice text, struct buffer *prepared);

/* `password` is prepared. */
void scram_derive(enum scram_hash hash, struct slice password, struct slice salt,
                  uint32_t iterations, struct scram_keys *keys);

/* ClientProof and ServerSignature for AuthMessage. */
void scram_prove(enum scram_hash hash, const struct scram_keys *keys, struct slice auth_message,
                 uint8_t proof[SCRAM_OCTETS_MAX], uint8_t signature[SCRAM_OCTETS_MAX]);

/* ---- grammar, RFC 5802 7 ---- */

struct scram_server_first {
    struct slice nonce; /* borrowed */
    uint8_t salt[SCRAM_SALT_MAX];
    size_t salt_octets;
    uint32_t iterations;
};
/* False: malformed, or it has a mandatory extension. */
bool scram_server_first_parse(struct slice text, struct scram_server_first *first);

struct scram_server_final {
    struct slice refusal; /* the server's error value; empty: the proof was accepted */
    uint8_t signature[SCRAM_OCTETS_MAX];
    size_t signature_octets;
};
bool scram_server_final_parse(struct slice text, struct scram_server_final *final);

/* ---- the client ---- */

/* RFC 5802 6: the channel binding to the TLS connection. */
struct scram_binding {
    const char *type;    /* "tls-exporter" and such; NULL: the server does not offer -PLUS */
    struct slice octets; /* empty: no channel binding is available */
};

struct scram_client {
    enum scram_hash hash;
    struct buffer channel;    /* gs2-header and channel binding */
    struct buffer first_bare; /* client-first-message-bare */
    size_t nonce_at;          /* offset in `first_bare` */
    bool proved;              /* `signature` is set to the expected ServerSignature */
    uint8_t signature[SCRAM_OCTETS_MAX];
};

/* Appends client-first-message. nonce: printable, no comma. */
bool scram_client_first(struct scram_client *client, const struct scram_binding *binding,
                        struct slice user, struct slice nonce, struct buffer *out,
                        struct error *error);

/* Appends client-final-message, which holds no secret but is good for this exchange alone.
 * ERROR_PEER: the server's message must not be answered. */
bool scram_client_final(struct scram_client *client, struct slice password,
                        struct slice server_first, struct buffer *out, struct error *error);

/* Whether the server knew the password. */
bool scram_client_verify(const struct scram_client *client, struct slice server_final,
                         struct error *error);

/* May run twice and on a zeroed struct. */
void scram_client_clear(struct scram_client *client);

#endif
