/*
 * MAIL and RCPT: a transaction begins, and auth says whose its addresses are. Runs in
 * smtpd-session.
 */
#include <stdlib.h>
#include <time.h>

#include "common/auth/auth_protocol.h"
#include "common/auth/recipient_targets.h"
#include "common/disk/fd.h"
#include "smtpd/queue/queue_protocol.h"
#include "smtpd/session/orcpt.h"
#include "smtpd/session/session_internal.h"
#include "smtpd/session/xtext.h"

_Static_assert((int)SMTP_NOTIFY_SUCCESS == QUEUE_NOTIFY_SUCCESS
                   && (int)SMTP_NOTIFY_FAILURE == QUEUE_NOTIFY_FAILURE
                   && (int)SMTP_NOTIFY_DELAY == QUEUE_NOTIFY_DELAY
                   && (int)SMTP_NOTIFY_NEVER == QUEUE_NOTIFY_NEVER,
               "NOTIFY travels to queue as it is");

enum {
    TRANSACTION_OCTETS = 65536, /* of addresses and the recipe, whatever the recipients */
    RECIPIENT_OCTETS = 2048,    /* of one more: account, address, ORCPT, permit */
};

/* --- The transaction -------------------------------------------------------------------------- */

static struct transaction *new_transaction(const struct config_limits *limits)
{
    struct transaction *transaction = calloc(1, sizeof(*transaction));
    if (!transaction)
        return NULL;
    arena_init(&transaction->arena,
               TRANSACTION_OCTETS + (size_t)limits->recipients * RECIPIENT_OCTETS);
    transaction->recipients_end = &transaction->recipients;
    transaction->spool_fd = transaction->read_fd = -1;
    return transaction;
}

/* Queue made a file for it, which nobody will send. */
static void tell_queue_to_forget(struct session *session)
{
    struct role_peer *queue = role_find_peer(session->server->role, ROLE_QUEUE);
    struct ipc_header head = {.type = QUEUE_FORGET, .request = session->transaction->request};
    if (queue)
        ipc_send_record(&queue->channel, &head, sizeof(head), slice_of(NULL, 0), NULL);
}

void session_drop_transaction(struct session *session)
{
    struct transaction *transaction = session->transaction;
    if (!transaction)
        return;
    if (transaction->request != 0)
        tell_queue_to_forget(session);
    fd_discard(&transaction->spool_fd);
    fd_discard(&transaction->read_fd);
    buffer_clear(&transaction->body);
    session_end_binary(transaction);
    session_end_burl(session);
    arena_clear(&transaction->arena);
    free(transaction);
    session->transaction = NULL;
}

/* --- MAIL ------------------------------------------------------------------------------------- */

/* When the message is to be sent, in seconds since 1970; 0: at once. */
static int64_t hold_until(const struct smtp_hold *hold, int64_t now)
{
    return hold->kind == SMTP_HOLD_FOR ? now + hold->seconds : hold->seconds;
}

/* RFC 4865 4, 5: a time that has passed, or is too far away, is refused. */
static struct smtp_reply find_hold_obstacle(const struct session *session,
                                            const struct smtp_hold *hold)
{
    uint64_t most_ms = session_config(session)->submission.future_release_ms;
    int64_t now = time(NULL);
    if (hold->kind == SMTP_HOLD_NONE)
        return (struct smtp_reply){.code = 0};
    if (!session_is_submission(session) || most_ms == 0)
        return SMTP_REPLY(555, "5.5.4", "Messages do not wait here: HOLDFOR and HOLDUNTIL");
    if (hold_until(hold, now) < now || hold_until(hold, now) - now > (int64_t)(most_ms / 1000))
        return SMTP_REPLY(501, "5.5.4",
                          "That time has passed, or is too far away (submission.future-release)");
    return (struct smtp_reply){.code = 0};
}

/* Why no transaction can begin; code 0: it can. */
static struct smtp_reply find_obstacle(const struct session *session, const struct smtp_mail *mail)
{
    if (session_is_submission(session) && session->account.len == 0)
        return session_may_send_password(session)
                   ? SMTP_REPLY(530, "5.7.0", "Authentication required: say AUTH first")
                   : SMTP_REPLY(530, "5.7.0", "Encryption required: say STARTTLS, then AUTH");
    if (mail->size > session_config(session)->limits.message_size_octets)
        return SMTP_REPLY(552, "5.3.4", "The message is too large (limits.message-size)");
    if (!session->server->space)
        return SMTP_REPLY(452, "4.3.1", "Not enough space (limits.free-space); try again later");
    if (mail->requiretls && !session->secured)
        return SMTP_REPLY(555, "5.5.4", "REQUIRETLS needs TLS: say STARTTLS first (RFC 8689 2)");
    return find_hold_obstacle(session, &mail->hold);
}

static struct slice copy_path(struct arena *arena, const struct address *address)
{
    struct buffer text = BUFFER_WITH_LIMIT(ADDRESS_LIMIT);
    address_format(address, &text);
    struct slice copy = text.failed ? slice_of(NULL, 0) : arena_copy(arena, buffer_slice(&text));
    buffer_clear(&text);
    return copy;
}

static struct slice copy_xtext(struct arena *arena, struct slice xtext)
{
    struct buffer text = BUFFER_WITH_LIMIT(xtext.len);
    xtext_decode(xtext, &text);
    struct slice copy = text.failed ? slice_of(NULL, 0) : arena_copy(arena, buffer_slice(&text));
    buffer_clear(&text);
    return copy;
}

static void note_times(struct transaction *transaction, const struct smtp_mail *mail)
{
    int64_t now = time(NULL);
    transaction->by = mail->by;
    if (mail->by.mode != SMTP_BY_NONE)
        transaction->deliver_by = now + mail->by.seconds;
    if (mail->hold.kind != SMTP_HOLD_NONE)
        transaction->hold_until = hold_until(&mail->hold, now);
}

static bool begin_transaction(struct session *session, const struct smtp_mail *mail)
{
    struct transaction *transaction = new_transaction(&session_config(session)->limits);
    session->transaction = transaction;
    if (!transaction)
        return false;
    transaction->reverse_path = copy_path(&transaction->arena, &mail->reverse_path);
    transaction->envid = copy_xtext(&transaction->arena, mail->envid);
    transaction->ret = mail->ret;
    transaction->utf8 = mail->utf8;
    transaction->body_8bitmime = mail->body_8bitmime;
    transaction->requiretls = mail->requiretls;
    note_times(transaction, mail);
    if (mail->body_binary && !session_begin_binary(session))
        return false;
    return transaction->reverse_path.ptr && transaction->envid.ptr;
}

static void accept_sender(struct session *session)
{
    session_enter(session, SESSION_MAIL);
    session_reply(session, SMTP_REPLY(250, "2.1.0", "Ok"));
}

/* May this account send as that? Also asked about each From address. */
bool session_ask_for_sender(struct session *session, enum session_wait wait, struct slice address)
{
    struct auth_sender question = {.header = {.type = AUTH_SENDER},
                                   .token = session->token,
                                   .account_octets = (uint32_t)session->account.len,
                                   .address_octets = (uint32_t)address.len};
    const struct slice tail[] = {buffer_slice(&session->account), address};
    return session_ask(session, &(struct session_question){.wait = wait,
                                                           .peer = ROLE_AUTH,
                                                           .head = &question.header,
                                                           .head_octets = sizeof(question),
                                                           .tail = tail,
                                                           .tail_count = 2});
}

void session_on_mail(struct session *session, struct smtp_command *command)
{
    const struct smtp_mail *mail = &command->mail;
    if (session->messages >= session_config(session)->limits.messages) {
        session_close(session,
                      SMTP_REPLY(421, "4.7.0", "Enough for one connection (limits.messages)"),
                      "limits.messages");
        return;
    }
    struct smtp_reply obstacle = find_obstacle(session, mail);
    if (obstacle.code == 0 && !begin_transaction(session, mail))
        obstacle = SMTP_REPLY(451, "4.3.0", "Out of memory; try again later");
    if (obstacle.code != 0) {
        session_drop_transaction(session);
        session_reply(session, obstacle);
    } else if (server_is_ready(session->server)) {
        session_check_sender(session);
    } else {
        session->wait = SESSION_WAIT_READY;
    }
}

void session_check_sender(struct session *session)
{
    struct slice reverse_path = session->transaction->reverse_path;
    if (!session_is_submission(session) || reverse_path.len == 0)
        accept_sender(session);
    else if (!session_ask_for_sender(session, SESSION_WAIT_SENDER, reverse_path))
        session_lose_sender(session);
}

void session_give_up_waiting(struct session *session)
{
    session_drop_transaction(session);
    session_reply(session, SMTP_REPLY(451, "4.3.0", "The server is not ready; try again soon"));
}

void session_on_sender_answer(struct session *session, bool allowed)
{
    if (allowed) {
        accept_sender(session);
        return;
    }
    LOG(session_log(session), LOG_WARNING, "sender_refused", log_id("session", session->name),
        log_bytes("account", buffer_slice(&session->account)),
        log_bytes("from", session->transaction->reverse_path));
    session_drop_transaction(session);
    session_reply(session,
                  SMTP_REPLY(553, "5.7.1", "This address is not one of yours to send from"));
}

void session_lose_sender(struct session *session)
{
    session_drop_transaction(session);
    session_reply(session, SMTP_REPLY(451, "4.3.0", "Addresses cannot be checked now; try later"));
}

/* --- RCPT ------------------------------------------------------------------------------------- */

static struct slice copy_orcpt(struct arena *arena, struct slice orcpt)
{
    if (orcpt.len == 0)
        return arena_copy(arena, orcpt);
    struct buffer text = BUFFER_WITH_LIMIT(orcpt.len);
    smtp_command_append_orcpt(orcpt, &text);
    struct slice copy = text.failed ? slice_of(NULL, 0) : arena_copy(arena, buffer_slice(&text));
    buffer_clear(&text);
    return copy;
}

static bool note_recipient(struct transaction *transaction, const struct smtp_rcpt *rcpt)
{
    struct recipient *asked = &transaction->asked;
    asked->notify = rcpt->notify;
    asked->address = copy_path(&transaction->arena, &rcpt->forward_path);
    asked->orcpt = copy_orcpt(&transaction->arena, rcpt->orcpt);
    return asked->address.ptr && asked->orcpt.ptr;
}

/* `reason` is for the log alone: how our aliases hang together is nobody's business outside. */
static void refuse_recipient(struct session *session, struct slice reason, struct smtp_reply reply)
{
    struct transaction *transaction = session->transaction;
    LOG(session_log(session), LOG_INFO, "recipient_refused", log_id("session", session->name),
        log_text("client", session->client_text), log_bytes("from", transaction->reverse_path),
        log_bytes("to", transaction->asked.address), log_number("code", reply.code),
        log_bytes("enhanced", reply.enhanced), log_bytes("reason", reason));
    session_reply(session, reply);
    if (reply.code >= 500
        && ++session->refused_recipients > session_config(session)->limits.recipients)
        session_close(session,
                      SMTP_REPLY(421, "4.7.0", "Too many refused recipients (limits.recipients)"),
                      "limits.recipients");
}

void session_on_rcpt(struct session *session, struct smtp_command *command)
{
    const struct smtp_rcpt *rcpt = &command->rcpt;
    struct transaction *transaction = session->transaction;
    if (transaction->accepted >= session_config(session)->limits.recipients) {
        session_reply(session, SMTP_REPLY(452, "4.5.3", "Too many recipients (limits.recipients)"));
        return;
    }
    if (rcpt->utf8 && !transaction->utf8) {
        session_refuse(session,
                       SMTP_REPLY(553, "5.6.7", "This address needs SMTPUTF8 (RFC 6531 3.5)"));
        return;
    }
    if (!note_recipient(transaction, rcpt)) {
        session_reply(session, SMTP_REPLY(452, "4.5.3", "Out of memory for more recipients"));
        return;
    }
    struct auth_recipient question = {.header = {.type = AUTH_RECIPIENT},
                                      .session = session->number,
                                      .address_octets = (uint32_t)transaction->asked.address.len};
    if (!session_is_submission(session))
        question.client = session->client;
    bool asked =
        session_ask(session, &(struct session_question){.wait = SESSION_WAIT_RECIPIENT,
                                                        .peer = ROLE_AUTH,
                                                        .head = &question.header,
                                                        .head_octets = sizeof(question),
                                                        .tail = &transaction->asked.address,
                                                        .tail_count = 1});
    if (!asked)
        session_lose_recipient(session);
}

static bool add_recipient(struct transaction *transaction, struct recipient fresh)
{
    struct recipient *recipient = arena_alloc(&transaction->arena, sizeof(*recipient));
    if (!recipient)
        return false;
    *recipient = fresh;
    recipient->next = NULL;
    *transaction->recipients_end = recipient;
    transaction->recipients_end = &recipient->next;
    transaction->recipient_count++;
    return true;
}

/* The recipient as given, for reports about the address that an alias led to. */
static struct slice make_orcpt(struct transaction *transaction)
{
    struct buffer text = BUFFER_WITH_LIMIT(QUEUE_ADDRESS_MAX);
    orcpt_append(transaction->asked.address, &text);
    struct slice copy =
        text.failed ? slice_of(NULL, 0) : arena_copy(&transaction->arena, buffer_slice(&text));
    buffer_clear(&text);
    return copy;
}

static bool add_target(struct transaction *transaction, const struct recipient_target *target)
{
    struct recipient fresh = transaction->asked;
    if (target->kind == AUTH_TARGET_ACCOUNT) {
        fresh.account = arena_copy(&transaction->arena, target->name);
        return fresh.account.ptr && add_recipient(transaction, fresh);
    }
    fresh.permit = target->permit;
    if (slice_equal(target->name, fresh.address))
        return add_recipient(transaction, fresh);
    /* RFC 3461 5.2.7.1: what the sender asked for goes on with the message. */
    if (fresh.orcpt.len == 0)
        fresh.orcpt = make_orcpt(transaction);
    fresh.forwarded = true;
    fresh.address = arena_copy(&transaction->arena, target->name);
    return fresh.orcpt.ptr && fresh.address.ptr && add_recipient(transaction, fresh);
}

/* All targets of a recipient, or none. */
static bool add_targets(struct transaction *transaction, struct slice targets)
{
    struct recipient **end = transaction->recipients_end;
    uint32_t before = transaction->recipient_count;
    struct recipient_target target;
    while (recipient_target_take(&targets, &target)) {
        if (!add_target(transaction, &target)) {
            *end = NULL;
            transaction->recipients_end = end;
            transaction->recipient_count = before;
            return false;
        }
    }
    return true;
}

bool session_take_id(struct session *session)
{
    struct transaction *transaction = session->transaction;
    if (transaction->id == 0)
        transaction->id = server_take_id(session->server);
    queue_id_format(transaction->id, transaction->id_text);
    return transaction->id != 0;
}

/* Without targets: the address is of another domain, and an account may send there. */
static void accept_recipient(struct session *session, struct slice targets)
{
    struct transaction *transaction = session->transaction;
    if (!session_take_id(session)) {
        session_lose_recipient(session);
        return;
    }
    bool added = targets.len > 0 ? add_targets(transaction, targets)
                                 : add_recipient(transaction, transaction->asked);
    if (!added) {
        refuse_recipient(session, SLICE(""),
                         SMTP_REPLY(452, "4.5.3", "Too many recipients (limits.recipients)"));
        return;
    }
    if (transaction->accepted++ == 0)
        transaction->first_recipient = transaction->asked.address;
    LOG(session_log(session), LOG_INFO, "recipient", log_id("session", session->name),
        log_id("queue_id", transaction->id_text), log_bytes("to", transaction->asked.address),
        log_bytes("from", transaction->reverse_path));
    if (session->state == SESSION_MAIL)
        session_enter(session, SESSION_RCPT);
    session_reply(session, SMTP_REPLY(250, "2.1.5", "Ok"));
}

/* The words for a verdict of auth that is a refusal. */
static struct smtp_reply recipient_refusal(uint32_t verdict)
{
    switch (verdict) {
    case AUTH_RECIPIENT_UNKNOWN:
        return SMTP_REPLY(550, "5.1.1", "No such mailbox here; please check the address");
    case AUTH_RECIPIENT_FOREIGN:
        return SMTP_REPLY(550, "5.7.1", "Relaying denied: not one of our domains");
    case AUTH_RECIPIENT_LOOP:
        return SMTP_REPLY(550, "5.4.6", "The aliases of this address go in circles");
    case AUTH_RECIPIENT_FULL:
        return SMTP_REPLY(452, "4.2.2", "The mailbox is full; try again later");
    default:
        return SMTP_REPLY(451, "4.3.0", "The address cannot be checked now; try again later");
    }
}

void session_on_recipient_answer(struct session *session, uint32_t verdict, struct slice text,
                                 struct slice targets)
{
    if ((verdict == AUTH_RECIPIENT_TARGETS && targets.len > 0)
        || (verdict == AUTH_RECIPIENT_FOREIGN && session->account.len > 0)) {
        accept_recipient(session, targets);
        return;
    }
    refuse_recipient(session, text, recipient_refusal(verdict));
}

void session_lose_recipient(struct session *session)
{
    refuse_recipient(session, SLICE(""), recipient_refusal(AUTH_RECIPIENT_TEMPORARY));
}
