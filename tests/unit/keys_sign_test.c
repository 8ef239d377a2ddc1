/* Promises of common/auth/keys_sign.h and keys_client.h: what is signed, what never, what comes
 * back. */
#include "tests/unit/tls_material.h"

#include <time.h>
#include <unistd.h>

#include "common/auth/keys_client.h"
#include "common/auth/keys_protocol.h"
#include "common/auth/keys_sign.h"
#include "common/size.h"

/* RFC 8446 4.4.3 */
static void certificate_verify(struct buffer *message, const char *context, size_t hash)
{
    buffer_reset(message);
    for (int i = 0; i < 64; i++)
        buffer_append_octet(message, 0x20);
    buffer_append_string(message, context);
    buffer_append_octet(message, 0);
    for (size_t i = 0; i < hash; i++)
        buffer_append_octet(message, (uint8_t)(0xa0 + i));
}

static void key_exchange(struct buffer *message, uint8_t curve_type, uint16_t group,
                         struct slice start_and_length)
{
    buffer_reset(message);
    for (int i = 0; i < 64; i++)
        buffer_append_octet(message, (uint8_t)(i * 7));
    buffer_append_octet(message, curve_type);
    buffer_append_octet(message, (uint8_t)(group >> 8));
    buffer_append_octet(message, (uint8_t)group);
    buffer_append_octet(message, start_and_length.ptr[1]);
    buffer_append_octet(message, start_and_length.ptr[0]);
    for (int i = 1; i < start_and_length.ptr[1]; i++)
        buffer_append_octet(message, (uint8_t)i);
}

static void certificate_verify_of_a_server_is_recognised(void **state)
{
    (void)state;
    static const struct {
        const char *context;
        size_t hash;
        bool known;
    } cases[] = {
        {"TLS 1.3, server CertificateVerify", 32, true},
        {"TLS 1.3, server CertificateVerify", 48, true},
        {"TLS 1.3, server CertificateVerify", 31, false},
        {"TLS 1.3, server CertificateVerify", 33, false},
        {"TLS 1.3, server CertificateVerify", 0, false},
        {"TLS 1.3, server CertificateVerify", 64, false},
        {"TLS 1.3, client CertificateVerify", 32, false}, /* would log in elsewhere as us */
        {"TLS 1.3, server CertificateVerif", 33, false},
        {"TLS 1.3, exporter authenticator", 32, false},
        {"", 32, false},
    };
    struct buffer message = BUFFER_WITH_LIMIT(1000);
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        enum keys_message kind = KEYS_TLS12_KEY_EXCHANGE;
        certificate_verify(&message, cases[i].context, cases[i].hash);
        assert_int_equal(keys_recognise(buffer_slice(&message), &kind), cases[i].known);
        if (cases[i].known)
            assert_int_equal(kind, KEYS_TLS13_CERTIFICATE_VERIFY);
    }
    certificate_verify(&message, "TLS 1.3, server CertificateVerify", 32);
    message.ptr[63] = 0x21;
    enum keys_message kind;
    assert_false(keys_recognise(buffer_slice(&message), &kind));
    buffer_clear(&message);
}

static void key_exchanges_with_ecdhe_are_recognised(void **state)
{
    (void)state;
    static const struct {
        uint8_t curve_type;
        uint16_t group;
        uint8_t point[2]; /* first octet, length */
        bool known;
    } cases[] = {
        {3, 23, {4, 65}, true},  {3, 24, {4, 97}, true},
        {3, 25, {4, 133}, true}, {3, 29, {0, 32}, true},
        {3, 30, {9, 56}, true},  {1, 23, {4, 65}, false}, /* explicit prime */
        {3, 23, {4, 64}, false}, {3, 23, {3, 65}, false}, /* compressed */
        {3, 23, {4, 97}, false}, {3, 29, {0, 33}, false},
        {3, 22, {4, 65}, false}, {3, 0, {4, 65}, false},
    };
    struct buffer message = BUFFER_WITH_LIMIT(1000);
    enum keys_message kind;
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        key_exchange(&message, cases[i].curve_type, cases[i].group, slice_of(cases[i].point, 2));
        assert_int_equal(keys_recognise(buffer_slice(&message), &kind), cases[i].known);
        if (!cases[i].known)
            continue;
        assert_int_equal(kind, KEYS_TLS12_KEY_EXCHANGE);
        assert_true(message.len <= KEYS_MESSAGE_MAX);
        for (size_t len = 0; len < message.len; len++)
            assert_false(keys_recognise(slice_of(message.ptr, len), &kind));
        buffer_append_octet(&message, 0);
        assert_false(keys_recognise(buffer_slice(&message), &kind));
    }
    assert_false(keys_recognise(SLICE(""), &kind));
    buffer_clear(&message);
}

static bool verifies(EVP_PKEY *key, const char *digest, int padding, struct slice message,
                     struct slice signature)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    EVP_PKEY_CTX *settings;
    assert_int_equal(EVP_DigestVerifyInit_ex(context, &settings, digest, NULL, NULL, key, NULL), 1);
    if (padding)
        assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(settings, padding), 1);
    if (padding == RSA_PKCS1_PSS_PADDING)
        assert_int_equal(EVP_PKEY_CTX_set_rsa_pss_saltlen(settings, RSA_PSS_SALTLEN_DIGEST), 1);
    bool valid =
        EVP_DigestVerify(context, signature.ptr, signature.len, message.ptr, message.len) == 1;
    EVP_MD_CTX_free(context);
    return valid;
}

static void signatures_verify_or_are_refused(void **state)
{
    (void)state;
    static const struct {
        bool rsa;
        bool tls13;
        uint16_t scheme;
        const char *digest; /* NULL: refused */
        int padding;
        enum error_kind kind;
    } cases[] = {
        {true, false, 0x0401, "SHA256", RSA_PKCS1_PADDING, 0},
        {true, false, 0x0601, "SHA512", RSA_PKCS1_PADDING, 0},
        {true, false, 0x0804, "SHA256", RSA_PKCS1_PSS_PADDING, 0},
        {true, true, 0x0805, "SHA384", RSA_PKCS1_PSS_PADDING, 0},
        {false, false, 0x0503, "SHA384", 0, 0},
        {false, true, 0x0403, "SHA256", 0, 0},
        {true, true, 0x0401, NULL, 0, ERROR_PEER},  /* RFC 8446 4.2.3 */
        {true, false, 0x0201, NULL, 0, ERROR_PEER}, /* SHA-1 */
        {true, false, 0x0000, NULL, 0, ERROR_PEER},
        {true, true, 0x0807, NULL, 0, ERROR_PEER}, /* Ed25519 */
        {true, true, 0x0403, NULL, 0, ERROR_PERMANENT},
        {false, true, 0x0804, NULL, 0, ERROR_PERMANENT},
    };
    struct material rsa, ec;
    material_make(&rsa, NULL, "a.example");
    material_make(&ec, "P-256", "a.example");
    struct buffer message = BUFFER_WITH_LIMIT(1000);
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        EVP_PKEY *key = cases[i].rsa ? rsa.key : ec.key;
        if (cases[i].tls13)
            certificate_verify(&message, "TLS 1.3, server CertificateVerify", 32);
        else
            key_exchange(&message, 3, 29, SLICE("\x01\x20"));
        uint8_t signature[KEYS_SIGNATURE_MAX];
        size_t octets = 0;
        struct error error = {0};
        bool made = keys_sign_message(key, cases[i].scheme, buffer_slice(&message), signature,
                                      &octets, &error);
        assert_int_equal(made, cases[i].digest != NULL);
        assert_int_equal(error.kind, cases[i].kind);
        if (made)
            assert_true(verifies(key, cases[i].digest, cases[i].padding, buffer_slice(&message),
                                 slice_of(signature, octets)));
    }
    uint8_t signature[KEYS_SIGNATURE_MAX];
    size_t octets;
    struct error error = {0};
    assert_false(keys_sign_message(rsa.key, 0x0401, SLICE("DKIM-Signature: v=1"), signature,
                                   &octets, &error));
    assert_int_equal(error.kind, ERROR_PEER);
    material_clear(&rsa);
    material_clear(&ec);
    buffer_clear(&message);
}

static void private_keys_are_read_from_pem(void **state)
{
    (void)state;
    struct material ec;
    material_make(&ec, "P-256", "a.example");
    struct buffer pem = BUFFER_WITH_LIMIT(65536);
    BIO *bio = BIO_new(BIO_s_mem());
    PEM_write_bio_PrivateKey(bio, ec.key, NULL, NULL, 0, NULL, NULL);
    append_bio(bio, &pem);
    struct error error = {0};
    EVP_PKEY *key = keys_parse_private_key(buffer_slice(&pem), &error);
    assert_non_null(key);
    EVP_PKEY_free(key);
    assert_null(keys_parse_private_key(SLICE("-----BEGIN PRIVATE KEY-----\nAAAA\n"), &error));
    assert_null(keys_parse_private_key(SLICE(""), &error));
    assert_null(keys_parse_private_key(buffer_slice(&ec.pem), &error)); /* a certificate */
    bio = BIO_new(BIO_s_mem());
    static const char passphrase[] = "secret";
    PEM_write_bio_PrivateKey(bio, ec.key, EVP_aes_128_cbc(), (const unsigned char *)passphrase, 6,
                             NULL, NULL);
    buffer_reset(&pem);
    append_bio(bio, &pem);
    assert_null(keys_parse_private_key(buffer_slice(&pem), &error)); /* and asks nobody */
    EVP_PKEY *ed25519 = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    bio = BIO_new(BIO_s_mem());
    PEM_write_bio_PrivateKey(bio, ed25519, NULL, NULL, 0, NULL, NULL);
    buffer_reset(&pem);
    append_bio(bio, &pem);
    assert_null(keys_parse_private_key(buffer_slice(&pem), &error));
    assert_string_equal(error.text, "private key is neither RSA nor EC");
    EVP_PKEY_free(ed25519);
    buffer_clear(&pem);
    material_clear(&ec);
}

static void answer(int fd, uint64_t request, struct slice signature)
{
    struct keys_signature record = {.header = {.type = KEYS_SIGNATURE, .request = request},
                                    .octets = (uint32_t)signature.len};
    struct ipc_message message = {
        .head = &record.header, .head_octets = sizeof(record), .tail = &signature, .tail_count = 1};
    assert_true(ipc_send_blocking(fd, &message, NULL));
}

static void the_client_takes_the_answer_to_its_question(void **state)
{
    (void)state;
    int pair[2];
    assert_true(ipc_pair(pair, NULL));
    struct keys_client client = {.fd = pair[0], .request = 6};
    uint8_t signature[KEYS_SIGNATURE_MAX];
    size_t octets = 0;
    struct error error = {0};
    answer(pair[1], 6, SLICE("late"));
    answer(pair[1], 7, SLICE("signed"));
    assert_true(keys_client_sign(&client, 2, 0x0804, SLICE("message"), signature, &octets, &error));
    assert_slice_is(slice_of(signature, octets), "signed");
    struct keys_no_signature refusal = {.header = {.type = KEYS_NO_SIGNATURE, .request = 8}};
    struct ipc_message message = {.head = &refusal.header, .head_octets = sizeof(refusal)};
    assert_true(ipc_send_blocking(pair[1], &message, NULL));
    assert_false(
        keys_client_sign(&client, 2, 0x0804, SLICE("message"), signature, &octets, &error));
    assert_string_equal(error.text, "no signature from keys");
    close(pair[0]);
    close(pair[1]);
}

static void the_client_gives_up_after_a_second(void **state)
{
    (void)state;
    int pair[2];
    assert_true(ipc_pair(pair, NULL));
    struct keys_client client = {.fd = pair[0]};
    uint8_t signature[KEYS_SIGNATURE_MAX];
    size_t octets = 0;
    struct error error = {0};
    time_t start = time(NULL);
    assert_false(
        keys_client_sign(&client, 0, 0x0804, SLICE("message"), signature, &octets, &error));
    assert_int_equal(error.kind, ERROR_TEMPORARY);
    assert_in_range(time(NULL) - start, 1, 3);
    close(pair[1]);
    assert_false(
        keys_client_sign(&client, 0, 0x0804, SLICE("message"), signature, &octets, &error));
    client.fd = -1;
    assert_false(
        keys_client_sign(&client, 0, 0x0804, SLICE("message"), signature, &octets, &error));
    assert_string_equal(error.text, "keys is not running");
    close(pair[0]);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(certificate_verify_of_a_server_is_recognised),
        cmocka_unit_test(key_exchanges_with_ecdhe_are_recognised),
        cmocka_unit_test(signatures_verify_or_are_refused),
        cmocka_unit_test(private_keys_are_read_from_pem),
        cmocka_unit_test(the_client_takes_the_answer_to_its_question),
        cmocka_unit_test(the_client_gives_up_after_a_second),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
