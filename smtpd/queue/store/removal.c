/* See removal.h. */
#include "smtpd/queue/store/removal.h"

#include "smtpd/queue/queue.h"

static bool run(struct flusher_job *job, struct error *error)
{
    struct queue *queue = job->owner;
    bool removed = true;
    for (size_t i = 0; i < queue->removal.count; i++)
        removed = spool_unlink(&queue->spool, queue->removal.ids[i], error) && removed;
    return removed;
}

/* The next start's sweep removes the rest. */
static void on_done(struct flusher_job *job)
{
    struct queue *queue = job->owner;
    if (!job->succeeded)
        LOG(&queue->role->log, LOG_WARNING, "spool_not_removed", log_failure(&job->error));
    queue_wake(queue);
}

void removal_init(struct queue *queue)
{
    queue->removal = (struct removal){.job = {.run = run, .done = on_done, .owner = queue}};
}

void removal_run(struct queue *queue)
{
    struct removal *removal = &queue->removal;
    if (removal->job.under_way)
        return;
    removal->count = spool_take_doomed(&queue->spool, removal->ids, REMOVAL_AT_ONCE);
    if (removal->count > 0)
        flusher_submit(queue->flusher, &removal->job);
}

bool removal_is_busy(const struct queue *queue)
{
    return queue->removal.job.under_way || queue->spool.doomed.len > 0;
}
