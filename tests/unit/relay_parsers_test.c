/* Promises of the relay's pure parts: replies, capabilities, the envelope, dots, routes. */
#include "tests/unit/test.h"

#include "common/buffer.h"
#include "common/size.h"
#include "smtpd/queue/queue_protocol.h"
#include "smtpd/relay/data_encoder.h"
#include "smtpd/relay/downgrade/transfer_encoder.h"
#include "smtpd/relay/envelope.h"
#include "smtpd/relay/peer_reply.h"
#include "smtpd/relay/routes.h"

/* ---- replies ---- */

struct reply_case {
    const char *input;
    enum parse_result result;
    unsigned code;
    const char *enhanced;
    const char *texts; /* of the lines, '|' between */
};

static const struct reply_case reply_cases[] = {
    /* RFC 5321 4.2 */
    {"250 OK\r\n", PARSE_DONE, 250, "", "OK"},
    {"250\r\n", PARSE_DONE, 250, "", ""},
    {"250 \r\n", PARSE_DONE, 250, "", ""},
    {"250-a\r\n250-b\r\n250 c\r\n", PARSE_DONE, 250, "", "a|b|c"},
    {"250-a\r\n250\r\n", PARSE_DONE, 250, "", "a|"},
    {"550 5.1.1 no\r\n", PARSE_DONE, 550, "5.1.1", "5.1.1 no"}, /* RFC 2034 */
    {"550-5.1.1 no\r\n550 5.1.1 never\r\n", PARSE_DONE, 550, "5.1.1", "5.1.1 no|5.1.1 never"},
    {"550-no\r\n550-5.1.1 not here\r\n550 5.7.1 so\r\n", PARSE_DONE, 550, "5.1.1",
     "no|5.1.1 not here|5.7.1 so"},
    {"550 5.1.1\r\n", PARSE_DONE, 550, "5.1.1", "5.1.1"},
    {"550 4.1.1 other class\r\n", PARSE_DONE, 550, "", "4.1.1 other class"},
    {"550 5.1.1x\r\n", PARSE_DONE, 550, "", "5.1.1x"},
    {"550 5.1\r\n", PARSE_DONE, 550, "", "5.1"},
    {"550 5.1234.1 x\r\n", PARSE_DONE, 550, "", "5.1234.1 x"},
    {"250 lf alone\n", PARSE_DONE, 250, "", "lf alone"},
    {"299 unknown, but a yes\r\n", PARSE_DONE, 299, "", "unknown, but a yes"},
    {"", PARSE_MORE, 0, "", ""},
    {"25", PARSE_MORE, 0, "", ""},
    {"250 OK\r", PARSE_MORE, 0, "", ""},
    {"250-a\r\n250-b\r\n", PARSE_MORE, 0, "", ""},
    {"\r\n", PARSE_BAD, 0, "", ""},
    {"hello\r\n", PARSE_BAD, 0, "", ""},
    {"25\r\n", PARSE_BAD, 0, "", ""},
    {"2500 x\r\n", PARSE_BAD, 0, "", ""},
    {"250\tx\r\n", PARSE_BAD, 0, "", ""},
    {"150 x\r\n", PARSE_BAD, 0, "", ""},
    {"600 x\r\n", PARSE_BAD, 0, "", ""},
    {"+50 x\r\n", PARSE_BAD, 0, "", ""},
    {"250-a\r\n550 b\r\n", PARSE_BAD, 0, "", ""}, /* which is it? */
    {"250-a\r\nb\r\n", PARSE_BAD, 0, "", ""},
};

static void check_reply(const struct reply_case *reply_case, const struct peer_reply *reply)
{
    struct buffer texts = BUFFER_WITH_LIMIT(1000);
    struct slice rest = reply->lines, text;
    for (bool first = true; peer_reply_next_line(&rest, &text); first = false) {
        if (!first)
            buffer_append_octet(&texts, '|');
        buffer_append(&texts, text);
    }
    assert_int_equal(reply->code, reply_case->code);
    assert_slice_is(reply->enhanced, reply_case->enhanced);
    assert_slice_is(buffer_slice(&texts), reply_case->texts);
    buffer_clear(&texts);
}

/* In two parts: the reader remembers whole lines between the calls. */
static void replies_are_read_however_they_are_split(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(reply_cases); i++) {
        struct slice input = slice_of_string(reply_cases[i].input);
        for (size_t first = 0; first <= input.len; first++) {
            struct peer_reply_reader reader = {.octets = 0};
            struct peer_reply reply;
            struct cursor in = cursor_of(slice_range(input, 0, first));
            enum parse_result result = peer_reply_read(&reader, &in, &reply);
            if (first < input.len && result == PARSE_MORE) {
                assert_ptr_equal(in.at, first > 0 ? input.ptr : in.at);
                in = cursor_of(input);
                result = peer_reply_read(&reader, &in, &reply);
            }
            assert_int_equal(result, reply_cases[i].result);
            if (result == PARSE_DONE)
                check_reply(&reply_cases[i], &reply);
        }
    }
}

static void what_follows_a_reply_stays(void **state)
{
    (void)state;
    struct slice input = SLICE("250 a\r\n354 b\r\n");
    struct cursor in = cursor_of(input);
    struct peer_reply_reader reader = {.octets = 0};
    struct peer_reply reply;
    assert_int_equal(peer_reply_read(&reader, &in, &reply), PARSE_DONE);
    assert_slice_is(cursor_rest(&in), "354 b\r\n");
    assert_int_equal(peer_reply_read(&reader, &in, &reply), PARSE_DONE);
    assert_int_equal(reply.code, 354);
    assert_true(cursor_at_end(&in));
}

static void endless_replies_end(void **state)
{
    (void)state;
    struct buffer input = BUFFER_WITH_LIMIT(2 * PEER_REPLY_MAX);
    struct peer_reply_reader reader = {.octets = 0};
    struct peer_reply reply;
    enum parse_result result = PARSE_MORE;
    while (result == PARSE_MORE) {
        buffer_append(&input, SLICE("250-and more\r\n"));
        struct cursor in = cursor_of(buffer_slice(&input));
        result = peer_reply_read(&reader, &in, &reply);
        assert_false(input.failed);
    }
    assert_int_equal(result, PARSE_BAD);
    assert_in_range(input.len, PEER_REPLY_MAX, PEER_REPLY_MAX + 20);
    buffer_reset(&input);
    reader.octets = 0;
    for (result = PARSE_MORE; result == PARSE_MORE;) {
        buffer_append_octet(&input, '2');
        struct cursor in = cursor_of(buffer_slice(&input));
        result = peer_reply_read(&reader, &in, &reply);
    }
    assert_int_equal(input.len, PEER_REPLY_LINE_MAX + 1);
    buffer_clear(&input);
}

/* ---- capabilities ---- */

static struct capabilities offers_of(const char *lines)
{
    struct cursor in = cursor_of(slice_of_string(lines));
    struct peer_reply_reader reader = {.octets = 0};
    struct peer_reply reply;
    struct capabilities offers;
    assert_int_equal(peer_reply_read(&reader, &in, &reply), PARSE_DONE);
    capabilities_read(&reply, &offers);
    return offers;
}

static void capabilities_are_known(void **state)
{
    (void)state;
    struct capabilities offers = offers_of(
        "250-PIPELINING is the name of the host\r\n250-size 1000\r\n250-8BITMIME\r\n"
        "250-AUTH=LOGIN\r\n250-AUTH  PLAIN\tCRAM-MD5\r\n250-LIMITS RCPTMAX=20 X=1 MAILMAX=0\r\n"
        "250-\r\n250-XSIZE 5\r\n250 DSN\r\n");
    assert_int_equal(offers.offered,
                     OFFERS_SIZE | OFFERS_8BITMIME | OFFERS_PLAIN | OFFERS_LOGIN | OFFERS_DSN);
    assert_int_equal(offers.size, 1000);
    assert_int_equal(offers.recipients_max, 20);
    assert_int_equal(offers.messages_max, 0);
    assert_int_equal(offers_of("250 DSN\r\n").offered, 0);
    assert_int_equal(offers_of("250-x\r\n250 DELIVERBY\r\n").offered, OFFERS_DELIVERBY);
    assert_int_equal(offers_of("250-x\r\n250 DELIVERBY 60,X=1\r\n").by_least_s, 60);
    assert_int_equal(offers_of("250-x\r\n250 SIZE -1\r\n").size, 0);
    assert_int_equal(offers_of("250-x\r\n250 SIZE 99999999999999999999999\r\n").size, 0);
}

/* ---- dots ---- */

static void collect(void *owner, struct slice octets)
{
    buffer_append(owner, octets);
}

static void messages_are_encoded_however_they_are_split(void **state)
{
    (void)state;
    static const struct {
        const char *message;
        const char *sent;
    } cases[] = {
        {"", ".\r\n"},
        {"a", "a\r\n.\r\n"},
        {"a\r\n", "a\r\n.\r\n"},
        {".", "..\r\n.\r\n"},
        {".\r\n", "..\r\n.\r\n"},
        {"..\r\n.a\r\n", "...\r\n..a\r\n.\r\n"},
        {"a.\r\nb.c\r\n", "a.\r\nb.c\r\n.\r\n"},
        {"\r\n\r\n", "\r\n\r\n.\r\n"},
        /* smuggling: neither a bare LF nor a bare CR reaches the next server */
        {"a\n.\nb", "a\r\n..\r\nb\r\n.\r\n"},
        {"a\r.\rb", "a\r\n..\r\nb\r\n.\r\n"},
        {"a\n.\r\nb", "a\r\n..\r\nb\r\n.\r\n"},
        {"a\r\n.\nb", "a\r\n..\r\nb\r\n.\r\n"},
        {"a\r\r\nb", "a\r\n\r\nb\r\n.\r\n"},
        {"a\r", "a\r\n.\r\n"},
        {"\n", "\r\n.\r\n"},
        {"\r", "\r\n.\r\n"},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct slice message = slice_of_string(cases[i].message);
        for (size_t a = 0; a <= message.len; a++)
            for (size_t b = a; b <= message.len; b++) {
                struct buffer sent = BUFFER_WITH_LIMIT(1000);
                struct data_encoder encoder;
                data_encoder_init(&encoder, collect, &sent);
                data_encoder_write(&encoder, slice_range(message, 0, a));
                data_encoder_write(&encoder, slice_range(message, a, b));
                data_encoder_write(&encoder, slice_from(message, b));
                data_encoder_end(&encoder);
                assert_slice_is(buffer_slice(&sent), cases[i].sent);
                buffer_clear(&sent);
            }
    }
}

/* ---- the envelope ---- */

static void parameters_are_those_offered(void **state)
{
    (void)state;
    struct outgoing message = {.reverse_path = SLICE("a@b.example"),
                               .envid = SLICE("x=1"),
                               .body_octets = 70,
                               .flags = QUEUE_8BITMIME | QUEUE_RET_FULL};
    struct buffer line = BUFFER_WITH_LIMIT(1000);
    struct capabilities offers = {.offered = 0};
    envelope_append_mail(&message, &offers, NEEDS_8BITMIME, 0, &line);
    assert_slice_is(buffer_slice(&line), "MAIL FROM:<a@b.example>\r\n");
    buffer_reset(&line);
    offers.offered = OFFERS_SIZE | OFFERS_8BITMIME | OFFERS_DSN | OFFERS_SMTPUTF8;
    envelope_append_mail(&message, &offers, NEEDS_8BITMIME | NEEDS_SMTPUTF8, 0, &line);
    assert_slice_is(buffer_slice(&line), "MAIL FROM:<a@b.example> SIZE=70 BODY=8BITMIME SMTPUTF8 "
                                         "RET=FULL ENVID=x+3D1\r\n");
    buffer_reset(&line);
    struct outgoing_recipient recipient = {.address = SLICE("x@y.example"),
                                           .orcpt = SLICE("rfc822;old+me@y.example"),
                                           .notify = QUEUE_NOTIFY_FAILURE | QUEUE_NOTIFY_DELAY};
    envelope_append_rcpt(&recipient, &offers, &line);
    assert_slice_is(buffer_slice(&line), "RCPT TO:<x@y.example> NOTIFY=FAILURE,DELAY "
                                         "ORCPT=rfc822;old+2Bme@y.example\r\n");
    buffer_clear(&line);
}

/* RFC 2852 4 */
static void the_time_that_is_left_is_handed_on(void **state)
{
    (void)state;
    static const struct {
        int64_t deliver_by, now;
        uint32_t flags;
        const char *said;
    } cases[] = {
        {0, 1000, QUEUE_BY_TRACE, ""},
        {1120, 1000, 0, " BY=120;N"},
        {1120, 1000, QUEUE_BY_RETURN | QUEUE_BY_TRACE, " BY=120;RT"},
        {1120, 1180, QUEUE_BY_TRACE, " BY=-60;NT"}, /* late, which the sender knows */
        {INT64_MAX, 0, 0, " BY=999999999;N"},
    };
    const struct capabilities offers = {.offered = OFFERS_DELIVERBY}, none = {.offered = 0};
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        const struct outgoing message = {.deliver_by = cases[i].deliver_by,
                                         .flags = cases[i].flags};
        struct buffer line = BUFFER_WITH_LIMIT(100), expected = BUFFER_WITH_LIMIT(100);
        buffer_append_format(&expected, "MAIL FROM:<>%s\r\nMAIL FROM:<>\r\n", cases[i].said);
        envelope_append_mail(&message, &offers, 0, cases[i].now, &line);
        envelope_append_mail(&message, &none, 0, cases[i].now, &line);
        assert_true(slice_equal(buffer_slice(&line), buffer_slice(&expected)));
        buffer_clear(&line);
        buffer_clear(&expected);
    }
}

/* ---- bodies for servers without 8BITMIME ---- */

static void bodies_are_encoded_however_they_are_split(void **state)
{
    (void)state;
    static const struct {
        enum transfer_encoding encoding;
        struct slice body;
        const char *text;
    } cases[] = {
        {TRANSFER_QUOTED_PRINTABLE, SLICE("a=b\xc3\xbc\r\n"), "a=3Db=C3=BC\r\n"},
        {TRANSFER_QUOTED_PRINTABLE, SLICE("a \r\n\tb\t\r\n"), "a=20\r\n\tb=09\r\n"},
        {TRANSFER_QUOTED_PRINTABLE, SLICE("a  \r\n"), "a =20\r\n"},
        {TRANSFER_QUOTED_PRINTABLE, SLICE("a \rb\r\r\n"), "a =0Db=0D\r\n"},
        {TRANSFER_QUOTED_PRINTABLE, SLICE("a\nb "), "a\r\nb=20"},
        {TRANSFER_QUOTED_PRINTABLE, SLICE("\0\x7f\r"), "=00=7F=0D"},
        {TRANSFER_QUOTED_PRINTABLE,
         SLICE("123456789012345678901234567890123456789012345678901234567890123456789012345678"),
         "123456789012345678901234567890123456789012345678901234567890123456789012345=\r\n678"},
        {TRANSFER_BASE64, SLICE(""), ""},
        {TRANSFER_BASE64, SLICE("a"), "YQ==\r\n"},
        {TRANSFER_BASE64, SLICE("abc"), "YWJj\r\n"},
        {TRANSFER_BASE64, SLICE("123456789012345678901234567890123456789012345678901234567"),
         "MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3\r\n"},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++)
        for (size_t first = 0; first <= cases[i].body.len; first++) {
            struct transfer_encoder encoder = {.encoding = cases[i].encoding};
            struct buffer text = BUFFER_WITH_LIMIT(1000);
            transfer_encode(&encoder, slice_range(cases[i].body, 0, first), &text);
            transfer_encode(&encoder, slice_from(cases[i].body, first), &text);
            transfer_end(&encoder, &text);
            assert_slice_is(buffer_slice(&text), cases[i].text);
            buffer_clear(&text);
        }
}

/* ---- routes ---- */

static void the_first_route_that_fits_is_taken(void **state)
{
    (void)state;
    struct config_route routes[] = {
        {.domain = "a.example", .sender = {.text = "news@s.example"}},
        {.domain = "a.example", .sender = {.text = "s.example"}},
        {.domain = ".b.example"},
        {.domain = "a.example"},
        {.domain = "*", .sender = {.text = "t.example"}},
    };
    const struct config config = {.routes = routes, .route_count = ARRAY_LENGTH(routes)};
    static const struct {
        const char *destination;
        const char *sender;
        int route; /* -1: none */
    } cases[] = {
        {"a.example", "News@S.example", 0},
        {"A.Example", "x@s.example", 1},
        {"a.example", "x@us.example", 3},
        {"a.example", "", 3},
        {"b.example", "", -1},
        {"x.b.example", "", 2},
        {"xb.example", "", -1},
        {"c.example", "x@t.example", 4},
        {"c.example", "t.example", 4},
        {"=a.example", "x@s.example", 1},
        {"=*", "y@t.example", 4},
        {"=nowhere", "y@t.example", -1},
        {"=a.example/s.example", "", 1},
        {"=A.example/News@s.example", "SRS0=x@ours.example", 0},
        {"=*/t.example", "x@s.example", 4},
        {"=*/s.example", "x@t.example", -1},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        const struct config_route *route = routes_find(
            &config, slice_of_string(cases[i].destination), slice_of_string(cases[i].sender));
        assert_int_equal(route ? route - routes : -1, cases[i].route);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replies_are_read_however_they_are_split),
        cmocka_unit_test(what_follows_a_reply_stays),
        cmocka_unit_test(endless_replies_end),
        cmocka_unit_test(capabilities_are_known),
        cmocka_unit_test(messages_are_encoded_however_they_are_split),
        cmocka_unit_test(parameters_are_those_offered),
        cmocka_unit_test(the_time_that_is_left_is_handed_on),
        cmocka_unit_test(bodies_are_encoded_however_they_are_split),
        cmocka_unit_test(the_first_route_that_fits_is_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
