/*
 * An incoming message and what its session has sent so far; see submission.h.
 */
#include "smtpd/queue/intake/submission.h"

#include <errno.h>
#include <stdlib.h>

#include "common/auth/canonical.h"
#include "common/hash_table.h"
#include "smtpd/queue/queue.h"
#include "smtpd/queue/queue_id.h"
#include "smtpd/queue/queue_protocol.h"

enum {
    /* Of one message: recipients in memory. 1.3 KiB each at worst, a third of that usually. */
    RECIPIENT_OCTETS_MAX = 64 << 20,
    OPEN_REQUESTS_MAX = 65536, /* transactions of one session process */
};

/* ---- answers ---- */
static void send_refusal(struct role_peer *peer, uint64_t request, const char *text)
{
    struct queue_refused record = {.header = {.type = QUEUE_REFUSED, .request = request},
                                   .code = 451,
                                   .text_octets = (uint16_t)strlen(text)};
    ipc_send_record(&peer->channel, &record.header, sizeof(record), slice_of_string(text), NULL);
}

void refuse_request(struct role_peer *peer, uint64_t request, const struct error *error)
{
    if (error->code == ENOSPC || error->code == EDQUOT)
        send_refusal(peer, request,
                     "4.3.1 the mail system has no space left; please try again later");
    else
        send_refusal(peer, request,
                     "4.3.0 the message could not be stored; please try again later");
}

void submission_free(struct queue *queue, struct submission *submission)
{
    struct wanted_recipient *wanted, *next;
    HASH_ITER (hh, submission->wanted, wanted, next) {
        HASH_DEL(submission->wanted, wanted); /* the entries are the arena's */
    }
    spool_discard(&queue->spool, &submission->file);
    arena_clear(&submission->arena);
    free(submission);
}

/* Must no longer be in any list or table. */
void submission_refuse(struct queue *queue, struct submission *submission,
                       const struct error *error)
{
    char id[QUEUE_ID_SIZE];
    LOG(&queue->role->log, LOG_WARNING, "refused",
        log_id("queue_id", queue_id_format(submission->id, id)), log_failure(error));
    if (submission->queued)
        queued_drop_message(&queue->queued, submission->queued);
    if (submission->peer)
        refuse_request(submission->peer->role_peer, submission->request, error);
    submission_free(queue, submission);
}

struct submission *submission_find(const struct intake_peer *peer, uint64_t request)
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

struct submission *submission_of(struct intake_peer *peer, const struct ipc_packet *packet,
                                 struct error *error)
{
    uint64_t request = ipc_packet_header(packet)->request;
    struct submission *submission = submission_find(peer, request);
    if (submission)
        return submission;
    if (request == 0 || HASH_COUNT(peer->requests) >= OPEN_REQUESTS_MAX) {
        error_set(error, ERROR_PEER, "request %llu out of bounds", (unsigned long long)request);
        return NULL;
    }
    return make_request(peer, request, error);
}

void submission_forget_request(struct intake_peer *peer, struct submission *submission)
{
    HASH_DEL(peer->requests, submission);
    submission->hh.tbl = NULL;
}

/* Lowers the case of an address's domain: only the local part may be case-sensitive (RFC 5321
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

void submission_take_recipient(struct submission *submission, const struct recipient_texts *texts)
{
    submission->records++;
    if (!submission->no_room && !keep_recipient(submission, texts))
        submission->no_room = true;
}

static bool copy_text(struct arena *arena, struct slice *text)
{
    *text = arena_copy(arena, *text);
    return text->ptr != NULL;
}

bool submission_take_over(struct submission *submission, const struct submitted *submitted,
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

/* The record is freed before a long body's file is on disk. */
bool submission_keep_content(struct submission *submission, struct error *error)
{
    struct arena *arena = &submission->arena;
    struct slice cuts =
        slice_of(submission->cuts, submission->message.cut_count * sizeof(submission->cuts[0]));
    if (!copy_text(arena, &submission->message.prefix) || !copy_text(arena, &cuts))
        return error_memory(error);
    submission->cuts = (const void *)cuts.ptr;
    return true;
}

/* Drops what was borrowed from a record that is about to be freed, or is no longer needed. */
void submission_forget_content(struct submission *submission)
{
    submission->message.prefix = submission->message.body = slice_of(NULL, 0);
    submission->message.cut_count = 0;
    submission->cuts = NULL;
}
