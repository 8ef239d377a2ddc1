/* The journal role; see journal.h. */
#include "ctl/journal.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <utlist.h>

#include "common/fd.h"

enum {
    RECORD_MAX = 65536,
    EVENTS_PER_TURN = 256, /* of one role, before the others have their turn */
    LINES_MAX = 4 << 20,
};

struct journal_feed {
    struct journal_feed *prev, *next;
    struct journal *journal;
    enum role_kind kind;
    uint32_t number;
    int fd;
    ev_io readable;
};

/* Nobody waits for a line: what is said within so long is read, and written, at once, and who says
 * it wakes nobody. A role's socket holds some 250 events meanwhile. */
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

/* The role is what the master said, not what the record claims. */
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

/* A line that could not be written is counted; there is nowhere else to say so than the next. */
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
        return false; /* who speaks nonsense is not heard any more */
    put_line(feed->journal, feed, &entry);
    return true;
}

static void on_readable(struct ev_loop *loop, ev_io *watcher, int events)
{
    (void)loop;
    (void)events;
    struct journal_feed *feed = watcher->data;
    static uint8_t record[RECORD_MAX]; /* see on_readable of common/ipc.c */
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

/* The master opened it, at a reload again: what logrotate moved away is left then. */
static bool take_file(struct journal *journal, struct error *error)
{
    const char *path = journal->role->config.log.file.text;
    if (!path)
        return true;
    int fd = role_take_file(journal->role, DESCRIPTOR_LOG_FILE, 0);
    if (fd < 0)
        return error_set(error, ERROR_TEMPORARY, "%s was not opened", path);
    if (journal->fd != STDERR_FILENO)
        fd_discard(&journal->fd);
    journal->fd = fd;
    return true;
}

/* A log that cannot be opened is said where it can be read: on standard error. */
static bool prepare(struct role *role, struct error *error)
{
    struct journal *journal = role->state;
    journal->role = role;
    journal->fd = STDERR_FILENO;
    buffer_init(&journal->lines, LINES_MAX);
    return take_file(journal, error);
}

static bool start(struct role *role, struct error *error)
{
    (void)error;
    struct journal *journal = role->state;
    fd_discard(&role->log.fd); /* its own events go to standard error: who else would hear them */
    ev_prepare_init(&journal->turn_end, on_turn_end);
    journal->turn_end.data = journal;
    ev_prepare_start(role->loop, &journal->turn_end);
    ev_set_io_collect_interval(role->loop, gather_seconds);
    return true;
}

static void reload(struct role *role)
{
    struct error error;
    if (!take_file(role->state, &error))
        LOG(&role->log, LOG_ERROR, "log_not_opened", log_failure(&error));
}

/* The last words of the others are in the sockets: hear them. */
static void stop(struct role *role)
{
    struct journal *journal = role->state;
    struct journal_feed *feed, *next;
    DL_FOREACH_SAFE (journal->feeds, feed, next)
        on_readable(role->loop, &feed->readable, EV_READ);
    write_lines(journal);
    role_exit(role);
}

static const struct ipc_rule orders[] = {
    {ROLE_FEED, sizeof(struct role_feed), sizeof(struct role_feed), 1, on_feed},
};

const struct role_spec journal_role = {
    .sandbox = {.calls = SANDBOX_LOOP, .files = SANDBOX_NO_FILES},
    .orders = orders,
    .order_count = sizeof(orders) / sizeof(orders[0]),
    .prepare = prepare,
    .start = start,
    .reload = reload,
    .stop = stop,
};
