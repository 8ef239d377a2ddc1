/* Keys and self-signed certificates for tests that speak TLS; made anew in each run. */
#ifndef TESTS_UNIT_TLS_MATERIAL_H
#define TESTS_UNIT_TLS_MATERIAL_H

#include "tests/unit/test.h"

#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/ssl.h>

#include "common/buffer.h"

struct material {
    EVP_PKEY *key;
    X509 *certificate;
    struct buffer pem; /* of the certificate */
};

static inline void append_bio(BIO *bio, struct buffer *buffer)
{
    char *octets;
    long length = BIO_get_mem_data(bio, &octets);
    buffer_append(buffer, slice_of(octets, (size_t)length));
    BIO_free(bio);
}

/* curve NULL: RSA with 2048 bits. */
static inline void material_make(struct material *material, const char *curve, const char *host)
{
    material->key = curve ? EVP_EC_gen(curve) : EVP_RSA_gen(2048);
    assert_non_null(material->key);
    X509 *certificate = X509_new();
    assert_non_null(certificate);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -60);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
    X509_set_pubkey(certificate, material->key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC,
                               (const unsigned char *)host, -1, -1, 0);
    X509_set_issuer_name(certificate, X509_get_subject_name(certificate));
    assert_true(X509_sign(certificate, material->key, EVP_sha256()) > 0);
    material->certificate = certificate;
    buffer_init(&material->pem, 65536);
    BIO *bio = BIO_new(BIO_s_mem());
    PEM_write_bio_X509(bio, certificate);
    append_bio(bio, &material->pem);
}

static inline void material_clear(struct material *material)
{
    EVP_PKEY_free(material->key);
    X509_free(material->certificate);
    buffer_clear(&material->pem);
}

#endif
