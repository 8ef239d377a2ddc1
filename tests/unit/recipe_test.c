/* Promises of smtpd/filter: recipe.h, and the question of filter.h. */
#include "tests/unit/test.h"

#include "common/role/ipc.h"
#include "common/size.h"
#include "smtpd/filter/filter.h"
#include "smtpd/filter/recipe.h"

static const struct recipe_question from_outside = {
    .flags = FILTER_ESMTP,
    .helo = SLICE("mx.example.net"),
    .client = SLICE("192.0.2.7"),
    .id = SLICE("00410000000A2"),
    .recipient = SLICE("alice@demo.test"),
    .arrival = 1057049557,
    .header_is_whole = true,
    .hostname = "mail.demo.test",
    .domain = "demo.test",
    .header_limit = 10000,
    .received_limit = 3,
};

static const struct recipe_question of_user = {
    .flags = FILTER_ESMTP | FILTER_SUBMISSION,
    .helo = SLICE("[192.0.2.8]"),
    .client = SLICE("192.0.2.8"),
    .tls = SLICE("TLSv1.3 TLS_AES_256_GCM_SHA384"),
    .id = SLICE("00410000000A2"),
    .account = SLICE("alice@demo.test"),
    .arrival = 1057049557,
    .header_is_whole = true,
    .hostname = "mail.demo.test",
    .domain = "demo.test",
    .header_limit = 10000,
    .received_limit = 3,
};

#define RECEIVED_OF_USER                                                                           \
    "Received: from [192.0.2.8] ([192.0.2.8])\r\n\tby mail.demo.test with ESMTPSA\r\n"             \
    "\tid 00410000000A2\r\n\ttls TLS_AES_256_GCM_SHA384 (TLSv1.3);\r\n"                            \
    "\tTue, 1 Jul 2003 08:52:37 +0000\r\n"
#define DATE "Date: Tue, 1 Jul 2003 08:52:37 +0000\r\n"
#define MESSAGE_ID "Message-ID: <00410000000A2@mail.demo.test>\r\n"
#define FROM "From: alice@demo.test\r\n"

/* --- Received --- */

static const struct {
    const char *helo, *client, *tls, *recipient;
    uint32_t flags;
    const char *received;
} received_cases[] = {
    {"mx.example.net", "192.0.2.7", "", "alice@demo.test", FILTER_ESMTP,
     "Received: from mx.example.net ([192.0.2.7])\r\n\tby mail.demo.test with ESMTP\r\n"
     "\tid 00410000000A2\r\n\tfor <alice@demo.test>;\r\n\tTue, 1 Jul 2003 08:52:37 +0000\r\n"},
    {"mx.example.net", "2001:db8::7", "", "", 0,
     "Received: from mx.example.net ([IPv6:2001:db8::7])\r\n\tby mail.demo.test with SMTP\r\n"
     "\tid 00410000000A2;\r\n\tTue, 1 Jul 2003 08:52:37 +0000\r\n"},
    {"x", "192.0.2.7", "TLSv1.2 TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "", FILTER_ESMTP,
     "Received: from x ([192.0.2.7])\r\n\tby mail.demo.test with ESMTPS\r\n\tid 00410000000A2\r\n"
     "\ttls TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 (TLSv1.2);\r\n"
     "\tTue, 1 Jul 2003 08:52:37 +0000\r\n"},
    {"x", "192.0.2.7", "TLSv1.2 ECDHE-RSA-AES128-GCM-SHA256", "", FILTER_ESMTP | FILTER_UTF8,
     "Received: from x ([192.0.2.7])\r\n\tby mail.demo.test with UTF8SMTPS\r\n\tid "
     "00410000000A2\r\n"
     "\t(TLSv1.2 ECDHE-RSA-AES128-GCM-SHA256);\r\n\tTue, 1 Jul 2003 08:52:37 +0000\r\n"},
    /* what is no host name, and an address that the message may not hold */
    {"under_score\r\nBcc: x", "192.0.2.7", "", "\xc3\xbc@demo.test", FILTER_ESMTP,
     "Received: from [192.0.2.7] ([192.0.2.7])\r\n\tby mail.demo.test with ESMTP\r\n"
     "\tid 00410000000A2;\r\n\tTue, 1 Jul 2003 08:52:37 +0000\r\n"},
    {"", "::1", "", "\xc3\xbc@demo.test", FILTER_ESMTP | FILTER_UTF8,
     "Received: from [IPv6:::1] ([IPv6:::1])\r\n\tby mail.demo.test with UTF8SMTP\r\n"
     "\tid 00410000000A2\r\n\tfor <\xc3\xbc@demo.test>;\r\n\tTue, 1 Jul 2003 08:52:37 +0000\r\n"},
};

static void received_says_how_the_message_came(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(received_cases); i++) {
        struct recipe_question question = from_outside;
        struct recipe recipe;
        struct recipe_refusal refusal;
        question.helo = slice_of_string(received_cases[i].helo);
        question.client = slice_of_string(received_cases[i].client);
        question.tls = slice_of_string(received_cases[i].tls);
        question.recipient = slice_of_string(received_cases[i].recipient);
        question.flags = received_cases[i].flags;
        question.header = SLICE("Subject: x\r\n\r\nbody");
        recipe_init(&recipe);
        assert_true(recipe_make(&question, &recipe, &refusal));
        assert_slice_is(buffer_slice(&recipe.prefix), received_cases[i].received);
        recipe_clear(&recipe);
        recipe_clear(&recipe);
    }
}

/* --- what happens to a message --- */

/* The message as deliver would write it: prefix, then the octets that are not cut. */
static void put_together(const struct recipe *recipe, struct slice message, struct buffer *text)
{
    size_t at = 0;
    buffer_append(text, buffer_slice(&recipe->prefix));
    for (size_t i = 0; i < recipe->cut_count; i++) {
        assert_true(recipe->cuts[i].offset >= at);
        buffer_append(text, slice_range(message, at, recipe->cuts[i].offset));
        at = (size_t)recipe->cuts[i].offset + recipe->cuts[i].octets;
        assert_true(at <= message.len);
    }
    buffer_append(text, slice_from(message, at));
}

static void append_from_list(const struct recipe *recipe, struct buffer *text)
{
    struct slice list = buffer_slice(&recipe->from);
    for (size_t i = 0; i < recipe->from_count; i++) {
        uint16_t octets;
        memcpy(&octets, list.ptr, sizeof(octets));
        list = slice_from(list, sizeof(octets));
        buffer_append(text, slice_range(list, 0, octets));
        buffer_append_octet(text, ' ');
        list = slice_from(list, octets);
    }
    assert_int_equal(list.len, 0);
}

static const struct {
    const char *message;
    const char *result; /* or the refusal */
    const char *from;   /* NULL: refused */
} submissions[] = {
    {"From: alice@demo.test\r\nDate: x\r\nMessage-ID: y\r\n\r\nhi\r\n",
     RECEIVED_OF_USER "From: alice@demo.test\r\nDate: x\r\nMessage-ID: y\r\n\r\nhi\r\n",
     "alice@demo.test "},
    {"From: Alice <alice@demo.test>\r\n\r\nhi\r\n",
     RECEIVED_OF_USER DATE MESSAGE_ID "From: Alice <alice@demo.test>\r\n\r\nhi\r\n",
     "alice@demo.test "},
    {"Subject: x\r\n\r\nFrom: not a field\r\n",
     RECEIVED_OF_USER DATE MESSAGE_ID FROM "Subject: x\r\n\r\nFrom: not a field\r\n", ""},
    {"\r\nbody alone\r\n", RECEIVED_OF_USER DATE MESSAGE_ID FROM "\r\nbody alone\r\n", ""},
    {"no header\r\nFrom: x\r\n",
     RECEIVED_OF_USER DATE MESSAGE_ID FROM "\r\nno header\r\nFrom: x\r\n", ""},
    {"", RECEIVED_OF_USER DATE MESSAGE_ID FROM, ""},
    {"Bcc: a@b\r\nFROM : alice@demo.test\r\nbcc: a,\r\n\tb\r\nResent-Bcc: c\r\nDate: x\r\n"
     "Return-Path: <x>\r\nMessage-Id: y\r\n\r\nBcc: stays\r\n",
     RECEIVED_OF_USER "FROM : alice@demo.test\r\nDate: x\r\nMessage-Id: y\r\n\r\nBcc: stays\r\n",
     "alice@demo.test "},
    {"From: alice@demo.test, \"o'brien \\\"x\\\"\"@demo.test\r\nSender: G: bob@demo.test;\r\n\r\n",
     RECEIVED_OF_USER DATE MESSAGE_ID
     "From: alice@demo.test, \"o'brien \\\"x\\\"\"@demo.test\r\nSender: G: bob@demo.test;\r\n\r\n",
     "alice@demo.test \"o'brien \\\"x\\\"\"@demo.test bob@demo.test "},
    {"From: a@b\r\nFrom: a@b\r\n\r\n", "550 5.6.0 More than one From field (RFC 5322 3.6)", NULL},
    {"From: a@b\r\nX: y\r\ngarbage\r\nfrom\t: a@b\r\n\r\n",
     "550 5.6.0 More than one From field (RFC 5322 3.6)", NULL},
    {"From: alice\r\n\r\n", "550 5.6.0 The field From does not hold valid addresses", NULL},
    {"From: <alice@demo.test> <x@y>\r\n\r\n",
     "550 5.6.0 The field From does not hold valid addresses", NULL},
    {"From: a@b_c\xff\r\n\r\n", "550 5.6.0 The field From does not hold valid addresses", NULL},
    {"From: nobody:;\r\n\r\n", "550 5.6.0 The field From holds no address", NULL},
    {"From:\r\n\r\n", "550 5.6.0 The field From holds no address", NULL},
    {"From: a@b\r\nSender: x\r\n\r\n", "550 5.6.0 The field Sender does not hold valid addresses",
     NULL},
    {"From: a@b,a@b,a@b,a@b,a@b,a@b,a@b,a@b,a@b,a@b,a@b,a@b,a@b,a@b,a@b,a@b,a@b\r\n\r\n",
     "550 5.6.0 More than 16 addresses in From and Sender", NULL},
};

static void submissions_are_completed_and_held_to_their_author(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(submissions); i++) {
        struct recipe_question question = of_user;
        struct recipe recipe;
        struct recipe_refusal refusal;
        struct buffer text = BUFFER_WITH_LIMIT(100000);
        question.header = slice_of_string(submissions[i].message);
        recipe_init(&recipe);
        if (recipe_make(&question, &recipe, &refusal)) {
            struct buffer from = BUFFER_WITH_LIMIT(10000);
            put_together(&recipe, question.header, &text);
            append_from_list(&recipe, &from);
            assert_non_null(submissions[i].from);
            assert_slice_is(buffer_slice(&from), submissions[i].from);
            buffer_clear(&from);
        } else {
            assert_null(submissions[i].from);
            buffer_append_format(&text, "%u %s", refusal.code, refusal.text);
        }
        assert_slice_is(buffer_slice(&text), submissions[i].result);
        buffer_clear(&text);
        recipe_clear(&recipe);
    }
}

/* RFC 8689 3 */
static void tls_required_is_noticed(void **state)
{
    (void)state;
    static const struct {
        const char *header;
        bool optional;
    } cases[] = {
        {"TLS-Required: No\r\n\r\n", true},
        {"Subject: x\r\ntls-required:\r\n\tNO \r\n\r\n", true},
        {"TLS-Required: Yes\r\n\r\n", false},
        {"TLS-Required: No way\r\n\r\n", false},
        {"TLS-Required: No and so on and so on\r\n\r\n", false},
        {"TLS-Required:\r\n\r\n", false},
        {"Subject: x\r\n\r\nTLS-Required: No\r\n", false},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct recipe_question question = from_outside;
        struct recipe recipe;
        struct recipe_refusal refusal;
        question.header = slice_of_string(cases[i].header);
        recipe_init(&recipe);
        assert_true(recipe_make(&question, &recipe, &refusal));
        if ((recipe.findings == FILTER_TLS_OPTIONAL) != cases[i].optional)
            fail_msg("%s", cases[i].header);
        recipe_clear(&recipe);
    }
}

static void an_account_without_domain_has_the_first(void **state)
{
    (void)state;
    struct recipe_question question = of_user;
    struct recipe recipe;
    struct recipe_refusal refusal;
    question.account = SLICE("alice");
    recipe_init(&recipe);
    assert_true(recipe_make(&question, &recipe, &refusal));
    assert_true(slice_ends_with(buffer_slice(&recipe.prefix), SLICE(FROM)));
    buffer_truncate(&recipe.prefix, 0);
    question.account = SLICE("alice\r\nBcc: x");
    assert_false(recipe_make(&question, &recipe, &refusal));
    assert_string_equal(refusal.text, "5.6.0 The message has no From field (RFC 5322 3.6)");
    recipe_clear(&recipe);
}

static void from_outside_only_trace_fields_change(void **state)
{
    (void)state;
    struct recipe_question question = from_outside;
    struct recipe recipe;
    struct recipe_refusal refusal;
    struct buffer text = BUFFER_WITH_LIMIT(100000);
    question.header =
        SLICE("From user@host Mon Jan  1 00:00:00 2001\r\nFrom: a\r\nFrom: b\r\n"
              "return-path: <x>\r\nRETURN-PATH:\r\n y\r\nBcc: c\r\n\r\nReturn-Path: z");
    recipe_init(&recipe);
    assert_true(recipe_make(&question, &recipe, &refusal));
    assert_int_equal(recipe.from_count, 0);
    assert_int_equal(recipe.cut_count, 1);
    put_together(&recipe, question.header, &text);
    buffer_consume(&text, recipe.prefix.len);
    assert_slice_is(
        buffer_slice(&text),
        "From user@host Mon Jan  1 00:00:00 2001\r\nFrom: a\r\nFrom: b\r\nBcc: c\r\n\r\n"
        "Return-Path: z");
    assert_true(slice_starts_with(buffer_slice(&recipe.prefix), SLICE("Received: from mx")));
    assert_true(slice_ends_with(buffer_slice(&recipe.prefix), SLICE(" +0000\r\n")));
    buffer_clear(&text);
    recipe_clear(&recipe);
}

/* --- limits --- */

static const struct {
    const char *header;
    bool whole;
    const char *refusal; /* NULL: taken */
} limit_cases[] = {
    {"Received: 1\r\nReceived: 2\r\nreceived : 3\r\n\r\nReceived: no\r\n", true, NULL},
    {"Received: 1\r\nReceived: 2\r\nReceived: 3\r\nReceived: 4\r\n\r\n", true,
     "554 5.4.6 Mail loop: the message passed more than 3 servers (limits.received)"},
    {"A: 1234567890123456789012345678901234567890123456789012345678901234567890123456789012345678"
     "901234\r\n\r\nlonger",
     true, NULL}, /* 100 octets */
    {"A: 12345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"
     "0123456\r\n\r\n",
     true, "552 5.3.4 The header is longer than 100 octets (limits.header-size)"},
    {"A: b\r\n", false, "552 5.3.4 The header is longer than 100 octets (limits.header-size)"},
    {"A: b\r\n\r\nbody", false, NULL},
    {"A: b\r\n", true, NULL},
};

static void limits_are_named_in_the_refusal(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(limit_cases); i++) {
        struct recipe_question question = from_outside;
        struct recipe recipe;
        struct recipe_refusal refusal = {0, ""};
        char text[300];
        question.header = slice_of_string(limit_cases[i].header);
        question.header_is_whole = limit_cases[i].whole;
        question.header_limit = 100;
        recipe_init(&recipe);
        assert_int_equal(recipe_make(&question, &recipe, &refusal), !limit_cases[i].refusal);
        snprintf(text, sizeof(text), "%u %s", refusal.code, refusal.text);
        if (limit_cases[i].refusal)
            assert_string_equal(text, limit_cases[i].refusal);
        recipe_clear(&recipe);
    }
}

static void cuts_are_counted(void **state)
{
    (void)state;
    struct recipe_question question = of_user;
    struct recipe recipe;
    struct recipe_refusal refusal;
    struct buffer header = BUFFER_WITH_LIMIT(100000);
    for (int i = 0; i <= FILTER_CUTS_MAX; i++) {
        question.header = buffer_slice(&header);
        recipe_init(&recipe);
        assert_true(recipe_make(&question, &recipe, &refusal));
        assert_int_equal(recipe.cut_count, i);
        recipe_clear(&recipe);
        buffer_append_string(&header, "Bcc: a\r\nBcc: b\r\nX: y\r\n");
    }
    question.header = buffer_slice(&header);
    recipe_init(&recipe);
    assert_false(recipe_make(&question, &recipe, &refusal));
    assert_int_equal(refusal.code, 550);
    recipe_clear(&recipe);
    buffer_clear(&header);
}

/* --- the record --- */

static void records_that_might_forge_are_malformed(void **state)
{
    (void)state;
    static const struct {
        const char *texts;
        uint16_t helo, client, tls, id;
        bool valid;
    } cases[] = {
        {"x192.0.2.700410000000A2rest", 1, 9, 0, 13, true},
        {"::1TLSv1.3 TLS_A00410000000A2", 0, 3, 13, 13, true},
        {"x192.0.2.700410000000A2", 1, 9, 0, 14, false}, /* longer than the record */
        {"x192.0.2.x00410000000A2", 1, 9, 0, 13, false},
        {"x192.0.2.7)0410000000A2", 1, 9, 0, 13, false},
        {"x192.0.2.7a)b00410000000A2", 1, 9, 3, 13, false},
        {"x192.0.2.7a\nb00410000000A2", 1, 9, 3, 13, false},
        {"", 0, 0, 0, 0, false},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct {
            struct filter_message head;
            uint8_t texts[100];
        } record = {.head = {.helo_octets = cases[i].helo,
                             .client_octets = cases[i].client,
                             .tls_octets = cases[i].tls,
                             .id_octets = cases[i].id}};
        size_t octets = strlen(cases[i].texts);
        memcpy(record.texts, cases[i].texts, octets);
        struct ipc_packet packet = {.record = &record,
                                    .length = offsetof(__typeof__(record), texts) + octets};
        struct recipe_question question;
        struct slice body;
        struct error error = {0};
        assert_int_equal(filter_parse_question(&packet, &question, &body, &error), cases[i].valid);
        assert_int_equal(error.kind, cases[i].valid ? ERROR_NONE : ERROR_PEER);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(received_says_how_the_message_came),
        cmocka_unit_test(submissions_are_completed_and_held_to_their_author),
        cmocka_unit_test(tls_required_is_noticed),
        cmocka_unit_test(an_account_without_domain_has_the_first),
        cmocka_unit_test(from_outside_only_trace_fields_change),
        cmocka_unit_test(limits_are_named_in_the_refusal),
        cmocka_unit_test(cuts_are_counted),
        cmocka_unit_test(records_that_might_forge_are_malformed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
