/* Can every address of every listen line be bound? */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "common/disk/fd.h"
#include "ctl/check/check.h"

/* Binds as the master does, and lets go at once. 0 or an errno. */
static int try_to_bind(const struct ip_address *address, uint16_t port)
{
    const int on = 1;
    struct sockaddr_storage name;
    socklen_t length = ip_address_to_sockaddr(address, port, &name);
    int fd = socket(name.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return errno;
    int code = 0;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0
        || (address->family == IP_V6
            && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) != 0)
        || bind(fd, (struct sockaddr *)&name, length) != 0 || listen(fd, 1) != 0)
        code = errno;
    fd_discard(&fd);
    return code;
}

static void explain(const struct config_listen *listen, const struct ip_address *address, int code,
                    struct config_mistakes *mistakes)
{
    char text[IP_ADDRESS_TEXT_SIZE];
    const char *service = config_service_name(listen->service);
    ip_address_format(address, text);
    if (address->family == IP_V6 && (code == EAFNOSUPPORT || code == EADDRNOTAVAIL))
        config_mistakes_add(mistakes, CONFIG_WARNING, listen->line,
                            "listen %s: there is no IPv6 address %s here, it is skipped", service,
                            text);
    else if (code == EADDRINUSE)
        config_mistakes_add(mistakes, CONFIG_MISTAKE, listen->line,
                            "listen %s: port %u of %s is in use: stop the program that has it, or "
                            "write another port",
                            service, listen->port, text);
    else if (code == EADDRNOTAVAIL)
        config_mistakes_add(mistakes, CONFIG_MISTAKE, listen->line,
                            "listen %s: this machine has no address %s: write one of its own",
                            service, text);
    else if (code == EACCES)
        config_mistakes_add(mistakes, CONFIG_MISTAKE, listen->line,
                            "listen %s: port %u is for root: start as root, or write a port from "
                            "1024",
                            service, listen->port);
    else
        config_mistakes_add(mistakes, CONFIG_MISTAKE, listen->line, "listen %s: %s port %u: %s",
                            service, text, listen->port, strerrordesc_np(code));
}

static bool is_any(const struct ip_address *address)
{
    const struct ip_address any = {.family = address->family};
    return ip_address_equal(address, &any);
}

static bool meet(const struct ip_address *a, const struct ip_address *b)
{
    return a->family == b->family && (ip_address_equal(a, b) || is_any(a) || is_any(b));
}

/* The line before that wants the same; NULL: none. Each can be bound alone, but not both. */
static const struct config_listen *find_rival(const struct config *config, size_t mine,
                                              const struct ip_address *address)
{
    for (size_t i = 0; i < mine; i++)
        for (size_t j = 0; j < config->listens[i].addresses.count; j++)
            if (config->listens[i].port == config->listens[mine].port
                && meet(&config->listens[i].addresses.items[j], address))
                return &config->listens[i];
    return NULL;
}

static void check_rivals(const struct config *config, size_t mine, struct config_mistakes *mistakes)
{
    const struct config_listen *listen = &config->listens[mine];
    for (size_t j = 0; j < listen->addresses.count && listen->port != 0; j++) {
        char text[IP_ADDRESS_TEXT_SIZE];
        const struct ip_address *address = &listen->addresses.items[j];
        const struct config_listen *rival = find_rival(config, mine, address);
        if (rival)
            config_mistakes_add(mistakes, CONFIG_MISTAKE, listen->line,
                                "listen %s: port %u of %s is that of line %u too: write another "
                                "port, or other addresses",
                                config_service_name(listen->service), listen->port,
                                ip_address_format(address, text), rival->line);
    }
}

void check_ports(const struct config *config, struct config_mistakes *mistakes)
{
    for (size_t i = 0; i < config->listen_count; i++) {
        const struct config_listen *listen = &config->listens[i];
        check_rivals(config, i, mistakes);
        for (size_t j = 0; j < listen->addresses.count && listen->port != 0; j++) {
            int code = try_to_bind(&listen->addresses.items[j], listen->port);
            if (code != 0)
                explain(listen, &listen->addresses.items[j], code, mistakes);
        }
    }
}
