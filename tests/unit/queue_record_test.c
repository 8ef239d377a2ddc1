/* Promises of smtpd/queue/store/record.h: what is written is read, what is damaged is refused. */
#include "tests/unit/test.h"

#include "smtpd/queue/queue_protocol.h"
#include "smtpd/queue/store/record.h"

static const struct filter_cut two_cuts[] = {{0, 5}, {7, 3}};

static const struct stored_message inline_message = {
    .arrival = 1700000000,
    .session = UINT64_MAX,
    .deliver_by = 1700000600,
    .flags = QUEUE_SUBMITTED | QUEUE_RET_HDRS,
    .reverse_path = {(const uint8_t *)"alice@demo.test", 15},
    .envid = {(const uint8_t *)"QQ314159", 8},
    .account = {(const uint8_t *)"alice@demo.test", 15},
    .prefix = {(const uint8_t *)"Received: x\r\n", 13},
    .cut_count = 2,
    .body_octets = 12,
    .body = {(const uint8_t *)"Bcc: x\r\n\r\nhi", 12},
};

static struct buffer format_message(const struct stored_message *message,
                                    const struct filter_cut *cuts)
{
    struct buffer record = BUFFER_WITH_LIMIT(STORED_MESSAGE_MAX);
    stored_message_format(message, cuts, &record);
    assert_false(record.failed);
    return record;
}

static void message_comes_back(void **state)
{
    (void)state;
    struct buffer record = format_message(&inline_message, two_cuts);
    struct stored_message message;
    assert_true(stored_message_parse(buffer_slice(&record), &message, NULL));
    assert_int_equal(message.arrival, inline_message.arrival);
    assert_int_equal(message.deliver_by, inline_message.deliver_by);
    assert_int_equal(message.session, inline_message.session);
    assert_int_equal(message.flags, inline_message.flags);
    assert_slice_equal(message.reverse_path, inline_message.reverse_path);
    assert_slice_equal(message.envid, inline_message.envid);
    assert_slice_equal(message.account, inline_message.account);
    assert_slice_equal(message.prefix, inline_message.prefix);
    assert_slice_equal(message.body, inline_message.body);
    assert_int_equal(message.body_octets, 12);
    assert_int_equal(message.cut_count, 2);
    assert_int_equal(stored_cut(&message, 1).offset, 7);
    assert_int_equal(stored_cut(&message, 1).octets, 3);
    buffer_clear(&record);
}

static void a_spooled_message_has_no_body_here(void **state)
{
    (void)state;
    struct stored_message spooled = inline_message;
    spooled.flags |= QUEUE_IN_SPOOL;
    spooled.body_octets = UINT64_C(1) << 40;
    spooled.body = slice_of(NULL, 0);
    struct buffer record = format_message(&spooled, two_cuts);
    struct stored_message message;
    assert_true(stored_message_parse(buffer_slice(&record), &message, NULL));
    assert_int_equal(message.body_octets, UINT64_C(1) << 40);
    buffer_append_octet(&record, 'x');
    assert_false(stored_message_parse(buffer_slice(&record), &message, NULL));
    buffer_clear(&record);
}

static void every_shortened_message_is_damaged(void **state)
{
    (void)state;
    struct buffer record = format_message(&inline_message, two_cuts);
    struct stored_message message;
    for (size_t length = 0; length < record.len; length++) {
        struct error error = {0};
        assert_false(stored_message_parse(slice_of(record.ptr, length), &message, &error));
        assert_int_equal(error.kind, ERROR_PERMANENT);
    }
    buffer_append_octet(&record, 'x');
    assert_false(stored_message_parse(buffer_slice(&record), &message, NULL));
    record.ptr[0]++;
    assert_false(stored_message_parse(buffer_slice(&record), &message, NULL));
    buffer_clear(&record);
}

static void cuts_ascend_apart_in_the_body(void **state)
{
    (void)state;
    static const struct {
        struct filter_cut cuts[2];
        bool fit;
    } cases[] = {
        {{{0, 1}, {1, 11}}, true},          {{{0, 1}, {1, 12}}, false},
        {{{5, 2}, {6, 1}}, false},          {{{5, 2}, {1, 1}}, false},
        {{{5, 2}, {7, 0}}, false},          {{{0, 12}, {12, 1}}, false},
        {{{0, 1}, {UINT32_MAX, 1}}, false}, {{{0, 1}, {2, UINT32_MAX}}, false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(stored_cuts_fit(cases[i].cuts, 2, 12), cases[i].fit);
        struct buffer record = format_message(&inline_message, cases[i].cuts);
        struct stored_message message;
        assert_int_equal(stored_message_parse(buffer_slice(&record), &message, NULL), cases[i].fit);
        buffer_clear(&record);
    }
}

static const struct stored_recipient full_recipient = {
    .state = STORED_HELD,
    .purpose = STORED_REPORT,
    .warned = true,
    .by_return = true,
    .notify = QUEUE_NOTIFY_SUCCESS | QUEUE_NOTIFY_DELAY,
    .attempts = 7,
    .arrival = 1700000000,
    .due = -1,
    .release = 1700000300,
    .deliver_by = 1700000600,
    .sender = UINT64_MAX,
    .account = {(const uint8_t *)"bob@demo.test", 13},
    .address = {(const uint8_t *)"Bob+list@demo.test", 18},
    .orcpt = {(const uint8_t *)"rfc822;robert@demo.test", 23},
    .reply = {(const uint8_t *)"4.2.2 mailbox full", 18},
};

static void recipient_comes_back(void **state)
{
    (void)state;
    struct buffer record = BUFFER_WITH_LIMIT(STORED_RECIPIENT_MAX);
    stored_recipient_format(&full_recipient, &record);
    assert_false(record.failed);
    assert_true(record.len - full_recipient.address.len <= 200);
    struct stored_recipient recipient;
    assert_true(stored_recipient_parse(buffer_slice(&record), &recipient, NULL));
    assert_int_equal(recipient.state, STORED_HELD);
    assert_int_equal(recipient.notify, full_recipient.notify);
    assert_int_equal(recipient.attempts, 7);
    assert_int_equal(recipient.arrival, full_recipient.arrival);
    assert_int_equal(recipient.due, -1);
    assert_int_equal(recipient.purpose, STORED_REPORT);
    assert_true(recipient.warned && recipient.by_return);
    assert_int_equal(recipient.release, full_recipient.release);
    assert_int_equal(recipient.deliver_by, full_recipient.deliver_by);
    assert_int_equal(recipient.sender, UINT64_MAX);
    assert_int_equal(recipient.destination.len, 0);
    assert_slice_equal(recipient.account, full_recipient.account);
    assert_slice_equal(recipient.address, full_recipient.address);
    assert_slice_equal(recipient.orcpt, full_recipient.orcpt);
    assert_slice_equal(recipient.reply, full_recipient.reply);
    for (size_t length = 0; length < record.len; length++)
        assert_false(stored_recipient_parse(slice_of(record.ptr, length), &recipient, NULL));
    record.ptr[1] = 3; /* no such state */
    assert_false(stored_recipient_parse(buffer_slice(&record), &recipient, NULL));
    buffer_clear(&record);
}

static void a_recipient_is_here_or_elsewhere(void **state)
{
    (void)state;
    struct buffer record = BUFFER_WITH_LIMIT(STORED_RECIPIENT_MAX);
    struct stored_recipient recipient = full_recipient, found;
    recipient.destination = SLICE("example.org");
    stored_recipient_format(&recipient, &record);
    assert_false(stored_recipient_parse(buffer_slice(&record), &found, NULL));
    buffer_reset(&record);
    recipient.account = SLICE("");
    stored_recipient_format(&recipient, &record);
    assert_true(stored_recipient_parse(buffer_slice(&record), &found, NULL));
    assert_slice_is(found.destination, "example.org");
    buffer_clear(&record);
}

/* As the first version wrote them, octet by octet. */
static const uint8_t message_1[] = "\1"
                                   "\0\0\0\x22"
                                   "\0\0\0\0\x65\x53\xf1\0"
                                   "\0\0\0\0\0\0\0\7"
                                   "\0\1a"
                                   "\0\0"
                                   "\0\1b"
                                   "\0\1p"
                                   "\0\0"
                                   "\0\0\0\0\0\0\0\2"
                                   "hi";
static const uint8_t recipient_1[] = "\1"
                                     "\2"
                                     "\0\0\0\10"
                                     "\0\0\0\3"
                                     "\0\0\0\0\x65\x53\xf1\0"
                                     "\0\0\0\0\x65\x53\xf1\1"
                                     "\0\0"
                                     "\0\3a@b"
                                     "\0\0"
                                     "\0\7"
                                     "4.4.0 x";

static void version_1_is_read(void **state)
{
    (void)state;
    struct stored_message message;
    assert_true(stored_message_parse(slice_of(message_1, sizeof(message_1) - 1), &message, NULL));
    assert_int_equal(message.arrival, 1700000000);
    assert_int_equal(message.deliver_by, 0);
    assert_int_equal(message.flags, QUEUE_SUBMITTED | QUEUE_RET_HDRS);
    assert_slice_is(message.body, "hi");

    /* A report that was held since nothing was relayed: it goes out now. */
    uint8_t octets[sizeof(recipient_1) - 1];
    memcpy(octets, recipient_1, sizeof(octets));
    struct stored_recipient recipient;
    assert_true(stored_recipient_parse(slice_of(octets, sizeof(octets)), &recipient, NULL));
    assert_int_equal(recipient.state, STORED_WAITING);
    assert_int_equal(recipient.purpose, STORED_REPORT);
    assert_int_equal(recipient.attempts, 3);
    assert_slice_is(recipient.address, "a@b");
    assert_slice_is(recipient.reply, "4.4.0 x");
    octets[5] = QUEUE_NOTIFY_DELAY;
    assert_true(stored_recipient_parse(slice_of(octets, sizeof(octets)), &recipient, NULL));
    assert_int_equal(recipient.purpose, STORED_MAIL);
    for (size_t length = 0; length < sizeof(octets); length++)
        assert_false(stored_recipient_parse(slice_of(octets, length), &recipient, NULL));
}

static void texts_are_bounded(void **state)
{
    (void)state;
    static uint8_t octets[STORED_TEXT_MAX + 1];
    struct buffer record = BUFFER_WITH_LIMIT(STORED_MESSAGE_MAX);
    struct stored_message message = inline_message;
    message.envid = slice_of(octets, sizeof(octets));
    stored_message_format(&message, two_cuts, &record);
    assert_true(record.failed);
    buffer_reset(&record);
    struct stored_recipient recipient = full_recipient;
    recipient.reply = slice_of(octets, sizeof(octets));
    stored_recipient_format(&recipient, &record);
    assert_false(record.failed);
    assert_true(stored_recipient_parse(buffer_slice(&record), &recipient, NULL));
    assert_int_equal(recipient.reply.len, OUTCOME_TEXT_MAX);
    buffer_clear(&record);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(message_comes_back),
        cmocka_unit_test(a_spooled_message_has_no_body_here),
        cmocka_unit_test(every_shortened_message_is_damaged),
        cmocka_unit_test(cuts_ascend_apart_in_the_body),
        cmocka_unit_test(recipient_comes_back),
        cmocka_unit_test(a_recipient_is_here_or_elsewhere),
        cmocka_unit_test(version_1_is_read),
        cmocka_unit_test(texts_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
