/*
 * The provider of keys that are elsewhere; see keys_provider.h. Network roles.
 *
 * How libssl meets it: SSL_CTX_use_cert_and_key compares the certificate's public key with ours
 * (match, export), the handshake asks for sizes and the curve (get_params), then EVP_DigestSignInit
 * finds the signature algorithm of our provider through the key (query_operation_name) and
 * EVP_DigestSign calls digest_sign once with the whole message.
 */
#include "common/tls/keys_provider.h"

#include <stdlib.h>

#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/provider.h>
#include <openssl/rsa.h>
#include <openssl/ssl.h>

#include "common/auth/keys_protocol.h"
#include "common/size.h"

#define PROVIDER_NAME "staffetta-keys"
#define PROPERTIES "provider=" PROVIDER_NAME
#define PARAM_REMOTE_KEY "staffetta-remote-key"

/* The contents of one of our EVP_PKEYs. */
struct remote_key {
    const struct keys_signer *signer;
    EVP_PKEY *public_key; /* of another provider; owned */
    uint32_t certificate;
};

/* What an import of PARAM_REMOTE_KEY carries, by value, within this process. */
struct remote_key_import {
    const struct keys_signer *signer;
    EVP_PKEY *public_key; /* borrowed */
    uint32_t certificate;
};

/* ---- key management ---- */

static void *key_new(void *provider)
{
    (void)provider;
    return calloc(1, sizeof(struct remote_key));
}

static void key_free(void *key)
{
    if (!key)
        return;
    EVP_PKEY_free(((struct remote_key *)key)->public_key);
    free(key);
}

static int key_has(const void *key, int selection)
{
    (void)selection; /* the private half too, in a way */
    return ((const struct remote_key *)key)->public_key != NULL;
}

static int key_match(const void *a, const void *b, int selection)
{
    (void)selection; /* equal public halves are equal keys */
    return EVP_PKEY_eq(((const struct remote_key *)a)->public_key,
                       ((const struct remote_key *)b)->public_key)
           == 1;
}

static int key_import(void *key, int selection, const OSSL_PARAM params[])
{
    (void)selection;
    const OSSL_PARAM *param = OSSL_PARAM_locate_const(params, PARAM_REMOTE_KEY);
    struct remote_key_import from;
    if (!param || param->data_type != OSSL_PARAM_OCTET_STRING || param->data_size != sizeof(from))
        return 0;
    memcpy(&from, param->data, sizeof(from));
    struct remote_key *to = key;
    if (to->public_key || EVP_PKEY_up_ref(from.public_key) != 1)
        return 0;
    *to = (struct remote_key){from.signer, from.public_key, from.certificate};
    return 1;
}

static const OSSL_PARAM *key_import_types(int selection)
{
    static const OSSL_PARAM types[] = {
        OSSL_PARAM_octet_string(PARAM_REMOTE_KEY, NULL, 0),
        OSSL_PARAM_END,
    };
    (void)selection;
    return types;
}

/* Exports only the public half; signing with the private one must go through this provider. */
static int key_export(void *key, int selection, OSSL_CALLBACK *give, void *owner)
{
    if ((selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY) != 0)
        return 0;
    return EVP_PKEY_export(((struct remote_key *)key)->public_key, selection, give, owner);
}

static const OSSL_PARAM *key_export_types(int selection)
{
    static const OSSL_PARAM types[] = {
        OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, NULL, 0),
        OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_PUB_KEY, NULL, 0),
        OSSL_PARAM_BN(OSSL_PKEY_PARAM_RSA_N, NULL, 0),
        OSSL_PARAM_BN(OSSL_PKEY_PARAM_RSA_E, NULL, 0),
        OSSL_PARAM_END,
    };
    return (selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY) != 0 ? NULL : types;
}

/* Sizes, security bits and curve come from the public half's own provider. */
static int key_get_params(void *key, OSSL_PARAM params[])
{
    return EVP_PKEY_get_params(((struct remote_key *)key)->public_key, params);
}

static const OSSL_PARAM *key_gettable_params(void *provider)
{
    static const OSSL_PARAM types[] = {
        OSSL_PARAM_int(OSSL_PKEY_PARAM_BITS, NULL),
        OSSL_PARAM_int(OSSL_PKEY_PARAM_SECURITY_BITS, NULL),
        OSSL_PARAM_int(OSSL_PKEY_PARAM_MAX_SIZE, NULL),
        OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, NULL, 0),
        OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT, NULL, 0),
        OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_EC_FIELD_TYPE, NULL, 0),
        OSSL_PARAM_END,
    };
    (void)provider;
    return types;
}

static const char *rsa_operation_name(int operation)
{
    return operation == OSSL_OP_SIGNATURE ? "RSA" : NULL;
}

static const char *ec_operation_name(int operation)
{
    return operation == OSSL_OP_SIGNATURE ? "ECDSA" : NULL;
}

/* OpenSSL's tables hold functions of every type as void (*)(void). */
#define FUNCTION(number, name)                                                                     \
    {                                                                                              \
        number, (void (*)(void))name                                                               \
    }

#define KEY_FUNCTIONS(operation_name)                                                              \
    {                                                                                              \
        FUNCTION(OSSL_FUNC_KEYMGMT_NEW, key_new), FUNCTION(OSSL_FUNC_KEYMGMT_FREE, key_free),      \
            FUNCTION(OSSL_FUNC_KEYMGMT_HAS, key_has),                                              \
            FUNCTION(OSSL_FUNC_KEYMGMT_MATCH, key_match),                                          \
            FUNCTION(OSSL_FUNC_KEYMGMT_IMPORT, key_import),                                        \
            FUNCTION(OSSL_FUNC_KEYMGMT_IMPORT_TYPES, key_import_types),                            \
            FUNCTION(OSSL_FUNC_KEYMGMT_EXPORT, key_export),                                        \
            FUNCTION(OSSL_FUNC_KEYMGMT_EXPORT_TYPES, key_export_types),                            \
            FUNCTION(OSSL_FUNC_KEYMGMT_GET_PARAMS, key_get_params),                                \
            FUNCTION(OSSL_FUNC_KEYMGMT_GETTABLE_PARAMS, key_gettable_params),                      \
            FUNCTION(OSSL_FUNC_KEYMGMT_QUERY_OPERATION_NAME, operation_name),                      \
        {                                                                                          \
            0, NULL                                                                                \
        }                                                                                          \
    }

static const OSSL_DISPATCH rsa_keys[] = KEY_FUNCTIONS(rsa_operation_name);
static const OSSL_DISPATCH ec_keys[] = KEY_FUNCTIONS(ec_operation_name);

/* ---- signature ---- */

struct signature {
    const struct remote_key *key; /* lives as long as the operation's EVP_PKEY */
    bool is_rsa;
    int padding; /* RSA only */
    int bits;    /* of the digest: 256, 384, 512 */
};

static void *rsa_signature_new(void *provider, const char *properties)
{
    (void)provider;
    (void)properties;
    struct signature *signature = calloc(1, sizeof(*signature));
    if (signature)
        *signature = (struct signature){.is_rsa = true, .padding = RSA_PKCS1_PADDING};
    return signature;
}

static void *ecdsa_signature_new(void *provider, const char *properties)
{
    (void)provider;
    (void)properties;
    return calloc(1, sizeof(struct signature));
}

static void signature_free(void *signature)
{
    free(signature);
}

static int digest_bits(const char *name)
{
    static const struct {
        const char *name;
        int bits;
    } digests[] = {{"SHA256", 256}, {"SHA384", 384}, {"SHA512", 512}};
    EVP_MD *digest = EVP_MD_fetch(NULL, name, NULL);
    int bits = 0;
    for (size_t i = 0; digest && i < ARRAY_LENGTH(digests); i++)
        if (EVP_MD_is_a(digest, digests[i].name))
            bits = digests[i].bits;
    EVP_MD_free(digest);
    return bits;
}

static int padding_of(const OSSL_PARAM *param)
{
    int padding;
    if (param->data_type == OSSL_PARAM_INTEGER)
        return OSSL_PARAM_get_int(param, &padding) == 1 ? padding : 0;
    const char *name;
    if (OSSL_PARAM_get_utf8_string_ptr(param, &name) != 1)
        return 0;
    if (strcmp(name, OSSL_PKEY_RSA_PAD_MODE_PSS) == 0)
        return RSA_PKCS1_PSS_PADDING;
    return strcmp(name, OSSL_PKEY_RSA_PAD_MODE_PKCSV15) == 0 ? RSA_PKCS1_PADDING : 0;
}

/* Of the settings only the padding matters: TLS has one salt length and one mask function for each
 * scheme, and `keys` uses those whatever is set here. */
static int signature_set_params(void *context, const OSSL_PARAM params[])
{
    struct signature *signature = context;
    const OSSL_PARAM *param =
        params ? OSSL_PARAM_locate_const(params, OSSL_SIGNATURE_PARAM_PAD_MODE) : NULL;
    if (!param || !signature->is_rsa)
        return 1;
    signature->padding = padding_of(param);
    return signature->padding == RSA_PKCS1_PADDING || signature->padding == RSA_PKCS1_PSS_PADDING;
}

static const OSSL_PARAM *signature_settable_params(void *context, void *provider)
{
    static const OSSL_PARAM types[] = {
        OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PAD_MODE, NULL, 0),
        OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PSS_SALTLEN, NULL, 0),
        OSSL_PARAM_END,
    };
    (void)context;
    (void)provider;
    return types;
}

static int digest_sign_init(void *context, const char *digest, void *key, const OSSL_PARAM params[])
{
    struct signature *signature = context;
    if (key)
        signature->key = key;
    if (digest)
        signature->bits = digest_bits(digest);
    return signature->key && signature->bits != 0 && signature_set_params(signature, params) == 1;
}

/* RFC 8446 4.2.3: the high octet is the digest (4, 5, 6), save for PSS, where the low one is. */
static uint16_t scheme_of(const struct signature *signature)
{
    unsigned digest = signature->bits == 256 ? 4 : signature->bits == 384 ? 5 : 6;
    if (signature->is_rsa && signature->padding == RSA_PKCS1_PSS_PADDING)
        return (uint16_t)(0x0800 | digest);
    return (uint16_t)(digest << 8 | (signature->is_rsa ? 1U : 3U));
}

static int sign_remotely(const struct signature *signature, struct slice message, uint8_t *out,
                         size_t *octets)
{
    struct error error = {0};
    const struct remote_key *key = signature->key;
    if (key->signer->sign(key->signer->owner, key->certificate, scheme_of(signature), message, out,
                          octets, &error))
        return 1;
    /* Found again by tls_handshake_failure(), for the log. */
    ERR_raise_data(ERR_LIB_USER, ERR_R_OPERATION_FAIL, "%s", error.text);
    return 0;
}

static int digest_sign(void *context, unsigned char *out, size_t *octets, size_t size,
                       const unsigned char *message, size_t length)
{
    const struct signature *signature = context;
    size_t largest = (size_t)EVP_PKEY_get_size(signature->key->public_key);
    if (!out) {
        *octets = largest;
        return 1;
    }
    uint8_t signed_octets[KEYS_SIGNATURE_MAX];
    size_t got = 0;
    if (!sign_remotely(signature, slice_of(message, length), signed_octets, &got) || got > size)
        return 0;
    memcpy(out, signed_octets, got);
    *octets = got;
    return 1;
}

#define SIGNATURE_FUNCTIONS(new_context)                                                           \
    {                                                                                              \
        FUNCTION(OSSL_FUNC_SIGNATURE_NEWCTX, new_context),                                         \
            FUNCTION(OSSL_FUNC_SIGNATURE_FREECTX, signature_free),                                 \
            FUNCTION(OSSL_FUNC_SIGNATURE_DIGEST_SIGN_INIT, digest_sign_init),                      \
            FUNCTION(OSSL_FUNC_SIGNATURE_DIGEST_SIGN, digest_sign),                                \
            FUNCTION(OSSL_FUNC_SIGNATURE_SET_CTX_PARAMS, signature_set_params),                    \
            FUNCTION(OSSL_FUNC_SIGNATURE_SETTABLE_CTX_PARAMS, signature_settable_params),          \
        {                                                                                          \
            0, NULL                                                                                \
        }                                                                                          \
    }

static const OSSL_DISPATCH rsa_signatures[] = SIGNATURE_FUNCTIONS(rsa_signature_new);
static const OSSL_DISPATCH ecdsa_signatures[] = SIGNATURE_FUNCTIONS(ecdsa_signature_new);

/* ---- the provider ---- */

static const OSSL_ALGORITHM key_managers[] = {
    {"RSA:rsaEncryption", PROPERTIES, rsa_keys, NULL},
    {"EC:id-ecPublicKey", PROPERTIES, ec_keys, NULL},
    {NULL, NULL, NULL, NULL},
};

static const OSSL_ALGORITHM signatures[] = {
    {"RSA:rsaEncryption", PROPERTIES, rsa_signatures, NULL},
    {"ECDSA", PROPERTIES, ecdsa_signatures, NULL},
    {NULL, NULL, NULL, NULL},
};

static const OSSL_ALGORITHM *query(void *provider, int operation, int *may_not_be_stored)
{
    (void)provider;
    *may_not_be_stored = 0;
    switch (operation) {
    case OSSL_OP_KEYMGMT:
        return key_managers;
    case OSSL_OP_SIGNATURE:
        return signatures;
    default:
        return NULL;
    }
}

static int provider_init(const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *from_core,
                         const OSSL_DISPATCH **to_core, void **context)
{
    static const OSSL_DISPATCH functions[] = {
        FUNCTION(OSSL_FUNC_PROVIDER_QUERY_OPERATION, query),
        {0, NULL},
    };
    (void)from_core;
    *to_core = functions;
    *context = (void *)(uintptr_t)handle; /* not used, but must not be NULL */
    return 1;
}

bool keys_provider_load(struct error *error)
{
    /* "?": our algorithms bear the same names as OpenSSL's own and must be found through their keys
     * alone, never for a certificate's key or a key exchange. */
    if (OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG | OPENSSL_INIT_NO_ATEXIT, NULL) != 1
        || OSSL_PROVIDER_add_builtin(NULL, PROVIDER_NAME, provider_init) != 1
        || !OSSL_PROVIDER_load(NULL, "default") || !OSSL_PROVIDER_load(NULL, PROVIDER_NAME)
        || EVP_set_default_properties(NULL, "?provider=default") != 1) {
        ERR_clear_error();
        return error_set(error, ERROR_TEMPORARY, "OpenSSL does not start");
    }
    return true;
}

static EVP_PKEY *import_key(const char *type, struct remote_key_import *from)
{
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(PARAM_REMOTE_KEY, from, sizeof(*from)),
        OSSL_PARAM_construct_end(),
    };
    EVP_PKEY *key = NULL;
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, type, PROPERTIES);
    if (context && EVP_PKEY_fromdata_init(context) == 1)
        EVP_PKEY_fromdata(context, &key, EVP_PKEY_KEYPAIR, params);
    EVP_PKEY_CTX_free(context);
    ERR_clear_error();
    return key;
}

EVP_PKEY *keys_provider_key(const struct keys_signer *signer, uint32_t certificate, X509 *leaf,
                            struct error *error)
{
    struct remote_key_import from = {signer, X509_get0_pubkey(leaf), certificate};
    const char *type = NULL;
    if (from.public_key && EVP_PKEY_is_a(from.public_key, "RSA"))
        type = "RSA";
    else if (from.public_key && EVP_PKEY_is_a(from.public_key, "EC"))
        type = "EC";
    if (!type) {
        error_set(error, ERROR_PERMANENT, "the certificate's key is neither RSA nor EC");
        return NULL;
    }
    EVP_PKEY *key = import_key(type, &from);
    if (!key)
        error_set(error, ERROR_TEMPORARY, "OpenSSL takes no key of ours");
    return key;
}
