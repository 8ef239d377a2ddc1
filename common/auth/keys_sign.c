/* Recognising and signing a TLS server's handshake messages; see keys_sign.h. Runs in `keys`. */
#include "common/auth/keys_sign.h"

#include <limits.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "common/auth/keys_protocol.h"
#include "common/size.h"
#include "common/text/cursor.h"

/* ---- recognising ---- */

static bool skip_octets(struct cursor *in, size_t count)
{
    if (cursor_left(in) < count)
        return false;
    in->at += count;
    return true;
}

static bool skip_text(struct cursor *in, struct slice text)
{
    return slice_starts_with(cursor_rest(in), text) && skip_octets(in, text.len);
}

/* 64 spaces, the context, a zero octet, the transcript's hash (SHA-256 or SHA-384: those of the 1.3
 * suites). RFC 8446 4.4.3 */
static bool is_certificate_verify(struct slice message)
{
    struct cursor in = cursor_of(message);
    for (int i = 0; i < 64; i++)
        if (!cursor_skip(&in, 0x20))
            return false;
    if (!skip_text(&in, SLICE("TLS 1.3, server CertificateVerify")) || !cursor_skip(&in, 0))
        return false;
    return cursor_left(&in) == 32 || cursor_left(&in) == 48;
}

/* ECPoint of a named group: RFC 8422 5.4.1, 5.10 (an uncompressed point, or the bare coordinate of
 * the two Montgomery curves). */
static const struct {
    uint16_t group;
    uint8_t octets;
    bool has_form;
} points[] = {
    {23, 65, true},  /* secp256r1 */
    {24, 97, true},  /* secp384r1 */
    {25, 133, true}, /* secp521r1 */
    {29, 32, false}, /* x25519 */
    {30, 56, false}, /* x448 */
};

static bool is_point(struct slice point, uint16_t group)
{
    for (size_t i = 0; i < ARRAY_LENGTH(points); i++)
        if (points[i].group == group)
            return point.len == points[i].octets && (!points[i].has_form || point.ptr[0] == 4);
    return false;
}

/* client random, server random, ServerECDHParams { curve_type 3, group, ECPoint }. RFC 8422 5.4 */
static bool is_key_exchange(struct slice message)
{
    enum { RANDOMS = 64, BEFORE_POINT = RANDOMS + 4 };
    if (message.len <= BEFORE_POINT || message.ptr[RANDOMS] != 3)
        return false;
    uint16_t group = (uint16_t)(message.ptr[RANDOMS + 1] << 8 | message.ptr[RANDOMS + 2]);
    struct slice point = slice_from(message, BEFORE_POINT);
    return message.ptr[RANDOMS + 3] == point.len && is_point(point, group);
}

bool keys_recognise(struct slice message, enum keys_message *kind)
{
    if (is_certificate_verify(message))
        *kind = KEYS_TLS13_CERTIFICATE_VERIFY;
    else if (is_key_exchange(message))
        *kind = KEYS_TLS12_KEY_EXCHANGE;
    else
        return false;
    return true;
}

/* ---- signing ---- */

static const struct scheme {
    const char *key_type;
    const char *digest;
    int padding; /* of RSA; 0: none */
    uint16_t code;
} schemes[] = {
    {"RSA", "SHA256", RSA_PKCS1_PADDING, 0x0401},
    {"RSA", "SHA384", RSA_PKCS1_PADDING, 0x0501},
    {"RSA", "SHA512", RSA_PKCS1_PADDING, 0x0601},
    {"RSA", "SHA256", RSA_PKCS1_PSS_PADDING, 0x0804},
    {"RSA", "SHA384", RSA_PKCS1_PSS_PADDING, 0x0805},
    {"RSA", "SHA512", RSA_PKCS1_PSS_PADDING, 0x0806},
    {"EC", "SHA256", 0, 0x0403},
    {"EC", "SHA384", 0, 0x0503},
    {"EC", "SHA512", 0, 0x0603},
};

static const struct scheme *find_scheme(uint16_t code, enum keys_message kind)
{
    for (size_t i = 0; i < ARRAY_LENGTH(schemes); i++) {
        if (schemes[i].code != code)
            continue;
        /* RFC 8446 4.2.3: PKCS #1 1.5 is not for CertificateVerify. */
        bool forbidden =
            kind == KEYS_TLS13_CERTIFICATE_VERIFY && schemes[i].padding == RSA_PKCS1_PADDING;
        return forbidden ? NULL : &schemes[i];
    }
    return NULL;
}

static bool openssl_failure(struct error *error, const char *what)
{
    unsigned long code = ERR_peek_last_error();
    const char *reason = ERR_reason_error_string(code);
    ERR_clear_error();
    return error_set(error, ERROR_TEMPORARY, "%s: %s", what, reason ? reason : "failed");
}

static bool start_signing(EVP_MD_CTX *context, EVP_PKEY *key, const struct scheme *scheme)
{
    EVP_PKEY_CTX *settings;
    if (EVP_DigestSignInit_ex(context, &settings, scheme->digest, NULL, NULL, key, NULL) != 1)
        return false;
    if (scheme->padding != 0 && EVP_PKEY_CTX_set_rsa_padding(settings, scheme->padding) != 1)
        return false;
    return scheme->padding != RSA_PKCS1_PSS_PADDING
           || EVP_PKEY_CTX_set_rsa_pss_saltlen(settings, RSA_PSS_SALTLEN_DIGEST) == 1;
}

bool keys_sign_message(EVP_PKEY *key, uint16_t code, struct slice message, uint8_t *signature,
                       size_t *octets, struct error *error)
{
    enum keys_message kind;
    if (!keys_recognise(message, &kind))
        return error_set(error, ERROR_PEER, "%zu octets to be signed are no TLS server handshake",
                         message.len);
    const struct scheme *scheme = find_scheme(code, kind);
    if (!scheme)
        return error_set(error, ERROR_PEER, "signature scheme 0x%04x is not signed", code);
    if (!EVP_PKEY_is_a(key, scheme->key_type))
        return error_set(error, ERROR_PERMANENT, "signature scheme 0x%04x does not fit the key",
                         code);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    if (!context)
        return error_memory(error);
    *octets = KEYS_SIGNATURE_MAX;
    bool made = start_signing(context, key, scheme)
                && EVP_DigestSign(context, signature, octets, message.ptr, message.len) == 1;
    EVP_MD_CTX_free(context);
    return made || openssl_failure(error, "sign");
}

/* ---- reading ---- */

/* A key with a passphrase must not make a role ask at a terminal. */
static int no_passphrase(char *text, int size, int writing, void *owner)
{
    (void)text;
    (void)size;
    (void)writing;
    (void)owner;
    return -1;
}

EVP_PKEY *keys_parse_private_key(struct slice pem, struct error *error)
{
    if (pem.len > INT_MAX) {
        error_set(error, ERROR_PERMANENT, "not a private key");
        return NULL;
    }
    BIO *text = BIO_new_mem_buf(pem.ptr, (int)pem.len);
    if (!text) {
        error_memory(error);
        return NULL;
    }
    EVP_PKEY *key = PEM_read_bio_PrivateKey(text, NULL, no_passphrase, NULL);
    BIO_free(text);
    ERR_clear_error();
    if (!key) {
        error_set(error, ERROR_PERMANENT, "no private key in PEM without a passphrase");
        return NULL;
    }
    if (EVP_PKEY_is_a(key, "RSA") || EVP_PKEY_is_a(key, "EC"))
        return key;
    error_set(error, ERROR_PERMANENT, "private key is neither RSA nor EC");
    EVP_PKEY_free(key);
    return NULL;
}
