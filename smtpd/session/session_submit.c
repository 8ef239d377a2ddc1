/*
 * The message is whole: filter makes its recipe, auth looks at the From addresses of a user, queue
 * writes it down, and only then the client is told 250. Runs in smtpd-session.
 *
 *     session_submit ──> FILTER_MESSAGE ──> session_on_recipe ──> AUTH_SENDER for each of From
 *                                                                    │
 *     session_on_committed <── QUEUE_SUBMIT <── QUEUE_RECIPIENT <────┘
 */
#include <time.h>

#include "common/auth/auth_protocol.h"
#include "common/disk/fd.h"
#include "common/size.h"
#include "smtpd/filter/filter_protocol.h"
#include "smtpd/queue/queue_protocol.h"
#include "smtpd/session/session_internal.h"

void session_end_message(struct session *session, struct smtp_reply reply)
{
    const struct transaction *transaction = session->transaction;
    if (reply.code >= 400)
        LOG(session_log(session), LOG_INFO, "message_refused", log_id("session", session->name),
            log_id("queue_id", transaction->id_text), log_text("client", session->client_text),
            log_bytes("from", transaction->reverse_path), log_number("code", reply.code),
            log_bytes("enhanced", reply.enhanced), log_bytes("text", reply.text));
    session_enter(session, SESSION_READY);
    session_reply(session, reply); /* it may borrow from the transaction */
    session_drop_transaction(session);
}

/* --- Filter ----------------------------------------------------------------------------------- */

static uint32_t filter_flags(const struct session *session)
{
    return (session_is_submission(session) ? FILTER_SUBMISSION : 0U)
           | (session->esmtp ? FILTER_ESMTP : 0U) | (session->transaction->utf8 ? FILTER_UTF8 : 0U);
}

static bool ask_filter(struct session *session)
{
    struct transaction *transaction = session->transaction;
    bool spooled = transaction->spooled;
    const struct slice tail[] = {
        buffer_slice(&session->helo),
        slice_of_string(session->client_text),
        slice_of_string(session->tls),
        slice_of_string(transaction->id_text),
        buffer_slice(&session->account),
        transaction->accepted == 1 ? transaction->first_recipient : SLICE(""),
        spooled ? SLICE("") : buffer_slice(&transaction->body),
    };
    struct filter_message question = {
        .header = {.type = spooled ? FILTER_MESSAGE_FILE : FILTER_MESSAGE},
        .flags = filter_flags(session),
        .helo_octets = (uint16_t)tail[0].len,
        .client_octets = (uint16_t)tail[1].len,
        .tls_octets = (uint16_t)tail[2].len,
        .id_octets = (uint16_t)tail[3].len,
        .account_octets = (uint16_t)tail[4].len,
        .recipient_octets = (uint16_t)tail[5].len,
        .body_octets = transaction->octets,
        .arrival = transaction->arrival,
    };
    return session_ask(session, &(struct session_question){.wait = SESSION_WAIT_FILTER,
                                                           .peer = ROLE_FILTER,
                                                           .head = &question.header,
                                                           .head_octets = sizeof(question),
                                                           .tail = tail,
                                                           .tail_count = ARRAY_LENGTH(tail),
                                                           .descriptors = &transaction->read_fd,
                                                           .descriptor_count = spooled ? 1 : 0});
}

void session_submit(struct session *session)
{
    struct transaction *transaction = session->transaction;
    if (session->data.fault != SMTP_DATA_FINE) {
        struct buffer text = BUFFER_WITH_LIMIT(SMTP_REPLY_LINE_LIMIT);
        session_end_message(session, smtp_data_fault_reply(&session->data, &text));
        buffer_clear(&text);
        return;
    }
    if (transaction->refusal.code != 0) {
        session_end_message(session, transaction->refusal);
        return;
    }
    transaction->arrival = time(NULL);
    bool asked = session_take_id(session) && ask_filter(session);
    fd_discard(&transaction->read_fd);
    if (!asked)
        session_lose_filter(session);
}

void session_lose_filter(struct session *session)
{
    session_end_message(
        session, SMTP_REPLY(451, "4.3.0", "The message cannot be checked now; try again later"));
}

void session_lose_queue(struct session *session)
{
    struct transaction *transaction = session->transaction;
    if (session->state == SESSION_SUBMIT && session->wait != SESSION_WAIT_NOTHING) {
        session_end_wait(session); /* the recipe has the id in it */
        session_lose_filter(session);
        session_step(session);
        return;
    }
    if (transaction->request != 0)
        session_lose_spool(session);
    transaction->id = 0;
}

/* --- From ------------------------------------------------------------------------------------- */

static void hand_to_queue(struct session *session);

/* The next length and address of the list; false at its end. */
static bool take_from(struct transaction *transaction)
{
    uint16_t length;
    if (transaction->from.len == 0)
        return false;
    memcpy(&length, transaction->from.ptr, sizeof(length));
    size_t behind = sizeof(length) + length;
    transaction->from_here = slice_range(transaction->from, sizeof(length), behind);
    transaction->from = slice_from(transaction->from, behind);
    return true;
}

static void check_next_from(struct session *session)
{
    struct transaction *transaction = session->transaction;
    do {
        if (!take_from(transaction)) {
            hand_to_queue(session);
            return;
        }
    } while (slice_equal(transaction->from_here, transaction->reverse_path)); /* was at MAIL */
    if (!session_ask_for_sender(session, SESSION_WAIT_FROM, transaction->from_here))
        session_lose_filter(session);
}

void session_on_recipe(struct session *session, const struct session_recipe *recipe)
{
    struct transaction *transaction = session->transaction;
    transaction->tls_optional = (recipe->findings & FILTER_TLS_OPTIONAL) != 0;
    transaction->prefix = arena_copy(&transaction->arena, recipe->prefix);
    transaction->cuts = arena_copy(&transaction->arena, recipe->cuts);
    transaction->from = arena_copy(&transaction->arena, recipe->from);
    if (!transaction->prefix.ptr || !transaction->cuts.ptr || !transaction->from.ptr)
        session_lose_filter(session);
    else if (session_is_submission(session))
        check_next_from(session);
    else
        hand_to_queue(session);
}

void session_on_from_answer(struct session *session, bool allowed)
{
    if (allowed) {
        check_next_from(session);
        return;
    }
    struct buffer text = BUFFER_WITH_LIMIT(SMTP_REPLY_LINE_LIMIT);
    buffer_append_string(&text, "From or Sender is not one of your addresses: ");
    buffer_append(&text, session->transaction->from_here);
    session_end_message(session, (struct smtp_reply){553, SLICE("5.7.1"), buffer_slice(&text)});
    buffer_clear(&text);
}

/* --- Queue ------------------------------------------------------------------------------------ */

/* RFC 8689: with REQUIRETLS the field does not count. */
static uint32_t tls_flags(const struct transaction *transaction)
{
    if (transaction->requiretls)
        return QUEUE_REQUIRETLS;
    return transaction->tls_optional ? QUEUE_TLS_OPTIONAL : 0U;
}

static uint32_t by_flags(const struct smtp_by *by)
{
    return (by->mode == SMTP_BY_RETURN ? QUEUE_BY_RETURN : 0U) | (by->trace ? QUEUE_BY_TRACE : 0U);
}

static uint32_t submit_flags(const struct session *session)
{
    const struct transaction *transaction = session->transaction;
    return (transaction->spooled ? QUEUE_IN_SPOOL : 0U)
           | (session->account.len > 0 ? QUEUE_SUBMITTED : 0U)
           | (transaction->utf8 ? QUEUE_UTF8 : 0U)
           | (transaction->body_8bitmime ? QUEUE_8BITMIME : 0U) | tls_flags(transaction)
           | by_flags(&transaction->by) | (transaction->ret == SMTP_RET_FULL ? QUEUE_RET_FULL : 0U)
           | (transaction->ret == SMTP_RET_HDRS ? QUEUE_RET_HDRS : 0U);
}

static struct queue_recipient record_of(const struct transaction *transaction,
                                        const struct recipient *recipient)
{
    return (struct queue_recipient){
        .header = {.type = QUEUE_RECIPIENT, .request = transaction->request},
        .account_octets = (uint16_t)recipient->account.len,
        .address_octets = (uint16_t)recipient->address.len,
        .orcpt_octets = (uint16_t)recipient->orcpt.len,
        .notify = (uint16_t)recipient->notify,
        .permit = recipient->permit,
        .flags = recipient->forwarded ? QUEUE_FORWARDED : 0U,
    };
}

/* All but the last one, which goes with the message: most have no other. */
static bool send_recipients(struct session *session, const struct recipient **last)
{
    const struct transaction *transaction = session->transaction;
    struct role_peer *queue = role_find_peer(session->server->role, ROLE_QUEUE);
    if (!queue)
        return false;
    const struct recipient *each = transaction->recipients;
    for (; each->next; each = each->next) {
        const struct slice tail[] = {each->account, each->address, each->orcpt};
        struct queue_recipient record = record_of(transaction, each);
        const struct ipc_message message = {.head = &record.header,
                                            .head_octets = sizeof(record),
                                            .tail = tail,
                                            .tail_count = ARRAY_LENGTH(tail)};
        if (!ipc_send(&queue->channel, &message, NULL))
            return false;
    }
    *last = each;
    return true;
}

static bool send_submit(struct session *session, const struct recipient *last)
{
    const struct transaction *transaction = session->transaction;
    const struct queue_recipient recipient = record_of(transaction, last);
    const struct slice tail[] = {
        slice_of(&recipient, sizeof(recipient)),
        last->account,
        last->address,
        last->orcpt,
        transaction->reverse_path,
        transaction->envid,
        buffer_slice(&session->account),
        transaction->prefix,
        transaction->cuts,
        transaction->spooled ? SLICE("") : buffer_slice(&transaction->body),
    };
    struct queue_submit question = {
        .header = {.type = QUEUE_SUBMIT},
        .id = transaction->id,
        .session = session->number,
        .arrival = transaction->arrival,
        .token = session->token,
        .recipients = transaction->recipient_count,
        .flags = submit_flags(session),
        .reverse_path_octets = (uint16_t)transaction->reverse_path.len,
        .envid_octets = (uint16_t)transaction->envid.len,
        .account_octets = (uint16_t)session->account.len,
        .cuts = (uint16_t)(transaction->cuts.len / sizeof(struct filter_cut)),
        .prefix_octets = (uint32_t)transaction->prefix.len,
        .recipient_octets =
            (uint32_t)(sizeof(recipient) + last->account.len + last->address.len + last->orcpt.len),
        .body_octets = transaction->octets,
        .deliver_by = transaction->deliver_by,
        .hold_until = transaction->hold_until,
    };
    return session_ask(session, &(struct session_question){.wait = SESSION_WAIT_COMMIT,
                                                           .peer = ROLE_QUEUE,
                                                           .head = &question.header,
                                                           .head_octets = sizeof(question),
                                                           .tail = tail,
                                                           .tail_count = ARRAY_LENGTH(tail),
                                                           .request = transaction->request});
}

static void hand_to_queue(struct session *session)
{
    struct transaction *transaction = session->transaction;
    if (transaction->request == 0)
        transaction->request = session_new_request(session);
    const struct recipient *last;
    if (send_recipients(session, &last) && send_submit(session, last))
        transaction->request = 0; /* queue has it: nothing to forget */
    else
        session_end_message(session,
                            SMTP_REPLY(451, "4.3.0", "The queue is not ready; try again soon"));
}

void session_on_committed(struct session *session)
{
    const struct transaction *transaction = session->transaction;
    LOG(session_log(session), LOG_INFO, "message", log_id("session", session->name),
        log_id("queue_id", transaction->id_text), log_text("client", session->client_text),
        log_bytes("from", transaction->reverse_path),
        log_number("octets", (int64_t)transaction->octets),
        log_number("recipients", transaction->accepted));
    session->messages++;
    connections_authenticate(&session->server->acceptor.connections, &session->share);
    struct buffer text = BUFFER_WITH_LIMIT(SMTP_REPLY_LINE_LIMIT);
    buffer_append_format(&text, "Ok: queued as %s", transaction->id_text);
    session_end_message(session, (struct smtp_reply){250, SLICE("2.0.0"), buffer_slice(&text)});
    buffer_clear(&text);
}

/* Queue died with the message: written down or not, nobody knows. Any reply would be a claim, so
 * there is none: that is SMTP's own window (RFC 1047). */
void session_lose_commit(struct session *session)
{
    LOG(session_log(session), LOG_WARNING, "commit_unknown", log_id("session", session->name),
        log_id("queue_id", session->transaction->id_text));
    session_break(session, "the queue was lost while it had the message");
}
