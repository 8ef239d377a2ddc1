/* The fetching of url_fetch.h. */
#include "imapd/shared/url_fetch.h"

#include "common/config/config.h"
#include "imapd/mailbox.h"
#include "imapd/shared/shared_names.h"

bool url_fetch_is_needed(const struct session *session, const struct message_url *url)
{
    if (url->mailbox.len == 0)
        return session->state == SESSION_VISITING;
    return !session->visitor && shared_names_has(session, url->mailbox);
}

void url_fetch_end(struct url_fetch *fetch)
{
    visit_end(fetch->exchange.visit);
    fetch->exchange.visit = NULL;
    exchange_clear(&fetch->exchange);
}

/* ---- hearing ---- */

static bool find_number(struct slice line, struct slice word, uint64_t *number)
{
    struct cursor in = cursor_of(slice_from(line, slice_find(line, word) + word.len));
    return slice_find(line, word) < line.len && cursor_take_number(&in, number);
}

static void hear_mailbox(struct visit *visit, enum answer_part part, struct slice octets)
{
    struct url_fetch *fetch = visit->hearer;
    uint64_t uidvalidity;
    if (exchange_take_end(&fetch->exchange, visit, part, octets)
        || !exchange_gather(&fetch->exchange, visit->session, octets)
        || !answer_is_between_lines(&visit->answer))
        return;
    if (find_number(buffer_slice(&fetch->exchange.line), SLICE("* OK [UIDVALIDITY "), &uidvalidity))
        fetch->is_other = fetch->url->uidvalidity && uidvalidity != fetch->url->uidvalidity;
    buffer_reset(&fetch->exchange.line);
}

/* The data is treated as the client's, whichever process sent it: within the message size, and
 * without NUL unless allowed (RFC 3516 4.4). */
static bool may_take(const struct url_fetch *fetch, uint64_t octets)
{
    uint64_t limit = fetch->session->mailbox->config->limits.message_size_octets;
    uint64_t there = fetch->intake->last->append.octets;
    return octets <= limit && there <= limit - octets;
}

static void write_octets(struct url_fetch *fetch, struct slice octets)
{
    bool is_binary = fetch->intake->last->is_binary;
    if (fetch->error.kind != ERROR_NONE)
        return;
    if (!is_binary && slice_find_octet(octets, 0) < octets.len)
        error_set(&fetch->error, ERROR_NOT_FOUND, "the message has a NUL");
    else
        intake_write(fetch->intake, octets, &fetch->error);
}

/* Then the rest of it is not needed. */
static void fail_at_once(struct url_fetch *fetch)
{
    if (fetch->error.kind != ERROR_NONE)
        exchange_wake(fetch->session);
}

/* "* 1 FETCH (UID 7 BODY[1] {23}", or '""', or NIL where there is no such part. */
static void take_line(struct url_fetch *fetch, const struct answer *answer)
{
    struct slice line = buffer_slice(&fetch->exchange.line);
    bool announces = !answer_is_between_lines(answer);
    bool is_value = slice_find(line, SLICE(" FETCH (")) < line.len
                    || slice_find(line, SLICE(" UIDFETCH (")) < line.len;
    if (fetch->is_taken || !is_value || slice_find(line, SLICE("BODY[")) == line.len) {
        fetch->in_value = false;
    } else if (announces) {
        fetch->in_value = fetch->is_taken = true;
        if (!may_take(fetch, answer->literal_left))
            error_set(&fetch->error, ERROR_NOT_FOUND, "the message is too large");
    } else {
        fetch->is_taken = slice_find(line, SLICE("] \"\"")) < line.len
                          || slice_find(line, SLICE("> \"\"")) < line.len;
    }
}

static void hear_message(struct visit *visit, enum answer_part part, struct slice octets)
{
    struct url_fetch *fetch = visit->hearer;
    if (exchange_take_end(&fetch->exchange, visit, part, octets))
        return;
    if (part == ANSWER_LITERAL) {
        if (fetch->in_value)
            write_octets(fetch, octets);
        fail_at_once(fetch);
        fetch->in_value = fetch->in_value && visit->answer.literal_left > 0;
        return;
    }
    if (!exchange_gather(&fetch->exchange, visit->session, octets) || octets.len == 0
        || octets.ptr[octets.len - 1] != '\n')
        return;
    take_line(fetch, &visit->answer);
    fail_at_once(fetch);
    buffer_reset(&fetch->exchange.line);
}

/* ---- asking ---- */

static bool error_unavailable(struct error *error)
{
    return error_set(error, ERROR_TEMPORARY, "the other account cannot be asked");
}

static struct slice owner_of(const struct session *session, const struct message_url *url)
{
    return url->mailbox.len > 0 ? shared_names_owner(session, url->mailbox)
                                : slice_of_string(session->visit->owner);
}

bool url_fetch_begin(struct url_fetch *fetch, struct session *session,
                     const struct message_url *url, struct error *error)
{
    struct buffer command = BUFFER_WITH_LIMIT(EXCHANGE_LINE_OCTETS);
    struct slice owner = owner_of(session, url);
    *fetch = (struct url_fetch){.session = session, .url = url};
    if (owner.len == 0 || slice_equal(owner, slice_of_string(session->mailbox->account)))
        return error_set(error, ERROR_NOT_FOUND, "only mailboxes of others are there");
    exchange_init(&fetch->exchange);
    fetch->exchange.visit = visit_begin(session, owner);
    if (!fetch->exchange.visit)
        return error_unavailable(error);
    fetch->exchange.visit->hearer = fetch;
    visit_bound_silence(fetch->exchange.visit, true);
    buffer_append(&command, SLICE("EXAMINE "));
    if (url->mailbox.len > 0)
        exchange_append_name(session, url->mailbox, &command);
    else
        buffer_append(&command, buffer_slice(&session->visit->selected));
    exchange_ask(&fetch->exchange, &command, hear_mailbox);
    buffer_clear(&command);
    return true;
}

static void ask_message(struct url_fetch *fetch)
{
    struct buffer command = BUFFER_WITH_LIMIT(EXCHANGE_LINE_OCTETS);
    fetch->is_fetching = true;
    buffer_append_format(&command, "UID FETCH %u (", fetch->url->uid);
    buffer_append(&command, fetch->url->item_text);
    buffer_append_octet(&command, ')');
    exchange_ask(&fetch->exchange, &command, hear_message);
    buffer_clear(&command);
}

static enum source_result wait_for_more(const struct url_fetch *fetch)
{
    session_wait(fetch->session, fetch->session->step);
    visit_go_on(fetch->exchange.visit);
    return SOURCE_MORE;
}

static enum source_result fail(const struct url_fetch *fetch, struct error *error)
{
    const struct exchange *exchange = &fetch->exchange;
    if (fetch->error.kind != ERROR_NONE)
        *error = fetch->error;
    else if (exchange->line.failed || (exchange->lost && !exchange->visit->is_unknown))
        error_unavailable(error);
    else
        error_set(error, ERROR_NOT_FOUND, "the other account gives no such message");
    return SOURCE_FAILED;
}

enum source_result url_fetch_step(struct url_fetch *fetch, struct intake *intake,
                                  struct error *error)
{
    const struct exchange *exchange = &fetch->exchange;
    fetch->intake = intake;
    if (exchange_has_failed(exchange) || exchange->line.failed || fetch->error.kind != ERROR_NONE
        || fetch->is_other)
        return fail(fetch, error);
    if (!exchange_is_answered(exchange))
        return wait_for_more(fetch);
    if (fetch->is_fetching)
        return fetch->is_taken ? SOURCE_DONE : fail(fetch, error);
    ask_message(fetch);
    return wait_for_more(fetch);
}
