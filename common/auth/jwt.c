/*
 * The check of jwt.h:
 *
 *     cut at the dots ─> header ─> a key that fits ─> signature ─> claims ─> whose it is
 *
 * Claims are read only once the signature is right.
 */
#include "common/auth/jwt.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <sodium.h>

#include "common/json_read.h"
#include "common/size.h"

enum {
    PART_OCTETS = JWT_MAX,
    RSA_BITS_LEAST = 2048, /* RFC 7518 3.3 */
    COORDINATE_OCTETS = 32,
    ED25519_OCTETS = 32,
    DER_OCTETS = 80,
};

struct algorithm {
    const char *name;
    const char *key_type;
    const char *curve; /* NULL: it has none */
    const char *digest;
    EVP_PKEY *(*make_key)(const struct json_value *jwk);
    /* Where OpenSSL wants the signature otherwise than RFC 7518 has it. */
    size_t (*convert)(struct slice signature, uint8_t der[DER_OCTETS]);
};

struct jwt {
    struct slice signed_part; /* header "." claims */
    struct slice header, claims, signature;
    const struct algorithm *algorithm;
    struct json_value key_id; /* of the header */
    bool has_key_id;
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

static bool decode_member(const struct json_value *object, const char *name, uint8_t *octets,
                          size_t size, size_t *len)
{
    struct json_value member;
    return json_member(object, name, &member) && member.kind == JSON_STRING
           && decode(slice_range(member.text, 1, member.text.len - 1), octets, size, len);
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

static EVP_PKEY *make_rsa(const struct json_value *jwk)
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

static EVP_PKEY *make_ec(const struct json_value *jwk)
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

static EVP_PKEY *make_ed25519(const struct json_value *jwk)
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

static const struct algorithm *find_algorithm(const struct json_value *name)
{
    for (size_t i = 0; i < ARRAY_LENGTH(algorithms); i++)
        if (json_is(name, algorithms[i].name))
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

/* Extensions that must be understood (RFC 7515 4.1.11) are not. */
static bool read_header(struct jwt *jwt, uint8_t octets[PART_OCTETS], struct error *error)
{
    struct json_value header, member;
    size_t len;
    if (!decode(jwt->header, octets, PART_OCTETS, &len)
        || !json_parse(slice_of(octets, len), &header) || !json_member(&header, "alg", &member))
        return refuse(error, "its header is none of a JWT");
    jwt->algorithm = find_algorithm(&member);
    if (!jwt->algorithm)
        return refuse(error, "signed otherwise than by RS256, ES256 or EdDSA");
    if (json_member(&header, "crit", &member))
        return refuse(error, "it has critical extensions");
    jwt->has_key_id = json_member(&header, "kid", &jwt->key_id);
    return true;
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

static bool says(const struct json_value *object, const char *name, const char *wanted)
{
    struct json_value member;
    return json_member(object, name, &member) && json_is(&member, wanted);
}

static bool says_nothing_else(const struct json_value *object, const char *name, const char *wanted)
{
    struct json_value member;
    return !json_member(object, name, &member) || json_is(&member, wanted);
}

/* Is it a key for such signatures, and the one that the token names, if it names one? */
static bool fits(const struct json_value *jwk, const struct jwt *jwt)
{
    const struct algorithm *algorithm = jwt->algorithm;
    struct json_value key_id;
    return says(jwk, "kty", algorithm->key_type)
           && (!algorithm->curve || says(jwk, "crv", algorithm->curve))
           && says_nothing_else(jwk, "use", "sig") && says_nothing_else(jwk, "alg", algorithm->name)
           && (!jwt->has_key_id
               || (json_member(jwk, "kid", &key_id) && slice_equal(key_id.text, jwt->key_id.text)));
}

static bool verify(const struct jwt *jwt, const struct json_value *keys)
{
    uint8_t octets[1024];
    size_t len;
    struct json_value jwk;
    struct slice rest = keys->text;
    bool right = false;
    if (!decode(jwt->signature, octets, sizeof(octets), &len))
        return false;
    while (!right && json_next(&rest, &jwk)) {
        EVP_PKEY *key = fits(&jwk, jwt) ? jwt->algorithm->make_key(&jwk) : NULL;
        right = key && verify_by(key, jwt, slice_of(octets, len));
        EVP_PKEY_free(key);
    }
    return right;
}

/* ---- the claims (RFC 7519 4.1) ---- */

static bool is_meant_for(const struct json_value *claims, const char *audience)
{
    struct json_value value, each;
    if (!json_member(claims, "aud", &value))
        return false;
    if (value.kind != JSON_ARRAY)
        return json_is(&value, audience);
    struct slice rest = value.text;
    while (json_next(&rest, &each))
        if (json_is(&each, audience))
            return true;
    return false;
}

static bool read_time(const struct json_value *claims, const char *name, int64_t *seconds)
{
    struct json_value value;
    return json_member(claims, name, &value) && json_integer(&value, seconds);
}

static bool is_now(const struct json_value *claims, int64_t now, struct error *error)
{
    struct json_value value;
    int64_t seconds;
    if (!read_time(claims, "exp", &seconds))
        return refuse(error, "it has no end (exp)");
    if (seconds + JWT_LEEWAY_SECONDS <= now)
        return refuse(error, "it has expired");
    if (!json_member(claims, "nbf", &value))
        return true;
    if (!json_integer(&value, &seconds) || seconds - JWT_LEEWAY_SECONDS > now)
        return refuse(error, "it is not valid yet");
    return true;
}

static bool says_false(const struct json_value *claims, const char *name)
{
    struct json_value value;
    return json_member(claims, name, &value) && value.kind == JSON_WORD
           && slice_equal(value.text, SLICE("false"));
}

static bool find_account(const struct json_value *claims, const struct jwt_policy *policy,
                         struct buffer *account, struct error *error)
{
    struct json_value value;
    if (!json_member(claims, policy->claim, &value) || !json_text(&value, account)
        || account->len == 0)
        return refuse(error, "it does not say whose it is (oauth.claim)");
    /* Anybody can write an address into his profile that is not his: OpenID Connect 5.7. */
    if (slice_equal(slice_of_string(policy->claim), SLICE("email"))
        && says_false(claims, "email_verified"))
        return refuse(error, "its address was not verified");
    return true;
}

static bool check_claims(const struct jwt *jwt, const struct jwt_policy *policy,
                         struct buffer *account, struct error *error)
{
    uint8_t octets[PART_OCTETS];
    size_t len;
    struct json_value claims;
    if (!decode(jwt->claims, octets, sizeof(octets), &len)
        || !json_parse(slice_of(octets, len), &claims))
        return refuse(error, "its claims are no JSON");
    if (!says(&claims, "iss", policy->issuer))
        return refuse(error, "another issuer");
    if (!is_meant_for(&claims, policy->audience))
        return refuse(error, "meant for somebody else (aud)");
    return is_now(&claims, policy->now, error) && find_account(&claims, policy, account, error);
}

bool jwt_check(struct slice token, struct slice key_set, const struct jwt_policy *policy,
               struct buffer *account, struct error *error)
{
    uint8_t header[PART_OCTETS];
    struct jwt jwt = {.has_key_id = false};
    struct json_value set, keys;
    if (!json_parse(key_set, &set) || !json_member(&set, "keys", &keys) || keys.kind != JSON_ARRAY)
        return error_set(error, ERROR_TEMPORARY, "oauth.keys is no JWK set (RFC 7517 5)");
    if (!cut(token, &jwt))
        return refuse(error, "it is no JWT");
    if (!read_header(&jwt, header, error))
        return false;
    if (!verify(&jwt, &keys))
        return refuse(error, "no key of oauth.keys has signed it");
    return check_claims(&jwt, policy, account, error);
}
