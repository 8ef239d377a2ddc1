/* Out of the queue to other hosts; see dispatch_relay.h. */
#include "smtpd/queue/dispatch/dispatch_relay.h"

#include <stdlib.h>

#include <utlist.h>

#include "common/auth/canonical.h"
#include "common/auth/srs.h"
#include "common/hash_table.h"
#include "common/size.h"
#include "smtpd/queue/dispatch/destination.h"
#include "smtpd/queue/queue.h"
#include "smtpd/queue/queue_id.h"
#include "smtpd/queue/queue_protocol.h"
#include "smtpd/relay/relay_protocol.h"

_Static_assert((int)RELAY_TEXT_MAX == (int)OUTCOME_TEXT_MAX, "texts that are kept");

enum {
    OCTETS_MAX = 64 << 20,       /* of records under way, for each process */
    ATTEMPT_MS = 2 * 60 * 60000, /* unanswered: tried again; longer than any timeout of relay */
    REST_MAX_MS = 24 * 60 * 60000,

    /* Suspicion after a death: one more for each message that the process had, two for one that it
     * had alone. At most one message of any suspicion at a time is with a process, so that four are
     * a proof. */
    SUSPICION = 1,
    SUSPICION_ALONE = 2,
    SUSPICION_PROOF = 4,
};

/* One RELAY_MESSAGE. */
struct relay_attempt {
    UT_hash_handle hh;
    uint64_t request;
    uint64_t sent_ms;
    struct relay_peer *peer;
    struct queue_target *target;
    uint64_t id;
    size_t octets;
    enum schedule_lane lane;
    bool is_suspect;
    uint16_t forwarder; /* as of each recipient */
    bool by_notice;     /* DELIVERBY, RFC 2852: the sender is told of servers without it */
    bool by_trace;      /* and of each server */
    uint32_t count;
    struct queued_recipient *recipients[RELAY_RECIPIENTS_MAX];
};

/* A relay process. */
struct relay_peer {
    struct relay_peer *prev, *next;
    struct role_peer *role_peer;
    struct queue_target *congested; /* wait until it reads */
    struct queue_target *suspects;  /* wait for the suspect it has */
    uint32_t under_way;
    bool has_suspect;
    bool leaves; /* has the configuration of before a reload: gets nothing more */
};

/* ---- windows ---- */

static uint32_t window_of(const struct queue_target *target)
{
    return target->relay.window > 0 ? target->relay.window : 1;
}

static void look_at_window(struct queue_target *target)
{
    if (target->list)
        return; /* blocked for another reason */
    if (target->relay.under_way >= window_of(target))
        schedule_block(&target->destination);
    else
        schedule_unblock(&target->destination);
}

/* ---- attempts ---- */

static struct relay_attempt *make_attempt(struct queue *queue, struct relay_peer *peer,
                                          struct queued_recipient *first)
{
    struct relay_attempt *attempt = calloc(1, sizeof(*attempt));
    if (!attempt)
        return NULL;
    attempt->request = queue_next_request(queue);
    attempt->sent_ms = queue_now_ms();
    attempt->peer = peer;
    attempt->target = queued_target_of(first);
    attempt->id = queued_message_of(first)->id;
    attempt->lane = attempt->target->destination.lane;
    attempt->is_suspect = first->deaths > 0;
    attempt->forwarder = first->forwarder;
    HASH_ADD(hh, queue->relay.attempts, request, sizeof(attempt->request), attempt);
    if (hash_table_holds(&attempt->hh))
        return attempt;
    free(attempt);
    return NULL;
}

static void free_attempt(struct queue *queue, struct relay_attempt *attempt)
{
    HASH_DEL(queue->relay.attempts, attempt);
    free(attempt);
}

static void attempt_begins(struct queue *queue, struct relay_attempt *attempt)
{
    queue->relay.under_way[attempt->lane]++;
    queue->relay.octets += attempt->octets;
    attempt->peer->under_way++;
    attempt->peer->has_suspect |= attempt->is_suspect;
    attempt->target->relay.under_way++;
    look_at_window(attempt->target);
}

/* Its recipients have already been moved. */
static void attempt_ends(struct queue *queue, struct relay_attempt *attempt)
{
    struct relay_peer *peer = attempt->peer;
    bool was_suspect = attempt->is_suspect;
    queue->relay.under_way[attempt->lane]--;
    queue->relay.octets -= attempt->octets;
    peer->under_way--;
    attempt->target->relay.under_way--;
    look_at_window(attempt->target);
    free_attempt(queue, attempt);
    if (!was_suspect)
        return;
    peer->has_suspect = false;
    targets_let_go(queue, &peer->suspects);
}

/* The outcome of the attempt is unknown. */
static void attempt_lost(struct queue *queue, struct relay_attempt *attempt, uint8_t suspicion)
{
    for (uint32_t i = 0; i < attempt->count; i++) {
        struct queued_recipient *recipient = attempt->recipients[i];
        bool first = recipient->deaths == 0;
        recipient->again = true;
        recipient->deaths = (uint8_t)(recipient->deaths + suspicion);
        if (recipient->deaths < SUSPICION_PROOF || recipient->wish != OUTCOME_NONE)
            dispatch_lost(queue, recipient, first);
        else
            settle_add(queue, recipient, OUTCOME_QUARANTINED,
                       SLICE("4.3.0 the relay process died whenever it had this message"));
    }
    attempt_ends(queue, attempt);
}

/* ---- one record ---- */

struct described {
    struct relay_recipient recipients[RELAY_RECIPIENTS_MAX];
    size_t octets; /* of the record so far */
};

/* Adds the recipient to the attempt. False: it does not fit and stays where it is, or its row
 * cannot be read, with *error filled. */
static bool describe(struct queue *queue, const struct queued_recipient *recipient,
                     struct described *described, uint32_t place, struct error *error)
{
    struct dispatch *dispatch = &queue->dispatch;
    struct stored_recipient row;
    if (!queue_store_get_recipient(queue->store, queued_message_of(recipient)->id,
                                   recipient->number, &dispatch->recipient, &row, error))
        return false;
    size_t octets = sizeof(described->recipients[0]) + row.address.len + row.orcpt.len;
    if (described->octets + octets > IPC_RECORD_MAX)
        return false;
    described->octets += octets;
    described->recipients[place] =
        (struct relay_recipient){.address_octets = (uint16_t)row.address.len,
                                 .orcpt_octets = (uint16_t)row.orcpt.len,
                                 .notify = (uint16_t)row.notify};
    buffer_append(&dispatch->texts, row.address);
    buffer_append(&dispatch->texts, row.orcpt);
    return !dispatch->texts.failed || error_memory(error);
}

static struct queued_recipient *next_of_group(const struct relay_attempt *attempt,
                                              const struct queued_group *group)
{
    struct queued_recipient *next = (struct queued_recipient *)group->turns.line;
    bool fits = next && attempt->count < RELAY_RECIPIENTS_MAX
                && (next->deaths > 0) == attempt->is_suspect
                && next->forwarder == attempt->forwarder; /* one reverse-path for all */
    return fits ? next : NULL;
}

/* Adds the first recipient, already taken, and the ready ones of its group, as many as a record
 * holds. One whose row cannot be read is held by itself. */
static void gather(struct queue *queue, struct relay_attempt *attempt,
                   struct queued_recipient *first, struct described *described)
{
    struct queued_group *group = first->group;
    buffer_reset(&queue->dispatch.texts);
    queued_enter(&queue->queued, first, QUEUED_UNDER_WAY);
    for (struct queued_recipient *recipient = first; recipient;) {
        struct error error = {0};
        bool fits = describe(queue, recipient, described, attempt->count, &error);
        if (!fits && error.kind == ERROR_NONE && recipient != first)
            return;
        if (recipient != first)
            queued_enter(&queue->queued, recipient, QUEUED_UNDER_WAY);
        if (fits)
            attempt->recipients[attempt->count++] = recipient;
        else
            dispatch_not_sent(queue, recipient, &error);
        recipient = next_of_group(attempt, group);
    }
}

/* Mail of a foreign sender forwarded by an alias gets a sender in our domain. A sender too long to
 * rewrite is kept: some receivers will accept it anyway. */
static void rewrite_sender(struct queue *queue, struct dispatch_content *content,
                           uint16_t forwarder)
{
    struct buffer *path = &queue->dispatch.reverse_path;
    const struct config *config = &queue->role->config;
    struct slice sender = content->message.reverse_path;
    const char *domain = config->domains[forwarder - 1].name;
    struct srs_key key;
    if (sender.len == 0 || config_find_domain(config, canonical_domain(sender)))
        return;
    memcpy(key.octets, queue->role->srs_key, sizeof(key.octets));
    buffer_reset(path);
    if (srs_forward(&key, sender, domain, queue_wall_now(), path) && !path->failed)
        content->message.reverse_path = buffer_slice(path);
}

static void note_deliver_by(struct relay_attempt *attempt, const struct stored_message *message)
{
    bool has_time = message->deliver_by > 0;
    attempt->by_notice = has_time && (message->flags & QUEUE_BY_RETURN) == 0;
    attempt->by_trace = has_time && (message->flags & QUEUE_BY_TRACE) != 0;
}

static size_t octets_of(const struct queue_target *target, const struct dispatch_content *content)
{
    const struct stored_message *message = &content->message;
    return sizeof(struct relay_message) + target->name_octets + message->reverse_path.len
           + message->envid.len + QUEUE_ID_TEXT + message->prefix.len + dispatch_cuts(content).len
           + message->body.len;
}

static bool send_message(struct queue *queue, const struct relay_attempt *attempt,
                         const struct dispatch_content *content, const struct described *described,
                         struct error *error)
{
    const struct stored_message *message = &content->message;
    bool in_file = content->body_fd >= 0;
    char id[QUEUE_ID_SIZE];
    struct relay_message head = {.header = {.type = in_file ? RELAY_MESSAGE_FILE : RELAY_MESSAGE,
                                            .request = attempt->request},
                                 .id = attempt->id,
                                 .deliver_by = message->deliver_by,
                                 .flags = message->flags,
                                 .recipients = (uint16_t)attempt->count,
                                 .destination_octets = attempt->target->name_octets,
                                 .reverse_path_octets = (uint16_t)message->reverse_path.len,
                                 .envid_octets = (uint16_t)message->envid.len,
                                 .id_octets = QUEUE_ID_TEXT,
                                 .cuts = (uint16_t)message->cut_count,
                                 .prefix_octets = (uint32_t)message->prefix.len,
                                 .body_octets = message->body_octets};
    const struct slice tail[] = {
        slice_of(described->recipients, attempt->count * sizeof(described->recipients[0])),
        buffer_slice(&queue->dispatch.texts),
        queue_target_name(attempt->target),
        message->reverse_path,
        message->envid,
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

static void relay_with(struct queue *queue, struct relay_attempt *attempt,
                       struct queued_recipient *first, const struct dispatch_content *content)
{
    struct error error = {0};
    struct described described = {.octets = octets_of(attempt->target, content)};
    gather(queue, attempt, first, &described);
    attempt->octets = described.octets;
    if (attempt->count > 0 && send_message(queue, attempt, content, &described, &error)) {
        attempt_begins(queue, attempt);
        return;
    }
    for (uint32_t i = 0; i < attempt->count; i++)
        dispatch_not_sent(queue, attempt->recipients[i], &error);
    free_attempt(queue, attempt);
}

static void relay(struct queue *queue, struct relay_peer *peer, struct queued_recipient *first)
{
    struct error error = {0};
    struct dispatch_content content;
    struct relay_attempt *attempt = make_attempt(queue, peer, first);
    if (attempt && dispatch_open(queue, attempt->id, &content, &error)) {
        if (attempt->forwarder > 0)
            rewrite_sender(queue, &content, attempt->forwarder);
        note_deliver_by(attempt, &content.message);
        relay_with(queue, attempt, first, &content);
        dispatch_close(&content);
        return;
    }
    queued_enter(&queue->queued, first, QUEUED_UNDER_WAY);
    if (!attempt)
        error_memory(&error);
    else
        free_attempt(queue, attempt);
    dispatch_not_sent(queue, first, &error);
}

/* ---- results ---- */

static bool parse_outcomes(const struct ipc_packet *packet,
                           struct relay_outcome outcomes[RELAY_RECIPIENTS_MAX], struct slice *texts)
{
    const struct relay_result *record = packet->record;
    struct slice tail = ipc_packet_tail(packet, sizeof(*record));
    if (record->recipients == 0 || record->recipients > RELAY_RECIPIENTS_MAX || record->window == 0
        || record->window > RELAY_WINDOW_MAX || tail.len < record->recipients * sizeof(outcomes[0]))
        return false;
    memcpy(outcomes, tail.ptr, record->recipients * sizeof(outcomes[0]));
    *texts = slice_from(tail, record->recipients * sizeof(outcomes[0]));
    size_t text_octets = 0;
    for (uint32_t i = 0; i < record->recipients; i++) {
        if (outcomes[i].status < RELAY_DONE || outcomes[i].status > RELAY_PERMANENT
            || outcomes[i].text_octets > RELAY_TEXT_MAX)
            return false;
        text_octets += outcomes[i].text_octets;
    }
    return texts->len == text_octets;
}

/* RFC 2852 4: relaying is reported if the next server lacks DELIVERBY, and always if a trace was
 * requested. */
static bool tells_of_relaying(const struct relay_attempt *attempt, unsigned notify, unsigned flags)
{
    if (attempt->by_trace && (notify == 0 || (notify & QUEUE_NOTIFY_SUCCESS) != 0))
        return true;
    return attempt->by_notice && (flags & RELAY_KEEPS_TIME) == 0 && notify != QUEUE_NOTIFY_NEVER;
}

static enum queued_outcome outcome_of(const struct relay_attempt *attempt,
                                      const struct queued_recipient *recipient,
                                      const struct relay_outcome *outcome)
{
    switch (outcome->status) {
    case RELAY_DONE:
        if (tells_of_relaying(attempt, recipient->notify, outcome->flags))
            return OUTCOME_RELAYED_NOTED;
        return outcome->flags & RELAY_KEEPS_DSN ? OUTCOME_RELAYED_TOLD : OUTCOME_RELAYED;
    case RELAY_TEMPORARY:
        return OUTCOME_DEFERRED;
    default:
        return OUTCOME_FAILED;
    }
}

static void log_rest(struct queue *queue, const struct queue_target *target, uint64_t rest_ms)
{
    LOG(&queue->role->log, LOG_INFO, "destination_rests",
        log_bytes("destination", destination_name(queue_target_name(target))),
        log_number("failures", target->relay.failures),
        log_bytes("reply", slice_of_string(target->relay.text)),
        log_number("wait_s", (int64_t)(rest_ms / 1000)));
}

/* It took something, or not even that; and it asked for a pause, or not. */
static void look_at_destination(struct queue *queue, struct queue_target *target, bool took,
                                uint32_t wait_ms, struct slice text)
{
    const struct config_durations *waits = &queue->role->config.queue.retry;
    uint64_t rest_ms = wait_ms;
    bool failed = wait_ms > 0 && !took;
    target->relay.failures = failed ? target->relay.failures + 1 : 0;
    target->relay.tried = failed ? queue_wall_now() : 0;
    if (took && wait_ms > 0 && text.len == 0)
        text = SLICE("4.7.0 its server takes messages, but asks for fewer at a time");
    queued_set_text(&target->relay.text, wait_ms > 0 ? text : slice_of(NULL, 0));
    if (failed) {
        uint64_t back_off_ms =
            schedule_wait_ms(waits->items_ms, waits->count, target->relay.failures, arc4random());
        rest_ms = back_off_ms > rest_ms ? back_off_ms : rest_ms;
    }
    schedule_set_lane(&target->destination, failed ? SCHEDULE_UNPROVEN : SCHEDULE_PROVEN);
    if (rest_ms == 0)
        return;
    rest_ms = rest_ms < REST_MAX_MS ? rest_ms : REST_MAX_MS;
    schedule_rest(&target->destination, queue_now_ms() + rest_ms);
    log_rest(queue, target, rest_ms);
}

static void take_outcomes(struct queue *queue, struct relay_attempt *attempt,
                          const struct relay_result *record,
                          const struct relay_outcome outcomes[RELAY_RECIPIENTS_MAX],
                          struct slice texts)
{
    bool took = false;
    struct slice first_failure = slice_of(NULL, 0);
    for (uint32_t i = 0; i < attempt->count; i++) {
        struct queued_recipient *recipient = attempt->recipients[i];
        struct slice text = slice_range(texts, 0, outcomes[i].text_octets);
        texts = slice_from(texts, text.len);
        took |= outcomes[i].status == RELAY_DONE;
        if (outcomes[i].status == RELAY_TEMPORARY && first_failure.len == 0)
            first_failure = text;
        recipient->deaths = 0;
        recipient->tried = queue_wall_now();
        settle_add(queue, recipient, outcome_of(attempt, recipient, &outcomes[i]), text);
    }
    attempt->target->relay.window = record->window;
    look_at_destination(queue, attempt->target, took, record->wait_ms, first_failure);
}

static bool on_result(void *owner, struct ipc_packet *packet, struct error *error)
{
    struct role_peer *role_peer = owner;
    struct relay_peer *peer = role_peer->data;
    struct queue *queue = queue_of(role_peer);
    const struct relay_result *record = packet->record;
    struct relay_outcome outcomes[RELAY_RECIPIENTS_MAX] = {0};
    struct slice texts;
    if (!parse_outcomes(packet, outcomes, &texts))
        return error_set(error, ERROR_PEER, "malformed result");
    struct relay_attempt *attempt;
    HASH_FIND(hh, queue->relay.attempts, &record->header.request, sizeof(record->header.request),
              attempt);
    if (!attempt)
        return true; /* given up before */
    if (attempt->peer != peer || attempt->id != record->id || attempt->count != record->recipients)
        return error_set(error, ERROR_PEER, "a result of another message");
    take_outcomes(queue, attempt, record, outcomes, texts);
    attempt_ends(queue, attempt);
    if (peer->congested && !ipc_is_congested(&role_peer->channel))
        targets_let_go(queue, &peer->congested);
    queue_wake(queue);
    return true;
}

/* Destinations waiting for it go to another process at once. */
static bool on_leaves(void *owner, struct ipc_packet *packet, struct error *error)
{
    (void)packet;
    (void)error;
    struct role_peer *role_peer = owner;
    struct queue *queue = queue_of(role_peer);
    struct relay_peer *peer = role_peer->data;
    peer->leaves = true;
    targets_let_go(queue, &peer->congested);
    targets_let_go(queue, &peer->suspects);
    return true;
}

const struct ipc_rule dispatch_relay_rules[DISPATCH_RELAY_RULES] = {
    {RELAY_RESULT, sizeof(struct relay_result), IPC_RECORD_MAX, 0, on_result},
    {RELAY_TLS_SESSION, sizeof(struct relay_tls_session) + 1,
     sizeof(struct relay_tls_session) + TLS_SESSION_MAX, 0, tls_reports_on_session},
    {RELAY_TLS_RECORD, sizeof(struct relay_tls_record),
     sizeof(struct relay_tls_record) + TLS_RECORD_URIS_MAX, 0, tls_reports_on_record},
    {RELAY_LEAVES, sizeof(struct ipc_header), sizeof(struct ipc_header), 0, on_leaves},
};

/* ---- relay processes come and go ---- */

bool dispatch_relay_up(struct queue *queue, struct role_peer *role_peer)
{
    struct relay_peer *peer = calloc(1, sizeof(*peer));
    role_peer->data = peer;
    if (!peer)
        return false;
    peer->role_peer = role_peer;
    DL_APPEND(queue->relay.peers, peer);
    queue->relay.peer_count++;
    targets_let_go(queue, &queue->relay.without_relay);
    return true;
}

void dispatch_relay_down(struct queue *queue, struct role_peer *role_peer)
{
    struct relay_peer *peer = role_peer->data;
    if (!peer)
        return;
    role_peer->data = NULL;
    DL_DELETE(queue->relay.peers, peer);
    queue->relay.peer_count--;
    uint8_t suspicion = peer->under_way == 1 ? SUSPICION_ALONE : SUSPICION;
    struct relay_attempt *attempt, *next;
    HASH_ITER (hh, queue->relay.attempts, attempt, next) {
        if (attempt->peer == peer)
            attempt_lost(queue, attempt, suspicion);
    }
    targets_let_go(queue, &peer->congested);
    targets_let_go(queue, &peer->suspects);
    free(peer);
}

/* ---- whose turn it is ---- */

static uint64_t mix(uint64_t x)
{
    x = (x ^ x >> 33) * UINT64_C(0xff51afd7ed558ccd);
    x = (x ^ x >> 33) * UINT64_C(0xc4ceb9fe1a85ec53);
    return x ^ x >> 33;
}

/* A destination keeps its process as long as that lives, whatever others start and end: the one
 * with the greatest hash of both. */
static struct relay_peer *peer_of(const struct queue *queue, const struct queue_target *target)
{
    struct relay_peer *best = NULL, *peer;
    uint64_t most = 0;
    DL_FOREACH (queue->relay.peers, peer) {
        uint64_t weight = mix(target->relay.hash ^ mix(peer->role_peer->number));
        if (!peer->leaves && (!best || weight > most)) {
            best = peer;
            most = weight;
        }
    }
    return best;
}

/* The process for the destination. NULL: the destination was blocked until something changes. */
static struct relay_peer *ready_peer(struct queue *queue, struct queue_target *target)
{
    struct relay_peer *peer = peer_of(queue, target);
    const struct queued_recipient *first =
        (const struct queued_recipient *)schedule_first_of(&target->destination);
    if (target->relay.under_way >= window_of(target))
        schedule_block(&target->destination); /* meanwhile unblocked by something else */
    else if (!peer)
        targets_wait(&queue->relay.without_relay, target);
    else if (ipc_is_congested(&peer->role_peer->channel))
        targets_wait(&peer->congested, target);
    else if (first->deaths > 0 && peer->has_suspect)
        targets_wait(&peer->suspects, target);
    else
        return peer;
    return NULL;
}

/* Destinations not known to accept mail leave a quarter of the room to those that are, so that
 * silent ones never stop the others. */
static bool has_room(const struct queue *queue, enum schedule_lane lane)
{
    const struct dispatch_relay *relays = &queue->relay;
    uint64_t most = (uint64_t)queue->role->config.relay.connections * relays->peer_count;
    uint64_t unproven = relays->under_way[SCHEDULE_UNPROVEN];
    if (relays->octets >= (size_t)OCTETS_MAX * relays->peer_count && relays->peer_count > 0)
        return false;
    if (relays->peer_count == 0)
        return true; /* they are sent to wait for one */
    if (lane == SCHEDULE_UNPROVEN && unproven >= most - most / 4)
        return false;
    return unproven + relays->under_way[SCHEDULE_PROVEN] < most;
}

/* The next destination of both lanes. NULL: none, or no room. */
static struct queue_target *next_target(const struct queue *queue, enum schedule_lane *lane)
{
    const struct schedule *schedule = &queue->queued.schedules[QUEUED_OUTWARD];
    struct schedule_destination *best = NULL;
    for (enum schedule_lane i = 0; i < SCHEDULE_LANES; i++) {
        struct schedule_destination *next = has_room(queue, i) ? schedule_next(schedule, i) : NULL;
        if (!next || (best && best->node.key <= next->node.key))
            continue;
        best = next;
        *lane = i;
    }
    return (struct queue_target *)best;
}

/* The recipient's route no longer exists: it takes the current destination of its address. */
static void aim_anew(struct queue *queue, struct queued_recipient *recipient)
{
    queued_enter(&queue->queued, recipient, QUEUED_UNDER_WAY);
    recipient->resolved = slice_of(NULL, 0);
    settle_add(queue, recipient, OUTCOME_RESOLVED, slice_of(NULL, 0));
}

bool dispatch_relay_run(struct queue *queue, unsigned records)
{
    struct schedule *schedule = &queue->queued.schedules[QUEUED_OUTWARD];
    enum schedule_lane lane = SCHEDULE_PROVEN;
    struct queue_target *target;
    while (records-- > 0 && (target = next_target(queue, &lane))) {
        struct relay_peer *peer = ready_peer(queue, target);
        if (!destination_exists(&queue->role->config, queue_target_name(target)))
            aim_anew(queue, (struct queued_recipient *)schedule_take(schedule, lane));
        else if (peer)
            relay(queue, peer, (struct queued_recipient *)schedule_take(schedule, lane));
    }
    return next_target(queue, &lane) != NULL;
}

void dispatch_relay_tick(struct queue *queue)
{
    uint64_t now_ms = queue_now_ms();
    struct relay_attempt *attempt, *next;
    HASH_ITER (hh, queue->relay.attempts, attempt, next) {
        if (now_ms - attempt->sent_ms >= ATTEMPT_MS)
            attempt_lost(queue, attempt, SUSPICION);
    }
    struct relay_peer *peer;
    DL_FOREACH (queue->relay.peers, peer)
        targets_let_go(queue, &peer->congested);
}

bool dispatch_relay_is_busy(const struct queue *queue)
{
    return queue->relay.attempts != NULL;
}
