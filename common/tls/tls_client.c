/* Settings and checks of a TLS client; see tls_client.h. Network roles. */
#include "common/tls/tls_client.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "common/tls/tls.h"

struct tls_client {
    SSL_CTX *settings;
};

static bool configure(SSL_CTX *settings)
{
    SSL_CTX_set_options(settings, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION
                                      | SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_mode(settings, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE
                                   | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_read_ahead(settings, 1);
    SSL_CTX_set_session_cache_mode(settings, SSL_SESS_CACHE_OFF);
    return SSL_CTX_set_min_proto_version(settings, TLS1_2_VERSION) == 1
           && SSL_CTX_dane_enable(settings) == 1;
}

static bool load_authorities(SSL_CTX *settings, const char *path, struct error *error)
{
    if (!path)
        return true;
    if (access(path, R_OK) != 0)
        return error_errno(error, "%s", path);
    X509_STORE *store = SSL_CTX_get_cert_store(settings);
    if (X509_STORE_load_file(store, path) == 1)
        return true;
    return tls_failure(error, ERROR_PERMANENT, path);
}

struct tls_client *tls_client_new(const char *authorities, struct error *error)
{
    struct tls_client *client = calloc(1, sizeof(*client));
    if (!client) {
        error_memory(error);
        return NULL;
    }
    client->settings = SSL_CTX_new(TLS_client_method());
    if (!client->settings || !configure(client->settings)) {
        tls_failure(error, ERROR_TEMPORARY, "TLS settings");
        tls_client_free(client);
        return NULL;
    }
    if (load_authorities(client->settings, authorities, error))
        return client;
    tls_client_free(client);
    return NULL;
}

void tls_client_free(struct tls_client *client)
{
    if (!client)
        return;
    SSL_CTX_free(client->settings);
    free(client);
}

/* ---- checks ---- */

bool tls_client_tlsa_parse(struct slice rdata, struct tls_client_tlsa *record)
{
    if (rdata.len < 3)
        return false;
    *record =
        (struct tls_client_tlsa){rdata.ptr[0], rdata.ptr[1], rdata.ptr[2], slice_from(rdata, 3)};
    return true;
}

/* A whole certificate or public key, to the last octet. */
static bool is_whole(const struct tls_client_tlsa *record)
{
    const unsigned char *at = record->data.ptr;
    X509 *certificate = NULL;
    EVP_PKEY *key = NULL;
    if (record->data.len > INT32_MAX)
        return false;
    if (record->selector == 0)
        certificate = d2i_X509(NULL, &at, (long)record->data.len);
    else
        key = d2i_PUBKEY(NULL, &at, (long)record->data.len);
    bool is_one = (certificate || key) && at == record->data.ptr + record->data.len;
    X509_free(certificate);
    EVP_PKEY_free(key);
    ERR_clear_error();
    return is_one;
}

/* RFC 6698 7.2 to 7.4: selectors Cert and SPKI; Full, SHA2-256, SHA2-512. */
bool tls_client_tlsa_is_usable(const struct tls_client_tlsa *record)
{
    static const size_t digest_octets[] = {0, 32, 64};
    if (record->usage < 2 || record->usage > 3 || record->selector > 1 || record->matching > 2)
        return false;
    return record->matching == 0 ? is_whole(record)
                                 : record->data.len == digest_octets[record->matching];
}

/* RFC 8461 4.2, RFC 9525: the name is a DNS-ID; the certificate's common name is ignored. */
static bool check_name(SSL *ssl, const struct tls_client_server *server)
{
    SSL_set_hostflags(ssl,
                      X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
    SSL_set_verify(ssl, SSL_VERIFY_PEER, NULL);
    return server->name && SSL_set1_host(ssl, server->name) == 1;
}

/* RSA of 1024 bits: 80 bits of security. OpenSSL's own measure is 112. */
enum { OLD_KEYS = 1 };

enum { DANE_EE = 3 };

/* RFC 7672 3.1.1: with DANE-EE neither names nor dates of the certificate count, nor that its key
 * is an old one: it is the one that the domain's owner wants. 3.1.2, 3.2.2: with DANE-TA somebody
 * else has signed it, and it bears the name of the server or of the domain it serves. */
static bool check_dane(SSL *ssl, const struct tls_client_server *server)
{
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    if (!server->name || SSL_dane_enable(ssl, server->name) != 1
        || (server->other && SSL_add1_host(ssl, server->other) != 1))
        return false;
    SSL_dane_set_flags(ssl, DANE_FLAG_NO_DANE_EE_NAMECHECKS);
    SSL_set_verify(ssl, SSL_VERIFY_PEER, NULL);
    int usable = 0;
    for (size_t i = 0; i < server->tlsa_count; i++) {
        const struct tls_client_tlsa *record = &server->tlsa[i];
        if (!tls_client_tlsa_is_usable(record)
            || SSL_dane_tlsa_add(ssl, record->usage, record->selector, record->matching,
                                 record->data.ptr, record->data.len)
                   <= 0)
            continue;
        if (record->usage == DANE_EE)
            SSL_set_security_level(ssl, OLD_KEYS);
        usable++;
    }
    return usable > 0;
}

/* For mail that would otherwise go in the clear, an old key is better than none. */
static bool check_nothing(SSL *ssl, const struct tls_client_server *server)
{
    SSL_set_security_level(ssl, OLD_KEYS);
    SSL_set_verify(ssl, SSL_VERIFY_NONE, NULL);
    return !server->name || SSL_set1_host(ssl, server->name) == 1;
}

static bool prepare(SSL *ssl, int fd, const struct tls_client_server *server)
{
    bool (*const checks[])(SSL *, const struct tls_client_server *) = {
        [TLS_CHECK_NOTHING] = check_nothing,
        [TLS_CHECK_NAME] = check_name,
        [TLS_CHECK_DANE] = check_dane,
    };
    SSL_set_connect_state(ssl);
    if (!checks[server->check](ssl, server) || SSL_set_fd(ssl, fd) != 1)
        return false;
    /* A long: OpenSSL's macro SSL_set_tlsext_host_name casts a const away. */
    return !server->name
           || SSL_ctrl(ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
                       (void *)(uintptr_t)server->name)
                  == 1;
}

SSL *tls_client_connection(struct tls_client *client, int fd,
                           const struct tls_client_server *server, struct error *error)
{
    ERR_clear_error();
    SSL *ssl = SSL_new(client->settings);
    if (ssl && prepare(ssl, fd, server))
        return ssl;
    SSL_free(ssl);
    tls_failure(error, ERROR_TEMPORARY, "TLS connection");
    return NULL;
}

const char *tls_client_verified(const SSL *ssl)
{
    SSL *connection = (SSL *)(uintptr_t)ssl; /* OpenSSL 3.0 wants to write where it only reads */
    if (SSL_get_verify_result(ssl) != X509_V_OK)
        return "no";
    if (SSL_get0_dane_authority(connection, NULL, NULL) >= 0)
        return "dane";
    return SSL_get0_peername(connection) ? "name" : "no";
}

const char *tls_client_doubt(const SSL *ssl)
{
    long result = SSL_get_verify_result(ssl);
    return result == X509_V_OK ? "" : X509_verify_cert_error_string(result);
}

bool tls_client_bind(const SSL *ssl, struct tls_client_binding *binding)
{
    SSL *connection = (SSL *)(uintptr_t)ssl; /* OpenSSL 3.0 wants to write where it only reads */
    if (SSL_version(ssl) >= TLS1_3_VERSION) {
        binding->type = "tls-exporter";
        tls_binding_export(connection, &binding->of);
    } else {
        binding->type = "tls-server-end-point";
        tls_binding_end_point(SSL_get0_peer_certificate(ssl), &binding->of);
    }
    return binding->of.length > 0;
}
