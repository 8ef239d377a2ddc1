/*
 * The check of jwt.h:
 *
 *     cut at the dots ─> header ─> a key that fits ─> signature ─> claims ─> whose it is
 *
 * Claims are read only once the signature is right.
 */
#include "common/auth/jwt.h"

#include <jansson.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <sodium.h>

#include "common/size.h"

enum {
    PART_OCTETS = JWT_MAX,
    RSA_BITS_LEAST = 2048, /* RFC 7518 3.3 */
    COORDINATE_OCTETS = 32,
    ED25519_OCTETS = 32,
    DER_OCTETS = 80,
    KEY_ID_SIZE = 256,
};

struct algorithm {
    const char *name;
    const char *key_type;
    const char *curve; /* NULL: it has none */
    const char *digest;
    EVP_PKEY *(*make_key)(const json_t *jwk);
    /* Where OpenSSL wants the signature otherwise than RFC 7518 has it. */
    size_t (*convert)(struct slice signature, uint8_t der[DER_OCTETS]);
};

struct jwt {
    struct slice signed_part; /* header "." claims */
    struct slice header, claims, signature;
    const struct algorithm *algorithm;
    char key_id[KEY_ID_SIZE]; /* of the header; "": it names none */
};

static bool refuse(struct error *error, const char *why)
{
    return error_set(error, ERROR_PERMANENT, "token refused: %s", why);
}

/* ---- base64url without padding (RFC 7515 2) ---- */

static bool decode(struct slice text, uint8_t *octets, size_t size, size_t *len)
{
    const char *end;
    return sodium_base642bin(octets, size, (const char *)text.ptr, text.len, NULL, len, &end,
                             sodium_base64_VARIANT_URLSAFE_NO_PADDING)
               == 0
           && end == (const char *)text.ptr + text.len;
}

/* NULL: it is not there, or no text. */
static const char *text_of(const json_t *object, const char *name)
{
    return json_string_value(json_object_get(object, name));
}

static bool decode_member(const json_t *object, const char *name, uint8_t *octets, size_t size,
                          size_t *len)
{
    const char *text = text_of(object, name);
    return text && decode(slice_of_string(text), octets, size, len);
}

static bool says(const json_t *object, const char *name, const char *wanted)
{
    const char *text = text_of(object, name);
    return text && strcmp(text, wanted) == 0;
}

/* NULL: it is no JSON, or says something twice. */
static json_t *parse_json(struct slice text)
{
    return json_loadb((const char *)text.ptr, text.len, JSON_REJECT_DUPLICATES, NULL);
}

/* ---- keys (RFC 7518 6, RFC 8037 2) ---- */

static EVP_PKEY *make_from(const char *type, OSSL_PARAM_BLD *builder)
{
    EVP_PKEY *key = NULL;
    OSSL_PARAM *parameters = OSSL_PARAM_BLD_to_param(builder);
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
    if (parameters && context && EVP_PKEY_fromdata_init(context) == 1)
        EVP_PKEY_fromdata(context, &key, EVP_PKEY_PUBLIC_KEY, parameters);
    EVP_PKEY_CTX_free(context);
    OSSL_PARAM_free(parameters);
    return key;
}

static EVP_PKEY *make_rsa(const json_t *jwk)
{
    uint8_t octets[1024];
    size_t len;
    EVP_PKEY *key = NULL;
    OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
    BIGNUM *modulus = NULL, *exponent = NULL;
    if (decode_member(jwk, "n", octets, sizeof(octets), &len))
        modulus = BN_bin2bn(octets, (int)len, NULL);
    if (decode_member(jwk, "e", octets, sizeof(octets), &len))
        exponent = BN_bin2bn(octets, (int)len, NULL);
    if (builder && modulus && exponent && BN_num_bits(modulus) >= RSA_BITS_LEAST
        && OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_N, modulus)
        && OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_E, exponent))
        key = make_from("RSA", builder);
    BN_free(modulus);
    BN_free(exponent);
    OSSL_PARAM_BLD_free(builder);
    return key;
}

static EVP_PKEY *make_ec(const json_t *jwk)
{
    uint8_t point[1 + 2 * COORDINATE_OCTETS] = {POINT_CONVERSION_UNCOMPRESSED};
    size_t x, y;
    EVP_PKEY *key = NULL;
    OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
    if (builder && decode_member(jwk, "x", point + 1, COORDINATE_OCTETS, &x)
        && decode_member(jwk, "y", point + 1 + COORDINATE_OCTETS, COORDINATE_OCTETS, &y)
        && x == COORDINATE_OCTETS && y == COORDINATE_OCTETS
        && OSSL_PARAM_BLD_push_utf8_string(builder, OSSL_PKEY_PARAM_GROUP_NAME, "P-256", 0)
        && OSSL_PARAM_BLD_push_octet_string(builder, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof(point)))
        key = make_from("EC", builder);
    OSSL_PARAM_BLD_free(builder);
    return key;
}

static EVP_PKEY *make_ed25519(const json_t *jwk)
{
    uint8_t octets[ED25519_OCTETS];
    size_t len;
    if (!decode_member(jwk, "x", octets, sizeof(octets), &len) || len != sizeof(octets))
        return NULL;
    return EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, octets, len);
}

/* R and S, 32 octets each, to DER. 0: they are not that. */
static size_t convert_ecdsa(struct slice signature, uint8_t der[DER_OCTETS])
{
    size_t used = 0;
    ECDSA_SIG *pair = ECDSA_SIG_new();
    if (!pair || signature.len != 2 * (size_t)COORDINATE_OCTETS) {
        ECDSA_SIG_free(pair);
        return 0;
    }
    BIGNUM *r = BN_bin2bn(signature.ptr, COORDINATE_OCTETS, NULL);
    BIGNUM *s = BN_bin2bn(signature.ptr + COORDINATE_OCTETS, COORDINATE_OCTETS, NULL);
    if (ECDSA_SIG_set0(pair, r, s)) {
        int len = i2d_ECDSA_SIG(pair, &der);
        used = len > 0 ? (size_t)len : 0;
    } else {
        BN_free(r);
        BN_free(s);
    }
    ECDSA_SIG_free(pair);
    return used;
}

static const struct algorithm algorithms[] = {
    {"RS256", "RSA", NULL, "SHA256", make_rsa, NULL},
    {"ES256", "EC", "P-256", "SHA256", make_ec, convert_ecdsa},
    {"EdDSA", "OKP", "Ed25519", NULL, make_ed25519, NULL},
};

/* ---- the header ---- */

static const struct algorithm *find_algorithm(const json_t *header)
{
    for (size_t i = 0; i < ARRAY_LENGTH(algorithms); i++)
        if (says(header, "alg", algorithms[i].name))
            return &algorithms[i];
    return NULL;
}

static bool cut(struct slice token, struct jwt *jwt)
{
    size_t first = slice_find_octet(token, '.');
    struct slice rest = slice_from(token, first < token.len ? first + 1 : first);
    size_t second = slice_find_octet(rest, '.');
    if (token.len > JWT_MAX || first == token.len || second == rest.len)
        return false;
    jwt->header = slice_range(token, 0, first);
    jwt->claims = slice_range(rest, 0, second);
    jwt->signature = slice_from(rest, second + 1);
    jwt->signed_part = slice_range(token, 0, first + 1 + second);
    return true;
}

static bool take_header(struct jwt *jwt, const json_t *header, struct error *error)
{
    const json_t *key_id = json_object_get(header, "kid");
    jwt->algorithm = find_algorithm(header);
    if (!jwt->algorithm)
        return refuse(error, "signed otherwise than by RS256, ES256 or EdDSA");
    /* Extensions that must be understood (RFC 7515 4.1.11) are not. */
    if (json_object_get(header, "crit"))
        return refuse(error, "it has critical extensions");
    if (key_id && (!json_is_string(key_id) || json_string_length(key_id) >= KEY_ID_SIZE))
        return refuse(error, "its key has no usable name (kid)");
    snprintf(jwt->key_id, sizeof(jwt->key_id), "%s", key_id ? json_string_value(key_id) : "");
    return true;
}

static bool read_header(struct jwt *jwt, struct error *error)
{
    uint8_t octets[PART_OCTETS];
    size_t len;
    json_t *header = decode(jwt->header, octets, sizeof(octets), &len)
                         ? parse_json(slice_of(octets, len))
                         : NULL;
    bool taken =
        header ? take_header(jwt, header, error) : refuse(error, "its header is none of a JWT");
    json_decref(header);
    return taken;
}

/* ---- the signature ---- */

static bool verify_by(EVP_PKEY *key, const struct jwt *jwt, struct slice signature)
{
    uint8_t der[DER_OCTETS];
    if (jwt->algorithm->convert)
        signature = slice_of(der, jwt->algorithm->convert(signature, der));
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool right =
        context && signature.len > 0
        && EVP_DigestVerifyInit_ex(context, NULL, jwt->algorithm->digest, NULL, NULL, key, NULL)
               == 1
        && EVP_DigestVerify(context, signature.ptr, signature.len, jwt->signed_part.ptr,
                            jwt->signed_part.len)
               == 1;
    EVP_MD_CTX_free(context);
    return right;
}

static bool says_nothing_else(const json_t *object, const char *name, const char *wanted)
{
    return !json_object_get(object, name) || says(object, name, wanted);
}

/* Is it a key for such signatures, and the one that the token names, if it names one? */
static bool fits(const json_t *jwk, const struct jwt *jwt)
{
    const struct algorithm *algorithm = jwt->algorithm;
    return says(jwk, "kty", algorithm->key_type)
           && (!algorithm->curve || says(jwk, "crv", algorithm->curve))
           && says_nothing_else(jwk, "use", "sig") && says_nothing_else(jwk, "alg", algorithm->name)
           && (jwt->key_id[0] == '\0' || says(jwk, "kid", jwt->key_id));
}

static bool verify(const struct jwt *jwt, const json_t *keys)
{
    uint8_t octets[1024];
    size_t len;
    bool right = false;
    if (!decode(jwt->signature, octets, sizeof(octets), &len))
        return false;
    for (size_t i = 0; !right && i < json_array_size(keys); i++) {
        const json_t *jwk = json_array_get(keys, i);
        EVP_PKEY *key = fits(jwk, jwt) ? jwt->algorithm->make_key(jwk) : NULL;
        right = key && verify_by(key, jwt, slice_of(octets, len));
        EVP_PKEY_free(key);
    }
    return right;
}

/* ---- the claims (RFC 7519 4.1) ---- */

static bool is_meant_for(const json_t *claims, const char *audience)
{
    const json_t *meant = json_object_get(claims, "aud");
    for (size_t i = 0; i < json_array_size(meant); i++) {
        const char *each = json_string_value(json_array_get(meant, i));
        if (each && strcmp(each, audience) == 0)
            return true;
    }
    return says(claims, "aud", audience);
}

/* A NumericDate; real numbers, such as 1.7e9, are taken too (RFC 7519 2). */
static bool read_time(const json_t *claims, const char *name, double *seconds)
{
    const json_t *time = json_object_get(claims, name);
    *seconds = json_number_value(time);
    return json_is_number(time);
}

/* scope = scope-token *( SP scope-token ), RFC 6749 3.3 */
static bool has_scope(const json_t *claims, const char *scope)
{
    const char *text = text_of(claims, "scope");
    struct slice rest = slice_of_string(text ? text : "");
    while (rest.len > 0) {
        size_t end = slice_find_octet(rest, ' ');
        if (slice_equal(slice_range(rest, 0, end), slice_of_string(scope)))
            return true;
        rest = slice_from(rest, end + 1);
    }
    return false;
}

static bool is_now(const json_t *claims, int64_t now, struct error *error)
{
    double seconds;
    if (json_object_get(claims, "exp") && !read_time(claims, "exp", &seconds))
        return refuse(error, "its end (exp) is no time");
    if (read_time(claims, "exp", &seconds) && seconds + JWT_LEEWAY_SECONDS <= (double)now)
        return refuse(error, "it has expired");
    if (!json_object_get(claims, "nbf"))
        return true;
    if (!read_time(claims, "nbf", &seconds) || seconds - JWT_LEEWAY_SECONDS > (double)now)
        return refuse(error, "it is not valid yet");
    return true;
}

static bool find_account(const json_t *claims, const struct jwt_policy *policy,
                         struct buffer *account, struct error *error)
{
    const char *text = text_of(claims, policy->claim);
    if (!text || text[0] == '\0')
        return refuse(error, "it does not say whose it is (oauth.claim)");
    /* Anybody can write an address into his profile that is not his: OpenID Connect 5.7. */
    if (strcmp(policy->claim, "email") == 0
        && json_is_false(json_object_get(claims, "email_verified")))
        return refuse(error, "its address was not verified");
    buffer_append_string(account, text);
    return !account->failed || error_memory(error);
}

static bool take_claims(const json_t *claims, const struct jwt_policy *policy,
                        struct buffer *account, struct error *error)
{
    if (policy->issuer && !says(claims, "iss", policy->issuer))
        return refuse(error, "another issuer");
    if (policy->audience && !is_meant_for(claims, policy->audience))
        return refuse(error, "meant for somebody else (aud)");
    if (policy->scope && !has_scope(claims, policy->scope))
        return refuse(error, "meant for something else (scope)");
    return is_now(claims, policy->now, error) && find_account(claims, policy, account, error);
}

static bool read_claims(const struct jwt *jwt, const struct jwt_policy *policy,
                        struct buffer *account, struct error *error)
{
    uint8_t octets[PART_OCTETS];
    size_t len;
    json_t *claims = decode(jwt->claims, octets, sizeof(octets), &len)
                         ? parse_json(slice_of(octets, len))
                         : NULL;
    bool taken = !claims                           ? refuse(error, "its claims are no JSON")
                 : !json_object_get(claims, "exp") ? refuse(error, "it has no end (exp)")
                                                   : take_claims(claims, policy, account, error);
    json_decref(claims);
    return taken;
}

static bool check_with(struct slice token, const json_t *keys, const struct jwt_policy *policy,
                       struct buffer *account, struct error *error)
{
    struct jwt jwt = {0};
    if (!cut(token, &jwt))
        return refuse(error, "it is no JWT");
    if (!read_header(&jwt, error))
        return false;
    if (!verify(&jwt, keys))
        return refuse(error, "no key of oauth.keys has signed it");
    return read_claims(&jwt, policy, account, error);
}

bool jwt_check(struct slice token, struct slice key_set, const struct jwt_policy *policy,
               struct buffer *account, struct error *error)
{
    json_t *set = parse_json(key_set);
    const json_t *keys = json_object_get(set, "keys");
    bool right = json_is_array(keys)
                     ? check_with(token, keys, policy, account, error)
                     : error_set(error, ERROR_TEMPORARY, "oauth.keys is no JWK set (RFC 7517 5)");
    json_decref(set);
    return right;
}

/* ---- what its server says (RFC 7662 2.2) ---- */

static int64_t end_of(const json_t *claims)
{
    double seconds;
    bool known = read_time(claims, "exp", &seconds) && seconds > 0 && seconds < 1e15;
    return known ? (int64_t)seconds : 0;
}

/* A server that does not know the token, or us, says only that it is not active. */
bool jwt_check_introspection(struct slice said, const struct jwt_policy *policy,
                             struct buffer *account, int64_t *until, struct error *error)
{
    json_t *answer = parse_json(said);
    const json_t *active = json_object_get(answer, "active");
    bool right = false;
    if (!json_is_boolean(active))
        error_set(error, ERROR_TEMPORARY, "oauth.introspection: no answer of RFC 7662");
    else if (json_is_false(active))
        refuse(error, "it is not active");
    else
        right = take_claims(answer, policy, account, error);
    *until = right ? end_of(answer) : 0;
    json_decref(answer);
    return right;
}
