/* Copies the queue while it is in use; see backup.h. */
#include "smtpd/queue/store/backup.h"

#include <fcntl.h>

#include "common/disk/fd.h"
#include "common/disk/tree.h"
#include "smtpd/queue/queue.h"

enum { STEP_OCTETS = 512 << 10 }; /* a turn: some tenths of a millisecond */

static const char directory_name[] = "backup";

static bool run_checkpoint(struct flusher_job *job, struct error *error)
{
    struct queue *queue = job->owner;
    return queue_store_checkpoint(queue->store, true, error);
}

/* Ends the backup, successful or not: postponed work continues. */
static void finish(struct queue *queue)
{
    struct backup *backup = &queue->backup;
    db_copy_end(&backup->copy);
    fd_discard(&backup->target_fd);
    spool_let_go(&queue->spool);
    backup->stage = BACKUP_NONE;
}

static void give_up(struct queue *queue, const struct error *error)
{
    struct backup *backup = &queue->backup;
    LOG(&queue->role->log, LOG_ERROR, "backup_failed", log_failure(error));
    control_refuse(queue->role, backup->client_fd, "queue: %s", error->text);
    backup->client_fd = -1;
    finish(queue);
    if (!tree_remove(AT_FDCWD, directory_name, NULL))
        LOG(&queue->role->log, LOG_WARNING, "backup_not_removed");
}

static void on_checkpoint(struct flusher_job *job)
{
    struct queue *queue = job->owner;
    if (!job->succeeded) {
        give_up(queue, &job->error);
        queue_check_store(queue, &job->error);
        return;
    }
    queue->backup.stage = BACKUP_COPYING;
    queue_wake(queue);
}

void backup_init(struct queue *queue)
{
    struct error error;
    queue->backup = (struct backup){.client_fd = -1, .target_fd = -1, .copy = DB_COPY_NONE};
    queue->backup.checkpoint =
        (struct flusher_job){.run = run_checkpoint, .done = on_checkpoint, .owner = queue};
    if (!tree_remove(AT_FDCWD, directory_name, &error))
        LOG(&queue->role->log, LOG_WARNING, "backup_not_removed", log_failure(&error));
}

static bool begin(struct queue *queue, struct error *error)
{
    struct backup *backup = &queue->backup;
    if (!tree_remove(AT_FDCWD, directory_name, error))
        return false;
    backup->target_fd = tree_make(AT_FDCWD, directory_name, error);
    if (backup->target_fd < 0 || !db_copy_begin(&backup->copy, ".", backup->target_fd, error))
        return false;
    spool_keep(&queue->spool);
    backup->stage = BACKUP_CHECKPOINT;
    flusher_submit(queue->flusher, &backup->checkpoint);
    return true;
}

static void answer_ok(struct queue *queue, int fd)
{
    struct buffer answer = BUFFER_WITH_LIMIT(16);
    buffer_append(&answer, SLICE("ok\n"));
    control_answer(queue->role, fd, &answer);
}

static void on_begin(struct queue *queue, int fd)
{
    struct error error;
    if (backup_is_under_way(&queue->backup)) {
        control_refuse(queue->role, fd, "another backup is under way");
        return;
    }
    queue->backup.client_fd = fd;
    if (!begin(queue, &error))
        give_up(queue, &error);
}

static void on_end(struct queue *queue, int fd)
{
    struct error error;
    if (backup_is_under_way(&queue->backup))
        control_refuse(queue->role, fd, "a backup is under way");
    else if (!tree_remove(AT_FDCWD, directory_name, &error))
        control_refuse(queue->role, fd, "queue: %s", error.text);
    else
        answer_ok(queue, fd);
}

void backup_on_control(struct queue *queue, const struct control_words *words, int fd)
{
    if (words->count == 2 && slice_equal(words->words[1], SLICE("begin")))
        on_begin(queue, fd);
    else if (words->count == 2 && slice_equal(words->words[1], SLICE("end")))
        on_end(queue, fd);
    else
        control_refuse(queue->role, fd, "usage: staffetta backup DIRECTORY");
}

static bool link_bodies(struct queue *queue, struct error *error)
{
    int spool_fd = tree_make(queue->backup.target_fd, "spool", error);
    bool linked = spool_fd >= 0 && spool_link_all(&queue->spool, spool_fd, error);
    fd_discard(&spool_fd);
    return linked;
}

void backup_run(struct queue *queue)
{
    struct error error;
    bool done = false;
    struct backup *backup = &queue->backup;
    if (backup->stage != BACKUP_COPYING)
        return;
    if (!db_copy_step(&backup->copy, STEP_OCTETS, &done, &error)
        || (done && !link_bodies(queue, &error))) {
        give_up(queue, &error);
        return;
    }
    queue_wake(queue);
    if (!done)
        return;
    int fd = backup->client_fd;
    backup->client_fd = -1;
    finish(queue);
    answer_ok(queue, fd);
}
