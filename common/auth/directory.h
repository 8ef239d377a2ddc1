/*
 * The tables of `auth`, in memory: our domains with their aliases, the sources of accounts in the
 * order of the configuration, the sender map. The files are read at start and whenever they change;
 * a file that does not parse, or has an alias loop, is refused and the old content stays in force.
 * resolve.h has the look-ups.
 *
 * Process `auth`; the command line, to check the files.
 */
#ifndef COMMON_AUTH_DIRECTORY_H
#define COMMON_AUTH_DIRECTORY_H

#include "common/auth/accounts_file.h"
#include "common/auth/address_map.h"
#include "common/auth/shared_file.h"
#include "common/auth/system_users.h"
#include "common/config/config.h"
#include "common/role/master_protocol.h"

/* A file of the configuration; path NULL: none. */
struct directory_file {
    const char *path;
    struct shared_file file; /* its dir_fd is owned */
};

/* An `accounts` section. */
struct directory_source {
    enum config_source source;
    const char *mailbox;   /* of system users, "~/Maildir" */
    uint64_t quota_octets; /* of accounts without a quota of their own; 0: none */
    uint32_t uid;          /* owner of virtual accounts' mail; set by directory_load()'s caller */
    uint32_t gid;          /* as uid */
    struct directory_file file;
    struct accounts accounts; /* empty for PAM */
};

/* A `domain` section. */
struct directory_domain {
    struct slice name; /* canonical */
    struct directory_file file;
    struct address_map aliases;
    struct address_map_target catch_all; /* from the configuration; address empty: none */
};

struct directory {
    struct arena arena;
    struct directory_source *sources;
    size_t source_count;
    struct directory_domain *domains; /* the first one completes names without a domain */
    size_t domain_count;
    struct directory_file senders_file;
    struct address_map senders;
    struct system_users *system_users; /* NULL: no source is PAM */
    size_t expansion_limit;            /* most targets that one recipient may have */
};

/* Opens the filesystem directory that contains the file `path` of section `index`. Returns the
 * descriptor, which struct directory then owns; -1 with *error. */
typedef int directory_opener(void *context, enum descriptor_purpose purpose, uint32_t index,
                             const char *path, struct error *error);

/* Opens by `path` alone, for the command line; ignores the other arguments. */
int directory_open_by_path(void *context, enum descriptor_purpose purpose, uint32_t index,
                           const char *path, struct error *error);

struct directory_means {
    directory_opener *opener;
    void *context;               /* for `opener` */
    system_user_lookup *look_up; /* for system_users_new() */
};

/* Reads all files; a file without a path in the configuration counts as empty. ERROR_PERMANENT
 * names file and line; a missing file is ERROR_NOT_FOUND. On failure the directory is cleared. The
 * configuration is not kept. After sodium_init(). */
bool directory_load(struct directory *directory, const struct config *config,
                    const struct directory_means *means, struct error *error);
void directory_clear(struct directory *directory); /* may run twice, also on a zeroed struct */

/* Replaces the domain's aliases by those of `text`, as if it were the content of their file. False:
 * it is refused, and nothing changes. */
bool directory_try_aliases(struct directory *directory, struct directory_domain *domain,
                           struct slice text, struct error *error);

/* A change of one file. */
struct directory_news {
    const char *file; /* its path; borrowed from the directory */
    bool refused;     /* false: the new content is in force; true: `error` says why not */
    struct error error;
};
typedef void directory_listener(void *context, const struct directory_news *news);

/* Checks every file by one fstatat() and reads those that changed. Calls the listener once for each
 * change. */
void directory_refresh(struct directory *directory, directory_listener *listener, void *context);

/* Our domain of that name, canonical; NULL if it is not ours. */
const struct directory_domain *directory_find_domain(const struct directory *directory,
                                                     struct slice name);

/* An account, as found in its source. */
struct directory_account {
    size_t source;              /* which `accounts` section */
    struct slice name;          /* canonical: address of a virtual account, name of a system user */
    const struct account *file; /* NULL: a system user, and `user` is filled */
    struct system_user user;
};

/* Finds the account in the first source that has it. `name`: the account's canonical name, or a
 * canonical address in one of our domains. ERROR_NOT_FOUND: there is none. ERROR_TEMPORARY: NSS
 * cannot tell. The result borrows `name`, and is valid until the next refresh. */
bool directory_find_account(const struct directory *directory, struct slice name, uint64_t now_ms,
                            struct directory_account *account, struct error *error);

/* The account's mail directory, owner and quota, as in master_protocol.h; the path, NUL-terminated,
 * is relative to home->place. ERROR_PERMANENT: the path is too long. */
bool directory_find_home(const struct directory *directory, const struct directory_account *account,
                         struct master_home *home, char path[MASTER_PATH_MAX + 1],
                         struct error *error);

#endif
