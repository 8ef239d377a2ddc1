/*
 * One child of the master: its start, the records it may send, its end.
 *
 *   process_start ─> fork ─┬─ child: descriptors 3 and 4, uid, exec
 *                          └─ master: birth records ─> process_go ─> MASTER_READY ─> on_death
 *
 * A standing role is restarted at once after its first death; after each further one within 10 s it
 * waits, first 100 ms, then twice as long each time, up to 5 s. Per-account processes are started
 * on demand, and so is fetch, which then runs until it is idle.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <utlist.h>

#include "common/disk/fd.h"
#include "common/role/sandbox.h"
#include "common/size.h"
#include "ctl/master/master.h"

static const double misfortune_window_s = 10.0;
static const double first_wait_s = 0.1;
static const double longest_wait_s = 5.0;

/* The order in which a stopping server stops: first the roles that serve clients, then those that
 * these need. */
enum stop_wave { STOP_CLIENTS, STOP_MAIL, STOP_HELPERS, STOP_JOURNAL, STOP_NOBODY };

/* The capability to chroot goes along for all but those that load modules. */
struct nature {
    const char *executable;
    enum stop_wave wave;
    bool per_account;
    bool chroots;
    bool reads_shadow;
};

static const struct nature natures[ROLE_KINDS] = {
    [ROLE_JOURNAL] = {"journal", STOP_JOURNAL, false, true, false},
    [ROLE_AUTH] = {"auth", STOP_HELPERS, false, true, false},
    [ROLE_CHECK] = {"check", STOP_HELPERS, false, false, true},
    [ROLE_KEYS] = {"keys", STOP_HELPERS, false, true, false},
    [ROLE_SMTP] = {"smtpd-session", STOP_CLIENTS, false, true, false},
    [ROLE_SUBMISSION] = {"smtpd-session", STOP_CLIENTS, false, true, false},
    [ROLE_FILTER] = {"smtpd-filter", STOP_MAIL, false, true, false},
    [ROLE_QUEUE] = {"smtpd-queue", STOP_MAIL, false, true, false},
    [ROLE_DELIVER] = {"smtpd-deliver", STOP_HELPERS, true, true, false},
    [ROLE_IMAP_LOGIN] = {"imapd-login", STOP_CLIENTS, false, true, false},
    [ROLE_MAILBOX] = {"imapd-mailbox", STOP_CLIENTS, true, true, false},
    [ROLE_POP3_LOGIN] = {"pop3d-login", STOP_CLIENTS, false, true, false},
    [ROLE_MAILDROP] = {"pop3d-maildrop", STOP_CLIENTS, true, true, false},
    [ROLE_RESOLVER] = {"resolver", STOP_HELPERS, false, true, false},
    [ROLE_RELAY] = {"smtpd-relay", STOP_HELPERS, false, true, false},
    [ROLE_FETCH] = {"fetch", STOP_HELPERS, false, true, false},
    [ROLE_HTTP] = {"http", STOP_CLIENTS, false, true, false},
};

/* They stand beside our own. */
int process_open_libexec(struct error *error)
{
    char path[4096];
    ssize_t length = readlink("/proc/self/exe", path, sizeof(path) - 1);
    if (length < 0) {
        error_errno(error, "/proc/self/exe");
        return -1;
    }
    path[length] = '\0';
    char *end = strrchr(path, '/');
    if (!end) {
        error_set(error, ERROR_PERMANENT, "no directory in %s", path);
        return -1;
    }
    *end = '\0';
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        error_errno(error, "open %s", path);
    return fd;
}

bool process_find_executables(struct error *error)
{
    int directory = process_open_libexec(error);
    bool found = directory >= 0;
    for (unsigned kind = 0; found && kind < ROLE_KINDS; kind++)
        if (natures[kind].executable
            && faccessat(directory, natures[kind].executable, X_OK, 0) != 0)
            found = error_errno(error, "libexec/%s", natures[kind].executable);
    fd_discard(&directory);
    return found;
}

bool process_is_per_account(enum role_kind kind)
{
    return natures[kind].per_account;
}

/* --- Sending --------------------------------------------------------------------------------- */

bool process_send_with(struct process *process, struct ipc_header *head, size_t head_octets,
                       struct slice tail, int fd)
{
    struct ipc_message message = {.head = head,
                                  .head_octets = head_octets,
                                  .tail = &tail,
                                  .tail_count = 1,
                                  .descriptors = &fd,
                                  .descriptor_count = fd >= 0 ? 1 : 0};
    struct error error;
    if (ipc_send(&process->channel, &message, &error))
        return true;
    bool dead = error.code == EPIPE || error.code == ECONNRESET; /* on_death will say more */
    LOG(&process->master->log, dead ? LOG_DEBUG : LOG_WARNING, "order_not_sent",
        log_text("role", role_kind_name(process->kind)), log_number("number", process->number),
        log_number("type", head->type), log_failure(&error));
    return false;
}

bool process_send(struct process *process, struct ipc_header *head, size_t head_octets,
                  struct slice tail)
{
    return process_send_with(process, head, head_octets, tail, -1);
}

struct process *process_find(struct master *master, enum role_kind kind, uint32_t number)
{
    struct process *process;
    DL_FOREACH (master->processes, process)
        if (process->kind == kind && process->number == number)
            return process;
    return NULL;
}

/* --- The child's side of fork ---------------------------------------------------------------- */

static bool find_shadow_group(uint32_t *gid)
{
    const struct group *shadow = getgrnam("shadow");
    if (shadow)
        *gid = shadow->gr_gid;
    return shadow != NULL;
}

/* Descriptors 3 and 4 may be where either of the two stands already: step aside first. */
static bool place_descriptors(int channel, int feed)
{
    channel = fcntl(channel, F_DUPFD, ROLE_JOURNAL_FD + 1);
    feed = fcntl(feed, F_DUPFD, ROLE_JOURNAL_FD + 1);
    return channel >= 0 && feed >= 0 && dup2(channel, ROLE_MASTER_FD) >= 0
           && dup2(feed, ROLE_JOURNAL_FD) >= 0 && close(channel) == 0 && close(feed) == 0;
}

/* Only calls that are safe between fork and exec; the result is the exit status. */
static int become_role(const struct master *master, const struct process *process,
                       const struct sandbox_user *user, int channel, int feed)
{
    const struct nature *nature = &natures[process->kind];
    struct error error = {0};
    int executable =
        openat(master->libexec_fd, nature->executable, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (executable < 0)
        return 127;
    executable = fcntl(executable, F_DUPFD_CLOEXEC, 16); /* out of the way of 3 and 4 */
    if (executable < 0 || !place_descriptors(channel, feed))
        return 126;
    if (master->is_root && !sandbox_become(user, nature->chroots, &error))
        return 125;
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0)
        return 125;
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    char name[32];
    snprintf(name, sizeof(name), "%s", role_kind_name(process->kind));
    char *const arguments[] = {name, NULL};
    fexecve(executable, arguments, environ);
    return 127;
}

static bool choose_user(const struct process *process, uint32_t *groups, struct sandbox_user *user,
                        struct error *error)
{
    const struct master *master = process->master;
    struct role_user found = process->user;
    if (!natures[process->kind].per_account
        && !role_user_find(&master->setup.config, process->kind, master->is_root, &found, error))
        return false;
    *user = (struct sandbox_user){.uid = found.uid, .gid = found.gid, .groups = groups};
    if (natures[process->kind].reads_shadow && find_shadow_group(groups))
        user->group_count = 1;
    return true;
}

static bool spawn(struct process *process, int channel, int feed, struct error *error)
{
    struct sandbox_user user;
    uint32_t shadow;
    if (!choose_user(process, &shadow, &user, error))
        return false;
    process->pid = fork();
    if (process->pid < 0)
        return error_errno(error, "fork");
    if (process->pid == 0)
        _exit(become_role(process->master, process, &user, channel, feed));
    return true;
}

/* --- Death ----------------------------------------------------------------------------------- */

static void start_missing(struct master *master, enum role_kind kind);

static void on_retry(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    struct standing *standing = timer->data;
    start_missing(standing->master, standing->kind);
}

static void retry_after(struct standing *standing, double wait_s)
{
    if (ev_is_active(&standing->retry))
        return;
    ev_timer_init(&standing->retry, on_retry, wait_s < longest_wait_s ? wait_s : longest_wait_s, 0);
    standing->retry.data = standing;
    ev_timer_start(standing->master->loop, &standing->retry);
}

/* A standing role died or could not be started: after its first death it is started at once, then
 * after longer and longer waits. */
static void restart_later(struct master *master, enum role_kind kind)
{
    struct standing *standing = &master->standing[kind];
    ev_tstamp now = ev_now(master->loop);
    bool again = now - standing->last_death < misfortune_window_s;
    standing->deaths_in_a_row = again ? standing->deaths_in_a_row + 1 : 0;
    standing->last_death = now;
    standing->restarts++;
    double wait_s = standing->deaths_in_a_row == 0 ? 0 : first_wait_s;
    for (uint32_t i = 1; i < standing->deaths_in_a_row && wait_s < longest_wait_s; i++)
        wait_s *= 2;
    retry_after(standing, wait_s);
}

static void free_process(struct process *process)
{
    struct master *master = process->master;
    ipc_close(&process->channel);
    ev_child_stop(master->loop, &process->child);
    DL_DELETE(master->processes, process);
    while (process->homes) {
        struct account_home *home = process->homes;
        LL_DELETE(process->homes, home);
        free(home);
    }
    free(process->rules);
    free(process);
}

static void log_death(const struct process *process, int status)
{
    /* A user's process goes when its work is done; its word of that may be heard after its end. */
    bool leaves = process->stopping || natures[process->kind].per_account;
    bool expected = leaves && WIFEXITED(status) && WEXITSTATUS(status) == 0;
    LOG(&process->master->log, expected ? LOG_DEBUG : LOG_WARNING, "role_ended",
        log_text("role", role_kind_name(process->kind)), log_number("number", process->number),
        log_number("pid", process->pid),
        log_number(WIFSIGNALED(status) ? "signal" : "status",
                   WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status)));
}

/* A login process that a reload replaced keeps those who are asleep: they are to be told now. */
static bool is_to_be_told(const struct process *process)
{
    return !process->stopping || (process->kind == ROLE_IMAP_LOGIN && !process->told_of_end);
}

/* While the server stops: asks the first wave that has processes left; journal, the last one,
 * hears all others out, and the master goes when nobody is left. */
void process_stop_next(struct master *master)
{
    struct process *process;
    enum stop_wave wave = STOP_NOBODY;
    DL_FOREACH (master->processes, process)
        if (natures[process->kind].wave < wave)
            wave = natures[process->kind].wave;
    if (wave == STOP_NOBODY)
        ev_break(master->loop, EVBREAK_ALL);
    DL_FOREACH (master->processes, process)
        if (natures[process->kind].wave == wave && is_to_be_told(process))
            process_ask_to_stop(process);
}

static void on_death(struct ev_loop *loop, ev_child *watcher, int events)
{
    (void)loop;
    (void)events;
    struct process *process = watcher->data;
    struct master *master = process->master;
    enum role_kind kind = process->kind;
    bool standing = !natures[kind].per_account;
    process->reaped = true;
    ipc_hear_now(&process->channel); /* the loop tells of the death before its last words */
    bool leaves = process->stopping;
    log_death(process, watcher->rstatus);
    admission_forget(process);
    free_process(process);
    if (standing && leaves)
        start_missing(master, kind); /* fetch, wanted again before it was gone */
    else if (standing && !master->stopping)
        restart_later(master, kind);
    control_on_counts(master); /* one that is dead will not answer */
    if (master->stopping)
        process_stop_next(master);
}

/* --- What a role says to the master ---------------------------------------------------------- */

static bool is_complete(const struct master *master, enum role_kind kind)
{
    uint32_t ready = 0;
    const struct process *process;
    DL_FOREACH (master->processes, process)
        ready += process->kind == kind && process->ready && !process->stopping;
    return ready >= master->standing[kind].wanted;
}

/* Logs "ready" once, when all roles are ready for the first time. */
static void announce(struct master *master)
{
    for (unsigned kind = 0; kind < ROLE_KINDS; kind++)
        if (!is_complete(master, kind))
            return;
    if (master->announced)
        return;
    master->announced = true;
    upgrade_answer(&master->upgrade, NULL);
    LOG(&master->log, LOG_INFO, "ready", log_number("pid", getpid()),
        log_text("hostname", master->setup.config.hostname));
}

static bool on_ready(void *owner, struct ipc_packet *packet, struct error *error)
{
    (void)error;
    struct process *process = owner;
    process->ready = true;
    process->landlocked = ipc_packet_header(packet)->request != 0;
    if (!process->landlocked && !process->master->missed_landlock) {
        process->master->missed_landlock = true;
        LOG(&process->master->log, LOG_WARNING, "no_landlock",
            log_text("text", "this kernel has no Landlock; one wall of the sandbox is missing"));
    }
    announce(process->master);
    return true;
}

static bool on_trapped(void *owner, struct ipc_packet *packet, struct error *error)
{
    (void)error;
    const struct process *process = owner;
    const struct master_trapped *record = packet->record;
    LOG(&process->master->log, LOG_ERROR, "forbidden_system_call",
        log_text("role", role_kind_name(process->kind)), log_number("pid", process->pid),
        log_number("call", record->call));
    return true;
}

/* Who may have whom ended: those that own something, the ones that read what strangers send. A
 * hijacked session can thus accuse nobody. */
static bool may_accuse(enum role_kind accuser, enum role_kind accused)
{
    switch (accuser) {
    case ROLE_AUTH:
        return birth_is_network_role(accused) || accused == ROLE_CHECK || accused == ROLE_FETCH;
    case ROLE_KEYS:
    case ROLE_FILTER:
        return birth_is_network_role(accused);
    case ROLE_QUEUE:
        return birth_is_network_role(accused) || accused == ROLE_DELIVER || accused == ROLE_RELAY;
    case ROLE_RESOLVER:
        return accused == ROLE_RELAY || accused == ROLE_FETCH;
    case ROLE_FETCH:
        return accused == ROLE_RELAY || accused == ROLE_AUTH;
    default:
        return false;
    }
}

static bool on_hostile(void *owner, struct ipc_packet *packet, struct error *error)
{
    (void)error;
    const struct process *process = owner;
    const struct master_hostile *record = packet->record;
    struct process *accused = process_find(process->master, record->kind, record->number);
    if (!accused || !may_accuse(process->kind, accused->kind))
        return true;
    LOG(&process->master->log, LOG_ERROR, "hostile_role_ended",
        log_text("role", role_kind_name(accused->kind)), log_number("pid", accused->pid),
        log_text("accuser", role_kind_name(process->kind)));
    kill(accused->pid, SIGKILL);
    return true;
}

static bool on_counts(void *owner, struct ipc_packet *packet, struct error *error)
{
    (void)error;
    struct process *process = owner;
    const struct master_counts *record = packet->record;
    process->sessions = record->sessions;
    process->queued = record->queued;
    process->held = record->held;
    process->configuration = record->configuration;
    process->asked = false;
    control_on_counts(process->master);
    return true;
}

static bool on_checks(void *owner, struct ipc_packet *packet, struct error *error)
{
    const struct process *process = owner;
    const struct master_checks *record = packet->record;
    if (record->count < 1 || record->count > process->master->setup.config.processes.check)
        return error_set(error, ERROR_PEER, "%u check workers", record->count);
    process->master->standing[ROLE_CHECK].wanted = record->count;
    start_missing(process->master, ROLE_CHECK);
    return true;
}

/* One that died is started again as any other. While the one that was idle still ends, its database
 * is not free: on_death goes on. */
static bool on_wanted(void *owner, struct ipc_packet *packet, struct error *error)
{
    (void)packet;
    (void)error;
    struct process *caller = owner, *fetch;
    struct master *master = caller->master;
    uint32_t *wanted = &master->standing[ROLE_FETCH].wanted;
    if (*wanted > 0 || !master_may_want_fetch(master))
        return true;
    *wanted = 1;
    DL_FOREACH (master->processes, fetch)
        if (fetch->kind == ROLE_FETCH)
            return true;
    start_missing(master, ROLE_FETCH);
    return true;
}

static bool on_fetch_idle(void *owner, struct ipc_packet *packet, struct error *error)
{
    (void)packet;
    (void)error;
    struct process *fetch = owner;
    fetch->master->standing[ROLE_FETCH].wanted = 0;
    process_ask_to_stop(fetch);
    return true;
}

enum { HEADER = sizeof(struct ipc_header) };

static const struct ipc_rule common_rules[] = {
    {MASTER_READY, HEADER, HEADER, 0, on_ready},
    {MASTER_TRAPPED, sizeof(struct master_trapped), sizeof(struct master_trapped), 0, on_trapped},
    {MASTER_HOSTILE, sizeof(struct master_hostile), sizeof(struct master_hostile), 0, on_hostile},
    {MASTER_COUNTS, sizeof(struct master_counts), sizeof(struct master_counts), 0, on_counts},
};

enum {
    TEXTS_MAX = MASTER_ACCOUNT_MAX + MASTER_PATH_MAX,
    ADMIT = sizeof(struct master_admit),
    TARGET = sizeof(struct master_target),
    FOUND = sizeof(struct master_found),
    READ = sizeof(struct master_read),
    CHANGED = sizeof(struct master_changed),
    SLEEPS = sizeof(struct master_sleeps),
    RETURNS = sizeof(struct master_returns),
    VISITS = sizeof(struct master_visits),
};

static const struct ipc_rule auth_rules[] = {
    {MASTER_CHECKS, sizeof(struct master_checks), sizeof(struct master_checks), 0, on_checks},
    {MASTER_ADMIT, ADMIT, ADMIT + TEXTS_MAX, 0, admission_on_admit},
    {MASTER_TARGET, TARGET, TARGET + TEXTS_MAX, 0, admission_on_target},
    {MASTER_READ, READ, READ + MASTER_ACCOUNT_MAX + TEXTS_MAX, 0, admission_on_read},
    {MASTER_FOUND, FOUND, FOUND + TEXTS_MAX, 0, control_on_found},
    {MASTER_WANTED, HEADER, HEADER, 0, on_wanted},
};

static const struct ipc_rule account_rules[] = {
    {MASTER_IDLE, HEADER, HEADER, 0, admission_on_idle},
    {MASTER_CHANGED, CHANGED, CHANGED + MASTER_PATH_MAX, 0, admission_on_changed},
};

static const struct ipc_rule mailbox_rules[] = {
    {MASTER_IDLE, HEADER, HEADER, 0, admission_on_idle},
    {MASTER_CHANGED, CHANGED, CHANGED + MASTER_PATH_MAX, 0, admission_on_changed},
    {MASTER_SLEEPS, SLEEPS, SLEEPS + SLEEP_DIRECTORY_MAX + SLEEP_RECORD_MAX, 1, sleepers_on_sleeps},
    {MASTER_RETURNS, RETURNS, RETURNS + RETURNED_INPUT_MAX, 1, sleepers_on_returns},
    {MASTER_SHARES, HEADER, HEADER + SHARES_OCTETS_MAX, 0, shares_on_shares},
    {MASTER_SHARED, HEADER, HEADER, 0, shares_on_shared},
    {MASTER_VISITS, VISITS + 1, VISITS + MASTER_ACCOUNT_MAX, 0, visits_on_visits},
    {MASTER_KNOWN, HEADER + 1, HEADER + MASTER_ACCOUNT_MAX, 0, visits_on_known},
};

static const struct ipc_rule login_rules[] = {
    {MASTER_WAKE, HEADER, HEADER, 0, sleepers_on_wake},
    {MASTER_GONE, HEADER, HEADER, 0, sleepers_on_gone},
};

static const struct ipc_rule relay_rules[] = {
    {MASTER_WANTED, HEADER, HEADER, 0, on_wanted},
};

static const struct ipc_rule fetch_rules[] = {
    {MASTER_IDLE, HEADER, HEADER, 0, on_fetch_idle},
};

/* What a kind may say beside the common records. */
struct rule_set {
    const struct ipc_rule *rules;
    size_t count;
};

static void on_channel_closed(void *owner, struct ipc_channel *channel, const struct error *error)
{
    (void)channel;
    struct process *process = owner;
    if (error->kind == ERROR_PEER)
        LOG(&process->master->log, LOG_ERROR, "hostile_role_ended",
            log_text("role", role_kind_name(process->kind)), log_number("pid", process->pid),
            log_failure(error));
    /* Without its channel it is of no use; a process that is ending is not harmed. */
    if (!process->reaped && (error->kind == ERROR_PEER || !process->stopping))
        kill(process->pid, SIGKILL);
}

/* --- Start ----------------------------------------------------------------------------------- */

static struct process *new_process(struct master *master, enum role_kind kind,
                                   const struct process_owner *owner, struct error *error)
{
    struct process *process = calloc(1, sizeof(*process));
    if (!process) {
        error_memory(error);
        return NULL;
    }
    process->master = master;
    process->kind = kind;
    process->number = ++master->next_number;
    process->started = ev_now(master->loop);
    process->configuration = master->setup.number;
    process->channel.fd = -1;
    if (owner) {
        process->user = owner->user;
        process->place = owner->place;
    }
    DL_APPEND(master->processes, process);
    return process;
}

static struct rule_set own_rules(enum role_kind kind)
{
    switch (kind) {
    case ROLE_DELIVER:
    case ROLE_MAILDROP:
        return (struct rule_set){account_rules, ARRAY_LENGTH(account_rules)};
    case ROLE_MAILBOX:
        return (struct rule_set){mailbox_rules, ARRAY_LENGTH(mailbox_rules)};
    case ROLE_IMAP_LOGIN:
        return (struct rule_set){login_rules, ARRAY_LENGTH(login_rules)};
    case ROLE_AUTH:
        return (struct rule_set){auth_rules, ARRAY_LENGTH(auth_rules)};
    case ROLE_RELAY:
        return (struct rule_set){relay_rules, ARRAY_LENGTH(relay_rules)};
    case ROLE_FETCH:
        return (struct rule_set){fetch_rules, ARRAY_LENGTH(fetch_rules)};
    default:
        return (struct rule_set){NULL, 0};
    }
}

static bool open_channel(struct process *process, int fd, struct error *error)
{
    struct rule_set own = own_rules(process->kind);
    process->rules = calloc(ARRAY_LENGTH(common_rules) + own.count, sizeof(struct ipc_rule));
    if (!process->rules) {
        fd_discard(&fd);
        return error_memory(error);
    }
    memcpy(process->rules, common_rules, sizeof(common_rules));
    if (own.count > 0)
        memcpy(process->rules + ARRAY_LENGTH(common_rules), own.rules,
               own.count * sizeof(struct ipc_rule));
    ipc_open(&process->channel, process->master->loop, fd);
    ipc_set_rules(&process->channel, process->rules, ARRAY_LENGTH(common_rules) + own.count);
    ipc_set_owner(&process->channel, process, on_channel_closed);
    /* A maildrop that is done says so before its client hears it; the client's next login, which
     * comes by auth, must not be heard first. */
    if (natures[process->kind].per_account)
        ipc_hear_first(&process->channel);
    return true;
}

static bool launch(struct process *process, struct error *error)
{
    int pair[2] = {-1, -1};
    int feed = wiring_open_feed(process->master, process);
    bool launched = feed >= 0 && ipc_pair(pair, error) && spawn(process, pair[1], feed, error);
    fd_discard(&feed);
    fd_discard(&pair[1]);
    if (!launched) {
        fd_discard(&pair[0]);
        return false;
    }
    ev_child_init(&process->child, on_death, process->pid, 0);
    process->child.data = process;
    ev_child_start(process->master->loop, &process->child);
    return open_channel(process, pair[0], error);
}

struct process *process_start(struct master *master, enum role_kind kind,
                              const struct process_owner *owner, struct error *error)
{
    struct process *process = new_process(master, kind, owner, error);
    if (!process)
        return NULL;
    if (!launch(process, error)) {
        error_prefix(error, "start %s", role_kind_name(kind));
        if (process->pid > 0)
            kill(process->pid, SIGKILL); /* on_death frees it */
        else
            free_process(process);
        return NULL;
    }
    birth_send_start(process);
    wiring_connect(process);
    LOG(&master->log, LOG_DEBUG, "role_started", log_text("role", role_kind_name(kind)),
        log_number("number", process->number), log_number("pid", process->pid));
    return process;
}

void process_ask_counts(struct master *master)
{
    struct process *process;
    struct ipc_header question = {.type = ROLE_COUNT};
    DL_FOREACH (master->processes, process)
        if (process->ready && !process->asked)
            process->asked = process_send(process, &question, sizeof(question), slice_of(NULL, 0));
}

void process_ask_to_stop(struct process *process)
{
    struct ipc_header stop = {.type = ROLE_STOP, .request = process->master->stopping};
    process->stopping = true;
    process->told_of_end = process->master->stopping;
    process_send(process, &stop, sizeof(stop), slice_of(NULL, 0));
}

static uint32_t count_living(const struct master *master, enum role_kind kind)
{
    uint32_t living = 0;
    struct process *process;
    DL_FOREACH (master->processes, process)
        living += process->kind == kind && !process->stopping;
    return living;
}

static void start_missing(struct master *master, enum role_kind kind)
{
    while (!master->stopping && count_living(master, kind) < master->standing[kind].wanted) {
        struct error error = {0};
        struct process *process = process_start(master, kind, NULL, &error);
        if (!process) {
            LOG(&master->log, LOG_ERROR, "role_not_started", log_failure(&error));
            restart_later(master, kind);
            return;
        }
        if (kind == ROLE_JOURNAL)
            wiring_renew_journal(master);
        birth_go(process);
    }
}

void process_fill_all(struct master *master)
{
    for (unsigned kind = 0; kind < ROLE_KINDS; kind++)
        start_missing(master, kind);
}
