/*
 * Starts and stops the server; see master.h. Runs as libexec/master, as root or an ordinary user.
 *
 *   open (configuration, state, ports, control socket) ─> start all roles ─> loop
 *     SIGHUP, reload ─> reload.c         SIGTERM, SIGINT, stop ─> all roles finish ─> end
 *                                        upgrade ─> all roles finish ─> upgrade.c
 */
#include "ctl/master/master.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include <utlist.h>

#include "common/disk/fd.h"
#include "common/role/sandbox.h"
#include "ctl/master/secret.h"

static const double late_wave_s = 2.0;

static bool has_service(const struct master *master, enum config_service a, enum config_service b)
{
    return config_has_service(&master->setup.config, a)
           || config_has_service(&master->setup.config, b);
}

bool master_may_want_fetch(const struct master *master)
{
    const struct config *config = &master->setup.config;
    bool mail = has_service(master, CONFIG_SMTP, CONFIG_SMTP)
                || has_service(master, CONFIG_SUBMISSION, CONFIG_SUBMISSIONS);
    return (mail && (config->relay.mta_sts || config->relay.tls_reports))
           || config->oauth.introspection.text;
}

/* A daemon without a `listen` line is not started; the queue and what it needs always is: it may
 * hold mail. Fetch is started when it is first asked for. */
void master_count_wanted(struct master *master)
{
    const struct config_processes *processes = &master->setup.config.processes;
    bool smtp = has_service(master, CONFIG_SMTP, CONFIG_SMTP);
    bool submission = has_service(master, CONFIG_SUBMISSION, CONFIG_SUBMISSIONS);
    bool imap = has_service(master, CONFIG_IMAP, CONFIG_IMAPS);
    bool pop3 = has_service(master, CONFIG_POP3, CONFIG_POP3S);
    bool introspects = master->setup.config.oauth.introspection.text != NULL;
    const uint32_t wanted[ROLE_KINDS] = {
        [ROLE_JOURNAL] = 1,
        [ROLE_AUTH] = 1,
        [ROLE_CHECK] = 1,
        [ROLE_KEYS] = master->setup.config.certificate_count > 0,
        [ROLE_QUEUE] = 1,
        [ROLE_SMTP] = smtp ? processes->session : 0,
        [ROLE_SUBMISSION] = submission ? processes->submission : 0,
        [ROLE_FILTER] = smtp || submission ? processes->filter : 0,
        [ROLE_RESOLVER] = smtp || submission || introspects,
        [ROLE_RELAY] = smtp || submission ? processes->relay : 0,
        [ROLE_FETCH] = master_may_want_fetch(master) ? master->standing[ROLE_FETCH].wanted : 0,
        [ROLE_IMAP_LOGIN] = imap ? processes->imap_login : 0,
        [ROLE_POP3_LOGIN] = pop3 ? processes->pop3_login : 0,
        [ROLE_HTTP] = has_service(master, CONFIG_HTTP, CONFIG_HTTP),
    };
    for (unsigned kind = 0; kind < ROLE_KINDS; kind++)
        master->standing[kind].wanted = wanted[kind];
}

/* --- Stop ------------------------------------------------------------------------------------ */

static void kill_all(struct master *master, int signal)
{
    struct process *process;
    DL_FOREACH (master->processes, process)
        kill(process->pid, signal);
}

/* Who did not finish in time is killed; those after him have a short time each. */
static void on_stop_deadline(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)events;
    struct master *master = timer->data;
    struct process *process;
    LOG(&master->log, LOG_WARNING, "stop_deadline");
    DL_FOREACH (master->processes, process)
        if (process->stopping)
            kill(process->pid, SIGKILL);
    ev_timer_set(timer, late_wave_s, 0.0);
    ev_timer_start(loop, timer);
}

void master_stop(struct master *master)
{
    if (upgrade_forget(&master->upgrade)) /* they finish already, for good now */
        return;
    if (master->stopping) { /* asked twice: somebody is in a hurry */
        kill_all(master, SIGKILL);
        return;
    }
    master->stopping = true;
    LOG(&master->log, LOG_INFO, "stopping");
    ev_timer_init(&master->stop_deadline, on_stop_deadline,
                  (double)master->setup.config.timeouts.shutdown_ms / 1000.0, 0);
    master->stop_deadline.data = master;
    ev_timer_start(master->loop, &master->stop_deadline);
    process_stop_next(master);
}

/* --- Signals --------------------------------------------------------------------------------- */

static void on_terminate(struct ev_loop *loop, ev_signal *watcher, int events)
{
    (void)loop;
    (void)events;
    master_stop(watcher->data);
}

static void on_hangup(struct ev_loop *loop, ev_signal *watcher, int events)
{
    (void)loop;
    (void)events;
    reload_begin(watcher->data);
}

static void watch_signals(struct master *master)
{
    ev_signal_init(&master->terminate, on_terminate, SIGTERM);
    ev_signal_init(&master->interrupt, on_terminate, SIGINT);
    ev_signal_init(&master->hangup, on_hangup, SIGHUP);
    master->terminate.data = master->interrupt.data = master->hangup.data = master;
    ev_signal_start(master->loop, &master->terminate);
    ev_signal_start(master->loop, &master->interrupt);
    ev_signal_start(master->loop, &master->hangup);
    signal(SIGPIPE, SIG_IGN);
}

/* --- Start ----------------------------------------------------------------------------------- */

static bool open_all(struct master *master, const struct inheritance *inheritance,
                     struct error *error)
{
    struct open_sockets open = {.count = inheritance->listener_count};
    memcpy(open.fds, inheritance->listeners, sizeof(open.fds));
    if (getrandom(master->token_key, sizeof(master->token_key), 0)
        != (ssize_t)sizeof(master->token_key))
        return error_errno(error, "random octets");
    if (getrandom(master->sleepers.key, sizeof(master->sleepers.key), 0)
        != (ssize_t)sizeof(master->sleepers.key))
        return error_errno(error, "random octets");
    master->libexec_fd = process_open_libexec(error);
    return master->libexec_fd >= 0 && setup_open(&master->setup, master, &open, NULL, error)
           && secret_load(master->setup.state_fd, "srs-key", master->srs_key, error)
           && drop_open(&master->drop, master, error)
           && control_open(master, inheritance->control_fd, error);
}

static void init(struct master *master, const char *config_path)
{
    *master = (struct master){.config_path = config_path,
                              .libexec_fd = -1,
                              .control_fd = -1,
                              .is_root = geteuid() == 0,
                              .loop = ev_default_loop(EVFLAG_NOENV | EVBACKEND_EPOLL)};
    log_init(&master->log, -1, "master");
    upgrade_init(&master->upgrade, master);
    for (unsigned kind = 0; kind < ROLE_KINDS; kind++) {
        master->standing[kind].master = master;
        master->standing[kind].kind = kind;
    }
}

/* All is ready to be served from. */
static void serve(struct master *master)
{
    master->stopping = master->announced = false;
    master_count_wanted(master);
    process_fill_all(master);
    ev_run(master->loop, 0);
}

/* The roles are gone, so that a new version can take our place; where it cannot, we go on. */
static void make_way(struct master *master)
{
    ev_timer_stop(master->loop, &master->stop_deadline);
    drop_end(&master->drop);
    shares_save(master);
    fd_discard(&master->log.fd); /* nobody listens: to standard error */
    upgrade_become(&master->upgrade);
    master->upgrade.under_way = false;
}

static int fail(struct master *master, const struct inheritance *inheritance,
                const struct error *error)
{
    LOG(&master->log, LOG_ERROR, "no_start", log_failure(error));
    if (inheritance->control_fd < 0)
        control_close(master);
    upgrade_go_back(master->config_path, inheritance, error->text);
    setup_close(&master->setup);
    return EXIT_FAILURE;
}

int master_run(const char *config_path, struct inheritance *inheritance)
{
    static struct master master; /* large, and one */
    struct error error = {0};
    init(&master, config_path);
    if (!master.loop)
        error_set(&error, ERROR_TEMPORARY, "no event loop");
    if (!master.loop || !open_all(&master, inheritance, &error))
        return fail(&master, inheritance, &error);
    master.upgrade.client_fd = inheritance->client_fd;
    inheritance->client_fd = -1;
    inheritance_clear(inheritance);
    master.started = ev_now(master.loop);
    watch_signals(&master);
    census_start(&master);
    shares_load(&master);
    serve(&master);
    while (master.upgrade.under_way) {
        make_way(&master);
        serve(&master);
    }
    control_close(&master);
    shares_clear(&master);
    setup_close(&master.setup);
    return EXIT_SUCCESS;
}
