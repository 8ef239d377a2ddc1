/* Records out of name servers' packets: what is taken, what is malformed; names; RDATA of MX. */
#include "tests/unit/test.h"

#include "common/dns/answer.h"
#include "common/dns/dns_client.h"
#include "common/size.h"

/* www.example.org is an alias of host.example.org, which has two addresses. */
static const char alias_answer[] = "\x12\x34\x81\x80\0\x01\0\x03\0\0\0\0"
                                   "\3www\7example\3org\0\0\1\0\1"
                                   "\xc0\x0c\0\5\0\1\0\0\0\x0a\0\7\4host\xc0\x10"
                                   "\xc0\x2d\0\1\0\1\0\0\0\x3c\0\4\xc0\0\2\1"
                                   "\xc0\x2d\0\1\0\1\0\0\0\x3c\0\4\xc0\0\2\2";

static const char mx_answer[] = "\x12\x34\x81\x80\0\x01\0\x01\0\0\0\0"
                                "\7example\3org\0\0\x0f\0\1"
                                "\xc0\x0c\0\x0f\0\1\0\0\0\x3c\0\7\0\x0a\2mx\xc0\x0c";

#define PACKET(octets) slice_of(octets, sizeof(octets) - 1)

static void takes_the_records_behind_an_alias(void **state)
{
    (void)state;
    struct dns_records records;
    struct buffer out = BUFFER_WITH_LIMIT(1000);
    assert_true(dns_answer_parse(PACKET(alias_answer), DNS_A, &records, &out));
    assert_int_equal(records.count, 2);
    assert_int_equal(records.ttl, 10); /* the alias' own */
    assert_string_equal(records.name, "host.example.org");
    assert_slice_equal(buffer_slice(&out), SLICE("\4\0\xc0\0\2\1\4\0\xc0\0\2\2"));
    buffer_clear(&out);
}

static void writes_names_out(void **state)
{
    (void)state;
    struct dns_records records;
    struct mx_record mx;
    struct buffer out = BUFFER_WITH_LIMIT(1000);
    assert_true(dns_answer_parse(PACKET(mx_answer), DNS_MX, &records, &out));
    struct slice rest = buffer_slice(&out), rdata;
    assert_true(dns_result_next(&rest, &rdata));
    assert_true(mx_record_parse(rdata, &mx));
    assert_int_equal(mx.preference, 10);
    assert_string_equal(mx.exchange, "mx.example.org");
    assert_false(dns_result_next(&rest, &rdata));
    buffer_clear(&out);
}

static void refuses_what_ends_early(void **state)
{
    (void)state;
    for (size_t octets = 0; octets < sizeof(mx_answer) - 1; octets++) {
        struct dns_records records;
        struct buffer out = BUFFER_WITH_LIMIT(1000);
        assert_false(dns_answer_parse(slice_of(mx_answer, octets), DNS_MX, &records, &out));
        buffer_clear(&out);
    }
}

static void knows_mx_records(void **state)
{
    (void)state;
    static const struct {
        struct slice rdata;
        const char *exchange; /* NULL: malformed */
    } cases[] = {
        {SLICE("\0\1\2MX\3oRg\0"), "mx.org"},
        {SLICE("\0\0\0"), ""},
        {SLICE("\0\0"), NULL},
        {SLICE("\0\0\2mx"), NULL},
        {SLICE("\0\0\2mx\0x"), NULL},
        {SLICE("\0\0\x41x\0"), NULL},
        {SLICE("\0\0\3m.x\0"), "m.x"}, /* what a dot in a label cannot be told from */
        {SLICE("\0\0\3m x\0"), NULL},
        {SLICE("\0\0\3m\0x\0"), NULL},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct mx_record record;
        bool good = mx_record_parse(cases[i].rdata, &record);
        assert_int_equal(good, cases[i].exchange != NULL);
        if (good)
            assert_string_equal(record.exchange, cases[i].exchange);
    }
}

static void knows_names(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        bool valid;
    } cases[] = {
        {"example.org", true},
        {"_25._tcp.mx-1.example.org", true},
        {"x", true},
        {"", false},
        {".", false},
        {"example.org.", false},
        {".example.org", false},
        {"a..b", false},
        {"a b", false},
        {"\xc3\xa4.example", false},
        {"123456789012345678901234567890123456789012345678901234567890123.org", true},
        {"1234567890123456789012345678901234567890123456789012345678901234.org", false},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++)
        assert_int_equal(dns_name_is_valid(slice_of_string(cases[i].name)), cases[i].valid);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_the_records_behind_an_alias),
        cmocka_unit_test(writes_names_out),
        cmocka_unit_test(refuses_what_ends_early),
        cmocka_unit_test(knows_mx_records),
        cmocka_unit_test(knows_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
