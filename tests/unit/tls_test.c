/* Promises of common/tls/tls.h, tls_stream.h and keys_provider.h: handshakes of OpenSSL's client
 * with our streams over a socket pair, the keys behind the provider. */
#include "tests/unit/tls_material.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/err.h>

#include "common/auth/keys_protocol.h"
#include "common/auth/keys_sign.h"
#include "common/size.h"
#include "common/tls/tls_client.h"
#include "common/tls/tls_stream.h"

enum { RSA_CERTIFICATE, EC_CERTIFICATE, CERTIFICATES };

static struct material materials[CERTIFICATES];

/* The process `keys`, in the place of it. */
struct signing {
    unsigned signatures;
    bool broken;
};

static bool sign(void *owner, uint32_t certificate, uint16_t scheme, struct slice message,
                 uint8_t *signature, size_t *octets, struct error *error)
{
    struct signing *signing = owner;
    if (signing->broken)
        return error_set(error, ERROR_TEMPORARY, "keys is not running");
    signing->signatures++;
    return keys_sign_message(materials[certificate].key, scheme, message, signature, octets, error);
}

struct fixture {
    struct signing signing;
    struct keys_signer signer;
    struct tls_context *context;
    struct ev_loop *loop;
    struct turn turn;
    struct stream stream;
    int client_fd;
    SSL_CTX *client_settings;
    SSL *client;
    unsigned secured;
    unsigned closed;
    bool echoes;
    uint64_t seen;
    struct error why;
};

static void on_input(struct stream *stream)
{
    struct fixture *fixture = stream->owner;
    struct slice input = stream_input(stream);
    fixture->seen += input.len;
    if (fixture->echoes)
        stream_write(stream, input);
    stream_consume(stream, input.len);
}

static void on_secured(struct stream *stream)
{
    ((struct fixture *)stream->owner)->secured++;
}

static void on_deadline(struct stream *stream)
{
    (void)stream;
}

static void on_closed(struct stream *stream, const struct error *why)
{
    struct fixture *fixture = stream->owner;
    fixture->closed++;
    if (why)
        fixture->why = *why;
}

static const struct stream_handler handler = {.on_input = on_input,
                                              .on_secured = on_secured,
                                              .on_deadline = on_deadline,
                                              .on_closed = on_closed};
static const struct stream_limits limits = {
    .input = 65536, .high_water = 65536, .output = 1 << 20, .stalled_ms = 10000};

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    assert_non_null(fixture);
    struct error error = {0};
    fixture->signer = (struct keys_signer){sign, &fixture->signing};
    fixture->context = tls_context_new("imap", &error);
    fixture->loop = ev_loop_new(EVFLAG_AUTO);
    turn_init(&fixture->turn, fixture->loop);
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    stream_init(&fixture->stream, &fixture->turn, ends[0], &handler, &limits);
    fixture->stream.owner = fixture;
    fixture->echoes = true;
    fixture->client_fd = ends[1];
    fixture->client_settings = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_verify(fixture->client_settings, SSL_VERIFY_PEER, NULL);
    for (int i = 0; i < CERTIFICATES; i++)
        X509_STORE_add_cert(SSL_CTX_get_cert_store(fixture->client_settings),
                            materials[i].certificate);
    fixture->client = SSL_new(fixture->client_settings);
    SSL_set_fd(fixture->client, ends[1]);
    SSL_set_connect_state(fixture->client);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    stream_clear(&fixture->stream);
    turn_clear(&fixture->turn);
    ev_loop_destroy(fixture->loop);
    tls_context_free(fixture->context);
    SSL_free(fixture->client);
    SSL_CTX_free(fixture->client_settings);
    close(fixture->client_fd);
    free(fixture);
    ERR_clear_error();
    return 0;
}

static void add(struct fixture *fixture, uint32_t certificate, const char *name)
{
    struct error error = {0};
    if (!tls_context_add(fixture->context, name, buffer_slice(&materials[certificate].pem),
                         &fixture->signer, certificate, &error))
        fail_msg("%s", error.text);
}

static void start(struct fixture *fixture)
{
    struct error error = {0};
    if (!tls_stream_start(&fixture->stream, fixture->context, &error))
        fail_msg("%s", error.text);
}

/* Both sides step until the client is done, or nothing can come any more. */
static bool shake_hands(struct fixture *fixture)
{
    for (int i = 0; i < 100; i++) {
        ERR_clear_error();
        int code = SSL_do_handshake(fixture->client);
        if (code == 1) {
            for (int turn = 0; turn < 4; turn++)
                ev_run(fixture->loop, EVRUN_NOWAIT);
            return fixture->secured == 1;
        }
        if (SSL_get_error(fixture->client, code) != SSL_ERROR_WANT_READ)
            break;
        ev_run(fixture->loop, EVRUN_NOWAIT);
    }
    for (int turn = 0; turn < 4; turn++)
        ev_run(fixture->loop, EVRUN_NOWAIT);
    return false;
}

static void hears(struct fixture *fixture, const char *text)
{
    char got[100];
    for (int i = 0; i < 20; i++) {
        ev_run(fixture->loop, EVRUN_NOWAIT);
        int count = SSL_read(fixture->client, got, sizeof(got));
        if (count <= 0)
            continue;
        assert_slice_is(slice_of(got, (size_t)count), text);
        return;
    }
    fail_msg("nothing heard");
}

/* RFC 5802 6: what the client computes the server has too. */
static void binds_both_sides(const struct fixture *fixture, int version)
{
    struct tls_bindings bindings;
    struct tls_client_binding of_client;
    tls_bindings_of_server(tls_stream_connection(&fixture->stream), &bindings);
    assert_true(tls_client_bind(fixture->client, &of_client));
    const struct tls_binding *same =
        version == TLS1_3_VERSION ? &bindings.exporter : &bindings.end_point;
    assert_int_equal(bindings.exporter.length,
                     32); /* TLS 1.2 has the extended master secret here */
    assert_int_equal(of_client.of.length, same->length);
    assert_memory_equal(of_client.of.octets, same->octets, same->length);
    assert_memory_not_equal(bindings.exporter.octets, bindings.end_point.octets, 32);
}

static void remote_keys_serve_each_version(void **state)
{
    static const struct {
        uint32_t certificate;
        int version;
        const char *name;
        const char *suite;
    } cases[] = {
        {RSA_CERTIFICATE, TLS1_2_VERSION, "TLSv1.2", "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"},
        {RSA_CERTIFICATE, TLS1_3_VERSION, "TLSv1.3", "TLS_AES_256_GCM_SHA384"},
        {EC_CERTIFICATE, TLS1_2_VERSION, "TLSv1.2", "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"},
        {EC_CERTIFICATE, TLS1_3_VERSION, "TLSv1.3", "TLS_AES_256_GCM_SHA384"},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct fixture *fixture = *state;
        add(fixture, cases[i].certificate, "a.example");
        SSL_set_min_proto_version(fixture->client, cases[i].version);
        SSL_set_max_proto_version(fixture->client, cases[i].version);
        start(fixture);
        stream_write(&fixture->stream, SLICE("* OK greeting")); /* waits for the handshake */
        assert_true(shake_hands(fixture));
        assert_int_equal(fixture->signing.signatures, 1);
        struct tls_facts facts;
        assert_true(tls_stream_facts(&fixture->stream, &facts));
        assert_string_equal(facts.version, cases[i].name);
        assert_string_equal(facts.suite, cases[i].suite);
        assert_int_equal(facts.bits, 256);
        assert_null(facts.server_name);
        hears(fixture, "* OK greeting");
        assert_int_equal(SSL_write(fixture->client, "echo", 4), 4);
        hears(fixture, "echo");
        binds_both_sides(fixture, cases[i].version);
        assert_int_equal(SSL_session_reused(fixture->client), 0);
        stream_finish(&fixture->stream, 1000);
        ev_run(fixture->loop, EVRUN_NOWAIT);
        char octet;
        assert_int_equal(SSL_read(fixture->client, &octet, 1), 0);
        assert_int_equal(SSL_get_shutdown(fixture->client), SSL_RECEIVED_SHUTDOWN);
        tear_down(state);
        set_up(state);
    }
}

static void both_kinds_of_key_stand_beside_each_other(void **state)
{
    struct fixture *fixture = *state;
    add(fixture, RSA_CERTIFICATE, "a.example");
    add(fixture, EC_CERTIFICATE, "A.example");
    char wanted[] = "ECDSA+SHA256";
    SSL_set1_sigalgs_list(fixture->client, wanted);
    start(fixture);
    assert_true(shake_hands(fixture));
    X509 *shown = SSL_get1_peer_certificate(fixture->client);
    assert_int_equal(X509_cmp(shown, materials[EC_CERTIFICATE].certificate), 0);
    X509_free(shown);
}

static void the_name_chooses_the_certificate(void **state)
{
    static struct {
        char asked[32];
        int shown;
    } cases[] = {
        {"", RSA_CERTIFICATE},
        {"a.example", RSA_CERTIFICATE},
        {"mail.b.example", EC_CERTIFICATE},
        {"MAIL.B.example", EC_CERTIFICATE},
        {"b.example", RSA_CERTIFICATE},
        {"x.mail.b.example", RSA_CERTIFICATE},
        {"unknown.example", RSA_CERTIFICATE},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct fixture *fixture = *state;
        add(fixture, RSA_CERTIFICATE, "a.example");
        add(fixture, EC_CERTIFICATE, "*.b.example");
        if (cases[i].asked[0] != '\0')
            SSL_set_tlsext_host_name(fixture->client, cases[i].asked);
        start(fixture);
        assert_true(shake_hands(fixture));
        X509 *shown = SSL_get1_peer_certificate(fixture->client);
        assert_int_equal(X509_cmp(shown, materials[cases[i].shown].certificate), 0);
        X509_free(shown);
        tear_down(state);
        set_up(state);
    }
}

static void what_is_too_old_is_refused(void **state)
{
    struct fixture *fixture = *state;
    add(fixture, RSA_CERTIFICATE, "a.example");
    SSL_set_security_level(fixture->client, 0);
    SSL_set_min_proto_version(fixture->client, TLS1_VERSION);
    SSL_set_max_proto_version(fixture->client, TLS1_1_VERSION);
    start(fixture);
    assert_false(shake_hands(fixture));
    assert_int_equal(fixture->closed, 1);
    assert_string_equal(fixture->why.text, "TLS handshake: unsupported protocol");
    assert_int_equal(fixture->why.kind, ERROR_PEER);
    tear_down(state);
    set_up(state);
    fixture = *state;
    add(fixture, RSA_CERTIFICATE, "a.example");
    SSL_set_max_proto_version(fixture->client, TLS1_2_VERSION);
    SSL_set_cipher_list(fixture->client, "AES256-GCM-SHA384:DHE-RSA-AES256-GCM-SHA384");
    start(fixture);
    assert_false(shake_hands(fixture));
    assert_string_equal(fixture->why.text, "TLS handshake: no shared cipher");
}

static void other_protocols_are_refused(void **state)
{
    struct fixture *fixture = *state;
    add(fixture, RSA_CERTIFICATE, "a.example");
    SSL_set_alpn_protos(fixture->client, (const unsigned char *)"\x02h2\x08http/1.1", 12);
    start(fixture);
    assert_false(shake_hands(fixture));
    tear_down(state);
    set_up(state);
    fixture = *state;
    add(fixture, RSA_CERTIFICATE, "a.example");
    SSL_set_alpn_protos(fixture->client, (const unsigned char *)"\x02h2\x04imap", 8);
    start(fixture);
    assert_true(shake_hands(fixture));
}

static void a_dead_keys_process_fails_the_handshake(void **state)
{
    struct fixture *fixture = *state;
    add(fixture, RSA_CERTIFICATE, "a.example");
    fixture->signing.broken = true;
    start(fixture);
    assert_false(shake_hands(fixture));
    assert_int_equal(fixture->closed, 1);
    assert_string_equal(fixture->why.text, "TLS handshake: keys is not running");
}

static void what_is_not_tls_fails_the_handshake(void **state)
{
    static const char *const cases[] = {"EHLO there\r\n", "GET / HTTP/1.0\r\n\r\n",
                                        "\x16\x03\x01\xff\xff garbage and garbage"};
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct fixture *fixture = *state;
        add(fixture, RSA_CERTIFICATE, "a.example");
        start(fixture);
        size_t length = strlen(cases[i]);
        assert_int_equal(write(fixture->client_fd, cases[i], length), (ssize_t)length);
        shutdown(fixture->client_fd, SHUT_WR);
        for (int turn = 0; turn < 5; turn++)
            ev_run(fixture->loop, EVRUN_NOWAIT);
        assert_int_equal(fixture->closed, 1);
        assert_int_equal(fixture->why.kind, ERROR_PEER);
        assert_int_equal(fixture->seen, 0);
        assert_non_null(strstr(fixture->why.text, "TLS handshake: "));
        assert_null(strstr(fixture->why.text, "failed"));
        tear_down(state);
        set_up(state);
    }
}

static void starttls_comes_after_the_reply_in_the_clear(void **state)
{
    struct fixture *fixture = *state;
    add(fixture, EC_CERTIFICATE, "a.example");
    stream_write(&fixture->stream, SLICE("220 go\r\n"));
    start(fixture);
    ev_run(fixture->loop, EVRUN_NOWAIT);
    char got[10];
    assert_int_equal(read(fixture->client_fd, got, sizeof(got)), 8);
    assert_true(shake_hands(fixture));
    assert_int_equal(SSL_write(fixture->client, "EHLO", 4), 4);
    hears(fixture, "EHLO");
}

static void octets_in_the_clear_never_pass_as_protected(void **state)
{
    struct fixture *fixture = *state;
    add(fixture, EC_CERTIFICATE, "a.example");
    fixture->echoes = false;
    stream_write(&fixture->stream, SLICE("220 go\r\n"));
    start(fixture);
    /* Behind STARTTLS, in a packet of its own: read by the handshake, which it destroys. */
    assert_int_equal(write(fixture->client_fd, "MAIL FROM:<>\r\n", 14), 14);
    for (int turn = 0; turn < 5; turn++)
        ev_run(fixture->loop, EVRUN_NOWAIT);
    assert_int_equal(fixture->seen, 0);
    assert_int_equal(fixture->closed, 1);
}

static void much_goes_both_ways(void **state)
{
    struct fixture *fixture = *state;
    enum { OCTETS = 3000000 };
    add(fixture, EC_CERTIFICATE, "a.example");
    start(fixture);
    assert_true(shake_hands(fixture));
    uint8_t *sent = malloc(OCTETS);
    uint8_t *got = malloc(OCTETS);
    assert_non_null(sent);
    assert_non_null(got);
    for (size_t i = 0; i < OCTETS; i++)
        sent[i] = (uint8_t)(i * 2654435761U >> 24);
    size_t out = 0, in = 0;
    for (int turn = 0; turn < 100000 && in < OCTETS; turn++) {
        size_t part;
        if (out < OCTETS
            && SSL_write_ex(fixture->client, sent + out, OCTETS - out < 7777 ? OCTETS - out : 7777,
                            &part))
            out += part;
        ev_run(fixture->loop, EVRUN_NOWAIT);
        while (in < OCTETS && SSL_read_ex(fixture->client, got + in, OCTETS - in, &part))
            in += part;
    }
    assert_int_equal(in, OCTETS);
    assert_memory_equal(sent, got, OCTETS);
    assert_int_equal(fixture->stream.octets_in, OCTETS);
    assert_int_equal(fixture->stream.octets_out, OCTETS);
    free(sent);
    free(got);
}

static void files_are_sent_too(void **state)
{
    struct fixture *fixture = *state;
    enum { OCTETS = 200000 };
    add(fixture, EC_CERTIFICATE, "a.example");
    start(fixture);
    assert_true(shake_hands(fixture));
    FILE *temporary = tmpfile();
    for (int i = 0; i < OCTETS; i++)
        fputc(i * 31 >> 3 & 0xff, temporary);
    fflush(temporary);
    int fd = dup(fileno(temporary));
    fclose(temporary);
    struct stream_file *file = stream_file_new(&fd);
    stream_write(&fixture->stream, SLICE("<"));
    stream_write_file(&fixture->stream, file, 0, OCTETS);
    stream_write(&fixture->stream, SLICE(">"));
    stream_file_release(file);
    uint8_t *got = malloc(OCTETS + 2);
    size_t in = 0;
    for (int turn = 0; turn < 1000 && in < OCTETS + 2; turn++) {
        ev_run(fixture->loop, EVRUN_NOWAIT);
        size_t part;
        while (in < OCTETS + 2 && SSL_read_ex(fixture->client, got + in, OCTETS + 2 - in, &part))
            in += part;
    }
    assert_int_equal(in, OCTETS + 2);
    assert_int_equal(got[0], '<');
    assert_int_equal(got[OCTETS + 1], '>');
    for (int i = 0; i < OCTETS; i++)
        assert_int_equal(got[i + 1], i * 31 >> 3 & 0xff);
    free(got);
}

static void a_wrong_key_is_found_when_it_is_added(void **state)
{
    struct fixture *fixture = *state;
    struct error error = {0};
    assert_false(tls_context_add_with_key(fixture->context, "a.example",
                                          buffer_slice(&materials[RSA_CERTIFICATE].pem),
                                          materials[EC_CERTIFICATE].key, &error));
    assert_int_equal(error.kind, ERROR_PERMANENT);
    assert_false(tls_stream_start(&fixture->stream, fixture->context, &error));
    assert_string_equal(error.text, "no certificate"); /* nothing of it was left */
    assert_true(tls_context_add_with_key(fixture->context, "a.example",
                                         buffer_slice(&materials[RSA_CERTIFICATE].pem),
                                         materials[RSA_CERTIFICATE].key, &error));
    assert_false(tls_context_add(fixture->context, "a.example", SLICE("no certificate"),
                                 &fixture->signer, 0, &error));
    assert_string_equal(error.text, "not a chain of certificates in PEM");
}

static void a_remote_key_does_nothing_else(void **state)
{
    struct fixture *fixture = *state;
    struct error error = {0};
    /* As it is read from a file: the one in `materials` knows its private half. */
    BIO *pem = BIO_new_mem_buf(materials[RSA_CERTIFICATE].pem.ptr,
                               (int)materials[RSA_CERTIFICATE].pem.len);
    X509 *leaf = PEM_read_bio_X509(pem, NULL, NULL, NULL);
    EVP_PKEY *key = keys_provider_key(&fixture->signer, RSA_CERTIFICATE, leaf, &error);
    assert_non_null(key);
    X509_free(leaf);
    BIO_free(pem);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    uint8_t out[KEYS_SIGNATURE_MAX];
    size_t octets = sizeof(out);
    assert_int_equal(EVP_DigestSignInit_ex(context, NULL, "SHA256", NULL, NULL, key, NULL), 1);
    assert_int_not_equal(EVP_DigestSign(context, out, &octets, (const uint8_t *)"any", 3), 1);
    EVP_MD_CTX_free(context);
    EVP_PKEY_CTX *raw = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
    assert_true(EVP_PKEY_sign_init(raw) <= 0);
    assert_true(EVP_PKEY_decrypt_init(raw) <= 0);
    EVP_PKEY_CTX_free(raw);
    /* OpenSSL may say yes to a number that is not there, and give what its stack held. */
    BIGNUM *secret = NULL, *shown = NULL;
    assert_int_equal(EVP_PKEY_get_bn_param(materials[RSA_CERTIFICATE].key, "d", &secret), 1);
    assert_true(EVP_PKEY_get_bn_param(key, "d", &shown) != 1 || BN_cmp(secret, shown) != 0);
    BN_free(secret);
    BN_free(shown);
    BIO *bio = BIO_new(BIO_s_mem());
    assert_int_not_equal(PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL), 1);
    BIO_free(bio);
    EVP_PKEY_free(key);
}

#define with_tls(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    struct error error = {0};
    if (!keys_provider_load(&error))
        return 1;
    material_make(&materials[RSA_CERTIFICATE], NULL, "a.example");
    material_make(&materials[EC_CERTIFICATE], "P-256", "b.example");
    static const struct CMUnitTest tests[] = {
        with_tls(remote_keys_serve_each_version),
        with_tls(both_kinds_of_key_stand_beside_each_other),
        with_tls(the_name_chooses_the_certificate),
        with_tls(what_is_too_old_is_refused),
        with_tls(other_protocols_are_refused),
        with_tls(a_dead_keys_process_fails_the_handshake),
        with_tls(what_is_not_tls_fails_the_handshake),
        with_tls(starttls_comes_after_the_reply_in_the_clear),
        with_tls(octets_in_the_clear_never_pass_as_protected),
        with_tls(much_goes_both_ways),
        with_tls(files_are_sent_too),
        with_tls(a_wrong_key_is_found_when_it_is_added),
        with_tls(a_remote_key_does_nothing_else),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    material_clear(&materials[RSA_CERTIFICATE]);
    material_clear(&materials[EC_CERTIFICATE]);
    return failed;
}
