/* The commands of exchange.h. */
#include "imapd/shared/exchange.h"

#include "imapd/mailbox.h"
#include "imapd/syntax/mailbox_name.h"

void exchange_init(struct exchange *exchange)
{
    *exchange = (struct exchange){.visit = NULL};
    buffer_init(&exchange->line, EXCHANGE_LINE_OCTETS);
    buffer_init(&exchange->tagged, EXCHANGE_LINE_OCTETS);
}

void exchange_clear(struct exchange *exchange)
{
    buffer_clear(&exchange->line);
    buffer_clear(&exchange->tagged);
}

static bool begin(struct exchange *exchange, struct slice tag, visit_hears *hears)
{
    if (!visit_begin_command(exchange->visit, tag, hears))
        return false;
    visit_say(exchange->visit, tag);
    visit_say(exchange->visit, SLICE(" "));
    buffer_reset(&exchange->line);
    buffer_reset(&exchange->tagged);
    exchange->verdict = VERDICT_NONE;
    visit_listen(exchange->visit);
    return true;
}

void exchange_begin(struct exchange *exchange, visit_hears *hears)
{
    begin(exchange, EXCHANGE_TAG, hears);
}

bool exchange_ask_as(struct exchange *exchange, struct slice tag, const struct buffer *command,
                     visit_hears *hears)
{
    if (!begin(exchange, tag, hears))
        return false;
    visit_say_text(exchange->visit, buffer_slice(command), false);
    visit_say(exchange->visit, SLICE("\r\n"));
    return true;
}

void exchange_ask(struct exchange *exchange, const struct buffer *command, visit_hears *hears)
{
    exchange_ask_as(exchange, EXCHANGE_TAG, command, hears);
}

void exchange_append_name(const struct session *session, struct slice name, struct buffer *text)
{
    struct buffer wire = BUFFER_WITH_LIMIT(4 * MAILBOX_NAME_MAX);
    mailbox_name_format(name, session_name_form(session), &wire);
    imap_append_mailbox(text, buffer_slice(&wire), session_name_form(session));
    buffer_clear(&wire);
}

void exchange_relay(const struct exchange *exchange, struct session *session)
{
    struct buffer *text = &session->writer.text;
    struct slice rest = slice_from(buffer_slice(&exchange->tagged), EXCHANGE_TAG.len);
    if (exchange->tagged.failed || !slice_ends_with(rest, SLICE("\r\n"))) {
        session_no(session, SLICE("UNAVAILABLE"), "The other account's mailbox has refused it");
        return;
    }
    buffer_append(text, session->tag);
    buffer_append(text, rest);
    session_answered(session);
}

bool exchange_take_end(struct exchange *exchange, struct visit *visit, enum answer_part part,
                       struct slice octets)
{
    if (part == ANSWER_TAGGED)
        buffer_append(&exchange->tagged, octets);
    if (part == ANSWER_END)
        exchange->verdict = visit->answer.verdict;
    if (part == ANSWER_LOST)
        exchange->lost = true;
    if (part == ANSWER_END || part == ANSWER_LOST)
        exchange_wake(visit->session);
    return part == ANSWER_TAGGED || part == ANSWER_END || part == ANSWER_LOST;
}

bool exchange_gather(struct exchange *exchange, struct session *session, struct slice octets)
{
    buffer_append(&exchange->line, octets);
    if (exchange->line.failed)
        exchange_wake(session);
    return !exchange->line.failed;
}

bool exchange_has_response(struct exchange *exchange, struct visit *visit, enum answer_part part,
                           struct slice octets)
{
    return !exchange_take_end(exchange, visit, part, octets)
           && exchange_gather(exchange, visit->session, octets)
           && answer_is_between_lines(&visit->answer);
}

void exchange_wake(struct session *session)
{
    session->waiting = false;
    turn_again(&session->mailbox->turn, &session->in_next_turn);
}
