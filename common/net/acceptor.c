/* The accepting of acceptor.h. Network roles. */
#include "common/net/acceptor.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <utlist.h>

#include "common/disk/fd.h"
#include "common/role/turn.h"

enum {
    BURST_MAX = 16,   /* connections of one listener in one turn; then others have theirs */
    SILENT_MS = 1000, /* a connection silent for so long may be replaced by a new one */

    REFUSED_LINE_MS = 1000, /* at most one line about refused connections in this time */

    RESERVED_DESCRIPTORS = 128,     /* for what is not a connection */
    DESCRIPTORS_PER_CONNECTION = 3, /* a session's two of a spool file, a login's pair */
};
_Static_assert(RESERVED_DESCRIPTORS + DESCRIPTORS_PER_CONNECTION * ROLE_CONNECTIONS_LEAST
                   <= ROLE_DESCRIPTORS_LEAST,
               "a server that starts serves");

static const double pause_seconds = 0.25;

struct acceptor_listener {
    struct acceptor_listener *next;
    struct acceptor *acceptor;
    const struct config_listen *listen;
    int fd;
    unsigned burst; /* accepted at once: twice as many as last time, while more are there */
    ev_io readable;
};

static void watch_all(struct acceptor *acceptor, bool on)
{
    struct acceptor_listener *each;
    LL_FOREACH (acceptor->listeners, each) {
        if (on)
            ev_io_start(acceptor->role->loop, &each->readable);
        else
            ev_io_stop(acceptor->role->loop, &each->readable);
    }
}

static void on_pause_end(struct ev_loop *loop, ev_timer *watcher, int events)
{
    (void)loop;
    (void)events;
    struct acceptor *acceptor = watcher->data;
    watch_all(acceptor, !acceptor->suspended);
}

/* EMFILE, ENFILE, ENOBUFS, ENOMEM: the connection stays in the kernel's queue, so the socket stays
 * readable; without a pause this would be a busy loop. */
static void pause_accepting(struct acceptor *acceptor)
{
    struct error error;
    error_errno(&error, "accept");
    LOG(&acceptor->role->log, LOG_ERROR, "accept_paused", log_failure(&error));
    watch_all(acceptor, false);
    ev_timer_set(&acceptor->pause, pause_seconds, 0.0);
    ev_timer_start(acceptor->role->loop, &acceptor->pause);
}

static void log_refused(struct acceptor *acceptor, const struct accepted *accepted,
                        enum connection_verdict verdict)
{
    uint64_t now_ms = turn_now_ms();
    acceptor->refused_count++;
    if (now_ms - acceptor->refused_at_ms < REFUSED_LINE_MS)
        return;
    char client[IP_ADDRESS_TEXT_SIZE];
    LOG(&acceptor->role->log, LOG_WARNING, "connection_refused",
        log_text("client", ip_address_format(&accepted->client, client)),
        log_text("service", config_service_name(accepted->listen->service)),
        log_text("limit", connection_verdict_limit(verdict)),
        log_number("count", (int64_t)acceptor->refused_count));
    acceptor->refused_at_ms = now_ms;
    acceptor->refused_count = 0;
}

static enum connection_verdict admit(struct acceptor *acceptor, struct accepted *accepted)
{
    struct connections *connections = &acceptor->connections;
    enum connection_verdict verdict =
        connections_enter(connections, &accepted->client, &accepted->share);
    struct connection_share *silent =
        connections_find_silent(connections, &accepted->client, verdict, turn_now_ms() - SILENT_MS);
    if (!silent)
        return verdict;
    acceptor->handler->on_silent(acceptor->owner, silent, verdict);
    return connections_enter(connections, &accepted->client, &accepted->share);
}

static void hand_over(struct acceptor *acceptor, struct accepted *accepted)
{
    enum connection_verdict verdict = admit(acceptor, accepted);
    if (verdict == CONNECTION_ADMITTED) {
        acceptor->handler->on_accepted(acceptor->owner, accepted);
        if (accepted->fd >= 0) /* not taken */
            connections_leave(&acceptor->connections, &accepted->share);
    } else {
        log_refused(acceptor, accepted, verdict);
        acceptor->handler->on_refused(acceptor->owner, accepted, verdict);
    }
    fd_discard(&accepted->fd);
}

/* False: nothing more to accept now. */
static bool accept_one(struct acceptor_listener *listener)
{
    struct sockaddr_storage name;
    socklen_t length = sizeof(name);
    struct accepted accepted = {.listen = listener->listen};
    accepted.fd =
        accept4(listener->fd, (struct sockaddr *)&name, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (accepted.fd < 0) {
        int code = errno;
        if (code == EMFILE || code == ENFILE || code == ENOBUFS || code == ENOMEM)
            pause_accepting(listener->acceptor);
        return code == ECONNABORTED || code == EINTR;
    }
    ip_address_from_sockaddr((struct sockaddr *)&name, &accepted.client, &accepted.client_port);
    hand_over(listener->acceptor, &accepted);
    return true;
}

static void on_readable(struct ev_loop *loop, ev_io *watcher, int events)
{
    (void)loop;
    (void)events;
    struct acceptor_listener *listener = watcher->data;
    for (unsigned i = 0; i < listener->burst && ev_is_active(watcher); i++) {
        if (!accept_one(listener)) {
            listener->burst = 1;
            return;
        }
    }
    if (listener->burst < BURST_MAX)
        listener->burst *= 2;
}

static bool add_listener(struct acceptor *acceptor, size_t section, int fd, struct error *error)
{
    struct acceptor_listener *listener = calloc(1, sizeof(*listener));
    if (!listener) {
        fd_discard(&fd);
        return error_memory(error);
    }
    listener->acceptor = acceptor;
    listener->listen = &acceptor->role->config.listens[section];
    listener->fd = fd;
    listener->burst = 1;
    LL_PREPEND(acceptor->listeners, listener);
    /* Replies are written whole; none should wait for the acknowledgement of the one before. What
     * is accepted inherits it. */
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    ev_io_init(&listener->readable, on_readable, fd, EV_READ);
    /* After a busy turn clients are heard before anyone is ended for being silent. */
    ev_set_priority(&listener->readable, EV_MINPRI);
    listener->readable.data = listener;
    return fd_set_nonblocking(fd, error);
}

static void cut_to(uint32_t *limit, uint32_t most)
{
    if (*limit > most)
        *limit = most > 0 ? most : 1;
}

/* No more connections than there are descriptors for. */
static void keep_budget(struct acceptor *acceptor)
{
    struct rlimit limit;
    struct config_limits *limits = &acceptor->connections.limits;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    rlim_t budget =
        limit.rlim_cur > RESERVED_DESCRIPTORS ? limit.rlim_cur - RESERVED_DESCRIPTORS : 0;
    budget /= DESCRIPTORS_PER_CONNECTION;
    if (budget >= limits->connections)
        return;
    LOG(&acceptor->role->log, LOG_WARNING, "connections_limited",
        log_number("connections", (int64_t)budget), log_number("wanted", limits->connections),
        log_text("reason", "RLIMIT_NOFILE"));
    limits->connections = (uint32_t)budget;
    cut_to(&limits->unauthenticated_connections, limits->connections);
    cut_to(&limits->unauthenticated_per_network, limits->unauthenticated_connections / 10);
}

bool acceptor_open(struct acceptor *acceptor, struct role *role, uint32_t processes,
                   const struct acceptor_handler *handler, void *owner, struct error *error)
{
    *acceptor = (struct acceptor){.role = role, .owner = owner, .handler = handler};
    ev_timer_init(&acceptor->pause, on_pause_end, pause_seconds, 0.0);
    acceptor->pause.data = acceptor;
    if (!connections_init(&acceptor->connections, &role->config.limits, processes, error))
        return false;
    keep_budget(acceptor);
    for (size_t i = 0; i < role->config.listen_count; i++) {
        int fd;
        while ((fd = role_take_file(role, DESCRIPTOR_LISTENER, (uint32_t)i)) >= 0)
            if (!add_listener(acceptor, i, fd, error))
                return false;
    }
    watch_all(acceptor, true);
    return true;
}

void acceptor_suspend(struct acceptor *acceptor)
{
    acceptor->suspended = true;
    watch_all(acceptor, false);
}

void acceptor_resume(struct acceptor *acceptor)
{
    acceptor->suspended = false;
    if (!ev_is_active(&acceptor->pause))
        watch_all(acceptor, true);
}

void acceptor_stop(struct acceptor *acceptor)
{
    if (!acceptor->role)
        return;
    ev_timer_stop(acceptor->role->loop, &acceptor->pause);
    watch_all(acceptor, false);
    struct acceptor_listener *each, *next;
    LL_FOREACH_SAFE (acceptor->listeners, each, next) {
        fd_discard(&each->fd);
        free(each);
    }
    acceptor->listeners = NULL;
}

void acceptor_clear(struct acceptor *acceptor)
{
    acceptor_stop(acceptor);
    connections_clear(&acceptor->connections);
}
