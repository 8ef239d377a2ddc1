/* The journal role; see journal.h. */
#include "ctl/journal/journal.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <utlist.h>

#include "common/disk/fd.h"
#include "common/role/control.h"
#include "common/size.h"
#include "ctl/journal/history.h"
#include "ctl/journal/statistics_report.h"

enum {
    RECORD_MAX = 65536,
    EVENTS_PER_TURN = 256, /* of one role before the others' turn */
    LINES_MAX = 4 << 20,
    REOPEN_S = 60,
    PRUNE_S = 60,
    COMPLAIN_S = 60,
};

static const double commit_delay_s = 0.2;

struct journal_feed {
    struct journal_feed *prev, *next;
    struct journal *journal;
    enum role_kind kind;
    uint32_t number;
    int fd;
    ev_io readable;
};

/* Nobody waits for a line: the events of this interval are read and written together, without a
 * wakeup for each. A role's socket holds about 250 events meanwhile. */
static const double gather_seconds = 0.002;

/* --- Lines ----------------------------------------------------------------------------------- */

static void put_time(struct buffer *line, uint64_t time_us)
{
    time_t seconds = (time_t)(time_us / 1000000);
    struct tm parts;
    char text[32];
    gmtime_r(&seconds, &parts);
    size_t length = strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &parts);
    buffer_append(line, slice_of(text, length));
    buffer_append_format(line, ".%06uZ ", (unsigned)(time_us % 1000000));
}

/* The role is the one given by the master, not the one in the record. */
static void put_line(struct journal *journal, const struct journal_feed *feed,
                     const struct log_entry *entry)
{
    static const char *const levels[] = {"debug", "info", "warning", "error"};
    struct buffer *lines = &journal->lines;
    size_t before = lines->len;
    put_time(lines, entry->time_us);
    buffer_append_format(lines, "%s %s[%u] ", levels[entry->level], role_kind_name(feed->kind),
                         entry->pid);
    log_entry_format(entry, lines);
    buffer_append_octet(lines, '\n');
    if (!lines->failed)
        return;
    lines->failed = false;
    buffer_truncate(lines, before);
    journal->lost++;
}

/* A line that could not be written is counted; only the next line can report it. */
static void write_lines(struct journal *journal)
{
    if (journal->lines.len == 0)
        return;
    if (!fd_write_all(journal->fd, buffer_slice(&journal->lines), NULL)) {
        journal->lost++;
    } else if (journal->lost > 0) {
        uint64_t lost = journal->lost;
        journal->lost = 0;
        LOG(&journal->role->log, LOG_ERROR, "log_lines_lost", log_number("count", (int64_t)lost));
    }
    buffer_reset(&journal->lines);
}

static void on_turn_end(struct ev_loop *loop, ev_prepare *watcher, int events)
{
    (void)loop;
    (void)events;
    write_lines(watcher->data);
}

/* --- The history ----------------------------------------------------------------------------- */

static uint64_t now_s(const struct journal *journal)
{
    return (uint64_t)ev_now(journal->role->loop);
}

/* A full disk gives the same error for each event. */
static bool is_time(const struct journal *journal, uint64_t *next_s)
{
    if (now_s(journal) < *next_s)
        return false;
    *next_s = now_s(journal) + COMPLAIN_S;
    return true;
}

static void on_history_message(void *context, const char *message)
{
    struct journal *journal = context;
    if (is_time(journal, &journal->complaints.next_message_s))
        LOG(&journal->role->log, LOG_WARNING, "history_store", log_text("message", message));
}

static bool run_checkpoint(struct flusher_job *job, struct error *error)
{
    const struct journal *journal = job->owner;
    return history_checkpoint(journal->history, error);
}

static void on_checkpoint(struct flusher_job *job)
{
    if (!job->succeeded)
        journal_lose_history(job->owner, &job->error);
}

/* The thread is in it no more, then it is closed. */
static void close_history(struct journal *journal)
{
    stories_give_up(journal);
    flusher_stop(journal->flusher);
    history_close(journal->history);
    journal->flusher = NULL;
    journal->history = NULL;
}

/* Events that cannot be stored are still in the log; mail never waits for the history. */
void journal_lose_history(struct journal *journal, const struct error *error)
{
    journal->complaints.losses++;
    if (is_time(journal, &journal->complaints.next_loss_s)) {
        LOG(&journal->role->log, LOG_ERROR, "history_lost", log_failure(error),
            log_number("count", (int64_t)journal->complaints.losses));
        journal->complaints.losses = 0;
    }
    if (!journal->history || history_usable(journal->history))
        return;
    journal_backup_give_up(journal, error);
    close_history(journal);
}

static void open_history(struct journal *journal)
{
    struct error error;
    const struct config *config = &journal->role->config;
    const struct history_options options = {.directory = ".",
                                            .age_us = config->log.history_ms * 1000,
                                            .octets_max = config->log.history_octets,
                                            .on_message = on_history_message,
                                            .context = journal};
    if (config->log.history_ms == 0)
        return;
    if (!history_open(&options, &journal->history, &error)
        || !flusher_start(journal->role->loop, &journal->flusher, &error)) {
        LOG(&journal->role->log, LOG_ERROR, "history_not_opened", log_failure(&error));
        close_history(journal);
        return;
    }
    journal->checkpoint =
        (struct flusher_job){.run = run_checkpoint, .done = on_checkpoint, .owner = journal};
    statistics_tell(history_statistics(journal->history), metrics_add, &journal->metrics);
}

static void note(struct journal *journal, const struct journal_feed *feed, struct slice record,
                 const struct log_entry *entry)
{
    static const struct statistics_origin nothing = {0};
    struct error error;
    if (!journal->history) {
        statistics_count(feed->kind, entry, &nothing, metrics_add, &journal->metrics);
        return;
    }
    if (!history_note(journal->history, feed->kind, record, entry, &error))
        journal_lose_history(journal, &error);
    journal->noted = true;
    if (!ev_is_active(&journal->commit)) {
        ev_timer_set(&journal->commit, commit_delay_s, 0.0);
        ev_timer_start(journal->role->loop, &journal->commit);
    }
}

static void on_commit(struct ev_loop *loop, ev_timer *watcher, int events)
{
    (void)loop;
    (void)events;
    struct error error;
    struct journal *journal = watcher->data;
    if (journal->history && !history_commit(journal->history, &error))
        journal_lose_history(journal, &error);
}

static void prune(struct journal *journal)
{
    struct error error;
    bool more = false;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    uint64_t now_us = (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
    if (!history_prune(journal->history, now_us, &more, &error))
        journal_lose_history(journal, &error);
    journal->next_prune_s = now_s(journal) + (more ? 0 : PRUNE_S);
}

/* Checkpoints wait for the disk, in another thread; events are read meanwhile. */
static void start_checkpoint(struct journal *journal)
{
    if (!journal->history || journal->checkpoint.under_way
        || journal_backup_is_under_way(&journal->backup)
        || !history_wants_checkpoint(journal->history, !journal->noted))
        return;
    flusher_submit(journal->flusher, &journal->checkpoint);
}

static void on_second(struct ev_loop *loop, ev_timer *watcher, int events)
{
    (void)loop;
    (void)events;
    struct error error;
    struct journal *journal = watcher->data;
    if (!journal->history && now_s(journal) >= journal->next_open_s) {
        journal->next_open_s = now_s(journal) + REOPEN_S;
        open_history(journal);
    }
    if (journal->history && !history_commit(journal->history, &error)) /* of what waited longer */
        journal_lose_history(journal, &error);
    start_checkpoint(journal);
    if (journal->history && now_s(journal) >= journal->next_prune_s)
        prune(journal);
    journal->noted = false;
    metrics_send(&journal->metrics, journal->role);
}

/* --- Administrators' queries ------------------------------------------------------------------ */

static void on_statistics(struct journal *journal, const struct control_words *words, int fd)
{
    struct error error;
    struct statistics_question question;
    struct buffer answer = BUFFER_WITH_LIMIT(CONTROL_ANSWER_MAX);
    uint32_t today = (uint32_t)(time(NULL) / 86400);
    buffer_append(&answer, SLICE("ok\n"));
    if (!statistics_question_parse(words->words + 1, words->count - 1, &question))
        control_refuse(journal->role, fd, "usage: staffetta statistics [--days N] [--json|--csv]");
    else if (history_commit(journal->history, &error)
             && statistics_report(history_statistics(journal->history), &question, today, &answer,
                                  &error))
        control_answer(journal->role, fd, &answer);
    else
        control_refuse(journal->role, fd, "%s", error.text);
    buffer_clear(&answer);
}

static const struct question {
    const char *verb;
    bool needs_history;
    void (*on)(struct journal *journal, const struct control_words *words, int fd);
} questions[] = {
    {"why", true, stories_on_why},
    {"attempts", true, stories_on_attempts},
    {"statistics", true, on_statistics},
    {"backup-journal", false, journal_backup_on_control},
};

static bool on_control(void *owner, struct ipc_packet *packet, struct error *error)
{
    struct role *role = owner;
    struct journal *journal = role->state;
    struct control_words words;
    if (!control_words_parse(packet, &words, error))
        return false;
    int fd = ipc_packet_take(packet, 0);
    for (size_t i = 0; i < ARRAY_LENGTH(questions); i++) {
        if (!slice_equal(words.words[0], slice_of_string(questions[i].verb)))
            continue;
        if (journal->history || !questions[i].needs_history)
            questions[i].on(journal, &words, fd);
        else
            control_refuse(role, fd, "there is no history: see log.history, and the log");
        return true;
    }
    control_refuse(role, fd, "unknown verb");
    return true;
}

/* --- Feeds ----------------------------------------------------------------------------------- */

static void end_feed(struct journal_feed *feed)
{
    ev_io_stop(feed->journal->role->loop, &feed->readable);
    fd_discard(&feed->fd);
    DL_DELETE(feed->journal->feeds, feed);
    free(feed);
}

/* False: the feed is at its end. */
static bool take_event(struct journal_feed *feed, uint8_t *record, bool *more)
{
    ssize_t got = recv(feed->fd, record, RECORD_MAX, MSG_DONTWAIT);
    *more = got > 0;
    if (got < 0)
        return errno == EAGAIN || errno == EINTR;
    struct log_entry entry;
    if (got == 0 || !log_entry_parse(slice_of(record, (size_t)got), &entry, NULL))
        return false; /* a feed that sends garbage is closed */
    if (entry.level > LOG_DEBUG)
        put_line(feed->journal, feed, &entry);
    metrics_hear(&feed->journal->metrics, &entry);
    note(feed->journal, feed, slice_of(record, (size_t)got), &entry);
    return true;
}

static void on_readable(struct ev_loop *loop, ev_io *watcher, int events)
{
    (void)loop;
    (void)events;
    struct journal_feed *feed = watcher->data;
    static uint8_t record[RECORD_MAX]; /* see on_readable of common/role/ipc.c */
    bool more = true;
    for (int i = 0; more && i < EVENTS_PER_TURN; i++) {
        if (!take_event(feed, record, &more)) {
            end_feed(feed);
            return;
        }
    }
}

static bool on_feed(void *owner, struct ipc_packet *packet, struct error *error)
{
    struct role *role = owner;
    struct journal *journal = role->state;
    const struct role_feed *record = packet->record;
    struct journal_feed *feed = calloc(1, sizeof(*feed));
    if (!feed)
        return error_memory(error);
    feed->journal = journal;
    feed->kind = record->kind;
    feed->number = record->number;
    feed->fd = ipc_packet_take(packet, 0);
    ev_io_init(&feed->readable, on_readable, feed->fd, EV_READ);
    feed->readable.data = feed;
    ev_io_start(role->loop, &feed->readable);
    DL_APPEND(journal->feeds, feed);
    return true;
}

/* --- The log file ---------------------------------------------------------------------------- */

/* The master opens it, again at a reload, which leaves the file that logrotate moved away. */
static bool take_file(struct journal *journal, struct error *error)
{
    const char *path = journal->role->config.log.file.text;
    int fd = path ? role_take_file(journal->role, DESCRIPTOR_LOG_FILE, 0) : STDERR_FILENO;
    if (fd < 0)
        return error_set(error, ERROR_TEMPORARY, "%s was not opened", path);
    if (journal->fd != STDERR_FILENO)
        fd_discard(&journal->fd);
    journal->fd = fd;
    return true;
}

/* A log that cannot be opened is reported on standard error. */
static bool prepare(struct role *role, struct error *error)
{
    struct journal *journal = role->state;
    journal->role = role;
    journal->fd = STDERR_FILENO;
    buffer_init(&journal->lines, LINES_MAX);
    role->root_fd = role_take_file(role, DESCRIPTOR_DIRECTORY, 0);
    if (role->root_fd < 0 || fchdir(role->root_fd) != 0)
        return error_set(error, ERROR_PERMANENT, "no directory was given");
    return take_file(journal, error);
}

static void start_history(struct journal *journal)
{
    struct ev_loop *loop = journal->role->loop;
    ev_init(&journal->commit, on_commit);
    ev_timer_init(&journal->second, on_second, 1.0, 1.0);
    journal->commit.data = journal->second.data = journal;
    ev_timer_start(loop, &journal->second);
    journal->next_open_s = (uint64_t)ev_now(loop) + REOPEN_S;
    journal_backup_init(journal);
    stories_init(journal);
    open_history(journal);
}

static bool start(struct role *role, struct error *error)
{
    (void)error;
    struct journal *journal = role->state;
    start_history(journal);
    fd_discard(&role->log.fd); /* its own events go to standard error: nobody else reads them */
    ev_prepare_init(&journal->turn_end, on_turn_end);
    journal->turn_end.data = journal;
    ev_prepare_start(role->loop, &journal->turn_end);
    ev_set_io_collect_interval(role->loop, gather_seconds);
    return true;
}

/* The history is switched off; what was stored stays on disk. */
static void end_history(struct journal *journal)
{
    struct error error;
    error_set(&error, ERROR_TEMPORARY, "there is no history any more: see log.history");
    journal_backup_give_up(journal, &error);
    close_history(journal);
}

static void reload(struct role *role)
{
    struct error error;
    struct journal *journal = role->state;
    const uint64_t history_ms = role->config.log.history_ms;
    if (!take_file(journal, &error))
        LOG(&role->log, LOG_ERROR, "log_not_opened", log_failure(&error));
    if (journal->history && history_ms > 0)
        history_keep(journal->history, history_ms * 1000, role->config.log.history_octets);
    else if (journal->history)
        end_history(journal);
    journal->next_prune_s = journal->next_open_s = now_s(journal);
}

/* The other roles' last events are in the sockets: reads them. */
static void stop(struct role *role)
{
    struct journal *journal = role->state;
    struct journal_feed *feed, *next;
    DL_FOREACH_SAFE (journal->feeds, feed, next)
        on_readable(role->loop, &feed->readable, EV_READ);
    write_lines(journal);
    role_exit(role);
}

static void end(struct role *role)
{
    close_history(role->state);
}

static const struct ipc_rule orders[] = {
    {ROLE_FEED, sizeof(struct role_feed), sizeof(struct role_feed), 1, on_feed},
    {ROLE_CONTROL, sizeof(struct role_control) + 1,
     sizeof(struct role_control) + ROLE_CONTROL_LINE_MAX, 1, on_control},
};

/* http hears and says nothing. */
static const struct role_link links[] = {{ROLE_HTTP, NULL, 0}};

static void peer_up(struct role_peer *peer)
{
    struct journal *journal = peer->role->state;
    journal->metrics.changed = true; /* for this one all of it is new */
    metrics_send(&journal->metrics, peer->role);
}

const struct role_spec journal_role = {
    .sandbox = {.calls = SANDBOX_LOOP | SANDBOX_FILES | SANDBOX_THREAD,
                .files = SANDBOX_WRITE_FILES},
    .links = links,
    .link_count = ARRAY_LENGTH(links),
    .peer_up = peer_up,
    .orders = orders,
    .order_count = sizeof(orders) / sizeof(orders[0]),
    .prepare = prepare,
    .start = start,
    .reload = reload,
    .stop = stop,
    .end = end,
};
