/*
 * The client side of TLS: versions 1.2 and 1.3, and three ways to check the server's certificate.
 * The stream is in common/tls/tls_stream.h. Network roles.
 */
#ifndef COMMON_TLS_TLS_CLIENT_H
#define COMMON_TLS_TLS_CLIENT_H

#include "common/error.h"
#include "common/slice.h"
#include "common/tls/tls_binding.h"

struct ssl_st;

/* The TLS settings of one process with its trusted authorities; constant once made. */
struct tls_client;

/* authorities: a PEM file of certificates, read now; NULL: none is trusted. Returns NULL on
 * failure, also if the file cannot be read: ERROR_NOT_FOUND if it does not exist. */
struct tls_client *tls_client_new(const char *authorities, struct error *error);
void tls_client_free(struct tls_client *client); /* NULL is fine; not while a stream uses it */

enum tls_client_check {
    TLS_CHECK_NOTHING, /* any certificate is accepted; tls_client_verified() tells its worth */
    TLS_CHECK_NAME,    /* a known authority, and the server's name (RFC 6125) */
    TLS_CHECK_DANE,    /* the TLSA records, as mail uses them (RFC 7672 3) */
};

/* TLSA RDATA, RFC 6698 2.1. Borrowed. */
struct tls_client_tlsa {
    uint8_t usage, selector, matching;
    struct slice data;
};

/* Borrowed during tls_client_connection(). */
struct tls_client_server {
    enum tls_client_check check;
    const char *name;  /* host name for SNI and for the check of the certificate; NULL: none (an
                          address), and TLS_CHECK_NAME fails */
    const char *other; /* DANE: another name that the certificate may have; NULL: none */
    const struct tls_client_tlsa *tlsa;
    size_t tlsa_count;
};

/* Parses RDATA as received. False: too short to be a record. */
bool tls_client_tlsa_parse(struct slice rdata, struct tls_client_tlsa *record);

/* RFC 7672 3.1: only DANE-TA(2) and DANE-EE(3) are usable, and only with known parameters and data
 * of matching length. If there are records but none is usable, TLS is still mandatory for the
 * server (2.2). */
bool tls_client_tlsa_is_usable(const struct tls_client_tlsa *record);

/* A connection for tls_stream_connect, or NULL. */
struct ssl_st *tls_client_connection(struct tls_client *client, int fd,
                                     const struct tls_client_server *server, struct error *error);

/* How the certificate was verified, after the handshake: "dane", "name", or "no". Static. */
const char *tls_client_verified(const struct ssl_st *ssl);

/* Why the certificate is invalid, in OpenSSL's words, static; empty: it is valid or was not
 * checked.
 */
const char *tls_client_doubt(const struct ssl_st *ssl);

/* The channel binding of a login (RFC 5802 6), available after the handshake: tls-exporter with TLS
 * 1.3 (RFC 9266), tls-server-end-point with TLS 1.2 (RFC 5929 4). */
struct tls_client_binding {
    const char *type; /* static */
    struct tls_binding of;
};
bool tls_client_bind(const struct ssl_st *ssl, struct tls_client_binding *binding);

#endif
