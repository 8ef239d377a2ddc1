/* Administrative commands on an account; see upkeep.h. */
#include "imapd/upkeep/upkeep.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <utlist.h>

#include "common/disk/fd.h"
#include "common/size.h"
#include "common/text/printable.h"
#include "imapd/folder/fsck.h"
#include "imapd/mailbox.h"
#include "imapd/session/session.h"
#include "imapd/upkeep/restored.h"
#include "storage/folder_name.h"

/* ---- reports ---- */

static void append_name(const char *directory, struct buffer *line)
{
    struct buffer name = BUFFER_WITH_LIMIT(2 * MAILDIR_NAME_SIZE);
    if (folder_name_from_directory(directory, &name))
        printable_append(buffer_slice(&name), line);
    else
        printable_append(slice_of_string(directory), line);
    buffer_append(line, SLICE(": "));
    buffer_clear(&name);
}

void upkeep_say(struct upkeep_job *job, const char *directory, const char *format, ...)
{
    enum { TEXT_SIZE = 600, LINE_MAX = 3 * TEXT_SIZE };
    char text[TEXT_SIZE];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    struct buffer line = BUFFER_WITH_LIMIT(LINE_MAX);
    if (directory)
        append_name(directory, &line);
    printable_append(slice_of_string(text), &line);
    buffer_append_octet(&line, '\n');
    if (!line.failed && job->report.len + line.len <= UPKEEP_REPORT_MAX)
        buffer_append(&job->report, buffer_slice(&line));
    else
        job->lines_left_out++;
    LOG(job->mailbox->log, LOG_WARNING, "upkeep", log_text("account", job->mailbox->account),
        log_bytes("said", slice_range(buffer_slice(&line), 0, line.len - 1)));
    buffer_clear(&line);
}

bool upkeep_fail(struct upkeep_job *job, const struct error *error)
{
    job->error = *error;
    job->failed = true;
    return false;
}

/* ---- jobs ---- */

static void free_job(struct upkeep *upkeep, struct upkeep_job *job)
{
    if (job->end)
        job->end(job);
    DL_DELETE(upkeep->jobs, job);
    fd_discard(&job->fd);
    buffer_clear(&job->report);
    free(job);
}

static void answer(struct upkeep *upkeep, struct upkeep_job *job)
{
    int fd = job->fd;
    job->fd = -1;
    if (job->failed) {
        control_refuse(upkeep->role, fd, "%s", job->error.text);
        return;
    }
    if (job->lines_left_out > 0)
        buffer_append_format(&job->report, "and %zu lines more, in the log\n", job->lines_left_out);
    control_answer(upkeep->role, fd, &job->report);
}

static void on_turn(struct deferred *deferred)
{
    struct upkeep *upkeep = (void *)((uint8_t *)deferred - offsetof(struct upkeep, in_next_turn));
    struct upkeep_job *job = upkeep->jobs;
    if (!job->failed && job->step(job)) {
        turn_again(&upkeep->mailbox->turn, &upkeep->in_next_turn);
        return;
    }
    answer(upkeep, job);
    free_job(upkeep, job);
    if (upkeep->jobs)
        turn_again(&upkeep->mailbox->turn, &upkeep->in_next_turn);
}

void upkeep_init(struct upkeep *upkeep, struct role *role, struct mailbox *mailbox)
{
    *upkeep = (struct upkeep){.role = role, .mailbox = mailbox};
    upkeep->in_next_turn.run = on_turn;
}

void upkeep_clear(struct upkeep *upkeep)
{
    turn_cancel(&upkeep->in_next_turn);
    while (upkeep->jobs)
        free_job(upkeep, upkeep->jobs);
}

/* ---- verbs ---- */

static struct upkeep_job *add_job(struct upkeep *upkeep, int fd)
{
    struct upkeep_job *job = calloc(1, sizeof(*job));
    if (!job) {
        control_refuse(upkeep->role, fd, "out of memory");
        return NULL;
    }
    job->mailbox = upkeep->mailbox;
    job->fd = fd;
    buffer_init(&job->report, UPKEEP_REPORT_MAX + 4096);
    buffer_append(&job->report, SLICE("ok\n"));
    DL_APPEND(upkeep->jobs, job);
    turn_again(&upkeep->mailbox->turn, &upkeep->in_next_turn);
    return job;
}

static void begin_fsck(struct upkeep *upkeep, int fd)
{
    struct upkeep_job *job = add_job(upkeep, fd);
    if (job)
        fsck_begin(job);
}

/* If a copy was restored under the same name, that name no longer leads to our directory. */
static bool is_removed(const struct mailbox *mailbox)
{
    struct stat status;
    return fstat(mailbox->account_fd, &status) == 0 && status.st_nlink == 0;
}

static void begin_restored(struct upkeep *upkeep, int fd)
{
    static const struct slice again =
        SLICE("error: the Maildir was replaced while it was in use; ask again\n");
    if (is_removed(upkeep->mailbox)) {
        LOG(upkeep->mailbox->log, LOG_WARNING, "maildir_replaced",
            log_text("account", upkeep->mailbox->account));
        fd_write_all(fd, again, NULL);
        fd_discard(&fd);
        upkeep->leaving = true;
        restored_end_sessions(upkeep->mailbox);
        return;
    }
    struct upkeep_job *job = add_job(upkeep, fd);
    if (job)
        restored_begin(job);
}

/* The session's greeting is the answer to the command. */
static void begin_imap(struct upkeep *upkeep, int fd)
{
    struct mailbox *mailbox = upkeep->mailbox;
    struct error error;
    if (!fd_set_nonblocking(fd, &error)) {
        control_refuse(upkeep->role, fd, "%s", error.text);
        return;
    }
    static const struct slice ok = SLICE("ok\n");
    struct session_arrival arrival = {.fd = fd, .handed = SLICE("*")};
    if (!fd_write_all(fd, ok, &error) || !session_new(mailbox, &arrival, &error)) {
        LOG(mailbox->log, LOG_ERROR, "client_not_taken", log_hex("session", 0),
            log_failure(&error));
    }
}

void upkeep_answer(struct upkeep *upkeep, const struct control_words *words, int fd)
{
    static const struct {
        struct slice name;
        void (*begin)(struct upkeep *upkeep, int fd);
    } verbs[] = {
        {SLICE("imap"), begin_imap},
        {SLICE("fsck"), begin_fsck},
        {SLICE("restored"), begin_restored},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(verbs); i++) {
        if (slice_equal(words->words[0], verbs[i].name)) {
            verbs[i].begin(upkeep, fd);
            return;
        }
    }
    control_refuse(upkeep->role, fd, "unknown verb");
}
