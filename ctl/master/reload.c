/*
 * A new configuration (SIGHUP, `staffetta reload`). A child checks it by `staffetta check
 * --running`, so that the master neither runs OpenSSL nor reads other users' files; if there is a
 * mistake nothing changes. Then:
 *
 *   auth, queue, journal,     get ROLE_RELOAD and go on; in a mailbox it is for sessions that begin
 *   fetch, mailbox            after it
 *   keys, filter, sessions,   new processes are started; the old ones take nothing new and end with
 *   logins, resolver, relay,  their last connection
 *   http, check
 *   deliver                   gets no new work, and ends when idle; new ones are started
 *   maildrop                  goes on with its one session
 */
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <utlist.h>

#include "common/disk/fd.h"
#include "ctl/master/master.h"

static bool is_replaced(enum role_kind kind)
{
    switch (kind) {
    case ROLE_KEYS:
    case ROLE_FILTER:
    case ROLE_SMTP:
    case ROLE_SUBMISSION:
    case ROLE_IMAP_LOGIN:
    case ROLE_POP3_LOGIN:
    case ROLE_RESOLVER:
    case ROLE_RELAY:
    case ROLE_HTTP:
    case ROLE_CHECK:
        return true;
    default:
        return false;
    }
}

static bool is_told(enum role_kind kind)
{
    return kind == ROLE_AUTH || kind == ROLE_QUEUE || kind == ROLE_JOURNAL || kind == ROLE_FETCH
           || kind == ROLE_MAILBOX;
}

static void tell(struct process *process)
{
    struct role_reload record = {.header = {.type = ROLE_RELOAD},
                                 .configuration = process->master->setup.number};
    process_send_with(process, &record.header, sizeof(record), slice_of(NULL, 0),
                      process->master->setup.config_fd);
    if (!process_is_per_account(process->kind))
        birth_send_files(process); /* a mailbox has its own for life */
    birth_go(process);
}

/* The old network roles first lose their place, then the new ones are connected; both have the
 * listening sockets for a moment, so no client is refused. */
static void replace_roles(struct master *master)
{
    struct process *process, *next;
    master_count_wanted(master);
    DL_FOREACH_SAFE (master->processes, process, next) {
        if (process->stopping)
            continue;
        bool is_wanted =
            master->standing[process->kind].wanted > 0 || process_is_per_account(process->kind);
        if (is_replaced(process->kind) || (is_told(process->kind) && !is_wanted))
            process_ask_to_stop(process);
        else if (is_told(process->kind))
            tell(process);
    }
    process_fill_all(master);
}

static void take(struct master *master)
{
    struct setup fresh;
    struct error error = {0};
    const struct open_sockets open = listeners_of(&master->setup);
    if (!setup_open(&fresh, master, &open, &master->setup, &error)) {
        setup_close(&fresh);
        LOG(&master->log, LOG_ERROR, "reload_refused", log_failure(&error));
        control_answer_reload(master, error.text);
        return;
    }
    struct setup old = master->setup;
    master->setup = fresh;
    setup_close(&old);
    replace_roles(master);
    LOG(&master->log, LOG_INFO, "reloaded", log_text("configuration", master->config_path));
    control_answer_reload(master, NULL);
}

static void on_checked(struct ev_loop *loop, ev_child *watcher, int events)
{
    (void)events;
    struct master *master = watcher->data;
    ev_child_stop(loop, watcher);
    if (master->stopping)
        return;
    if (WIFEXITED(watcher->rstatus) && WEXITSTATUS(watcher->rstatus) == 0) {
        take(master);
        return;
    }
    LOG(&master->log, LOG_ERROR, "reload_refused", log_text("configuration", master->config_path),
        log_text("error", "see staffetta check"));
    control_answer_reload(master, "the configuration has mistakes, and all stays as it was; "
                                  "`staffetta check` names them");
}

static int run_check(const struct master *master)
{
    int command = openat(master->libexec_fd, "../staffetta", O_RDONLY | O_CLOEXEC);
    char *const arguments[] = {
        (char[]){"staffetta"}, (char[]){"-c"},        (char *)(uintptr_t)master->config_path,
        (char[]){"check"},     (char[]){"--running"}, NULL};
    if (command >= 0)
        fexecve(command, arguments, environ);
    return 127;
}

void reload_begin(struct master *master)
{
    if (ev_is_active(&master->upgrade.child) || master->upgrade.under_way) {
        control_answer_reload(master, "an upgrade is under way");
        return;
    }
    if (ev_is_active(&master->check))
        return; /* its answer will do for this request too */
    pid_t pid = fork();
    if (pid == 0)
        _exit(run_check(master));
    if (pid < 0) {
        struct error error;
        error_errno(&error, "fork");
        LOG(&master->log, LOG_ERROR, "reload_refused", log_failure(&error));
        control_answer_reload(master, error.text);
        return;
    }
    ev_child_init(&master->check, on_checked, pid, 0);
    master->check.data = master;
    ev_child_start(master->loop, &master->check);
}
