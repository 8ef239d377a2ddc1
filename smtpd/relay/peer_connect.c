/*
 * Connecting. Where a host has addresses of both families, the one that answers first is used (RFC
 * 8305 5); see peer.h. relay.
 *
 *   begin ─┬─ socket to `address` ────────────────────────┬─ the first that connects is kept, the
 *          └─ after PEER_STAGGER_MS: socket to `other` ───┘  other one closed before a word is said
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "common/disk/fd.h"
#include "smtpd/relay/peer_internal.h"

static void stop_way(struct peer *peer, struct peer_way *way)
{
    ev_io_stop(peer->turn->loop, &way->connectable);
    fd_discard(&way->fd);
}

void peer_stop_connecting(struct peer *peer)
{
    stop_way(peer, &peer->ways[0]);
    stop_way(peer, &peer->ways[1]);
    ev_timer_stop(peer->turn->loop, &peer->connect_timer);
    ev_timer_stop(peer->turn->loop, &peer->stagger_timer);
}

static void fail_to_connect(struct peer *peer, enum peer_failure_kind kind, int code)
{
    struct error error;
    errno = code;
    error_errno(&error, "connect to port %u", peer->settings->port);
    peer_fail(peer, &(struct peer_end){kind, "4.4.1", error.text, NULL});
}

static void way_is_open(struct peer *peer, struct peer_way *way)
{
    int fd = way->fd;
    ev_io_stop(peer->turn->loop, &way->connectable);
    way->fd = -1;
    peer_stop_connecting(peer);
    if (way == &peer->ways[1])
        peer->handler->moved(peer);
    peer_connected(peer, fd);
}

/* The other attempt may still succeed. */
static void way_is_closed(struct peer *peer, struct peer_way *way, enum peer_failure_kind kind,
                          int code)
{
    stop_way(peer, way);
    if (peer->ways[0].fd < 0 && peer->ways[1].fd < 0)
        fail_to_connect(peer, kind, code);
}

static void on_connectable(struct ev_loop *loop, ev_io *watcher, int events)
{
    (void)loop;
    (void)events;
    struct peer *peer = watcher->data;
    struct peer_way *way = &peer->ways[watcher == &peer->ways[1].connectable];
    int code = 0;
    socklen_t size = sizeof(code);
    if (getsockopt(way->fd, SOL_SOCKET, SO_ERROR, &code, &size) != 0)
        code = errno;
    if (code != 0)
        way_is_closed(peer, way, PEER_UNREACHABLE, code);
    else
        way_is_open(peer, way);
}

static bool bind_source(int fd, const struct ip_address *source)
{
    struct sockaddr_storage name;
    const int on = 1;
    socklen_t length = ip_address_to_sockaddr(source, 0, &name);
    if (length == 0)
        return true;
    /* A source port is taken per pair of endpoints, not per connection. */
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
    return bind(fd, (const struct sockaddr *)&name, length) == 0;
}

static void try_way(struct peer *peer, struct peer_way *way, const struct ip_address *address,
                    const struct ip_address *source)
{
    const int on = 1;
    struct sockaddr_storage name;
    char text[IP_ADDRESS_TEXT_SIZE];
    transcript_add_event(&peer->opening, "connecting to %s [%s], port %u", peer->settings->host,
                         ip_address_format(address, text), peer->settings->port);
    socklen_t length = ip_address_to_sockaddr(address, peer->settings->port, &name);
    way->fd = socket(name.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (way->fd < 0 || !bind_source(way->fd, source)) {
        way_is_closed(peer, way, PEER_LOCAL, errno);
        return;
    }
    /* Each write is a whole group of commands: holding back its end gains nothing. */
    setsockopt(way->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (connect(way->fd, (const struct sockaddr *)&name, length) == 0) {
        way_is_open(peer, way);
        return;
    }
    if (errno != EINPROGRESS) {
        way_is_closed(peer, way, PEER_UNREACHABLE, errno);
        return;
    }
    ev_io_set(&way->connectable, way->fd, EV_WRITE);
    ev_io_start(peer->turn->loop, &way->connectable);
}

static void on_connect_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    fail_to_connect(timer->data, PEER_UNREACHABLE, ETIMEDOUT);
}

static void on_stagger_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    struct peer *peer = timer->data;
    peer->tried_other = true;
    try_way(peer, &peer->ways[1], &peer->settings->other, &peer->settings->other_source);
}

void peer_prepare_to_connect(struct peer *peer)
{
    for (size_t i = 0; i < 2; i++) {
        peer->ways[i].fd = -1;
        ev_io_init(&peer->ways[i].connectable, on_connectable, -1, EV_WRITE);
        peer->ways[i].connectable.data = peer;
    }
    ev_timer_init(&peer->connect_timer, on_connect_timer, 0.0, 0.0);
    ev_timer_init(&peer->stagger_timer, on_stagger_timer, 0.0, 0.0);
    peer->connect_timer.data = peer->stagger_timer.data = peer;
}

static void start_timer(struct peer *peer, ev_timer *timer, unsigned milliseconds)
{
    ev_timer_set(timer, (double)milliseconds / 1000.0, 0.0);
    ev_timer_start(peer->turn->loop, timer);
}

void peer_begin_to_connect(struct peer *peer)
{
    const struct peer_settings *settings = peer->settings;
    try_way(peer, &peer->ways[0], &settings->address, &settings->source);
    if (peer->state != PEER_CONNECTING)
        return;
    start_timer(peer, &peer->connect_timer, settings->connect_ms);
    if (settings->other.family != IP_NONE)
        start_timer(peer, &peer->stagger_timer, PEER_STAGGER_MS);
}
