/*
 * Mail that `staffetta sendmail` left while the server did not run (sendmail.h): a directory of the
 * state that everybody may put files into and only the master can list. Each file is passed, open,
 * to a child that runs `staffetta sendmail` again, as the user who owns the file, so that it is
 * read with no more rights than that user has. One child at a time; the master reads no octet of
 * it.
 *
 *   t.NAME   being written
 *   m.NAME   complete, to be sent
 *   r.NAME   refused for good, and kept because its sender could not be told
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/disk/fd.h"
#include "ctl/master/master.h"
#include "ctl/sendmail/sendmail.h"

enum { CONFIG_FD = 3, ABOVE_ALL_USED = 10 };

static const double look_every_s = 5.0;

/* --- The child -------------------------------------------------------------------------------- */

/* Root's own mail needs no root. */
static bool find_user(const struct master *master, const struct stat *facts, struct role_user *user)
{
    *user = (struct role_user){facts->st_uid, facts->st_gid};
    return !master->is_root || facts->st_uid != 0
           || role_user_find(&master->setup.config, ROLE_SMTP, true, user, NULL);
}

static bool become(const struct master *master, const struct role_user *user)
{
    return (!master->is_root
            || (setgroups(0, NULL) == 0 && setresgid(user->gid, user->gid, user->gid) == 0
                && setresuid(user->uid, user->uid, user->uid) == 0))
           && prctl(PR_SET_PDEATHSIG, SIGKILL) == 0;
}

/* Only calls that are safe between fork and exec; the result is the exit status. */
static int run_child(const struct master *master, int file, const struct role_user *user)
{
    char *const arguments[] = {(char[]){"staffetta"}, (char[]){"-c"},  (char[]){"/proc/self/fd/3"},
                               (char[]){"sendmail"},  (char[]){"-bd"}, NULL};
    int command = openat(master->libexec_fd, "../staffetta", O_RDONLY | O_CLOEXEC);
    int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
    int config = fcntl(master->setup.config_fd, F_DUPFD_CLOEXEC, ABOVE_ALL_USED);
    int program = fcntl(command, F_DUPFD_CLOEXEC, ABOVE_ALL_USED);
    if (nothing < 0 || dup2(file, STDIN_FILENO) < 0 || dup2(nothing, STDOUT_FILENO) < 0
        || dup2(nothing, STDERR_FILENO) < 0 || dup2(config, CONFIG_FD) < 0 || !become(master, user))
        return SENDMAIL_FAULT;
    fexecve(program, arguments, environ);
    return SENDMAIL_FAULT;
}

/* --- One file --------------------------------------------------------------------------------- */

static void next(struct drop *drop);

/* As long as the queue would try it. */
static bool is_old(const struct drop *drop)
{
    uint64_t lifetime_s = drop->master->setup.config.queue.lifetime_ms / 1000;
    return time(NULL) - drop->since > (int64_t)lifetime_s;
}

static void finish_file(struct drop *drop, int status)
{
    int directory = dirfd(drop->entries);
    struct log *log = &drop->master->log;
    char refused[sizeof(drop->name)];
    if (status == SENDMAIL_RETURNED)
        LOG(log, LOG_INFO, "drop_returned", log_text("file", drop->name));
    if (status == SENDMAIL_DONE || status == SENDMAIL_RETURNED) {
        unlinkat(directory, drop->name, 0);
        drop->counted_waiting--;
        return;
    }
    bool again =
        (status == SENDMAIL_TRY_AGAIN || status == SENDMAIL_FAULT || status < 0) && !is_old(drop);
    LOG(log, again ? LOG_INFO : LOG_WARNING, again ? "drop_waits" : "drop_refused",
        log_text("file", drop->name), log_number("status", status));
    if (again)
        return;
    drop->counted_waiting--;
    drop->counted_refused++;
    snprintf(refused, sizeof(refused), "r%s", drop->name + 1);
    if (renameat(directory, drop->name, directory, refused) != 0)
        unlinkat(directory, drop->name, 0);
}

static void on_child(struct ev_loop *loop, ev_child *watcher, int events)
{
    (void)events;
    struct drop *drop = watcher->data;
    ev_child_stop(loop, watcher);
    finish_file(drop, WIFEXITED(watcher->rstatus) ? WEXITSTATUS(watcher->rstatus) : -1);
    next(drop);
}

/* A whole message of one owner, or nothing that we touch. */
static int open_file(const struct drop *drop, const char *name, struct stat *facts)
{
    int fd = openat(dirfd(drop->entries), name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd >= 0 && (fstat(fd, facts) != 0 || !S_ISREG(facts->st_mode) || facts->st_nlink != 1))
        fd_discard(&fd);
    return fd;
}

/* False: there is nothing to wait for. */
static bool start_file(struct drop *drop, const char *name)
{
    struct stat facts;
    struct role_user user;
    size_t length = strlen(name);
    if (length >= sizeof(drop->name))
        return false; /* none that we ever made */
    int fd = open_file(drop, name, &facts);
    if (fd < 0 || !find_user(drop->master, &facts, &user)) {
        fd_discard(&fd);
        return false;
    }
    pid_t pid = fork();
    if (pid == 0)
        _exit(run_child(drop->master, fd, &user));
    fd_discard(&fd);
    if (pid < 0)
        return false;
    memcpy(drop->name, name, length + 1);
    drop->since = facts.st_mtime;
    ev_child_init(&drop->child, on_child, pid, 0);
    drop->child.data = drop;
    ev_child_start(drop->master->loop, &drop->child);
    return true;
}

/* --- The round -------------------------------------------------------------------------------- */

static void end_round(struct drop *drop)
{
    closedir(drop->entries);
    drop->entries = NULL;
    drop->waiting = drop->counted_waiting;
    drop->refused = drop->counted_refused;
}

/* The next file of this round, until one is under way. */
static void next(struct drop *drop)
{
    const struct dirent *entry;
    while (!drop->master->stopping && (entry = readdir(drop->entries))) {
        drop->counted_refused += strncmp(entry->d_name, "r.", 2) == 0;
        if (strncmp(entry->d_name, "m.", 2) != 0)
            continue;
        drop->counted_waiting++;
        if (start_file(drop, entry->d_name))
            return;
    }
    end_round(drop);
}

static void on_time(struct ev_loop *loop, ev_timer *watcher, int events)
{
    (void)loop;
    (void)events;
    struct drop *drop = watcher->data;
    if (drop->entries || !drop->master->announced || drop->master->stopping)
        return;
    int fd = openat(drop->master->setup.state_fd, SENDMAIL_DROP,
                    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    drop->entries = fd >= 0 ? fdopendir(fd) : NULL;
    drop->counted_waiting = drop->counted_refused = 0;
    if (drop->entries)
        next(drop);
    else
        fd_discard(&fd);
}

/* What is not known to have been sent is sent by the next master. */
void drop_end(struct drop *drop)
{
    if (ev_is_active(&drop->child))
        kill(drop->child.pid, SIGKILL);
    while (ev_is_active(&drop->child))
        ev_run(drop->master->loop, EVRUN_ONCE);
}

bool drop_open(struct drop *drop, struct master *master, struct error *error)
{
    int state = master->setup.state_fd;
    /* Everybody may leave a file, nobody may look or touch another's. */
    if ((mkdirat(state, SENDMAIL_DROP, 0700) != 0 && errno != EEXIST)
        || fchmodat(state, SENDMAIL_DROP, 01733, 0) != 0)
        return error_errno(error, "make directory " SENDMAIL_DROP);
    drop->master = master;
    ev_timer_init(&drop->timer, on_time, 1.0, look_every_s);
    drop->timer.data = drop;
    ev_timer_start(master->loop, &drop->timer);
    return true;
}
