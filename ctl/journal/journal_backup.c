/* A copy of the history in use; see journal_backup.h. */
#include "ctl/journal/journal_backup.h"

#include <fcntl.h>

#include "common/disk/fd.h"
#include "common/disk/tree.h"
#include "ctl/journal/history.h"
#include "ctl/journal/journal.h"

enum { STEP_OCTETS = 512 << 10 };

static const double step_seconds = 0.002; /* events are read between two steps */
static const char directory_name[] = "backup";

static void finish(struct journal *journal)
{
    ev_timer_stop(journal->role->loop, &journal->backup.step);
    db_copy_end(&journal->backup.copy);
    fd_discard(&journal->backup.target_fd);
    journal->backup.client_fd = -1;
}

static void answer_ok(struct journal *journal, int fd)
{
    struct buffer answer = BUFFER_WITH_LIMIT(16);
    buffer_append(&answer, SLICE("ok\n"));
    control_answer(journal->role, fd, &answer);
}

static void remove_copy(struct journal *journal)
{
    struct error error;
    if (!tree_remove(AT_FDCWD, directory_name, &error))
        LOG(&journal->role->log, LOG_WARNING, "backup_not_removed", log_failure(&error));
}

void journal_backup_give_up(struct journal *journal, const struct error *error)
{
    int fd = journal->backup.client_fd;
    if (fd < 0)
        return;
    LOG(&journal->role->log, LOG_ERROR, "backup_failed", log_failure(error));
    finish(journal);
    control_refuse(journal->role, fd, "history: %s", error->text);
    remove_copy(journal);
}

static void on_step(struct ev_loop *loop, ev_timer *watcher, int events)
{
    (void)loop;
    (void)events;
    struct error error;
    struct journal *journal = watcher->data;
    int fd = journal->backup.client_fd;
    bool done = false;
    if (!db_copy_step(&journal->backup.copy, STEP_OCTETS, &done, &error)) {
        journal_backup_give_up(journal, &error);
    } else if (done) {
        finish(journal);
        answer_ok(journal, fd);
    }
}

void journal_backup_init(struct journal *journal)
{
    journal->backup =
        (struct journal_backup){.client_fd = -1, .target_fd = -1, .copy = DB_COPY_NONE};
    ev_timer_init(&journal->backup.step, on_step, step_seconds, step_seconds);
    journal->backup.step.data = journal;
    remove_copy(journal);
}

static bool run_checkpoint(struct flusher_job *job, struct error *error)
{
    const struct journal *journal = job->owner;
    return history_checkpoint(journal->history, error);
}

/* Everything committed before is in the files now, and no other checkpoint runs. */
static void on_checkpoint(struct flusher_job *job)
{
    struct error error;
    struct journal *journal = job->owner;
    struct journal_backup *backup = &journal->backup;
    if (backup->client_fd < 0)
        return; /* given up, with the history: the checkpoint before this one failed */
    if (!job->succeeded) {
        journal_backup_give_up(journal, &job->error);
        journal_lose_history(journal, &job->error);
    } else if (!db_copy_begin(&backup->copy, ".", backup->target_fd, &error)) {
        journal_backup_give_up(journal, &error);
    } else {
        ev_timer_start(journal->role->loop, &backup->step);
    }
}

static bool begin(struct journal *journal, struct error *error)
{
    struct journal_backup *backup = &journal->backup;
    if (!history_commit(journal->history, error) || !tree_remove(AT_FDCWD, directory_name, error))
        return false;
    backup->target_fd = tree_make(AT_FDCWD, directory_name, error);
    if (backup->target_fd < 0)
        return false;
    backup->checkpoint =
        (struct flusher_job){.run = run_checkpoint, .done = on_checkpoint, .owner = journal};
    flusher_submit(journal->flusher, &backup->checkpoint);
    return true;
}

static void on_begin(struct journal *journal, int fd)
{
    struct error error;
    if (journal_backup_is_under_way(&journal->backup)) {
        control_refuse(journal->role, fd, "another backup is under way");
        return;
    }
    if (!journal->history) {
        control_refuse(journal->role, fd, "there is no history: see log.history, and the log");
        return;
    }
    journal->backup.client_fd = fd;
    if (!begin(journal, &error))
        journal_backup_give_up(journal, &error);
}

static void on_end(struct journal *journal, int fd)
{
    if (journal_backup_is_under_way(&journal->backup)) {
        control_refuse(journal->role, fd, "a backup is under way");
        return;
    }
    remove_copy(journal);
    answer_ok(journal, fd);
}

void journal_backup_on_control(struct journal *journal, const struct control_words *words, int fd)
{
    if (words->count == 2 && slice_equal(words->words[1], SLICE("begin")))
        on_begin(journal, fd);
    else if (words->count == 2 && slice_equal(words->words[1], SLICE("end")))
        on_end(journal, fd);
    else
        control_refuse(journal->role, fd, "usage: staffetta backup DIRECTORY");
}
