/* The check of client_certificate.h. */
#include "common/auth/client_certificate.h"

#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

/* All that stand in the text; NULL: none, or no memory. */
static X509_STORE *read_authorities(struct slice pem)
{
    size_t count = 0;
    X509 *certificate;
    X509_STORE *store = X509_STORE_new();
    BIO *in = BIO_new_mem_buf(pem.ptr, (int)pem.len);
    while (store && in && (certificate = PEM_read_bio_X509(in, NULL, NULL, NULL))) {
        count += X509_STORE_add_cert(store, certificate) == 1;
        X509_free(certificate);
    }
    BIO_free(in);
    if (count > 0)
        return store;
    X509_STORE_free(store);
    return NULL;
}

static STACK_OF(X509) * read_certificates(struct slice der)
{
    STACK_OF(X509) *chain = sk_X509_new_null();
    const unsigned char *at = der.ptr;
    const unsigned char *end = der.ptr + der.len;
    while (chain && at < end) {
        X509 *certificate = d2i_X509(NULL, &at, end - at);
        if (!certificate || !sk_X509_push(chain, certificate)) {
            X509_free(certificate);
            break;
        }
    }
    return chain;
}

static bool verify(STACK_OF(X509) * chain, X509_STORE *store, struct error *error)
{
    X509_STORE_CTX *context = X509_STORE_CTX_new();
    bool right = false;
    if (context && X509_STORE_CTX_init(context, store, sk_X509_value(chain, 0), chain) == 1
        && X509_STORE_CTX_set_purpose(context, X509_PURPOSE_SSL_CLIENT) == 1)
        right = X509_verify_cert(context) == 1
                || error_set(error, ERROR_PERMANENT, "certificate refused: %s",
                             X509_verify_cert_error_string(X509_STORE_CTX_get_error(context)));
    else
        error_memory(error);
    X509_STORE_CTX_free(context);
    return right;
}

/* The first name, or the one that is wanted. One with a NUL in it is none: it is read otherwise by
 * those who stop there. */
static void offer(const ASN1_STRING *string, struct slice wanted, struct buffer *name)
{
    struct slice text = slice_of(ASN1_STRING_get0_data(string), (size_t)ASN1_STRING_length(string));
    if (text.len == 0 || slice_find_octet(text, '\0') < text.len
        || (name->len > 0 && !slice_equal_nocase(text, wanted)))
        return;
    buffer_reset(name);
    buffer_append(name, text);
}

/* SAN rfc822Name, RFC 5280 4.2.1.6 */
static void find_addresses(const X509 *certificate, struct slice wanted, struct buffer *name)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *each = sk_GENERAL_NAME_value(names, i);
        if (each->type == GEN_EMAIL)
            offer(each->d.rfc822Name, wanted, name);
    }
    GENERAL_NAMES_free(names);
}

static void find_common_names(const X509 *certificate, struct slice wanted, struct buffer *name)
{
    const X509_NAME *subject = X509_get_subject_name(certificate);
    for (int at = -1; (at = X509_NAME_get_index_by_NID(subject, NID_commonName, at)) >= 0;) {
        unsigned char *text = NULL;
        int len =
            ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
        ASN1_STRING *string = len > 0 ? ASN1_STRING_type_new(V_ASN1_UTF8STRING) : NULL;
        if (string && ASN1_STRING_set(string, text, len) == 1)
            offer(string, wanted, name);
        ASN1_STRING_free(string);
        OPENSSL_free(text);
    }
}

bool client_certificate_check(struct slice certificates, struct slice authorities_pem,
                              enum config_certificate_name kind, struct slice wanted,
                              struct buffer *name, struct error *error)
{
    bool right = false;
    X509_STORE *store = read_authorities(authorities_pem);
    STACK_OF(X509) *chain = read_certificates(certificates);
    if (!store)
        error_set(error, ERROR_TEMPORARY, "client-certificates.authorities has none");
    else if (sk_X509_num(chain) < 1)
        error_set(error, ERROR_PERMANENT, "certificate refused: it is none");
    else if (verify(chain, store, error)) {
        if (kind == CONFIG_CERTIFICATE_COMMON_NAME)
            find_common_names(sk_X509_value(chain, 0), wanted, name);
        else
            find_addresses(sk_X509_value(chain, 0), wanted, name);
        right = (name->len > 0 && !name->failed)
                || error_set(error, ERROR_PERMANENT, "certificate refused: it names nobody");
    }
    sk_X509_pop_free(chain, X509_free);
    X509_STORE_free(store);
    return right;
}
