/*
 * Listening sockets. They are bound once and live through reloads: an address that the new
 * configuration still has keeps its socket, so no connection is ever refused meanwhile.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/fd.h"
#include "ctl/master.h"

enum { BACKLOG = 1024 };

static const struct listener *find_old(const struct house *old, const struct listener *wanted)
{
    for (size_t i = 0; old && i < old->listener_count; i++)
        if (old->listeners[i].section->port == wanted->section->port
            && ip_address_equal(old->listeners[i].address, wanted->address))
            return &old->listeners[i];
    return NULL;
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

static bool open_listener(struct listener *listener, const struct house *old, struct error *error)
{
    const struct listener *kept = find_old(old, listener);
    if (kept) {
        listener->fd = fcntl(kept->fd, F_DUPFD_CLOEXEC, 0);
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

bool listeners_open(struct house *house, const struct house *old, struct error *error)
{
    for (size_t i = 0; i < house->config.listen_count; i++) {
        const struct config_listen *section = &house->config.listens[i];
        for (size_t j = 0; j < section->addresses.count; j++) {
            if (house->listener_count == LISTENERS_MAX)
                return error_set(error, ERROR_PERMANENT, "line %u: more than %d listening sockets",
                                 section->line, LISTENERS_MAX);
            struct listener *listener = &house->listeners[house->listener_count++];
            *listener = (struct listener){.section = section,
                                          .address = &section->addresses.items[j],
                                          .index = (uint32_t)i,
                                          .fd = -1};
            if (open_listener(listener, old, error))
                continue;
            fd_discard(&listener->fd);
            if (!is_absent_ipv6(listener, error))
                return false;
            house->listener_count--;
        }
    }
    return true;
}
