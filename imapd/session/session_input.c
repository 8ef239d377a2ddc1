/* The client's input: passes events of imapd/syntax/command.h to the handlers of commands. */
#include "imapd/session/session_internal.h"

#include "common/config/config.h"
#include "imapd/mailbox.h"
#include "imapd/shared/forward.h"
#include "imapd/shared/rights.h"

void session_init_parser(struct session *session, struct imap_parser *parser, struct slice text)
{
    imap_parser_init(parser, text, &session->arena);
    parser->utf8 = session->view.manner & VIEW_UTF8;
    parser->expunged = session->visitor ? NULL : session->mailbox->undo.name;
    parser->shared = session->mailbox->config->imap.shared.text;
    parser->visited = session->visitor ? session->visitor->top : NULL;
}

static bool is_left_out(const struct session *session, const struct command_spec *spec)
{
    return session->without && spec->capability
           && !session_has_capability(session, slice_of_string(spec->capability));
}

/* False: the text names no command that may run now, and was answered with BAD. */
static bool find_command(struct session *session, struct imap_parser *parser)
{
    struct slice name;
    if (!imap_parse_space(parser) || !imap_parse_word(parser, &name)) {
        session_bad(session, "Expected a tag, a space and a command");
        return false;
    }
    session->by_uid = slice_equal_nocase(name, SLICE("UID"));
    if (session->by_uid && (!imap_parse_space(parser) || !imap_parse_word(parser, &name))) {
        session_bad(session, "Expected a command after UID");
        return false;
    }
    const struct command_spec *spec = command_find(name);
    if (!spec || is_left_out(session, spec)
        || (session->by_uid && !(spec->traits & COMMAND_HAS_UID))) {
        session_bad(session, "There is no such command");
        return false;
    }
    if (!(spec->states & session->state)) {
        session_bad(session, spec->states & SESSION_SELECTED ? "No mailbox is selected"
                                                             : "Not when you are logged in");
        return false;
    }
    if ((session->view.manner & VIEW_UID_ONLY) && (spec->traits & COMMAND_HAS_NUMBERS)
        && !session->by_uid) {
        session_bad_numbers(session);
        return false;
    }
    if (session->visitor && !rights_let_run(session, spec))
        return false;
    session->command = spec;
    return true;
}

/* command = tag SP (...) CRLF. False: answered with BAD or NO. */
static bool begin_command(struct session *session, struct imap_parser *parser)
{
    struct slice tag;
    if (!imap_parse_tag(parser, &tag)) {
        session_bad(session, "Expected a tag, a space and a command");
        return false;
    }
    session->tag = arena_copy(&session->arena, tag);
    if (!session->tag.ptr) {
        session->tag = tag; /* the reader has it still */
        session_no(session, SLICE("UNAVAILABLE"), "Out of memory, try again later");
        return false;
    }
    if (session->tells_progress)
        session->progress_ms = turn_now_ms() + session->mailbox->config->imap.progress_ms;
    return find_command(session, parser);
}

static void on_ready(struct session *session)
{
    struct imap_parser parser;
    struct slice text = command_text(&session->reader);
    session_init_parser(session, &parser, text);
    if (session->on_line) {
        line_handler *on_line = session->on_line;
        session->on_line = NULL;
        on_line(session, text);
    } else if (session->forwarded) {
        forward_rest(session, text);
    } else if (session->command
               || (begin_command(session, &parser) && !forward_takes(session, &parser))) {
        session->command->handler(session, &parser);
    }
}

/* The tag of a command that never became whole: it is answered before the reader goes on. */
static void take_tag(struct session *session)
{
    struct imap_parser parser;
    struct slice tag;
    session_init_parser(session, &parser, command_text(&session->reader));
    if (!session->command && imap_parse_tag(&parser, &tag) && imap_parse_space(&parser))
        session->tag = tag;
}

static void on_problem(struct session *session)
{
    const char *text = command_problem_text(session->reader.problem);
    take_tag(session);
    if (session->reader.problem == COMMAND_NO_MEMORY)
        session_no(session, SLICE("UNAVAILABLE"), text);
    else
        session_bad(session, text);
}

static void collect_literal(struct session *session)
{
    if (command_accept_literal(&session->reader)) {
        if (session->reader.literal.synchronising)
            writer_continue(&session->writer, "Ready for literal data");
        return;
    }
    on_problem(session);
    if (!command_refuse_literal(&session->reader))
        session_bye(session, "What follows is too long to be skipped");
}

/* Refused already, or not to be run at all: what is still to come of it is skipped. */
static void skip_rest(struct session *session, bool announced)
{
    bool skipped =
        announced ? command_refuse_literal(&session->reader) : command_skip_rest(&session->reader);
    if (!skipped)
        session_bye(session, "What follows is too long to be skipped");
}

static void on_literal(struct session *session)
{
    struct imap_parser parser;
    session_init_parser(session, &parser, command_text(&session->reader));
    bool is_streaming = session->command != NULL;
    if (!is_streaming && !begin_command(session, &parser)) {
        skip_rest(session, true);
        return;
    }
    const struct command_spec *spec = session->command;
    bool dealt_with = spec->on_literal
                      && (forward_literal(session, &parser) || spec->on_literal(session, &parser));
    if (dealt_with) {
        if (!session->command)
            skip_rest(session, true);
        return;
    }
    if (!is_streaming)
        session_end_command(session); /* it begins anew when it is whole */
    collect_literal(session);
}

static void on_octets(struct session *session, struct slice octets)
{
    if (session->forwarded)
        forward_octets(session, octets);
    else
        session->command->on_octets(session, octets);
    if (!session->command)
        skip_rest(session, false);
}

/* False: nothing more is to be read now. */
static bool take_event(struct session *session, enum command_event event, struct slice octets)
{
    switch (event) {
    case COMMAND_MORE:
        return false;
    case COMMAND_READY:
        on_ready(session);
        break;
    case COMMAND_LITERAL:
        on_literal(session);
        break;
    case COMMAND_OCTETS:
        on_octets(session, octets);
        break;
    case COMMAND_BAD:
        on_problem(session);
        break;
    case COMMAND_CLOSE:
        if (session->reader.problem != COMMAND_FINE)
            on_problem(session);
        session_bye(session, "What follows is too long to be skipped");
        break;
    }
    return true;
}

bool session_read_event(struct session *session)
{
    struct slice octets = SLICE("");
    struct cursor in = cursor_of(stream_input(&session->stream));
    struct cursor start = in;
    enum command_event event = command_read(&session->reader, &in, &octets);
    stream_consume(&session->stream, cursor_since(&in, &start).len);
    return take_event(session, event, octets);
}
