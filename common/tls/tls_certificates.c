/* See tls_certificates.h. Network roles. */
#include "common/tls/tls_certificates.h"

#include <openssl/ssl.h>

bool tls_has_client_certificate(const SSL *ssl)
{
    return ssl && SSL_get0_peer_certificate(ssl) != NULL;
}

static void append(const X509 *certificate, struct buffer *der)
{
    unsigned char *octets = NULL;
    int len = i2d_X509(certificate, &octets);
    if (len > 0)
        buffer_append(der, slice_of(octets, (size_t)len));
    else
        der->failed = true;
    OPENSSL_free(octets);
}

/* A server finds its client's own certificate outside of the chain. */
void tls_append_client_certificates(const SSL *ssl, struct buffer *der)
{
    if (!tls_has_client_certificate(ssl))
        return;
    append(SSL_get0_peer_certificate(ssl), der);
    STACK_OF(X509) *chain = SSL_get_peer_cert_chain(ssl);
    for (int i = 0; i < sk_X509_num(chain); i++)
        append(sk_X509_value(chain, i), der);
}
