/*
 * Out of the queue into Maildirs; see dispatch_deliver.h.
 *
 * A destination is served only when its account's target is known, its deliver process is there and
 * has room. Otherwise it is blocked until that changes (targets.h).
 */
#include "smtpd/queue/dispatch/dispatch_deliver.h"

#include <stdlib.h>
#include <unistd.h>

#include <utlist.h>

#include "common/auth/auth_protocol.h"
#include "common/disk/fd.h"
#include "common/hash_table.h"
#include "common/size.h"
#include "smtpd/deliver/deliver_protocol.h"
#include "smtpd/queue/queue.h"
#include "smtpd/queue/queue_id.h"
#include "smtpd/queue/queue_protocol.h"

enum {
    UNDER_WAY_MAX = 128,     /* messages with one deliver process */
    LOOK_AHEAD = 256,        /* recipients looked at for one record */
    FLUSH_AT_ONCE = 1024,    /* unflushed recipients at which a flush begins at once */
    ATTEMPT_MS = 15 * 60000, /* unanswered: tried later, and looked for before */
    DEATHS_MAX = 2,          /* deaths of the process that had it; then like any failure */
    FLUSH_FAILED_MS = 60000,
};

/* Deliveries that nobody waits for may gather before one syncfs: no client sees it. Ten times as
 * long as the last one took, so that the bodies that clients do wait for have the second thread and
 * the disk for the rest of the time. */
#define FLUSH_DELAY_MIN_S 0.1
#define FLUSH_DELAY_MAX_S 2.0

/* One DELIVER_MESSAGE. */
struct attempt {
    UT_hash_handle hh;
    uint64_t request;
    uint64_t sent_ms;
    struct deliver_peer *peer;
    uint64_t id;
    uint32_t count;
    struct queued_recipient *recipients[DELIVER_RECIPIENTS_MAX];
};

/* A deliver process; after its death, what is left to flush. */
struct deliver_peer {
    struct deliver_peer *prev, *next;
    struct queue *queue;
    struct role_peer *role_peer; /* NULL: dead */
    struct queue_target *blocked;
    uint32_t under_way;
    int sync_fd; /* -1: none yet */
    bool trusted;
    struct queued_recipient *unflushed;
    uint32_t unflushed_count;
    struct queued_recipient *flushing;
    struct flusher_job flush;
    uint64_t flush_ms; /* duration of the last flush */
    ev_timer flush_soon;
};

/* ---- attempts ---- */

static void free_attempt(struct queue *queue, struct attempt *attempt)
{
    HASH_DEL(queue->deliver.attempts, attempt);
    free(attempt);
}

/* The outcome of the attempt is unknown. */
static void attempt_lost(struct queue *queue, struct attempt *attempt, struct slice text)
{
    for (uint32_t i = 0; i < attempt->count; i++) {
        struct queued_recipient *recipient = attempt->recipients[i];
        recipient->again = true;
        if (recipient->deaths < DEATHS_MAX) {
            dispatch_lost(queue, recipient, recipient->deaths++ == 0);
        } else {
            recipient->deaths = 0;
            settle_add(queue, recipient, OUTCOME_DEFERRED, text);
        }
    }
    free_attempt(queue, attempt);
}

static struct attempt *make_attempt(struct queue *queue, struct deliver_peer *peer, uint64_t id)
{
    struct attempt *attempt = calloc(1, sizeof(*attempt));
    if (!attempt)
        return NULL;
    attempt->request = queue_next_request(queue);
    attempt->sent_ms = queue_now_ms();
    attempt->peer = peer;
    attempt->id = id;
    HASH_ADD(hh, queue->deliver.attempts, request, sizeof(attempt->request), attempt);
    if (hash_table_holds(&attempt->hh))
        return attempt;
    free(attempt);
    return NULL;
}

static bool goes_to(const struct queue_target *target, const struct deliver_peer *peer)
{
    return target->kind == TARGET_ACCOUNT && target->deliver.state == TARGET_KNOWN
           && target->deliver.deliver_number == peer->role_peer->number;
}

/* Adds the message's other recipients that are ready for the same process, from this one on. */
static void gather(struct queue *queue, struct attempt *attempt, struct queued_recipient *first)
{
    struct queued_recipient *recipient = first;
    for (int looked = 0; recipient && looked < LOOK_AHEAD; looked++) {
        bool fits = recipient == first
                    || (recipient->entry.state == SCHEDULE_READY
                        && goes_to(queued_target_of(recipient), attempt->peer)
                        && !queued_target_of(recipient)->destination.blocked);
        if (fits) {
            queued_enter(&queue->queued, recipient, QUEUED_UNDER_WAY);
            attempt->recipients[attempt->count++] = recipient;
        }
        if (attempt->count == DELIVER_RECIPIENTS_MAX)
            break;
        recipient = recipient->next_of_message;
    }
}

static uint16_t flags_of(const struct queued_recipient *recipient)
{
    return (uint16_t)((recipient->again ? DELIVER_AGAIN : 0)
                      | (recipient->purpose == STORED_COPY ? DELIVER_COPY : 0));
}

/* The part of the record that names them; addresses go into dispatch->texts. False: one of them
 * has no readable row. */
static bool describe_recipients(struct queue *queue, const struct attempt *attempt,
                                struct deliver_recipient *described, struct error *error)
{
    struct dispatch *dispatch = &queue->dispatch;
    buffer_reset(&dispatch->texts);
    for (uint32_t i = 0; i < attempt->count; i++) {
        const struct queued_recipient *recipient = attempt->recipients[i];
        struct stored_recipient row;
        if (!queue_store_get_recipient(queue->store, attempt->id, recipient->number,
                                       &dispatch->recipient, &row, error))
            return false;
        buffer_append(&dispatch->texts, row.address);
        described[i] =
            (struct deliver_recipient){.handle = queued_target_of(recipient)->deliver.handle,
                                       .number = recipient->number,
                                       .address_octets = (uint16_t)row.address.len,
                                       .flags = flags_of(recipient)};
    }
    return !dispatch->texts.failed || error_memory(error);
}

static bool send_message(struct queue *queue, const struct attempt *attempt,
                         const struct dispatch_content *content, struct error *error)
{
    const struct stored_message *message = &content->message;
    struct deliver_recipient described[DELIVER_RECIPIENTS_MAX];
    char id[QUEUE_ID_SIZE];
    if (!describe_recipients(queue, attempt, described, error))
        return false;
    bool in_file = content->body_fd >= 0;
    struct deliver_message head = {
        .header = {.type = in_file ? DELIVER_MESSAGE_FILE : DELIVER_MESSAGE,
                   .request = attempt->request},
        .id = attempt->id,
        .arrival = message->arrival,
        .recipients = (uint16_t)attempt->count,
        .reverse_path_octets = (uint16_t)message->reverse_path.len,
        .id_octets = QUEUE_ID_TEXT,
        .cuts = (uint16_t)message->cut_count,
        .prefix_octets = (uint32_t)message->prefix.len,
        .body_octets = message->body_octets};
    const struct slice tail[] = {slice_of(described, attempt->count * sizeof(described[0])),
                                 buffer_slice(&queue->dispatch.texts),
                                 message->reverse_path,
                                 slice_of_string(queue_id_format(attempt->id, id)),
                                 message->prefix,
                                 dispatch_cuts(content),
                                 message->body};
    const struct ipc_message record = {.head = &head.header,
                                       .head_octets = sizeof(head),
                                       .tail = tail,
                                       .tail_count = ARRAY_LENGTH(tail),
                                       .descriptors = &content->body_fd,
                                       .descriptor_count = in_file ? 1 : 0};
    return ipc_send(&attempt->peer->role_peer->channel, &record, error);
}

static bool read_and_send(struct queue *queue, const struct attempt *attempt, struct error *error)
{
    struct dispatch_content content;
    if (!dispatch_open(queue, attempt->id, &content, error))
        return false;
    bool sent = send_message(queue, attempt, &content, error);
    dispatch_close(&content);
    return sent;
}

static void deliver(struct queue *queue, struct deliver_peer *peer,
                    struct queued_recipient *recipient)
{
    struct error error = {0};
    struct attempt *attempt = make_attempt(queue, peer, queued_message_of(recipient)->id);
    if (!attempt) {
        queued_enter(&queue->queued, recipient, QUEUED_UNDER_WAY);
        dispatch_undone(queue, recipient);
        return;
    }
    gather(queue, attempt, recipient);
    if (read_and_send(queue, attempt, &error)) {
        peer->under_way++;
        return;
    }
    for (uint32_t i = 0; i < attempt->count; i++)
        dispatch_not_sent(queue, attempt->recipients[i], &error);
    free_attempt(queue, attempt);
}

/* ---- flushing what was written ---- */

static void free_peer_if_done(struct deliver_peer *peer)
{
    struct queue *queue = peer->queue;
    if (peer->role_peer || peer->unflushed || peer->flush.under_way)
        return;
    ev_timer_stop(queue->role->loop, &peer->flush_soon);
    fd_discard(&peer->sync_fd);
    DL_DELETE(queue->deliver.peers, peer);
    free(peer);
}

static bool run_sync(struct flusher_job *job, struct error *error)
{
    struct deliver_peer *peer = job->owner;
    uint64_t begun_ms = queue_now_ms();
    if (!fd_sync_filesystem(peer->sync_fd, error))
        return error_prefix(error, "mail");
    peer->flush_ms = queue_now_ms() - begun_ms;
    return true;
}

static void flush_soon(struct deliver_peer *peer)
{
    double delay_s = (double)peer->flush_ms / 100.0;
    if (delay_s < FLUSH_DELAY_MIN_S)
        delay_s = FLUSH_DELAY_MIN_S;
    peer->flush_soon.repeat = delay_s < FLUSH_DELAY_MAX_S ? delay_s : FLUSH_DELAY_MAX_S;
    ev_timer_again(peer->queue->role->loop, &peer->flush_soon);
}

static void start_sync(struct deliver_peer *peer)
{
    if (peer->flush.under_way || !peer->unflushed)
        return;
    peer->flushing = peer->unflushed;
    peer->unflushed = NULL;
    peer->unflushed_count = 0;
    flusher_submit(peer->queue->flusher, &peer->flush);
}

static void on_synced(struct flusher_job *job)
{
    struct deliver_peer *peer = job->owner;
    struct queue *queue = peer->queue;
    if (!job->succeeded)
        LOG(&queue->role->log, LOG_ERROR, "mail_not_flushed", log_failure(&job->error));
    while (peer->flushing) {
        struct queued_recipient *recipient = peer->flushing;
        DL_DELETE(peer->flushing, recipient);
        if (job->succeeded) {
            settle_add(queue, recipient, OUTCOME_DELIVERED, slice_of(NULL, 0));
            continue;
        }
        queued_schedule(&queue->queued, recipient, queue_now_ms() + FLUSH_FAILED_MS);
        settle_wish(queue, recipient, slice_of(NULL, 0));
    }
    if (peer->unflushed_count >= FLUSH_AT_ONCE || !peer->role_peer)
        start_sync(peer);
    else if (peer->unflushed)
        flush_soon(peer);
    free_peer_if_done(peer);
}

static void on_flush_soon(struct ev_loop *loop, ev_timer *watcher, int events)
{
    (void)events;
    ev_timer_stop(loop, watcher);
    start_sync(watcher->data);
}

static void add_unflushed(struct deliver_peer *peer, struct queued_recipient *recipient)
{
    struct queue *queue = peer->queue;
    recipient->again = true; /* from now on it may have been delivered */
    queued_enter(&queue->queued, recipient, QUEUED_UNFLUSHED);
    DL_APPEND(peer->unflushed, recipient);
    if (++peer->unflushed_count >= FLUSH_AT_ONCE)
        start_sync(peer);
    else if (!ev_is_active(&peer->flush_soon) && !peer->flush.under_way)
        flush_soon(peer);
}

/* ---- answers of deliver ---- */

static void tell_full(struct queue *queue, struct queue_target *target, bool is_full)
{
    struct role_peer *auth = role_find_peer(queue->role, ROLE_AUTH);
    struct slice account = queue_target_name(target);
    if (target->deliver.is_full == is_full || !auth)
        return;
    struct auth_full record = {
        .header = {.type = AUTH_FULL}, .full = is_full, .account_octets = (uint32_t)account.len};
    if (ipc_send_record(&auth->channel, &record.header, sizeof(record), account, NULL))
        target->deliver.is_full = is_full;
}

static void take_outcome(struct deliver_peer *peer, struct queued_recipient *recipient,
                         const struct deliver_outcome *outcome, struct slice text)
{
    struct queue *queue = peer->queue;
    recipient->deaths = 0;
    tell_full(queue, queued_target_of(recipient), outcome->full != 0);
    recipient->tried = queue_wall_now();
    switch (outcome->status) {
    case DELIVER_DONE:
        if (outcome->flushed)
            settle_add(queue, recipient, OUTCOME_DELIVERED, text);
        else
            add_unflushed(peer, recipient);
        break;
    case DELIVER_GONE:
        settle_add(queue, recipient, OUTCOME_DELIVERED, text);
        break;
    case DELIVER_TEMPORARY:
        settle_add(queue, recipient, OUTCOME_DEFERRED, text);
        break;
    default:
        settle_add(queue, recipient, OUTCOME_FAILED, text);
    }
}

static bool is_outcome(const struct deliver_peer *peer, const struct deliver_outcome *outcome)
{
    return outcome->status >= DELIVER_DONE && outcome->status <= DELIVER_PERMANENT
           && (outcome->status != DELIVER_DONE || outcome->flushed || peer->trusted);
}

/* The structs, copied since nothing says that they are aligned; *texts is what follows them. */
static bool parse_outcomes(const struct deliver_peer *peer, const struct ipc_packet *packet,
                           struct deliver_outcome outcomes[DELIVER_RECIPIENTS_MAX],
                           struct slice *texts)
{
    const struct deliver_result *record = packet->record;
    struct slice tail = ipc_packet_tail(packet, sizeof(*record));
    if (record->recipients == 0 || record->recipients > DELIVER_RECIPIENTS_MAX
        || tail.len < record->recipients * sizeof(outcomes[0]))
        return false;
    memcpy(outcomes, tail.ptr, record->recipients * sizeof(outcomes[0]));
    *texts = slice_from(tail, record->recipients * sizeof(outcomes[0]));
    size_t text_octets = 0;
    for (uint32_t i = 0; i < record->recipients; i++) {
        if (!is_outcome(peer, &outcomes[i]))
            return false;
        text_octets += outcomes[i].text_octets;
    }
    return texts->len == text_octets;
}

static void under_way_ended(struct deliver_peer *peer)
{
    if (--peer->under_way <= UNDER_WAY_MAX / 2)
        targets_let_go(peer->queue, &peer->blocked);
}

static bool on_result(void *owner, struct ipc_packet *packet, struct error *error)
{
    struct role_peer *role_peer = owner;
    struct deliver_peer *peer = role_peer->data;
    struct queue *queue = peer->queue;
    const struct deliver_result *record = packet->record;
    struct deliver_outcome outcomes[DELIVER_RECIPIENTS_MAX] = {0};
    struct slice texts;
    if (!parse_outcomes(peer, packet, outcomes, &texts))
        return error_set(error, ERROR_PEER, "malformed result");
    struct attempt *attempt;
    HASH_FIND(hh, queue->deliver.attempts, &record->header.request, sizeof(record->header.request),
              attempt);
    if (!attempt)
        return true; /* given up before */
    if (attempt->peer != peer || attempt->id != record->id || attempt->count != record->recipients)
        return error_set(error, ERROR_PEER, "a result of another message");
    for (uint32_t i = 0; i < attempt->count; i++) {
        struct slice text = slice_range(texts, 0, outcomes[i].text_octets);
        texts = slice_from(texts, text.len);
        take_outcome(peer, attempt->recipients[i], &outcomes[i], text);
    }
    free_attempt(queue, attempt);
    under_way_ended(peer);
    queue_wake(queue);
    return true;
}

static bool on_sync(void *owner, struct ipc_packet *packet, struct error *error)
{
    struct role_peer *role_peer = owner;
    struct deliver_peer *peer = role_peer->data;
    const struct deliver_sync *record = packet->record;
    if (peer->sync_fd >= 0)
        return error_set(error, ERROR_PEER, "a second DELIVER_SYNC");
    peer->sync_fd = ipc_packet_take(packet, 0);
    peer->trusted = record->trusted != 0;
    return true;
}

const struct ipc_rule dispatch_deliver_rules[DISPATCH_DELIVER_RULES] = {
    {DELIVER_RESULT, sizeof(struct deliver_result), IPC_RECORD_MAX, 0, on_result},
    {DELIVER_SYNC, sizeof(struct deliver_sync), sizeof(struct deliver_sync), 1, on_sync},
};

/* ---- deliver processes come and go ---- */

bool dispatch_deliver_up(struct queue *queue, struct role_peer *role_peer)
{
    struct deliver_peer *peer = calloc(1, sizeof(*peer));
    role_peer->data = peer;
    if (!peer)
        return false;
    peer->queue = queue;
    peer->role_peer = role_peer;
    peer->sync_fd = -1;
    peer->flush = (struct flusher_job){.run = run_sync, .done = on_synced, .owner = peer};
    ev_init(&peer->flush_soon, on_flush_soon);
    peer->flush_soon.data = peer;
    DL_APPEND(queue->deliver.peers, peer);
    queue_wake(queue);
    return true;
}

/* Its deliveries are in the Maildirs, and we still hold the descriptor to flush them. */
void dispatch_deliver_down(struct queue *queue, struct role_peer *role_peer)
{
    struct deliver_peer *peer = role_peer->data;
    if (!peer)
        return;
    role_peer->data = NULL;
    peer->role_peer = NULL;
    struct attempt *attempt, *next;
    HASH_ITER (hh, queue->deliver.attempts, attempt, next) {
        if (attempt->peer == peer)
            attempt_lost(queue, attempt, SLICE("4.3.0 the delivery process died"));
    }
    targets_let_go(queue, &peer->blocked);
    start_sync(peer);
    free_peer_if_done(peer);
}

/* ---- whose turn it is ---- */

static struct deliver_peer *find_deliver(struct queue *queue, const struct queue_target *target)
{
    struct role_peer *peer =
        role_find_peer_number(queue->role, ROLE_DELIVER, target->deliver.deliver_number);
    return peer ? peer->data : NULL;
}

/* The process for this account. NULL: the destination was blocked until something changes. */
static struct deliver_peer *ready_peer(struct queue *queue, struct queue_target *target)
{
    bool fresh =
        target->deliver.state == TARGET_KNOWN && queue_now_ms() < target->deliver.known_until_ms;
    struct deliver_peer *peer = fresh ? find_deliver(queue, target) : NULL;
    if (!peer) {
        targets_ask(queue, target);
        return NULL;
    }
    if (peer->under_way < UNDER_WAY_MAX && !ipc_is_congested(&peer->role_peer->channel))
        return peer;
    targets_wait(peer->under_way > 0 ? &peer->blocked : &queue->targets.paused, target);
    return NULL;
}

static struct queued_recipient *take_next(struct queue *queue)
{
    struct schedule *schedule = &queue->queued.schedules[QUEUED_LOCAL];
    return (struct queued_recipient *)schedule_take(schedule, SCHEDULE_PROVEN);
}

static void serve_next(struct queue *queue, struct queue_target *target)
{
    if (target->kind == TARGET_ADDRESS) {
        targets_ask_address(queue, target);
        return;
    }
    struct deliver_peer *peer = ready_peer(queue, target);
    if (peer)
        deliver(queue, peer, take_next(queue));
}

bool dispatch_deliver_run(struct queue *queue, unsigned records)
{
    struct schedule *schedule = &queue->queued.schedules[QUEUED_LOCAL];
    struct schedule_destination *destination;
    while (records-- > 0 && (destination = schedule_next(schedule, SCHEDULE_PROVEN)))
        serve_next(queue, (struct queue_target *)destination);
    return schedule_next(schedule, SCHEDULE_PROVEN) != NULL;
}

void dispatch_deliver_tick(struct queue *queue)
{
    uint64_t now_ms = queue_now_ms();
    struct attempt *attempt, *next;
    HASH_ITER (hh, queue->deliver.attempts, attempt, next) {
        if (now_ms - attempt->sent_ms < ATTEMPT_MS)
            continue;
        struct deliver_peer *peer = attempt->peer;
        attempt_lost(queue, attempt, SLICE("4.3.0 the delivery took too long"));
        under_way_ended(peer);
    }
}

bool dispatch_deliver_is_busy(const struct queue *queue)
{
    if (queue->deliver.attempts)
        return true;
    const struct deliver_peer *peer;
    DL_FOREACH (queue->deliver.peers, peer)
        if (peer->unflushed || peer->flush.under_way)
            return true;
    return false;
}
