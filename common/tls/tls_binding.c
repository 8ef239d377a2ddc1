/* Channel bindings; see tls_binding.h. Network roles. */
#include "common/tls/tls_binding.h"

#include <openssl/ssl.h>

enum { EXPORTED = 32 };

void tls_binding_export(SSL *ssl, struct tls_binding *binding)
{
    static const char label[] = "EXPORTER-Channel-Binding";
    bool unique = SSL_version(ssl) >= TLS1_3_VERSION || SSL_get_extms_support(ssl) == 1;
    binding->length = 0;
    if (unique
        && SSL_export_keying_material(ssl, binding->octets, EXPORTED, label, sizeof(label) - 1,
                                      NULL, 0, 0)
               == 1)
        binding->length = EXPORTED;
}

/* Uses the hash of the certificate's signature; SHA-256 instead of MD5 and SHA-1. */
void tls_binding_end_point(const X509 *certificate, struct tls_binding *binding)
{
    int hash = NID_undef;
    unsigned length = 0;
    X509 *readable = (X509 *)(uintptr_t)certificate; /* OpenSSL 3.0 wants to write */
    binding->length = 0;
    if (!certificate || X509_get_signature_info(readable, &hash, NULL, NULL, NULL) != 1)
        return;
    const EVP_MD *digest =
        hash == NID_md5 || hash == NID_sha1 ? EVP_sha256() : EVP_get_digestbynid(hash);
    if (digest && EVP_MD_get_size(digest) <= (int)sizeof(binding->octets)
        && X509_digest(certificate, digest, binding->octets, &length) == 1)
        binding->length = length;
}

void tls_bindings_of_server(const SSL *ssl, struct tls_bindings *bindings)
{
    SSL *connection = (SSL *)(uintptr_t)ssl; /* OpenSSL 3.0 wants to write where it only reads */
    *bindings = (struct tls_bindings){.exporter = {.length = 0}};
    if (!ssl)
        return;
    tls_binding_export(connection, &bindings->exporter);
    tls_binding_end_point(SSL_get_certificate(connection), &bindings->end_point);
}
