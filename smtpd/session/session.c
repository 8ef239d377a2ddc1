/*
 * One SMTP connection: the state machine. Runs in smtpd-session, on untrusted input. Begin at
 * session_step().
 *
 *      accepted            STARTTLS (RFC 3207)
 *         │                     ┌─────────────┐
 *         v                     v             │
 *    HANDSHAKE ─on_secured─> CONNECTED        │         AUTH ──response──> AUTH
 *    (465 only at            │ the name is    │          ^  │ session_on_verdict, "*"
 *     the start)             │ not known      │   AUTH   │  v
 *                            └──── EHLO ──> READY ───────┴──┘ <──────────── RSET, EHLO ──┐
 *                                           │ no transaction                             │
 *                                          MAIL                                          │
 *                                           v                                            │
 *                                          MAIL ──RCPT──> RCPT ──BDAT──> CHUNK <──BDAT── CHUNKS
 *                                       no recipient     │ a recipient    │ octets come   ^
 *                                                        │DATA            └─── end ───────┘
 *                                                        │ (BURL: URL ─mailbox─> CHUNK)
 *                                                        v                │ end of LAST
 *                                                       DATA ──CRLF.CRLF──┴──> SUBMIT
 *                                                   octets come               filter, queue
 *                                                                             └──> READY
 *
 * Any state may go to CLOSING, in which the last reply is written and nothing is read. Beside the
 * state stands `wait`: whose answer is awaited. While it is not NOTHING no command is read, so an
 * answer always meets the state in which its question was asked.
 */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "common/size.h"
#include "common/text/date.h"
#include "smtpd/session/session_internal.h"

#define IN(state) (1U << SESSION_##state)

enum {
    OUTPUT_HIGH_WATER = 16384, /* replies that a client does not read */
    OUTPUT_LIMIT = 65536,
    INPUT_OCTETS = 65536, /* read at once of a message */
};

/* --- States ----------------------------------------------------------------------------------- */

static const uint32_t steps[SESSION_STATES] = {
    [SESSION_HANDSHAKE] = IN(CONNECTED) | IN(CLOSING),
    [SESSION_CONNECTED] = IN(HANDSHAKE) | IN(READY) | IN(CHUNK) | IN(CLOSING),
    [SESSION_READY] = IN(HANDSHAKE) | IN(READY) | IN(AUTH) | IN(MAIL) | IN(CHUNK) | IN(CLOSING),
    [SESSION_AUTH] = IN(READY) | IN(CLOSING),
    [SESSION_MAIL] = IN(READY) | IN(RCPT) | IN(CHUNK) | IN(CLOSING),
    [SESSION_RCPT] = IN(READY) | IN(DATA) | IN(CHUNK) | IN(URL) | IN(CLOSING),
    [SESSION_DATA] = IN(SUBMIT) | IN(CLOSING),
    [SESSION_CHUNK] = IN(CONNECTED) | IN(READY) | IN(MAIL) | IN(CHUNKS) | IN(SUBMIT) | IN(CLOSING),
    [SESSION_CHUNKS] = IN(READY) | IN(CHUNK) | IN(URL) | IN(CLOSING),
    [SESSION_URL] = IN(READY) | IN(CHUNK) | IN(CLOSING),
    [SESSION_SUBMIT] = IN(READY) | IN(CLOSING),
    [SESSION_CLOSING] = IN(CLOSING),
};

void session_enter(struct session *session, enum session_state state)
{
    assert((steps[session->state] & 1U << state) != 0);
    session->state = state;
}

/* --- Replies and the end ---------------------------------------------------------------------- */

void session_reply(struct session *session, struct smtp_reply reply)
{
    struct buffer *out = &session->server->reply;
    buffer_reset(out);
    smtp_reply_format(&reply, out);
    if (out->failed) {
        struct error error = {.kind = ERROR_NONE};
        error_memory(&error);
        stream_fail(&session->stream, &error);
        return;
    }
    stream_write(&session->stream, buffer_slice(out));
}

static void close_after(struct session *session, struct smtp_reply reply, const char *reason,
                        unsigned linger_ms)
{
    if (session->state == SESSION_CLOSING)
        return;
    if (session->state == SESSION_HANDSHAKE) { /* nothing can be said in a handshake */
        session_break(session, reason);
        return;
    }
    LOG(session_log(session), LOG_INFO, "closed", log_id("session", session->name),
        log_text("reason", reason), log_number("messages", session->messages));
    session_end_wait(session);
    session_drop_transaction(session);
    session_forget_sasl(session);
    if (reply.code != 0)
        session_reply(session, reply);
    session_enter(session, SESSION_CLOSING);
    stream_finish(&session->stream, linger_ms);
}

void session_close(struct session *session, struct smtp_reply reply, const char *reason)
{
    close_after(session, reply, reason, SESSION_LINGER_MS);
}

void session_break(struct session *session, const char *reason)
{
    struct error error = {.kind = ERROR_NONE};
    error_set(&error, ERROR_TEMPORARY, "%s", reason);
    stream_fail(&session->stream, &error);
}

void session_refuse(struct session *session, struct smtp_reply reply)
{
    session_reply(session, reply);
    if (++session->bad_commands >= session_config(session)->limits.bad_commands)
        session_close(session,
                      SMTP_REPLY(421, "4.7.0", "Too many bad commands (limits.bad-commands)"),
                      "limits.bad-commands");
}

void session_stop(struct session *session)
{
    bool between = (IN(CONNECTED) | IN(READY)) & 1U << session->state;
    if (between && session->wait == SESSION_WAIT_NOTHING)
        session_close(session,
                      SMTP_REPLY(421, "4.3.2", "The server is going down; please try again soon"),
                      "shutdown");
}

/* --- Waiting ---------------------------------------------------------------------------------- */

static unsigned limit_to_unsigned(uint64_t milliseconds)
{
    return milliseconds < UINT32_MAX ? (unsigned)milliseconds : UINT32_MAX;
}

/* The next octets of the message, but not beyond the time for all of it. */
static uint64_t data_timeout_ms(const struct session *session)
{
    uint64_t next_ms = session_config(session)->timeouts.smtp_data_ms;
    uint64_t now_ms = turn_now_ms();
    uint64_t left_ms = session->message_until_ms > now_ms ? session->message_until_ms - now_ms : 1;
    return left_ms < next_ms ? left_ms : next_ms;
}

/* By us: a peer's answer is awaited, or octets of a mailbox. */
static bool is_held_up(const struct session *session)
{
    return session->wait != SESSION_WAIT_NOTHING || session->burl != NULL;
}

static void set_deadline(struct session *session)
{
    const struct config_timeouts *timeouts = &session_config(session)->timeouts;
    uint64_t timeout_ms = timeouts->smtp_command_ms;
    if (session->wait == SESSION_WAIT_READY)
        timeout_ms = SESSION_READY_TIMEOUT_MS;
    else if (is_held_up(session))
        timeout_ms = SESSION_PEER_TIMEOUT_MS;
    else if (session->state == SESSION_HANDSHAKE)
        timeout_ms = timeouts->handshake_ms;
    else if (session->state == SESSION_DATA || session->state == SESSION_CHUNK)
        timeout_ms = data_timeout_ms(session);
    else if (session->state == SESSION_CLOSING)
        timeout_ms = 0;
    stream_set_deadline_ms(&session->stream, limit_to_unsigned(timeout_ms));
}

void session_end_wait(struct session *session)
{
    session->wait = SESSION_WAIT_NOTHING;
    session->wait_request = 0;
    session->wait_peer = NULL;
}

void session_lose_peer(struct session *session)
{
    static void (*const losses[SESSION_WAITS])(struct session *) = {
        [SESSION_WAIT_READY] = session_give_up_waiting,
        [SESSION_WAIT_PASSWORD] = session_lose_password,
        [SESSION_WAIT_SENDER] = session_lose_sender,
        [SESSION_WAIT_RECIPIENT] = session_lose_recipient,
        [SESSION_WAIT_OWNER] = session_lose_owner,
        [SESSION_WAIT_SPOOL] = session_lose_spool,
        [SESSION_WAIT_FILTER] = session_lose_filter,
        [SESSION_WAIT_FROM] = session_lose_filter,
        [SESSION_WAIT_COMMIT] = session_lose_commit,
    };
    enum session_wait wait = session->wait;
    session_end_wait(session);
    losses[wait](session);
}

/* A client may be silent while it waits for a peer's answer. */
static void note_word(struct session *session)
{
    struct connections *connections = &session->server->acceptor.connections;
    if (is_held_up(session))
        connections_excuse(connections, &session->share);
    else if (session->state != SESSION_CLOSING)
        connections_hear(connections, &session->share, turn_now_ms());
}

static struct smtp_reply timeout_reply(const struct session *session)
{
    if (is_held_up(session))
        return SMTP_REPLY(421, "4.3.0", "An internal service does not answer");
    if (session->state != SESSION_DATA && session->state != SESSION_CHUNK)
        return SMTP_REPLY(421, "4.4.2", "No command came in time (timeouts.smtp-command)");
    if (turn_now_ms() >= session->message_until_ms)
        return SMTP_REPLY(421, "4.4.2", "The message took too long (timeouts.smtp-message)");
    return SMTP_REPLY(421, "4.4.2", "The message stopped coming (timeouts.smtp-data)");
}

static void give_up_waiting(struct session *session)
{
    session_lose_peer(session);
    set_deadline(session);
    session_step(session);
}

static void on_deadline(struct stream *stream)
{
    struct session *session = stream->owner;
    if (session->state == SESSION_HANDSHAKE)
        session_break(session, "timeouts.handshake");
    else if (session->wait == SESSION_WAIT_COMMIT)
        session_break(session, "no answer from queue"); /* the fate of the message is unknown */
    else if (session->wait == SESSION_WAIT_READY)
        give_up_waiting(session);
    else
        session_close(session, timeout_reply(session), "timeout");
}

/* --- Greeting and TLS ------------------------------------------------------------------------- */

static void greet(struct session *session)
{
    struct buffer text = BUFFER_WITH_LIMIT(SMTP_REPLY_LINE_LIMIT);
    buffer_append_string(&text, session_config(session)->hostname);
    buffer_append(&text, SLICE(" ESMTP staffetta"));
    session->greeted = true;
    session_reply(session, (struct smtp_reply){220, SLICE(""), buffer_slice(&text)});
    buffer_clear(&text);
}

static void start_tls(struct session *session)
{
    struct error error = {.kind = ERROR_NONE};
    set_deadline(session);
    if (!tls_stream_start(&session->stream, session->server->tls.context, &error))
        stream_fail(&session->stream, &error);
}

/* RFC 3207 4.2: what the client said before is forgotten. */
static void on_secured(struct stream *stream)
{
    struct session *session = stream->owner;
    struct tls_facts facts;
    if (!tls_stream_facts(stream, &facts))
        return;
    session->secured = true;
    /* "TLSv1.3" there, "TLS1.3" in what filter wants. */
    snprintf(session->tls, sizeof(session->tls), "TLS%s %s", facts.version + strlen("TLSv"),
             facts.suite);
    LOG(session_log(session), LOG_INFO, "tls", log_id("session", session->name),
        log_text("version", facts.version), log_text("cipher", facts.suite));
    session_enter(session, SESSION_CONNECTED);
    if (!session->greeted)
        greet(session);
    set_deadline(session);
    session_step(session);
}

static void on_starttls(struct session *session, struct smtp_command *command)
{
    (void)command;
    if (session->secured) {
        session_refuse(session, SMTP_REPLY(503, "5.5.1", "TLS is there already"));
        return;
    }
    if (!session->server->tls.context) {
        session_refuse(session, SMTP_REPLY(502, "5.5.1", "There is no TLS here"));
        return;
    }
    session_reply(session, SMTP_REPLY(220, "2.0.0", "Go ahead"));
    size_t injected = stream_discard_input(&session->stream);
    session->splitter = (struct smtp_line_splitter){.scanned = 0};
    if (injected > 0)
        LOG(session_log(session), LOG_WARNING, "starttls_injection",
            log_id("session", session->name), log_text("client", session->client_text),
            log_number("octets", (int64_t)injected));
    buffer_reset(&session->helo);
    session_enter(session, SESSION_HANDSHAKE);
    start_tls(session);
}

/* --- Commands that end where they begin ------------------------------------------------------- */

static void append_auth_keyword(const struct session *session, struct buffer *text)
{
    if (session_is_submission(session) && session_may_send_password(session)) {
        buffer_append(text, SLICE("\nAUTH"));
        sasl_append_mechanisms(session_mechanisms(session), " ", "", text);
    }
}

/* max-future-release-interval SP max-future-release-date-time    RFC 4865 3 */
static void append_future_release(const struct session *session, struct buffer *text)
{
    int64_t seconds = (int64_t)(session_config(session)->submission.future_release_ms / 1000);
    char latest[DATE_TEXT_OCTETS];
    if (!session_is_submission(session) || seconds == 0)
        return;
    date_format_internet(time(NULL) + seconds, latest);
    buffer_append_format(text, "\nFUTURERELEASE %" PRId64 " %s", seconds, latest);
}

static void append_keywords(const struct session *session, struct buffer *text)
{
    const struct config_limits *limits = &session_config(session)->limits;
    buffer_append(text,
                  SLICE("\nPIPELINING\n8BITMIME\nSMTPUTF8\nCHUNKING\nBINARYMIME\nDSN\nDELIVERBY"
                        "\nENHANCEDSTATUSCODES\nHELP\nSIZE "));
    buffer_append_number(text, limits->message_size_octets);
    buffer_append_format(text, "\nLIMITS MAILMAX=%u RCPTMAX=%u", limits->messages,
                         limits->recipients); /* RFC 9422 */
    append_future_release(session, text);
    if (session->secured)
        buffer_append(text, SLICE("\nREQUIRETLS"));
    else if (session->server->tls.context)
        buffer_append(text, SLICE("\nSTARTTLS"));
    append_auth_keyword(session, text);
    if (session_offers_burl(session))
        buffer_append(text, SLICE("\nBURL imap")); /* RFC 4468 3.3 */
}

static void on_hello(struct session *session, struct smtp_command *command)
{
    session_drop_transaction(session);
    session->esmtp = command->verb == SMTP_EHLO;
    buffer_reset(&session->helo);
    buffer_append(&session->helo, command->argument);
    if (session->helo.failed) {
        session_close(session, SMTP_REPLY(421, "", "Out of memory"), "out of memory");
        return;
    }
    session_enter(session, SESSION_READY);
    struct buffer text = BUFFER_WITH_LIMIT(1024);
    buffer_append_string(&text, session_config(session)->hostname);
    if (session->esmtp)
        append_keywords(session, &text);
    session_reply(session, (struct smtp_reply){250, SLICE(""), buffer_slice(&text)});
    buffer_clear(&text);
}

static void on_rset(struct session *session, struct smtp_command *command)
{
    (void)command;
    session_drop_transaction(session);
    if (session->state != SESSION_CONNECTED)
        session_enter(session, SESSION_READY);
    session_reply(session, SMTP_REPLY(250, "2.0.0", "Ok"));
}

static void on_noop(struct session *session, struct smtp_command *command)
{
    (void)command;
    session_reply(session, SMTP_REPLY(250, "2.0.0", "Ok"));
}

/* RFC 5321 7.3: the existence of a mailbox is not revealed before RCPT. */
static void on_vrfy(struct session *session, struct smtp_command *command)
{
    (void)command;
    session_reply(session, SMTP_REPLY(252, "2.0.0", "RCPT will tell; send some mail"));
}

static void on_help(struct session *session, struct smtp_command *command)
{
    (void)command;
    session_reply(session, SMTP_REPLY(214, "2.0.0",
                                      "Commands: EHLO HELO STARTTLS AUTH MAIL RCPT DATA BDAT\n"
                                      "BURL RSET VRFY NOOP HELP QUIT\n"
                                      "Trouble with your mail? Write to postmaster here."));
}

static void on_not_implemented(struct session *session, struct smtp_command *command)
{
    (void)command;
    session_refuse(session, SMTP_REPLY(502, "5.5.1", "This command is not implemented"));
}

/* A browser that was made to talk to us: what follows are its octets, not commands (RFC 7230 would
 * call the body a message; an attacker calls it MAIL FROM). */
static void on_http(struct session *session, struct smtp_command *command)
{
    (void)command;
    session_close(session, SMTP_REPLY(421, "4.7.0", "This is a mail server"), "http");
}

static void on_quit(struct session *session, struct smtp_command *command)
{
    (void)command;
    /* Nothing comes after QUIT that could make a reset of our reply, but TLS has its own end. */
    bool at_once = !session->secured && stream_input(&session->stream).len == 0;
    close_after(session, SMTP_REPLY(221, "2.0.0", "Bye"), "quit", at_once ? 0 : SESSION_LINGER_MS);
}

/* --- The table -------------------------------------------------------------------------------- */

#define NAMED (IN(READY) | IN(MAIL) | IN(RCPT) | IN(CHUNKS))
#define ANY (IN(CONNECTED) | NAMED)

static const struct {
    uint32_t states; /* that allow it, else 503 (RFC 5321 4.1.4) */
    void (*handle)(struct session *session, struct smtp_command *command);
} commands[SMTP_VERBS] = {
    [SMTP_EHLO] = {ANY, on_hello},
    [SMTP_HELO] = {ANY, on_hello},
    [SMTP_STARTTLS] = {IN(CONNECTED) | IN(READY), on_starttls},
    [SMTP_AUTH] = {IN(READY), session_on_auth},
    [SMTP_MAIL] = {IN(READY), session_on_mail},
    [SMTP_RCPT] = {IN(MAIL) | IN(RCPT), session_on_rcpt},
    [SMTP_DATA] = {ANY, session_on_data}, /* these two look at the state themselves: */
    [SMTP_BDAT] = {ANY, session_on_bdat}, /* octets may follow that are no commands */
    [SMTP_BURL] = {ANY, session_on_burl},
    [SMTP_RSET] = {ANY, on_rset},
    [SMTP_NOOP] = {ANY, on_noop},
    [SMTP_VRFY] = {ANY, on_vrfy},
    [SMTP_EXPN] = {ANY, on_not_implemented},
    [SMTP_HELP] = {ANY, on_help},
    [SMTP_QUIT] = {ANY, on_quit},
    [SMTP_HTTP] = {ANY, on_http},
    [SMTP_OBSOLETE] = {ANY, on_not_implemented},
};

static struct smtp_reply wrong_state_reply(const struct session *session)
{
    if (session->state == SESSION_CONNECTED)
        return SMTP_REPLY(503, "5.5.1", "Say EHLO first");
    if (session->state == SESSION_CHUNKS)
        return SMTP_REPLY(503, "5.5.1", "A message in BDAT chunks is under way");
    if (session->state == SESSION_READY)
        return SMTP_REPLY(503, "5.5.1", "Say MAIL first");
    return SMTP_REPLY(503, "5.5.1", "Not in a mail transaction; RSET ends it");
}

/* Octets of a length that cannot be told, or not told to be any, are not taken for commands. */
static void refuse_syntax(struct session *session, const struct smtp_command *command,
                          struct smtp_reply refusal)
{
    if (command->verb == SMTP_BDAT)
        session_close(session, refusal, "malformed BDAT");
    else if (command->verb == SMTP_DATA)
        session_refuse_data(session, refusal);
    else
        session_refuse(session, refusal);
}

static void take_command(struct session *session, struct slice line)
{
    struct smtp_command command;
    struct smtp_reply refusal;
    if (!smtp_command_parse(line, &command, &refusal))
        refuse_syntax(session, &command, refusal);
    else if ((commands[command.verb].states & 1U << session->state) == 0)
        session_refuse(session, wrong_state_reply(session));
    else
        commands[command.verb].handle(session, &command);
}

/* --- Input ------------------------------------------------------------------------------------ */

static void refuse_long_line(struct session *session)
{
    if (session->state == SESSION_AUTH) {
        session_forget_sasl(session);
        session_enter(session, SESSION_READY);
        session_refuse(session, SMTP_REPLY(500, "5.5.6", "Line too long (limits.auth-line)"));
    } else {
        session_refuse(session, SMTP_REPLY(500, "5.5.2", "Line too long (limits.command-line)"));
    }
}

/* False: no whole line is there. */
static bool take_line(struct session *session, struct cursor *in)
{
    const struct config_limits *limits = &session_config(session)->limits;
    bool in_auth = session->state == SESSION_AUTH;
    size_t limit = in_auth ? limits->auth_line_octets : limits->command_line_octets;
    struct cursor start = *in;
    struct slice line;
    enum parse_result result = smtp_line_next(&session->splitter, limit, in, &line);
    stream_consume(&session->stream, cursor_since(in, &start).len);
    if (result == PARSE_MORE)
        return false;
    if (result == PARSE_BAD)
        refuse_long_line(session);
    else if (in_auth)
        session_take_sasl_line(session, line);
    else
        take_command(session, line);
    return true;
}

static bool takes_data(const struct session *session)
{
    return session->state == SESSION_DATA || session->state == SESSION_CHUNK;
}

static bool may_step(const struct session *session)
{
    return session->wait == SESSION_WAIT_NOTHING && session->state != SESSION_HANDSHAKE
           && session->state != SESSION_CLOSING && !stream_is_over(&session->stream)
           && !stream_output_full(&session->stream);
}

static bool step_once(struct session *session)
{
    if (session->burl && takes_data(session))
        return session_take_burl(session);
    struct cursor in = cursor_of(stream_input(&session->stream));
    if (!takes_data(session))
        return take_line(session, &in);
    struct cursor start = in;
    bool stepped = session_take_data(session, &in);
    if (!stream_is_over(&session->stream))
        stream_consume(&session->stream, cursor_since(&in, &start).len);
    return stepped;
}

void session_step(struct session *session)
{
    bool stepped = false;
    while (may_step(session) && step_once(session))
        stepped = true;
    if (may_step(session) && !session->burl && stream_at_end(&session->stream))
        session_close(session, (struct smtp_reply){.code = 0}, "client left");
    else if (stepped || session->wait != SESSION_WAIT_NOTHING)
        set_deadline(session);
    note_word(session);
    if (session->server->role->stopping)
        session_stop(session);
}

static void on_input(struct stream *stream)
{
    session_step(stream->owner);
}

static void release(struct session *session)
{
    session_drop_transaction(session);
    session_forget_sasl(session);
    buffer_clear(&session->helo);
    buffer_clear(&session->account);
    server_release_session(session);
}

static void on_closed(struct stream *stream, const struct error *why)
{
    struct session *session = stream->owner;
    if (why && session->state != SESSION_CLOSING) /* after QUIT many clients just go */
        LOG(session_log(session), LOG_INFO, "lost", log_id("session", session->name),
            log_text("client", session->client_text), log_failure(why));
    release(session);
}

static void say_silent(struct session *session, const char *limit)
{
    LOG(session_log(session), LOG_INFO, "closed", log_id("session", session->name),
        log_text("reason", limit), log_number("messages", session->messages));
    if (session->state == SESSION_HANDSHAKE)
        return;
    struct buffer text = BUFFER_WITH_LIMIT(SMTP_REPLY_LINE_LIMIT);
    buffer_append_format(&text, "Too many connections (%s), and you are silent", limit);
    session_reply(session, (struct smtp_reply){421, SLICE("4.7.0"), buffer_slice(&text)});
    buffer_clear(&text);
}

void session_evict(struct session *session, const char *limit)
{
    if (session->state != SESSION_CLOSING)
        say_silent(session, limit);
    stream_end_now(&session->stream);
    release(session);
}

static const struct stream_handler handler = {
    .on_input = on_input,
    .on_drained = on_input,
    .on_secured = on_secured,
    .on_deadline = on_deadline,
    .on_closed = on_closed,
};

static struct stream_limits stream_limits_of(const struct config *config)
{
    size_t input = INPUT_OCTETS;
    if (config->limits.command_line_octets > input)
        input = config->limits.command_line_octets;
    if (config->limits.auth_line_octets > input)
        input = config->limits.auth_line_octets;
    return (struct stream_limits){.input = input,
                                  .high_water = OUTPUT_HIGH_WATER,
                                  .output = OUTPUT_LIMIT,
                                  .stalled_ms = limit_to_unsigned(config->timeouts.write_ms)};
}

void session_begin(struct session *session, struct accepted *accepted)
{
    const struct config *config = session_config(session);
    session->service = accepted->listen->service;
    session->client = accepted->client;
    session->client_port = accepted->client_port;
    session->share = accepted->share;
    snprintf(session->name, sizeof(session->name), "%" PRIx64, session->number);
    ip_address_format(&session->client, session->client_text);
    buffer_init(&session->helo, ADDRESS_DOMAIN_LIMIT);
    buffer_init(&session->account, MASTER_ACCOUNT_MAX);
    struct stream_limits limits = stream_limits_of(config);
    stream_init(&session->stream, &session->server->turn, accepted->fd, &handler, &limits);
    session->stream.owner = session;
    accepted->fd = -1;
    LOG(session_log(session), LOG_INFO, "connected", log_id("session", session->name),
        log_text("client", session->client_text), log_number("port", session->client_port),
        log_text("service", config_service_name(session->service)));
    note_word(session);
    if (config_service_is_implicit_tls(session->service)) {
        start_tls(session);
        return;
    }
    session->state = SESSION_CONNECTED;
    greet(session);
    set_deadline(session);
}
