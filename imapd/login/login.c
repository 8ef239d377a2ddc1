/*
 * IMAP before the login (RFC 3501 6.1, 6.2); see login.h. Runs in imapd-login. The connection's
 * states are those of common/login/login.h; in TALKING a client may be within a command with
 * literals (`reader`) or within AUTHENTICATE (`sasl`). Input pipelined after LOGIN is not read
 * here: it goes to the user's process, which also answers LOGIN.
 */
#include "imapd/login/login.h"

#include <stdlib.h>

#include "common/role/handoff.h"
#include "imapd/login/login_command.h"
#include "imapd/syntax/capability.h"
#include "imapd/syntax/command.h"

enum {
    TAG_OCTETS = 255,
    LINES_OCTETS = SASL_LINE_LIMIT + 1024, /* with a tag, AUTHENTICATE and a mechanism */
    LITERAL_OCTETS = 4096,                 /* longer than any name or password */
    TEXT_OCTETS = 16384,
    SKIP_OCTETS = 1 << 20,
    ARENA_OCTETS = 16384, /* unescaped strings of one command */
};

struct imap_login {
    struct login_session base; /* first: common/login/login.c allocates session_octets */
    struct command_reader reader;
    struct sasl *sasl;    /* in an exchange, else NULL */
    size_t tag_octets;    /* of the command that logs in */
    size_t handed_octets; /* of the tag and the packed ID */
    uint8_t tag[HANDOFF_TAG_MAX];
    uint64_t without;     /* capabilities hidden from the client */
    size_t client_octets; /* of its ID; 0: none */
    uint8_t client[IMAP_CLIENT_ID_TEXT_MAX];
};

static struct imap_login *imap_of(struct login_session *session)
{
    return (struct imap_login *)(void *)session;
}

/* ---- responses ---- */

static struct buffer *new_reply(struct imap_login *imap)
{
    struct buffer *text = &imap->base.server->reply;
    buffer_reset(text);
    return text;
}

/* "A1 NO [CODE] text"; an empty tag makes it untagged. */
static void append_response(struct buffer *text, struct slice tag, const char *response)
{
    buffer_append(text, tag.len > 0 ? tag : SLICE("*"));
    buffer_append_octet(text, ' ');
    buffer_append_string(text, response);
    buffer_append(text, SLICE("\r\n"));
}

static void respond(struct imap_login *imap, struct slice tag, const char *response)
{
    append_response(new_reply(imap), tag, response);
    login_reply(&imap->base);
}

static void refuse_command(struct imap_login *imap, struct slice tag, const char *response)
{
    respond(imap, tag, response);
    login_count_bad_command(&imap->base);
}

static void append_capability(struct imap_login *imap, struct buffer *text)
{
    unsigned login = 0;
    if (login_can_start_tls(&imap->base))
        login |= CAPABILITY_STARTTLS;
    if (login_takes_passwords(&imap->base))
        login |= CAPABILITY_PASSWORDS;
    capability_append_login(login_config(&imap->base), login, login_mechanisms(&imap->base),
                            imap->without, text);
}

static void say_bye_and_close(struct imap_login *imap, const char *bye, const char *reason)
{
    respond(imap, SLICE(""), bye);
    login_close(&imap->base, reason);
}

/* ---- logging in ---- */

/* RFC 5530 3 */
#define PRIVACY_REQUIRED "NO [PRIVACYREQUIRED] Passwords need TLS here: use STARTTLS, or port 993"

/* Another process may send the answer: the tag is kept. False: it was refused. */
static bool may_log_in(struct imap_login *imap, struct slice tag)
{
    if (!login_takes_passwords(&imap->base)) {
        refuse_command(imap, tag, PRIVACY_REQUIRED);
        return false;
    }
    if (tag.len > TAG_OCTETS) {
        refuse_command(imap, tag, "BAD The tag is longer than 255 octets");
        return false;
    }
    memcpy(imap->tag, tag.ptr, tag.len);
    memcpy(imap->tag + tag.len, imap->client, imap->client_octets);
    imap->tag_octets = tag.len;
    imap->handed_octets = tag.len + imap->client_octets;
    return true;
}

static struct slice tag(const struct login_session *session)
{
    const struct imap_login *imap = (const struct imap_login *)(const void *)session;
    return slice_of(imap->tag, imap->tag_octets);
}

static struct slice handed(const struct login_session *session)
{
    const struct imap_login *imap = (const struct imap_login *)(const void *)session;
    return slice_of(imap->tag, imap->handed_octets);
}

static void on_login(struct imap_login *imap, const struct imap_login_command *command)
{
    if (may_log_in(imap, command->tag))
        login_ask(&imap->base, command->name, command->password);
}

static void end_exchange(struct imap_login *imap)
{
    if (!imap->sasl)
        return;
    sasl_clear(imap->sasl);
    free(imap->sasl);
    imap->sasl = NULL;
}

static void send_challenge(struct imap_login *imap, struct slice challenge)
{
    struct buffer *text = new_reply(imap);
    buffer_append(text, SLICE("+ "));
    buffer_append(text, challenge);
    buffer_append(text, SLICE("\r\n"));
    login_reply(&imap->base);
    command_expect_line(&imap->reader);
}

static void on_exchange(struct imap_login *imap, enum sasl_result result, struct slice challenge)
{
    switch (result) {
    case SASL_CONTINUE:
        send_challenge(imap, challenge);
        return;
    case SASL_ASK:
        login_ask_exchange(&imap->base, imap->sasl);
        return;
    case SASL_DONE:
        login_ask_sasl(&imap->base, imap->sasl);
        break;
    case SASL_CANCELLED:
        refuse_command(imap, tag(&imap->base), "BAD Cancelled");
        break;
    case SASL_MALFORMED:
        refuse_command(imap, tag(&imap->base),
                       "BAD That is not a response of this mechanism in base64");
        break;
    }
    end_exchange(imap);
}

static void on_authenticate(struct imap_login *imap, const struct imap_login_command *command)
{
    enum sasl_mechanism mechanism;
    if (!may_log_in(imap, command->tag))
        return;
    if (!sasl_find_mechanism(command->name, login_mechanisms(&imap->base), &mechanism)) {
        refuse_command(imap, command->tag, "NO [CANNOT] Unknown mechanism");
        return;
    }
    imap->sasl = calloc(1, sizeof(*imap->sasl));
    if (!imap->sasl) {
        respond(imap, command->tag, "NO [UNAVAILABLE] Out of memory");
        return;
    }
    struct slice challenge;
    enum sasl_result result = sasl_start(
        imap->sasl, mechanism, command->initial.ptr ? &command->initial : NULL, &challenge);
    on_exchange(imap, result, challenge);
}

/* ---- the other commands ---- */

static void on_capability(struct imap_login *imap, const struct imap_login_command *command)
{
    struct buffer *text = new_reply(imap);
    buffer_append(text, SLICE("* "));
    append_capability(imap, text);
    buffer_append(text, SLICE("\r\n"));
    append_response(text, command->tag, "OK Done");
    login_reply(&imap->base);
}

static void on_noop(struct imap_login *imap, const struct imap_login_command *command)
{
    respond(imap, command->tag, "OK Done");
}

static void on_logout(struct imap_login *imap, const struct imap_login_command *command)
{
    struct buffer *text = new_reply(imap);
    append_response(text, SLICE(""), "BYE Logging out");
    append_response(text, command->tag, "OK Done");
    login_reply(&imap->base);
    login_close(&imap->base, "LOGOUT");
}

/* RFC 2971; without a version: section 4 warns against sending it. */
static void on_id(struct imap_login *imap, const struct imap_login_command *command)
{
    if (command->client.name.len > 0)
        LOG(&imap->base.server->role->log, LOG_INFO, "client", log_id("session", imap->base.name),
            log_bytes("name", command->client.name), log_bytes("version", command->client.version),
            log_bytes("vendor", command->client.vendor));
    imap->client_octets = imap_client_id_format(&command->client, imap->client);
    imap->without = imap_client_without(login_config(&imap->base), &command->client, NULL);
    struct buffer *text = new_reply(imap);
    append_response(text, SLICE(""), "ID (\"name\" \"staffetta\")");
    append_response(text, command->tag, "OK Done");
    login_reply(&imap->base);
}

static void start_reader(struct imap_login *imap)
{
    command_reader_clear(&imap->reader);
    command_reader_init(&imap->reader, (struct command_limits){.lines = LINES_OCTETS,
                                                               .literal = LITERAL_OCTETS,
                                                               .text = TEXT_OCTETS,
                                                               .skip = SKIP_OCTETS});
}

static void on_starttls(struct imap_login *imap, const struct imap_login_command *command)
{
    if (imap->base.secured) {
        refuse_command(imap, command->tag, "BAD TLS is there already");
        return;
    }
    if (!login_can_start_tls(&imap->base)) {
        refuse_command(imap, command->tag, "NO There is no TLS here");
        return;
    }
    respond(imap, command->tag, "OK Begin TLS");
    login_start_tls(&imap->base);
}

static void on_unknown(struct imap_login *imap, const struct imap_login_command *command)
{
    refuse_command(imap, command->tag, "BAD Unknown command, or one for after LOGIN");
}

static void on_bad_arguments(struct imap_login *imap, const struct imap_parser *parser,
                             struct slice tag_of_command)
{
    struct buffer *text = new_reply(imap);
    buffer_append(text, tag_of_command.len > 0 ? tag_of_command : SLICE("*"));
    buffer_append_format(text, " BAD Expected %s\r\n", parser->expected);
    login_reply(&imap->base);
    login_count_bad_command(&imap->base);
}

/* ---- reading ---- */

/* The unescaped password, to be wiped; empty if it is in the text, which is wiped anyway. */
static struct slice secret_in_arena(const struct imap_login_command *command, struct slice text)
{
    bool in_text = command->password.ptr >= text.ptr && command->password.ptr < text.ptr + text.len;
    return in_text || command->password.len == 0 ? SLICE("") : command->password;
}

static void on_command(struct imap_login *imap, struct slice text)
{
    static void (*const handlers[])(struct imap_login *, const struct imap_login_command *) = {
        [IMAP_LOGIN_CAPABILITY] = on_capability,
        [IMAP_LOGIN_NOOP] = on_noop,
        [IMAP_LOGIN_LOGOUT] = on_logout,
        [IMAP_LOGIN_ID] = on_id,
        [IMAP_LOGIN_STARTTLS] = on_starttls,
        [IMAP_LOGIN_LOGIN] = on_login,
        [IMAP_LOGIN_AUTHENTICATE] = on_authenticate,
        [IMAP_LOGIN_UNKNOWN] = on_unknown,
    };
    struct arena arena;
    struct imap_parser parser;
    struct imap_login_command command;
    arena_init(&arena, ARENA_OCTETS);
    imap_parser_init(&parser, text, &arena);
    bool valid = imap_login_command_parse(&parser, &command);
    struct slice secret = secret_in_arena(&command, text);
    if (valid)
        handlers[command.verb](imap, &command);
    else
        on_bad_arguments(imap, &parser, command.tag);
    explicit_bzero((void *)(uintptr_t)secret.ptr, secret.len);
    arena_clear(&arena);
}

static void on_ready(struct imap_login *imap)
{
    struct slice text = command_text(&imap->reader);
    struct slice challenge = SLICE("");
    if (!imap->sasl)
        on_command(imap, text);
    else
        on_exchange(imap, sasl_respond(imap->sasl, text, &challenge), challenge);
}

static struct slice tag_so_far(struct imap_login *imap, enum imap_login_verb *verb)
{
    struct imap_parser parser;
    struct imap_login_command command;
    imap_parser_init(&parser, command_text(&imap->reader), NULL); /* tag and verb need no arena */
    imap_login_command_peek(&parser, &command);
    *verb = command.verb;
    return command.tag;
}

/* "BAD " and the reader's reason. */
static void respond_problem(struct imap_login *imap)
{
    enum imap_login_verb verb;
    struct slice tag_of_command = imap->sasl ? tag(&imap->base) : tag_so_far(imap, &verb);
    struct buffer *text = new_reply(imap);
    buffer_append(text, tag_of_command.len > 0 ? tag_of_command : SLICE("*"));
    buffer_append_format(text, " %s %s\r\n",
                         imap->reader.problem == COMMAND_NO_MEMORY ? "NO [UNAVAILABLE]" : "BAD",
                         command_problem_text(imap->reader.problem));
    login_reply(&imap->base);
    end_exchange(imap);
}

static void refuse_literal(struct imap_login *imap)
{
    if (!command_refuse_literal(&imap->reader))
        say_bye_and_close(imap, "BYE The literal is too long to be skipped", "literal");
    else
        login_count_bad_command(&imap->base);
}

/* A password that is not allowed is refused before it is sent. */
static void on_literal(struct imap_login *imap)
{
    enum imap_login_verb verb;
    struct slice tag_of_command = tag_so_far(imap, &verb);
    if (verb == IMAP_LOGIN_LOGIN && !login_takes_passwords(&imap->base)) {
        respond(imap, tag_of_command, PRIVACY_REQUIRED);
        refuse_literal(imap);
    } else if (!command_accept_literal(&imap->reader)) {
        respond_problem(imap);
        refuse_literal(imap);
    } else if (imap->reader.literal.synchronising) {
        buffer_append(new_reply(imap), SLICE("+ Go on\r\n"));
        login_reply(&imap->base);
    }
}

static void on_event(struct imap_login *imap, enum command_event event)
{
    switch (event) {
    case COMMAND_READY:
        on_ready(imap);
        break;
    case COMMAND_LITERAL:
        on_literal(imap);
        break;
    case COMMAND_BAD:
        respond_problem(imap);
        login_count_bad_command(&imap->base);
        break;
    case COMMAND_CLOSE:
        if (imap->reader.problem != COMMAND_FINE)
            respond_problem(imap);
        say_bye_and_close(imap, "BYE Too long to be skipped", "line");
        break;
    case COMMAND_OCTETS: /* only for streamed literals, not used here */
    case COMMAND_MORE:
        break;
    }
}

/* Names and passwords pass through here. */
static void wipe(struct imap_login *imap)
{
    if (imap->reader.text.ptr)
        explicit_bzero(imap->reader.text.ptr, imap->reader.text.capacity);
    stream_wipe_consumed(&imap->base.client);
}

/* False: the input holds no complete command. */
static bool read_event(struct imap_login *imap)
{
    struct stream *client = &imap->base.client;
    struct slice input = stream_input(client);
    struct cursor cursor = cursor_of(input);
    struct slice octets;
    enum command_event event = command_read(&imap->reader, &cursor, &octets);
    stream_consume(client, input.len - cursor_left(&cursor));
    on_event(imap, event);
    if (event == COMMAND_READY)
        wipe(imap);
    return event != COMMAND_MORE;
}

/* ---- called by common/login/login.c ---- */

static void step(struct login_session *session)
{
    while (login_is_talking(session) && !stream_output_full(&session->client))
        if (!read_event(imap_of(session)))
            return;
}

/* The greeting is made before the handshake, when it is not known whether EXTERNAL will be offered,
 * so the client has to ask. */
static bool may_show_certificate(const struct login_session *session)
{
    return config_service_is_implicit_tls(session->listen->service)
           && login_config(session)->client_certificates.authorities.text;
}

static void begin(struct login_session *session)
{
    struct imap_login *imap = imap_of(session);
    struct buffer *text = &session->server->reply;
    struct imap_client_id unknown = {.name = SLICE("")};
    start_reader(imap);
    imap->without = imap_client_without(login_config(session), &unknown, NULL);
    buffer_append(text, SLICE("* OK "));
    if (!may_show_certificate(session)) {
        buffer_append_octet(text, '[');
        append_capability(imap, text);
        buffer_append(text, SLICE("] "));
    }
    buffer_append_format(text, "%s staffetta IMAP\r\n", login_config(session)->hostname);
}

static void secured(struct login_session *session)
{
    end_exchange(imap_of(session));
    start_reader(imap_of(session));
}

/* The client's ID is forgotten with the rest. */
static void returned(struct login_session *session)
{
    struct imap_login *imap = imap_of(session);
    struct imap_client_id unknown = {.name = SLICE("")};
    start_reader(imap);
    imap->client_octets = 0;
    imap->without = imap_client_without(login_config(session), &unknown, NULL);
}

static void challenged(struct login_session *session, struct slice message)
{
    struct buffer *text = &session->server->reply;
    buffer_append(text, SLICE("+ "));
    base64_encode(message, text);
    buffer_append(text, SLICE("\r\n"));
    command_expect_line(&imap_of(session)->reader);
}

/* RFC 5530 3 */
static void refused(struct login_session *session, enum login_refusal refusal)
{
    static const char *const responses[] = {
        [LOGIN_WRONG] = "NO [AUTHENTICATIONFAILED] Name or password is wrong",
        [LOGIN_THROTTLED] = "NO [UNAVAILABLE] Too many failures; try again later",
        [LOGIN_EXPIRED] = "NO [EXPIRED] The account or its password has expired",
        [LOGIN_TEMPORARY] = "NO [UNAVAILABLE] Logging in is not possible now; try again later",
        [LOGIN_MALFORMED] = "BAD That is not a message of this mechanism",
        [LOGIN_IN_USE] = "NO [INUSE] The account is in use",
    };
    end_exchange(imap_of(session));
    append_response(&session->server->reply, tag(session), responses[refusal]);
}

static void farewell(struct login_session *session, enum login_end end)
{
    static const char *const byes[] = {
        [LOGIN_END_TIMEOUT] = "BYE No login in time (timeouts.login)",
        [LOGIN_END_SHUTDOWN] = "BYE [UNAVAILABLE] The server is going down; try again soon",
        [LOGIN_END_BAD_COMMANDS] = "BYE Too many bad commands (limits.bad-commands)",
        [LOGIN_END_SILENT] = "BYE You were silent for too long",
        [LOGIN_END_LOST] = "BYE [UNAVAILABLE] The session cannot go on; log in again",
    };
    append_response(&session->server->reply, SLICE(""), byes[end]);
}

static void forget(struct login_session *session)
{
    struct imap_login *imap = imap_of(session);
    end_exchange(imap);
    wipe(imap);
    command_reader_clear(&imap->reader);
}

static void turn_away(const char *limit, struct buffer *text)
{
    buffer_append_format(text, "* BYE [UNAVAILABLE] Too many connections (%s)\r\n", limit);
}

const struct login_protocol imap_login_protocol = {
    .alpn = "imap",
    .session_octets = sizeof(struct imap_login),
    .begin = begin,
    .step = step,
    .secured = secured,
    .returned = returned,
    .refused = refused,
    .challenged = challenged,
    .farewell = farewell,
    .tag = handed,
    .forget = forget,
    .turn_away = turn_away,
};
