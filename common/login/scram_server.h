/*
 * SCRAM-SHA-256 and its -PLUS (RFC 5802, RFC 7677), the server side: stored verifiers, the grammar
 * of a client's two messages, and their check. Texts are before base64. Pure except for memory;
 * sodium_init() must have been called. For `auth` and for the command line, which makes verifiers;
 * not for network roles.
 */
#ifndef COMMON_LOGIN_SCRAM_SERVER_H
#define COMMON_LOGIN_SCRAM_SERVER_H

#include "common/login/scram.h"

enum {
    /* The cost of our verifiers for each login and each guess of a thief. Cyrus SASL refuses more
     * than 65536. A false salt comes with the same number. */
    SCRAM_MADE_ITERATIONS = 32768,
    SCRAM_MADE_SALT = 16,
    SCRAM_TIE_OCTETS = 12,
    SCRAM_VERIFIER_MAX = 600, /* octets of a verifier's text */
    SCRAM_BINDING_MAX = 64,   /* octets of a channel binding */
};

/* ---- what is kept of a password ---- */

/* What is stored of a password. As text: ITERATIONS,SALT,STOREDKEY,SERVERKEY,TIE, all but the first
 * in base64. */
struct scram_verifier {
    uint32_t iterations;
    uint8_t salt[SCRAM_SALT_MAX];
    size_t salt_octets;
    uint8_t stored[SCRAM_OCTETS_MAX];
    uint8_t server[SCRAM_OCTETS_MAX];
    /* The first octets of SHA-256 of the Argon2id string beside it: replacing that string with an
     * editor must not leave the old password valid for SCRAM. */
    uint8_t tie[SCRAM_TIE_OCTETS];
};

bool scram_verifier_parse(struct slice text, struct scram_verifier *verifier);

/* Whether the verifier was made with that Argon2id string, which may have a '!' before it. */
bool scram_verifier_belongs(const struct scram_verifier *verifier, struct slice hash);

/* Appends the text of a new verifier for a password and its Argon2id string. False: no memory, or
 * SASLprep (RFC 4013) refuses the password, so no client could use it. Takes some 20 ms. */
bool scram_verifier_make(struct slice password, struct slice hash, struct buffer *text);

/* Makes a verifier that no password matches, for a name that has none. With the same key a name
 * always gets the same salt, so that asking twice reveals nothing. */
void scram_verifier_pretend(const uint8_t key[32], struct slice name,
                            struct scram_verifier *verifier);

/* ---- grammar, RFC 5802 7 ---- */

struct scram_client_first {
    char flag;            /* 'n', 'y' or 'p' */
    struct slice binding; /* after p=; borrowed, as all here is */
    struct slice header;  /* gs2-header */
    struct slice act_as;  /* authorization identity, saslname, still escaped; empty: none */
    struct slice name;    /* saslname, still escaped */
    struct slice nonce;   /* the client's nonce */
    struct slice bare;    /* client-first-message-bare */
};
bool scram_client_first_parse(struct slice text, struct scram_client_first *first);

/* Appends the decoded saslname, prepared by SASLprep. False: invalid. */
bool scram_name_decode(struct slice saslname, struct buffer *name);

struct scram_client_final {
    uint8_t channel[512]; /* decoded: gs2-header and channel binding */
    size_t channel_octets;
    struct slice nonce;
    struct slice without_proof;
    uint8_t proof[SCRAM_OCTETS_MAX];
};
bool scram_client_final_parse(struct slice text, struct scram_client_final *final);

/* ---- the server ---- */

/* The channel bindings of the TLS connection; empty: no TLS, or no binding of that type. */
struct scram_bindings {
    struct slice exporter;  /* tls-exporter, RFC 9266 */
    struct slice end_point; /* tls-server-end-point, RFC 5929 4 */
};

enum scram_judgement {
    SCRAM_RIGHT,
    SCRAM_WRONG,     /* wrong proof or nonce */
    SCRAM_UNBOUND,   /* bound to another TLS connection, or -PLUS was stripped from our list */
    SCRAM_MALFORMED, /* not SCRAM, or not valid for this mechanism */
};

struct scram_server {
    struct scram_verifier verifier;
    struct buffer channel;    /* what the client must repeat */
    struct buffer transcript; /* AuthMessage so far */
    size_t nonce_at;          /* in it */
    size_t nonce_octets;      /* of both halves */
};

/* Checks client-first-message, whose name has been looked up, and appends server-first-message.
 * plus: the mechanism is -PLUS. It was offered if there is any binding; a client that supports
 * binding but did not see the offer was deceived (RFC 5802 6). nonce: ours; printable, no comma,
 * never used before. SCRAM_RIGHT: valid so far. Without memory: SCRAM_MALFORMED. */
enum scram_judgement scram_server_first(struct scram_server *server,
                                        const struct scram_client_first *first, bool plus,
                                        const struct scram_bindings *bindings, struct slice nonce,
                                        struct buffer *out);

/* Checks client-final-message; if right, appends server-final-message. Call once per
 * scram_server_first(). */
enum scram_judgement scram_server_final(struct scram_server *server, struct slice text,
                                        struct buffer *out);

/* May run twice, and on a zeroed struct. */
void scram_server_clear(struct scram_server *server);

#endif
