/*
 * Mail transactions on a connection that is READY; see peer.h. relay.
 *
 *   current:  RSET? MAIL RCPT… DATA ──354──> message, dot ──> answer (LMTP: one each) ──> done
 *   ahead:                                            └─> MAIL RCPT… DATA, no RSET ──> current
 *
 * Answers come in the order of the commands, so all of `current` before the first of `ahead`.
 * Without PIPELINING each command waits for the answer to the one before, and nothing goes ahead.
 */
#include <assert.h>
#include <stdio.h>
#include <time.h>

#include "smtpd/queue/queue_protocol.h"
#include "smtpd/relay/envelope.h"
#include "smtpd/relay/peer_internal.h"

enum command { COMMAND_RSET, COMMAND_MAIL, COMMAND_RCPT, COMMAND_DATA };

enum { KEPT_TEXT_OCTETS = 4096 };

static bool pipelines(const struct peer *peer)
{
    return capabilities_offer(&peer->offers, OFFERS_PIPELINING);
}

static bool is_last_transaction(const struct peer *peer)
{
    return peer->offers.messages_max > 0 && peer->transactions + 1 >= peer->offers.messages_max;
}

/* ---- outcomes ---- */

/* An unexpected 3yz is the server's fault, not the recipient's. */
static struct slice code_of(const struct peer_reply *reply)
{
    static const char *const by_class[] = {[2] = "2.0.0", [3] = "4.5.0", [4] = "4.0.0", "5.0.0"};
    if (reply->enhanced.len > 0)
        return reply->enhanced;
    return slice_of_string(by_class[reply->code / 100]);
}

static enum relay_status status_of(const struct peer_reply *reply)
{
    if (peer_reply_is(reply, 2))
        return RELAY_DONE;
    return peer_reply_is(reply, 5) ? RELAY_PERMANENT : RELAY_TEMPORARY;
}

/* Returns the reply as an outcome in peer->text, valid until that is reused. */
static struct outcome outcome_of_reply(struct peer *peer, const struct peer_reply *reply,
                                       const char *words)
{
    struct outcome outcome = {.status = status_of(reply), .flags = RELAY_PEER_SAID};
    if (outcome.status == RELAY_DONE && capabilities_offer(&peer->offers, OFFERS_DSN))
        outcome.flags |= RELAY_KEEPS_DSN;
    if (outcome.status == RELAY_DONE
        && (peer->settings->lmtp || capabilities_offer(&peer->offers, OFFERS_DELIVERBY)))
        outcome.flags |= RELAY_KEEPS_TIME;
    buffer_reset(&peer->text);
    peer_append_outcome(peer->settings, code_of(reply), words, reply->lines, &peer->text);
    outcome.text = buffer_slice(&peer->text);
    return outcome;
}

/* 2yz as an answer to DATA instead of 354: the server cannot have accepted a message it has not
 * seen. */
static struct outcome outcome_of_odd_yes(struct peer *peer, const struct peer_reply *reply)
{
    buffer_reset(&peer->text);
    peer_append_outcome(peer->settings, SLICE("4.5.0"), "the server did not ask for the message",
                        reply->lines, &peer->text);
    return (struct outcome){
        .status = RELAY_TEMPORARY, .flags = RELAY_PEER_SAID, .text = buffer_slice(&peer->text)};
}

static struct outcome outcome_of_ours(struct peer *peer, enum relay_status status, const char *code,
                                      const char *words)
{
    buffer_reset(&peer->text);
    peer_append_outcome(peer->settings, slice_of_string(code), words, SLICE(""), &peer->text);
    return (struct outcome){.status = status, .text = buffer_slice(&peer->text)};
}

/* Settles the recipients of the transaction that are in `state`. */
static void settle_those(struct exchange *exchange, enum recipient_state state,
                         const struct outcome *outcome)
{
    for (unsigned i = 0; i < exchange->recipients; i++)
        if (exchange->message->recipients[exchange->places[i]].state == state)
            outgoing_settle(exchange->message, exchange->places[i], outcome);
}

static void put_back(struct exchange *exchange)
{
    for (unsigned i = 0; i < exchange->recipients; i++) {
        struct outgoing_recipient *recipient = &exchange->message->recipients[exchange->places[i]];
        if (recipient->state != RECIPIENT_SETTLED)
            recipient->state = RECIPIENT_WAITING;
    }
}

/* RFC 3463 3.8, 4.7.z, and common phrases for rate limiting. */
static bool asks_for_less(const struct peer_reply *reply)
{
    static const char *const codes[] = {"4.3.2", "4.4.5", "4.7.28", "4.5.3"};
    if (!peer_reply_is(reply, 4))
        return false;
    if (reply->code == 421 || slice_starts_with(reply->enhanced, SLICE("4.7.")))
        return true;
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
        if (slice_equal(reply->enhanced, slice_of_string(codes[i])))
            return true;
    return false;
}

/* ---- commands ---- */

static enum command command_at(const struct exchange *exchange, unsigned place, unsigned *recipient)
{
    if (exchange->reset_first && place == 0)
        return COMMAND_RSET;
    unsigned from_mail = place - exchange->reset_first;
    if (from_mail == 0)
        return COMMAND_MAIL;
    *recipient = from_mail - 1;
    return *recipient < exchange->recipients ? COMMAND_RCPT : COMMAND_DATA;
}

static void append_command(struct peer *peer, struct exchange *exchange)
{
    unsigned recipient = 0;
    struct outgoing *message = exchange->message;
    struct capabilities offers = peer->offers;
    if (exchange->downgrade) /* RFC 1870 3: as it will be sent, which is known when it was */
        offers.offered &= ~(unsigned)OFFERS_SIZE;
    switch (command_at(exchange, exchange->sent++, &recipient)) {
    case COMMAND_RSET:
        buffer_append(&peer->text, SLICE("RSET\r\n"));
        break;
    case COMMAND_MAIL:
        envelope_append_mail(message, &offers, exchange->needs, time(NULL), &peer->text);
        break;
    case COMMAND_RCPT:
        envelope_append_rcpt(&message->recipients[exchange->places[recipient]], &peer->offers,
                             &peer->text);
        break;
    case COMMAND_DATA:
        buffer_append(&peer->text, SLICE("DATA\r\n"));
        break;
    }
}

static void send_commands(struct peer *peer, struct exchange *exchange)
{
    buffer_reset(&peer->text);
    while (exchange->sent < exchange->commands
           && (pipelines(peer) || exchange->sent == exchange->answered))
        append_command(peer, exchange);
    if (peer->text.failed) {
        peer_fail(peer, &(struct peer_end){PEER_LOCAL, "4.3.0", "no memory for an envelope", NULL});
        return;
    }
    transcript_add(exchange->transcript, TRANSCRIPT_OURS, buffer_slice(&peer->text));
    stream_write(&peer->stream, buffer_slice(&peer->text));
    if (peer->text.capacity > KEPT_TEXT_OCTETS)
        buffer_clear(&peer->text);
    peer_await_reply(peer);
}

const char *peer_exchange_awaits(const struct peer *peer)
{
    static const char *const answers[] = {
        [COMMAND_RSET] = "the answer to RSET",
        [COMMAND_MAIL] = "the answer to MAIL",
        [COMMAND_RCPT] = "the answer to RCPT",
        [COMMAND_DATA] = "the answer to DATA",
    };
    const struct exchange *exchange = &peer->current;
    unsigned recipient;
    if (!exchange->message || exchange->sending)
        return "the answer to the message";
    return answers[command_at(exchange, exchange->answered, &recipient)];
}

bool peer_exchange_writes(const struct peer *peer)
{
    const struct exchange *exchange = &peer->current;
    return exchange->sending && (!exchange->written || peer->stream.stalled_since > 0);
}

/* ---- the beginning ---- */

/* RFC 6531 3.2: international messages cannot go to this server. If only some recipients' addresses
 * are international, the others get the message. True: no recipient is left. */
static bool refuse_international(struct peer *peer, struct outgoing *message, unsigned *needs)
{
    struct outcome outcome = outcome_of_ours(peer, RELAY_PERMANENT, "5.6.7",
                                             "the message has international addresses or header "
                                             "fields, which this server does not take");
    for (size_t i = 0; i < message->recipient_count; i++)
        if (message->recipients[i].state != RECIPIENT_SETTLED
            && !slice_is_ascii(message->recipients[i].address))
            outgoing_settle(message, i, &outcome);
    *needs = envelope_needs(message, peer->chunk);
    if ((*needs & NEEDS_SMTPUTF8) != 0)
        outgoing_settle_rest(message, &outcome);
    return message->unsettled == 0;
}

/* RFC 2852 4: a message with by-mode R goes only to servers that offer DELIVERBY and can meet its
 * time. LMTP delivers immediately. */
static bool keeps_time(struct peer *peer, const struct outgoing *message, struct outcome *outcome)
{
    int64_t left_s = message->deliver_by - time(NULL);
    if (message->deliver_by == 0 || (message->flags & QUEUE_BY_RETURN) == 0)
        return true;
    if (left_s <= 0 || left_s < peer->offers.by_least_s)
        *outcome = outcome_of_ours(peer, RELAY_PERMANENT, "5.4.7",
                                   "the time that the sender gave is over, or too short for this "
                                   "server");
    else if (!peer->settings->lmtp && !capabilities_offer(&peer->offers, OFFERS_DELIVERBY))
        *outcome = outcome_of_ours(peer, RELAY_PERMANENT, "5.3.3",
                                   "the sender wants the message back if it is late, and this "
                                   "server does not offer to keep to that (DELIVERBY)");
    else
        return true;
    return false;
}

/* Whether the server's EHLO answer already rules the message out: then all recipients are
 * settled. */
static bool is_refused_beforehand(struct peer *peer, struct outgoing *message, unsigned *needs)
{
    if ((*needs & NEEDS_SMTPUTF8) != 0 && !capabilities_offer(&peer->offers, OFFERS_SMTPUTF8)
        && refuse_international(peer, message, needs))
        return true;

    uint64_t octets = outgoing_octets(message);
    char words[160];
    struct outcome outcome;
    if (peer->offers.size > 0 && octets > peer->offers.size) {
        snprintf(words, sizeof(words),
                 "the message has %llu octets, this server takes no more than %llu",
                 (unsigned long long)octets, (unsigned long long)peer->offers.size);
        outcome = outcome_of_ours(peer, RELAY_PERMANENT, "5.3.4", words);
    } else if (keeps_time(peer, message, &outcome)) {
        return false;
    }
    outgoing_settle_rest(message, &outcome);
    return true;
}

static void choose_recipients(const struct peer *peer, struct exchange *exchange)
{
    struct outgoing *message = exchange->message;
    uint32_t most = RELAY_RECIPIENTS_MAX;
    if (peer->offers.recipients_max > 0 && peer->offers.recipients_max < most)
        most = peer->offers.recipients_max;
    for (size_t i = 0; i < message->recipient_count && exchange->recipients < most; i++) {
        if (message->recipients[i].state != RECIPIENT_WAITING)
            continue;
        message->recipients[i].state = RECIPIENT_NAMED;
        exchange->places[exchange->recipients++] = (uint8_t)i;
    }
}

static void begin(struct peer *peer, struct exchange *exchange, struct outgoing *message,
                  unsigned needs)
{
    *exchange = (struct exchange){.message = message,
                                  .needs = needs,
                                  .reset_first = peer->dirty,
                                  .downgrade = exchange->downgrade,
                                  .transcript = exchange->transcript};
    peer->dirty = false;
    choose_recipients(peer, exchange);
    exchange->commands = exchange->reset_first + 2 + exchange->recipients;
    send_commands(peer, exchange);
}

/* ---- what the server does not take as it is ---- */

static bool must_be_planned(const struct peer *peer, unsigned needs)
{
    return (needs & NEEDS_8BITMIME) != 0 && !capabilities_offer(&peer->offers, OFFERS_8BITMIME);
}

/* RFC 3463 3.7 */
static void refuse_content(struct peer *peer, struct outgoing *message, const struct error *why)
{
    char words[RELAY_TEXT_MAX];
    struct outcome outcome;
    snprintf(words, sizeof(words),
             "this server takes no octets above 127 (8BITMIME), and the message has some that "
             "cannot be encoded: they are %s",
             why->text);
    if (why->kind == ERROR_PERMANENT)
        outcome = outcome_of_ours(peer, RELAY_PERMANENT, "5.6.3", words);
    else
        outcome = outcome_of_ours(peer, RELAY_TEMPORARY, "4.3.0", why->text);
    outgoing_settle_rest(message, &outcome);
}

/* Reports that all recipients are settled without any command to the server. */
static void tell_settled(struct peer *peer, struct exchange *exchange)
{
    struct exchange done = *exchange;
    *exchange = (struct exchange){.transcript = done.transcript};
    downgrade_free(done.downgrade);
    peer_tell_message(peer, &done);
    peer->handler->settled(peer, done.message);
}

/* RFC 6152 3: a server without 8BITMIME gets no octets above 127. Does a step of the plan and, at
 * its end, begins the transaction. False: not possible, and the exchange is empty again. */
static bool plan_on(struct peer *peer, struct exchange *exchange)
{
    struct error error = {0};
    enum downgrade_progress progress = downgrade_plan(exchange->downgrade, peer->chunk, &error);
    if (progress == DOWNGRADE_MORE) {
        turn_again(peer->turn, &peer->planning);
        return true;
    }
    if (progress == DOWNGRADE_FAILED) {
        refuse_content(peer, exchange->message, &error);
        tell_settled(peer, exchange);
        return false;
    }
    if (progress == DOWNGRADE_NOT_NEEDED) {
        downgrade_free(exchange->downgrade);
        exchange->downgrade = NULL;
    }
    begin(peer, exchange, exchange->message, exchange->needs);
    return true;
}

static bool begin_to_plan(struct peer *peer, struct exchange *exchange, struct outgoing *message,
                          unsigned needs)
{
    struct error error;
    *exchange = (struct exchange){
        .message = message, .needs = needs, .transcript = exchange->transcript, .is_planned = true};
    if (!downgrade_new(message, &peer->settings->mime_limits, &exchange->downgrade, &error)) {
        refuse_content(peer, message, &error);
        tell_settled(peer, exchange);
        return false;
    }
    if (exchange == &peer->current)
        peer_await_reply(peer); /* no reply is due, but the peer is no longer idle */
    return plan_on(peer, exchange);
}

/* ---- the next message ---- */

/* True: the message is under way, or will be. */
static bool try_message(struct peer *peer, struct exchange *exchange, struct outgoing *message)
{
    unsigned needs = envelope_needs(message, peer->chunk);
    if (is_refused_beforehand(peer, message, &needs)) {
        exchange->message = message;
        tell_settled(peer, exchange);
        return false;
    }
    if (must_be_planned(peer, needs))
        return begin_to_plan(peer, exchange, message, needs);
    begin(peer, exchange, message, needs);
    return true;
}

/* Puts a message into the empty exchange. False: there is none. */
static bool take_message(struct peer *peer, struct exchange *exchange)
{
    struct outgoing *message;
    bool first_is_taken =
        exchange == &peer->ahead && peer->current.transcript == &peer->transcripts[0];
    exchange->transcript = &peer->transcripts[first_is_taken];
    transcript_reset(exchange->transcript);
    while ((message = peer->handler->next(peer, exchange == &peer->ahead)) != NULL)
        if (try_message(peer, exchange, message))
            return true;
    return false;
}

static bool has_recipients_left(const struct outgoing *message)
{
    for (size_t i = 0; i < message->recipient_count; i++)
        if (message->recipients[i].state == RECIPIENT_WAITING)
            return true;
    return false;
}

/* The next envelope may follow once the dot is written, unless this message needs another
 * transaction first, or only a lone dot was sent. */
static bool may_go_ahead(const struct peer *peer)
{
    return pipelines(peer) && peer->current.written && peer->current.accepted > 0
           && !peer->ahead.message && !is_last_transaction(peer)
           && !has_recipients_left(peer->current.message);
}

void peer_pump(struct peer *peer)
{
    if (peer->state != PEER_READY)
        return;
    if (peer->current.message) {
        if (may_go_ahead(peer))
            take_message(peer, &peer->ahead);
        return;
    }
    if (take_message(peer, &peer->current) || peer->state != PEER_READY)
        return;
    if (peer->settings->idle_ms == 0)
        peer_end_politely(peer);
    else
        stream_set_deadline_ms(&peer->stream, peer->settings->idle_ms);
}

/* The message being planned may have moved from `ahead` to `current` meanwhile. */
void peer_plan_on(struct deferred *deferred)
{
    struct peer *peer =
        (struct peer *)(void *)((uint8_t *)deferred - offsetof(struct peer, planning));
    struct exchange *exchange = peer->current.is_planned ? &peer->current : &peer->ahead;
    if (exchange->is_planned && !plan_on(peer, exchange))
        peer_pump(peer);
}

/* ---- the message ---- */

static void emit(void *owner, struct slice octets)
{
    stream_write(owner, octets);
}

static void end_content(struct peer *peer)
{
    struct exchange *exchange = &peer->current;
    data_encoder_end(&exchange->encoder);
    exchange->written = true;
    /* RFC 5321 4.5.3.2.6: twice as long as for other answers. */
    stream_set_deadline_ms(&peer->stream, 2 * peer->settings->reply_ms);
    if (may_go_ahead(peer))
        take_message(peer, &peer->ahead);
}

static bool read_content(struct peer *peer, struct slice *octets, struct error *error)
{
    struct exchange *exchange = &peer->current;
    if (exchange->downgrade)
        return downgrade_read(exchange->downgrade, octets, error);
    return outgoing_read(exchange->message, &exchange->at, peer->chunk, octets, error);
}

void peer_write_content(struct peer *peer)
{
    struct exchange *exchange = &peer->current;
    while (exchange->sending && !exchange->written && !stream_output_full(&peer->stream)) {
        struct slice octets;
        struct error error;
        if (!read_content(peer, &octets, &error)) {
            peer_fail(peer, &(struct peer_end){PEER_LOCAL, "4.3.0", error.text, NULL});
            return;
        }
        if (octets.len == 0)
            end_content(peer);
        else
            data_encoder_write(&exchange->encoder, octets);
    }
}

static void begin_content(struct peer *peer)
{
    struct exchange *exchange = &peer->current;
    exchange->sending = true;
    if (exchange->accepted > 0)
        transcript_add_event(exchange->transcript, "the message, %llu octets%s",
                             (unsigned long long)outgoing_octets(exchange->message),
                             exchange->downgrade ? ", encoded for want of 8BITMIME" : "");
    data_encoder_init(&exchange->encoder, emit, &peer->stream);
    if (exchange->downgrade)
        downgrade_rewind(exchange->downgrade);
    if (exchange->accepted > 0) {
        stream_set_deadline_ms(&peer->stream, 0); /* the stream's stalled_ms bounds the writing */
        peer_write_content(peer);
        return;
    }
    /* RFC 2920 3.1: all recipients were refused but DATA was not: send an empty message. */
    exchange->written = true;
    data_encoder_end(&exchange->encoder);
    peer_await_reply(peer);
}

/* ---- the end ---- */

static void begin_next(struct peer *peer)
{
    peer->current = peer->ahead;
    peer->ahead = (struct exchange){.message = NULL};
    if (!peer->current.message)
        peer_pump(peer);
    else if (peer->current.is_planned)
        peer_await_reply(peer);
}

/* The transaction is fully answered. */
static void finish(struct peer *peer, bool dirty)
{
    struct outgoing *message = peer->current.message;
    bool last = is_last_transaction(peer);
    peer->dirty = dirty;
    struct exchange done = peer->current;
    peer->current = (struct exchange){.transcript = done.transcript};
    peer->transactions++;
    if (message->unsettled == 0 || last || peer->ahead.message) {
        peer_tell_message(peer, &done);
        peer->messages++;
    }
    if (message->unsettled > 0 && !last && !peer->ahead.message) {
        peer->current.downgrade = done.downgrade;
        begin(peer, &peer->current, message, envelope_needs(message, peer->chunk));
        return;
    }
    downgrade_free(done.downgrade);
    if (message->unsettled == 0)
        peer->handler->settled(peer, message);
    else
        peer->handler->returned(peer, message, NULL);
    if (peer->state != PEER_READY)
        return;
    if (last)
        peer_end_politely(peer);
    else
        begin_next(peer);
}

bool peer_exchange_was_enough(const struct peer *peer, const struct peer_reply *reply)
{
    return reply->code == 421 && peer->transactions > 0 && !peer->current.sending;
}

/* The server closes the connection (421), or its answers can no longer be matched to commands. */
static void break_off(struct peer *peer, enum peer_failure_kind kind, const char *words,
                      const struct peer_reply *reply)
{
    if (asks_for_less(reply) && !peer_exchange_was_enough(peer, reply))
        peer->handler->slowed(peer);
    peer_fail(peer, &(struct peer_end){kind, "4.3.2", words, reply});
}

void peer_end_exchanges(struct peer *peer, const struct peer_failure *why)
{
    struct exchange *current = &peer->current, *ahead = &peer->ahead;
    struct outgoing *message = current->message, *behind = ahead->message;
    if (message && current->sending && current->written && current->accepted > 0) {
        /* The dot may have arrived; the outcome is unknown, and the report must say so. */
        struct outcome outcome = outcome_of_ours(
            peer, RELAY_TEMPORARY, "4.4.2",
            "the connection broke behind the message: whether it was taken is not known");
        settle_those(current, RECIPIENT_ACCEPTED, &outcome);
        peer->handler->slowed(peer);
    }
    if (message)
        put_back(current);
    if (behind)
        put_back(ahead);
    if (message)
        peer_tell_message(peer, current);
    if (behind)
        peer_tell_message(peer, ahead);
    downgrade_free(current->downgrade);
    downgrade_free(ahead->downgrade);
    *current = *ahead = (struct exchange){.message = NULL};
    if (message && message->unsettled == 0)
        peer->handler->settled(peer, message);
    else if (message)
        peer->handler->returned(peer, message, why);
    if (behind)
        peer->handler->returned(peer, behind, why);
}

/* ---- replies ---- */

static void on_mail(struct peer *peer, const struct peer_reply *reply)
{
    struct exchange *exchange = &peer->current;
    if (peer_reply_is(reply, 2))
        return;
    exchange->mail_refused = true;
    if (asks_for_less(reply))
        peer->handler->slowed(peer);
    struct outcome outcome = outcome_of_reply(peer, reply, "the server refused the sender");
    settle_those(exchange, RECIPIENT_NAMED, &outcome);
}

/* RFC 5321 4.5.3.1.10: 452 (552 from old servers) after accepted recipients means that the rest
 * needs another transaction. */
static bool has_too_many(const struct exchange *exchange, const struct peer_reply *reply)
{
    return exchange->accepted > 0 && (reply->code == 452 || reply->code == 552)
           && !slice_ends_with(reply->enhanced, SLICE(".2.2"));
}

static void on_rcpt(struct peer *peer, unsigned place, const struct peer_reply *reply)
{
    struct exchange *exchange = &peer->current;
    if (exchange->mail_refused)
        return;
    unsigned number = exchange->places[place];
    struct outgoing_recipient *recipient = &exchange->message->recipients[number];
    if (peer_reply_is(reply, 2)) {
        recipient->state = RECIPIENT_ACCEPTED;
        exchange->accepted++;
    } else if (has_too_many(exchange, reply)) {
        recipient->state = RECIPIENT_WAITING;
    } else {
        struct outcome outcome = outcome_of_reply(peer, reply, "the server refused the recipient");
        outgoing_settle(exchange->message, number, &outcome);
    }
}

static void on_data(struct peer *peer, const struct peer_reply *reply)
{
    struct exchange *exchange = &peer->current;
    if (reply->code == 354) {
        begin_content(peer);
        return;
    }
    if (exchange->accepted > 0) {
        struct outcome outcome =
            peer_reply_is(reply, 2)
                ? outcome_of_odd_yes(peer, reply)
                : outcome_of_reply(peer, reply, "the server refused to take the message");
        if (asks_for_less(reply))
            peer->handler->slowed(peer);
        settle_those(exchange, RECIPIENT_ACCEPTED, &outcome);
    }
    finish(peer, true);
}

/* Without PIPELINING: sends the next command, unless it would be useless. */
static void go_on(struct peer *peer)
{
    struct exchange *exchange = &peer->current;
    bool all_named = exchange->sent + 1 == exchange->commands;
    if (exchange->mail_refused)
        finish(peer, false);
    else if (all_named && exchange->accepted == 0)
        finish(peer, true);
    else
        send_commands(peer, exchange);
}

static void on_command_reply(struct peer *peer, const struct peer_reply *reply)
{
    struct exchange *exchange = &peer->current;
    unsigned recipient = 0;
    switch (command_at(exchange, exchange->answered++, &recipient)) {
    case COMMAND_RSET:
        break; /* if RSET was refused, MAIL will be too */
    case COMMAND_MAIL:
        on_mail(peer, reply);
        break;
    case COMMAND_RCPT:
        on_rcpt(peer, recipient, reply);
        break;
    case COMMAND_DATA:
        on_data(peer, reply);
        return;
    }
    if (peer->state != PEER_READY)
        return;
    if (exchange->answered == exchange->sent)
        go_on(peer);
    else
        peer_await_reply(peer);
}

/* LMTP, RFC 2033 4.2: one answer for each accepted recipient, in order. */
static struct outgoing_recipient *next_accepted(struct exchange *exchange, unsigned *number)
{
    for (unsigned i = 0; i < exchange->recipients; i++) {
        *number = exchange->places[i];
        if (exchange->message->recipients[*number].state == RECIPIENT_ACCEPTED)
            return &exchange->message->recipients[*number];
    }
    return NULL;
}

static void on_lmtp_answer(struct peer *peer, const struct peer_reply *reply)
{
    struct exchange *exchange = &peer->current;
    unsigned number;
    struct outcome outcome = outcome_of_reply(
        peer, reply, peer_reply_is(reply, 2) ? "delivered" : "the server refused the message");
    if (next_accepted(exchange, &number))
        outgoing_settle(exchange->message, number, &outcome);
    if (!next_accepted(exchange, &number))
        finish(peer, false);
    else
        stream_set_deadline_ms(&peer->stream, 2 * peer->settings->reply_ms);
}

static void on_message_answer(struct peer *peer, const struct peer_reply *reply)
{
    struct exchange *exchange = &peer->current;
    if (asks_for_less(reply))
        peer->handler->slowed(peer);
    if (exchange->accepted > 0 && peer->settings->lmtp) {
        on_lmtp_answer(peer, reply);
        return;
    }
    if (exchange->accepted > 0) {
        const bool taken = peer_reply_is(reply, 2);
        struct outcome outcome = outcome_of_reply(
            peer, reply, taken ? "the server took the message" : "the server refused the message");
        settle_those(exchange, RECIPIENT_ACCEPTED, &outcome);
    }
    finish(peer, false);
}

/* An answer before the dot: a refusal counts, anything else cannot be an answer to this message. */
static void on_early_answer(struct peer *peer, const struct peer_reply *reply)
{
    struct exchange *exchange = &peer->current;
    if (peer_reply_is(reply, 4) || peer_reply_is(reply, 5)) {
        struct outcome outcome =
            outcome_of_reply(peer, reply, "the server refused the message before its end");
        settle_those(exchange, RECIPIENT_ACCEPTED, &outcome);
    }
    break_off(peer, PEER_MALFORMED, "the server answered before the message was over", reply);
}

void peer_exchange_reply(struct peer *peer, const struct peer_reply *reply)
{
    struct exchange *exchange = &peer->current;
    if (!exchange->message) {
        peer_end_politely(peer); /* unsolicited 421: the server has waited long enough */
    } else if (exchange->sending && !exchange->written) {
        on_early_answer(peer, reply);
    } else if (exchange->sending && reply->code != 421) {
        on_message_answer(peer, reply);
    } else if (exchange->sending) {
        if (exchange->accepted > 0) {
            struct outcome outcome =
                outcome_of_reply(peer, reply, "the server closes the connection");
            settle_those(exchange, RECIPIENT_ACCEPTED, &outcome);
        }
        break_off(peer, PEER_REFUSED, "the server closes the connection", reply);
    } else if (exchange->answered == exchange->sent) {
        break_off(peer, PEER_MALFORMED, "the server answers what nobody asked", reply);
    } else if (reply->code == 421) {
        break_off(peer, PEER_REFUSED, "the server closes the connection", reply);
    } else {
        on_command_reply(peer, reply);
    }
}
