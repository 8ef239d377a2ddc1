/* Settings and certificates of a TLS server; see tls.h. Network roles. */
#include "common/tls/tls.h"

#include <assert.h>
#include <stdlib.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <utlist.h>

#include "common/size.h"

enum { CHAIN_MAX = 1 << 20 };

/* One host name and its certificates. */
struct tls_host {
    struct tls_host *prev;
    struct tls_host *next;
    SSL_CTX *settings;
    char name[256];
};

struct tls_context {
    struct tls_host *hosts; /* in the order they were added */
    uint8_t alpn[32];       /* with its length before it (RFC 7301 3.1) */
    unsigned alpn_octets;   /* 0: none */
    bool asks_client;       /* for a certificate */
};

/* ---- errors ---- */

static void set_reason(struct error *error, enum error_kind kind, const char *what,
                       unsigned long code, const char *detail)
{
    const char *reason = ERR_reason_error_string(code);
    if (detail && detail[0] != '\0' && ERR_GET_LIB(code) == ERR_LIB_USER)
        error_set(error, kind, "%s: %s", what, detail);
    else
        error_set(error, kind, "%s: %s", what, reason ? reason : "failed");
}

bool tls_failure(struct error *error, enum error_kind kind, const char *what)
{
    const char *detail;
    int flags;
    unsigned long code = ERR_get_error_all(NULL, NULL, NULL, &detail, &flags);
    error_set(error, kind, "%s: failed", what);
    for (bool first = true; code != 0; first = false) {
        if (first || ERR_GET_LIB(code) == ERR_LIB_USER)
            set_reason(error, kind, what, code, (flags & ERR_TXT_STRING) != 0 ? detail : NULL);
        code = ERR_get_error_all(NULL, NULL, NULL, &detail, &flags);
    }
    return false;
}

/* ---- host names ---- */

/* "*.example.org" is for one label in front, as in certificates (RFC 6125 6.4.3). */
static bool host_matches(const struct tls_host *host, struct slice name)
{
    struct slice pattern = slice_of_string(host->name);
    if (!slice_starts_with(pattern, SLICE("*.")))
        return slice_equal_nocase(pattern, name);
    size_t dot = slice_find_octet(name, '.');
    return dot > 0 && slice_equal_nocase(slice_from(pattern, 1), slice_from(name, dot));
}

static struct tls_host *find_host(const struct tls_context *context, struct slice name)
{
    struct tls_host *host;
    DL_FOREACH (context->hosts, host)
        if (slice_equal_nocase(slice_of_string(host->name), name))
            return host;
    DL_FOREACH (context->hosts, host)
        if (host_matches(host, name))
            return host;
    return NULL;
}

static int on_server_name(SSL *ssl, int *alert, void *owner)
{
    (void)alert;
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    if (!name)
        return SSL_TLSEXT_ERR_NOACK;
    struct tls_host *host = find_host(owner, slice_of_string(name));
    /* RFC 6066 3: continuing with the default certificate is allowed; the client decides. */
    if (!host)
        return SSL_TLSEXT_ERR_NOACK;
    SSL_set_SSL_CTX(ssl, host->settings);
    return SSL_TLSEXT_ERR_OK;
}

static int on_alpn(SSL *ssl, const unsigned char **chosen, unsigned char *length,
                   const unsigned char *offered, unsigned offered_length, void *owner)
{
    (void)ssl;
    const struct tls_context *context = owner;
    if (context->alpn_octets == 0)
        return SSL_TLSEXT_ERR_NOACK;
    unsigned char *name;
    int result = SSL_select_next_proto(&name, length, context->alpn, context->alpn_octets, offered,
                                       offered_length);
    *chosen = name;
    return result == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* ---- settings ---- */

#define SUITES_12 "ECDHE+AESGCM:ECDHE+CHACHA20"
#define SUITES_13 "TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256"
static bool choose_algorithms(SSL_CTX *settings)
{
    /* Arrays: OpenSSL's macros cast a const away. The signatures are those that `keys` makes. */
    char groups[] = "X25519:P-256:P-384:P-521";
    char signatures[] = "ECDSA+SHA256:ECDSA+SHA384:ECDSA+SHA512:RSA-PSS+SHA256:RSA-PSS+SHA384"
                        ":RSA-PSS+SHA512:RSA+SHA256:RSA+SHA384:RSA+SHA512";
    return SSL_CTX_set_min_proto_version(settings, TLS1_2_VERSION) == 1
           && SSL_CTX_set_max_proto_version(settings, TLS1_3_VERSION) == 1
           && SSL_CTX_set_cipher_list(settings, SUITES_12) == 1
           && SSL_CTX_set_ciphersuites(settings, SUITES_13) == 1
           && SSL_CTX_set1_groups_list(settings, groups) == 1
           && SSL_CTX_set1_sigalgs_list(settings, signatures) == 1
           && SSL_CTX_set_num_tickets(settings, 0) == 1;
}

static SSL_CTX *new_settings(struct tls_context *context)
{
    SSL_CTX *settings = SSL_CTX_new_ex(NULL, "?provider=default", TLS_server_method());
    if (!settings)
        return NULL;
    SSL_CTX_set_security_level(settings, 2);
    SSL_CTX_set_options(settings, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_NO_TICKET
                                      | SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA
                                      | SSL_OP_IGNORE_UNEXPECTED_EOF);
    /* RELEASE_BUFFERS: an idle connection costs 14 KiB instead of 50. */
    SSL_CTX_set_mode(settings, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE
                                   | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_read_ahead(settings, 1); /* one call for a whole record, not two */
    SSL_CTX_set_session_cache_mode(settings, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_verify(settings, SSL_VERIFY_NONE, NULL);
    SSL_CTX_set_tlsext_servername_callback(settings, on_server_name);
    SSL_CTX_set_tlsext_servername_arg(settings, context);
    SSL_CTX_set_alpn_select_cb(settings, on_alpn, context);
    if (choose_algorithms(settings))
        return settings;
    SSL_CTX_free(settings);
    return NULL;
}

struct tls_context *tls_context_new(const char *alpn, struct error *error)
{
    struct tls_context *context = calloc(1, sizeof(*context));
    if (!context) {
        error_memory(error);
        return NULL;
    }
    struct slice name = slice_of_string(alpn);
    assert(name.len < sizeof(context->alpn));
    if (name.len > 0) {
        context->alpn[0] = (uint8_t)name.len;
        memcpy(context->alpn + 1, name.ptr, name.len);
        context->alpn_octets = 1 + (unsigned)name.len;
    }
    return context;
}

static void remove_host(struct tls_context *context, struct tls_host *host)
{
    DL_DELETE(context->hosts, host);
    SSL_CTX_free(host->settings);
    free(host);
}

void tls_context_free(struct tls_context *context)
{
    if (!context)
        return;
    struct tls_host *host, *next;
    DL_FOREACH_SAFE (context->hosts, host, next)
        remove_host(context, host);
    free(context);
}

/* ---- certificates ---- */

static STACK_OF(X509) * parse_chain(struct slice pem, X509 **leaf, struct error *error)
{
    *leaf = NULL;
    STACK_OF(X509) *chain = sk_X509_new_null();
    BIO *text = pem.len <= CHAIN_MAX ? BIO_new_mem_buf(pem.ptr, (int)pem.len) : NULL;
    X509 *certificate;
    while (chain && text && (certificate = PEM_read_bio_X509(text, NULL, NULL, NULL))) {
        if (!*leaf) {
            *leaf = certificate;
        } else if (sk_X509_push(chain, certificate) <= 0) {
            X509_free(certificate);
            break;
        }
    }
    BIO_free(text);
    unsigned long why = ERR_peek_last_error();
    ERR_clear_error();
    if (*leaf && ERR_GET_REASON(why) == PEM_R_NO_START_LINE)
        return chain;
    X509_free(*leaf);
    sk_X509_pop_free(chain, X509_free);
    error_set(error, ERROR_PERMANENT, "not a chain of certificates in PEM");
    return NULL;
}

static struct tls_host *host_for(struct tls_context *context, const char *name, struct error *error)
{
    struct tls_host *host;
    DL_FOREACH (context->hosts, host)
        if (slice_equal_nocase(slice_of_string(host->name), slice_of_string(name)))
            return host;
    if (strlen(name) >= sizeof(host->name)) {
        error_set(error, ERROR_PERMANENT, "name of a certificate is too long");
        return NULL;
    }
    host = calloc(1, sizeof(*host));
    if (!host) {
        error_memory(error);
        return NULL;
    }
    memcpy(host->name, name, strlen(name) + 1);
    host->settings = new_settings(context);
    if (!host->settings) {
        tls_failure(error, ERROR_TEMPORARY, "TLS settings");
        free(host);
        return NULL;
    }
    DL_APPEND(context->hosts, host);
    return host;
}

static bool add_chain(struct tls_context *context, const char *name, X509 *leaf,
                      STACK_OF(X509) * chain, EVP_PKEY *key, struct error *error)
{
    struct tls_host *host = host_for(context, name, error);
    if (!host)
        return false;
    if (SSL_CTX_use_cert_and_key(host->settings, leaf, key, chain, 0) == 1)
        return true;
    tls_failure(error, ERROR_PERMANENT, "certificate and key");
    if (!SSL_CTX_get0_certificate(host->settings))
        remove_host(context, host); /* or clients who ask for the name would find nothing */
    return false;
}

bool tls_context_add(struct tls_context *context, const char *name, struct slice chain_pem,
                     const struct keys_signer *signer, uint32_t certificate, struct error *error)
{
    X509 *leaf;
    STACK_OF(X509) *chain = parse_chain(chain_pem, &leaf, error);
    if (!chain)
        return false;
    EVP_PKEY *key = keys_provider_key(signer, certificate, leaf, error);
    bool added = key && add_chain(context, name, leaf, chain, key, error);
    EVP_PKEY_free(key);
    X509_free(leaf);
    sk_X509_pop_free(chain, X509_free);
    return added;
}

bool tls_context_add_with_key(struct tls_context *context, const char *name, struct slice chain_pem,
                              EVP_PKEY *key, struct error *error)
{
    X509 *leaf;
    STACK_OF(X509) *chain = parse_chain(chain_pem, &leaf, error);
    if (!chain)
        return false;
    bool added = add_chain(context, name, leaf, chain, key, error);
    X509_free(leaf);
    sk_X509_pop_free(chain, X509_free);
    return added;
}

/* ---- connections ---- */

void tls_context_ask_client(struct tls_context *context)
{
    context->asks_client = true;
}

/* OpenSSL always verifies that the client has the key; its identity is checked elsewhere if it logs
 * in with the certificate. */
static int take_any(int verified, X509_STORE_CTX *store)
{
    (void)verified;
    (void)store;
    return 1;
}

SSL *tls_context_connection(struct tls_context *context, int fd, struct error *error)
{
    if (!context || !context->hosts) {
        error_set(error, ERROR_PERMANENT, "no certificate");
        return NULL;
    }
    SSL *ssl = SSL_new(context->hosts->settings);
    if (ssl && SSL_set_fd(ssl, fd) == 1) {
        SSL_set_accept_state(ssl);
        if (context->asks_client)
            SSL_set_verify(ssl, SSL_VERIFY_PEER, take_any);
        return ssl;
    }
    SSL_free(ssl);
    tls_failure(error, ERROR_TEMPORARY, "TLS connection");
    return NULL;
}

void tls_connection_facts(const SSL *ssl, struct tls_facts *facts)
{
    const SSL_CIPHER *cipher = SSL_get_current_cipher(ssl);
    *facts = (struct tls_facts){
        .version = SSL_get_version(ssl),
        .cipher = SSL_CIPHER_get_name(cipher),
        .suite = SSL_CIPHER_standard_name(cipher),
        .bits = (unsigned)SSL_CIPHER_get_bits(cipher, NULL),
        .server_name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name),
    };
}
