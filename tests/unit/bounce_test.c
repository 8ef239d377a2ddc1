/* Promises of smtpd/queue/outcome/bounce.h: a report that programs and people can read, whatever
 * the texts in it hold. */
#include "tests/unit/test.h"

#include "smtpd/queue/outcome/bounce.h"

static const struct slice headers[] = {
    {(const uint8_t *)"Received: x\r\n", 13},
    {(const uint8_t *)"Subject: hi\r\n", 13},
};

static const struct bounce_recipient full[] = {
    {.address = {(const uint8_t *)"bob@demo.test", 13},
     .orcpt = {(const uint8_t *)"rfc822;bob@demo.test", 20},
     .text = {.words = {(const uint8_t *)"5.2.2 mailbox full", 18}},
     .last_attempt = 1700000090},
};

static const struct bounce simple = {
    .hostname = {(const uint8_t *)"mail.demo.test", 14},
    .id = "0001000000002",
    .original_id = "0001000000001",
    .boundary = "b0undary",
    .to = {(const uint8_t *)"alice@demo.test", 15},
    .envid = {(const uint8_t *)"QQ314", 5},
    .arrival = 1700000000,
    .now = 1700000100,
    .recipients = full,
    .recipient_count = 1,
    .original = headers,
    .original_count = 2,
};

static struct buffer format(const struct bounce *bounce)
{
    struct buffer out = BUFFER_WITH_LIMIT(65536);
    bounce_format(bounce, &out);
    assert_false(out.failed);
    return out;
}

static void a_failure_word_for_word(void **state)
{
    (void)state;
    struct buffer out = format(&simple);
    assert_slice_is(buffer_slice(&out),
                    "From: Mail Delivery System <MAILER-DAEMON@mail.demo.test>\r\n"
                    "To: <alice@demo.test>\r\n"
                    "Subject: Your message could not be delivered\r\n"
                    "Date: Tue, 14 Nov 2023 22:15:00 +0000\r\n"
                    "Message-ID: <0001000000002@mail.demo.test>\r\n"
                    "Auto-Submitted: auto-replied\r\n"
                    "MIME-Version: 1.0\r\n"
                    "Content-Transfer-Encoding: 8bit\r\n"
                    "Content-Type: multipart/report; report-type=delivery-status;\r\n"
                    "\tboundary=\"b0undary\"\r\n"
                    "\r\n--b0undary\r\n"
                    "Content-Type: text/plain; charset=utf-8\r\n"
                    "Content-Transfer-Encoding: 8bit\r\n"
                    "\r\n"
                    "This is the mail system at mail.demo.test.\r\n"
                    "\r\n"
                    "Your message of Tue, 14 Nov 2023 22:13:20 +0000\r\n"
                    "could not be delivered, and will not be tried again, to:\r\n"
                    "\r\n"
                    "  <bob@demo.test>\r\n"
                    "    mailbox full (5.2.2)\r\n"
                    "\r\n"
                    "Here it is known as 0001000000001. Its header is attached.\r\n"
                    "\r\n--b0undary\r\n"
                    "Content-Type: message/delivery-status\r\n"
                    "\r\n"
                    "Reporting-MTA: dns; mail.demo.test\r\n"
                    "Original-Envelope-Id: QQ314\r\n"
                    "Arrival-Date: Tue, 14 Nov 2023 22:13:20 +0000\r\n"
                    "\r\n"
                    "Original-Recipient: rfc822;bob@demo.test\r\n"
                    "Final-Recipient: rfc822;bob@demo.test\r\n"
                    "Action: failed\r\n"
                    "Status: 5.2.2\r\n"
                    "Diagnostic-Code: x-staffetta; 5.2.2 mailbox full\r\n"
                    "Last-Attempt-Date: Tue, 14 Nov 2023 22:14:50 +0000\r\n"
                    "Final-Log-ID: 0001000000001\r\n"
                    "\r\n--b0undary\r\n"
                    "Content-Type: text/rfc822-headers\r\n"
                    "\r\n"
                    "Received: x\r\n"
                    "Subject: hi\r\n"
                    "\r\n--b0undary--\r\n");
    buffer_clear(&out);
}

static bool contains(const struct buffer *out, const char *text)
{
    return slice_find(buffer_slice(out), slice_of_string(text)) < out->len;
}

static void both_outcomes_in_one_report(void **state)
{
    (void)state;
    const struct bounce_recipient recipients[] = {
        full[0], {.action = BOUNCE_DELIVERED, .address = SLICE("carol@demo.test")}};
    struct bounce bounce = simple;
    bounce.recipients = recipients;
    bounce.recipient_count = 2;
    bounce.whole = true;
    struct buffer out = format(&bounce);
    assert_true(contains(&out, "Subject: Your message could not be delivered to everyone\r\n"));
    assert_true(contains(&out, "Final-Recipient: rfc822;carol@demo.test\r\n"
                               "Action: delivered\r\nStatus: 2.0.0\r\n"));
    assert_true(contains(&out, "Content-Type: message/rfc822\r\n"));
    buffer_clear(&out);
}

static void internationalized(void **state)
{
    (void)state;
    const struct bounce_recipient recipients[] = {
        {.address = SLICE("j\xc3\xb6rg@demo.test"), .orcpt = SLICE("utf-8;j\xc3\xb6rg@demo.test")}};
    struct bounce bounce = simple;
    bounce.recipients = recipients;
    bounce.utf8 = true;
    struct buffer out = format(&bounce);
    assert_true(contains(&out, "Content-Type: message/global-delivery-status\r\n"
                               "Content-Transfer-Encoding: 8bit\r\n"));
    assert_true(contains(&out, "Final-Recipient: utf-8;j\xc3\xb6rg@demo.test\r\n"));
    assert_true(contains(&out, "Content-Type: message/global-headers\r\n"));
    assert_true(contains(&out, "Status: 5.0.0\r\n"));
    buffer_clear(&out);
}

/* Neither a forged line nor a wrong class of code gets through. */
static void texts_cannot_forge_lines(void **state)
{
    (void)state;
    static const struct {
        const char *text, *status, *diagnostic;
    } cases[] = {
        {"5.1.1\r\nAction: delivered", "5.0.0", "5.1.1??Action: delivered"},
        {"4.2.2 busy", "5.0.0", "4.2.2 busy"},
        {"5.1.1 \xff\x00 x", "5.1.1", "5.1.1 ?"},
        {"5..1 x", "5.0.0", "5..1 x"},
        {"no code", "5.0.0", "no code"},
        {"5.1.1000000 x", "5.0.0", "5.1.1000000 x"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct bounce_recipient recipient = {.address = SLICE("x@demo.test"),
                                                   .text.words = slice_of_string(cases[i].text)};
        struct bounce bounce = simple;
        bounce.recipients = &recipient;
        struct buffer out = format(&bounce);
        char expected[200];
        snprintf(expected, sizeof(expected), "Status: %s\r\nDiagnostic-Code: x-staffetta; %s\r\n",
                 cases[i].status, cases[i].diagnostic);
        if (!contains(&out, expected))
            fail_msg("%zu: %s", i, expected);
        buffer_clear(&out);
    }
}

/* What the other server said stands in it as it was said, for people and for programs. */
static void the_reply_of_a_peer_is_quoted(void **state)
{
    (void)state;
    const struct bounce_recipient recipients[] = {
        {.address = SLICE("x@far.example"),
         .text = {SLICE("5.1.1 far.example does not know this address"),
                  SLICE("550-5.1.1 <x>\r550 5.1.1 not here"),
                  SLICE("mx.far.example [192.0.2.1]")}}};
    struct bounce bounce = simple;
    bounce.recipients = recipients;
    struct buffer out = format(&bounce);
    assert_true(contains(&out, "  <x@far.example>\r\n"
                               "    far.example does not know this address (5.1.1)\r\n"
                               "    mx.far.example [192.0.2.1] said:\r\n"
                               "      550-5.1.1 <x>\r\n"
                               "      550 5.1.1 not here\r\n"));
    assert_true(contains(&out, "Action: failed\r\nStatus: 5.1.1\r\n"
                               "Remote-MTA: dns; mx.far.example\r\n"
                               "Diagnostic-Code: smtp; 550-5.1.1 <x>\r\n 550 5.1.1 not here\r\n"));
    buffer_clear(&out);
}

static void a_peer_without_a_name_stands_in_brackets(void **state)
{
    (void)state;
    const struct bounce_recipient recipients[] = {
        {.address = SLICE("x@far.example"),
         .text = {SLICE("5.1.1 unknown"), SLICE("550 no"), SLICE("192.0.2.1 [192.0.2.1]")}}};
    struct bounce bounce = simple;
    bounce.recipients = recipients;
    struct buffer out = format(&bounce);
    assert_true(contains(&out, "Remote-MTA: dns; [192.0.2.1]\r\n"));
    buffer_clear(&out);
}

static void a_delay_says_until_when(void **state)
{
    (void)state;
    const struct bounce_recipient recipients[] = {
        {.action = BOUNCE_DELAYED,
         .address = SLICE("x@far.example"),
         .text = {SLICE("4.4.1 no answer"), SLICE(""), SLICE("mx.far.example [192.0.2.1]")},
         .retry_until = 1700432000},
        {.action = BOUNCE_RELAYED, .address = SLICE("y@far.example")}};
    struct bounce bounce = simple;
    bounce.recipients = recipients;
    bounce.recipient_count = 2;
    struct buffer out = format(&bounce);
    assert_true(contains(&out, "Subject: Your message is delayed\r\n"));
    assert_true(
        contains(&out, "tried until\r\nSun, 19 Nov 2023 22:13:20 +0000. It waits for:\r\n"));
    assert_true(contains(&out, "    no answer (4.4.1)\r\n    at mx.far.example [192.0.2.1]\r\n"));
    assert_true(contains(&out, "Action: delayed\r\nStatus: 4.4.1\r\n"));
    assert_true(contains(&out, "Will-Retry-Until: Sun, 19 Nov 2023 22:13:20 +0000\r\n"));
    assert_true(contains(&out, "It was handed on to a server that"));
    assert_true(contains(&out, "Action: relayed\r\nStatus: 2.0.0\r\nFinal-Log-ID"));
    buffer_clear(&out);
}

static void postmaster_is_told_in_other_words(void **state)
{
    (void)state;
    struct bounce bounce = simple;
    bounce.kind = BOUNCE_DOUBLE;
    bounce.to = SLICE("postmaster@demo.test");
    struct buffer out = format(&bounce);
    assert_true(contains(&out, "To: <postmaster@demo.test>\r\n"
                               "Subject: A report could not be delivered\r\n"));
    assert_true(contains(&out, "Nobody else is told. The report of Tue, 14 Nov 2023"));
    buffer_clear(&out);
    struct bounce_recipient held = full[0];
    held.action = BOUNCE_DELAYED;
    bounce.kind = BOUNCE_QUARANTINE;
    bounce.recipients = &held;
    out = format(&bounce);
    assert_true(contains(&out, "Subject: A message is held in quarantine\r\n"));
    assert_true(contains(&out, "is held for:\r\n"));
    buffer_clear(&out);
}

static void header_sections_end_at_the_empty_line(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t octets;
    } cases[] = {
        {"A: b\r\n\r\nbody", 6}, {"A: b\r\n", 6}, {"A: b", 4},
        {"\r\nbody", 0},         {"", 0},         {"A: b\r\n\r\n", 6},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(bounce_header_octets(slice_of_string(cases[i].text)), cases[i].octets);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_failure_word_for_word),
        cmocka_unit_test(both_outcomes_in_one_report),
        cmocka_unit_test(internationalized),
        cmocka_unit_test(texts_cannot_forge_lines),
        cmocka_unit_test(the_reply_of_a_peer_is_quoted),
        cmocka_unit_test(a_peer_without_a_name_stands_in_brackets),
        cmocka_unit_test(a_delay_says_until_when),
        cmocka_unit_test(postmaster_is_told_in_other_words),
        cmocka_unit_test(header_sections_end_at_the_empty_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
