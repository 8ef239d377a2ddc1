/* Promises of common/login/sasl.h: each exchange is a conversation of base64 lines. */
#include "tests/unit/test.h"

#include "common/buffer.h"
#include "common/login/sasl.h"
#include "common/size.h"

enum { LINES = 3 };

struct exchange {
    enum sasl_mechanism mechanism;
    const char *initial;      /* NULL: none */
    const char *lines[LINES]; /* the client's, up to NULL */
    enum sasl_result result;  /* of the last step */
    const char *authorization_id;
    const char *authentication_id;
    const char *password;
};

static const struct exchange exchanges[] = {
    /* RFC 4616 4: tim, tanstaaftanstaaf; Ursel as Kurt */
    {SASL_PLAIN, NULL, {"AHRpbQB0YW5zdGFhZnRhbnN0YWFm"}, SASL_DONE, "", "tim", "tanstaaftanstaaf"},
    {SASL_PLAIN, "AHRpbQB0YW5zdGFhZnRhbnN0YWFm", {0}, SASL_DONE, "", "tim", "tanstaaftanstaaf"},
    {SASL_PLAIN, "VXJzZWwAS3VydAB4aXBqMzBwbHE=", {0}, SASL_DONE, "Ursel", "Kurt", "xipj30plq"},
    {SASL_PLAIN, NULL, {0}, SASL_CONTINUE, "", "", ""},
    {SASL_PLAIN, NULL, {"*"}, SASL_CANCELLED, "", "", ""},
    {SASL_PLAIN, "*", {0}, SASL_MALFORMED, "", "", ""},
    {SASL_PLAIN, "=", {0}, SASL_MALFORMED, "", "", ""},
    {SASL_PLAIN, NULL, {""}, SASL_MALFORMED, "", "", ""},
    {SASL_PLAIN, NULL, {"="}, SASL_MALFORMED, "", "", ""},
    {SASL_PLAIN, "AHRpbQB0", {0}, SASL_DONE, "", "tim", "t"},
    {SASL_PLAIN, "AHRpbQA=", {0}, SASL_MALFORMED, "", "", ""},     /* no password */
    {SASL_PLAIN, "AAB4", {0}, SASL_MALFORMED, "", "", ""},         /* no name */
    {SASL_PLAIN, "AHRpbQ==", {0}, SASL_MALFORMED, "", "", ""},     /* one NUL */
    {SASL_PLAIN, "dGlt", {0}, SASL_MALFORMED, "", "", ""},         /* none */
    {SASL_PLAIN, "AHRpbQB0AHQ=", {0}, SASL_MALFORMED, "", "", ""}, /* three */
    {SASL_PLAIN, "AHRpbQB0AA==", {0}, SASL_MALFORMED, "", "", ""},
    {SASL_PLAIN, "AP8AdA==", {0}, SASL_MALFORMED, "", "", ""}, /* a name of octet 255 */
    {SASL_PLAIN, "AHRpbQD/", {0}, SASL_DONE, "", "tim", "\377"},
    {SASL_PLAIN, "AHRpbQB0=", {0}, SASL_MALFORMED, "", "", ""},
    {SASL_PLAIN, "AHRpbQB0 ", {0}, SASL_MALFORMED, "", "", ""},
    {SASL_LOGIN, NULL, {0}, SASL_CONTINUE, "", "", ""},
    {SASL_LOGIN, NULL, {"dGlt", "c2VjcmV0"}, SASL_DONE, "", "tim", "secret"},
    {SASL_LOGIN, "dGlt", {"c2VjcmV0"}, SASL_DONE, "", "tim", "secret"}, /* Outlook for Mac */
    {SASL_LOGIN, "dGlt", {0}, SASL_CONTINUE, "", "tim", ""},
    {SASL_LOGIN, "=", {0}, SASL_MALFORMED, "", "", ""},
    {SASL_LOGIN, NULL, {""}, SASL_MALFORMED, "", "", ""},
    {SASL_LOGIN, NULL, {"*"}, SASL_CANCELLED, "", "", ""},
    {SASL_LOGIN, NULL, {"dGlt", "*"}, SASL_CANCELLED, "", "tim", ""},
    {SASL_LOGIN, NULL, {"dGlt", ""}, SASL_MALFORMED, "", "tim", ""},
    {SASL_LOGIN, NULL, {"dGltAA=="}, SASL_MALFORMED, "", "", ""},
    {SASL_LOGIN, NULL, {"/w=="}, SASL_MALFORMED, "", "", ""},
    {SASL_LOGIN, NULL, {"dGlt", "c2VjcmV0AA=="}, SASL_MALFORMED, "", "tim", "secret"},
    {SASL_SCRAM_SHA_256, NULL, {0}, SASL_CONTINUE, "", "", ""},
    {SASL_SCRAM_SHA_256, NULL, {"biws"}, SASL_ASK, "", "", ""},
    {SASL_SCRAM_SHA_256_PLUS, "biws", {0}, SASL_ASK, "", "", ""},
    {SASL_SCRAM_SHA_256, "=", {0}, SASL_ASK, "", "", ""},
    {SASL_SCRAM_SHA_256, "biw", {0}, SASL_MALFORMED, "", "", ""},
    {SASL_SCRAM_SHA_256, NULL, {"*"}, SASL_CANCELLED, "", "", ""},
};

static enum sasl_result run(struct sasl *sasl, const struct exchange *exchange,
                            struct slice *challenge)
{
    struct slice initial = slice_of_string(exchange->initial);
    enum sasl_result result =
        sasl_start(sasl, exchange->mechanism, exchange->initial ? &initial : NULL, challenge);
    for (size_t i = 0; i < LINES && exchange->lines[i]; i++) {
        assert_int_equal(result, SASL_CONTINUE);
        result = sasl_respond(sasl, slice_of_string(exchange->lines[i]), challenge);
    }
    return result;
}

static void exchanges_end_as_promised(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(exchanges); i++) {
        const struct exchange *expected = &exchanges[i];
        struct sasl sasl = {.mechanism = SASL_PLAIN};
        struct slice challenge;
        enum sasl_result result = run(&sasl, expected, &challenge);
        if (result != expected->result)
            fail_msg("exchange %zu ended with %d", i, (int)result);
        if (result == SASL_DONE) {
            assert_slice_is(sasl.authorization_id, expected->authorization_id);
            assert_slice_is(sasl.authentication_id, expected->authentication_id);
            assert_slice_is(sasl.password, expected->password);
        }
        sasl_clear(&sasl);
    }
}

static void challenges_are_what_clients_know(void **state)
{
    (void)state;
    struct sasl sasl = {.mechanism = SASL_PLAIN};
    struct slice challenge;
    sasl_start(&sasl, SASL_PLAIN, NULL, &challenge);
    assert_slice_is(challenge, "");
    sasl_start(&sasl, SASL_LOGIN, NULL, &challenge);
    assert_slice_is(challenge, "VXNlcm5hbWU6");
    sasl_respond(&sasl, SLICE("dGlt"), &challenge);
    assert_slice_is(challenge, "UGFzc3dvcmQ6");
    sasl_clear(&sasl);
}

/* A PLAIN message with names and a password of so many octets. */
static enum sasl_result try_sizes(size_t authorization_id, size_t authentication_id,
                                  size_t password)
{
    struct buffer message = BUFFER_WITH_LIMIT(4096);
    const size_t sizes[] = {authorization_id, authentication_id, password};
    for (size_t i = 0; i < 3; i++) {
        for (size_t j = 0; j < sizes[i]; j++)
            buffer_append_octet(&message, 'x');
        if (i < 2)
            buffer_append_octet(&message, 0);
    }
    struct buffer text = BUFFER_WITH_LIMIT(8192);
    base64_encode(buffer_slice(&message), &text);
    struct slice initial = buffer_slice(&text);
    struct sasl sasl = {.mechanism = SASL_PLAIN};
    struct slice challenge;
    enum sasl_result result = sasl_start(&sasl, SASL_PLAIN, &initial, &challenge);
    if (result == SASL_DONE)
        assert_in_range(text.len, 1, SASL_LINE_LIMIT);
    sasl_clear(&sasl);
    buffer_clear(&message);
    buffer_clear(&text);
    return result;
}

static void limits_hold(void **state)
{
    (void)state;
    assert_int_equal(try_sizes(255, 255, 511), SASL_DONE);
    assert_int_equal(try_sizes(256, 255, 510), SASL_MALFORMED);
    assert_int_equal(try_sizes(0, 256, 10), SASL_MALFORMED);
    assert_int_equal(try_sizes(0, 1, 512), SASL_MALFORMED);
    assert_int_equal(try_sizes(255, 255, 2000), SASL_MALFORMED);
}

static void clearing_leaves_no_secret(void **state)
{
    (void)state;
    struct sasl sasl = {.mechanism = SASL_PLAIN};
    struct slice challenge;
    struct slice initial = SLICE("AHRpbQB0YW5zdGFhZnRhbnN0YWFm");
    assert_int_equal(sasl_start(&sasl, SASL_PLAIN, &initial, &challenge), SASL_DONE);
    sasl_clear(&sasl);
    sasl_clear(&sasl);
    for (size_t i = 0; i < sizeof(sasl.octets); i++)
        assert_int_equal(sasl.octets[i], 0);
    assert_null(sasl.password.ptr);
}

/* Each message of SCRAM is auth's to answer. */
static void messages_are_passed_on(void **state)
{
    (void)state;
    struct sasl sasl = {.mechanism = SASL_PLAIN};
    struct slice challenge;
    struct slice initial = SLICE("biws");
    assert_int_equal(sasl_start(&sasl, SASL_SCRAM_SHA_256, &initial, &challenge), SASL_ASK);
    assert_slice_is(sasl.message, "n,,");
    assert_int_equal(sasl.messages, 1);
    assert_int_equal(sasl_respond(&sasl, SLICE("eSws"), &challenge), SASL_ASK);
    assert_slice_is(sasl.message, "y,,");
    assert_int_equal(sasl_respond(&sasl, SLICE(""), &challenge), SASL_ASK);
    assert_slice_is(sasl.message, "");
    assert_int_equal(sasl.messages, 3);
    assert_int_equal(sasl_respond(&sasl, SLICE("*"), &challenge), SASL_CANCELLED);
    sasl_clear(&sasl);
}

static void mechanisms_are_found_where_offered(void **state)
{
    (void)state;
    static const struct {
        unsigned means;
        bool scram, plus;
        const char *names;
    } cases[] = {
        {SASL_HAS_TLS, false, false, " PLAIN LOGIN"},
        {SASL_HAS_SCRAM, true, false, " PLAIN LOGIN SCRAM-SHA-256"},
        {SASL_HAS_SCRAM | SASL_HAS_TLS, true, true,
         " PLAIN LOGIN SCRAM-SHA-256 SCRAM-SHA-256-PLUS"},
        {SASL_HAS_TOKENS, false, false, " PLAIN LOGIN OAUTHBEARER XOAUTH2"},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct buffer text = BUFFER_WITH_LIMIT(100);
        enum sasl_mechanism mechanism;
        unsigned offered = sasl_offer(cases[i].means);
        sasl_append_mechanisms(offered, " ", "", &text);
        assert_slice_is(buffer_slice(&text), cases[i].names);
        buffer_clear(&text);
        assert_int_equal(sasl_find_mechanism(SLICE("scram-sha-256"), offered, &mechanism),
                         cases[i].scram);
        assert_int_equal(sasl_find_mechanism(SLICE("SCRAM-SHA-256-PLUS"), offered, &mechanism),
                         cases[i].plus);
        assert_false(sasl_find_mechanism(SLICE("SCRAM-SHA-1"), offered, &mechanism));
        assert_false(sasl_find_mechanism(SLICE(""), offered, &mechanism));
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(exchanges_end_as_promised),
        cmocka_unit_test(challenges_are_what_clients_know),
        cmocka_unit_test(messages_are_passed_on),
        cmocka_unit_test(mechanisms_are_found_where_offered),
        cmocka_unit_test(limits_hold),
        cmocka_unit_test(clearing_leaves_no_secret),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
