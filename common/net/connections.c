/* The counts of connections.h: a table of networks, each there while it has connections. */
#include "common/net/connections.h"

#include <stdlib.h>

#include <sodium.h>
#include <utlist.h>

_Static_assert(sizeof(((struct connections *)NULL)->hash_key) == crypto_shorthash_KEYBYTES,
               "the key of crypto_shorthash");

struct connection_network {
    struct connection_network *next; /* in its bucket */
    struct ip_address address;
    uint32_t count;
    uint32_t unauthenticated;
    struct connection_share *strangers; /* the longest silent first */
};

static uint32_t part_of(uint32_t whole, uint32_t processes)
{
    return whole / processes + (whole % processes != 0);
}

bool connections_init(struct connections *connections, const struct config_limits *limits,
                      uint32_t processes, struct error *error)
{
    *connections = (struct connections){.limits = *limits, .bucket_count = 64};
    struct config_limits *part = &connections->limits;
    part->connections = part_of(limits->connections, processes);
    part->connections_per_network = part_of(limits->connections_per_network, processes);
    part->unauthenticated_connections = part_of(limits->unauthenticated_connections, processes);
    part->unauthenticated_per_network = part_of(limits->unauthenticated_per_network, processes);
    while (connections->bucket_count < part->connections)
        connections->bucket_count *= 2;
    connections->buckets = calloc(connections->bucket_count, sizeof(struct connection_network *));
    if (!connections->buckets)
        return error_memory(error);
    randombytes_buf(connections->hash_key, sizeof(connections->hash_key));
    return true;
}

void connections_clear(struct connections *connections)
{
    free(connections->buckets);
    *connections = (struct connections){.count = 0};
}

static struct connection_network **find_bucket(const struct connections *connections,
                                               const struct ip_address *network)
{
    uint64_t hash;
    crypto_shorthash((uint8_t *)&hash, (const uint8_t *)network, sizeof(*network),
                     connections->hash_key);
    return &connections->buckets[hash & (connections->bucket_count - 1)];
}

static struct connection_network *find_network(const struct connections *connections,
                                               const struct ip_address *network)
{
    struct connection_network *each;
    LL_FOREACH (*find_bucket(connections, network), each)
        if (ip_address_equal(&each->address, network))
            return each;
    return NULL;
}

static enum connection_verdict judge(const struct connections *connections,
                                     const struct connection_network *network)
{
    const struct config_limits *limits = &connections->limits;
    if (network && network->count >= limits->connections_per_network)
        return CONNECTION_TOO_MANY_OF_NETWORK;
    if (network && network->unauthenticated >= limits->unauthenticated_per_network)
        return CONNECTION_TOO_MANY_UNAUTHENTICATED_OF_NETWORK;
    if (connections->count >= limits->connections)
        return CONNECTION_TOO_MANY;
    if (connections->unauthenticated >= limits->unauthenticated_connections)
        return CONNECTION_TOO_MANY_UNAUTHENTICATED;
    return CONNECTION_ADMITTED;
}

static struct connection_network *add_network(struct connections *connections,
                                              const struct ip_address *address)
{
    struct connection_network *network = calloc(1, sizeof(*network));
    if (!network)
        return NULL;
    network->address = *address;
    LL_PREPEND(*find_bucket(connections, address), network);
    return network;
}

static struct ip_address network_of(const struct connections *connections,
                                    const struct ip_address *client)
{
    return ip_address_network(client, connections->limits.network_ipv4_bits,
                              connections->limits.network_ipv6_bits);
}

enum connection_verdict connections_enter(struct connections *connections,
                                          const struct ip_address *client,
                                          struct connection_share *share)
{
    struct ip_address address = network_of(connections, client);
    struct connection_network *network = find_network(connections, &address);
    enum connection_verdict verdict = judge(connections, network);
    if (verdict != CONNECTION_ADMITTED)
        return verdict;
    if (!network)
        network = add_network(connections, &address);
    if (!network)
        return CONNECTION_NO_MEMORY;
    network->count++;
    network->unauthenticated++;
    connections->count++;
    connections->unauthenticated++;
    *share = (struct connection_share){.network = network};
    return CONNECTION_ADMITTED;
}

void connections_excuse(struct connections *connections, struct connection_share *share)
{
    if (!share->listed)
        return;
    share->listed = false;
    DL_DELETE(connections->strangers, share);
    DL_DELETE2(share->network->strangers, share, prev_of_network, next_of_network);
}

void connections_hear(struct connections *connections, struct connection_share *share,
                      uint64_t now_ms)
{
    if (share->authenticated || !share->network)
        return;
    connections_excuse(connections, share);
    share->listed = true;
    share->heard_ms = now_ms;
    DL_APPEND(connections->strangers, share);
    DL_APPEND2(share->network->strangers, share, prev_of_network, next_of_network);
}

struct connection_share *connections_find_silent(const struct connections *connections,
                                                 const struct ip_address *client,
                                                 enum connection_verdict verdict,
                                                 uint64_t before_ms)
{
    struct ip_address address = network_of(connections, client);
    const struct connection_network *network;
    struct connection_share *silent = NULL;
    switch (verdict) {
    case CONNECTION_TOO_MANY:
    case CONNECTION_TOO_MANY_UNAUTHENTICATED:
        silent = connections->strangers;
        break;
    case CONNECTION_TOO_MANY_OF_NETWORK:
    case CONNECTION_TOO_MANY_UNAUTHENTICATED_OF_NETWORK:
        network = find_network(connections, &address);
        silent = network ? network->strangers : NULL;
        break;
    default: /* room for one more is not what is missing */
        break;
    }
    return silent && silent->heard_ms <= before_ms ? silent : NULL;
}

void connections_authenticate(struct connections *connections, struct connection_share *share)
{
    if (share->authenticated || !share->network)
        return;
    connections_excuse(connections, share);
    share->authenticated = true;
    share->network->unauthenticated--;
    connections->unauthenticated--;
}

void connections_forget_who(struct connections *connections, struct connection_share *share)
{
    if (!share->authenticated || !share->network)
        return;
    share->authenticated = false;
    share->network->unauthenticated++;
    connections->unauthenticated++;
}

void connections_leave(struct connections *connections, struct connection_share *share)
{
    struct connection_network *network = share->network;
    if (!network)
        return;
    connections_authenticate(connections, share);
    share->network = NULL;
    connections->count--;
    if (--network->count > 0)
        return;
    LL_DELETE(*find_bucket(connections, &network->address), network);
    free(network);
}

const char *connection_verdict_limit(enum connection_verdict verdict)
{
    switch (verdict) {
    case CONNECTION_TOO_MANY:
        return "limits.connections";
    case CONNECTION_TOO_MANY_OF_NETWORK:
        return "limits.connections-per-network";
    case CONNECTION_TOO_MANY_UNAUTHENTICATED:
        return "limits.unauthenticated-connections";
    case CONNECTION_TOO_MANY_UNAUTHENTICATED_OF_NETWORK:
        return "limits.unauthenticated-per-network";
    default:
        return "out of memory";
    }
}
