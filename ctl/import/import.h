/*
 * `staffetta import`: mail from a Maildir, an mbox or another IMAP server into an account that is
 * in use.
 *
 *   command ──opens sessions of the account over the control socket──> drops its rights
 *      ├─ lists the source's folders
 *      └─ forks a worker for each session: it takes one folder after the other, reads from the
 *         source what the account does not have yet, and APPENDs it to the account
 *
 * A message is recognised by its INTERNALDATE and Message-ID (without one, its size), so an
 * interrupted import is simply started again and continues. Flags, keywords
 * and dates are kept; UIDs are new. The process that reads the source may do nothing else.
 */
#ifndef CTL_IMPORT_IMPORT_H
#define CTL_IMPORT_IMPORT_H

#include <stdatomic.h>

#include "common/arena.h"
#include "ctl/import/imap_client.h"

enum { IMPORT_SESSIONS_MAX = 16, IMPORT_MEMORY = 1 << 28 };

struct import_folder {
    const char *from; /* how the source calls it */
    const char *name; /* ours, UTF-8, '/' between levels */
    bool subscribed;
};

struct import_folders {
    struct import_folder *items;
    size_t count;
    size_t capacity;
    struct arena memory;
};

/* Shared by all processes of an import. */
struct import_progress {
    atomic_size_t next_folder;
    atomic_size_t folders_done;
    atomic_ullong seen;    /* messages of the source */
    atomic_ullong brought; /* of them, now */
    atomic_ullong octets;
    atomic_ullong refused; /* said on standard error */
    atomic_uint failed;    /* folders not read to their end */
};

/* One worker's session of the account. */
struct import_target {
    struct imap_client client;
    struct import_progress *progress;
    const struct import_folder *folder;
    uint64_t *known; /* the account's messages: sorted hashes, one for each message */
    bool *used;      /* the source has it, too */
    size_t known_count;
    struct buffer bodies; /* messages to be APPENDed together */
    struct import_waiting *waiting;
    size_t waiting_count;
};

struct import_message {
    struct slice flags; /* "\Seen $Work"; without \Recent */
    int64_t date;       /* INTERNALDATE, seconds since 1970 */
    struct slice octets;
};

/* Whether the account lacks the message with this identity; call once for each message of the
 * source, in its order. */
bool import_wants(struct import_target *target, int64_t date, struct slice header, uint64_t octets);

/* Line ends become CRLF. A message that the account refuses is reported and is not a failure. */
bool import_put(struct import_target *target, const struct import_message *message,
                struct error *error);

/* The kinds of sources. `open` is called in each process that reads. */
struct import_source {
    bool (*open)(struct import_source *source, struct error *error);
    void (*close)(struct import_source *source);
    bool (*list)(struct import_source *source, struct import_folders *folders, struct error *error);
    bool (*read)(struct import_source *source, struct import_target *target, struct error *error);
    const char *path; /* Maildir, mbox */
    int fd;           /* opened before dropping rights; -1: none */
    struct imap_server server;
    struct slice user, password;
    void *state;
};

extern const struct import_source import_from_maildir;
extern const struct import_source import_from_mbox;
extern const struct import_source import_from_imap;

bool import_add_folder(struct import_folders *folders, struct slice from, struct slice name,
                       bool subscribed, struct error *error);

/* Runs the import over these sessions of the account; takes their sockets. */
bool import_run(struct import_source *source, const int *sessions, size_t count,
                struct error *error);

#endif
