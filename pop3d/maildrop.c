/*
 * The role maildrop: start, handoff of the client, end; see maildrop.h. Runs under the mail owner's
 * uid, with the Maildir as its root, where it reads and removes messages; serves one client.
 */
#include "pop3d/maildrop.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "common/disk/fd.h"
#include "common/role/handoff.h"
#include "common/size.h"
#include "storage/account_directory.h"
#include "storage/expunged.h"

static const double patience_seconds = 10.0; /* a login process says at once what it has to say */

void maildrop_init(struct maildrop *maildrop)
{
    *maildrop = (struct maildrop){.inbox = MAILDIR_CLOSED,
                                  .lock_fd = -1,
                                  .sender = MAILDROP_SENDER_IDLE,
                                  .stream = {.fd = -1}};
    maildrop_list_init(&maildrop->list, &maildrop->inbox);
}

/* ---- the end ---- */

void maildrop_tell_idle(struct maildrop *maildrop)
{
    /* One session was given, ever. */
    struct ipc_header idle = {.type = MASTER_IDLE, .request = 1};
    if (maildrop->idle_told)
        return;
    maildrop->idle_told = true;
    fd_discard(&maildrop->lock_fd);
    role_tell_master(maildrop->role, &idle, sizeof(idle), slice_of(NULL, 0));
}

/* For users who never use IMAP, no other process does this. */
static void sweep_expunged(struct maildrop *maildrop)
{
    struct expunged_limits limits = expunged_limits_of(&maildrop->role->config.undo);
    struct expunged_sweep sweep;
    struct error error;
    const char *folder;
    int64_t now = time(NULL);
    bool kept = maildrop->updated.removed > 0 && limits.seconds > 0;
    if (!kept && !expunged_sweep_is_due(maildrop->inbox.fd, &limits, now))
        return;
    if (!expunged_sweep_begin(&sweep, maildrop->inbox.fd, &limits, now, &error)) {
        LOG(&maildrop->role->log, LOG_ERROR, "expunged_not_swept", log_failure(&error));
        return;
    }
    while (expunged_sweep_step(&sweep, &maildrop->inbox, &folder))
        ;
    expunged_sweep_clear(&sweep);
}

void maildrop_leave(struct maildrop *maildrop, const char *reason)
{
    LOG(&maildrop->role->log, LOG_INFO, "pop3_ended", log_hex("session", maildrop->session),
        log_text("account", maildrop->account), log_text("reason", reason),
        log_number("retrieved", (int64_t)maildrop->retrieved),
        log_number("removed", (int64_t)maildrop->updated.removed),
        log_number("octets_out", (int64_t)maildrop->stream.octets_out));
    stream_clear(&maildrop->stream);
    maildrop_sender_close(&maildrop->sender);
    maildrop_list_clear(&maildrop->list);
    maildrop_tell_idle(maildrop);
    maildrop_updated_release(&maildrop->updated);
    sweep_expunged(maildrop);
    role_exit(maildrop->role);
}

/* ---- the entrance ---- */

struct maildrop_entrance {
    int fd; /* to the login role */
    ev_io readable;
    ev_timer late;
    struct handoff_parcel received;
    size_t got;
    uint8_t octets[HANDOFF_BUFFER];
};

static void close_entrance(struct maildrop *maildrop)
{
    struct maildrop_entrance *entrance = maildrop->entrance;
    if (!entrance)
        return;
    ev_io_stop(maildrop->role->loop, &entrance->readable);
    ev_timer_stop(maildrop->role->loop, &entrance->late);
    fd_discard(&entrance->fd);
    fd_discard(&entrance->received.client_fd);
    free(entrance);
    maildrop->entrance = NULL;
}

static void give_up(struct maildrop *maildrop, const struct error *error)
{
    LOG(&maildrop->role->log, LOG_ERROR, "client_not_taken", log_hex("session", maildrop->session),
        log_failure(error));
    close_entrance(maildrop);
    maildrop_tell_idle(maildrop);
    role_exit(maildrop->role);
}

/* If a descriptor was passed, it is the client's own socket, and the one to the login process is no
 * longer needed. */
static void let_in(struct maildrop *maildrop)
{
    struct maildrop_entrance *entrance = maildrop->entrance;
    struct error error;
    int *from = entrance->received.client_fd >= 0 ? &entrance->received.client_fd : &entrance->fd;
    ev_io_stop(maildrop->role->loop, &entrance->readable);
    if (!fd_set_nonblocking(*from, &error)) {
        give_up(maildrop, &error);
        return;
    }
    int fd = *from;
    *from = -1;
    maildrop_session_begin(maildrop, fd, entrance->received.input);
    close_entrance(maildrop);
}

static void on_handoff(struct ev_loop *loop, ev_io *watcher, int events)
{
    (void)loop;
    (void)events;
    struct maildrop *maildrop = watcher->data;
    struct maildrop_entrance *entrance = maildrop->entrance;
    struct error error;
    switch (handoff_receive(entrance->fd, entrance->octets, &entrance->got, &entrance->received,
                            &error)) {
    case HANDOFF_DONE:
        let_in(maildrop);
        break;
    case HANDOFF_MORE:
        break;
    case HANDOFF_BAD:
        give_up(maildrop, &error);
        break;
    }
}

static void on_late(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    struct error error;
    error_set(&error, ERROR_PEER, "nothing was handed over in time");
    give_up(timer->data, &error);
}

static bool on_session(void *owner, struct ipc_packet *packet, struct error *error)
{
    struct role *role = owner;
    struct maildrop *maildrop = role->state;
    const struct role_session *record = packet->record;
    if (maildrop->entrance || maildrop->state != MAILDROP_AWAITED)
        return error_set(error, ERROR_PEER, "a second session for one maildrop");
    struct maildrop_entrance *entrance = malloc(sizeof(*entrance));
    if (!entrance)
        return error_memory(error);
    entrance->fd = ipc_packet_take(packet, 0);
    entrance->got = 0;
    entrance->received = (struct handoff_parcel){.client_fd = -1};
    ev_io_init(&entrance->readable, on_handoff, entrance->fd, EV_READ);
    ev_timer_init(&entrance->late, on_late, patience_seconds, 0.0);
    entrance->readable.data = entrance->late.data = maildrop;
    ev_io_start(role->loop, &entrance->readable);
    ev_timer_start(role->loop, &entrance->late);
    maildrop->entrance = entrance;
    maildrop->session = record->pass.client.session;
    return true;
}

/* ---- birth ---- */

enum { DAY_MS = 24 * 60 * 60 * 1000 };

/* What the account has of its own goes before the configuration, which is this process's alone. */
static void take_retrieved(struct config_pop3 *config, uint32_t retrieved)
{
    if (retrieved == RETRIEVED_AS_CONFIGURED)
        return;
    config->delete_after_retrieval = retrieved >= RETRIEVED_REMOVED;
    config->keep_ms =
        retrieved > RETRIEVED_REMOVED ? (uint64_t)(retrieved - RETRIEVED_REMOVED) * DAY_MS : 0;
}

static bool on_home(void *owner, struct ipc_packet *packet, struct error *error)
{
    struct role *role = owner;
    struct maildrop *maildrop = role->state;
    const struct role_home *record = packet->record;
    struct slice texts = ipc_packet_tail(packet, sizeof(*record));
    struct slice account = slice_range(texts, 0, record->home.account_octets);
    struct slice path = slice_from(texts, record->home.account_octets);
    if (account.len > MASTER_ACCOUNT_MAX || path.len > MASTER_PATH_MAX
        || path.len != record->home.path_octets)
        return error_set(error, ERROR_PEER, "home record is malformed");
    snprintf(maildrop->account, sizeof(maildrop->account), "%.*s", SLICE_PRINTF(account));
    snprintf(maildrop->path, sizeof(maildrop->path), "%.*s", SLICE_PRINTF(path));
    take_retrieved(&role->config.pop3, record->home.retrieved);
    return true;
}

/* Outside the walls: the account's Maildir becomes the root. */
static bool prepare(struct role *role, struct error *error)
{
    struct maildrop *maildrop = role->state;
    for (size_t i = 0; i < role->file_count; i++) {
        const struct role_file *file = &role->files[i];
        if (file->purpose != DESCRIPTOR_PLACE)
            continue;
        bool is_system = file->index == PLACE_FILESYSTEM;
        bool opened =
            is_system
                ? account_directory_open_system(file->fd, maildrop->path, &role->root_fd, error)
                : account_directory_open(file->fd, maildrop->path, &role->root_fd, error);
        /* The place holds the mail of others. */
        int place_fd = role_take_file(role, DESCRIPTOR_PLACE, file->index);
        fd_discard(&place_fd);
        return opened;
    }
    return error_set(error, ERROR_PERMANENT, "no place was given");
}

static bool start(struct role *role, struct error *error)
{
    struct maildrop *maildrop = role->state;
    maildrop->role = role;
    turn_init(&maildrop->turn, role->loop);
    return maildir_open_inbox(role->root_fd, &maildrop->inbox, error);
}

static void stop(struct role *role)
{
    maildrop_session_stop(role->state);
}

static void count(struct role *role, struct role_counts *counts)
{
    const struct maildrop *maildrop = role->state;
    counts->sessions = maildrop->state != MAILDROP_AWAITED;
}

enum { HOME_TEXTS_MAX = MASTER_ACCOUNT_MAX + MASTER_PATH_MAX };

static const struct ipc_rule orders[] = {
    {ROLE_HOME, sizeof(struct role_home), sizeof(struct role_home) + HOME_TEXTS_MAX, 0, on_home},
    {ROLE_SESSION, sizeof(struct role_session), sizeof(struct role_session), 1, on_session},
};

const struct role_spec maildrop_role = {
    .sandbox = {.calls = SANDBOX_FILES | SANDBOX_SENDFILE, .files = SANDBOX_WRITE_FILES},
    .orders = orders,
    .order_count = ARRAY_LENGTH(orders),
    .prepare = prepare,
    .start = start,
    .stop = stop,
    .count = count,
};
