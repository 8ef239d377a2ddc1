/*
 * POP3 before the login (RFC 1939 4, 2449, 2595, 5034, 6856); see login.h. Runs in pop3d-login. The
 * connection's states are those of common/login/login.h; within TALKING a client may be in the
 * middle of USER and PASS (`user`), or of an exchange of AUTH (`sasl`).
 */
#include "pop3d/login.h"

#include <stdlib.h>

#include "pop3d/capability.h"
#include "pop3d/language.h"
#include "pop3d/line.h"
#include "pop3d/login_command.h"

struct pop3_login {
    struct login_session base; /* first: common/login/login.c allocates by session_octets */
    struct pop3_line_reader lines;
    struct buffer user; /* of USER; empty: not given */
    struct sasl *sasl;  /* in an exchange, else NULL */
    bool utf8;
};

static struct pop3_login *pop3_of(struct login_session *session)
{
    return (struct pop3_login *)(void *)session;
}

/* ---- replies ---- */

static void reply(struct pop3_login *pop3, const char *text)
{
    struct buffer *line = &pop3->base.server->reply;
    buffer_reset(line);
    buffer_append_string(line, text);
    buffer_append(line, SLICE("\r\n"));
    login_reply(&pop3->base);
}

static void refuse_command(struct pop3_login *pop3, const char *text)
{
    struct buffer *line = &pop3->base.server->reply;
    buffer_reset(line);
    buffer_append_format(line, "-ERR %s\r\n", text);
    login_reply(&pop3->base);
    login_count_bad_command(&pop3->base);
}

/* RFC 8314 4: what to do is said, since a person may read it. */
static bool passwords_are_taken(struct pop3_login *pop3)
{
    if (login_takes_passwords(&pop3->base))
        return true;
    refuse_command(pop3, "Passwords need TLS here: use STLS, or port 995");
    return false;
}

/* ---- USER and PASS ---- */

static void forget_user(struct pop3_login *pop3)
{
    buffer_clear(&pop3->user);
}

static void on_user(struct pop3_login *pop3, const struct pop3_login_command *command)
{
    if (!passwords_are_taken(pop3))
        return;
    buffer_reset(&pop3->user);
    buffer_append(&pop3->user, command->argument);
    reply(pop3, pop3->user.failed ? "-ERR [SYS/TEMP] Out of memory" : "+OK");
}

static void on_pass(struct pop3_login *pop3, const struct pop3_login_command *command)
{
    if (!passwords_are_taken(pop3))
        return;
    if (pop3->user.len == 0 || pop3->user.failed) {
        refuse_command(pop3, "USER comes first");
        return;
    }
    login_ask(&pop3->base, buffer_slice(&pop3->user), command->argument);
}

/* ---- AUTH ---- */

static void end_exchange(struct pop3_login *pop3)
{
    if (!pop3->sasl)
        return;
    sasl_clear(pop3->sasl);
    free(pop3->sasl);
    pop3->sasl = NULL;
}

static void on_exchange(struct pop3_login *pop3, enum sasl_result result, struct slice challenge)
{
    struct buffer *line = &pop3->base.server->reply;
    switch (result) {
    case SASL_CONTINUE:
        buffer_reset(line);
        buffer_append(line, SLICE("+ "));
        buffer_append(line, challenge);
        buffer_append(line, SLICE("\r\n"));
        login_reply(&pop3->base);
        return;
    case SASL_ASK:
        login_ask_exchange(&pop3->base, pop3->sasl);
        return;
    case SASL_DONE:
        login_ask_sasl(&pop3->base, pop3->sasl);
        break;
    case SASL_CANCELLED:
        refuse_command(pop3, "Cancelled");
        break;
    case SASL_MALFORMED:
        refuse_command(pop3, "That is not a response of this mechanism in base64");
        break;
    }
    end_exchange(pop3);
}

/* Not of RFC 5034, but of RFC 1734's time; Outlook asks so. */
static void list_mechanisms(struct pop3_login *pop3)
{
    struct buffer *text = &pop3->base.server->reply;
    buffer_reset(text);
    buffer_append(text, SLICE("+OK\r\n"));
    if (login_takes_passwords(&pop3->base))
        sasl_append_mechanisms(login_mechanisms(&pop3->base), "", "\r\n", text);
    buffer_append(text, SLICE(".\r\n"));
    login_reply(&pop3->base);
}

static void on_auth(struct pop3_login *pop3, const struct pop3_login_command *command)
{
    enum sasl_mechanism mechanism;
    if (command->argument.len == 0) {
        list_mechanisms(pop3);
        return;
    }
    if (!passwords_are_taken(pop3))
        return;
    if (!sasl_find_mechanism(command->argument, login_mechanisms(&pop3->base), &mechanism)) {
        refuse_command(pop3, "Unknown mechanism: CAPA names those that are there");
        return;
    }
    pop3->sasl = calloc(1, sizeof(*pop3->sasl));
    if (!pop3->sasl) {
        reply(pop3, "-ERR [SYS/TEMP] Out of memory");
        return;
    }
    struct slice challenge;
    enum sasl_result result = sasl_start(
        pop3->sasl, mechanism, command->initial.ptr ? &command->initial : NULL, &challenge);
    on_exchange(pop3, result, challenge);
}

/* ---- the others ---- */

static void on_capa(struct pop3_login *pop3, const struct pop3_login_command *command)
{
    (void)command;
    struct buffer *text = &pop3->base.server->reply;
    buffer_reset(text);
    buffer_append(text, SLICE("+OK Capabilities\r\n"));
    pop3_capabilities_append(login_config(&pop3->base), text);
    if (login_takes_passwords(&pop3->base)) {
        buffer_append(text, SLICE("USER\r\nSASL"));
        sasl_append_mechanisms(login_mechanisms(&pop3->base), " ", "", text);
        buffer_append(text, SLICE("\r\n"));
    }
    if (login_can_start_tls(&pop3->base))
        buffer_append(text, SLICE("STLS\r\n"));
    buffer_append(text, SLICE(".\r\n"));
    login_reply(&pop3->base);
}

static void on_stls(struct pop3_login *pop3, const struct pop3_login_command *command)
{
    (void)command;
    if (pop3->base.secured) {
        refuse_command(pop3, "TLS is there already");
        return;
    }
    if (!login_can_start_tls(&pop3->base)) {
        refuse_command(pop3, "There is no TLS here");
        return;
    }
    reply(pop3, "+OK Begin TLS");
    login_start_tls(&pop3->base);
}

static void on_utf8(struct pop3_login *pop3, const struct pop3_login_command *command)
{
    (void)command;
    pop3->utf8 = true;
    reply(pop3, "+OK");
}

static void on_lang(struct pop3_login *pop3, const struct pop3_login_command *command)
{
    const char *answer = pop3_language_answer(command->argument);
    if (answer)
        reply(pop3, answer);
    else
        refuse_command(pop3, "That language is not spoken here");
}

static void on_quit(struct pop3_login *pop3, const struct pop3_login_command *command)
{
    (void)command;
    reply(pop3, "+OK Bye");
    login_close(&pop3->base, "QUIT");
}

static void on_later(struct pop3_login *pop3, const struct pop3_login_command *command)
{
    (void)command;
    refuse_command(pop3, "Log in first");
}

static void on_unknown(struct pop3_login *pop3, const struct pop3_login_command *command)
{
    (void)command;
    refuse_command(pop3, "Unknown command");
}

/* ---- reading ---- */

static void on_command(struct pop3_login *pop3, struct slice line)
{
    static void (*const handlers[])(struct pop3_login *, const struct pop3_login_command *) = {
        [POP3_CAPA] = on_capa,       [POP3_USER] = on_user, [POP3_PASS] = on_pass,
        [POP3_AUTH] = on_auth,       [POP3_STLS] = on_stls, [POP3_UTF8] = on_utf8,
        [POP3_LANG] = on_lang,       [POP3_QUIT] = on_quit, [POP3_LATER] = on_later,
        [POP3_UNKNOWN] = on_unknown,
    };
    struct pop3_login_command command;
    const char *wrong;
    if (pop3_login_command_parse(line, &command, &wrong))
        handlers[command.verb](pop3, &command);
    else
        refuse_command(pop3, wrong);
}

static void on_line(struct pop3_login *pop3, struct slice line)
{
    struct slice challenge = SLICE("");
    if (!pop3->sasl)
        on_command(pop3, line);
    else
        on_exchange(pop3, sasl_respond(pop3->sasl, line, &challenge), challenge);
}

/* RFC 5034 4: the responses of AUTH may be longer than commands. So may an initial one be here: not
 * all clients keep a long token for the next line. */
static size_t line_limit(const struct pop3_login *pop3)
{
    struct cursor in = cursor_of(stream_input(&pop3->base.client));
    if (pop3->sasl || cursor_skip_nocase(&in, SLICE("AUTH ")))
        return SASL_LINE_LIMIT + 64;
    return (size_t)login_config(&pop3->base)->limits.pop3_line_octets;
}

static void on_bad_line(struct pop3_login *pop3, const char *text)
{
    end_exchange(pop3);
    refuse_command(pop3, text);
}

/* False: the input holds no whole line. */
static bool read_line(struct pop3_login *pop3)
{
    struct stream *client = &pop3->base.client;
    struct slice input = stream_input(client);
    struct cursor cursor = cursor_of(input);
    struct slice line;
    enum pop3_line_result result = pop3_line_read(&pop3->lines, &cursor, line_limit(pop3), &line);
    stream_consume(client, input.len - cursor_left(&cursor));
    if (result == POP3_LINE_READY)
        on_line(pop3, line);
    else if (result == POP3_LINE_BARE)
        on_bad_line(pop3, "Lines end in CRLF; CR, LF and NUL are nowhere else");
    else if (result == POP3_LINE_TOO_LONG)
        on_bad_line(pop3, "Line too long (limits.pop3-line)");
    stream_wipe_consumed(client); /* it may have been a password */
    return result != POP3_LINE_MORE;
}

/* ---- what common/login/login.c calls ---- */

static void step(struct login_session *session)
{
    while (login_is_talking(session) && !stream_output_full(&session->client))
        if (!read_line(pop3_of(session)))
            return;
}

static void begin(struct login_session *session)
{
    buffer_init(&pop3_of(session)->user, AUTH_NAME_MAX + 1);
    buffer_append_format(&session->server->reply, "+OK %s staffetta POP3\r\n",
                         login_config(session)->hostname);
}

static void forget(struct login_session *session)
{
    end_exchange(pop3_of(session));
    forget_user(pop3_of(session));
}

static void secured(struct login_session *session)
{
    struct pop3_login *pop3 = pop3_of(session);
    forget(session);
    pop3->utf8 = false;
    pop3->lines = (struct pop3_line_reader){.skipping = false};
}

static void challenged(struct login_session *session, struct slice message)
{
    struct buffer *line = &session->server->reply;
    buffer_append(line, SLICE("+ "));
    base64_encode(message, line);
    buffer_append(line, SLICE("\r\n"));
}

/* RFC 2449 8, RFC 3206 */
static void refused(struct login_session *session, enum login_refusal refusal)
{
    static const char *const texts[] = {
        [LOGIN_WRONG] = "[AUTH] Name or password is wrong",
        [LOGIN_THROTTLED] = "[SYS/TEMP] Too many failures; try again later",
        [LOGIN_EXPIRED] = "[AUTH] The account or its password has expired",
        [LOGIN_TEMPORARY] = "[SYS/TEMP] Logging in is not possible now; try again later",
        [LOGIN_MALFORMED] = "That is not a message of this mechanism",
        [LOGIN_IN_USE] = "[IN-USE] Another session has the maildrop",
    };
    end_exchange(pop3_of(session));
    forget_user(pop3_of(session));
    buffer_append_format(&session->server->reply, "-ERR %s\r\n", texts[refusal]);
}

/* RFC 1939 3: a connection that was silent too long is closed without a word. */
static void farewell(struct login_session *session, enum login_end end)
{
    if (end == LOGIN_END_BAD_COMMANDS)
        buffer_append(&session->server->reply,
                      SLICE("-ERR [SYS/PERM] Too many bad commands (limits.bad-commands)\r\n"));
}

static struct slice tag(const struct login_session *session)
{
    const struct pop3_login *pop3 = (const struct pop3_login *)(const void *)session;
    return pop3->utf8 ? SLICE("UTF8") : SLICE("");
}

static void turn_away(const char *limit, struct buffer *text)
{
    buffer_append_format(text, "-ERR [SYS/TEMP] Too many connections (%s)\r\n", limit);
}

const struct login_protocol pop3_login_protocol = {
    .alpn = "pop3",
    .session_octets = sizeof(struct pop3_login),
    .begin = begin,
    .step = step,
    .secured = secured,
    .refused = refused,
    .challenged = challenged,
    .farewell = farewell,
    .tag = tag,
    .forget = forget,
    .turn_away = turn_away,
};
