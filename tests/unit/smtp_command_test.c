/* Promises of smtpd/session/command.h and smtpd/session/xtext.h. */
#include "tests/unit/test.h"

#include "common/size.h"
#include "smtpd/session/command.h"
#include "smtpd/session/xtext.h"

#define X10 "xxxxxxxxxx"
#define X100 X10 X10 X10 X10 X10 X10 X10 X10 X10 X10

struct command_case {
    struct slice line;
    enum smtp_verb verb;
    uint16_t code; /* of the refusal; 0: taken */
    const char *enhanced;
};

static const struct command_case command_cases[] = {
    {SLICE("EHLO client.example"), SMTP_EHLO, 0, ""},
    {SLICE("ehlo [192.0.2.1]"), SMTP_EHLO, 0, ""},
    {SLICE("EHLO [IPv6:2001:db8::1]"), SMTP_EHLO, 0, ""},
    {SLICE("EHLO MY_PC"), SMTP_EHLO, 0, ""}, /* Windows */
    {SLICE("HELO localhost"), SMTP_HELO, 0, ""},
    {SLICE("HELO client.example \t"), SMTP_HELO, 0, ""}, /* RFC 5321 4.1.1 */
    {SLICE("EHLO"), SMTP_EHLO, 501, ""},                 /* RFC 2034 4: no enhanced code */
    {SLICE("EHLO "), SMTP_EHLO, 501, ""},
    {SLICE("HELO"), SMTP_HELO, 501, ""},
    {SLICE("EHLO a b"), SMTP_EHLO, 501, ""},
    {SLICE("EHLO [1.2.3]"), SMTP_EHLO, 501, ""},
    {SLICE("EHLO <script>"), SMTP_EHLO, 501, ""},
    {SLICE("EHLO b\303\274cher.example"), SMTP_EHLO, 501, ""},
    {SLICE("EHLO " X100 X100 X100), SMTP_EHLO, 501, ""},
    {SLICE("LHLO client.example"), SMTP_UNKNOWN, 500, "5.5.1"},
    {SLICE("MAIL FROM:<>"), SMTP_MAIL, 0, ""},
    {SLICE("mail from:<a@b.example>"), SMTP_MAIL, 0, ""},
    {SLICE("MAIL FROM: <a@b.example>"), SMTP_MAIL, 0, ""}, /* Outlook */
    {SLICE("MAIL FROM:<a@b> SIZE=1000 BODY=8BITMIME"), SMTP_MAIL, 0, ""},
    {SLICE("MAIL FROM:<a@b> size=0 body=7bit"), SMTP_MAIL, 0, ""},
    {SLICE("MAIL FROM:<a@b> SIZE=99999999999999999999"), SMTP_MAIL, 0, ""},
    {SLICE("MAIL FROM:<a@b> RET=FULL ENVID=QQ314159+2B"), SMTP_MAIL, 0, ""},
    {SLICE("MAIL FROM:<a@b> ret=hdrs"), SMTP_MAIL, 0, ""},
    {SLICE("MAIL FROM:<a@b> AUTH=<>"), SMTP_MAIL, 0, ""},
    {SLICE("MAIL FROM:<a@b> AUTH=e+3Dmc2@example.com"), SMTP_MAIL, 0, ""},
    {SLICE("MAIL FROM:<\303\274@b> SMTPUTF8"), SMTP_MAIL, 0, ""}, /* iOS: no BODY */
    {SLICE("MAIL FROM:<a@b> ENVID=" X100), SMTP_MAIL, 0, ""},
    {SLICE("MAIL FROM:<a@b> REQUIRETLS"), SMTP_MAIL, 0, ""},
    {SLICE("MAIL FROM:<a@b> REQUIRETLS=1"), SMTP_MAIL, 501, "5.5.4"},
    {SLICE("MAIL FROM:<a@b> BY=120;R"), SMTP_MAIL, 0, ""},
    {SLICE("MAIL FROM:<a@b> BY=+999999999;nt"), SMTP_MAIL, 0, ""},
    {SLICE("MAIL FROM:<a@b> BY=-5;N"), SMTP_MAIL, 0, ""}, /* RFC 2852 4: late by now */
    {SLICE("MAIL FROM:<a@b> BY=-5;R"), SMTP_MAIL, 501, "5.5.4"},
    {SLICE("MAIL FROM:<a@b> BY=0;R"), SMTP_MAIL, 501, "5.5.4"},
    {SLICE("MAIL FROM:<a@b> BY=1000000000;N"), SMTP_MAIL, 501, "5.5.4"},
    {SLICE("MAIL FROM:<a@b> BY=1"), SMTP_MAIL, 501, "5.5.4"},
    {SLICE("MAIL FROM:<a@b> BY=1;T"), SMTP_MAIL, 501, "5.5.4"},
    {SLICE("MAIL FROM:<a@b> BY=1;NR"), SMTP_MAIL, 501, "5.5.4"},
    {SLICE("MAIL FROM:<a@b> BY=-;N"), SMTP_MAIL, 501, "5.5.4"},
    {SLICE("MAIL FROM:<a@b> BY"), SMTP_MAIL, 501, "5.5.4"},
    {SLICE("MAIL FROM:<a@b> HOLDFOR=86400"), SMTP_MAIL, 0, ""},
    {SLICE("MAIL FROM:<a@b> HOLDFOR=0"), SMTP_MAIL, 501, "5.5.4"},
    {SLICE("MAIL FROM:<a@b> HOLDFOR=1234567890"), SMTP_MAIL, 501, "5.5.4"},
    {SLICE("MAIL FROM:<a@b> HOLDFOR=1x"), SMTP_MAIL, 501, "5.5.4"},
    {SLICE("MAIL FROM:<a@b> HOLDFOR"), SMTP_MAIL, 501, "5.5.4"},
    {SLICE("MAIL FROM:<a@b> HOLDUNTIL=2030-01-02T03:04:05Z"), SMTP_MAIL, 0, ""},
    {SLICE("MAIL FROM:<a@b> HOLDUNTIL=2030-01-02T03:04:05.25+01:00"), SMTP_MAIL, 0, ""},
    {SLICE("MAIL FROM:<a@b> HOLDUNTIL=2030-13-02T03:04:05Z"), SMTP_MAIL, 501, "5.5.4"},
    {SLICE("MAIL FROM:<a@b> HOLDUNTIL=2030-01-02"), SMTP_MAIL, 501, "5.5.4"},
    {SLICE("MAIL FROM:<a@b> HOLDFOR=9 HOLDUNTIL=2030-01-02T03:04:05Z"), SMTP_MAIL, 501, "5.5.4"},
    {SLICE("MAIL"), SMTP_MAIL, 501, "5.5.4"},
    {SLICE("MAIL FROM"), SMTP_MAIL, 501, "5.5.4"},
    {SLICE("MAIL TO:<a@b>"), SMTP_MAIL, 501, "5.5.4"},
    {SLICE("MAIL FROM:"), SMTP_MAIL, 501, "5.1.7"},
    {SLICE("MAIL FROM:a@b"), SMTP_MAIL, 501, "5.1.7"},
    {SLICE("MAIL FROM:<a>"), SMTP_MAIL, 501, "5.1.7"},
    {SLICE("MAIL FROM:  <a@b>"), SMTP_MAIL, 501, "5.1.7"},
    {SLICE("MAIL FROM:\t<a@b>"), SMTP_MAIL, 501, "5.1.7"},
    {SLICE("MAIL  FROM:<a@b>"), SMTP_MAIL, 501, "5.5.4"},
    {SLICE(" MAIL FROM:<a@b>"), SMTP_UNKNOWN, 500, "5.5.1"},
    {SLICE("MAILFROM:<a@b>"), SMTP_UNKNOWN, 500, "5.5.1"},
    {SLICE("MAIL FROM:<\303\274@b>"), SMTP_MAIL, 553, "5.6.7"}, /* RFC 6531 3.5 */
    {SLICE("MAIL FROM:<a@b>SIZE=1"), SMTP_MAIL, 501, "5.5.4"},
    {SLICE("MAIL FROM:<a@b>  SIZE=1"), SMTP_MAIL, 501, "5.5.4"},
    {SLICE("MAIL FROM:<a@b> SIZE"), SMTP_MAIL, 501, "5.5.4"},
    {SLICE("MAIL FROM:<a@b> SIZE="), SMTP_MAIL, 501, "5.5.4"},
    {SLICE("MAIL FROM:<a@b> SIZE=-1"), SMTP_MAIL, 501, "5.5.4"},
    {SLICE("MAIL FROM:<a@b> SIZE=1x"), SMTP_MAIL, 501, "5.5.4"},
    {SLICE("MAIL FROM:<a@b> SIZE=000000000000000000001"), SMTP_MAIL, 501, "5.5.4"},
    {SLICE("MAIL FROM:<a@b> SIZE=1 SIZE=1"), SMTP_MAIL, 501, "5.5.4"},
    {SLICE("MAIL FROM:<a@b> BODY=BINARY"), SMTP_MAIL, 501, "5.5.4"},
    {SLICE("MAIL FROM:<a@b> BODY=binarymime"), SMTP_MAIL, 0, ""}, /* RFC 3030 3 */
    {SLICE("MAIL FROM:<a@b> BODY"), SMTP_MAIL, 501, "5.5.4"},
    {SLICE("MAIL FROM:<a@b> SMTPUTF8=yes"), SMTP_MAIL, 501, "5.5.4"},
    {SLICE("MAIL FROM:<a@b> RET=ALL"), SMTP_MAIL, 501, "5.5.4"},
    {SLICE("MAIL FROM:<a@b> ENVID="), SMTP_MAIL, 501, "5.5.4"},
    {SLICE("MAIL FROM:<a@b> ENVID=a+0Ab"), SMTP_MAIL, 501, "5.5.4"}, /* a line end */
    {SLICE("MAIL FROM:<a@b> ENVID=a+2b"), SMTP_MAIL, 501, "5.5.4"},
    {SLICE("MAIL FROM:<a@b> ENVID=a+2"), SMTP_MAIL, 501, "5.5.4"},
    {SLICE("MAIL FROM:<a@b> ENVID=x" X100), SMTP_MAIL, 501, "5.5.4"},
    {SLICE("MAIL FROM:<a@b> AUTH"), SMTP_MAIL, 501, "5.5.4"},
    {SLICE("MAIL FROM:<a@b> -X=1"), SMTP_MAIL, 501, "5.5.4"},
    {SLICE("MAIL FROM:<a@b> X=1=2"), SMTP_MAIL, 555, "5.5.4"},
    {SLICE("MAIL FROM:<a@b> NOTIFY=NEVER"), SMTP_MAIL, 555, "5.5.4"},
    {SLICE("RCPT TO:<a@b.example>"), SMTP_RCPT, 0, ""},
    {SLICE("RCPT TO: <a@b.example> "), SMTP_RCPT, 0, ""},
    {SLICE("RCPT TO:<Postmaster>"), SMTP_RCPT, 0, ""},
    {SLICE("RCPT TO:<@x,@y:a@b>"), SMTP_RCPT, 0, ""},
    {SLICE("RCPT TO:<a@b> NOTIFY=NEVER"), SMTP_RCPT, 0, ""},
    {SLICE("RCPT TO:<a@b> NOTIFY=success,FAILURE,delay"), SMTP_RCPT, 0, ""},
    {SLICE("RCPT TO:<a@b> ORCPT=rfc822;Bob@Example.com"), SMTP_RCPT, 0, ""},
    {SLICE("RCPT TO:<a@b> ORCPT=utf-8;j\\x{F6}rg@b NOTIFY=DELAY"), SMTP_RCPT, 0, ""},
    {SLICE("RCPT TO:<a@b> ORCPT=utf-8;j\303\266rg@b"), SMTP_RCPT, 0, ""},
    {SLICE("RCPT"), SMTP_RCPT, 501, "5.5.4"},
    {SLICE("RCPT FROM:<a@b>"), SMTP_RCPT, 501, "5.5.4"},
    {SLICE("RCPT TO:<>"), SMTP_RCPT, 501, "5.1.3"},
    {SLICE("RCPT TO:a@b"), SMTP_RCPT, 501, "5.1.3"},
    {SLICE("RCPT TO:<a b@c>"), SMTP_RCPT, 501, "5.1.3"},
    {SLICE("RCPT TO:<a@b> NOTIFY="), SMTP_RCPT, 501, "5.5.4"},
    {SLICE("RCPT TO:<a@b> NOTIFY=NEVER,DELAY"), SMTP_RCPT, 501, "5.5.4"},
    {SLICE("RCPT TO:<a@b> NOTIFY=DELAY,"), SMTP_RCPT, 501, "5.5.4"},
    {SLICE("RCPT TO:<a@b> NOTIFY=OFTEN"), SMTP_RCPT, 501, "5.5.4"},
    {SLICE("RCPT TO:<a@b> ORCPT=bob@example.com"), SMTP_RCPT, 501, "5.5.4"},
    {SLICE("RCPT TO:<a@b> ORCPT=rfc822;"), SMTP_RCPT, 501, "5.5.4"},
    {SLICE("RCPT TO:<a@b> ORCPT=;x"), SMTP_RCPT, 501, "5.5.4"},
    {SLICE("RCPT TO:<a@b> ORCPT=rfc822;a+0D+0Ab"), SMTP_RCPT, 501, "5.5.4"},
    {SLICE("RCPT TO:<a@b> ORCPT=rfc822;j\303\266rg@b"), SMTP_RCPT, 501, "5.5.4"},
    {SLICE("RCPT TO:<a@b> ORCPT=utf-8;j\303rg@b"), SMTP_RCPT, 501, "5.5.4"},
    {SLICE("RCPT TO:<a@b> SIZE=1"), SMTP_RCPT, 555, "5.5.4"},
    {SLICE("DATA"), SMTP_DATA, 0, ""},
    {SLICE("data  "), SMTP_DATA, 0, ""},
    {SLICE("DATA x"), SMTP_DATA, 501, "5.5.4"},
    {SLICE("BDAT 0"), SMTP_BDAT, 0, ""},
    {SLICE("BDAT 1000 LAST"), SMTP_BDAT, 0, ""},
    {SLICE("bdat 18446744073709551615 last"), SMTP_BDAT, 0, ""},
    {SLICE("BDAT"), SMTP_BDAT, 501, "5.5.4"},
    {SLICE("BURL imap://a@b/c;urlauth=d"), SMTP_BURL, 0, ""}, /* RFC 4468 3.5 */
    {SLICE("burl x last"), SMTP_BURL, 0, ""},
    {SLICE("BURL"), SMTP_BURL, 501, "5.5.4"},
    {SLICE("BURL  LAST"), SMTP_BURL, 501, "5.5.4"},
    {SLICE("BURL x FIRST"), SMTP_BURL, 501, "5.5.4"},
    {SLICE("BURL x LAST LAST"), SMTP_BURL, 501, "5.5.4"},
    {SLICE("BDAT LAST"), SMTP_BDAT, 501, "5.5.4"},
    {SLICE("BDAT -1"), SMTP_BDAT, 501, "5.5.4"},
    {SLICE("BDAT 1 FIRST"), SMTP_BDAT, 501, "5.5.4"},
    {SLICE("BDAT 1LAST"), SMTP_BDAT, 501, "5.5.4"},
    {SLICE("BDAT 1 LASTING"), SMTP_BDAT, 501, "5.5.4"},
    {SLICE("BDAT 18446744073709551616"), SMTP_BDAT, 501, "5.5.4"},
    {SLICE("RSET"), SMTP_RSET, 0, ""},
    {SLICE("RSET x"), SMTP_RSET, 501, "5.5.4"},
    {SLICE("NOOP"), SMTP_NOOP, 0, ""},
    {SLICE("NOOP anything at all"), SMTP_NOOP, 0, ""},
    {SLICE("HELP"), SMTP_HELP, 0, ""},
    {SLICE("HELP MAIL"), SMTP_HELP, 0, ""},
    {SLICE("VRFY alice"), SMTP_VRFY, 0, ""},
    {SLICE("VRFY"), SMTP_VRFY, 501, "5.5.4"},
    {SLICE("EXPN list"), SMTP_EXPN, 0, ""},
    {SLICE("EXPN"), SMTP_EXPN, 501, "5.5.4"},
    {SLICE("QUIT"), SMTP_QUIT, 0, ""},
    {SLICE("QUIT now"), SMTP_QUIT, 501, "5.5.4"},
    {SLICE("STARTTLS"), SMTP_STARTTLS, 0, ""},
    {SLICE("STARTTLS x"), SMTP_STARTTLS, 501, "5.5.4"}, /* RFC 3207 4 */
    {SLICE("AUTH PLAIN"), SMTP_AUTH, 0, ""},
    {SLICE("AUTH plain AHRpbQB0"), SMTP_AUTH, 0, ""},
    {SLICE("AUTH LOGIN ="), SMTP_AUTH, 0, ""},
    {SLICE("AUTH X-Y_Z"), SMTP_AUTH, 0, ""},
    {SLICE("AUTH"), SMTP_AUTH, 501, "5.5.4"},
    {SLICE("AUTH PLAIN AHRpbQB0 x"), SMTP_AUTH, 501, "5.5.4"},
    {SLICE("AUTH PLAIN *"), SMTP_AUTH, 501, "5.5.4"},
    {SLICE("AUTH PLAIN\tx"), SMTP_AUTH, 501, "5.5.4"},
    {SLICE("AUTH A.B"), SMTP_AUTH, 501, "5.5.4"},
    {SLICE("AUTH ABCDEFGHIJKLMNOPQRSTU"), SMTP_AUTH, 501, "5.5.4"},
    {SLICE("TURN"), SMTP_OBSOLETE, 0, ""},
    {SLICE("SEND FROM:<a@b>"), SMTP_OBSOLETE, 0, ""},
    {SLICE(""), SMTP_UNKNOWN, 500, "5.5.1"},
    {SLICE("   "), SMTP_UNKNOWN, 500, "5.5.1"},
    {SLICE("GET / HTTP/1.1"), SMTP_HTTP, 0, ""},
    {SLICE("QUITE"), SMTP_UNKNOWN, 500, "5.5.1"},
    {SLICE("NOOP\tx"), SMTP_UNKNOWN, 500, "5.5.1"},
    {SLICE("NOOP a\rb"), SMTP_UNKNOWN, 500, "5.5.2"}, /* smuggling */
    {SLICE("NOOP a\nMAIL FROM:<a@b>"), SMTP_UNKNOWN, 500, "5.5.2"},
    {SLICE("NOOP\0"), SMTP_UNKNOWN, 500, "5.5.2"},
    {SLICE("QUIT\r"), SMTP_UNKNOWN, 500, "5.5.2"},
};

static void commands_are_exact(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(command_cases); i++) {
        const struct command_case *expected = &command_cases[i];
        struct smtp_command command;
        struct smtp_reply refusal = {.code = 0};
        bool taken = smtp_command_parse(expected->line, &command, &refusal);
        if (taken != (expected->code == 0) || refusal.code != expected->code
            || command.verb != expected->verb)
            fail_msg("%.*s: %d, verb %d, %.*s", SLICE_PRINTF(expected->line), refusal.code,
                     (int)command.verb, SLICE_PRINTF(refusal.text));
        assert_slice_is(refusal.enhanced, expected->enhanced);
        assert_true(taken || refusal.text.len > 0);
    }
}

static struct smtp_command parse(const char *line)
{
    struct smtp_command command;
    struct smtp_reply refusal;
    if (!smtp_command_parse(slice_of_string(line), &command, &refusal))
        fail_msg("%s: %.*s", line, SLICE_PRINTF(refusal.text));
    return command;
}

static void mail_says_what_was_given(void **state)
{
    (void)state;
    struct smtp_mail mail = parse("MAIL FROM:<a@b> SIZE=20000000000000000000 BODY=8BITMIME SMTPUTF8"
                                  " RET=HDRS ENVID=a+2Bb AUTH=<>")
                                .mail;
    assert_slice_is(mail.reverse_path.local_part, "a");
    assert_int_equal(mail.size, UINT64_MAX);
    assert_true(mail.body_8bitmime && mail.utf8);
    assert_int_equal(mail.ret, SMTP_RET_HDRS);
    assert_slice_is(mail.envid, "a+2Bb");
    assert_false(mail.requiretls);
    assert_int_equal(mail.by.mode, SMTP_BY_NONE);
    assert_int_equal(mail.hold.kind, SMTP_HOLD_NONE);
    mail = parse("MAIL FROM:<a@b> REQUIRETLS BY=-120;NT HOLDFOR=86400").mail;
    assert_true(mail.requiretls && mail.by.trace);
    assert_int_equal(mail.by.mode, SMTP_BY_NOTIFY);
    assert_int_equal(mail.by.seconds, -120);
    assert_int_equal(mail.hold.kind, SMTP_HOLD_FOR);
    assert_int_equal(mail.hold.seconds, 86400);
    mail = parse("MAIL FROM:<a@b> BY=60;r HOLDUNTIL=2003-07-01T10:52:37+02:00").mail;
    assert_int_equal(mail.by.mode, SMTP_BY_RETURN);
    assert_int_equal(mail.by.seconds, 60);
    assert_int_equal(mail.hold.kind, SMTP_HOLD_UNTIL);
    assert_int_equal(mail.hold.seconds, 1057049557);
    mail = parse("MAIL FROM:<> SIZE=12 BODY=7BIT").mail;
    assert_true(address_is_null(&mail.reverse_path));
    assert_int_equal(mail.size, 12);
    assert_false(mail.body_8bitmime || mail.utf8);
    assert_int_equal(mail.ret, SMTP_RET_NONE);
    assert_int_equal(mail.envid.len, 0);
}

static void rcpt_says_what_was_given(void **state)
{
    (void)state;
    struct smtp_rcpt rcpt =
        parse("RCPT TO:<a@b> NOTIFY=DELAY,SUCCESS,DELAY ORCPT=rfc822;a+40b").rcpt;
    assert_slice_is(rcpt.forward_path.domain, "b");
    assert_int_equal(rcpt.notify, SMTP_NOTIFY_DELAY | SMTP_NOTIFY_SUCCESS);
    assert_slice_is(rcpt.orcpt, "rfc822;a+40b");
    assert_false(rcpt.utf8);
    assert_true(parse("RCPT TO:<\303\274@b>").rcpt.utf8);
    assert_true(parse("RCPT TO:<a@b> ORCPT=utf-8;\303\274@b").rcpt.utf8);
    assert_int_equal(parse("RCPT TO:<a@b>").rcpt.notify, 0);
}

static void the_others_say_what_was_given(void **state)
{
    (void)state;
    struct smtp_bdat bdat = parse("BDAT 86 LAST").bdat;
    assert_int_equal(bdat.octets, 86);
    assert_true(bdat.last);
    assert_false(parse("BDAT 86").bdat.last);
    struct smtp_auth auth = parse("AUTH PLAIN AHRpbQB0").auth;
    assert_slice_is(auth.mechanism, "PLAIN");
    assert_slice_is(auth.initial, "AHRpbQB0");
    assert_null(parse("AUTH PLAIN").auth.initial.ptr);
    assert_slice_is(parse("EHLO [192.0.2.1] ").argument, "[192.0.2.1]");
    assert_slice_is(parse("VRFY alice smith").argument, "alice smith");
}

static void xtext_goes_into_reports_decoded(void **state)
{
    (void)state;
    static const struct {
        const char *orcpt;
        const char *text;
    } cases[] = {
        {"rfc822;Bob+2B+20+3D@Example.com", "rfc822;Bob+ =@Example.com"},
        {"utf-8;j\\x{F6}rg+2B@b", "utf-8;j\\x{F6}rg+2B@b"},
        {"UTF-8;j\303\266rg@b", "UTF-8;j\303\266rg@b"},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct buffer text = BUFFER_WITH_LIMIT(500);
        smtp_command_append_orcpt(slice_of_string(cases[i].orcpt), &text);
        assert_slice_is(buffer_slice(&text), cases[i].text);
        buffer_clear(&text);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(commands_are_exact),
        cmocka_unit_test(mail_says_what_was_given),
        cmocka_unit_test(rcpt_says_what_was_given),
        cmocka_unit_test(the_others_say_what_was_given),
        cmocka_unit_test(xtext_goes_into_reports_decoded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
