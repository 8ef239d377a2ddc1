/*
 * The framework of every role: start by the master, sandbox, one loop, channels to its peers. A
 * role's main() is one line:
 *
 *     return role_run(&filter_role, &filter);
 *
 * role_run() reads the records that the master sends at start, calls prepare() (which can still
 * open files), enters the sandbox, calls start(), tells the master that it is ready and runs the
 * loop until role_exit() or until the master is gone. Single-threaded; every callback runs on the
 * loop and never blocks.
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
    void *data; /* for the role's use, set in peer_up */
};

/* The records that peers of one kind may send us. */
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

/* The server does not start with a lower hard limit of descriptors (RLIMIT_NOFILE). It leaves
 * network roles what they need for themselves, and the connections that `limits.connections` and
 * `relay.connections` must at least allow. */
enum { ROLE_DESCRIPTORS_LEAST = 256, ROLE_CONNECTIONS_LEAST = 10 };

struct role_counts {
    uint64_t sessions;
    uint64_t queued;
    uint64_t held;
};

/* Static and constant. Callbacks may be NULL. */
struct role_spec {
    struct sandbox sandbox;
    const struct role_link *links;
    size_t link_count;
    const struct ipc_rule *orders; /* records of the master that role.c does not handle itself;
                                      owner of the handlers: struct role */
    size_t order_count;

    /* Called before the sandbox is entered, to open files outside it. The sandbox's root directory
     * is DESCRIPTOR_DIRECTORY, unless prepare() puts another one into role->root_fd. */
    bool (*prepare)(struct role *role, struct error *error);
    /* Called in the sandbox. Peers that have connected by then get their peer_up after it. */
    bool (*start)(struct role *role, struct error *error);
    void (*peer_up)(struct role_peer *peer);
    void (*peer_down)(struct role_peer *peer); /* its channel is closed; peer is freed afterwards */
    void (*reload)(struct role *role);         /* role->config and role->files are the new ones */
    /* Called at ROLE_STOP: finish the work under way, then call role_exit(). NULL: role_exit() at
     * once. Called again if server_stops becomes true later. */
    void (*stop)(struct role *role);
    /* Called after the last event, whether the master stopped the role or died. Threads that use
     * the state must end here. */
    void (*end)(struct role *role);
    void (*count)(struct role *role, struct role_counts *counts);
};

struct role {
    const struct role_spec *spec;
    void *state; /* the argument of role_run() */
    struct ev_loop *loop;
    struct log log;
    struct config config;   /* the configuration in force */
    struct config previous; /* during reload(): the previous configuration; else empty */
    uint32_t configuration; /* number of `config`, as `staffetta status` shows it */
    enum role_kind kind;
    uint32_t number;
    bool is_root;                 /* the server runs with chroot and different uids */
    bool stopping;                /* ROLE_STOP came */
    bool server_stops;            /* ROLE_STOP came, and the whole server stops */
    bool landlocked;              /* the kernel has Landlock */
    int root_fd;                  /* the sandbox's root directory; -1: no files */
    int readable[ROLE_FILES_MAX]; /* other directories it may read, from prepare(); stay open */
    size_t readable_count;
    uint8_t token_key[MASTER_SECRET_OCTETS];
    uint8_t srs_key[MASTER_SECRET_OCTETS];
    struct role_file files[ROLE_FILES_MAX];
    size_t file_count;
    struct ipc_channel master;
    struct role_peer *peers;
};

/* Runs the role; returns main()'s exit status. */
int role_run(const struct role_spec *spec, void *state);

/* Takes the first descriptor of that purpose and index not taken yet; -1: there is none. */
int role_take_file(struct role *role, enum descriptor_purpose purpose, uint32_t index);

/* The first connected peer of that kind, or NULL. To spread work over several (a session uses one
 * filter of many), go on by role_next_peer(). */
struct role_peer *role_find_peer(struct role *role, enum role_kind kind);
struct role_peer *role_find_peer_number(struct role *role, enum role_kind kind, uint32_t number);
/* The next peer of the same kind, the first one after the last; itself if there is no other. */
struct role_peer *role_next_peer(struct role_peer *peer);

/* Sends a record to the master. False only if the master is gone; the role is ending then. */
bool role_tell_master(struct role *role, struct ipc_header *head, size_t head_octets,
                      struct slice tail);

/* Handles at once the records that the master has sent by now. Records of different senders are not
 * ordered: call this before a peer's record that depends on an earlier one of the master. */
void role_hear_master(struct role *role);

/* Ends the loop after this turn; main() returns 0. */
void role_exit(struct role *role);

#endif
