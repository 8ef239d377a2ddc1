/* Long messages in reports; see report_body.h. */
#include "smtpd/queue/outcome/report_body.h"

#include <stdlib.h>

#include <utlist.h>

#include "common/disk/fd.h"
#include "smtpd/queue/queue.h"
#include "smtpd/queue/queue_id.h"
#include "smtpd/queue/queue_protocol.h"

enum {
    ORIGINAL_OCTETS_MAX = 10 << 20, /* a longer one comes back as its header */
    BODIES_MAX = 32,                /* copies that may exist at once */
    CHUNK = 64 << 10,
};

/* ---- the second thread ---- */

static bool copy_range(const struct report_body *body, uint64_t from, uint64_t to,
                       uint8_t chunk[CHUNK], struct error *error)
{
    while (from < to) {
        size_t size = to - from < CHUNK ? (size_t)(to - from) : (size_t)CHUNK, got;
        if (!fd_pread_full(body->body_fd, chunk, size, from, &got, error))
            return false;
        if (got < size)
            return error_set(error, ERROR_PERMANENT, "the body is shorter than it was");
        if (!fd_write_all(body->write_fd, slice_of(chunk, size), error))
            return false;
        from += size;
    }
    return true;
}

/* Copies the body without its cuts. */
static bool copy_body(const struct report_body *body, uint64_t octets, struct error *error)
{
    uint8_t *chunk = malloc(CHUNK);
    bool copied = chunk != NULL || error_memory(error);
    uint64_t at = 0;
    struct slice rest = buffer_slice(&body->cuts);
    while (copied && rest.len > 0) {
        struct filter_cut cut;
        memcpy(&cut, rest.ptr, sizeof(cut));
        rest = slice_from(rest, sizeof(cut));
        copied = copy_range(body, at, cut.offset, chunk, error);
        at = (uint64_t)cut.offset + cut.octets;
    }
    copied = copied && copy_range(body, at, octets, chunk, error);
    free(chunk);
    return copied;
}

static bool write_end(const struct report_body *body, struct error *error)
{
    struct buffer end = BUFFER_WITH_LIMIT(2 * BOUNCE_BOUNDARY_MAX);
    bounce_append_end(body->boundary, &end);
    bool written =
        end.failed ? error_memory(error) : fd_write_all(body->write_fd, buffer_slice(&end), error);
    buffer_clear(&end);
    return written;
}

static bool run_copy(struct flusher_job *job, struct error *error)
{
    struct report_body *body = job->owner;
    struct spool *spool = &body->queue->spool;
    if (!fd_write_all(body->write_fd, buffer_slice(&body->prefix), error)
        || !copy_body(body, body->octets, error) || !write_end(body, error)
        || !spool_link(spool, &body->file, body->report_id, error))
        return false;
    off_t end = lseek(body->write_fd, 0, SEEK_CUR);
    if (end < 0)
        return error_errno(error, "measure the body of a report");
    body->octets = (uint64_t)end;
    spool_flush_file(spool, &body->file);
    return spool_flush(spool, error) && spool_flushed(&body->file, error);
}

/* ---- the loop ---- */

static void close_sources(struct report_body *body)
{
    fd_discard(&body->write_fd);
    fd_discard(&body->body_fd);
    buffer_clear(&body->prefix);
    buffer_clear(&body->cuts);
}

static void free_body(struct report_body *body)
{
    close_sources(body);
    if (body->state == REPORT_BODY_USED)
        spool_release(&body->file);
    else
        spool_discard(&body->queue->spool, &body->file);
    HASH_DEL(body->queue->reports.bodies, body);
    free(body);
}

static struct report_body *find_body(const struct queue *queue, uint64_t id)
{
    struct report_body *body;
    HASH_FIND(hh, queue->reports.bodies, &id, sizeof(id), body);
    return body;
}

static void on_copied(struct flusher_job *job)
{
    struct report_body *body = job->owner;
    struct queue *queue = body->queue;
    close_sources(body);
    body->state = REPORT_BODY_READY;
    if (!job->succeeded) {
        LOG(&queue->role->log, LOG_WARNING, "report_without_body", log_failure(&job->error));
        spool_discard(&queue->spool, &body->file);
    }
    while (body->waiting) {
        struct queued_recipient *recipient = body->waiting;
        DL_DELETE(body->waiting, recipient);
        settle_again(queue, recipient);
    }
}

static bool open_files(struct report_body *body, const struct stored_message *message,
                       struct error *error)
{
    struct spool *spool = &body->queue->spool;
    body->body_fd = spool_open_body(spool, body->id, message->body_octets, error);
    return body->body_fd >= 0 && spool_create(spool, &body->file, &body->write_fd, error);
}

static bool take_recipe(struct report_body *body, const struct stored_message *message)
{
    buffer_append(&body->prefix, message->prefix);
    for (size_t i = 0; i < message->cut_count; i++) {
        struct filter_cut cut = stored_cut(message, i);
        buffer_append(&body->cuts, slice_of(&cut, sizeof(cut)));
    }
    body->octets = message->body_octets;
    return !body->prefix.failed && !body->cuts.failed;
}

/* NULL: it cannot be done now. */
static struct report_body *make_body(struct queue *queue, uint64_t id)
{
    struct report_body *body = calloc(1, sizeof(*body));
    if (!body)
        return NULL;
    body->queue = queue;
    body->id = id;
    body->write_fd = body->body_fd = -1;
    body->file = (struct spool_file)SPOOL_FILE_NONE;
    body->job = (struct flusher_job){.run = run_copy, .done = on_copied, .owner = body};
    buffer_init(&body->prefix, FILTER_PREFIX_MAX);
    buffer_init(&body->cuts, FILTER_CUTS_MAX * sizeof(struct filter_cut));
    report_random_boundary(body->boundary);
    HASH_ADD(hh, queue->reports.bodies, id, sizeof(body->id), body);
    if (hash_table_holds(&body->hh))
        return body;
    free(body);
    return NULL;
}

static struct report_body *begin_copy(struct queue *queue, uint64_t id,
                                      const struct stored_message *message)
{
    struct error error = {0};
    struct report_body *body = make_body(queue, id);
    if (!body)
        return NULL;
    if (take_recipe(body, message) && open_files(body, message, &error)
        && queue_take_own_id(queue, &body->report_id)) {
        flusher_submit(queue->flusher, &body->job);
        return body;
    }
    free_body(body);
    return NULL;
}

static bool wants_whole(const struct stored_message *message)
{
    return report_may_have_all(message) && message->reverse_path.len > 0
           && message->body_octets <= ORIGINAL_OCTETS_MAX;
}

static bool has_to_wait(const struct queued_recipient *recipient)
{
    return recipient->outcome == OUTCOME_FAILED && report_wanted(recipient) == REPORT_TO_SENDER;
}

static bool any_has_to_wait(const struct queued_message *message)
{
    const struct queued_recipient *recipient;
    DL_FOREACH (message->settling, recipient)
        if (has_to_wait(recipient))
            return true;
    return false;
}

/* The copy under way, or a new one. NULL: nothing has to wait. */
static struct report_body *body_for(struct queue *queue, uint64_t id)
{
    struct stored_message message;
    struct report_body *body = find_body(queue, id);
    if (body)
        return body->state == REPORT_BODY_COPIED ? body : NULL;
    if (HASH_COUNT(queue->reports.bodies) >= BODIES_MAX
        || !queue_store_get_message(queue->store, id, &queue->reports.original, &message, NULL)
        || !wants_whole(&message))
        return NULL;
    return begin_copy(queue, id, &message);
}

void report_body_keep_back(struct queue *queue, struct queued_message *message)
{
    if (!message->in_spool || !any_has_to_wait(message))
        return;
    struct report_body *body = body_for(queue, message->id);
    if (!body)
        return;
    struct queued_recipient *recipient, *next;
    DL_FOREACH_SAFE (message->settling, recipient, next) {
        if (!has_to_wait(recipient))
            continue;
        DL_DELETE(message->settling, recipient);
        DL_APPEND(body->waiting, recipient);
    }
}

struct report_body *report_body_ready(const struct queue *queue, uint64_t id)
{
    struct report_body *body = find_body(queue, id);
    return body && body->state == REPORT_BODY_READY && body->file.read_fd >= 0 ? body : NULL;
}

void report_body_settled(struct queue *queue, uint64_t id)
{
    struct report_body *body = find_body(queue, id);
    if (body && body->state != REPORT_BODY_COPIED)
        free_body(body);
}

void report_body_undone(struct queue *queue, uint64_t id)
{
    struct report_body *body = find_body(queue, id);
    if (body && body->state == REPORT_BODY_USED)
        body->state = REPORT_BODY_READY;
}
