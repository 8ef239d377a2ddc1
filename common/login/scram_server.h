/*
 * SCRAM-SHA-256 and its -PLUS (RFC 5802, RFC 7677), the server's side: what is kept of a password,
 * the grammar of a client's two messages, and the judgement. Texts are as they are before base64.
 * Pure but for memory; sodium_init() was called. `auth`, and the command line, which makes
 * verifiers; no network role.
 */
#ifndef COMMON_LOGIN_SCRAM_SERVER_H
#define COMMON_LOGIN_SCRAM_SERVER_H

#include "common/login/scram.h"

enum {
    /* What a verifier of ours costs a client, and a thief who guesses, each time. Cyrus SASL
     * refuses more than 65536. A false salt comes with the same number. */
    SCRAM_MADE_ITERATIONS = 32768,
    SCRAM_MADE_SALT = 16,
    SCRAM_TIE_OCTETS = 12,
    SCRAM_VERIFIER_MAX = 600, /* octets of its text */
    SCRAM_BINDING_MAX = 64,   /* octets of what binds to TLS */
};

/* ---- what is kept of a password ---- */

/* As text: ITERATIONS,SALT,STOREDKEY,SERVERKEY,TIE, all but the first in base64. */
struct scram_verifier {
    uint32_t iterations;
    uint8_t salt[SCRAM_SALT_MAX];
    size_t salt_octets;
    uint8_t stored[SCRAM_OCTETS_MAX];
    uint8_t server[SCRAM_OCTETS_MAX];
    /* The first octets of SHA-256 of the Argon2id string beside it: who exchanges that string with
     * an editor must not leave the old password good for SCRAM. */
    uint8_t tie[SCRAM_TIE_OCTETS];
};

bool scram_verifier_parse(struct slice text, struct scram_verifier *verifier);

/* Whether it was made with that Argon2id string, which may have an '!' before it. */
bool scram_verifier_belongs(const struct scram_verifier *verifier, struct slice hash);

/* Appends a new one for a password, beside its Argon2id string. False: SASLprep (RFC 4013) refuses
 * the password, and no client could say it; or no memory. Takes some 20 ms. */
bool scram_verifier_make(struct slice password, struct slice hash, struct buffer *text);

/* One that no password fits, for a name that has none. The same name gets the same salt as long as
 * the key is the same, so that asking twice tells nothing. */
void scram_verifier_pretend(const uint8_t key[32], struct slice name,
                            struct scram_verifier *verifier);

/* ---- grammar, RFC 5802 7 ---- */

struct scram_client_first {
    char flag;            /* 'n', 'y' or 'p' */
    struct slice binding; /* after p=; borrowed, as all here is */
    struct slice header;  /* gs2-header */
    struct slice act_as;  /* saslname, still escaped; empty: nobody else */
    struct slice name;    /* saslname, still escaped */
    struct slice nonce;   /* of the client */
    struct slice bare;    /* client-first-message-bare */
};
bool scram_client_first_parse(struct slice text, struct scram_client_first *first);

/* Appends the name that a saslname stands for, prepared by SASLprep. False: it is none. */
bool scram_name_decode(struct slice saslname, struct buffer *name);

struct scram_client_final {
    uint8_t channel[512]; /* decoded: gs2-header and what binds */
    size_t channel_octets;
    struct slice nonce;
    struct slice without_proof;
    uint8_t proof[SCRAM_OCTETS_MAX];
};
bool scram_client_final_parse(struct slice text, struct scram_client_final *final);

/* ---- the server ---- */

/* Of the TLS connection; empty: there is none, or it has nothing of that kind. */
struct scram_bindings {
    struct slice exporter;  /* tls-exporter, RFC 9266 */
    struct slice end_point; /* tls-server-end-point, RFC 5929 4 */
};

enum scram_judgement {
    SCRAM_RIGHT,
    SCRAM_WRONG,     /* the proof, or the nonce */
    SCRAM_UNBOUND,   /* another TLS connection than ours, or somebody took -PLUS out of our list */
    SCRAM_MALFORMED, /* not SCRAM, or not what this mechanism wants */
};

struct scram_server {
    struct scram_verifier verifier;
    struct buffer channel;    /* what the client has to repeat */
    struct buffer transcript; /* AuthMessage, as far as it has got */
    size_t nonce_at;          /* in it */
    size_t nonce_octets;      /* both halves */
};

/* Judges client-first-message, whose name has been looked up, and appends server-first-message.
 * plus: the mechanism is -PLUS. It was offered if any binding is there, and a client that says it
 * could bind but did not see it was lied to (RFC 5802 6). nonce: ours; printable, no comma, and
 * never used before. SCRAM_RIGHT: so far. No memory is SCRAM_MALFORMED. */
enum scram_judgement scram_server_first(struct scram_server *server,
                                        const struct scram_client_first *first, bool plus,
                                        const struct scram_bindings *bindings, struct slice nonce,
                                        struct buffer *out);

/* Judges client-final-message; if right, appends server-final-message. Once for each first. */
enum scram_judgement scram_server_final(struct scram_server *server, struct slice text,
                                        struct buffer *out);

/* May run twice, and on a zeroed struct. */
void scram_server_clear(struct scram_server *server);

#endif
