/*
 * The role deliver; see deliver.h. Runs as the owner of the mail; its root is the directory tree of
 * an `accounts` section, or one Maildir. Takes records from queue and the master, writes Maildirs.
 */
#include "smtpd/deliver/deliver.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include <utlist.h>

#include "common/disk/fd.h"
#include "common/size.h"
#include "smtpd/deliver/deliver_message.h"
#include "storage/account_directory.h"
#include "storage/maildir_deliver.h"

#define SYNC_FILE "staffetta-sync"

static const double forget_seconds = 10.0;

enum { OWN_FIELDS_MAX = 4096, OUTCOME_TEXT_SIZE = 256 };

/* ---- one recipient ---- */

struct outcome {
    struct deliver_outcome record;
    char text[OUTCOME_TEXT_SIZE];
};

/* What stays the same for all recipients of one message. */
struct delivering {
    struct deliver *deliver;
    const struct deliver_request *request;
    struct slice header; /* where a Delivered-To field could stand */
};

static void conclude(struct outcome *outcome, enum deliver_status status, const char *code,
                     const char *words)
{
    outcome->record.status = (uint16_t)status;
    int length = snprintf(outcome->text, sizeof(outcome->text), "%s %s", code, words);
    size_t octets = length > 0 ? (size_t)length : 0;
    outcome->record.text_octets =
        (uint16_t)(octets < sizeof(outcome->text) ? octets : sizeof(outcome->text) - 1);
}

/* Whatever storage could not do now, it may do later: queue's schedule ends it. */
static void conclude_failed(struct outcome *outcome, const struct error *error)
{
    const char *code = "4.3.0";
    if (error->code == EDQUOT)
        code = "4.2.2";
    else if (error->code == ENOSPC)
        code = "4.3.1";
    conclude(outcome, DELIVER_TEMPORARY, code, error->text);
}

static bool has_room(const struct deliver_home *home, uint64_t octets, struct outcome *outcome)
{
    struct quota_usage usage;
    struct error error;
    bool fits;
    if (!quota_is_set(&home->quota))
        return true;
    if (!quota_check(&home->inbox, &home->quota, time(NULL), octets, &usage, &fits, &error)) {
        conclude_failed(outcome, &error);
        return false;
    }
    if (fits) {
        usage.octets += (int64_t)octets;
        usage.messages++;
        outcome->record.full = !quota_has_room(&home->quota, &usage, 0);
        return true;
    }
    outcome->record.full = !quota_has_room(&home->quota, &usage, 0);
    conclude(outcome, DELIVER_TEMPORARY, "4.2.2", "mailbox is full");
    return false;
}

static void announce_later(struct deliver *deliver, struct deliver_home *home)
{
    if (!home->watched || home->changed)
        return;
    home->changed = true;
    LL_PREPEND2(deliver->changed, home, next_changed);
    turn_defer(&deliver->turn, &deliver->announce);
}

/* True if there was an earlier try, and *outcome says what became of it. It is looked for in all
 * folders. */
static bool settle_earlier_try(const struct delivering *delivering, struct deliver_home *home,
                               const struct maildir_delivery *delivery, struct outcome *outcome)
{
    struct maildir_target target = {&home->inbox, &home->inbox, MAILDIR_INBOX, &home->find};
    struct deliver *deliver = delivering->deliver;
    enum maildir_delivered found;
    struct error error;
    if (!ev_is_active(&deliver->forget)) {
        ev_timer_set(&deliver->forget, forget_seconds, 0.);
        ev_timer_start(deliver->role->loop, &deliver->forget);
    }
    if (!maildir_deliver_again(&target, delivery, &found, &error)) {
        if (error.kind == ERROR_NOT_FOUND)
            return false;
        conclude_failed(outcome, &error);
        return true;
    }
    if (found == MAILDIR_GONE) {
        conclude(outcome, DELIVER_GONE, "2.1.5", "was delivered, and removed since");
        return true;
    }
    conclude(outcome, DELIVER_DONE, "2.1.5", "was delivered by an earlier try");
    announce_later(deliver, home); /* that try may have died before it said so */
    return true;
}

static bool write_message(const struct delivering *delivering, struct deliver_home *home,
                          const struct maildir_delivery *delivery, struct error *error)
{
    struct maildir_target target = {&home->inbox, &home->inbox, MAILDIR_INBOX, &home->find};
    if (maildir_deliver(&target, delivery, error))
        return true;
    if (error->kind != ERROR_NOT_FOUND)
        return false;
    /* The directories that were open are no more: the account was removed, perhaps made again. */
    deliver_home_close(&delivering->deliver->homes, home);
    return deliver_home_open(&delivering->deliver->homes, home, error)
           && maildir_deliver(&target, delivery, error);
}

/* The message is there: a count that could not be kept is made good by the next recount. */
static void count_quota(const struct delivering *delivering, const struct deliver_home *home,
                        uint64_t octets)
{
    struct error error;
    if (quota_is_set(&home->quota) && !quota_add(&home->inbox, (int64_t)octets, 1, &error))
        LOG(&delivering->deliver->role->log, LOG_WARNING, "quota_not_counted",
            log_text("account", home->account), log_failure(&error));
}

static void deliver_new(const struct delivering *delivering, struct deliver_home *home,
                        const struct maildir_delivery *delivery, struct outcome *outcome)
{
    struct error error;
    uint64_t octets = pieces_octets(delivery->pieces, delivery->piece_count);
    if (!has_room(home, octets, outcome))
        return;
    if (!write_message(delivering, home, delivery, &error)) {
        conclude_failed(outcome, &error);
        return;
    }
    count_quota(delivering, home, octets);
    conclude(outcome, DELIVER_DONE, "2.1.5", "delivered");
    announce_later(delivering->deliver, home);
}

static void deliver_to_home(const struct delivering *delivering, struct deliver_home *home,
                            const struct deliver_recipient *recipient, struct slice address,
                            struct outcome *outcome)
{
    const struct deliver_request *request = delivering->request;
    struct deliver_message_pieces message;
    struct buffer own = BUFFER_WITH_LIMIT(OWN_FIELDS_MAX);
    deliver_own_fields(request, address, &own);
    if (own.failed) {
        conclude(outcome, DELIVER_TEMPORARY, "4.3.0", "no memory for the header");
        return;
    }
    deliver_make_pieces(request, buffer_slice(&own), &message);
    struct maildir_delivery delivery = {
        .arrival = request->arrival,
        .queue_id = request->id_text,
        .recipient = recipient->number,
        .host = slice_of_string(delivering->deliver->role->config.hostname),
        .pieces = message.pieces,
        .piece_count = message.count,
        .flush = home->needs_flush,
    };
    outcome->record.flushed = delivery.flush;
    if (!(recipient->flags & DELIVER_AGAIN)
        || !settle_earlier_try(delivering, home, &delivery, outcome))
        deliver_new(delivering, home, &delivery, outcome);
    buffer_clear(&own);
}

/* ---- copies for who submitted a message ---- */

static void announce_sent(const struct deliver *deliver, const struct deliver_home *home)
{
    struct master_changed record = {.header = {.type = MASTER_CHANGED}, .handle = home->handle};
    if (home->watched)
        role_tell_master(deliver->role, &record.header, sizeof(record),
                         slice_of_string(home->sent));
}

static void write_copy(const struct delivering *delivering, struct deliver_home *home,
                       const struct maildir *box, const struct maildir_delivery *delivery,
                       struct outcome *outcome)
{
    struct error error;
    const struct maildir_target target = {&home->inbox, box, home->sent, &home->find};
    uint64_t octets = pieces_octets(delivery->pieces, delivery->piece_count);
    if (!has_room(home, octets, outcome))
        return;
    if (!maildir_deliver(&target, delivery, &error)
        || !maildir_is_still(home->inbox.fd, home->sent, box, &error)) {
        conclude_failed(outcome, &error); /* found by the next try, wherever it is by now */
        return;
    }
    count_quota(delivering, home, octets);
    conclude(outcome, DELIVER_DONE, "2.1.5", "filed");
    announce_sent(delivering->deliver, home);
}

/* In new/ as any delivery, so that no process has to read cur/ again, but with its flag: a process
 * that takes it to cur/ keeps that. */
static void file_copy(const struct delivering *delivering, struct deliver_home *home,
                      const struct deliver_recipient *recipient, struct outcome *outcome)
{
    const struct deliver_request *request = delivering->request;
    struct deliver_message_pieces message;
    struct maildir box;
    struct error error;
    bool needs_flush;
    if (!deliver_home_open_sent(&delivering->deliver->homes, home, &box, &needs_flush, &error)) {
        if (error.kind == ERROR_NOT_FOUND)
            conclude(outcome, DELIVER_GONE, "2.1.5", "no mailbox has the use \\Sent");
        else
            conclude_failed(outcome, &error);
        return;
    }
    deliver_make_copy_pieces(request, &message);
    const struct maildir_delivery delivery = {
        .arrival = request->arrival,
        .queue_id = request->id_text,
        .recipient = recipient->number,
        .host = slice_of_string(delivering->deliver->role->config.hostname),
        .flags = MAILDIR_SEEN,
        .pieces = message.pieces,
        .piece_count = message.count,
        .flush = needs_flush,
    };
    outcome->record.flushed = needs_flush;
    if (!(recipient->flags & DELIVER_AGAIN)
        || !settle_earlier_try(delivering, home, &delivery, outcome))
        write_copy(delivering, home, &box, &delivery, outcome);
    maildir_close(&box);
}

/* ---- all of them ---- */

static const char *event_of(const struct deliver_recipient *recipient, bool done)
{
    if (recipient->flags & DELIVER_COPY)
        return done ? "copy_filed" : "copy_not_filed";
    return done ? "delivered" : "not_delivered";
}

static void log_outcome(const struct delivering *delivering, const struct deliver_home *home,
                        const struct deliver_recipient *recipient, struct slice address,
                        const struct outcome *outcome)
{
    bool done = outcome->record.status == DELIVER_DONE || outcome->record.status == DELIVER_GONE;
    LOG(&delivering->deliver->role->log, done ? LOG_INFO : LOG_WARNING, event_of(recipient, done),
        log_id("queue_id", delivering->request->id_text),
        log_text("account", home ? home->account : ""), log_bytes("to", address),
        log_number("delay_s", time(NULL) - delivering->request->arrival),
        log_text("result", outcome->text));
}

/* The master tells us the home before it tells the queue the handle, but over another channel. */
static struct deliver_home *find_home(struct deliver *deliver, uint64_t handle)
{
    struct deliver_home *home = deliver_homes_find(&deliver->homes, handle);
    if (!home) {
        role_hear_master(deliver->role);
        home = deliver_homes_find(&deliver->homes, handle);
    }
    return home;
}

static void deliver_one(const struct delivering *delivering,
                        const struct deliver_recipient *recipient, struct slice address,
                        struct outcome *outcome)
{
    struct deliver *deliver = delivering->deliver;
    struct deliver_home *home = find_home(deliver, recipient->handle);
    bool is_copy = (recipient->flags & DELIVER_COPY) != 0;
    struct error error;
    *outcome = (struct outcome){.text = ""};
    if (!home)
        conclude(outcome, DELIVER_TEMPORARY, "4.3.0", "account is not known to this process");
    else if (!is_copy && deliver_was_here(delivering->header, address))
        conclude(outcome, DELIVER_PERMANENT, "5.4.6", "mail loop: it was delivered here before");
    else if (!deliver_home_open(&deliver->homes, home, &error))
        conclude_failed(outcome, &error);
    else if (is_copy)
        file_copy(delivering, home, recipient, outcome);
    else
        deliver_to_home(delivering, home, recipient, address, outcome);
    log_outcome(delivering, home, recipient, address, outcome);
}

/* ---- one message ---- */

static bool send_result(struct role_peer *queue, const struct ipc_packet *question,
                        const struct deliver_request *request, const struct outcome *outcomes,
                        struct error *error)
{
    struct deliver_result result = {
        .header = {.type = DELIVER_RESULT, .request = ipc_packet_header(question)->request},
        .id = request->id,
        .recipients = (uint32_t)request->recipient_count,
    };
    struct buffer tail = BUFFER_WITH_LIMIT(DELIVER_RECIPIENTS_MAX * sizeof(struct outcome));
    for (size_t i = 0; i < request->recipient_count; i++)
        buffer_append(&tail, slice_of(&outcomes[i].record, sizeof(outcomes[i].record)));
    for (size_t i = 0; i < request->recipient_count; i++)
        buffer_append(&tail, slice_of(outcomes[i].text, outcomes[i].record.text_octets));
    bool sent = tail.failed ? error_memory(error)
                            : ipc_send_record(&queue->channel, &result.header, sizeof(result),
                                              buffer_slice(&tail), error);
    buffer_clear(&tail);
    return sent;
}

static void deliver_all(struct deliver *deliver, const struct deliver_request *request,
                        struct outcome *outcomes)
{
    struct delivering delivering = {deliver, request, {NULL, 0}};
    struct buffer header =
        BUFFER_WITH_LIMIT((size_t)deliver->role->config.limits.header_size_octets);
    struct slice addresses = request->addresses;
    struct error error;
    bool readable = deliver_read_header(request, &header, &delivering.header, &error);
    for (size_t i = 0; i < request->recipient_count; i++) {
        const struct deliver_recipient *recipient = &request->recipients[i];
        struct slice address = slice_range(addresses, 0, recipient->address_octets);
        addresses = slice_from(addresses, recipient->address_octets);
        outcomes[i] = (struct outcome){.text = ""};
        if (readable)
            deliver_one(&delivering, recipient, address, &outcomes[i]);
        else
            conclude_failed(&outcomes[i], &error);
    }
    buffer_clear(&header);
}

static bool on_any_message(struct role_peer *queue, const struct ipc_packet *packet, int body_fd,
                           struct error *error)
{
    struct deliver *deliver = queue->role->state;
    struct deliver_request request;
    struct outcome outcomes[DELIVER_RECIPIENTS_MAX];
    if (!deliver_request_parse(slice_of(packet->record, packet->length), body_fd, &request, error))
        return false;
    deliver_all(deliver, &request, outcomes);
    deliver->messages++;
    ev_timer_again(deliver->role->loop, &deliver->idle);
    return send_result(queue, packet, &request, outcomes, error);
}

static bool on_message(void *owner, struct ipc_packet *packet, struct error *error)
{
    return on_any_message(owner, packet, -1, error);
}

static bool on_message_file(void *owner, struct ipc_packet *packet, struct error *error)
{
    return on_any_message(owner, packet, packet->descriptors[0], error);
}

/* ---- what the master says ---- */

static bool on_home(void *owner, struct ipc_packet *packet, struct error *error)
{
    struct role *role = owner;
    struct deliver *deliver = role->state;
    const struct role_home *record = packet->record;
    deliver->homes_told++;
    return deliver_homes_set(&deliver->homes, record, ipc_packet_tail(packet, sizeof(*record)),
                             error);
}

static bool on_watched(void *owner, struct ipc_packet *packet, struct error *error)
{
    (void)error;
    struct role *role = owner;
    struct deliver *deliver = role->state;
    const struct role_watched *record = packet->record;
    struct deliver_home *home = deliver_homes_find(&deliver->homes, record->handle);
    if (home)
        home->watched = record->watched != 0;
    return true;
}

/* ---- what the process does by itself ---- */

static void announce(struct deferred *deferred)
{
    struct deliver *deliver =
        (struct deliver *)((char *)deferred - offsetof(struct deliver, announce));
    while (deliver->changed) {
        struct deliver_home *home = deliver->changed;
        struct master_changed record = {.header = {.type = MASTER_CHANGED}, .handle = home->handle};
        LL_DELETE2(deliver->changed, home, next_changed);
        home->changed = false;
        role_tell_master(deliver->role, &record.header, sizeof(record), slice_of(NULL, 0));
    }
}

static void on_idle(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    struct deliver *deliver = timer->data;
    struct ipc_header idle = {.type = MASTER_IDLE, .request = deliver->homes_told};
    deliver_homes_close(&deliver->homes);
    role_tell_master(deliver->role, &idle, sizeof(idle), slice_of(NULL, 0));
}

static void on_forget(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    struct deliver *deliver = timer->data;
    deliver_homes_forget(&deliver->homes);
}

/* ---- birth ---- */

static struct role_file *find_place(struct role *role)
{
    for (size_t i = 0; i < role->file_count; i++)
        if (role->files[i].purpose == DESCRIPTOR_PLACE && role->files[i].fd >= 0)
            return &role->files[i];
    return NULL;
}

/* Before the sandbox: opens the future root directory. A system user's process serves only him,
 * so that is his Maildir. */
static bool prepare(struct role *role, struct error *error)
{
    struct deliver *deliver = role->state;
    struct role_file *place = find_place(role);
    if (!place)
        return error_set(error, ERROR_PERMANENT, "no place was given");
    deliver->homes.is_system = place->index == PLACE_FILESYSTEM;
    if (!deliver->homes.is_system) {
        role->root_fd = role_take_file(role, DESCRIPTOR_PLACE, place->index);
        return true;
    }
    const struct deliver_home *home = deliver->homes.table;
    if (!home)
        return error_set(error, ERROR_PERMANENT, "no account was given");
    snprintf(deliver->homes.system_path, sizeof(deliver->homes.system_path), "%s", home->path);
    return account_directory_open_system(place->fd, home->path, &role->root_fd, error);
}

/* A file that nobody can find, for queue to call syncfs on. */
static bool open_sync_file(struct deliver *deliver, struct error *error)
{
    int root_fd = deliver->homes.root_fd;
    if (deliver->fs.tmpfile) {
        deliver->sync_fd = openat(root_fd, ".", O_TMPFILE | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
    } else {
        deliver->sync_fd =
            openat(root_fd, SYNC_FILE, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
        unlinkat(root_fd, SYNC_FILE, 0); /* harmless if it remains */
    }
    return deliver->sync_fd >= 0 || error_errno(error, "make the file for syncfs");
}

static bool start(struct role *role, struct error *error)
{
    struct deliver *deliver = role->state;
    struct stat status;
    deliver->role = role;
    deliver->homes.root_fd = role->root_fd;
    if (!file_system_probe(role->root_fd, &deliver->fs, error) || !open_sync_file(deliver, error))
        return false;
    if (fstat(deliver->sync_fd, &status) != 0)
        return error_errno(error, "look at the file for syncfs");
    deliver->homes.device = status.st_dev;
    deliver->homes.flush_each = !deliver->fs.syncfs;
    turn_init(&deliver->turn, role->loop);
    deliver->announce = (struct deferred){.run = announce};
    double linger = (double)role->config.timeouts.linger_ms / 1000.0;
    ev_timer_init(&deliver->idle, on_idle, linger, linger);
    deliver->idle.data = deliver;
    ev_timer_start(role->loop, &deliver->idle);
    ev_timer_init(&deliver->forget, on_forget, forget_seconds, 0.);
    deliver->forget.data = deliver;
    LOG(&role->log, LOG_DEBUG, "deliver_started", log_text("file_system", deliver->fs.name),
        log_number("syncfs", deliver->fs.syncfs));
    return true;
}

/* Each queue process gets the file before its first result. */
static void peer_up(struct role_peer *peer)
{
    const struct deliver *deliver = peer->role->state;
    struct deliver_sync record = {.header = {.type = DELIVER_SYNC}, .trusted = deliver->fs.syncfs};
    struct ipc_message message = {.head = &record.header,
                                  .head_octets = sizeof(record),
                                  .descriptors = &deliver->sync_fd,
                                  .descriptor_count = 1};
    struct error error;
    if (!ipc_send(&peer->channel, &message, &error))
        LOG(&peer->role->log, LOG_ERROR, "no_sync_file_sent", log_failure(&error));
}

static void count(struct role *role, struct role_counts *counts)
{
    const struct deliver *deliver = role->state;
    counts->sessions = deliver->messages;
}

static const struct ipc_rule from_queue[] = {
    {DELIVER_MESSAGE, sizeof(struct deliver_message), IPC_RECORD_MAX, 0, on_message},
    {DELIVER_MESSAGE_FILE, sizeof(struct deliver_message), IPC_RECORD_MAX, 1, on_message_file},
};

static const struct role_link links[] = {
    {ROLE_QUEUE, from_queue, ARRAY_LENGTH(from_queue)},
};

enum { HOME_TEXTS_MAX = MASTER_ACCOUNT_MAX + MASTER_PATH_MAX };

static const struct ipc_rule orders[] = {
    {ROLE_HOME, sizeof(struct role_home), sizeof(struct role_home) + HOME_TEXTS_MAX, 0, on_home},
    {ROLE_WATCHED, sizeof(struct role_watched), sizeof(struct role_watched), 0, on_watched},
};

const struct role_spec deliver_role = {
    .sandbox = {.calls = SANDBOX_FILES, .files = SANDBOX_WRITE_FILES},
    .links = links,
    .link_count = ARRAY_LENGTH(links),
    .orders = orders,
    .order_count = ARRAY_LENGTH(orders),
    .prepare = prepare,
    .start = start,
    .peer_up = peer_up,
    .count = count,
};
