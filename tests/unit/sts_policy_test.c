/* MTA-STS, RFC 8461: the record, the policy, and which hosts it names. */
#include "tests/unit/test.h"

#include "common/size.h"
#include "smtpd/fetch/sts_policy.h"

/* RDATA of one string, behind its length as in dns_result. */
static void append_record(struct buffer *rdata, const char *text)
{
    struct slice octets = slice_of_string(text);
    uint16_t length = (uint16_t)(octets.len + 1);
    buffer_append(rdata, slice_of(&length, sizeof(length)));
    buffer_append_octet(rdata, (uint8_t)octets.len);
    buffer_append(rdata, octets);
}

static void knows_the_record(void **state)
{
    (void)state;
    static const struct {
        const char *texts[3];
        const char *id; /* NULL: no policy */
    } cases[] = {
        {{"v=STSv1; id=20160831085700Z;"}, "20160831085700Z"}, /* RFC 8461 3.1 */
        {{"v=STSv1;id=1"}, "1"},
        {{"v=STSv1 \t; \tid=1 ; "}, "1"},
        {{"v=STSv1; x-y.z_1=a,b; id=2; id=3"}, "2"},
        {{"v=spf1 -all", "v=STSv1; id=1", "v=STSv10; id=4"}, "1"},
        {{"v=STSv1; id=1", "v=STSv1; id=1"}, NULL}, /* more than one */
        {{"v=STSv1; id=1", "v=STSv1;"}, NULL},
        {{"v=STSv1"}, NULL},
        {{"v=STSv1;"}, NULL},
        {{"v=STSv1; id="}, NULL},
        {{"v=STSv1; id=1-2"}, NULL},
        {{"v=STSv1; ID=1"}, NULL},
        {{"V=STSv1; id=1"}, NULL},
        {{" v=STSv1; id=1"}, NULL},
        {{"v=STSv1; id=1 2"}, NULL},
        {{"v=STSv1; id=1;;"}, NULL},
        {{"v=STSv1; id=1; x"}, NULL},
        {{"v=STSv1; id=1; x="}, NULL},
        {{"v=STSv1; id=1; -x=1"}, NULL},
        {{"v=STSv1; id=12345678901234567890123456789012"}, "12345678901234567890123456789012"},
        {{"v=STSv1; id=123456789012345678901234567890123"}, NULL},
        {{NULL}, NULL},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        char id[STS_ID_MAX + 1];
        struct buffer rdata = BUFFER_WITH_LIMIT(4096);
        for (size_t j = 0; j < 3 && cases[i].texts[j]; j++)
            append_record(&rdata, cases[i].texts[j]);
        assert_int_equal(sts_find_id(buffer_slice(&rdata), id), cases[i].id != NULL);
        if (cases[i].id)
            assert_string_equal(id, cases[i].id);
        buffer_clear(&rdata);
    }
}

static void joins_the_strings_of_a_record(void **state)
{
    (void)state;
    char id[STS_ID_MAX + 1];
    assert_true(sts_find_id(SLICE("\x11\0\5v=STS\4v1; \5id=12"), id));
    assert_string_equal(id, "12");
    assert_false(sts_find_id(SLICE("\x11\0\5v=STS\4v1; \6id=12"), id)); /* ends early */
}

static void knows_the_policy(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int mode; /* -1: malformed */
        uint32_t max_age_s;
    } cases[] = {
        {"version: STSv1\nmode: enforce\nmx: mail.example.com\nmx: *.example.net\n"
         "mx: backupmx.example.com\nmax_age: 604800\n",
         STS_MODE_ENFORCE, 604800}, /* RFC 8461 3.2 */
        {"version:STSv1\r\nmode:testing \r\nmx:a\r\nmax_age:0", STS_MODE_TESTING, 0},
        {"mode: none\nversion: STSv1\nmax_age: 86400\n\r\n\n", STS_MODE_NONE, 86400},
        {"version: STSv1\nmode: enforce\nmx: a\nmax_age: 9999999999\n", STS_MODE_ENFORCE,
         STS_MAX_AGE_MOST},
        {"version: STSv1\nmode: enforce\nmode: none\nmx: a\nmax_age: 1\nmax_age: x\n"
         "x-y: \xc3\xa4 b\n",
         STS_MODE_ENFORCE, 1}, /* the first counts; an extension */
        {"", -1, 0},
        {"version: STSv2\nmode: none\nmax_age: 1\n", -1, 0},
        {"version: STSv1\nmode: enforce\nmax_age: 1\n", -1, 0}, /* no mx */
        {"version: STSv1\nmx: a\nmax_age: 1\n", -1, 0},
        {"version: STSv1\nmode: enforce\nmx: a\n", -1, 0},
        {"mode: enforce\nmx: a\nmax_age: 1\n", -1, 0},
        {"version: STSv1\nmode: Enforce\nmx: a\nmax_age: 1\n", -1, 0},
        {"version: STSv1\nmode: enforce\nmx: a\nmax_age: -1\n", -1, 0},
        {"version: STSv1\nmode: enforce\nmx: a\nmax_age: 12345678901\n", -1, 0},
        {"version: STSv1\nmode: enforce\nmx: a\nmax_age: \n", -1, 0},
        {"version: STSv1\n\nmode: enforce\nmx: a\nmax_age: 1\n", -1, 0}, /* an empty line within */
        {"version: STSv1\nmode: enforce\nmx: a..b\nmax_age: 1\n", -1, 0},
        {"version: STSv1\nmode: enforce\nmx: *a\nmax_age: 1\n", -1, 0},
        {"version: STSv1\nmode: enforce\nmx: *.\nmax_age: 1\n", -1, 0},
        {"version: STSv1\nmode: enforce\nmx: a.*.b\nmax_age: 1\n", -1, 0},
        {"version: STSv1\nmode: enforce\nmx a\nmax_age: 1\n", -1, 0},
        {"version: STSv1\rmode: none\rmax_age: 1\r", -1, 0},
        {"version : STSv1\nmode: none\nmax_age: 1\n", -1, 0},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct sts_policy policy;
        bool good = sts_policy_parse(slice_of_string(cases[i].text), &policy);
        assert_int_equal(good ? (int)policy.mode : -1, cases[i].mode);
        if (good)
            assert_int_equal(policy.max_age_s, cases[i].max_age_s);
    }
}

static void knows_the_hosts(void **state)
{
    (void)state;
    static const struct {
        const char *host;
        bool allowed;
    } cases[] = {
        /* RFC 8461 4.1 */
        {"mail.example.com", true},
        {"MAIL.Example.COM", true},
        {"other.example.com", false},
        {"mx1.example.net", true},
        {"a.mx1.example.net", false}, /* one label, no more */
        {"example.net", false},
        {".example.net", false},
        {"mx1.example.net.evil", false},
        {"xexample.net", false},
        {"", false},
    };
    struct sts_policy policy;
    assert_true(sts_policy_parse(SLICE("version: STSv1\nmode: enforce\nmx: mail.example.com\r\n"
                                       "max_age: 1\nmx: *.Example.net"),
                                 &policy));
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++)
        assert_int_equal(sts_policy_allows(&policy, slice_of_string(cases[i].host)),
                         cases[i].allowed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(knows_the_record),
        cmocka_unit_test(joins_the_strings_of_a_record),
        cmocka_unit_test(knows_the_policy),
        cmocka_unit_test(knows_the_hosts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
