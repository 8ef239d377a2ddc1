/*
 * The role smtpd-queue from start to end; see queue.h.
 *
 *   prepare   before the sandbox: /proc/self/fd for the spool
 *   start     recover the store (or set a corrupt one aside), sweep the spool, load messages
 *   turns     commit, settle, lend, dispatch
 *   seconds   checkpoint, free space, compaction, retries of what failed locally
 *   stop      finish what is under way
 *   end       the second thread ends; a last checkpoint
 *
 * If the store is no longer usable, the process ends at once, and the next one starts from what is
 * on disk. queue_store_open() reads that past the page cache and flushes it before anything is
 * accepted: only so is it known what a failed flush left.
 */
#include "smtpd/queue/queue.h"

#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include <utlist.h>

#include "common/disk/fd.h"
#include "common/role/control.h"
#include "common/size.h"
#include "smtpd/queue/dispatch/destination.h"
#include "smtpd/queue/queue_id.h"
#include "smtpd/queue/queue_protocol.h"

enum {
    PLACE_LOCAL = 0, /* the one place there is, in its first epoch */
    EPOCH = 1,
    OWN_IDS = 65536,              /* lent to ourselves at a time */
    CHECKPOINT_OCTETS = 16 << 20, /* of log, that do not wait for the next second */
    COMPACT_OCTETS = 32 << 20,    /* a longer file is given back */
    COMPACT_AFTER_MS = 10000,     /* once the queue was nearly empty for so long */
    NEARLY_EMPTY = 64,            /* messages */
    STOP_MS = 5000,               /* after that, work under way is left for the next start */
    SWEEP_SECONDS = 60,
};

static const char here[] = "."; /* the queue's directory, after prepare and after the chroot */

/* ---- clocks and numbers ---- */

uint64_t queue_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

int64_t queue_wall_now(void)
{
    return (int64_t)time(NULL);
}

uint64_t queue_next_request(struct queue *queue)
{
    return ++queue->last_request;
}

bool queue_take_own_id(struct queue *queue, uint64_t *id)
{
    if (queue->own_ids == 0)
        return false;
    queue->own_ids--;
    *id = queue->own_id++;
    return true;
}

bool queue_refill_own_ids(struct queue *queue, struct error *error)
{
    if (queue->own_ids >= OWN_IDS / 2)
        return true;
    if (!queue_store_lend_ids(queue->store, OWN_IDS, &queue->own_id, error))
        return false;
    queue->own_ids = OWN_IDS;
    return true;
}

/* ---- when the store cannot go on ---- */

static void on_store_message(void *context, const char *message)
{
    const struct queue *queue = context;
    LOG(&queue->role->log, LOG_WARNING, "store", log_text("message", message));
}

/* Named by the time; nothing is ever deleted. */
static bool set_aside(struct queue *queue, struct error *error)
{
    char name[64];
    snprintf(name, sizeof(name), "corrupt-%lld-%d", (long long)queue_wall_now(), getpid());
    if (!queue_store_set_aside(here, name, error) || !spool_set_aside(name, error))
        return false;
    LOG(&queue->role->log, LOG_ERROR, "queue_set_aside", log_text("directory", name),
        log_text("advice", "its messages are there, not delivered: see docs/operations.md"));
    return true;
}

static void end_at_once(struct queue *queue, const struct error *cause)
{
    struct error error;
    LOG(&queue->role->log, LOG_ERROR, "queue_ends", log_failure(cause));
    intake_refuse_all(queue);
    if (cause->kind == ERROR_PERMANENT) {
        flusher_stop(queue->flusher);
        queue_store_close(queue->store);
        if (!set_aside(queue, &error))
            LOG(&queue->role->log, LOG_ERROR, "not_set_aside", log_failure(&error));
    }
    _exit(EXIT_FAILURE);
}

void queue_check_store(struct queue *queue, const struct error *error)
{
    if (!queue_store_usable(queue->store))
        end_at_once(queue, error);
}

/* ---- start ---- */

static bool prepare(struct role *role, struct error *error)
{
    struct queue *queue = role->state;
    queue->role = role;
    role->root_fd = role_take_file(role, DESCRIPTOR_DIRECTORY, 0);
    if (role->root_fd < 0)
        return error_set(error, ERROR_PERMANENT, "no directory was given");
    if (fchdir(role->root_fd) != 0)
        return error_errno(error, "enter the queue's directory");
    if (sodium_init() < 0)
        return error_set(error, ERROR_PERMANENT, "libsodium does not start");
    spool_prepare(&queue->spool);
    return true;
}

static bool open_store(struct queue *queue, struct error *error)
{
    const struct queue_store_options options = {.directory = here,
                                                .place = PLACE_LOCAL,
                                                .epoch = EPOCH,
                                                .on_message = on_store_message,
                                                .context = queue};
    if (queue_store_open(&options, &queue->store, error))
        return true;
    if (error->kind != ERROR_PERMANENT)
        return false;
    LOG(&queue->role->log, LOG_ERROR, "queue_corrupt", log_failure(error));
    return set_aside(queue, error) && queue_store_open(&options, &queue->store, error);
}

static uint64_t clamped_ms(int64_t seconds, uint64_t most_ms)
{
    if (seconds <= 0)
        return 0;
    uint64_t most_seconds = most_ms / 1000;
    return (uint64_t)seconds < most_seconds ? (uint64_t)seconds * 1000 : most_ms;
}

static uint64_t longest_wait_ms(const struct config_durations *waits)
{
    uint64_t longest = 0;
    for (size_t i = 0; i < waits->count; i++)
        longest = waits->items_ms[i] > longest ? waits->items_ms[i] : longest;
    return longest;
}

static enum target_kind kind_of(const struct stored_recipient *row)
{
    if (row->account.len > 0)
        return TARGET_ACCOUNT;
    return row->destination.len > 0 ? TARGET_RELAY : TARGET_ADDRESS;
}

/* Wall-clock times become steady ones. A clock that was wrong when they were written can make none
 * later than it could have been by a right one. */
static uint64_t due_ms_of(const struct queue *queue, const struct stored_recipient *row)
{
    int64_t wall = queue_wall_now();
    if (row->release > wall)
        return deadlines_release_ms(row->release);
    uint64_t most_ms = longest_wait_ms(&queue->role->config.queue.retry);
    return queue_now_ms() + clamped_ms(row->due - wall, most_ms);
}

static struct queued_message *load_message(struct queue *queue, uint64_t id,
                                           const struct stored_recipient *row)
{
    struct queued_message *message = queued_find_message(&queue->queued, id);
    if (message)
        return message;
    message = queued_add_message(&queue->queued, id, row->sender);
    if (message)
        deadlines_begin(queue, message, row);
    return message;
}

static bool load_recipient(void *context, uint64_t id, uint32_t number,
                           const struct stored_recipient *row, struct error *error)
{
    struct queue *queue = context;
    struct queued *queued = &queue->queued;
    enum target_kind kind = kind_of(row);
    struct slice name = kind == TARGET_ACCOUNT ? row->account : row->destination;
    struct queued_message *message = load_message(queue, id, row);
    struct queued_recipient *recipient =
        message ? queued_add_recipient(queued, message, number, kind, name) : NULL;
    if (!recipient)
        return error_memory(error);
    recipient->notify = (uint8_t)row->notify;
    recipient->attempts = row->attempts;
    recipient->purpose = (uint8_t)row->purpose;
    recipient->warned = row->warned;
    recipient->forwarder = destination_forwarder(&queue->role->config, row->forwarded, row->orcpt);
    recipient->again = true; /* an earlier process may have delivered it */
    if (row->state == STORED_HELD)
        queued_enter(queued, recipient, QUEUED_HELD);
    else
        queued_schedule(queued, recipient, due_ms_of(queue, row));
    return true;
}

static bool keep_body(void *context, uint64_t id, bool *wanted, struct error *error)
{
    (void)error;
    const struct queue *queue = context;
    struct queued_message *message = queued_find_message(&queue->queued, id);
    *wanted = message != NULL;
    if (message)
        message->in_spool = true;
    return true;
}

static bool load(struct queue *queue, struct error *error)
{
    return queue_store_scan(queue->store, load_recipient, queue, error)
           && spool_open(&queue->spool, error)
           && spool_sweep(&queue->spool, keep_body, queue, error)
           && queue_refill_own_ids(queue, error);
}

/* Corruption may show only when the rows are read. */
static bool open_and_load(struct queue *queue, struct error *error)
{
    if (!open_store(queue, error))
        return false;
    if (load(queue, error))
        return true;
    if (error->kind != ERROR_PERMANENT)
        return false;
    LOG(&queue->role->log, LOG_ERROR, "queue_corrupt", log_failure(error));
    queued_clear(&queue->queued);
    fd_discard(&queue->spool.directory_fd);
    queue_store_close(queue->store);
    return set_aside(queue, error) && open_store(queue, error) && load(queue, error);
}

/* ---- stop ---- */

static bool has_sessions(const struct queue *queue)
{
    const struct role_peer *peer;
    DL_FOREACH (queue->role->peers, peer)
        if (peer->kind == ROLE_SMTP || peer->kind == ROLE_SUBMISSION)
            return true;
    return false;
}

static bool is_busy(const struct queue *queue)
{
    return has_sessions(queue) || intake_is_busy(queue) || dispatch_is_busy(queue)
           || settle_is_busy(&queue->settle) || queue->reports.bodies || removal_is_busy(queue);
}

static void end_if_stopped(struct queue *queue)
{
    if (queue->stop_by_ms == 0 || (is_busy(queue) && queue_now_ms() < queue->stop_by_ms))
        return;
    tls_reports_stop(queue);
    role_exit(queue->role);
}

/* Everything that was acknowledged is on disk all along: the checkpoint only makes the next start
 * shorter, and what is under way is found by it. */
static void end(struct role *role)
{
    struct error error = {0};
    struct queue *queue = role->state;
    flusher_stop(queue->flusher);
    if (!queue_store_checkpoint(queue->store, true, &error))
        LOG(&role->log, LOG_ERROR, "checkpoint_failed", log_failure(&error));
}

static void stop(struct role *role)
{
    struct queue *queue = role->state;
    queue->stop_by_ms = queue_now_ms() + STOP_MS;
    spool_tick(&queue->spool, true);
    queue_wake(queue);
}

/* ---- the end of a turn ---- */

static bool next_due(const struct queue *queue, uint64_t *due_ms)
{
    uint64_t at_ms;
    *due_ms = QUEUED_NEVER;
    for (size_t i = 0; i < QUEUED_SCHEDULES; i++)
        if (schedule_next_due(&queue->queued.schedules[i], &at_ms) && at_ms < *due_ms)
            *due_ms = at_ms;
    const struct heap_node *deadline = queue->queued.deadlines.first;
    if (deadline && deadline->key < *due_ms)
        *due_ms = deadline->key;
    return *due_ms != QUEUED_NEVER;
}

static void set_due_timer(struct queue *queue)
{
    uint64_t due_ms, now_ms = queue_now_ms();
    struct ev_loop *loop = queue->role->loop;
    ev_timer_stop(loop, &queue->due);
    if (!next_due(queue, &due_ms))
        return;
    uint64_t wait_ms = due_ms > now_ms ? due_ms - now_ms : 0;
    ev_timer_set(&queue->due, (double)wait_ms / 1000.0 + 0.001, 0.0);
    ev_timer_start(loop, &queue->due);
}

static void start_checkpoint(struct queue *queue)
{
    if (!queue->checkpoint.under_way && !backup_is_under_way(&queue->backup))
        flusher_submit(queue->flusher, &queue->checkpoint);
}

/* Does not use the space that is kept free. */
static void start_next_log(struct queue *queue)
{
    if (queue->enough_space && !queue->next_log.under_way && queue_store_wants_log(queue->store))
        flusher_submit(queue->flusher, &queue->next_log);
}

/* Changes are written before the answer. */
static void run_admin(struct queue *queue)
{
    if (!admin_run(queue))
        return;
    settle_run(queue);
    admin_answer(queue);
    queue_wake(queue);
}

static void end_turn(struct queue *queue)
{
    struct error error = {0};
    intake_commit(queue);
    if (deadlines_run(queue))
        queue_wake(queue);
    settle_run(queue);
    run_admin(queue);
    backup_run(queue);
    if (!queue_refill_own_ids(queue, &error))
        queue_check_store(queue, &error);
    intake_lend_ids(queue);
    if (queue->stop_by_ms == 0 && dispatch_run(queue))
        queue_wake(queue);
    if (queue_store_log_octets(queue->store) >= CHECKPOINT_OCTETS)
        start_checkpoint(queue);
    start_next_log(queue);
    removal_run(queue);
    set_due_timer(queue);
    end_if_stopped(queue);
}

static void on_end_of_turn(struct deferred *deferred)
{
    struct queue *queue = ((struct queue_deferred *)deferred)->queue;
    queue->is_ending_turn = true;
    end_turn(queue);
    queue->is_ending_turn = false;
}

static void on_again(struct deferred *deferred)
{
    queue_wake(((struct queue_deferred *)deferred)->queue);
}

/* Work found at the end of a turn runs after the events that are ready. */
void queue_wake(struct queue *queue)
{
    if (queue->is_ending_turn)
        turn_again(&queue->turn, &queue->again.deferred);
    else
        turn_defer(&queue->turn, &queue->end_of_turn.deferred);
}

static void on_due(struct ev_loop *loop, ev_timer *watcher, int events)
{
    (void)loop;
    (void)events;
    queue_wake(watcher->data);
}

/* ---- the second thread's jobs ---- */

static bool run_checkpoint(struct flusher_job *job, struct error *error)
{
    struct queue *queue = job->owner;
    return queue_store_checkpoint(queue->store, false, error);
}

static bool run_next_log(struct flusher_job *job, struct error *error)
{
    struct queue *queue = job->owner;
    return queue_store_prepare_log(queue->store, error);
}

static void on_next_log(struct flusher_job *job)
{
    struct queue *queue = job->owner;
    if (!job->succeeded)
        LOG(&queue->role->log, LOG_WARNING, "log_not_prepared", log_failure(&job->error));
}

static bool run_compaction(struct flusher_job *job, struct error *error)
{
    struct queue *queue = job->owner;
    return queue_store_compact(queue->store, error);
}

static void on_store_job(struct flusher_job *job)
{
    struct queue *queue = job->owner;
    if (job->succeeded)
        return;
    LOG(&queue->role->log, LOG_ERROR, "checkpoint_failed", log_failure(&job->error));
    queue_check_store(queue, &job->error);
}

/* ---- every second ---- */

static void look_at_space(struct queue *queue)
{
    struct statvfs status;
    uint64_t wanted = queue->role->config.limits.free_space_octets;
    if (statvfs(here, &status) != 0)
        return;
    uint64_t free_octets = (uint64_t)status.f_bavail * status.f_frsize;
    /* A tenth more before it is enough again: not on and off at each message. */
    bool enough = free_octets >= (queue->enough_space ? wanted : wanted + wanted / 10);
    if (enough == queue->enough_space)
        return;
    queue->enough_space = enough;
    LOG(&queue->role->log, enough ? LOG_INFO : LOG_ERROR, enough ? "space_enough" : "space_low",
        log_number("free_octets", (int64_t)free_octets),
        log_number("limit_octets", (int64_t)wanted));
    intake_tell_space(queue);
}

static bool is_long_file(const char *name)
{
    struct stat status;
    return stat(name, &status) == 0 && status.st_size >= COMPACT_OCTETS;
}

static void look_at_emptiness(struct queue *queue)
{
    uint64_t now_ms = queue_now_ms();
    if (queue->queued.message_count > NEARLY_EMPTY || queue->compaction.under_way
        || backup_is_under_way(&queue->backup)) {
        queue->empty_since_ms = now_ms;
        return;
    }
    if (queue->empty_since_ms == 0 || now_ms - queue->empty_since_ms < COMPACT_AFTER_MS)
        return;
    queue->empty_since_ms = 0; /* not again until the queue has had messages */
    if (is_long_file("messages.db"))
        flusher_submit(queue->flusher, &queue->compaction);
}

static void on_second(struct ev_loop *loop, ev_timer *watcher, int events)
{
    (void)loop;
    (void)events;
    struct queue *queue = watcher->data;
    if (queue_store_log_octets(queue->store) > 0)
        start_checkpoint(queue);
    look_at_space(queue);
    look_at_emptiness(queue);
    spool_tick(&queue->spool, !queue->enough_space || queue->stop_by_ms != 0);
    settle_tick(queue);
    targets_tick(queue);
    dispatch_tick(queue);
    tls_reports_tick(queue);
    if (queue_now_ms() / 1000 % SWEEP_SECONDS == 0)
        queued_sweep_targets(&queue->queued);
    queue_wake(queue);
}

/* ---- what role.h wants ---- */

static void start_turns(struct queue *queue)
{
    struct ev_loop *loop = queue->role->loop;
    turn_init(&queue->turn, loop);
    queue->end_of_turn = (struct queue_deferred){{.run = on_end_of_turn}, queue};
    queue->again = (struct queue_deferred){{.run = on_again}, queue};
    ev_timer_init(&queue->due, on_due, 0.0, 0.0);
    ev_timer_init(&queue->second, on_second, 1.0, 1.0);
    queue->due.data = queue->second.data = queue;
    ev_timer_start(loop, &queue->second);
    queue_wake(queue);
}

static bool start(struct role *role, struct error *error)
{
    struct queue *queue = role->state;
    queue->enough_space = true;
    queue->checkpoint =
        (struct flusher_job){.run = run_checkpoint, .done = on_store_job, .owner = queue};
    queue->compaction =
        (struct flusher_job){.run = run_compaction, .done = on_store_job, .owner = queue};
    queue->next_log =
        (struct flusher_job){.run = run_next_log, .done = on_next_log, .owner = queue};
    queue->empty_since_ms = queue_now_ms();
    intake_init(queue);
    targets_init(queue);
    dispatch_init(queue);
    settle_init(queue);
    reports_init(&queue->reports);
    backup_init(queue);
    removal_init(queue);
    if (!open_and_load(queue, error) || !flusher_start(role->loop, &queue->flusher, error))
        return false;
    start_turns(queue);
    look_at_space(queue);
    LOG(&role->log, LOG_INFO, "queue_open",
        log_number("messages", (int64_t)queue->queued.message_count),
        log_number("recipients", (int64_t)queue->queued.recipient_count),
        log_number("held", (int64_t)queue->queued.held_count));
    return true;
}

static void peer_up(struct role_peer *peer)
{
    struct queue *queue = queue_of(peer);
    bool up = true;
    if (peer->kind == ROLE_AUTH)
        targets_auth_up(queue);
    else if (peer->kind == ROLE_DELIVER)
        up = dispatch_deliver_up(queue, peer);
    else if (peer->kind == ROLE_RELAY)
        up = dispatch_relay_up(queue, peer);
    else
        up = intake_peer_up(queue, peer);
    if (!up)
        ipc_close(&peer->channel); /* no memory: no peer is better than a partial one */
}

static void peer_down(struct role_peer *peer)
{
    struct queue *queue = queue_of(peer);
    if (peer->kind == ROLE_AUTH)
        targets_auth_down(queue);
    else if (peer->kind == ROLE_DELIVER)
        dispatch_deliver_down(queue, peer);
    else if (peer->kind == ROLE_RELAY)
        dispatch_relay_down(queue, peer);
    else
        intake_peer_down(queue, peer);
}

/* Domains are renumbered: each recipient keeps its forwarding domain. */
static void renumber_forwarders(struct queue *queue, const struct config *before)
{
    struct queued_message *message, *next;
    struct queued_recipient *recipient;
    HASH_ITER (hh, queue->queued.messages, message, next)
        DL_FOREACH2 (message->recipients, recipient, next_of_message)
            if (recipient->forwarder > 0)
                recipient->forwarder = destination_forwarder_now(
                    &queue->role->config, before->domains[recipient->forwarder - 1].name);
}

/* Settings read from the configuration on use are already new. */
static void reload(struct role *role)
{
    struct queue *queue = role->state;
    renumber_forwarders(queue, &role->previous);
    deadlines_reload(queue, &role->previous.queue);
    targets_forget_known(queue);
    queue_wake(queue);
}

static void count(struct role *role, struct role_counts *counts)
{
    const struct queue *queue = role->state;
    counts->queued = queue->queued.message_count;
    counts->held = queue->queued.held_count;
}

static const struct role_link links[] = {
    {ROLE_SMTP, intake_rules, INTAKE_RULES},
    {ROLE_SUBMISSION, intake_rules, INTAKE_RULES},
    {ROLE_AUTH, targets_auth_rules, TARGETS_AUTH_RULES},
    {ROLE_DELIVER, dispatch_deliver_rules, DISPATCH_DELIVER_RULES},
    {ROLE_RELAY, dispatch_relay_rules, DISPATCH_RELAY_RULES},
};

static bool on_control(void *owner, struct ipc_packet *packet, struct error *error)
{
    struct role *role = owner;
    struct control_words words;
    if (control_words_parse(packet, &words, NULL)
        && slice_equal(words.words[0], SLICE("backup-queue"))) {
        backup_on_control(role->state, &words, ipc_packet_take(packet, 0));
        return true;
    }
    return admin_on_control(owner, packet, error);
}

static const struct ipc_rule orders[] = {
    {ROLE_TARGET, sizeof(struct role_target), sizeof(struct role_target), 0, targets_on_target},
    {ROLE_NO_TARGET, sizeof(struct role_no_target), sizeof(struct role_no_target), 0,
     targets_on_no_process},
    {ROLE_CONTROL, sizeof(struct role_control) + 1,
     sizeof(struct role_control) + ROLE_CONTROL_LINE_MAX, 1, on_control},
};

const struct role_spec queue_role = {
    .sandbox = {.calls = SANDBOX_FILES | SANDBOX_THREAD | SANDBOX_FLUSH | SANDBOX_SENDFILE,
                .files = SANDBOX_WRITE_FILES},
    .links = links,
    .link_count = ARRAY_LENGTH(links),
    .orders = orders,
    .order_count = ARRAY_LENGTH(orders),
    .prepare = prepare,
    .start = start,
    .peer_up = peer_up,
    .peer_down = peer_down,
    .reload = reload,
    .stop = stop,
    .end = end,
    .count = count,
};
