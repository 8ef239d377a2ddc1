/*
 * Listening sockets. They are bound once and stay open through reloads and upgrades: an address
 * that the new configuration still has keeps its socket, so no connection is refused meanwhile.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/disk/fd.h"
#include "ctl/master/master.h"

enum { BACKLOG = 1024 };

static bool is_bound_to(int fd, const struct listener *wanted)
{
    struct sockaddr_storage name;
    socklen_t length = sizeof(name);
    struct ip_address address;
    uint16_t port;
    if (getsockname(fd, (struct sockaddr *)&name, &length) != 0)
        return false;
    ip_address_from_sockaddr((struct sockaddr *)&name, &address, &port);
    return port == wanted->section->port && ip_address_equal(&address, wanted->address);
}

static int find_open(const struct open_sockets *sockets, const struct listener *wanted)
{
    for (size_t i = 0; i < sockets->count; i++)
        if (is_bound_to(sockets->fds[i], wanted))
            return sockets->fds[i];
    return -1;
}

struct open_sockets listeners_of(const struct setup *setup)
{
    struct open_sockets sockets = {.count = setup->listener_count};
    for (size_t i = 0; i < setup->listener_count; i++)
        sockets.fds[i] = setup->listeners[i].fd;
    return sockets;
}

static bool bind_socket(int fd, const struct listener *listener)
{
    const int on = 1;
    struct sockaddr_storage address;
    socklen_t length = ip_address_to_sockaddr(listener->address, listener->section->port, &address);
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0)
        return false;
    /* ::1 and 127.0.0.1 are two listeners; neither takes the other's. */
    if (address.ss_family == AF_INET6
        && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) != 0)
        return false;
    return bind(fd, (struct sockaddr *)&address, length) == 0 && listen(fd, BACKLOG) == 0;
}

static bool open_listener(struct listener *listener, const struct open_sockets *open,
                          struct error *error)
{
    int kept = find_open(open, listener);
    if (kept >= 0) {
        listener->fd = fcntl(kept, F_DUPFD_CLOEXEC, 0);
        return listener->fd >= 0 || error_errno(error, "keep listening socket");
    }
    bool ipv4 = listener->address->family == IP_V4;
    listener->fd = socket(ipv4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (listener->fd >= 0 && bind_socket(listener->fd, listener))
        return true;
    char text[IP_ADDRESS_TEXT_SIZE];
    ip_address_format(listener->address, text);
    return error_errno(error, "line %u: listen on %s port %u", listener->section->line, text,
                       listener->section->port);
}

/* A machine without IPv6, or without ::1, does without that listener; `staffetta check`, which runs
 * before every start, has said so. */
static bool is_absent_ipv6(const struct listener *listener, const struct error *error)
{
    return listener->address->family == IP_V6
           && (error->code == EAFNOSUPPORT || error->code == EADDRNOTAVAIL);
}

bool listeners_open(struct setup *setup, const struct open_sockets *open, struct error *error)
{
    for (size_t i = 0; i < setup->config.listen_count; i++) {
        const struct config_listen *section = &setup->config.listens[i];
        for (size_t j = 0; j < section->addresses.count; j++) {
            if (setup->listener_count == LISTENERS_MAX)
                return error_set(error, ERROR_PERMANENT, "line %u: more than %d listening sockets",
                                 section->line, LISTENERS_MAX);
            struct listener *listener = &setup->listeners[setup->listener_count++];
            *listener = (struct listener){.section = section,
                                          .address = &section->addresses.items[j],
                                          .index = (uint32_t)i,
                                          .fd = -1};
            if (open_listener(listener, open, error))
                continue;
            fd_discard(&listener->fd);
            if (!is_absent_ipv6(listener, error))
                return false;
            setup->listener_count--;
        }
    }
    return true;
}
