/* Commands for other accounts' processes; see forward.h. */
#include "imapd/shared/forward.h"

#include "common/config/config.h"
#include "imapd/commands/commands.h"
#include "imapd/folder/intake.h"
#include "imapd/mailbox.h"
#include "imapd/session/notify.h"
#include "imapd/shared/carry.h"
#include "imapd/shared/exchange.h"
#include "imapd/shared/shared_names.h"
#include "imapd/shared/visit.h"
#include "imapd/syntax/folder_argument.h"
#include "imapd/syntax/mailbox_name.h"

enum { UNASKED_OCTETS = 65536 /* pending responses; beyond that no more is read */ };

static bool is_visiting(const struct session *session, struct slice owner)
{
    return session->visit && slice_equal(slice_of_string(session->visit->owner), owner);
}

static bool is_one_of(const struct session *session, command_handler *one, command_handler *other)
{
    return session->command->handler == one || session->command->handler == other;
}

static bool selects(const struct session *session)
{
    return is_one_of(session, command_select, command_examine);
}

/* ---- the end ---- */

static void leave(struct session *session)
{
    visit_end(session->visit);
    session->visit = NULL;
    if (session->state == SESSION_VISITING)
        session_end_visit(session);
}

static void listen_between_commands(struct visit *visit);

void forward_forget(struct session *session)
{
    if (session->forwarded != session->visit)
        visit_end(session->forwarded);
    session->forwarded = NULL;
    if (session->visit && session->visit->listens && !session->visit->is_listening)
        listen_between_commands(session->visit);
}

void forward_end(struct session *session)
{
    forward_forget(session);
    leave(session);
}

/* Applies the answer to the session, and ends a visit that is no longer needed. */
static void settle(struct session *session, struct visit *visit, bool succeeded)
{
    bool leaves = is_one_of(session, command_close, command_unselect);
    if (selects(session) && succeeded) {
        session->visit = visit;
        session_begin_visit(session);
    } else if (visit != session->visit) {
        visit_end(visit);
    } else if (selects(session) || (leaves && succeeded)) {
        leave(session);
    }
}

/* The command can still be answered, unless a response was half sent, the client is within a
 * literal, or its selected mailbox is lost too. */
static void answer_lost(struct session *session, struct visit *visit)
{
    bool is_unknown = visit->is_unknown, at_literal = visit->at_literal;
    bool is_over = visit == session->visit || !answer_is_between_lines(&visit->answer)
                   || (visit->is_open && !visit->is_listening && !at_literal);
    settle(session, visit, false);
    if (is_over)
        session_bye(session, "The other account's mailbox cannot be gone on with; log in again");
    else if (is_unknown)
        session_no(session, SLICE("NONEXISTENT"), "There is no such mailbox");
    else
        session_no(session, SLICE("UNAVAILABLE"), "The other account cannot be asked now");
    if (at_literal && !command_refuse_literal(&session->reader))
        session_bye(session, "What follows is too long to be skipped");
}

/* Between commands, or under one. */
static void on_lost(struct session *session, struct visit *visit)
{
    if (session->forwarded == visit && session->command && !session->on_line)
        answer_lost(session, visit);
    else
        session_bye(session, "The other account's mailbox cannot be gone on with; log in again");
    turn_again(&session->mailbox->turn, &session->in_next_turn);
}

/* ---- between commands: NOTIFY (RFC 5465) for the mailbox that is selected ---- */

static void say_unasked(struct session *session, struct visit *visit)
{
    buffer_append(&session->writer.text, buffer_slice(&visit->unasked));
    buffer_reset(&visit->unasked);
    visit->unasked_whole = 0;
}

/* Responses are kept until complete and sent between commands; the rest of one interrupted by a
 * command is sent before the command's answer. */
static void hear_unasked(struct visit *visit, enum answer_part part, struct slice octets)
{
    struct session *session = visit->session;
    if (part != ANSWER_TEXT && part != ANSWER_LITERAL) {
        on_lost(session, visit);
        return;
    }
    buffer_append(&visit->unasked, octets);
    if (visit->unasked.failed) {
        session_bye(session, "The other account's mailbox tells too much at once; log in again");
        return;
    }
    if (!answer_is_between_lines(&visit->answer))
        return;
    if (visit->hears_next) {
        say_unasked(session, visit);
        return;
    }
    visit->unasked_whole = visit->unasked.len;
    visit->is_held = visit->unasked_whole > UNASKED_OCTETS;
    session_has_news(session);
}

static void listen_between_commands(struct visit *visit)
{
    visit_bound_silence(visit, false);
    visit_begin_command(visit, EXCHANGE_TAG, hear_unasked);
    visit_listen(visit);
}

void forward_tell_unasked(struct session *session)
{
    struct visit *visit = session->visit;
    if (!visit || visit->unasked_whole == 0)
        return;
    buffer_append(&session->writer.text,
                  slice_range(buffer_slice(&visit->unasked), 0, visit->unasked_whole));
    buffer_consume(&visit->unasked, visit->unasked_whole);
    visit->unasked_whole = 0;
    visit->is_held = false;
    visit_go_on(visit);
}

/* Passes responses on to the client meanwhile; then the waiting command goes on. */
static void hear_set_up(struct visit *visit, enum answer_part part, struct slice octets)
{
    struct session *session = visit->session;
    if (part == ANSWER_LOST) {
        on_lost(session, visit);
    } else if (part == ANSWER_END) {
        visit->listens = visit->answer.verdict == VERDICT_OK;
        visit->is_setting_up = false;
        exchange_wake(session);
    } else if (part != ANSWER_TAGGED) {
        buffer_append(&session->writer.text, octets);
    }
}

static void set_up(struct session *session, struct visit *visit, const struct notify *notify,
                   session_step *then)
{
    struct buffer command = BUFFER_WITH_LIMIT(EXCHANGE_LINE_OCTETS);
    forward_tell_unasked(session);
    buffer_append(&command, EXCHANGE_TAG);
    buffer_append_octet(&command, ' ');
    notify_append_selected(notify, &command);
    visit->is_held = false;
    visit->is_setting_up = true;
    visit_bound_silence(visit, true);
    visit_begin_command(visit, EXCHANGE_TAG, hear_set_up);
    visit_say_text(visit, buffer_slice(&command), false);
    visit_say(visit, SLICE("\r\n"));
    visit_listen(visit);
    session_wait(session, then);
    buffer_clear(&command);
}

void forward_listen(struct session *session, const struct notify *notify, session_step *then)
{
    set_up(session, session->visit, notify, then);
}

bool forward_is_setting_up(const struct session *session)
{
    return session->visit && session->visit->is_setting_up;
}

/* ---- the answer ---- */

/* Before the client's literal: "+" allows it, or the command is answered. Unsolicited responses go
 * to the client. */
static void hear_plus(struct session *session, struct visit *visit, enum answer_part part,
                      struct slice octets)
{
    if (part == ANSWER_END) {
        visit->at_literal = visit->awaits_plus = false;
        settle(session, visit, visit->answer.verdict == VERDICT_OK);
        session_answered(session);
        if (!command_refuse_literal(&session->reader))
            session_bye(session, "What follows is too long to be skipped");
        return;
    }
    visit->in_plus = visit->in_plus || (!visit->in_news && slice_starts_with(octets, SLICE("+")));
    if (!visit->in_plus) {
        buffer_append(&session->writer.text, octets);
        visit->in_news = !answer_is_between_lines(&visit->answer);
    } else if (slice_ends_with(octets, SLICE("\n"))) {
        visit->awaits_plus = visit->in_plus = visit->is_listening = false;
        session->waiting = false;
        turn_again(&session->mailbox->turn, &session->in_next_turn);
    }
}

static void hear(struct visit *visit, enum answer_part part, struct slice octets)
{
    struct session *session = visit->session;
    if (part == ANSWER_LOST) {
        on_lost(session, visit);
    } else if (visit->awaits_plus && part != ANSWER_TAGGED) {
        hear_plus(session, visit, part, octets);
    } else if (part != ANSWER_END) {
        buffer_append(&session->writer.text, octets);
    } else if (session->on_line) { /* it does not idle there */
        session_bye(session, "The other account's mailbox cannot be idled in; log in again");
    } else {
        settle(session, visit, visit->answer.verdict == VERDICT_OK);
        session_answered(session);
    }
}

/* ---- the command ---- */

/* False: the command was ended. */
static bool begin(struct session *session, struct slice owner)
{
    bool is_there = is_visiting(session, owner);
    if (slice_equal(owner, slice_of_string(session->mailbox->account))) {
        session_no(session, SLICE("NONEXISTENT"), "Only mailboxes of others are there");
        return false;
    }
    if (is_there)
        session->visit->is_held = false;
    struct visit *visit = is_there ? session->visit : visit_begin(session, owner);
    session->forwarded = visit;
    if (visit)
        visit_bound_silence(visit, session->command->handler != command_idle);
    if (visit && visit_begin_command(visit, session->tag, hear))
        return true;
    if (!is_there)
        visit_end(visit);
    session->forwarded = NULL;
    session_no(session, SLICE("UNAVAILABLE"), "The other account cannot be asked now");
    return false;
}

static void wait_step(struct session *session)
{
    session_wait(session, wait_step);
}

static void hear_answer(struct session *session)
{
    visit_listen(session->forwarded);
    session_wait(session, wait_step);
    visit_go_on(session->forwarded);
}

static void on_done(struct session *session, struct slice line)
{
    visit_bound_silence(session->forwarded, true);
    visit_say(session->forwarded, line);
    visit_say(session->forwarded, SLICE("\r\n"));
    session_wait(session, wait_step);
}

/* All of it came. */
static void forward(struct session *session, struct slice owner)
{
    if (!begin(session, owner))
        return;
    visit_say_text(session->forwarded, command_text(&session->reader), false);
    visit_say(session->forwarded, SLICE("\r\n"));
    if (session->command->handler != command_idle) {
        hear_answer(session);
        return;
    }
    session_await_line(session, on_done);
    visit_listen(session->forwarded);
}

/* ---- which ---- */

/* getmetadata-options, which have no strings. If malformed, no mailbox is found after them. */
static void skip_options(struct imap_parser *arguments)
{
    struct slice rest = cursor_rest(&arguments->in);
    size_t end = slice_find_octet(rest, ')');
    if (slice_starts_with(rest, SLICE(" (")) && end < rest.len)
        arguments->in.at += end + 1;
}

/* The owner of the mailbox named in the arguments, which may begin with a set of messages or
 * options. False: it is not another account's. */
static bool find_owner(const struct session *session, struct imap_parser arguments,
                       struct slice *owner)
{
    struct folder_argument folder;
    struct sequence_set set;
    if ((session->command->traits & COMMAND_NAMES_TARGET)
        && (!imap_parse_space(&arguments) || !imap_parse_sequence_set(&arguments, &set)))
        return false;
    if (session->command->handler == command_getmetadata)
        skip_options(&arguments);
    if (!imap_parse_space(&arguments) || !folder_argument_parse_level(&arguments, &folder)
        || !folder.is_shared)
        return false;
    *owner = shared_names_owner(session, folder.name);
    return owner->len > 0;
}

/* CATENATE, with pieces that the owner's process cannot read (imapd/shared/upload.h), runs here. */
static bool is_put_together_here(const struct session *session, struct imap_parser arguments)
{
    struct folder_argument folder;
    struct intake_message message = {.is_catenated = false};
    if (session->command->handler != command_append || !imap_parse_space(&arguments)
        || !folder_argument_parse(&arguments, &folder))
        return false;
    intake_parse(&arguments, &message);
    return message.is_catenated;
}

/* Skips a message's number. False: it is incomplete or malformed. */
static bool names_mailbox(struct imap_parser arguments)
{
    struct folder_argument folder;
    struct sequence_set set;
    return imap_parse_space(&arguments) && imap_parse_sequence_set(&arguments, &set)
           && imap_parse_space(&arguments) && folder_argument_parse(&arguments, &folder);
}

/* "if the SELECT fails, no mailbox is selected"; if the same process has the next one, it
 * sends CLOSED itself. */
static void leave_selected(struct session *session, struct slice owner)
{
    bool visiting = session->state == SESSION_VISITING;
    if (is_visiting(session, owner) || (!visiting && session->state != SESSION_SELECTED))
        return;
    writer_untagged(&session->writer, WRITER_OK, SLICE("CLOSED"), "Left the other mailbox");
    if (visiting)
        leave(session);
    else
        session_unselect(session);
}

/* After NOTIFY, so that no change of the mailbox is missed. */
static void select_step(struct session *session)
{
    struct visit *visit = session->forwarded;
    if (visit->is_setting_up) {
        session_wait(session, select_step);
        return;
    }
    visit_begin_command(visit, session->tag, hear);
    visit_say_text(visit, command_text(&session->reader), false);
    visit_say(visit, SLICE("\r\n"));
    hear_answer(session);
}

/* Records the mailbox selected there, for COPY and MOVE (carry.c). */
static void select_there(struct session *session, struct slice owner, struct imap_parser arguments)
{
    struct folder_argument folder;
    struct buffer wire = BUFFER_WITH_LIMIT(2 * MAILBOX_NAME_MAX);
    bool examines = session->command->handler == command_examine;
    bool parsed = imap_parse_space(&arguments) && folder_argument_parse(&arguments, &folder)
                  && mailbox_name_format(folder.name, session_name_form(session), &wire);
    if (!session->notify)
        forward(session, owner);
    else if (begin(session, owner))
        set_up(session, session->forwarded, session->notify, select_step);
    struct visit *visit = session->forwarded;
    if (visit && parsed) {
        visit->is_examined = examines;
        buffer_reset(&visit->selected);
        imap_append_mailbox(&visit->selected, buffer_slice(&wire), session_name_form(session));
    }
    buffer_clear(&wire);
}

/* Whether the command concerns only the selected mailbox. */
static bool is_for_selected(const struct session *session, struct imap_parser arguments)
{
    return !(session->command->states & SESSION_AUTHENTICATED)
           || is_one_of(session, command_noop, command_idle)
           || session->command->handler == command_enable
           || (session->command->handler == command_esearch && esearch_is_of_selected(arguments));
}

static bool is_between_accounts(const struct session *session, bool names_shared,
                                struct slice owner)
{
    if (!is_one_of(session, command_copy, command_move))
        return false;
    return session->state == SESSION_VISITING ? !names_shared || !is_visiting(session, owner)
                                              : names_shared;
}

bool forward_takes(struct session *session, const struct imap_parser *arguments)
{
    enum { NAMING = COMMAND_NAMES_MAILBOX | COMMAND_NAMES_TARGET };
    struct slice owner = SLICE("");
    struct imap_parser rest = *arguments;
    bool visiting = session->state == SESSION_VISITING;
    if (session->visitor || (!visiting && !session->mailbox->config->imap.shared.text))
        return false;
    bool names_shared =
        (session->command->traits & NAMING) && find_owner(session, *arguments, &owner);
    if (visiting)
        forward_tell_unasked(session);
    if (!session->command)
        return true; /* the mailbox was lost, and the session with it */
    if (visiting && session->command->handler == command_enable)
        enable_quietly(session, *arguments);
    if (selects(session))
        leave_selected(session, owner);
    if (session->command->handler == command_replace && names_shared
        && !is_visiting(session, owner))
        session_no(session, SLICE("CANNOT"), "Not between mailboxes of different accounts");
    else if (is_between_accounts(session, names_shared, owner))
        carry_begin(session, &rest);
    else if (names_shared && selects(session))
        select_there(session, owner, *arguments);
    else if (names_shared && is_put_together_here(session, *arguments))
        return false;
    else if (names_shared)
        forward(session, owner);
    else if (visiting && is_for_selected(session, *arguments))
        forward(session, slice_of_string(session->visit->owner));
    else
        return false;
    return true;
}

/* ---- streamed literals ---- */

/* The owner's process has been connected, or cannot be. */
static void stream_step(struct session *session)
{
    if (visit_is_full(session->forwarded) || session->forwarded->awaits_plus) {
        session_wait(session, stream_step);
        return;
    }
    session->forwarded->at_literal = false;
    session_continue(session, NULL);
    session_stream_literal(session);
}

/* A literal is refused before the client sends it. */
static void await_plus(struct visit *visit)
{
    visit->awaits_plus = true;
    visit->in_plus = false;
    visit->in_news = false;
    visit_listen(visit);
}

/* If a part of the command was sent already, only ending the visit undoes it. */
static void refuse_size(struct session *session, struct visit *visit, bool is_begun)
{
    if (visit == session->visit && is_begun) {
        session_bye(session, "The message is larger than limits.message-size");
        return;
    }
    if (visit != session->visit)
        visit_end(visit);
    session->forwarded = NULL;
    session_no(session, SLICE("TOOBIG"), "The message is larger than limits.message-size");
}

static void stream(struct session *session, bool is_begun)
{
    uint64_t octets = session->reader.literal.octets;
    struct visit *visit = session->forwarded;
    if (octets <= session->mailbox->config->limits.message_size_octets) {
        visit_say_text(visit, command_text(&session->reader),
                       session->reader.literal.synchronising);
        visit->at_literal = true;
        session_continue(session, stream_step);
        if (session->reader.literal.synchronising)
            await_plus(visit);
        return;
    }
    refuse_size(session, visit, is_begun);
}

/* REPLACE is of the selected mailbox and of another one (RFC 8508 3): both have to be one
 * account's.
 */
static bool forward_replace(struct session *session, const struct imap_parser *arguments)
{
    struct slice owner = SLICE("");
    bool names_shared = find_owner(session, *arguments, &owner);
    bool visiting = session->state == SESSION_VISITING;
    if (visiting && names_shared && is_visiting(session, owner)) {
        if (begin(session, owner))
            stream(session, false);
        return true;
    }
    if (!names_shared && (!visiting || !names_mailbox(*arguments)))
        return false; /* at home; or the name is a literal, and not here yet */
    session_no(session, SLICE("CANNOT"), "Not between mailboxes of different accounts");
    return true;
}

bool forward_literal(struct session *session, const struct imap_parser *arguments)
{
    struct slice owner;
    if (session->forwarded) {
        stream(session, true);
        return true;
    }
    if (session->command->handler == command_replace && !session->visitor && !session->work)
        return forward_replace(session, arguments);
    if (!session->mailbox->config->imap.shared.text || session->visitor
        || !(session->command->traits & COMMAND_NAMES_MAILBOX) || session->work
        || !find_owner(session, *arguments, &owner) || is_put_together_here(session, *arguments))
        return false;
    /* Of its own: the answer may come before the last octet, and a mailbox is selected in the
     * other. */
    if (begin(session, owner))
        stream(session, false);
    return true;
}

void forward_octets(struct session *session, struct slice octets)
{
    visit_say(session->forwarded, octets);
}

void forward_rest(struct session *session, struct slice text)
{
    visit_say_text(session->forwarded, text, false);
    visit_say(session->forwarded, SLICE("\r\n"));
    hear_answer(session);
}

bool forward_is_within_line(const struct session *session)
{
    return session->forwarded && !answer_is_between_lines(&session->forwarded->answer);
}

bool forward_is_full(const struct session *session)
{
    return session->forwarded && visit_is_full(session->forwarded);
}
