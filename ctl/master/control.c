/*
 * The control socket, for the `staffetta` command. A client sends one line (a verb and its
 * arguments, separated by HTAB) and reads the answer until the end of the stream: "ok" or
 * "error: ..." first, then lines for people. Root and the user who started the server may connect;
 * the kernel tells the client's uid. Verbs about mail are passed on, with the socket, to the role
 * that executes them.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <utlist.h>

#include "common/buffer.h"
#include "common/disk/fd.h"
#include "ctl/master/master.h"

enum {
    CLIENTS_MAX = 16,
    LINE_MAX_OCTETS = ROLE_CONTROL_LINE_MAX,
    ANSWER_MAX = 1 << 20,
};

static const double client_patience_s = 10.0;
static const double role_patience_s = 1.0; /* for the answers to ROLE_COUNT */

enum control_wait { WAIT_LINE, WAIT_COUNTS, WAIT_RELOAD, WAIT_ACCOUNT, WAIT_NOTHING };

struct control_client {
    struct control_client *prev, *next;
    struct master *master;
    int fd;
    ev_io readable;
    ev_timer patience;
    enum control_wait wait;
    uint64_t question; /* WAIT_ACCOUNT: the one that auth was asked */
    uint8_t line[LINE_MAX_OCTETS];
    size_t line_octets;
};

static void end_client(struct control_client *client)
{
    struct master *master = client->master;
    ev_io_stop(master->loop, &client->readable);
    ev_timer_stop(master->loop, &client->patience);
    fd_discard(&client->fd);
    DL_DELETE(master->control_clients, client);
    free(client);
}

/* An answer is small; a client that does not take it at once does not get it. */
static void answer(struct control_client *client, struct slice text)
{
    ssize_t sent = send(client->fd, text.ptr, text.len, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0 || (size_t)sent < text.len)
        LOG(&client->master->log, LOG_WARNING, "control_answer_lost");
    end_client(client);
}

/* --- status ---------------------------------------------------------------------------------- */

static void put_process(struct buffer *text, const struct process *process, ev_tstamp now)
{
    const char *account =
        process->homes && process->kind != ROLE_DELIVER ? process->homes->account : "";
    buffer_append_format(text, "%-17s %7d %9.0f %9llu %-8s %13u %s%s\n",
                         role_kind_name(process->kind), (int)process->pid, now - process->started,
                         (unsigned long long)process->sessions, process->landlocked ? "yes" : "no",
                         process->configuration, account,
                         process->stopping ? "(ending)"
                         : process->ready  ? ""
                                           : "(starting)");
}

static void put_restarts(struct buffer *text, const struct master *master)
{
    uint32_t restarts = 0;
    for (unsigned kind = 0; kind < ROLE_KINDS; kind++)
        restarts += master->standing[kind].restarts;
    buffer_append_format(text, "\nrestarts: %u\n", restarts);
    for (unsigned kind = 0; restarts && kind < ROLE_KINDS; kind++)
        if (master->standing[kind].restarts)
            buffer_append_format(text, "  %s: %u\n", role_kind_name(kind),
                                 master->standing[kind].restarts);
}

static void put_queue(struct buffer *text, const struct master *master)
{
    uint64_t queued = 0, held = 0;
    const struct process *process;
    DL_FOREACH (master->processes, process) {
        queued += process->queued;
        held += process->held;
    }
    buffer_append_format(text, "queue: %llu messages, %llu held\n", (unsigned long long)queued,
                         (unsigned long long)held);
    buffer_append_format(text, "drop: %llu messages, %llu refused and kept\n",
                         (unsigned long long)master->drop.waiting,
                         (unsigned long long)master->drop.refused);
}

static void answer_status(struct control_client *client)
{
    const struct master *master = client->master;
    ev_tstamp now = ev_now(master->loop);
    struct buffer text = BUFFER_WITH_LIMIT(ANSWER_MAX);
    buffer_append_format(&text, "ok\n%-17s %7s %9s %9s %-8s %13s\n", "role", "pid", "uptime_s",
                         "sessions", "landlock", "configuration");
    buffer_append_format(&text, "%-17s %7d %9.0f %9s %-8s %13u\n", "master", (int)getpid(),
                         now - master->started, "", "", master->setup.number);
    const struct process *process;
    DL_FOREACH (master->processes, process)
        put_process(&text, process, now);
    put_restarts(&text, master);
    put_queue(&text, master);
    answer(client, buffer_slice(&text));
    buffer_clear(&text);
}

static bool is_counting(const struct master *master)
{
    const struct process *process;
    DL_FOREACH (master->processes, process)
        if (process->asked)
            return true;
    return false;
}

void control_on_counts(struct master *master)
{
    struct control_client *client, *next;
    if (is_counting(master))
        return;
    DL_FOREACH_SAFE (master->control_clients, client, next)
        if (client->wait == WAIT_COUNTS)
            answer_status(client);
}

/* --- The verbs ------------------------------------------------------------------------------- */

static void on_status(struct control_client *client)
{
    client->wait = WAIT_COUNTS;
    ev_timer_stop(client->master->loop, &client->patience);
    ev_timer_set(&client->patience, role_patience_s, 0);
    ev_timer_start(client->master->loop, &client->patience);
    process_ask_counts(client->master);
    control_on_counts(client->master);
}

static void on_reload(struct control_client *client)
{
    client->wait = WAIT_RELOAD;
    ev_timer_stop(client->master->loop, &client->patience); /* the check has a limit of its own */
    reload_begin(client->master);
}

/* It is answered when the new version serves; its descriptor goes along. */
static void on_upgrade(struct control_client *client)
{
    struct slice line = slice_of(client->line, client->line_octets);
    struct slice path = slice_from(line, slice_find_octet(line, '\t') + 1);
    int fd = client->fd;
    client->fd = -1;
    upgrade_begin(&client->master->upgrade, slice_range(path, 0, slice_find_octet(path, '\n')), fd);
    end_client(client);
}

static void on_stop(struct control_client *client)
{
    struct master *master = client->master;
    answer(client, SLICE("ok\n"));
    master_stop(master);
}

static struct process *find_ready(struct master *master, enum role_kind kind)
{
    struct process *process;
    DL_FOREACH (master->processes, process)
        if (process->kind == kind && process->ready && !process->stopping)
            return process;
    return NULL;
}

/* The role answers, and closes it. */
static void hand_to(struct control_client *client, struct process *process, struct slice line)
{
    struct role_control record = {.header = {.type = ROLE_CONTROL}};
    if (process && process_send_with(process, &record.header, sizeof(record), line, client->fd))
        end_client(client);
    else
        answer(client, SLICE("error: the process that knows is not there now; try again\n"));
}

static void hand_on(struct control_client *client, enum role_kind kind, struct slice line)
{
    hand_to(client, find_ready(client->master, kind), line);
}

/* --- About an account: its mailbox answers, once auth has said whose it is --- */

static struct slice line_of(const struct control_client *client)
{
    struct slice all = slice_of(client->line, client->line_octets);
    return slice_range(all, 0, slice_find_octet(all, '\n'));
}

static void on_account_verb(struct control_client *client)
{
    struct slice line = line_of(client);
    struct slice name = slice_from(line, slice_find_octet(line, '\t') + 1);
    struct process *auth = find_ready(client->master, ROLE_AUTH);
    struct role_find record = {
        .header = {.type = ROLE_FIND, .request = ++client->master->questions}};
    name = slice_range(name, 0, slice_find_octet(name, '\t'));
    client->wait = WAIT_ACCOUNT;
    client->question = record.header.request;
    if (name.len == 0 || name.len > MASTER_ACCOUNT_MAX)
        answer(client, SLICE("error: an account is missing\n"));
    else if (!auth || !process_send(auth, &record.header, sizeof(record), name))
        answer(client, SLICE("error: the process that knows is not there now; try again\n"));
}

static struct control_client *find_question(struct master *master, uint64_t question)
{
    struct control_client *client;
    DL_FOREACH (master->control_clients, client)
        if (client->wait == WAIT_ACCOUNT && client->question == question)
            return client;
    return NULL;
}

static void hand_to_mailbox(struct control_client *client, struct process *auth,
                            const struct named_home *named)
{
    struct error error;
    struct process *mailbox = admission_find_mailbox(auth, named, &error);
    if (!mailbox) {
        LOG(&client->master->log, LOG_ERROR, "not_admitted", log_bytes("account", named->account),
            log_failure(&error));
        answer(client, SLICE("error: its mail cannot be opened: see the log\n"));
        return;
    }
    mailbox->given++;
    hand_to(client, mailbox, line_of(client));
}

bool control_on_found(void *owner, struct ipc_packet *packet, struct error *error)
{
    struct process *auth = owner;
    const struct master_found *found = packet->record;
    struct control_client *client = find_question(auth->master, found->header.request);
    struct named_home named = {0};
    if (found->outcome == ACCOUNT_FOUND
        && !admission_take_home(packet, sizeof(*found), &found->home, &named, error))
        return false;
    if (!client) { /* it has lost its patience, or none asked */
        sleepers_on_found(auth, found, &named);
        visits_on_found(auth, found, &named);
        return true;
    }
    client->wait = WAIT_NOTHING;
    if (found->outcome == ACCOUNT_FOUND)
        hand_to_mailbox(client, auth, &named);
    else if (found->outcome == ACCOUNT_UNKNOWN)
        answer(client, SLICE("error: there is no such account\n"));
    else
        answer(client, SLICE("error: the account cannot be looked up now: see the log\n"));
    return true;
}

/* Answered here, or by the role. */
static const struct verb {
    const char *name;
    void (*handler)(struct control_client *client);
    enum role_kind role;
} verbs[] = {
    {"status", on_status, ROLE_MASTER},
    {"reload", on_reload, ROLE_MASTER},
    {"stop", on_stop, ROLE_MASTER},
    {"upgrade", on_upgrade, ROLE_MASTER},
    {"queue", NULL, ROLE_QUEUE},
    {"why", NULL, ROLE_JOURNAL},
    {"statistics", NULL, ROLE_JOURNAL},
    {"attempts", NULL, ROLE_JOURNAL},
    {"imap", on_account_verb, ROLE_MASTER},
    {"fsck", on_account_verb, ROLE_MASTER},
    {"restored", on_account_verb, ROLE_MASTER},
    {"backup-queue", NULL, ROLE_QUEUE},
    {"backup-journal", NULL, ROLE_JOURNAL},
};

static void on_line(struct control_client *client, struct slice line)
{
    struct slice name = slice_range(line, 0, slice_find_octet(line, '\t'));
    client->wait = WAIT_NOTHING;
    ev_io_stop(client->master->loop, &client->readable);
    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
        if (!slice_equal(name, slice_of_string(verbs[i].name)))
            continue;
        if (verbs[i].handler)
            verbs[i].handler(client);
        else
            hand_on(client, verbs[i].role, line);
        return;
    }
    answer(client, SLICE("error: unknown verb\n"));
}

void control_answer_reload(struct master *master, const char *text)
{
    struct control_client *client, *next;
    struct buffer answer_text = BUFFER_WITH_LIMIT(ANSWER_MAX);
    if (text)
        buffer_append_format(&answer_text, "error: %s\n", text);
    else
        buffer_append(&answer_text, SLICE("ok\n"));
    DL_FOREACH_SAFE (master->control_clients, client, next)
        if (client->wait == WAIT_RELOAD)
            answer(client, buffer_slice(&answer_text));
    buffer_clear(&answer_text);
}

/* --- The socket ------------------------------------------------------------------------------ */

static void on_readable(struct ev_loop *loop, ev_io *watcher, int events)
{
    (void)loop;
    (void)events;
    struct control_client *client = watcher->data;
    size_t room = sizeof(client->line) - client->line_octets;
    ssize_t got = recv(client->fd, client->line + client->line_octets, room, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0) {
        end_client(client);
        return;
    }
    client->line_octets += (size_t)got;
    struct slice seen = slice_of(client->line, client->line_octets);
    size_t end = slice_find_octet(seen, '\n');
    if (end < seen.len)
        on_line(client, slice_range(seen, 0, end));
    else if (client->line_octets == sizeof(client->line))
        end_client(client);
}

static void on_impatience(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    struct control_client *client = timer->data;
    if (client->wait == WAIT_COUNTS)
        answer_status(client); /* with what those who did answer said */
    else
        end_client(client);
}

static bool may_connect(int fd)
{
    struct ucred peer;
    socklen_t length = sizeof(peer);
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0
           && (peer.uid == 0 || peer.uid == geteuid());
}

static void add_client(struct master *master, int fd)
{
    struct control_client *client = calloc(1, sizeof(*client));
    if (!client) {
        fd_discard(&fd);
        return;
    }
    client->master = master;
    client->fd = fd;
    ev_io_init(&client->readable, on_readable, fd, EV_READ);
    ev_timer_init(&client->patience, on_impatience, client_patience_s, 0);
    client->readable.data = client;
    client->patience.data = client;
    ev_io_start(master->loop, &client->readable);
    ev_timer_start(master->loop, &client->patience);
    DL_APPEND(master->control_clients, client);
}

static void on_connection(struct ev_loop *loop, ev_io *watcher, int events)
{
    (void)loop;
    (void)events;
    struct master *master = watcher->data;
    int fd = accept4(master->control_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0)
        return;
    const struct control_client *client;
    int count = 0;
    DL_COUNT(master->control_clients, client, count);
    if (count < CLIENTS_MAX && may_connect(fd))
        add_client(master, fd);
    else
        fd_discard(&fd);
}

/* A socket left by a master that was killed is in the way of bind; one that answers is not ours. */
static bool remove_stale(const struct sockaddr_un *address, struct error *error)
{
    int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (probe < 0)
        return error_errno(error, "control socket");
    bool alive = connect(probe, (const struct sockaddr *)address, sizeof(*address)) == 0;
    fd_discard(&probe);
    if (alive)
        return error_set(error, ERROR_EXISTS, "another staffetta answers on %s", address->sun_path);
    if (unlink(address->sun_path) != 0 && errno != ENOENT)
        return error_errno(error, "remove %s", address->sun_path);
    return true;
}

static bool make_parent(const char *path, struct error *error)
{
    char parent[sizeof(((struct sockaddr_un *)0)->sun_path)];
    size_t length = strlen(path);
    memcpy(parent, path, length + 1);
    char *end = strrchr(parent, '/');
    if (!end || end == parent)
        return true;
    *end = '\0';
    if (mkdir(parent, 0755) != 0 && errno != EEXIST)
        return error_errno(error, "make %s", parent);
    return true;
}

static bool is_bound_to(int fd, const char *path)
{
    struct sockaddr_un name = {0};
    socklen_t length = sizeof(name) - 1;
    return getsockname(fd, (struct sockaddr *)&name, &length) == 0
           && strcmp(name.sun_path, path) == 0;
}

static bool bind_socket(struct master *master, const struct sockaddr_un *address,
                        struct error *error)
{
    const char *path = address->sun_path;
    if (!make_parent(path, error) || !remove_stale(address, error))
        return false;
    master->control_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (master->control_fd < 0
        || bind(master->control_fd, (const struct sockaddr *)address, sizeof(*address)) != 0
        || chmod(path, 0600) != 0 || listen(master->control_fd, CLIENTS_MAX) != 0)
        return error_errno(error, "control socket %s", path);
    return true;
}

bool control_open(struct master *master, int inherited, struct error *error)
{
    const char *path = master->setup.config.control_socket.text;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    master->control_fd = -1;
    if (strlen(path) >= sizeof(address.sun_path))
        return error_set(error, ERROR_PERMANENT, "control socket: path is longer than %zu octets",
                         sizeof(address.sun_path) - 1);
    memcpy(address.sun_path, path, strlen(path));
    if (inherited >= 0 && is_bound_to(inherited, path)) {
        master->control_fd = fcntl(inherited, F_DUPFD_CLOEXEC, 0);
        if (master->control_fd < 0)
            return error_errno(error, "keep control socket");
    } else if (!bind_socket(master, &address, error)) {
        return false;
    }
    ev_io_init(&master->control_readable, on_connection, master->control_fd, EV_READ);
    master->control_readable.data = master;
    ev_io_start(master->loop, &master->control_readable);
    return true;
}

void control_close(struct master *master)
{
    struct control_client *client, *next;
    DL_FOREACH_SAFE (master->control_clients, client, next)
        end_client(client);
    if (master->control_fd < 0)
        return;
    ev_io_stop(master->loop, &master->control_readable);
    fd_discard(&master->control_fd);
    unlink(master->setup.config.control_socket.text); /* nobody is harmed where it stays */
}
