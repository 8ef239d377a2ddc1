/*
 * What every role is made of: birth from the master, walls, one loop, channels to its peers. A
 * role's main() is one line:
 *
 *     return role_run(&filter_role, &filter);
 *
 * role_run() reads its birth records, calls prepare() (still able to open files), enters the
 * sandbox, calls start(), tells the master it is ready and runs the loop until role_exit() or until
 * the master is gone. Single-threaded; every callback runs on the loop and never blocks.
 */
#ifndef COMMON_ROLE_ROLE_H
#define COMMON_ROLE_ROLE_H

#include <ev.h>

#include "common/config/config.h"
#include "common/log.h"
#include "common/role/ipc.h"
#include "common/role/master_protocol.h"
#include "common/role/sandbox.h"

struct role;

/* A channel to one process of another role. The handlers of its rules get it as their owner. */
struct role_peer {
    struct role_peer *prev, *next;
    struct role *role;
    enum role_kind kind;
    uint32_t number;
    struct ipc_channel channel;
    void *data; /* the role's own, set in peer_up */
};

/* What a kind of peer may send us. */
struct role_link {
    enum role_kind kind;
    const struct ipc_rule *rules; /* owner of the handlers: struct role_peer */
    size_t count;
};

/* A descriptor that came with ROLE_DESCRIPTOR. Taking it means setting fd to -1. */
struct role_file {
    enum descriptor_purpose purpose;
    uint32_t index;
    int fd;
};

enum { ROLE_FILES_MAX = 256 };

/* With fewer descriptors (RLIMIT_NOFILE, the hard limit) the house does not start: the network
 * roles have what they need beside connections, and as many of these as `limits.connections` and
 * `relay.connections` must at least be. */
enum { ROLE_DESCRIPTORS_LEAST = 256, ROLE_CONNECTIONS_LEAST = 10 };

struct role_counts {
    uint64_t sessions;
    uint64_t queued;
    uint64_t held;
};

/* All of it static and constant. Callbacks may be NULL. */
struct role_spec {
    struct sandbox sandbox;
    const struct role_link *links;
    size_t link_count;
    const struct ipc_rule *orders; /* what the master may send beside what role.c handles itself;
                                      owner of the handlers: struct role */
    size_t order_count;

    /* Outside the walls: open what is outside. Which directory is to be the root:
     * DESCRIPTOR_DIRECTORY by default; prepare() may open another and put it into role->root_fd. */
    bool (*prepare)(struct role *role, struct error *error);
    /* Inside. Peers may be there already: peer_up was called for each after start. */
    bool (*start)(struct role *role, struct error *error);
    void (*peer_up)(struct role_peer *peer);
    void (*peer_down)(struct role_peer *peer); /* its channel is closed; peer is freed after */
    void (*reload)(struct role *role);         /* role->config and files are the new ones */
    /* Finish, then role_exit(); NULL: role_exit() at once. Called again where house_stops comes
     * true after it. */
    void (*stop)(struct role *role);
    /* After the last event, whether the master asked or died: a thread that uses the state has to
     * end before the state does. */
    void (*end)(struct role *role);
    void (*count)(struct role *role, struct role_counts *counts);
};

struct role {
    const struct role_spec *spec;
    void *state; /* what role_run() was given */
    struct ev_loop *loop;
    struct log log;
    struct config config;   /* as of birth or the last reload */
    struct config previous; /* in reload(), the one before; else empty */
    uint32_t configuration; /* its number, as `staffetta status` shows it */
    enum role_kind kind;
    uint32_t number;
    bool is_root;                 /* chroot and different uids */
    bool stopping;                /* ROLE_STOP came */
    bool house_stops;             /* and nothing goes on without us */
    bool landlocked;              /* the kernel knows Landlock */
    int root_fd;                  /* what becomes the root, -1: no files */
    int readable[ROLE_FILES_MAX]; /* other directories to be read, from prepare(); they stay open */
    size_t readable_count;
    uint8_t token_key[MASTER_SECRET_OCTETS];
    uint8_t srs_key[MASTER_SECRET_OCTETS];
    struct role_file files[ROLE_FILES_MAX];
    size_t file_count;
    struct ipc_channel master;
    struct role_peer *peers;
};

/* Runs the role; the result is main()'s. */
int role_run(const struct role_spec *spec, void *state);

/* Takes the (first not yet taken) descriptor of that purpose and index; -1 where there is none. */
int role_take_file(struct role *role, enum descriptor_purpose purpose, uint32_t index);

/* A live peer of that kind: the first, or NULL. With several (sessions use one filter of many) the
 * caller balances by role_next_peer(). */
struct role_peer *role_find_peer(struct role *role, enum role_kind kind);
struct role_peer *role_find_peer_number(struct role *role, enum role_kind kind, uint32_t number);
/* The peer of the same kind after this one, around the end to the first; itself if it is alone. */
struct role_peer *role_next_peer(struct role_peer *peer);

/* A record to the master. False only where the master is gone; the role is ending then. */
bool role_tell_master(struct role *role, struct ipc_header *head, size_t head_octets,
                      struct slice tail);

/* Handles at once what the master has sent by now. Records of two senders have no order among each
 * other: for what a peer says that rests on an order of the master that is here, but not read. */
void role_hear_master(struct role *role);

/* Ends the loop after this turn; main() returns 0. */
void role_exit(struct role *role);

#endif
