/* Promises of common/login/scram.h, scram_server.h and sha1.h: the examples of the RFCs, and no
 * answer to what is not SCRAM. */
#include "tests/unit/test.h"

#include <sodium.h>

#include "common/login/scram_server.h"
#include "common/size.h"
#include "common/text/sha1.h"

/* RFC 3174 7.3 */
static void sha1_is_that_of_its_rfc(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        unsigned times;
        const char *digest;
    } cases[] = {
        {"", 1, "da39a3ee5e6b4b0d3255bfef95601890afd80709"},
        {"abc", 1, "a9993e364706816aba3e25717850c26c9cd0d89d"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 1,
         "84983e441c3bd26ebaae4aa1f95129e5e54670f1"},
        {"a", 1000000, "34aa973cd4c4daa4f61eeb2bdbad27316534016f"},
        {"0123456701234567012345670123456701234567012345670123456701234567", 10,
         "dea356a2cddd90c7a7ecedc5ebb563934f460452"},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct sha1 sha1;
        uint8_t digest[SHA1_OCTETS];
        char text[2 * SHA1_OCTETS + 1];
        sha1_init(&sha1);
        for (unsigned j = 0; j < cases[i].times; j++)
            sha1_update(&sha1, slice_of_string(cases[i].text));
        sha1_final(&sha1, digest);
        assert_string_equal(sodium_bin2hex(text, sizeof(text), digest, sizeof(digest)),
                            cases[i].digest);
    }
}

struct exchange {
    enum scram_hash hash;
    const char *user, *password, *nonce;
    const char *first, *server_first, *final, *server_final;
};

/* RFC 5802 5, RFC 7677 3 */
static const struct exchange exchanges[] = {
    {SCRAM_SHA_1, "user", "pencil", "fyko+d2lbbFgONRv9qkxdawL",
     "n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL",
     "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
     "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
     "v=rmF9pqV8S7suAoZWja4dJRkFsKQ="},
    {SCRAM_SHA_256, "user", "pencil", "rOprNGfwEbeRWgbNEkqO", "n,,n=user,r=rOprNGfwEbeRWgbNEkqO",
     "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
     "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
     "p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
     "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="},
};

/* Up to the client's last word. */
static struct scram_client begin(const struct exchange *exchange)
{
    struct scram_client client = {.hash = exchange->hash};
    const struct scram_binding none = {.type = NULL};
    struct buffer out = BUFFER_WITH_LIMIT(1000);
    struct error error;
    assert_true(scram_client_first(&client, &none, slice_of_string(exchange->user),
                                   slice_of_string(exchange->nonce), &out, &error));
    assert_slice_is(buffer_slice(&out), exchange->first);
    buffer_clear(&out);
    return client;
}

static void the_examples_of_the_rfcs(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(exchanges); i++) {
        const struct exchange *exchange = &exchanges[i];
        struct scram_client client = begin(exchange);
        struct buffer out = BUFFER_WITH_LIMIT(1000);
        struct error error;
        assert_false(scram_client_verify(&client, slice_of_string(exchange->server_final), &error));
        assert_true(scram_client_final(&client, slice_of_string(exchange->password),
                                       slice_of_string(exchange->server_first), &out, &error));
        assert_slice_is(buffer_slice(&out), exchange->final);
        assert_true(scram_client_verify(&client, slice_of_string(exchange->server_final), &error));
        assert_false(
            scram_client_verify(&client, slice_of_string(exchanges[1 - i].server_final), &error));
        assert_false(scram_client_verify(&client, SLICE("e=other-error"), &error));
        buffer_clear(&out);
        scram_client_clear(&client);
        scram_client_clear(&client);
    }
}

static void what_is_not_answered(void **state)
{
    (void)state;
    static const char *const firsts[] = {
        "",
        "r=rOprNGfwEbeRWgbNEkqO,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",    /* nothing of its own */
        "r=ROprNGfwEbeRWgbNEkqOx,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",   /* not ours */
        "r=rOprNGfwEbeRWgbNEkqOx,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4095",   /* unsafe */
        "r=rOprNGfwEbeRWgbNEkqOx,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=100001", /* endless */
        "r=rOprNGfwEbeRWgbNEkqOx,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=04096",  /* RFC 5802 7 */
        "r=rOprNGfwEbeRWgbNEkqOx,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=99999999999999999999",
        "r=rOprNGfwEbeRWgbNEkqOx,s=W22ZaJ0SNY7soEsUEjb6gQ=,i=4096", /* no base64 */
        "r=rOprNGfwEbeRWgbNEkqOx,s=,i=4096",
        "r=rOprNGfwEbeRWgbNEkqOx,i=4096,s=W22ZaJ0SNY7soEsUEjb6gQ==",     /* another order */
        "m=x,r=rOprNGfwEbeRWgbNEkqOx,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096", /* must be understood */
        "r=rOprNGfwEbeRWgbNEkqOx,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,",
        "r=rOprNGfwEbeRWgbNEkqOx,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,1=x",
        "r=rOprNGfwEbeRWgbNEkqO\x01,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
    };
    for (size_t i = 0; i < ARRAY_LENGTH(firsts); i++) {
        struct scram_client client = begin(&exchanges[1]);
        struct buffer out = BUFFER_WITH_LIMIT(1000);
        struct error error;
        assert_false(
            scram_client_final(&client, SLICE("pencil"), slice_of_string(firsts[i]), &out, &error));
        assert_int_equal(out.len, 0);
        assert_false(
            scram_client_verify(&client, slice_of_string(exchanges[1].server_final), &error));
        buffer_clear(&out);
        scram_client_clear(&client);
    }
    struct scram_server_first first;
    assert_true(scram_server_first_parse(SLICE("r=x,s=W22Z,i=1,a=b,C=d"), &first));
}

/* RFC 5802 5.1, 6; RFC 4013 3 */
static void names_and_bindings(void **state)
{
    (void)state;
    static const struct {
        struct scram_binding binding;
        const char *user;
        const char *first; /* NULL: it cannot be said */
    } cases[] = {
        {{NULL, {NULL, 0}}, "a=b,c", "n,,n=a=3Db=2Cc,r=nonce"},
        {{NULL, SLICE("x")}, "user", "y,,n=user,r=nonce"},
        {{"tls-exporter", SLICE("x")}, "user", "p=tls-exporter,,n=user,r=nonce"},
        {{NULL, {NULL, 0}}, "I\u00adX", "n,,n=IX,r=nonce"},
        {{NULL, {NULL, 0}}, "\u00aa", "n,,n=a,r=nonce"},
        {{NULL, {NULL, 0}}, "\x07", NULL},
        {{NULL, {NULL, 0}}, "\xff", NULL},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct scram_client client = {.hash = SCRAM_SHA_256};
        struct buffer out = BUFFER_WITH_LIMIT(1000);
        struct error error;
        bool done = scram_client_first(&client, &cases[i].binding, slice_of_string(cases[i].user),
                                       SLICE("nonce"), &out, &error);
        assert_int_equal(done, cases[i].first != NULL);
        if (done)
            assert_slice_is(buffer_slice(&out), cases[i].first);
        buffer_clear(&out);
        scram_client_clear(&client);
    }
}

/* ---- the server ---- */

#define FIRST "n=user,r=rOprNGfwEbeRWgbNEkqO"
#define NONCE "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
#define PROOF "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="

/* RFC 7677 3: what it keeps of "pencil" */
static void rfc_verifier(struct scram_verifier *verifier)
{
    struct scram_server_first first;
    struct scram_keys keys;
    assert_true(scram_server_first_parse(slice_of_string(exchanges[1].server_first), &first));
    *verifier =
        (struct scram_verifier){.iterations = first.iterations, .salt_octets = first.salt_octets};
    memcpy(verifier->salt, first.salt, first.salt_octets);
    scram_derive(SCRAM_SHA_256, SLICE("pencil"), slice_of(first.salt, first.salt_octets),
                 first.iterations, &keys);
    memcpy(verifier->stored, keys.stored, sizeof(verifier->stored));
    memcpy(verifier->server, keys.server, sizeof(verifier->server));
}

struct served {
    bool plus;
    bool binds; /* there is "exporter" and "end point" */
    const char *first;
    enum scram_judgement judged_first;
    const char *final; /* NULL: not that far */
    enum scram_judgement judged_final;
};

static const struct served conversations[] = {
    {false, false, "n,," FIRST, SCRAM_RIGHT, "c=biws,r=" NONCE ",p=" PROOF, SCRAM_RIGHT},
    {false, false, "n,," FIRST, SCRAM_RIGHT, "c=eSws,r=" NONCE ",p=" PROOF, SCRAM_UNBOUND},
    {false, false, "n,," FIRST, SCRAM_RIGHT, "c=biws,r=" NONCE "x,p=" PROOF, SCRAM_WRONG},
    {false, false, "n,," FIRST, SCRAM_RIGHT,
     "c=biws,r=" NONCE ",p=AHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=", SCRAM_WRONG},
    {false, false, "n,," FIRST, SCRAM_RIGHT, "c=biws,r=" NONCE ",p=dHzbZQ==", SCRAM_MALFORMED},
    {false, false, "n,," FIRST, SCRAM_RIGHT, "c=biws,p=" PROOF ",r=" NONCE, SCRAM_MALFORMED},
    {false, false, "n,," FIRST, SCRAM_RIGHT, "c=biws,r=" NONCE ",m=x,p=" PROOF, SCRAM_MALFORMED},
    {false, false, "n,," FIRST, SCRAM_RIGHT, "", SCRAM_MALFORMED},
    {false, false, "n,," FIRST, SCRAM_RIGHT, "p=" PROOF, SCRAM_MALFORMED},
    /* RFC 5802 6 */
    {false, false, "y,," FIRST, SCRAM_RIGHT, "c=eSws,r=" NONCE ",p=" PROOF, SCRAM_WRONG},
    {false, true, "y,," FIRST, SCRAM_UNBOUND, NULL, SCRAM_RIGHT},
    {true, true, "y,," FIRST, SCRAM_MALFORMED, NULL, SCRAM_RIGHT},
    {true, true, "n,," FIRST, SCRAM_MALFORMED, NULL, SCRAM_RIGHT},
    {false, true, "p=tls-exporter,," FIRST, SCRAM_MALFORMED, NULL, SCRAM_RIGHT},
    {true, true, "p=tls-unique,," FIRST, SCRAM_UNBOUND, NULL, SCRAM_RIGHT},
    {true, false, "p=tls-exporter,," FIRST, SCRAM_UNBOUND, NULL, SCRAM_RIGHT},
    /* "p=tls-exporter,,exporter", bound; "p=tls-exporter,,end point", not */
    {true, true, "p=tls-exporter,," FIRST, SCRAM_RIGHT,
     "c=cD10bHMtZXhwb3J0ZXIsLGV4cG9ydGVy,r=" NONCE ",p=" PROOF, SCRAM_WRONG},
    {true, true, "p=tls-exporter,," FIRST, SCRAM_RIGHT,
     "c=cD10bHMtZXhwb3J0ZXIsLGVuZCBwb2ludA==,r=" NONCE ",p=" PROOF, SCRAM_UNBOUND},
};

static void serve(const struct served *served)
{
    struct scram_client_first first;
    struct scram_server server = {.nonce_at = 0};
    struct buffer out = BUFFER_WITH_LIMIT(1000);
    struct scram_bindings bindings = {{0}, {0}};
    if (served->binds)
        bindings = (struct scram_bindings){SLICE("exporter"), SLICE("end point")};
    rfc_verifier(&server.verifier);
    assert_true(scram_client_first_parse(slice_of_string(served->first), &first));
    assert_int_equal(scram_server_first(&server, &first, served->plus, &bindings,
                                        SLICE("%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"), &out),
                     served->judged_first);
    if (served->final) {
        assert_slice_is(buffer_slice(&out), exchanges[1].server_first);
        buffer_reset(&out);
        assert_int_equal(scram_server_final(&server, slice_of_string(served->final), &out),
                         served->judged_final);
    }
    if (served->final && served->judged_final == SCRAM_RIGHT)
        assert_slice_is(buffer_slice(&out), exchanges[1].server_final);
    else
        assert_int_equal(out.len, 0);
    buffer_clear(&out);
    scram_server_clear(&server);
    scram_server_clear(&server);
}

static void the_server_judges(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(conversations); i++)
        serve(&conversations[i]);
}

static void names_are_decoded(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *name; /* NULL: none */
    } cases[] = {
        {"user", "user"},  {"a=2Cb=3Dc", "a,b=c"}, {"I\xc2\xadX", "IX"}, /* RFC 4013 3 */
        {"\xc2\xaa", "a"}, {"a=2cb", NULL},        {"a=", NULL},         {"a=3", NULL},
        {"a=41", NULL},    {"\xff", NULL},         {"\x07", NULL},       {"", NULL},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct buffer name = BUFFER_WITH_LIMIT(100);
        assert_int_equal(scram_name_decode(slice_of_string(cases[i].text), &name),
                         cases[i].name != NULL);
        assert_slice_is(buffer_slice(&name), cases[i].name ? cases[i].name : "");
        buffer_clear(&name);
    }
}

#define HASH "$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQ$aGFzaGhhc2hoYXNoaGFzaA"

static void a_verifier_is_of_one_password(void **state)
{
    (void)state;
    struct buffer text = BUFFER_WITH_LIMIT(SCRAM_VERIFIER_MAX);
    struct scram_verifier verifier;
    struct scram_keys keys;
    assert_true(scram_verifier_make(SLICE("I\xc2\xadX"), SLICE(HASH), &text));
    assert_true(scram_verifier_parse(buffer_slice(&text), &verifier));
    scram_derive(SCRAM_SHA_256, SLICE("IX"), slice_of(verifier.salt, verifier.salt_octets),
                 verifier.iterations, &keys);
    assert_memory_equal(keys.stored, verifier.stored, sizeof(keys.stored));
    assert_memory_equal(keys.server, verifier.server, sizeof(keys.server));
    assert_true(scram_verifier_belongs(&verifier, SLICE(HASH)));
    assert_true(scram_verifier_belongs(&verifier, SLICE("!" HASH)));
    assert_false(scram_verifier_belongs(&verifier, SLICE(HASH "x")));
    assert_false(scram_verifier_belongs(&verifier, SLICE("!")));
    for (size_t i = 0; i < text.len; i++)
        assert_false(scram_verifier_parse(slice_range(buffer_slice(&text), 0, i), &verifier));
    buffer_append_octet(&text, ',');
    assert_false(scram_verifier_parse(buffer_slice(&text), &verifier));
    buffer_reset(&text);
    assert_false(scram_verifier_make(SLICE("\x07"), SLICE(HASH), &text));
    assert_int_equal(text.len, 0);
    buffer_clear(&text);
}

static void a_false_salt_stays(void **state)
{
    (void)state;
    static const uint8_t key[32] = {1}, other_key[32] = {2};
    struct scram_verifier first, again, other_name, other_house;
    scram_verifier_pretend(key, SLICE("nobody@a.example"), &first);
    scram_verifier_pretend(key, SLICE("nobody@a.example"), &again);
    scram_verifier_pretend(key, SLICE("nobody@b.example"), &other_name);
    scram_verifier_pretend(other_key, SLICE("nobody@a.example"), &other_house);
    assert_int_equal(first.salt_octets, SCRAM_MADE_SALT);
    assert_int_equal(first.iterations, SCRAM_MADE_ITERATIONS);
    assert_memory_equal(first.salt, again.salt, SCRAM_MADE_SALT);
    assert_memory_not_equal(first.salt, other_name.salt, SCRAM_MADE_SALT);
    assert_memory_not_equal(first.salt, other_house.salt, SCRAM_MADE_SALT);
    assert_memory_not_equal(first.stored, again.stored, sizeof(first.stored));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sha1_is_that_of_its_rfc),
        cmocka_unit_test(the_examples_of_the_rfcs),
        cmocka_unit_test(what_is_not_answered),
        cmocka_unit_test(names_and_bindings),
        cmocka_unit_test(the_server_judges),
        cmocka_unit_test(names_are_decoded),
        cmocka_unit_test(a_verifier_is_of_one_password),
        cmocka_unit_test(a_false_salt_stays),
    };
    return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
