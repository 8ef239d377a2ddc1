/*
 * Session processes and their records; see intake.h.
 */
#include "smtpd/queue/intake/intake.h"

#include <stdlib.h>

#include <utlist.h>

#include "common/disk/fd.h"
#include "common/size.h"
#include "smtpd/queue/intake/claim.h"
#include "smtpd/queue/intake/commit.h"
#include "smtpd/queue/intake/entry.h"
#include "smtpd/queue/intake/submission.h"
#include "smtpd/queue/intake/submit_record.h"
#include "smtpd/queue/queue.h"
#include "smtpd/queue/queue_protocol.h"

_Static_assert((int)QUEUE_IDS_LENT == (int)LENT_RANGE, "what is lent is what is remembered");

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

/* ---- what comes before QUEUE_SUBMIT ---- */

/* No memory for a new request: the rest of it is refused. Any other failure ends the session. */
static bool forgive_lost_record(struct intake_peer *peer, const struct error *error)
{
    if (error->kind == ERROR_PEER)
        return false;
    peer->lost_records = true;
    return true;
}

static bool on_recipient(void *owner, struct ipc_packet *packet, struct error *error)
{
    struct role_peer *role_peer = owner;
    struct recipient_texts texts;
    if (!recipient_record_parse(slice_of(packet->record, packet->length), &texts, error))
        return false;
    struct submission *submission = submission_of(role_peer->data, packet, error);
    if (!submission)
        return forgive_lost_record(role_peer->data, error);
    submission_take_recipient(submission, &texts);
    return true;
}

static bool on_forget(void *owner, struct ipc_packet *packet, struct error *error)
{
    (void)error;
    struct role_peer *role_peer = owner;
    struct intake_peer *peer = role_peer->data;
    struct submission *submission = submission_find(peer, ipc_packet_header(packet)->request);
    if (!submission)
        return true;
    submission_forget_request(peer, submission);
    submission_free(peer->queue, submission);
    return true;
}

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
    fd_discard(&write_fd); /* or the seal would find us as a writer */
    if (!sent)
        spool_discard(&queue->spool, &submission->file);
    return sent;
}

static bool on_spool(void *owner, struct ipc_packet *packet, struct error *error)
{
    struct role_peer *role_peer = owner;
    struct intake_peer *peer = role_peer->data;
    struct queue *queue = peer->queue;
    struct submission *submission = submission_of(peer, packet, error);
    if (submission && submission->file.read_fd >= 0)
        return error_set(error, ERROR_PEER, "a second file for one message");
    if (submission && lend_file(queue, submission, error))
        return true;
    if (error->kind == ERROR_PEER)
        return false;
    LOG(&queue->role->log, LOG_ERROR, "no_spool_file", log_failure(error));
    if (submission) {
        submission_forget_request(peer, submission);
        submission_free(queue, submission);
    }
    refuse_request(role_peer, ipc_packet_header(packet)->request, error);
    return true;
}

/* ---- QUEUE_SUBMIT ---- */

static bool use_id(struct intake_peer *peer, uint64_t id, struct error *error)
{
    enum lent_verdict verdict = lent_ids_use(&peer->lent, id);
    if (verdict == LENT)
        return true;
    if (verdict == LENT_LONG_AGO)
        return error_set(error, ERROR_TEMPORARY, "an id lent too long ago");
    return error_set(error, ERROR_PEER, "an id that was not lent");
}

/* Whether QUEUE_SUBMIT matches the records before it. */
static bool fits_what_came_before(struct submission *submission, const struct submitted *submitted,
                                  struct error *error)
{
    if (submitted->has_last)
        submission_take_recipient(submission, &submitted->last);
    if (submitted->recipients != submission->records && submission->peer->lost_records)
        return error_memory(error);
    if (submitted->recipients != submission->records)
        return error_set(error, ERROR_PEER, "more or fewer recipients than were named");
    bool in_spool = (submitted->message.flags & QUEUE_IN_SPOOL) != 0;
    if (in_spool != (submission->file.read_fd >= 0))
        return error_set(error, ERROR_PEER, "body and spool file do not go together");
    return true;
}

/* Takes the submission on success. False: ERROR_PEER ends the session, any other error refuses the
 * message. */
static bool accept_submission(struct queue *queue, const struct role_peer *peer,
                              const struct ipc_packet *packet, struct submission *submission,
                              struct error *error)
{
    struct submitted submitted;
    if (!submit_record_parse(slice_of(packet->record, packet->length), &submitted, error)
        || !fits_what_came_before(submission, &submitted, error)
        || !claim_check_account(peer, &submitted, error)
        || !claim_check_foreign(peer, submission, &submitted, error)
        || !submission_take_over(submission, &submitted, error)
        || !use_id(peer->data, submission->id, error) || !entry_in_memory(queue, submission, error))
        return false;
    if (submission->file.read_fd >= 0)
        return commit_put_long(queue, submission, error);
    commit_put(queue, submission);
    return true;
}

static bool on_submit(void *owner, struct ipc_packet *packet, struct error *error)
{
    struct role_peer *role_peer = owner;
    struct intake_peer *peer = role_peer->data;
    struct queue *queue = peer->queue;
    struct submission *submission = submission_of(peer, packet, error);
    if (!submission && error->kind == ERROR_PEER)
        return false;
    if (!submission) {
        refuse_request(role_peer, ipc_packet_header(packet)->request, error);
        return true;
    }
    submission_forget_request(peer, submission);
    if (accept_submission(queue, role_peer, packet, submission, error))
        return true;
    bool hostile = error->kind == ERROR_PEER;
    if (hostile)
        submission->peer = NULL; /* its channel is closed instead of an answer */
    submission_refuse(queue, submission, error);
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

/* ---- peers ---- */

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
        submission_forget_request(peer, submission);
        submission_free(queue, submission);
    }
    lent_ids_clear(&peer->lent);
    free(peer);
    role_peer->data = NULL;
}
