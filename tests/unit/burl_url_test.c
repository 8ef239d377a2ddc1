/* smtpd/session/burl_url.h: what a submission reads of the URL of a BURL (RFC 5092 11). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/size.h"
#include "smtpd/session/burl_url.h"

static const struct {
    struct slice text;
    const char *owner; /* NULL: none */
    const char *host;
    bool has_urlauth;
} cases[] = {
    {SLICE("imap://a@h/INBOX/;uid=1;urlauth=submit+a:internal:1"), "a", "h", true},
    {SLICE("IMAP://a;AUTH=*@h:143/INBOX/;uid=1;URLAUTH=anonymous"), "a", "h", true},
    {SLICE("imap://a%40x.example@h/x;urlauth="), "a@x.example", "h", true},
    {SLICE("imap://j%C3%B6rg@h/x;urlauth="), "j\303\266rg", "h", true},
    {SLICE("imap://a@h/INBOX/;uid=1"), "a", "h", false},
    {SLICE("imap://a@h/;urlaut=x"), "a", "h", false},
    {SLICE("imap://h/INBOX;urlauth="), NULL, NULL, false}, /* nobody's */
    {SLICE("imap://@h/INBOX;urlauth="), NULL, NULL, false},
    {SLICE("imap://;AUTH=*@h/INBOX;urlauth="), NULL, NULL, false},
    {SLICE("imap://a@/INBOX;urlauth="), NULL, NULL, false},
    {SLICE("imap://a@:143/INBOX;urlauth="), NULL, NULL, false},
    {SLICE("imap://a@h;urlauth="), NULL, NULL, false}, /* no path */
    {SLICE("imap:a@h/x;urlauth="), NULL, NULL, false},
    {SLICE("imaps://a@h/x;urlauth="), NULL, NULL, false},
    {SLICE("/INBOX/;uid=1;urlauth="), NULL, NULL, false},
    {SLICE("imap://a%4@h/x;urlauth="), NULL, NULL, false}, /* half an octet */
    {SLICE("imap://a%4g@h/x;urlauth="), NULL, NULL, false},
    {SLICE("imap://a%0a@h/x;urlauth="), NULL, NULL, false}, /* a line of its own */
    {SLICE("imap://a%00@h/x;urlauth="), NULL, NULL, false},
    {SLICE("imap://a%7F@h/x;urlauth="), NULL, NULL, false},
    {SLICE("imap://12345678901@h/x;urlauth="), NULL, NULL, false}, /* longer than may be */
    {SLICE(""), NULL, NULL, false},
};

static void test_urls(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct buffer owner = BUFFER_WITH_LIMIT(11);
        struct burl_url url;
        if (slice_starts_with(cases[i].text, SLICE("imap://12345678901")))
            owner.limit = 10;
        bool parsed = burl_url_parse(cases[i].text, &url, &owner);
        assert_int_equal(parsed, cases[i].owner != NULL);
        if (parsed) {
            assert_true(slice_equal(buffer_slice(&owner), slice_of_string(cases[i].owner)));
            assert_true(slice_equal(url.host, slice_of_string(cases[i].host)));
            assert_int_equal(url.has_urlauth, cases[i].has_urlauth);
        }
        buffer_clear(&owner);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_urls)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
