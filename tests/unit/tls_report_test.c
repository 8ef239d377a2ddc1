/* TLS reports, RFC 8460: the record that asks for one, results of connections, the JSON. */
#include "tests/unit/test.h"

#include "common/size.h"
#include "common/text/https_url.h"
#include "smtpd/tls_report/report_json.h"
#include "smtpd/tls_report/tls_record.h"

/* RDATA of one string, behind its length as in dns_result. */
static void append_record(struct buffer *rdata, const char *text)
{
    struct slice octets = slice_of_string(text);
    uint16_t length = (uint16_t)(octets.len + 1);
    buffer_append(rdata, slice_of(&length, sizeof(length)));
    buffer_append_octet(rdata, (uint8_t)octets.len);
    buffer_append(rdata, octets);
}

static const struct {
    const char *texts[3];
    const char *uris; /* NULL: it asks for nothing */
} records[] = {
    {{"v=TLSRPTv1;rua=mailto:reports@example.com"}, "mailto:reports@example.com"}, /* RFC 8460 3 */
    {{"v=TLSRPTv1; rua=https://reporting.example.com/v1/tlsrpt"},
     "https://reporting.example.com/v1/tlsrpt"},
    {{"v=TLSRPTv1 \t; \trua=mailto:a@b \t,\t mailto:c@d ; "}, "mailto:a@b\nmailto:c@d"},
    {{"v=TLSRPTv1; x=1; rua=mailto:a@b; y=2"}, "mailto:a@b"},
    {{"v=spf1 -all", "v=TLSRPTv1; rua=mailto:a@b", "v=TLSRPTv10; rua=mailto:c@d"}, "mailto:a@b"},
    {{"v=TLSRPTv1; rua=mailto:a@b", "v=TLSRPTv1; rua=mailto:a@b"}, NULL}, /* more than one */
    {{"v=TLSRPTv1"}, NULL},
    {{"v=TLSRPTv1; rua="}, NULL},
    {{"v=TLSRPTv1; rua=mailto:a@b,,mailto:c@d"}, NULL},
    {{"v=TLSRPTv1; rua=mailto:a@b; rua=mailto:c@d"}, NULL},
    {{"v=TLSRPTv1; rua=mailto:a b@c"}, NULL},
    {{"v=tlsrptv1; rua=mailto:a@b"}, NULL},
    {{"rua=mailto:a@b; v=TLSRPTv1"}, NULL},
    {{"x v=TLSRPTv1; rua=mailto:a@b"}, NULL},
};

static void reads_the_record(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(records); i++) {
        struct buffer rdata = BUFFER_WITH_LIMIT(4096),
                      uris = BUFFER_WITH_LIMIT(TLS_RECORD_URIS_MAX);
        for (size_t j = 0; j < 3 && records[i].texts[j]; j++)
            append_record(&rdata, records[i].texts[j]);
        bool found = tls_record_find_uris(buffer_slice(&rdata), &uris);
        assert_int_equal(found, records[i].uris != NULL);
        if (found)
            assert_slice_equal(buffer_slice(&uris), slice_of_string(records[i].uris));
        buffer_clear(&rdata);
        buffer_clear(&uris);
    }
}

static const struct {
    const char *uri, *address; /* NULL: none */
} mailboxes[] = {
    {"mailto:reports@example.com", "reports@example.com"},
    {"MAILTO:a%2Bb@example.com?subject=tls", "a+b@example.com"},
    {"mailto:a%2cb@example.com", NULL}, /* RFC 5321 4.1.2: no atom */
    {"mailto:a@example.com,b@example.com", NULL},
    {"mailto:a%0d%0ab@example.com", NULL},
    {"mailto:a%2", NULL},
    {"mailto:a", NULL},
    {"mailto:", NULL},
    {"https://example.com/x@y.example", NULL},
};

static void reads_addresses(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(mailboxes); i++) {
        struct buffer address = BUFFER_WITH_LIMIT(512);
        bool found = tls_record_mailbox(slice_of_string(mailboxes[i].uri), &address);
        assert_int_equal(found, mailboxes[i].address != NULL);
        if (found)
            assert_slice_equal(buffer_slice(&address), slice_of_string(mailboxes[i].address));
        buffer_clear(&address);
    }
}

static void reads_uris_of_https(void **state)
{
    (void)state;
    static const struct {
        const char *uri, *authority, *path; /* NULL: none that a report can be sent to */
        uint16_t port;
    } cases[] = {
        {"https://reports.example.com/v1/tls?a=b", "reports.example.com", "/v1/tls?a=b", 443},
        {"HTTPS://reports.example.com:8443", "reports.example.com:8443", "/", 8443},
        {"https://reports.example.com:/", NULL, NULL, 0},
        {"https://reports.example.com:65536/", NULL, NULL, 0},
        {"https://reports.example.com?a", NULL, NULL, 0},
        {"https://user@reports.example.com/", NULL, NULL, 0}, /* RFC 9110 4.2.4 */
        {"https://reports.example.com/#a", NULL, NULL, 0},
        {"https://[2001:db8::1]/", NULL, NULL, 0},
        {"https:///v1", NULL, NULL, 0},
        {"http://reports.example.com/", NULL, NULL, 0},
        {"mailto:a@example.com", NULL, NULL, 0},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct https_url post;
        bool found = https_url_parse(slice_of_string(cases[i].uri), &post);
        assert_int_equal(found, cases[i].authority != NULL);
        if (!found)
            continue;
        assert_slice_equal(post.authority, slice_of_string(cases[i].authority));
        assert_slice_equal(post.path, slice_of_string(cases[i].path));
        assert_int_equal(post.port, cases[i].port);
    }
}

static void knows_what_words_mean(void **state)
{
    (void)state;
    static const struct {
        const char *words;
        enum tls_result result;
    } cases[] = {
        {"TLS handshake: the certificate is not to be trusted: certificate has expired",
         TLS_RESULT_CERTIFICATE_EXPIRED},
        {"not to be trusted: hostname mismatch", TLS_RESULT_CERTIFICATE_HOST_MISMATCH},
        {"not to be trusted: self-signed certificate", TLS_RESULT_CERTIFICATE_NOT_TRUSTED},
        {"not to be trusted: unable to get local issuer certificate",
         TLS_RESULT_CERTIFICATE_NOT_TRUSTED},
        {"no matching DANE TLSA records", TLS_RESULT_TLSA_INVALID},
        {"the peer closed the connection", TLS_RESULT_VALIDATION_FAILURE},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++)
        assert_int_equal(tls_result_of_words(slice_of_string(cases[i].words)), cases[i].result);
}

static void a_run_is_read_as_it_was_written(void **state)
{
    (void)state;
    const struct tls_session session = {.type = TLS_POLICY_TLSA,
                                        .result = TLS_RESULT_VALIDATION_FAILURE,
                                        .domain = SLICE("far.example"),
                                        .policy = SLICE("3 1 1 ab\n3 1 1 cd"),
                                        .mx = SLICE("mx.far.example"),
                                        .ip = SLICE("2001:db8::1"),
                                        .reason = SLICE("bad\r\x01\xff")};
    struct tls_session read;
    struct buffer run = BUFFER_WITH_LIMIT(TLS_SESSION_MAX);
    tls_session_append(&session, &run);
    assert_true(tls_session_parse(buffer_slice(&run), &read));
    assert_int_equal(read.type, session.type);
    assert_int_equal(read.result, session.result);
    assert_slice_equal(read.policy, session.policy);
    assert_slice_equal(read.ip, session.ip);
    assert_slice_equal(read.reason, SLICE("bad???"));
    for (size_t i = 0; i < run.len; i++)
        assert_false(tls_session_parse(slice_range(buffer_slice(&run), 0, i), &read));
    buffer_clear(&run);
}

/* Sums of a policy count what has no room among its details. */
static void a_report_is_bounded(void **state)
{
    (void)state;
    struct report_json json;
    struct buffer out = BUFFER_WITH_LIMIT(REPORT_JSON_MAX);
    const struct report_json_head head = {.organization = SLICE("mail.example"),
                                          .contact = SLICE("a@b.example"),
                                          .id = SLICE("1"),
                                          .domain = SLICE("far.example"),
                                          .day = 16892}; /* 2016-04-01 */
    report_json_begin(&json, &head, &out);
    for (unsigned i = 0; i < 5000; i++)
        report_json_row(&json,
                        &(struct tls_session){.type = TLS_POLICY_NONE,
                                              .result = TLS_RESULT_STARTTLS_NOT_SUPPORTED,
                                              .domain = SLICE("far.example"),
                                              .mx = SLICE("\"quoted\".example")},
                        2);
    assert_true(json.left_out > 0);
    report_json_end(&json);
    struct slice text = buffer_slice(&out);
    assert_false(out.failed);
    assert_true(text.len < REPORT_DETAILS_MAX + 4096);
    assert_true(slice_starts_with(
        text, SLICE("{\"organization-name\":\"mail.example\",\"date-range\":{\"start-datetime\":"
                    "\"2016-04-01T00:00:00Z\",\"end-datetime\":\"2016-04-01T23:59:59Z\"},"
                    "\"contact-info\":\"a@b.example\",\"report-id\":\"1\",\"policies\":[{")));
    assert_true(slice_find(text, SLICE("\"total-failure-session-count\":10000}")) < text.len);
    assert_true(slice_find(text, SLICE("\\u0022quoted\\u0022")) < text.len);
    assert_true(slice_ends_with(text, SLICE("]}]}\n")));
    buffer_clear(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_the_record),
        cmocka_unit_test(reads_addresses),
        cmocka_unit_test(reads_uris_of_https),
        cmocka_unit_test(knows_what_words_mean),
        cmocka_unit_test(a_run_is_read_as_it_was_written),
        cmocka_unit_test(a_report_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
