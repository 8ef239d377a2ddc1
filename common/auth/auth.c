/* Start and reload of the role `auth`, its files, and parked requests; see auth.h. */
#include "common/auth/auth.h"

#include <stdalign.h>
#include <stdlib.h>

#include <sodium.h>
#include <utlist.h>

#include "common/auth/auth_internal.h"
#include "common/disk/fd.h"
#include "common/size.h"

enum {
    REQUEST_ARENA = 1 << 20,
    PROOF_LIFETIME_MS = 60 * 1000,
    PARKED_MAX = 4096,
    REPLAYS_MAX = 300,   /* system users that one request may ask about, one after another */
    NETWORK_FACTOR = 10, /* a network holds so many accounts' worth of failures */
    SLOWEST_FACTOR = 16, /* 0.5 s become 8 s */
    /* Requests that come together share one look at the files, and yet nobody can have changed one
     * and then asked. Not those of a turn of the loop: if others keep it from the processor, it
     * takes in requests of long after its look. */
    LOOK_LASTS_NS = 50 * 1000,
};

_Static_assert((int)TOKEN_KEY_OCTETS == (int)MASTER_SECRET_OCTETS, "the master makes the key");

struct auth *auth_new(void)
{
    return calloc(1, sizeof(struct auth));
}

void auth_answer(struct role_peer *peer, const struct ipc_message *message)
{
    struct error error;
    if (!ipc_send(&peer->channel, message, &error))
        LOG(&peer->role->log, LOG_WARNING, "answer_not_sent",
            log_text("peer", role_kind_name(peer->kind)), log_number("number", peer->number),
            log_failure(&error));
}

/* --- Files ------------------------------------------------------------------------------------ */

static void on_news(void *context, const struct directory_news *news)
{
    struct auth *auth = context;
    if (news->refused)
        LOG(&auth->role->log, LOG_ERROR, "file_refused", log_text("file", news->file),
            log_failure(&news->error));
    else
        LOG(&auth->role->log, LOG_INFO, "file_read", log_text("file", news->file));
    auth->directory_changed = true;
}

void auth_begin_request(struct auth *auth)
{
    arena_reset(&auth->arena);
    uint64_t now_ns = turn_now_ns();
    if (now_ns - auth->looked_ns < LOOK_LASTS_NS)
        return;
    auth->looked_ns = now_ns;
    auth->directory_changed = false;
    directory_refresh(&auth->directory, on_news, auth);
    if (auth->directory_changed)
        auth_look_what_to_offer(auth);
}

static int open_given(void *context, enum descriptor_purpose purpose, uint32_t index,
                      const char *path, struct error *error)
{
    struct role *role = context;
    int fd = role_take_file(role, purpose, index);
    if (fd < 0)
        error_set(error, ERROR_TEMPORARY, "the directory of %s did not come", path);
    return fd;
}

/* --- Owners of virtual mail ------------------------------------------------------------------- */

static const struct auth_owner *find_owner(const struct auth *auth, const char *name)
{
    for (size_t i = 0; i < auth->owner_count; i++)
        if (strcmp(auth->owners[i].name, name) == 0)
            return &auth->owners[i];
    return NULL;
}

static const char *owner_name(const struct config_accounts *section)
{
    return section->user.text ? section->user.text : "";
}

/* Before the sandbox: NSS may be asked. */
static bool learn_owners(struct auth *auth, const struct role *role, struct error *error)
{
    for (size_t i = 0; i < role->config.accounts_count; i++) {
        const struct config_accounts *section = &role->config.accounts[i];
        const char *name = owner_name(section);
        if (section->source != CONFIG_SOURCE_FILE || find_owner(auth, name))
            continue;
        struct auth_owner *owner = &auth->owners[auth->owner_count];
        if (auth->owner_count == AUTH_OWNERS_MAX || strlen(name) >= sizeof(owner->name))
            return error_set(error, ERROR_PERMANENT, "too many owners of mail, or too long a name");
        if (!role_user_find_mail(&role->config, section, role->is_root, &owner->user, error))
            return false;
        memcpy(owner->name, name, strlen(name) + 1);
        auth->owner_count++;
    }
    return true;
}

static bool set_owners(const struct auth *auth, const struct config *config,
                       struct directory *directory, struct error *error)
{
    for (size_t i = 0; i < config->accounts_count; i++) {
        if (config->accounts[i].source != CONFIG_SOURCE_FILE)
            continue;
        const struct auth_owner *owner = find_owner(auth, owner_name(&config->accounts[i]));
        if (!owner)
            return error_set(error, ERROR_TEMPORARY, "a new owner of mail");
        directory->sources[i].uid = owner->user.uid;
        directory->sources[i].gid = owner->user.gid;
    }
    return true;
}

/* --- Birth, reload ---------------------------------------------------------------------------- */

static bool load(const struct auth *auth, struct role *role, struct directory *directory,
                 struct error *error)
{
    const struct directory_means means = {.opener = open_given, .context = role};
    if (!directory_load(directory, &role->config, &means, error))
        return false;
    if (set_owners(auth, &role->config, directory, error))
        return true;
    directory_clear(directory);
    return false;
}

static struct throttle_limits limits_of(const struct config *config)
{
    const struct config_throttle *throttle = &config->throttle;
    return (struct throttle_limits){
        .free = throttle->slow_after,
        .pause_after = throttle->pause_after,
        .network_pause_after = throttle->pause_after * NETWORK_FACTOR,
        .pause_ms = throttle->pause_ms,
        .forget_ms = throttle->forget_ms,
        .refusal_ms = throttle->refusal_ms,
        .slowest_ms = throttle->refusal_ms * SLOWEST_FACTOR,
        .ipv4_bits = config->limits.network_ipv4_bits,
        .ipv6_bits = config->limits.network_ipv6_bits,
    };
}

static void allow_reading(struct role *role, const struct directory_file *file)
{
    if (file->path && role->readable_count < ARRAY_LENGTH(role->readable))
        role->readable[role->readable_count++] = file->file.dir_fd;
}

static bool prepare(struct role *role, struct error *error)
{
    struct auth *auth = role->state;
    auth->role = role;
    arena_init(&auth->arena, REQUEST_ARENA);
    if (sodium_init() < 0)
        return error_set(error, ERROR_TEMPORARY, "libsodium does not start");
    struct throttle_limits limits = limits_of(&role->config);
    auth->throttle = throttle_new(&limits, error);
    auth->proofs = auth->throttle ? proofs_new(PROOF_LIFETIME_MS, error) : NULL;
    if (!auth->proofs || !learn_owners(auth, role, error)
        || !load(auth, role, &auth->directory, error))
        return false;
    for (size_t i = 0; i < auth->directory.source_count; i++)
        allow_reading(role, &auth->directory.sources[i].file);
    for (size_t i = 0; i < auth->directory.domain_count; i++)
        allow_reading(role, &auth->directory.domains[i].file);
    allow_reading(role, &auth->directory.senders_file);
    return true;
}

static bool start(struct role *role, struct error *error)
{
    struct auth *auth = role->state;
    if (!introspections_init(&auth->introspections, role, error))
        return false;
    memcpy(auth->token_key.octets, role->token_key, sizeof(auth->token_key.octets));
    turn_init(&auth->turn, role->loop);
    auth_workers_init(&auth->workers, auth);
    auth_logins_init(&auth->logins, auth);
    auth_look_what_to_offer(auth);
    return true;
}

/* The sandbox allows only the previous directories, and no NSS: what needs others gets a new
 * process, which the master starts at once. */
static void reload(struct role *role)
{
    struct auth *auth = role->state;
    struct directory fresh;
    struct error error = {0};
    if (!load(auth, role, &fresh, &error)) {
        LOG(&role->log, LOG_WARNING, "restart_to_reload", log_failure(&error));
        role_exit(role);
        return;
    }
    directory_clear(&auth->directory);
    auth->directory = fresh;
    struct throttle_limits limits = limits_of(&role->config);
    throttle_change_limits(auth->throttle, &limits);
    auth_look_what_to_offer(auth);
    auth_workers_reload(&auth->workers);
    introspections_reload(&auth->introspections);
}

static void count(struct role *role, struct role_counts *counts)
{
    const struct auth *auth = role->state;
    counts->sessions = auth->logins.count;
}

/* --- Requests that wait ----------------------------------------------------------------------- */

/* A request with a copy of its record, and the look-up it waits for, if it is the first to ask for
 * that name. */
struct auth_parked {
    struct auth_job job;
    bool asked; /* the job is this one's */
    struct auth *auth;
    char name[SYSTEM_USER_NAME_MAX + 1];
    ipc_handler *handler;
    enum role_kind peer_kind;
    uint32_t peer_number;
    unsigned replays;
    struct auth_parked *prev;
    struct auth_parked *next;
    size_t octets;
    alignas(max_align_t) uint8_t record[];
};

static void free_parked(struct auth_parked *parked)
{
    sodium_memzero(parked->record, parked->octets); /* perhaps with a password */
    free(parked);
}

/* Its handler again, as if the record had just come. */
static void replay(struct auth *auth, struct auth_parked *parked)
{
    void *owner = parked->peer_kind == ROLE_MASTER
                      ? (void *)auth->role
                      : role_find_peer_number(auth->role, parked->peer_kind, parked->peer_number);
    struct ipc_packet packet = {.record = parked->record, .length = parked->octets};
    struct error error;
    auth->replays = parked->replays + 1;
    if (owner)
        parked->handler(owner, &packet, &error); /* well-formed, as it was the first time */
    auth->replays = 0;
    free_parked(parked);
}

static void replay_all(struct auth *auth, const char *name)
{
    struct auth_parked *parked;
    struct auth_parked *next;
    struct auth_parked *ready = NULL;
    DL_FOREACH_SAFE (auth->parked, parked, next) {
        if (strcmp(parked->name, name) != 0)
            continue;
        DL_DELETE(auth->parked, parked);
        DL_APPEND(ready, parked);
        auth->parked_count--;
    }
    DL_FOREACH_SAFE (ready, parked, next)
        replay(auth, parked);
}

/* No answer: the handler finds a temporary error now, since it must not ask again. */
static void give_up(struct auth *auth, const char *name)
{
    struct auth_parked *parked;
    DL_FOREACH (auth->parked, parked)
        if (strcmp(parked->name, name) == 0)
            parked->replays = REPLAYS_MAX;
    replay_all(auth, name);
}

static void on_looked_up(struct auth_job *job, const struct auth_job_answer *answer)
{
    struct auth_parked *parked = (struct auth_parked *)(void *)job;
    struct auth *auth = parked->auth;
    char name[SYSTEM_USER_NAME_MAX + 1];
    memcpy(name, parked->name, sizeof(name));
    if (answer->verdict == AUTH_TEMPORARY || !auth->directory.system_users) {
        give_up(auth, name);
        return;
    }
    system_users_learn(auth->directory.system_users, slice_of_string(name), answer->user,
                       turn_now_ms());
    replay_all(auth, name);
}

static bool is_asked_for(const struct auth *auth, const char *name)
{
    const struct auth_parked *parked;
    DL_FOREACH (auth->parked, parked)
        if (parked->asked && strcmp(parked->name, name) == 0)
            return true;
    return false;
}

static struct auth_parked *new_parked(struct auth *auth, const struct ipc_packet *packet,
                                      ipc_handler *handler)
{
    size_t total;
    if (!size_add(sizeof(struct auth_parked), packet->length, &total))
        return NULL;
    struct auth_parked *parked = calloc(1, total);
    if (!parked)
        return NULL;
    parked->auth = auth;
    parked->handler = handler;
    parked->peer_kind = ROLE_MASTER;
    parked->replays = auth->replays;
    parked->octets = packet->length;
    memcpy(parked->record, packet->record, packet->length);
    return parked;
}

static bool ask_for_user(struct auth *auth, struct auth_parked *parked)
{
    if (is_asked_for(auth, parked->name))
        return true;
    parked->job.kind = AUTH_JOB_USER;
    parked->job.name = slice_of_string(parked->name);
    parked->job.done = on_looked_up;
    parked->asked = auth_workers_submit(&auth->workers, &parked->job);
    return parked->asked;
}

static struct auth_parked *park(struct auth *auth, const struct ipc_packet *packet,
                                ipc_handler *handler)
{
    char name[SYSTEM_USER_NAME_MAX + 1];
    if (!auth->directory.system_users
        || !system_users_take_wanted(auth->directory.system_users, name)
        || auth->replays >= REPLAYS_MAX || auth->parked_count == PARKED_MAX)
        return NULL;
    struct auth_parked *parked = new_parked(auth, packet, handler);
    if (!parked)
        return NULL;
    memcpy(parked->name, name, sizeof(name));
    if (!ask_for_user(auth, parked)) {
        free_parked(parked);
        return NULL;
    }
    DL_APPEND(auth->parked, parked);
    auth->parked_count++;
    return parked;
}

bool auth_park(struct role_peer *peer, const struct ipc_packet *packet, ipc_handler *handler)
{
    struct auth_parked *parked = park(auth_of(peer), packet, handler);
    if (!parked)
        return false;
    parked->peer_kind = peer->kind;
    parked->peer_number = peer->number;
    return true;
}

bool auth_park_of_master(struct auth *auth, const struct ipc_packet *packet, ipc_handler *handler)
{
    return park(auth, packet, handler) != NULL;
}

/* --- The role --------------------------------------------------------------------------------- */

enum {
    RECIPIENT = sizeof(struct auth_recipient),
    SENDER = sizeof(struct auth_sender),
    PASSWORD = sizeof(struct auth_password),
    TARGET = sizeof(struct auth_target),
    FULL = sizeof(struct auth_full),
    SASL = sizeof(struct auth_sasl),
    READ = sizeof(struct auth_read),
};

#define MAY_ASK_RECIPIENT                                                                          \
    {                                                                                              \
        AUTH_RECIPIENT, RECIPIENT, RECIPIENT + AUTH_ADDRESS_MAX, 0, auth_on_recipient              \
    }
#define MAY_ASK_PASSWORD                                                                           \
    {                                                                                              \
        AUTH_PASSWORD, PASSWORD, PASSWORD + AUTH_NAME_MAX + AUTH_PASSWORD_MAX, 0, auth_on_password \
    }

#define MAY_ASK_SASL                                                                               \
    {                                                                                              \
        AUTH_SASL, SASL, SASL + AUTH_MESSAGE_MAX, 0, auth_on_sasl                                  \
    }

static const struct ipc_rule from_smtp[] = {MAY_ASK_RECIPIENT};
static const struct ipc_rule from_submission[] = {
    MAY_ASK_RECIPIENT,
    MAY_ASK_PASSWORD,
    MAY_ASK_SASL,
    {AUTH_SENDER, SENDER, SENDER + MASTER_ACCOUNT_MAX + AUTH_ADDRESS_MAX, 0, auth_on_sender},
    {AUTH_READ, READ, READ + MASTER_ACCOUNT_MAX + AUTH_NAME_MAX, 0, auth_on_read},
};
static const struct ipc_rule from_login[] = {MAY_ASK_PASSWORD, MAY_ASK_SASL};
static const struct ipc_rule from_queue[] = {
    MAY_ASK_RECIPIENT, /* the sender that a report goes to */
    {AUTH_TARGET, TARGET, TARGET + MASTER_ACCOUNT_MAX, 0, auth_on_target},
    {AUTH_FULL, FULL, FULL + MASTER_ACCOUNT_MAX, 0, auth_on_full},
};

static const struct role_link links[] = {
    {ROLE_SMTP, from_smtp, ARRAY_LENGTH(from_smtp)},
    {ROLE_SUBMISSION, from_submission, ARRAY_LENGTH(from_submission)},
    {ROLE_IMAP_LOGIN, from_login, ARRAY_LENGTH(from_login)},
    {ROLE_POP3_LOGIN, from_login, ARRAY_LENGTH(from_login)},
    {ROLE_QUEUE, from_queue, ARRAY_LENGTH(from_queue)},
    {ROLE_CHECK, auth_rules_check, AUTH_RULES_CHECK},
    {ROLE_FETCH, introspection_rules, INTROSPECTION_RULES},
};

static const struct ipc_rule orders[] = {
    {ROLE_FIND, sizeof(struct role_find) + 1, sizeof(struct role_find) + MASTER_ACCOUNT_MAX, 0,
     auth_on_find},
};

static void peer_up(struct role_peer *peer)
{
    if (peer->kind == ROLE_CHECK)
        auth_worker_up(peer);
    else if (peer->kind == ROLE_FETCH)
        introspections_up(&auth_of(peer)->introspections, peer);
    else
        auth_offer_to(peer);
}

static void peer_down(struct role_peer *peer)
{
    if (peer->kind == ROLE_CHECK)
        auth_worker_down(peer);
    else if (peer->kind == ROLE_FETCH)
        introspections_down(&auth_of(peer)->introspections, peer);
    else
        auth_exchanges_peer_down(auth_of(peer), peer);
}

const struct role_spec auth_role = {
    .sandbox = {.calls = SANDBOX_FILES, .files = SANDBOX_READ_FILES},
    .links = links,
    .link_count = ARRAY_LENGTH(links),
    .orders = orders,
    .order_count = ARRAY_LENGTH(orders),
    .prepare = prepare,
    .start = start,
    .peer_up = peer_up,
    .peer_down = peer_down,
    .reload = reload,
    .count = count,
};
