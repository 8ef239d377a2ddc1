/* Promises of the smtpd-session role, as conversations. */
#include "tests/unit/smtp_house.h"

static void a_message_is_queued(void **state)
{
    (void)state;
    struct house *house = open_house("smtp", ROLE_SMTP);
    talk(house, "(greeting)\n"
                "C: EHLO client.example\n"
                "S: 250-mail.demo.test\n"
                "S: 250-PIPELINING\n"
                "S: 250-8BITMIME\n"
                "S: 250-SMTPUTF8\n"
                "S: 250-CHUNKING\n"
                "S: 250-BINARYMIME\n"
                "S: 250-DSN\n"
                "S: 250-DELIVERBY\n"
                "S: 250-ENHANCEDSTATUSCODES\n"
                "S: 250-HELP\n"
                "S: 250-SIZE 204800\n"
                "S: 250 LIMITS MAILMAX=4 RCPTMAX=100\n"
                "C: MAIL FROM:<x@away.example> SIZE=100 BODY=8BITMIME RET=HDRS ENVID=a+2Bb\n"
                "S: 250 2.1.0 Ok\n"
                "C: RCPT TO:<alice@demo.test> NOTIFY=DELAY,FAILURE ORCPT=rfc822;A+40b\n"
                "S: 250 2.1.5 Ok\n"
                "C: RCPT TO:<both@demo.test>\n"
                "S: 250 2.1.5 Ok\n"
                "(data)\n"
                "C: From: y@away.example\n"
                "C: \n"
                "C: ..hello\n"
                "C: .\n"
                "S: 250 2.0.0 Ok: queued as 00000000000Z8\n"
                "(quit)\n");
    assert_int_equal(house->committed, 1);
    assert_int_equal(house->submit.id, 1000);
    assert_int_equal(house->submit.recipients, 3);
    assert_int_equal(house->submit.flags, QUEUE_8BITMIME | QUEUE_RET_HDRS);
    assert_int_equal(house->submit.prefix_octets, PREFIX_OCTETS);
    assert_slice_is(buffer_slice(&house->reverse_path), "x@away.example");
    assert_slice_is(buffer_slice(&house->recipients),
                    "alice@demo.test alice@demo.test rfc822;A@b 6;"
                    "alice@demo.test both@demo.test  0;bob@demo.test both@demo.test  0;");
    assert_slice_is(buffer_slice(&house->body), "From: y@away.example\r\n\r\n.hello\r\n");
    assert_slice_is(buffer_slice(&house->question_texts), "client.example127.0.0.100000000000Z8");
    assert_int_equal(house->question.flags, FILTER_ESMTP);
    close_house(house);
}

static void commands_have_their_order(void **state)
{
    (void)state;
    struct house *house = open_house("smtp", ROLE_SMTP);
    talk(house, "(greeting)\n"
                "C: MAIL FROM:<x@y>\n"
                "S: 503 5.5.1 *\n"
                "C: NOOP\n"
                "S: 250 2.0.0 Ok\n"
                "C: EHLO\n"
                "S: 501 Wanted *\n"
                "C: HELO c\n"
                "S: 250 *\n"
                "C: RCPT TO:<alice@demo.test>\n"
                "S: 503 5.5.1 *\n"
                "(mail)\n"
                "C: MAIL FROM:<x@y>\n"
                "S: 503 5.5.1 *\n"
                "C: RSET\n"
                "S: 250 2.0.0 Ok\n"
                "(mail)\n"
                "(quit)\n");
    talk(house, "(hello)\n"
                "(mail)\n"
                "C: DATA\n"
                "S: 554 5.5.1 No valid recipients\n"
                "(rcpt)\n"
                "C: HELO d\n"
                "S: 250 *\n"
                "C: DATA\n"
                "S: 503 5.5.1 *\n"
                "C: VRFY alice\n"
                "S: 252 2.0.0 *\n"
                "C: EXPN alice\n"
                "S: 502 5.5.1 *\n"
                "C: HELP\n"
                "S: 214-2.0.0 *\n"
                "S: 214-2.0.0 *\n"
                "S: 214 2.0.0 *\n"
                "C: AUTH PLAIN\n"
                "S: 502 5.5.1 *\n"
                "C: STARTTLS\n"
                "S: 502 5.5.1 *\n"
                "C: TURN\n"
                "S: 502 5.5.1 *\n"
                "S: 421 4.7.0 *\n"
                "S: (closed)\n");
    talk(house, "(greeting)\n"
                "C: GET / HTTP/1.1\n"
                "S: 421 4.7.0 *\n"
                "S: (closed)\n");
    talk(house, "(greeting)\n"
                "C: NOOP x\\nMAIL FROM:<>\n"
                "S: 500 5.5.2 *\n"
                "(quit)\n");
    talk(house, "(hello)\n"
                "C: MAIL FROM:<x@y> SIZE=204801\n"
                "S: 552 5.3.4 *\n"
                "(quit)\n");
    assert_int_equal(house->committed, 0);
    close_house(house);
}

static void recipients_are_judged(void **state)
{
    (void)state;
    struct house *house = open_house("smtp", ROLE_SMTP);
    talk(house, "(hello)\n"
                "(mail)\n"
                "C: RCPT TO:<nobody@demo.test>\n"
                "S: 550 5.1.1 *\n"
                "C: RCPT TO:<x@away.example>\n"
                "S: 550 5.7.1 *\n"
                "C: RCPT TO:<loop@demo.test>\n"
                "S: 550 5.4.6 *\n"
                "C: RCPT TO:<full@demo.test>\n"
                "S: 452 4.2.2 *\n"
                "C: RCPT TO:<\303\274@demo.test>\n"
                "S: 553 5.6.7 *\n"
                "C: RCPT TO:<Postmaster>\n"
                "S: 550 5.1.1 *\n"
                "C: RCPT TO:<postmaster>\n"
                "S: 250 2.1.5 Ok\n"
                "(quit)\n");
    close_house(house);
}

/* What auth does not answer for may be sent to by an account alone. */
static void an_account_sends_to_other_domains(void **state)
{
    (void)state;
    struct house *house = open_house("submission", ROLE_SUBMISSION);
    talk(house, "(ehlo with auth)\n"
                "C: AUTH PLAIN AGFsaWNlAHNlY3JldA==\n"
                "S: 235 2.7.0 *\n"
                "C: MAIL FROM:<alice@demo.test>\n"
                "S: 250 2.1.0 Ok\n"
                "C: RCPT TO:<x@away.example> NOTIFY=NEVER ORCPT=rfc822;x+2By@z.example\n"
                "S: 250 2.1.5 Ok\n"
                "C: RCPT TO:<away@demo.test>\n"
                "S: 250 2.1.5 Ok\n"
                "(data)\n"
                "C: .\n"
                "(queued)\n"
                "(quit)\n");
    assert_slice_is(buffer_slice(&house->recipients), " x@away.example rfc822;x+y@z.example 8;"
                                                      "bob@demo.test away@demo.test  0;"
                                                      " x@away.example rfc822;away@demo.test 0;");
    assert_int_equal(house->asked.client.family, IP_NONE);
    close_house(house);
}

/* The permits of auth go on to queue, and auth knows who asks. */
static void on_port_25_auth_permits_other_domains(void **state)
{
    (void)state;
    struct house *house = open_house("smtp", ROLE_SMTP);
    talk(house, "S: 220 *\n"
                "C: EHLO c\n"
                "S: 250-mail.demo.test\n"
                "S: 250-*\nS: 250-*\nS: 250-*\nS: 250-*\nS: 250-*\nS: 250-*\nS: 250-*\nS: 250-*\n"
                "S: 250-*\nS: 250-*\n"
                "S: 250 LIMITS *\n"
                "(mail)\n"
                "C: RCPT TO:<away@demo.test> ORCPT=rfc822;first@b.example\n"
                "S: 250 2.1.5 Ok\n"
                "C: RCPT TO:<y@away.example>\n"
                "S: 250 2.1.5 Ok\n"
                "(data)\n"
                "C: .\n"
                "(queued)\n"
                "(quit)\n");
    assert_slice_is(buffer_slice(&house->recipients),
                    "bob@demo.test away@demo.test rfc822;first@b.example 0;"
                    " x@away.example rfc822;first@b.example 0;"
                    " y@away.example  0;");
    assert_int_equal(house->submit.recipients, 3);
    assert_int_equal(house->permit.session, house->submit.session);
    assert_int_equal(house->asked.session, house->submit.session);
    assert_int_equal(house->asked.client.family, IP_V4);
    close_house(house);
}

static void what_the_sender_asks_for_goes_on(void **state)
{
    (void)state;
    struct house *house = open_house("submission", ROLE_SUBMISSION);
    int64_t before = time(NULL);
    talk(house, "(ehlo with auth)\n"
                "C: AUTH PLAIN AGFsaWNlAHNlY3JldA==\n"
                "S: 235 2.7.0 *\n"
                "C: MAIL FROM:<alice@demo.test> REQUIRETLS\n"
                "S: 555 5.5.4 REQUIRETLS needs TLS*\n"
                "C: MAIL FROM:<alice@demo.test> HOLDFOR=2592001\n"
                "S: 501 5.5.4 That time has passed*\n"
                "C: MAIL FROM:<alice@demo.test> HOLDUNTIL=2003-07-01T08:52:37Z\n"
                "S: 501 5.5.4 That time has passed*\n"
                "C: MAIL FROM:<alice@demo.test> BY=7200;RT HOLDFOR=3600\n"
                "S: 250 2.1.0 Ok\n"
                "(rcpt)\n"
                "(data)\n"
                "C: TLS-Required: No\n"
                "C: .\n"
                "(queued)\n"
                "C: MAIL FROM:<alice@demo.test> BY=-60;N\n"
                "S: 250 2.1.0 Ok\n"
                "C: RSET\n"
                "S: 250 *\n"
                "(quit)\n");
    int64_t took = time(NULL) - before;
    assert_int_equal(house->submit.flags,
                     QUEUE_SUBMITTED | QUEUE_BY_RETURN | QUEUE_BY_TRACE | QUEUE_TLS_OPTIONAL);
    assert_in_range(house->submit.deliver_by, before + 7200, before + 7200 + took);
    assert_in_range(house->submit.hold_until, before + 3600, before + 3600 + took);
    close_house(house);
}

static void nothing_waits_on_port_25(void **state)
{
    (void)state;
    struct house *house = open_house("smtp", ROLE_SMTP);
    talk(house, "(hello)\n"
                "C: MAIL FROM:<x@away.example> HOLDFOR=60\n"
                "S: 555 5.5.4 *\n"
                "C: MAIL FROM:<x@away.example> BY=60;N\n"
                "S: 250 2.1.0 Ok\n"
                "(rcpt)\n"
                "(data)\n"
                "C: .\n"
                "(queued)\n"
                "(quit)\n");
    assert_int_equal(house->submit.flags, 0);
    assert_true(house->submit.deliver_by > 0);
    assert_int_equal(house->submit.hold_until, 0);
    close_house(house);
}

static void too_many_recipients_and_messages_are_said(void **state)
{
    (void)state;
    struct house *house = open_house("smtp", ROLE_SMTP);
    struct buffer got = BUFFER_WITH_LIMIT(100000);
    int fd = connect_client(house);
    client_send(house, fd, SLICE("HELO c\r\nMAIL FROM:<>\r\n"));
    for (int i = 0; i < 101; i++)
        client_send(house, fd, SLICE("RCPT TO:<bob@demo.test>\r\n"));
    for (int i = 0; i < 103; i++)
        expect(house, fd, &got, "2*");
    expect(house, fd, &got, "452 4.5.3 *");
    fd_discard(&fd);
    buffer_clear(&got);
    talk(house, "(hello)\n"
                "(mail)\n"
                "(rcpt)\n"
                "(data)\n"
                "C: .\n"
                "(queued)\n"
                "(mail)\n"
                "(rcpt)\n"
                "(data)\n"
                "C: .\n"
                "(queued)\n"
                "(mail)\n"
                "(rcpt)\n"
                "(data)\n"
                "C: .\n"
                "(queued)\n"
                "(mail)\n"
                "(rcpt)\n"
                "(data)\n"
                "C: .\n"
                "(queued)\n"
                "C: MAIL FROM:<x@y>\n"
                "S: 421 4.7.0 *\n"
                "S: \n");
    assert_int_equal(house->committed, 4);
    close_house(house);
}

static void pipelined_commands_are_answered_in_order(void **state)
{
    (void)state;
    struct house *house = open_house("smtp", ROLE_SMTP);
    talk(house, "C: EHLO c\\r\\nMAIL FROM:<x@y>\\r\\nRCPT TO:<nobody@demo.test>\\r\\nRCPT "
                "TO:<bob@demo.test>\\r\\nDATA\\r\\nhello\\r\\n.\\r\\nQUIT\n"
                "(greeting)\n"
                "S: 250-*\nS: 250-*\n"
                "S: 250-*\n"
                "S: 250-*\n"
                "S: 250-*\n"
                "S: 250-*\n"
                "S: 250-*\n"
                "S: 250-*\n"
                "S: 250-*\n"
                "S: 250-*\n"
                "S: 250-*\n"
                "S: 250 *\n"
                "S: 250 2.1.0 Ok\n"
                "S: 550 5.1.1 *\n"
                "S: 250 2.1.5 Ok\n"
                "S: 354 *\n"
                "(queued)\n"
                "S: 221 *\n"
                "S: (closed)\n");
    assert_int_equal(house->committed, 1);
    /* A message behind a DATA that is refused must not become commands. */
    talk(house, "(hello)\n"
                "(mail)\n"
                "C: RCPT TO:<nobody@demo.test>\\r\\nDATA\\r\\nMAIL FROM:<evil@x>\\r\\nRCPT "
                "TO:<bob@demo.test>\n"
                "S: 550 *\n"
                "S: 554 5.5.1 *\n"
                "S: 421 4.7.0 *\n"
                "S: (closed)\n");
    close_house(house);
}

static void bad_octets_are_refused_at_the_end(void **state)
{
    (void)state;
    static const struct {
        struct slice text;
        const char *reply;
    } cases[] = {
        {SLICE("hello\n.\nMAIL FROM:<x@evil.example>\r\n.\r\n"), "550 5.6.11 *"},
        {SLICE("hello\r\n.\nQUIT\r\n.\r\n"), "550 5.6.11 *"},
        {SLICE("hello\r.\r\n\r\n.\r\n"), "550 5.6.11 *"},
        {SLICE("hel\0lo\r\n.\r\n"), "550 5.6.11 *"},
    };
    struct house *house = open_house("smtp", ROLE_SMTP);
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct buffer got = BUFFER_WITH_LIMIT(10000);
        int fd = connect_client(house);
        client_send(house, fd,
                    SLICE("HELO c\r\nMAIL FROM:<>\r\nRCPT TO:<bob@demo.test>\r\nDATA\r\n"));
        for (int j = 0; j < 5; j++)
            expect(house, fd, &got, j < 4 ? "2*" : "354 *");
        client_send(house, fd, cases[i].text);
        expect(house, fd, &got, cases[i].reply);
        client_send(house, fd, SLICE("NOOP\r\n"));
        expect(house, fd, &got, "250 2.0.0 Ok");
        fd_discard(&fd);
        buffer_clear(&got);
    }
    assert_int_equal(house->committed, 0);
    close_house(house);
}

/* Sends a message of so many lines of 100 octets. */
static void send_lines(struct house *house, int fd, size_t lines)
{
    struct buffer text = BUFFER_WITH_LIMIT(1 << 20);
    for (size_t i = 0; i < lines; i++)
        buffer_append_format(&text, "%098zu\r\n", i);
    client_send(house, fd, buffer_slice(&text));
    buffer_clear(&text);
}

static void begin_data(struct house *house, int fd, struct buffer *got)
{
    client_send(house, fd, SLICE("HELO c\r\nMAIL FROM:<>\r\nRCPT TO:<bob@demo.test>\r\nDATA\r\n"));
    for (int i = 0; i < 5; i++)
        expect(house, fd, got, i < 4 ? "2*" : "354 *");
}

static void a_large_message_goes_through_a_file(void **state)
{
    (void)state;
    static const struct {
        size_t lines;
        bool no_spool;
        const char *reply;
        unsigned spooled;
    } cases[] = {
        {655, false, "250 *", 0},        {656, false, "250 *", 1},
        {2000, false, "250 *", 1},       {2049, false, "552 5.3.4 *", 1},
        {5000, false, "552 5.3.4 *", 1}, {1000, true, "452 4.3.1 full", 0},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct house *house = open_house("smtp", ROLE_SMTP);
        house->no_spool = cases[i].no_spool;
        struct buffer got = BUFFER_WITH_LIMIT(10000);
        int fd = connect_client(house);
        begin_data(house, fd, &got);
        send_lines(house, fd, cases[i].lines);
        client_send(house, fd, SLICE(".\r\n"));
        expect(house, fd, &got, cases[i].reply);
        assert_int_equal(house->spooled, cases[i].spooled);
        if (house->committed > 0) {
            assert_int_equal(house->body.len, cases[i].lines * 100);
            assert_int_equal((house->submit.flags & QUEUE_IN_SPOOL) != 0, cases[i].spooled);
        }
        fd_discard(&fd);
        buffer_clear(&got);
        close_house(house);
    }
}

static void a_client_that_leaves_gives_its_file_back(void **state)
{
    (void)state;
    struct house *house = open_house("smtp", ROLE_SMTP);
    struct buffer got = BUFFER_WITH_LIMIT(10000);
    int fd = connect_client(house);
    begin_data(house, fd, &got);
    send_lines(house, fd, 1000);
    fd_discard(&fd);
    for (int i = 0; i < 20; i++)
        turn_once(house);
    assert_int_equal(house->spooled, 1);
    assert_int_equal(house->forgotten, 1);
    buffer_clear(&got);
    close_house(house);
}

static void chunks_are_taken(void **state)
{
    (void)state;
    struct house *house = open_house("smtp", ROLE_SMTP);
    talk(house, "(hello)\n"
                "(mail)\n"
                "(rcpt)\n"
                "C: BDAT 7\\r\\nhello\n"
                "S: 250 2.0.0 Go on\n"
                "C: DATA\n"
                "S: 503 5.5.1 *\n"
                "C: BDAT 5 LAST\\r\\n.\\r\\n\n"
                "(queued)\n"
                "C: NOOP\n"
                "S: 250 *\n"
                "(quit)\n");
    assert_slice_is(buffer_slice(&house->body), "hello\r\n.\r\n\r\n");
    talk(house, "(hello)\n"
                "(mail)\n"
                "(rcpt)\n"
                "C: BDAT 5\\r\\nhello\n"
                "S: 250 2.0.0 Go on\n"
                "S: 500 5.5.1 *\n"
                "C: BDAT 0 LAST\n"
                "(queued)\n"
                "(quit)\n");
    assert_slice_is(buffer_slice(&house->body), "hello\r\n"); /* the last line was completed */
    talk(house, "(hello)\n"
                "(mail)\n"
                "(rcpt)\n"
                "C: BDAT 7\\r\\nhe\\nll\n"
                "S: 550 5.6.11 *\n"
                "C: BDAT 3 LAST\\r\\nx\n"
                "S: 503 5.5.1 *\n"
                "C: NOOP\n"
                "S: 250 *\n"
                "(quit)\n");
    talk(house, "(hello)\n"
                "C: BDAT 17 LAST\\r\\nMAIL FROM:<x@y>\n"
                "S: 503 5.5.1 *\n"
                "C: NOOP\n"
                "S: 250 *\n"
                "(quit)\n");
    talk(house, "(hello)\n"
                "(mail)\n"
                "(rcpt)\n"
                "C: BDAT x\n"
                "S: 501 5.5.4 *\n"
                "S: (closed)\n");
    assert_int_equal(house->committed, 2);
    close_house(house);
}

static void filter_and_queue_may_refuse(void **state)
{
    (void)state;
    struct house *house = open_house("smtp", ROLE_SMTP);
    house->filter_refuses = true;
    talk(house, "(hello)\n"
                "(mail)\n"
                "(rcpt)\n"
                "(data)\n"
                "C: .\n"
                "S: 550 5.6.0 Two From fields\n"
                "(mail)\n"
                "(quit)\n");
    house->filter_refuses = false;
    house->queue_refuses = true;
    talk(house, "(hello)\n"
                "(mail)\n"
                "(rcpt)\n"
                "(data)\n"
                "C: .\n"
                "S: 451 4.3.1 full\n"
                "(mail)\n"
                "(quit)\n");
    close_house(house);
}

/* What a client hears when a process dies, and that the next one serves it. */
static void dead_peers_are_temporary_errors(void **state)
{
    (void)state;
    struct house *house = open_house("smtp", ROLE_SMTP);
    struct buffer got = BUFFER_WITH_LIMIT(10000);
    int fd = connect_client(house);
    client_send(house, fd, SLICE("HELO c\r\nMAIL FROM:<>\r\n"));
    for (int i = 0; i < 3; i++)
        expect(house, fd, &got, "2*");
    ipc_close(&house->others[0]);
    client_send(house, fd, SLICE("RCPT TO:<bob@demo.test>\r\n"));
    expect(house, fd, &got, "451 4.3.0 *");
    connect_peer(house, 0);
    house->filter_is_silent = true;
    client_send(house, fd, SLICE("RCPT TO:<bob@demo.test>\r\nDATA\r\n.\r\nNOOP\r\n"));
    expect(house, fd, &got, "250 2.1.5 Ok");
    expect(house, fd, &got, "354 *");
    ipc_close(&house->others[1]);
    expect(house, fd, &got, "451 4.3.0 *");
    expect(house, fd, &got, "250 2.0.0 Ok");
    connect_peer(house, 1);
    house->filter_is_silent = false;
    ipc_close(&house->others[2]);
    turn_once(house);
    /* MAIL waits for the next queue, but not for ever. */
    client_send(house, fd, SLICE("MAIL FROM:<>\r\n"));
    turn_once(house);
    connect_peer(house, 2);
    expect(house, fd, &got, "250 *");
    ipc_close(&house->others[2]);
    turn_once(house);
    client_send(house, fd, SLICE("RSET\r\nMAIL FROM:<>\r\n"));
    expect(house, fd, &got, "250 *");
    expect(house, fd, &got, "451 4.3.0 The server is not ready*");
    connect_peer(house, 2);
    turn_once(house);
    /* A transaction goes on with the next queue, under an id of that one. */
    client_send(house, fd, SLICE("MAIL FROM:<>\r\nRCPT TO:<bob@demo.test>\r\n"));
    expect(house, fd, &got, "250 *");
    expect(house, fd, &got, "250 *");
    ipc_close(&house->others[2]);
    turn_once(house);
    connect_peer(house, 2);
    turn_once(house);
    client_send(house, fd, SLICE("DATA\r\n.\r\n"));
    expect(house, fd, &got, "354 *");
    expect(house, fd, &got, "250 2.0.0 Ok: queued as 00000000000Z8");
    /* Nobody knows whether a queue that dies with the message wrote it down. */
    house->queue_is_silent = true;
    client_send(house, fd, SLICE("MAIL FROM:<>\r\nRCPT TO:<bob@demo.test>\r\nDATA\r\n.\r\n"));
    for (int i = 0; i < 3; i++)
        expect(house, fd, &got, i < 2 ? "250 *" : "354 *");
    for (int i = 0; i < 10; i++)
        turn_once(house);
    ipc_close(&house->others[2]);
    expect(house, fd, &got, "(closed)");
    fd_discard(&fd);
    buffer_clear(&got);
    close_house(house);
}

static void a_queue_that_dies_takes_its_file_along(void **state)
{
    (void)state;
    struct house *house = open_house("smtp", ROLE_SMTP);
    struct buffer got = BUFFER_WITH_LIMIT(10000);
    int fd = connect_client(house);
    begin_data(house, fd, &got);
    send_lines(house, fd, 1000);
    for (int i = 0; i < 10; i++)
        turn_once(house);
    ipc_close(&house->others[2]);
    turn_once(house);
    connect_peer(house, 2);
    client_send(house, fd, SLICE(".\r\n"));
    expect(house, fd, &got, "451 4.3.0 *");
    client_send(house, fd, SLICE("MAIL FROM:<>\r\n"));
    expect(house, fd, &got, "250 2.1.0 Ok");
    fd_discard(&fd);
    buffer_clear(&got);
    close_house(house);
}

static void submission_wants_a_password(void **state)
{
    (void)state;
    struct house *house = open_house("submission", ROLE_SUBMISSION);
    talk(house, "(ehlo with auth)\n"
                "C: MAIL FROM:<alice@demo.test>\n"
                "S: 530 5.7.0 *\n"
                "C: AUTH CRAM-MD5\n"
                "S: 504 5.5.4 *\n"
                "C: AUTH PLAIN\n"
                "S: 334 \n"
                "C: *\n"
                "S: 501 5.7.0 *\n"
                "C: AUTH PLAIN AGFsaWNlAHdyb25n\n"
                "S: 535 5.7.8 *\n"
                "C: AUTH PLAIN !\n"
                "S: 501 5.5.4 *\n"
                "C: AUTH PLAIN AGFsaWNlAHNlY3JldA==\n"
                "S: 235 2.7.0 *\n"
                "C: AUTH PLAIN\n"
                "S: 503 5.5.1 *\n"
                "(quit)\n");
    talk(house, "(ehlo with auth)\n"
                "C: AUTH LOGIN\n"
                "S: 334 VXNlcm5hbWU6\n"
                "C: YWxpY2U=\n"
                "S: 334 UGFzc3dvcmQ6\n"
                "C: c2VjcmV0\n"
                "S: 235 2.7.0 *\n"
                "C: MAIL FROM:<bob@demo.test>\n"
                "S: 553 5.7.1 *\n"
                "C: MAIL FROM:<alice@demo.test>\n"
                "S: 250 2.1.0 Ok\n"
                "(rcpt)\n"
                "(data)\n"
                "C: From: alice@demo.test\n"
                "C: .\n"
                "(queued)\n"
                "C: MAIL FROM:<>\n"
                "S: 250 2.1.0 Ok\n"
                "(rcpt)\n"
                "(data)\n"
                "C: From: bob@demo.test\n"
                "C: .\n"
                "S: 553 5.7.1 From or Sender is not one of your addresses: bob@demo.test\n"
                "(quit)\n");
    assert_int_equal(house->committed, 1);
    assert_int_equal(house->submit.token.session, 77);
    assert_true((house->submit.flags & QUEUE_SUBMITTED) != 0);
    assert_int_equal(house->submit.account_octets, 15);
    close_house(house);
}

static void stopping_ends_sessions_between_transactions(void **state)
{
    (void)state;
    struct house *house = open_house("smtp", ROLE_SMTP);
    struct buffer idle = BUFFER_WITH_LIMIT(10000);
    struct buffer busy = BUFFER_WITH_LIMIT(10000);
    int idle_fd = connect_client(house);
    int busy_fd = connect_client(house);
    expect(house, idle_fd, &idle, "220 *");
    begin_data(house, busy_fd, &busy);
    house->role.stopping = true;
    smtp_session_role.stop(&house->role);
    expect(house, idle_fd, &idle, "421 4.3.2 *");
    expect(house, idle_fd, &idle, "(closed)");
    client_send(house, busy_fd, SLICE(".\r\n"));
    expect(house, busy_fd, &busy, "250 2.0.0 Ok: queued as *");
    expect(house, busy_fd, &busy, "421 4.3.2 *");
    expect(house, busy_fd, &busy, "(closed)");
    fd_discard(&idle_fd);
    fd_discard(&busy_fd);
    buffer_clear(&idle);
    buffer_clear(&busy);
    close_house(house);
}

static void a_long_line_is_dropped(void **state)
{
    (void)state;
    struct house *house = open_house("smtp", ROLE_SMTP);
    struct buffer got = BUFFER_WITH_LIMIT(10000);
    int fd = connect_client(house);
    expect(house, fd, &got, "220 *");
    struct buffer line = BUFFER_WITH_LIMIT(1 << 20);
    for (int i = 0; i < 300000; i++)
        buffer_append_octet(&line, 'x');
    buffer_append(&line, SLICE("\r\nNOOP\r\n"));
    client_send(house, fd, buffer_slice(&line));
    expect(house, fd, &got, "500 5.5.2 Line too long (limits.command-line)");
    expect(house, fd, &got, "250 2.0.0 Ok");
    fd_discard(&fd);
    buffer_clear(&line);
    buffer_clear(&got);
    close_house(house);
}

/* A house for each: on a busy machine one wait would end before another. */
static void every_wait_has_an_end(void **state)
{
    (void)state;
    static const struct {
        const char *setting;
        const char *script;
    } cases[] = {
        {"} timeouts { smtp-command = 200ms", "(greeting)\n"
                                              "S: 421 4.4.2 No command came in time "
                                              "(timeouts.smtp-command)\n"
                                              "S: (closed)\n"},
        {"} timeouts { smtp-data = 300ms", "(hello)\n"
                                           "(mail)\n"
                                           "(rcpt)\n"
                                           "(data)\n"
                                           "C: hello\n"
                                           "S: 421 4.4.2 The message stopped coming "
                                           "(timeouts.smtp-data)\n"
                                           "S: (closed)\n"},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct house *house = open_house_with("smtp", ROLE_SMTP, cases[i].setting);
        talk(house, cases[i].script);
        close_house(house);
    }
}

static void an_octet_now_and_then_is_not_enough(void **state)
{
    (void)state;
    struct house *house = open_house_with("smtp", ROLE_SMTP, "} timeouts { smtp-message = 500ms");
    struct buffer got = BUFFER_WITH_LIMIT(10000);
    int fd = connect_client(house);
    begin_data(house, fd, &got);
    double start = now();
    while (now() - start < 5.0 && got.len == 0 && client_read(fd, &got)) {
        double until = now() + 0.05;
        client_send(house, fd, SLICE("x"));
        while (now() < until)
            turn_once(house);
    }
    expect(house, fd, &got, "421 4.4.2 The message took too long (timeouts.smtp-message)");
    fd_discard(&fd);
    buffer_clear(&got);
    close_house(house);
}

static void a_network_has_its_share(void **state)
{
    (void)state;
    struct house *house = open_house_with(
        "smtp", ROLE_SMTP, "unauthenticated-connections = 20 unauthenticated-per-network = 2");
    struct buffer got = BUFFER_WITH_LIMIT(10000);
    int fds[3];
    for (size_t i = 0; i < 3; i++) {
        fds[i] = connect_client(house);
        expect(house, fds[i], &got,
               i < 2
                   ? "220 *"
                   : "421 mail.demo.test Too many connections (limits.unauthenticated-per-network)"
                     "; try again later");
    }
    expect(house, fds[2], &got, "(closed)");
    /* Who has sent a message has shown who it is. */
    client_send(house, fds[0],
                SLICE("HELO c\r\nMAIL FROM:<>\r\nRCPT TO:<bob@demo.test>\r\nDATA\r\n.\r\n"));
    for (int i = 0; i < 5; i++)
        expect(house, fds[0], &got, i == 3 ? "354 *" : "250 *");
    fd_discard(&fds[2]);
    fds[2] = connect_client(house);
    expect(house, fds[2], &got, "220 *");
    for (size_t i = 0; i < 3; i++)
        fd_discard(&fds[i]);
    buffer_clear(&got);
    close_house(house);
}

/* Answers that say more than they hold, to a session that waits for one. The peer is ended, the
 * client hears of trouble that will pass, and the connection goes on. */
static void malformed_answers_end_the_peer(void **state)
{
    (void)state;
    struct auth_recipient_answer texts = {.header = {.type = AUTH_RECIPIENT_ANSWER},
                                          .verdict = AUTH_RECIPIENT_TARGETS,
                                          .text_octets = 100};
    struct auth_recipient_answer list = {
        .header = {.type = AUTH_RECIPIENT_ANSWER}, .verdict = AUTH_RECIPIENT_TARGETS, .targets = 2};
    struct auth_verdict verdict = {.header = {.type = AUTH_VERDICT}, .account_octets = 3};
    struct filter_recipe prefix = {.header = {.type = FILTER_RECIPE}, .prefix_octets = 100};
    struct filter_recipe cuts = {.header = {.type = FILTER_RECIPE}, .cuts = 1};
    struct filter_recipe from = {.header = {.type = FILTER_RECIPE}, .from_count = 1};
    struct filter_refused filter = {.header = {.type = FILTER_REFUSED}, .text_octets = 9};
    struct queue_refused queue = {.header = {.type = QUEUE_REFUSED}, .text_octets = 9};
    struct ipc_header unknown = {.type = 9999};
    const struct {
        size_t place;
        struct ipc_header *record;
        size_t octets;
    } cases[] = {
        {0, &texts.header, sizeof(texts)},     {0, &list.header, sizeof(list)},
        {0, &verdict.header, sizeof(verdict)}, {1, &prefix.header, sizeof(prefix)},
        {1, &cuts.header, sizeof(cuts)},       {1, &from.header, sizeof(from)},
        {1, &filter.header, sizeof(filter)},   {2, &queue.header, sizeof(queue)},
        {2, &unknown, sizeof(unknown)},        {0, &unknown, sizeof(unknown)},
    };
    struct house *house = open_house("smtp", ROLE_SMTP);
    house->hostile_expected = true;
    house->filter_is_silent = true;
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct buffer got = BUFFER_WITH_LIMIT(10000);
        int fd = connect_client(house);
        begin_data(house, fd, &got);
        client_send(house, fd, SLICE(".\r\n"));
        for (int j = 0; j < 5; j++)
            turn_once(house);
        assert_true(ipc_send_record(&house->others[cases[i].place], cases[i].record,
                                    cases[i].octets, SLICE("x"), NULL));
        for (int j = 0; j < 5; j++)
            turn_once(house);
        assert_int_equal(house->hostile, i + 1);
        assert_false(ipc_is_open(&house->others[cases[i].place]));
        if (cases[i].place == 0) { /* the session waits for filter; let that end */
            ipc_close(&house->others[1]);
            turn_once(house);
            connect_peer(house, 1);
        }
        expect(house, fd, &got, "451 4.3.0 *");
        connect_peer(house, cases[i].place);
        fd_discard(&fd);
        buffer_clear(&got);
        for (int j = 0; j < 5; j++)
            turn_once(house);
    }
    close_house(house);
}

/* As if the session of that slot, the longest silent, had been so for another second. */
static void let_silence_pass(struct house *house, uint32_t slot)
{
    house->server.sessions[slot]->share.heard_ms -= 1000;
}

static void who_is_silent_makes_room(void **state)
{
    (void)state;
    struct house *house = open_house_with(
        "smtp", ROLE_SMTP, "unauthenticated-connections = 20 unauthenticated-per-network = 2");
    struct buffer got = BUFFER_WITH_LIMIT(10000);
    int fds[3];
    for (size_t i = 0; i < 2; i++) {
        fds[i] = connect_client(house);
        expect(house, fds[i], &got, "220 *");
    }
    let_silence_pass(house, 0);
    let_silence_pass(house, 1);
    client_send(house, fds[0], SLICE("NOOP\r\n"));
    expect(house, fds[0], &got, "250 *");
    fds[2] = connect_client(house);
    expect(house, fds[2], &got, "220 *");
    expect(house, fds[1], &got,
           "421 4.7.0 Too many connections (limits.unauthenticated-per-network), and you are "
           "silent");
    expect(house, fds[1], &got, "(closed)");
    /* Nobody is now. */
    fd_discard(&fds[1]);
    fds[1] = connect_client(house);
    expect(house, fds[1], &got, "421 mail.demo.test Too many *");
    expect(house, fds[1], &got, "(closed)");
    /* In the middle of a message, too. */
    client_send(house, fds[0],
                SLICE("HELO c\r\nMAIL FROM:<>\r\nRCPT TO:<bob@demo.test>\r\nDATA\r\nSubject: x"));
    for (int i = 0; i < 4; i++)
        expect(house, fds[0], &got, i == 3 ? "354 *" : "250 *");
    client_send(house, fds[2], SLICE("NOOP\r\n"));
    expect(house, fds[2], &got, "250 *");
    let_silence_pass(house, 0);
    fd_discard(&fds[1]);
    fds[1] = connect_client(house);
    expect(house, fds[0], &got, "421 4.7.0 Too many *");
    expect(house, fds[1], &got, "220 *");
    for (size_t i = 0; i < 3; i++)
        fd_discard(&fds[i]);
    buffer_clear(&got);
    close_house(house);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_is_queued),
        cmocka_unit_test(commands_have_their_order),
        cmocka_unit_test(recipients_are_judged),
        cmocka_unit_test(an_account_sends_to_other_domains),
        cmocka_unit_test(on_port_25_auth_permits_other_domains),
        cmocka_unit_test(what_the_sender_asks_for_goes_on),
        cmocka_unit_test(nothing_waits_on_port_25),
        cmocka_unit_test(too_many_recipients_and_messages_are_said),
        cmocka_unit_test(pipelined_commands_are_answered_in_order),
        cmocka_unit_test(bad_octets_are_refused_at_the_end),
        cmocka_unit_test(a_large_message_goes_through_a_file),
        cmocka_unit_test(a_client_that_leaves_gives_its_file_back),
        cmocka_unit_test(chunks_are_taken),
        cmocka_unit_test(filter_and_queue_may_refuse),
        cmocka_unit_test(dead_peers_are_temporary_errors),
        cmocka_unit_test(a_queue_that_dies_takes_its_file_along),
        cmocka_unit_test(submission_wants_a_password),
        cmocka_unit_test(stopping_ends_sessions_between_transactions),
        cmocka_unit_test(a_long_line_is_dropped),
        cmocka_unit_test(every_wait_has_an_end),
        cmocka_unit_test(an_octet_now_and_then_is_not_enough),
        cmocka_unit_test(a_network_has_its_share),
        cmocka_unit_test(malformed_answers_end_the_peer),
        cmocka_unit_test(who_is_silent_makes_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
