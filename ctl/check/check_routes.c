/* What routes name: password files, addresses of this host. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/disk/fd.h"
#include "ctl/check/check.h"

/* The master opens the file for the relay, so it is enough that root may. */
static void check_password_file(const struct config_route *route, struct config_mistakes *mistakes)
{
    const struct config_text *path = &route->password_file;
    struct stat facts;
    if (!path->text)
        return;
    if (stat(path->text, &facts) != 0 || access(path->text, R_OK) != 0)
        config_mistakes_add(mistakes, CONFIG_MISTAKE, path->line,
                            "route.password-file: %.100s: %s: write the password into its first "
                            "line",
                            path->text, strerrordesc_np(errno));
    else if (!S_ISREG(facts.st_mode))
        config_mistakes_add(mistakes, CONFIG_MISTAKE, path->line,
                            "route.password-file: %.100s is no file: write another path",
                            path->text);
    else if (facts.st_mode & S_IRWXO)
        config_mistakes_add(mistakes, CONFIG_WARNING, path->line,
                            "route.password-file: anybody may read or write %.100s: chmod 600",
                            path->text);
}

static bool is_of_this_host(const struct ip_address *address)
{
    struct sockaddr_storage name;
    socklen_t length = ip_address_to_sockaddr(address, 0, &name);
    int fd = socket(name.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool bound = fd >= 0 && bind(fd, (struct sockaddr *)&name, length) == 0;
    fd_discard(&fd);
    return bound;
}

static void check_sources(const struct config_route *route, struct config_mistakes *mistakes)
{
    for (size_t i = 0; i < route->source.count; i++) {
        char text[IP_ADDRESS_TEXT_SIZE];
        if (!is_of_this_host(&route->source.items[i]))
            config_mistakes_add(mistakes, CONFIG_MISTAKE, route->line,
                                "route %.100s: this machine has no address %s: write one of its "
                                "own",
                                route->domain, ip_address_format(&route->source.items[i], text));
    }
}

void check_routes(const struct config *config, struct config_mistakes *mistakes)
{
    for (size_t i = 0; i < config->route_count; i++) {
        check_password_file(&config->routes[i], mistakes);
        check_sources(&config->routes[i], mistakes);
    }
}
