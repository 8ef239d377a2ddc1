/*
 * See commit.h.
 */
#include "smtpd/queue/intake/commit.h"

#include <utlist.h>

#include "smtpd/queue/intake/entry.h"
#include "smtpd/queue/intake/submission.h"
#include "smtpd/queue/queue.h"
#include "smtpd/queue/queue_id.h"
#include "smtpd/queue/queue_protocol.h"

static void refuse_list(struct queue *queue, struct submission **list, const struct error *error)
{
    while (*list) {
        struct submission *submission = *list;
        DL_DELETE(*list, submission);
        submission_refuse(queue, submission, error);
    }
}

/* Aborts the open transaction and refuses its submissions. */
static void abort_transaction(struct queue *queue, const struct error *error)
{
    queue_store_abort(queue->store);
    queue->intake.in_transaction = false;
    refuse_list(queue, &queue->intake.open, error);
    queue_check_store(queue, error);
}

/* Puts the submission into the transaction of this turn, beginning it if needed. Takes the
 * submission. */
void commit_put(struct queue *queue, struct submission *submission)
{
    struct intake *intake = &queue->intake;
    struct error error = {0};
    DL_APPEND(intake->open, submission);
    if (!intake->in_transaction)
        intake->in_transaction = queue_store_begin(queue->store, &error);
    if (!intake->in_transaction || !entry_put_rows(queue, submission, &error))
        abort_transaction(queue, &error);
    else
        submission_forget_content(submission);
    queue_wake(queue);
}

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
            submission_refuse(queue, submission, &job->error);
        else if (!submission->flushed)
            submission_refuse(queue, submission, &submission->error);
        else
            commit_put(queue, submission);
    }
    start_flush(queue);
}

bool commit_put_long(struct queue *queue, struct submission *submission, struct error *error)
{
    if (!spool_seal(&queue->spool, &submission->file, submission->message.body_octets, error)
        || !submission_keep_content(submission, error))
        return false;
    DL_APPEND(queue->intake.to_flush, submission);
    start_flush(queue);
    return true;
}

/* ---- what the log and statistics are told ---- */

enum { RUN_MAX = 1000 }; /* recipients counted by one number */

static struct slice domain_of(const struct wanted_recipient *wanted)
{
    struct slice address = wanted->texts.address;
    size_t at = address.len;
    while (at > 0 && address.ptr[at - 1] != '@')
        at--;
    return at > 0 ? slice_from(address, at) : SLICE("");
}

/* "example.org:2 example.net:1": recipients per run of one domain. Fills at most one field of the
 * log; returns the first recipient without room. */
static const struct wanted_recipient *append_domains(const struct wanted_recipient *wanted,
                                                     struct buffer *text)
{
    buffer_reset(text);
    while (wanted) {
        struct slice domain = domain_of(wanted);
        const struct wanted_recipient *next = wanted;
        uint64_t count = 0;
        for (; next && count < RUN_MAX && slice_equal_nocase(domain_of(next), domain); count++)
            next = next->hh.next;
        if (text->len + domain.len + SLICE(" :1000").len > LOG_VALUE_MAX)
            break;
        buffer_append(text, text->len > 0 ? SLICE(" ") : SLICE(""));
        buffer_append(text, domain);
        buffer_append(text, SLICE(":"));
        buffer_append_number(text, count);
        wanted = next;
    }
    return wanted;
}

static void log_queued(struct queue *queue, const struct submission *submission)
{
    char id[QUEUE_ID_SIZE];
    const struct stored_message *message = &submission->message;
    struct buffer domains = BUFFER_WITH_LIMIT(LOG_VALUE_MAX);
    const struct wanted_recipient *more = append_domains(submission->wanted, &domains);
    LOG(&queue->role->log, LOG_INFO, "queued",
        log_id("queue_id", queue_id_format(submission->id, id)),
        log_hex("session", message->session), log_bytes("from", message->reverse_path),
        log_number("octets", (int64_t)message->body_octets),
        log_number("recipients", submission->queued->recipient_count - submission->has_copy),
        log_bytes("domains", buffer_slice(&domains)));
    while (more && !domains.failed) {
        more = append_domains(more, &domains);
        const struct log_field field = log_bytes("domains", buffer_slice(&domains));
        log_detail(&queue->role->log, "queued_domains", &field, 1);
    }
    buffer_clear(&domains);
}

/* ---- acknowledged ---- */

static void schedule_all(struct queue *queue, struct queued_message *message, uint64_t due_ms)
{
    struct queued_recipient *recipient, *next;
    DL_FOREACH_SAFE2 (message->recipients, recipient, next, next_of_message)
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
    submission_free(queue, submission);
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

void intake_init(struct queue *queue)
{
    queue->intake =
        (struct intake){.flush = {.run = run_flush, .done = on_flushed, .owner = queue}};
}
