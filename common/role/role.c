/*
 * From the start of a role to its end; see role.h. Runs in every process but the master and the
 * command.
 *
 *   start ──ROLE_GO──> prepare() ─> sandbox ─> start() ─> MASTER_READY ─> loop ─> end
 */
#include "common/role/role.h"

#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdalign.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <utlist.h>

#include "common/disk/fd.h"

enum { BIRTH_TIMEOUT_MS = 10000 };

/* --- Peers ----------------------------------------------------------------------------------- */

static const struct role_link *find_link(const struct role *role, enum role_kind kind)
{
    for (size_t i = 0; i < role->spec->link_count; i++)
        if (role->spec->links[i].kind == kind)
            return &role->spec->links[i];
    return NULL;
}

struct role_peer *role_find_peer(struct role *role, enum role_kind kind)
{
    struct role_peer *peer;
    DL_FOREACH (role->peers, peer)
        if (peer->kind == kind && ipc_is_open(&peer->channel))
            return peer;
    return NULL;
}

struct role_peer *role_find_peer_number(struct role *role, enum role_kind kind, uint32_t number)
{
    struct role_peer *peer;
    DL_FOREACH (role->peers, peer)
        if (peer->kind == kind && peer->number == number && ipc_is_open(&peer->channel))
            return peer;
    return NULL;
}

struct role_peer *role_next_peer(struct role_peer *peer)
{
    for (struct role_peer *other = peer->next; other; other = other->next)
        if (other->kind == peer->kind && ipc_is_open(&other->channel))
            return other;
    return role_find_peer(peer->role, peer->kind);
}

static void tell_hostile(struct role_peer *peer)
{
    struct master_hostile record = {
        .header = {.type = MASTER_HOSTILE}, .kind = peer->kind, .number = peer->number};
    role_tell_master(peer->role, &record.header, sizeof(record), slice_of(NULL, 0));
}

static void on_peer_closed(void *owner, struct ipc_channel *channel, const struct error *error)
{
    (void)channel;
    struct role_peer *peer = owner;
    struct role *role = peer->role;
    if (error->kind == ERROR_PEER) {
        LOG(&role->log, LOG_ERROR, "hostile_peer", log_text("peer", role_kind_name(peer->kind)),
            log_number("number", peer->number), log_failure(error));
        tell_hostile(peer);
    }
    DL_DELETE(role->peers, peer);
    if (role->spec->peer_down)
        role->spec->peer_down(peer);
    free(peer);
}

static bool add_peer(struct role *role, const struct role_peer_record *record, int fd,
                     struct error *error)
{
    const struct role_link *link = find_link(role, record->kind);
    if (!link) {
        fd_discard(&fd);
        return error_set(error, ERROR_PEER, "unexpected peer of kind %u", record->kind);
    }
    struct role_peer *peer = calloc(1, sizeof(*peer));
    if (!peer) {
        fd_discard(&fd);
        return error_memory(error);
    }
    peer->role = role;
    peer->kind = record->kind;
    peer->number = record->number;
    ipc_open(&peer->channel, role->loop, fd);
    ipc_set_rules(&peer->channel, link->rules, link->count);
    ipc_set_owner(&peer->channel, peer, on_peer_closed);
    DL_APPEND(role->peers, peer);
    return true;
}

/* --- Files and configuration ----------------------------------------------------------------- */

int role_take_file(struct role *role, enum descriptor_purpose purpose, uint32_t index)
{
    for (size_t i = 0; i < role->file_count; i++) {
        struct role_file *file = &role->files[i];
        if (file->fd < 0 || file->purpose != purpose || file->index != index)
            continue;
        int fd = file->fd;
        file->fd = -1;
        return fd;
    }
    return -1;
}

static void forget_files(struct role *role)
{
    for (size_t i = 0; i < role->file_count; i++)
        fd_discard(&role->files[i].fd);
    role->file_count = 0;
}

static bool add_file(struct role *role, const struct role_descriptor *record, int fd,
                     struct error *error)
{
    if (role->file_count == ROLE_FILES_MAX) {
        fd_discard(&fd);
        return error_set(error, ERROR_PEER, "too many descriptors");
    }
    role->files[role->file_count++] =
        (struct role_file){.purpose = record->purpose, .index = record->index, .fd = fd};
    return true;
}

/* The text was checked before anything started; a mistake here is a fault of ours. */
static bool read_config(struct role *role, int fd, struct error *error)
{
    struct config config = {0};
    struct config_mistakes mistakes = {0};
    bool parsed = config_parse_fd(fd, &config, &mistakes);
    if (parsed) {
        config_clear(&role->previous);
        role->previous = role->config;
        role->config = config;
    } else {
        error_set(error, ERROR_PERMANENT, "configuration: %s",
                  mistakes.count ? mistakes.items[0].text : "not readable");
        config_clear(&config);
    }
    config_mistakes_clear(&mistakes);
    return parsed;
}

/* --- Orders of the master -------------------------------------------------------------------- */

void role_hear_master(struct role *role)
{
    if (ipc_is_open(&role->master))
        ev_invoke(role->loop, &role->master.readable, EV_READ);
}

bool role_tell_master(struct role *role, struct ipc_header *head, size_t head_octets,
                      struct slice tail)
{
    return ipc_send_record(&role->master, head, head_octets, tail, NULL);
}

void role_exit(struct role *role)
{
    ev_break(role->loop, EVBREAK_ALL);
}

static bool on_descriptor(void *owner, struct ipc_packet *packet, struct error *error)
{
    return add_file(owner, packet->record, ipc_packet_take(packet, 0), error);
}

static bool on_peer(void *owner, struct ipc_packet *packet, struct error *error)
{
    struct role *role = owner;
    if (!add_peer(role, packet->record, ipc_packet_take(packet, 0), error))
        return false;
    if (role->spec->peer_up)
        role->spec->peer_up(role->peers->prev); /* utlist: the head's prev is the tail */
    return true;
}

static bool on_journal_line(void *owner, struct ipc_packet *packet, struct error *error)
{
    (void)error;
    struct role *role = owner;
    int fd = ipc_packet_take(packet, 0);
    int old = role->log.fd;
    role->log.fd = fd;
    fd_discard(&old);
    return true;
}

static bool on_reload(void *owner, struct ipc_packet *packet, struct error *error)
{
    struct role *role = owner;
    const struct role_reload *record = packet->record;
    forget_files(role);
    role->configuration = record->configuration;
    return read_config(role, packet->descriptors[0], error);
}

static bool on_count(void *owner, struct ipc_packet *packet, struct error *error)
{
    (void)error;
    struct role *role = owner;
    struct role_counts counts = {0};
    if (role->spec->count)
        role->spec->count(role, &counts);
    struct master_counts answer = {
        .header = {.type = MASTER_COUNTS, .request = ipc_packet_header(packet)->request},
        .sessions = counts.sessions,
        .queued = counts.queued,
        .held = counts.held,
        .configuration = role->configuration};
    role_tell_master(role, &answer.header, sizeof(answer), slice_of(NULL, 0));
    return true;
}

/* What we say to the master from here on rests on the new configuration: it is told so. */
static bool on_go(void *owner, struct ipc_packet *packet, struct error *error)
{
    struct role *role = owner;
    if (role->spec->reload)
        role->spec->reload(role);
    config_clear(&role->previous);
    return on_count(role, packet, error);
}

static bool on_stop(void *owner, struct ipc_packet *packet, struct error *error)
{
    (void)error;
    struct role *role = owner;
    role->stopping = true;
    role->server_stops = ipc_packet_header(packet)->request == 1;
    if (role->spec->stop)
        role->spec->stop(role);
    else
        role_exit(role);
    return true;
}

static const struct ipc_rule common_orders[] = {
    {ROLE_DESCRIPTOR, sizeof(struct role_descriptor), sizeof(struct role_descriptor), 1,
     on_descriptor},
    {ROLE_PEER, sizeof(struct role_peer_record), sizeof(struct role_peer_record), 1, on_peer},
    {ROLE_JOURNAL_LINE, sizeof(struct ipc_header), sizeof(struct ipc_header), 1, on_journal_line},
    {ROLE_RELOAD, sizeof(struct role_reload), sizeof(struct role_reload), 1, on_reload},
    {ROLE_GO, sizeof(struct ipc_header), sizeof(struct ipc_header), 0, on_go},
    {ROLE_STOP, sizeof(struct ipc_header), sizeof(struct ipc_header), 0, on_stop},
    {ROLE_COUNT, sizeof(struct ipc_header), sizeof(struct ipc_header), 0, on_count},
};

enum { COMMON_ORDERS = sizeof(common_orders) / sizeof(common_orders[0]), ORDERS_MAX = 24 };

static void on_master_closed(void *owner, struct ipc_channel *channel, const struct error *error)
{
    (void)channel;
    struct role *role = owner;
    if (error->kind == ERROR_PEER || error->code != 0)
        LOG(&role->log, LOG_ERROR, "master_lost", log_failure(error));
    role_exit(role); /* without the master nobody may go on */
}

/* --- Birth ----------------------------------------------------------------------------------- */

/* One record before ROLE_GO. *born is set by ROLE_GO itself. */
static bool take_birth_record(struct role *role, struct ipc_packet *packet, bool *born,
                              struct error *error)
{
    switch (ipc_packet_header(packet)->type) {
    case ROLE_DESCRIPTOR:
        return add_file(role, packet->record, ipc_packet_take(packet, 0), error);
    case ROLE_PEER:
        return add_peer(role, packet->record, ipc_packet_take(packet, 0), error);
    case ROLE_JOURNAL_LINE:
        return on_journal_line(role, packet, error);
    case ROLE_GO:
        *born = true;
        return true;
    default:
        /* What is the role's own (ROLE_HOME) comes before ROLE_GO too. */
        for (size_t i = 0; i < role->spec->order_count; i++)
            if (role->spec->orders[i].type == ipc_packet_header(packet)->type)
                return role->spec->orders[i].handler(role, packet, error);
        return error_set(error, ERROR_PEER, "record type %u before ROLE_GO",
                         ipc_packet_header(packet)->type);
    }
}

static bool take_start(struct role *role, const struct ipc_packet *packet, struct error *error)
{
    const struct role_start *start = packet->record;
    if (packet->length != sizeof(*start) || start->header.type != ROLE_START
        || packet->descriptor_count != 1 || start->kind >= ROLE_KINDS)
        return error_set(error, ERROR_PEER, "no ROLE_START");
    role->kind = start->kind;
    role->number = start->number;
    role->is_root = start->is_root != 0;
    role->configuration = start->configuration;
    memcpy(role->token_key, start->token_key, sizeof(role->token_key));
    memcpy(role->srs_key, start->srs_key, sizeof(role->srs_key));
    role->log.role = role_kind_name(role->kind);
    return read_config(role, packet->descriptors[0], error);
}

static bool be_born(struct role *role, struct error *error)
{
    alignas(max_align_t) static uint8_t record[IPC_RECORD_MAX];
    struct ipc_packet packet;
    if (!ipc_receive_blocking(ROLE_MASTER_FD, record, BIRTH_TIMEOUT_MS, &packet, error))
        return false;
    bool started = take_start(role, &packet, error);
    for (size_t i = 0; i < packet.descriptor_count; i++)
        fd_discard(&packet.descriptors[i]);
    bool born = false;
    while (started && !born) {
        if (!ipc_receive_blocking(ROLE_MASTER_FD, record, BIRTH_TIMEOUT_MS, &packet, error))
            return false;
        started = take_birth_record(role, &packet, &born, error);
        for (size_t i = 0; i < packet.descriptor_count; i++)
            fd_discard(&packet.descriptors[i]);
    }
    return started;
}

static bool enter_sandbox(struct role *role, struct error *error)
{
    if (role->root_fd < 0)
        role->root_fd = role_take_file(role, DESCRIPTOR_DIRECTORY, 0);
    struct sandbox_directories directories = {
        .own = role->root_fd, .readable = role->readable, .readable_count = role->readable_count};
    return sandbox_enter(&role->spec->sandbox, &directories, role->is_root, ROLE_MASTER_FD,
                         &role->landlocked, error);
}

static void greet_peers(struct role *role)
{
    struct role_peer *peer, *next;
    if (!role->spec->peer_up)
        return;
    DL_FOREACH_SAFE (role->peers, peer, next)
        role->spec->peer_up(peer);
}

static bool begin(struct role *role, struct error *error)
{
    if (!be_born(role, error))
        return error_prefix(error, "birth");
    if (role->spec->prepare && !role->spec->prepare(role, error))
        return error_prefix(error, "prepare");
    if (!enter_sandbox(role, error))
        return error_prefix(error, "sandbox");
    if (role->spec->start && !role->spec->start(role, error))
        return error_prefix(error, "start");
    greet_peers(role);
    struct ipc_header ready = {.type = MASTER_READY, .request = role->landlocked};
    role_tell_master(role, &ready, sizeof(ready), slice_of(NULL, 0));
    return true;
}

/* The master's death ends us even where we do not read its channel. */
static void follow_master(void)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    signal(SIGINT, SIG_IGN); /* Ctrl-C reaches the whole group; the master decides */
    signal(SIGTERM, SIG_DFL);
}

/* All times are UTC: one thing less that a chroot would have to hold (/etc/localtime). */
static void know_the_time(void)
{
    setenv("TZ", "UTC0", 1);
    tzset();
}

/* The usual 1024 are fewer than the connections that one process may hold. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit); /* to the hard limit everybody may */
}

int role_run(const struct role_spec *spec, void *state)
{
    struct role role = {.spec = spec, .state = state, .root_fd = -1};
    struct error error = {0};
    follow_master();
    raise_descriptor_limit();
    know_the_time();
    log_init(&role.log, ROLE_JOURNAL_FD, "role");
    role.loop = ev_loop_new(EVFLAG_NOENV | EVBACKEND_EPOLL);
    if (!role.loop) {
        LOG(&role.log, LOG_ERROR, "no_start", log_text("error", "no event loop"));
        return EXIT_FAILURE;
    }
    struct ipc_rule orders[ORDERS_MAX];
    size_t own = spec->order_count < ORDERS_MAX - COMMON_ORDERS ? spec->order_count
                                                                : ORDERS_MAX - COMMON_ORDERS;
    memcpy(orders, common_orders, sizeof(common_orders));
    if (own)
        memcpy(orders + COMMON_ORDERS, spec->orders, own * sizeof(orders[0]));
    ipc_open(&role.master, role.loop, ROLE_MASTER_FD);
    /* The master tells `deliver` of an account (ROLE_HOME) before it tells `queue`, whose messages
     * for it may be readable in the same turn. */
    ipc_hear_first(&role.master);
    ipc_set_rules(&role.master, orders, COMMON_ORDERS + own);
    ipc_set_owner(&role.master, &role, on_master_closed);
    if (!begin(&role, &error)) {
        LOG(&role.log, LOG_ERROR, "no_start", log_failure(&error));
        return EXIT_FAILURE;
    }
    malloc_trim(0); /* what only the start needed */
    ev_run(role.loop, 0);
    if (spec->end)
        spec->end(&role);
    return EXIT_SUCCESS;
}
