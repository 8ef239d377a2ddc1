/*
 * Messages on their way in; see intake.h.
 *
 * A submission belongs to one place at a time: to its session's table until QUEUE_SUBMIT, then to
 * one of the three lists of struct intake, until it is answered and freed. Its session may die
 * meanwhile: then nobody is answered, but the message takes its way all the same, since the client
 * may have been told nothing or, through a slower path, everything.
 */
#include "smtpd/queue/intake.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include <utlist.h>

#include "common/arena.h"
#include "common/auth/canonical.h"
#include "common/disk/fd.h"
#include "common/hash_table.h"
#include "common/size.h"
#include "smtpd/queue/destination.h"
#include "smtpd/queue/lent_ids.h"
#include "smtpd/queue/queue.h"
#include "smtpd/queue/queue_id.h"
#include "smtpd/queue/queue_protocol.h"
#include "smtpd/queue/submit_record.h"

_Static_assert((int)QUEUE_IDS_LENT == (int)LENT_RANGE, "what is lent is what is remembered");

enum {
    /* Of one message: recipients in memory. 1.3 KiB each at worst, a third of that usually. */
    RECIPIENT_OCTETS_MAX = 64 << 20,
    OPEN_REQUESTS_MAX = 65536, /* transactions of one session process */
};

/* A session process. */
struct intake_peer {
    struct queue *queue;
    struct role_peer *role_peer;
    struct submission *requests; /* by request, before QUEUE_SUBMIT */
    struct lent_ids lent;
    bool wants_ids;
    bool lost_records; /* for lack of memory: counts may not add up, and nobody is to blame */
};

struct wanted_recipient {
    UT_hash_handle hh; /* by account, or by foreign address: the same twice is one */
    struct recipient_texts texts;
    struct slice destination; /* of a foreign address, from QUEUE_SUBMIT on */
};

struct submission {
    UT_hash_handle hh;
    struct submission *prev, *next;
    struct intake_peer *peer; /* NULL: it is gone */
    uint64_t request;
    struct wanted_recipient *wanted;
    uint32_t records;   /* QUEUE_RECIPIENT so far */
    bool no_room;       /* for all of them */
    struct arena arena; /* what the recipients, and for a long body the rest, point into */
    struct spool_file file;

    /* From QUEUE_SUBMIT on. */
    uint64_t id;
    struct stored_message message; /* prefix and body, and the cuts: until they are put */
    const struct filter_cut *cuts;
    int64_t hold_until;            /* RFC 4865; 0: not at all */
    struct queued_message *queued; /* there, but not scheduled */
    bool has_copy;                 /* for who submitted it: the last of its recipients */
    bool flushed;                  /* by the second thread */
    struct error error;
};

/* ---- answers ---- */

static void send_refusal(struct role_peer *peer, uint64_t request, const char *text)
{
    struct queue_refused record = {.header = {.type = QUEUE_REFUSED, .request = request},
                                   .code = 451,
                                   .text_octets = (uint16_t)strlen(text)};
    ipc_send_record(&peer->channel, &record.header, sizeof(record), slice_of_string(text), NULL);
}

static void refuse_for(struct role_peer *peer, uint64_t request, const struct error *error)
{
    if (error->code == ENOSPC || error->code == EDQUOT)
        send_refusal(peer, request,
                     "4.3.1 the mail system has no space left; please try again later");
    else
        send_refusal(peer, request,
                     "4.3.0 the message could not be stored; please try again later");
}

/* ---- submissions ---- */

static void free_submission(struct queue *queue, struct submission *submission)
{
    struct wanted_recipient *wanted, *next;
    HASH_ITER (hh, submission->wanted, wanted, next) {
        HASH_DEL(submission->wanted, wanted); /* the entries are the arena's */
    }
    spool_discard(&queue->spool, &submission->file);
    arena_clear(&submission->arena);
    free(submission);
}

/* Not in any list or table any more. */
static void refuse_submission(struct queue *queue, struct submission *submission,
                              const struct error *error)
{
    char id[QUEUE_ID_SIZE];
    LOG(&queue->role->log, LOG_WARNING, "refused",
        log_id("queue_id", queue_id_format(submission->id, id)), log_failure(error));
    if (submission->queued)
        queued_drop_message(&queue->queued, submission->queued);
    if (submission->peer)
        refuse_for(submission->peer->role_peer, submission->request, error);
    free_submission(queue, submission);
}

static struct submission *find_request(const struct intake_peer *peer, uint64_t request)
{
    struct submission *submission;
    HASH_FIND(hh, peer->requests, &request, sizeof(request), submission);
    return submission;
}

/* NULL with ERROR_TEMPORARY: no memory. */
static struct submission *make_request(struct intake_peer *peer, uint64_t request,
                                       struct error *error)
{
    struct submission *submission = calloc(1, sizeof(*submission));
    if (!submission) {
        error_memory(error);
        return NULL;
    }
    submission->peer = peer;
    submission->request = request;
    submission->file = (struct spool_file)SPOOL_FILE_NONE;
    arena_init(&submission->arena, RECIPIENT_OCTETS_MAX);
    HASH_ADD(hh, peer->requests, request, sizeof(submission->request), submission);
    if (hash_table_holds(&submission->hh))
        return submission;
    free(submission);
    error_memory(error);
    return NULL;
}

static struct submission *request_of(struct intake_peer *peer, const struct ipc_packet *packet,
                                     struct error *error)
{
    uint64_t request = ipc_packet_header(packet)->request;
    struct submission *submission = find_request(peer, request);
    if (submission)
        return submission;
    if (request == 0 || HASH_COUNT(peer->requests) >= OPEN_REQUESTS_MAX) {
        error_set(error, ERROR_PEER, "request %llu out of bounds", (unsigned long long)request);
        return NULL;
    }
    return make_request(peer, request, error);
}

static void forget_request(struct intake_peer *peer, struct submission *submission)
{
    HASH_DEL(peer->requests, submission);
    submission->hh.tbl = NULL;
}

/* ---- ids ---- */

static bool lend_ids(struct queue *queue, struct intake_peer *peer, struct error *error)
{
    struct queue_ids record = {.header = {.type = QUEUE_IDS}, .count = LENT_RANGE};
    if (!queue_store_lend_ids(queue->store, LENT_RANGE, &record.first, error))
        return false;
    if (!lent_ids_add(&peer->lent, record.first))
        return error_memory(error);
    peer->wants_ids = false;
    return ipc_send_record(&peer->role_peer->channel, &record.header, sizeof(record),
                           slice_of(NULL, 0), error);
}

static bool is_session(const struct role_peer *peer)
{
    return peer->kind == ROLE_SMTP || peer->kind == ROLE_SUBMISSION;
}

void intake_lend_ids(struct queue *queue)
{
    struct role_peer *role_peer;
    DL_FOREACH (queue->role->peers, role_peer) {
        struct intake_peer *peer = role_peer->data;
        struct error error = {0};
        if (!is_session(role_peer) || !peer || !peer->wants_ids)
            continue;
        if (lend_ids(queue, peer, &error))
            continue;
        LOG(&queue->role->log, LOG_ERROR, "no_ids", log_failure(&error));
        queue_check_store(queue, &error);
        return; /* the next second's turn tries again */
    }
}

/* ---- recipients ---- */

/* Of an address the domain in lower case: only the part before it may depend on that (RFC 5321
 * 2.4). */
static struct slice key_of(const struct recipient_texts *texts, uint8_t lower[QUEUE_ADDRESS_MAX])
{
    struct slice address = texts->address;
    if (texts->account.len > 0 || address.len > QUEUE_ADDRESS_MAX)
        return texts->account.len > 0 ? texts->account : address;
    size_t local_part = address.len - canonical_domain(address).len;
    for (size_t i = 0; i < address.len; i++)
        lower[i] = i < local_part ? address.ptr[i] : ascii_lower(address.ptr[i]);
    return slice_of(lower, address.len);
}

static bool keep_recipient(struct submission *submission, const struct recipient_texts *texts)
{
    struct wanted_recipient *wanted;
    uint8_t lower[QUEUE_ADDRESS_MAX];
    struct slice wanted_key = key_of(texts, lower);
    HASH_FIND(hh, submission->wanted, wanted_key.ptr, wanted_key.len, wanted);
    if (wanted)
        return true;
    struct arena *arena = &submission->arena;
    wanted = arena_alloc(arena, sizeof(*wanted));
    if (!wanted)
        return false;
    wanted->texts = (struct recipient_texts){.account = arena_copy(arena, texts->account),
                                             .address = arena_copy(arena, texts->address),
                                             .orcpt = arena_copy(arena, texts->orcpt),
                                             .notify = texts->notify,
                                             .permit = texts->permit,
                                             .forwarded = texts->forwarded};
    struct slice key = texts->account.len > 0 ? wanted->texts.account : wanted->texts.address;
    if (!slice_equal(key, wanted_key))
        key = arena_copy(arena, wanted_key);
    if (!wanted->texts.account.ptr || !wanted->texts.address.ptr || !wanted->texts.orcpt.ptr
        || !key.ptr)
        return false;
    HASH_ADD_KEYPTR(hh, submission->wanted, key.ptr, key.len, wanted);
    return hash_table_holds(&wanted->hh);
}

/* No memory for a new request: what follows of it is refused. Anything else ends the session. */
static bool forgive_lost_record(struct intake_peer *peer, const struct error *error)
{
    if (error->kind == ERROR_PEER)
        return false;
    peer->lost_records = true;
    return true;
}

static void take_recipient(struct submission *submission, const struct recipient_texts *texts)
{
    submission->records++;
    if (!submission->no_room && !keep_recipient(submission, texts))
        submission->no_room = true;
}

static bool on_recipient(void *owner, struct ipc_packet *packet, struct error *error)
{
    struct role_peer *role_peer = owner;
    struct recipient_texts texts;
    if (!recipient_record_parse(slice_of(packet->record, packet->length), &texts, error))
        return false;
    struct submission *submission = request_of(role_peer->data, packet, error);
    if (!submission)
        return forgive_lost_record(role_peer->data, error);
    take_recipient(submission, &texts);
    return true;
}

static bool on_forget(void *owner, struct ipc_packet *packet, struct error *error)
{
    (void)error;
    struct role_peer *role_peer = owner;
    struct intake_peer *peer = role_peer->data;
    struct submission *submission = find_request(peer, ipc_packet_header(packet)->request);
    if (!submission)
        return true;
    forget_request(peer, submission);
    free_submission(peer->queue, submission);
    return true;
}

static bool on_more_ids(void *owner, struct ipc_packet *packet, struct error *error)
{
    (void)packet;
    (void)error;
    struct role_peer *role_peer = owner;
    struct intake_peer *peer = role_peer->data;
    peer->wants_ids = true;
    queue_wake(peer->queue);
    return true;
}

/* ---- the file of a long body ---- */

static bool lend_file(struct queue *queue, struct submission *submission, struct error *error)
{
    int write_fd;
    if (!spool_create(&queue->spool, &submission->file, &write_fd, error))
        return false;
    struct ipc_header head = {.type = QUEUE_SPOOLED, .request = submission->request};
    const int descriptors[] = {write_fd, submission->file.read_fd};
    struct ipc_message message = {.head = &head,
                                  .head_octets = sizeof(head),
                                  .descriptors = descriptors,
                                  .descriptor_count = ARRAY_LENGTH(descriptors)};
    bool sent = ipc_send(&submission->peer->role_peer->channel, &message, error);
    fd_discard(&write_fd); /* or the seal would find a writer: ourselves */
    if (!sent)
        spool_discard(&queue->spool, &submission->file);
    return sent;
}

static bool on_spool(void *owner, struct ipc_packet *packet, struct error *error)
{
    struct role_peer *role_peer = owner;
    struct intake_peer *peer = role_peer->data;
    struct queue *queue = peer->queue;
    struct submission *submission = request_of(peer, packet, error);
    if (submission && submission->file.read_fd >= 0)
        return error_set(error, ERROR_PEER, "a second file for one message");
    if (submission && lend_file(queue, submission, error))
        return true;
    if (error->kind == ERROR_PEER)
        return false;
    LOG(&queue->role->log, LOG_ERROR, "no_spool_file", log_failure(error));
    if (submission) {
        forget_request(peer, submission);
        free_submission(queue, submission);
    }
    refuse_for(role_peer, ipc_packet_header(packet)->request, error);
    return true;
}

/* ---- QUEUE_SUBMIT ---- */

static uint64_t monotonic_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Nobody names himself: whoever sends for an account shows the token that auth gave its session. On
 * port 25 nobody has one. */
static bool check_account(const struct role_peer *peer, const struct submitted *submitted,
                          struct error *error)
{
    const struct stored_message *message = &submitted->message;
    bool has_account = message->account.len > 0;
    if (has_account != (peer->kind == ROLE_SUBMISSION))
        return error_set(error, ERROR_PEER, "an account where none belongs, or none");
    if (!has_account)
        return true;
    uint64_t now_ms = monotonic_ms();
    if (submitted->token.expires_ms <= now_ms)
        return error_set(error, ERROR_TEMPORARY, "the session's token has expired");
    struct token_key key;
    memcpy(key.octets, peer->role->token_key, sizeof(key.octets));
    if (!token_verify(&submitted->token, &key, message->session, message->account, now_ms))
        return error_set(error, ERROR_PEER, "no token for that account");
    return true;
}

/* The number of a session says which process it lives in (smtpd/session/session_role.c): a permit
 * is of no use to another. */
static bool is_session_of(const struct role_peer *peer, uint64_t session)
{
    return session >> 32 == ((uint64_t)peer->kind << 24 | peer->number);
}

static bool check_permit(const struct role_peer *peer, uint64_t session,
                         const struct recipient_texts *texts, struct error *error)
{
    struct token_key key;
    memcpy(key.octets, peer->role->token_key, sizeof(key.octets));
    /* One that has expired was good once: that is no crime. */
    if (!token_verify(&texts->permit, &key, session, texts->address, 0))
        return error_set(error, ERROR_PEER, "no permit for that address");
    if (texts->permit.expires_ms <= monotonic_ms())
        return error_set(error, ERROR_TEMPORARY, "the permit for an address has expired");
    return true;
}

/* An account sends where it likes. From port 25 nothing goes to other domains but where auth said
 * so: by an alias, or for a client of relay.networks. */
static bool check_foreign(const struct role_peer *peer, const struct submission *submission,
                          const struct submitted *submitted, struct error *error)
{
    uint64_t session = submitted->message.session;
    if (submitted->message.account.len > 0)
        return true;
    for (struct wanted_recipient *wanted = submission->wanted; wanted; wanted = wanted->hh.next) {
        if (wanted->texts.account.len > 0)
            continue;
        if (!is_session_of(peer, session))
            return error_set(error, ERROR_PEER, "a session of another process");
        if (!check_permit(peer, session, &wanted->texts, error))
            return false;
    }
    return true;
}

/* Whose turns the message takes: the account's, or the reverse-path's. */
static uint64_t sender_of(const struct stored_message *message)
{
    return queued_hash(message->account.len > 0 ? message->account : message->reverse_path);
}

/* Into the submission's arena. */
static bool choose_destination(struct queue *queue, struct submission *submission,
                               struct wanted_recipient *wanted, struct error *error)
{
    struct buffer destination = BUFFER_WITH_LIMIT(DESTINATION_MAX);
    destination_append(&queue->role->config, submission->message.flags, wanted->texts.address,
                       submission->message.reverse_path, &destination);
    bool chosen = !destination.failed;
    if (chosen)
        wanted->destination = arena_copy(&submission->arena, buffer_slice(&destination));
    buffer_clear(&destination);
    return (chosen && wanted->destination.ptr) || error_memory(error);
}

static struct stored_recipient row_of(const struct submission *submission,
                                      const struct wanted_recipient *wanted)
{
    const struct stored_message *message = &submission->message;
    int64_t release = submission->hold_until;
    return (struct stored_recipient){.state = STORED_WAITING,
                                     .by_return = (message->flags & QUEUE_BY_RETURN) != 0,
                                     .forwarded = wanted->texts.forwarded,
                                     .notify = wanted->texts.notify,
                                     .arrival = message->arrival,
                                     .due = release > 0 ? release : message->arrival,
                                     .release = release,
                                     .deliver_by = message->deliver_by,
                                     .sender = sender_of(message),
                                     .account = wanted->texts.account,
                                     .destination = wanted->destination,
                                     .address = wanted->texts.address,
                                     .orcpt = wanted->texts.orcpt};
}

/* What an account submits is filed for it, at once, whatever becomes of the message. Nobody is told
 * how that went, and what stands there is all it submitted: see deliver_protocol.h. */
static bool wants_copy(const struct queue *queue, const struct submission *submission)
{
    return queue->role->config.submission.sent_copy && submission->message.account.len > 0;
}

static struct stored_recipient copy_row_of(const struct submission *submission)
{
    const struct stored_message *message = &submission->message;
    return (struct stored_recipient){.state = STORED_WAITING,
                                     .purpose = STORED_COPY,
                                     .notify = QUEUE_NOTIFY_NEVER,
                                     .arrival = message->arrival,
                                     .due = message->arrival,
                                     .sender = sender_of(message),
                                     .account = message->account,
                                     .address = message->account};
}

static bool enter_copy(struct queue *queue, struct submission *submission, uint32_t number,
                       struct error *error)
{
    struct queued_recipient *recipient = queued_add_recipient(
        &queue->queued, submission->queued, number, TARGET_ACCOUNT, submission->message.account);
    if (!recipient)
        return error_memory(error);
    recipient->notify = QUEUE_NOTIFY_NEVER;
    recipient->purpose = STORED_COPY;
    submission->has_copy = true;
    return true;
}

static bool enter_recipient(struct queue *queue, struct submission *submission,
                            struct wanted_recipient *wanted, uint32_t number, struct error *error)
{
    bool is_local = wanted->texts.account.len > 0;
    if (!is_local && !choose_destination(queue, submission, wanted, error))
        return false;
    struct queued_recipient *recipient = queued_add_recipient(
        &queue->queued, submission->queued, number, is_local ? TARGET_ACCOUNT : TARGET_RELAY,
        is_local ? wanted->texts.account : wanted->destination);
    if (!recipient)
        return error_memory(error);
    recipient->notify = (uint8_t)wanted->texts.notify;
    recipient->forwarder =
        destination_forwarder(&queue->role->config, wanted->texts.forwarded, wanted->texts.orcpt);
    return true;
}

/* In memory before it is on disk: afterwards nothing may fail. */
static bool enter_in_memory(struct queue *queue, struct submission *submission, struct error *error)
{
    if (submission->no_room)
        return error_memory(error);
    submission->queued =
        queued_add_message(&queue->queued, submission->id, sender_of(&submission->message));
    if (!submission->queued)
        return error_memory(error);
    const struct stored_recipient first = row_of(submission, submission->wanted);
    deadlines_begin(queue, submission->queued, &first);
    submission->queued->in_spool = submission->file.read_fd >= 0;
    uint32_t number = 0;
    for (struct wanted_recipient *wanted = submission->wanted; wanted; wanted = wanted->hh.next)
        if (!enter_recipient(queue, submission, wanted, number++, error))
            return false;
    return !wants_copy(queue, submission) || enter_copy(queue, submission, number, error);
}

static bool put_rows(struct queue *queue, struct submission *submission, struct error *error)
{
    uint32_t number = 0;
    if (!queue_store_put_message(queue->store, submission->id, &submission->message,
                                 submission->cuts, error))
        return false;
    for (struct wanted_recipient *wanted = submission->wanted; wanted; wanted = wanted->hh.next) {
        const struct stored_recipient row = row_of(submission, wanted);
        if (!queue_store_put_recipient(queue->store, submission->id, number++, &row, error))
            return false;
    }
    const struct stored_recipient copy = copy_row_of(submission);
    return !submission->has_copy
           || queue_store_put_recipient(queue->store, submission->id, number, &copy, error);
}

static void refuse_list(struct queue *queue, struct submission **list, const struct error *error)
{
    while (*list) {
        struct submission *submission = *list;
        DL_DELETE(*list, submission);
        refuse_submission(queue, submission, error);
    }
}

/* Nothing of the open transaction will be. */
static void abort_transaction(struct queue *queue, const struct error *error)
{
    queue_store_abort(queue->store);
    queue->intake.in_transaction = false;
    refuse_list(queue, &queue->intake.open, error);
    queue_check_store(queue, error);
}

/* What was borrowed from a record that is gone soon, or is of no use any more. */
static void forget_content(struct submission *submission)
{
    submission->message.prefix = submission->message.body = slice_of(NULL, 0);
    submission->message.cut_count = 0;
    submission->cuts = NULL;
}

/* Into the transaction of this turn, which it begins. Takes the submission. */
static void put_submission(struct queue *queue, struct submission *submission)
{
    struct intake *intake = &queue->intake;
    struct error error = {0};
    DL_APPEND(intake->open, submission);
    if (!intake->in_transaction)
        intake->in_transaction = queue_store_begin(queue->store, &error);
    if (!intake->in_transaction || !put_rows(queue, submission, &error))
        abort_transaction(queue, &error);
    else
        forget_content(submission);
    queue_wake(queue);
}

/* ---- long bodies: the second thread ---- */

static bool run_flush(struct flusher_job *job, struct error *error)
{
    struct queue *queue = job->owner;
    struct submission *submission;
    DL_FOREACH (queue->intake.flushing, submission)
        submission->flushed =
            spool_link(&queue->spool, &submission->file, submission->id, &submission->error);
    DL_FOREACH (queue->intake.flushing, submission)
        if (submission->flushed)
            spool_flush_file(&queue->spool, &submission->file);
    bool names_flushed = spool_flush(&queue->spool, error);
    DL_FOREACH (queue->intake.flushing, submission)
        submission->flushed =
            submission->flushed && spool_flushed(&submission->file, &submission->error);
    return names_flushed;
}

static void start_flush(struct queue *queue)
{
    struct intake *intake = &queue->intake;
    if (intake->flush.under_way || !intake->to_flush)
        return;
    intake->flushing = intake->to_flush;
    intake->to_flush = NULL;
    flusher_submit(queue->flusher, &intake->flush);
}

static void on_flushed(struct flusher_job *job)
{
    struct queue *queue = job->owner;
    struct intake *intake = &queue->intake;
    while (intake->flushing) {
        struct submission *submission = intake->flushing;
        DL_DELETE(intake->flushing, submission);
        if (!job->succeeded)
            refuse_submission(queue, submission, &job->error);
        else if (!submission->flushed)
            refuse_submission(queue, submission, &submission->error);
        else
            put_submission(queue, submission);
    }
    start_flush(queue);
}

static bool copy_text(struct arena *arena, struct slice *text)
{
    *text = arena_copy(arena, *text);
    return text->ptr != NULL;
}

/* The record is gone when a long body's file is on disk. */
static bool keep_content(struct submission *submission, struct error *error)
{
    struct arena *arena = &submission->arena;
    struct slice cuts =
        slice_of(submission->cuts, submission->message.cut_count * sizeof(submission->cuts[0]));
    if (!copy_text(arena, &submission->message.prefix) || !copy_text(arena, &cuts))
        return error_memory(error);
    submission->cuts = (const void *)cuts.ptr;
    return true;
}

static bool accept_long(struct queue *queue, struct submission *submission, struct error *error)
{
    if (!spool_seal(&queue->spool, &submission->file, submission->message.body_octets, error)
        || !keep_content(submission, error))
        return false;
    DL_APPEND(queue->intake.to_flush, submission);
    start_flush(queue);
    return true;
}

static bool use_id(struct intake_peer *peer, uint64_t id, struct error *error)
{
    enum lent_verdict verdict = lent_ids_use(&peer->lent, id);
    if (verdict == LENT)
        return true;
    if (verdict == LENT_LONG_AGO)
        return error_set(error, ERROR_TEMPORARY, "an id lent too long ago");
    return error_set(error, ERROR_PEER, "an id that was not lent");
}

/* What was said before fits what is said now. */
static bool fits_what_came_before(struct submission *submission, const struct submitted *submitted,
                                  struct error *error)
{
    if (submitted->has_last)
        take_recipient(submission, &submitted->last);
    if (submitted->recipients != submission->records && submission->peer->lost_records)
        return error_memory(error);
    if (submitted->recipients != submission->records)
        return error_set(error, ERROR_PEER, "more or fewer recipients than were named");
    bool in_spool = (submitted->message.flags & QUEUE_IN_SPOOL) != 0;
    if (in_spool != (submission->file.read_fd >= 0))
        return error_set(error, ERROR_PEER, "body and spool file do not go together");
    return true;
}

static bool take_over(struct submission *submission, const struct submitted *submitted,
                      struct error *error)
{
    struct arena *arena = &submission->arena;
    struct stored_message *message = &submission->message;
    submission->id = submitted->id;
    submission->cuts = submitted->cuts;
    submission->hold_until = submitted->hold_until;
    *message = submitted->message;
    message->deliver_by = submitted->deliver_by;
    if (copy_text(arena, &message->reverse_path) && copy_text(arena, &message->envid)
        && copy_text(arena, &message->account))
        return true;
    return error_memory(error);
}

/* False with ERROR_PEER: the session is ended; else it is refused. Takes the submission on success.
 */
static bool accept_submission(struct queue *queue, const struct role_peer *peer,
                              const struct ipc_packet *packet, struct submission *submission,
                              struct error *error)
{
    struct submitted submitted;
    if (!submit_record_parse(slice_of(packet->record, packet->length), &submitted, error)
        || !fits_what_came_before(submission, &submitted, error)
        || !check_account(peer, &submitted, error)
        || !check_foreign(peer, submission, &submitted, error)
        || !take_over(submission, &submitted, error) || !use_id(peer->data, submission->id, error)
        || !enter_in_memory(queue, submission, error))
        return false;
    if (submission->file.read_fd >= 0)
        return accept_long(queue, submission, error);
    put_submission(queue, submission);
    return true;
}

static bool on_submit(void *owner, struct ipc_packet *packet, struct error *error)
{
    struct role_peer *role_peer = owner;
    struct intake_peer *peer = role_peer->data;
    struct queue *queue = peer->queue;
    struct submission *submission = request_of(peer, packet, error);
    if (!submission && error->kind == ERROR_PEER)
        return false;
    if (!submission) {
        refuse_for(role_peer, ipc_packet_header(packet)->request, error);
        return true;
    }
    forget_request(peer, submission);
    if (accept_submission(queue, role_peer, packet, submission, error))
        return true;
    bool hostile = error->kind == ERROR_PEER;
    if (hostile)
        submission->peer = NULL; /* its channel is closed instead of an answer */
    refuse_submission(queue, submission, error);
    return !hostile;
}

const struct ipc_rule intake_rules[INTAKE_RULES] = {
    {QUEUE_RECIPIENT, sizeof(struct queue_recipient) + 1,
     sizeof(struct queue_recipient) + MASTER_ACCOUNT_MAX + 2 * QUEUE_ADDRESS_MAX, 0, on_recipient},
    {QUEUE_SUBMIT, sizeof(struct queue_submit), IPC_RECORD_MAX, 0, on_submit},
    {QUEUE_SPOOL, sizeof(struct ipc_header), sizeof(struct ipc_header), 0, on_spool},
    {QUEUE_FORGET, sizeof(struct ipc_header), sizeof(struct ipc_header), 0, on_forget},
    {QUEUE_MORE_IDS, sizeof(struct queue_more_ids), sizeof(struct queue_more_ids), 0, on_more_ids},
};

/* ---- the end of the turn ---- */

static void log_queued(struct queue *queue, const struct submission *submission)
{
    char id[QUEUE_ID_SIZE];
    const struct stored_message *message = &submission->message;
    LOG(&queue->role->log, LOG_INFO, "queued",
        log_id("queue_id", queue_id_format(submission->id, id)),
        log_hex("session", message->session), log_bytes("from", message->reverse_path),
        log_number("octets", (int64_t)message->body_octets),
        log_number("recipients", submission->queued->recipient_count - submission->has_copy));
}

static void schedule_all(struct queue *queue, struct queued_message *message, uint64_t due_ms)
{
    struct queued_recipient *recipient, *next;
    DL_FOREACH_SAFE2(message->recipients, recipient, next, next_of_message)
    queued_schedule(&queue->queued, recipient,
                    recipient->purpose == STORED_COPY ? queue_now_ms() : due_ms);
}

static void acknowledge(struct queue *queue, struct submission *submission)
{
    struct ipc_header head = {.type = QUEUE_COMMITTED, .request = submission->request};
    if (submission->peer)
        ipc_send_record(&submission->peer->role_peer->channel, &head, sizeof(head),
                        slice_of(NULL, 0), NULL);
    log_queued(queue, submission);
    schedule_all(queue, submission->queued, deadlines_release_ms(submission->hold_until));
    spool_release(&submission->file);
    free_submission(queue, submission);
}

void intake_commit(struct queue *queue)
{
    struct intake *intake = &queue->intake;
    struct error error = {0};
    if (!intake->in_transaction)
        return;
    intake->in_transaction = false;
    if (!queue_store_commit(queue->store, &error)) {
        abort_transaction(queue, &error);
        return;
    }
    while (intake->open) {
        struct submission *submission = intake->open;
        DL_DELETE(intake->open, submission);
        acknowledge(queue, submission);
    }
}

void intake_refuse_all(struct queue *queue)
{
    struct error error;
    error_set(&error, ERROR_TEMPORARY, "the queue is about to end");
    refuse_list(queue, &queue->intake.open, &error);
    refuse_list(queue, &queue->intake.to_flush, &error);
}

bool intake_is_busy(const struct queue *queue)
{
    const struct intake *intake = &queue->intake;
    return intake->open || intake->to_flush || intake->flush.under_way;
}

/* ---- peers ---- */

void intake_init(struct queue *queue)
{
    queue->intake =
        (struct intake){.flush = {.run = run_flush, .done = on_flushed, .owner = queue}};
}

static void tell_space(const struct queue *queue, struct role_peer *peer)
{
    struct queue_space record = {.header = {.type = QUEUE_SPACE}, .enough = queue->enough_space};
    ipc_send_record(&peer->channel, &record.header, sizeof(record), slice_of(NULL, 0), NULL);
}

void intake_tell_space(struct queue *queue)
{
    struct role_peer *peer, *next;
    DL_FOREACH_SAFE (queue->role->peers, peer, next)
        if (is_session(peer))
            tell_space(queue, peer);
}

bool intake_peer_up(struct queue *queue, struct role_peer *role_peer)
{
    struct intake_peer *peer = calloc(1, sizeof(*peer));
    role_peer->data = peer;
    if (!peer)
        return false;
    peer->queue = queue;
    peer->role_peer = role_peer;
    peer->wants_ids = true;
    if (!queue->enough_space)
        tell_space(queue, role_peer);
    queue_wake(queue);
    return true;
}

static void orphan(struct submission *list, const struct intake_peer *peer)
{
    struct submission *submission;
    DL_FOREACH (list, submission)
        if (submission->peer == peer)
            submission->peer = NULL;
}

void intake_peer_down(struct queue *queue, struct role_peer *role_peer)
{
    struct intake_peer *peer = role_peer->data;
    if (!peer)
        return;
    orphan(queue->intake.open, peer);
    orphan(queue->intake.to_flush, peer);
    orphan(queue->intake.flushing, peer);
    struct submission *submission, *next;
    HASH_ITER (hh, peer->requests, submission, next) {
        forget_request(peer, submission);
        free_submission(queue, submission);
    }
    lent_ids_clear(&peer->lent);
    free(peer);
    role_peer->data = NULL;
}
