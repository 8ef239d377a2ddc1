/* A copy of the history in use; see journal_backup.h. */
#include "ctl/journal_backup.h"

#include <fcntl.h>

#include "common/fd.h"
#include "common/tree.h"
#include "ctl/history.h"
#include "ctl/journal.h"

enum { STEP_OCTETS = 512 << 10 };

static const double step_seconds = 0.002; /* events are heard between two steps */
static const char directory_name[] = "backup";

static void finish(struct journal *journal)
{
    ev_timer_stop(journal->role->loop, &journal->backup.step);
    db_copy_end(&journal->backup.copy);
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
    journal->backup = (struct journal_backup){.client_fd = -1, .copy = DB_COPY_NONE};
    ev_timer_init(&journal->backup.step, on_step, step_seconds, step_seconds);
    journal->backup.step.data = journal;
    remove_copy(journal);
}

static bool begin_copy(struct journal *journal, struct error *error)
{
    if (!tree_remove(AT_FDCWD, directory_name, error))
        return false;
    int target_fd = tree_make(AT_FDCWD, directory_name, error);
    bool begun = target_fd >= 0 && history_checkpoint(journal->history, true, error)
                 && db_copy_begin(&journal->backup.copy, ".", target_fd, error);
    fd_discard(&target_fd);
    return begun;
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
    if (begin_copy(journal, &error))
        ev_timer_start(journal->role->loop, &journal->backup.step);
    else
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
        control_refuse(journal->role, fd, "write: staffetta backup DIRECTORY");
}
