/*
 * Everything that `auth` knows about names, in memory: our domains with their aliases, the sources
 * of accounts in the order of the configuration, the sender map. The files are read at start and
 * whenever they change; a file that does not parse, or aliases that go in circles, are refused and
 * the old state stays. Questions about it are resolve.h's.
 *
 * Process `auth`, and the command line for checks.
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
    uint64_t quota_octets; /* of accounts without their own; 0: none */
    uint32_t uid;          /* owner of virtual accounts' mail; whoever loads sets them */
    uint32_t gid;
    struct directory_file file;
    struct accounts accounts; /* empty for PAM */
};

/* A `domain` section. */
struct directory_domain {
    struct slice name; /* canonical */
    struct directory_file file;
    struct address_map aliases;
    struct address_map_target catch_all; /* of the configuration; address empty: none */
};

struct directory {
    struct arena arena;
    struct directory_source *sources;
    size_t source_count;
    struct directory_domain *domains; /* the first completes names without one */
    size_t domain_count;
    struct directory_file senders_file;
    struct address_map senders;
    struct system_users *system_users; /* NULL: no source is PAM */
    size_t expansion_limit;            /* addresses that one recipient may become */
};

/* Where the files are: a descriptor of the directory that holds the one of this section, which
 * becomes the directory's own; -1 with *error. */
typedef int directory_opener(void *context, enum descriptor_purpose purpose, uint32_t index,
                             const char *path, struct error *error);

/* By the path of the configuration itself, as the command line does; context is not looked at. */
int directory_open_by_path(void *context, enum descriptor_purpose purpose, uint32_t index,
                           const char *path, struct error *error);

struct directory_means {
    directory_opener *opener;
    void *context;
    system_user_lookup *look_up; /* as system_users_new() takes it */
};

/* Reads all; what has no path in the configuration counts as empty. ERROR_PERMANENT names file and
 * line; a missing file is ERROR_NOT_FOUND. On failure the directory is cleared. The configuration
 * is not kept. sodium_init() was called. */
bool directory_load(struct directory *directory, const struct config *config,
                    const struct directory_means *means, struct error *error);
void directory_clear(struct directory *directory); /* may run twice, also on a zeroed struct */

/* Takes a text for the domain's aliases, as if it stood in their file: checked as a whole, refused
 * or taken. */
bool directory_try_aliases(struct directory *directory, struct directory_domain *domain,
                           struct slice text, struct error *error);

/* What a look at one file found. */
struct directory_news {
    const char *file; /* its path; borrowed from the directory */
    bool refused;     /* false: its new content holds from now on */
    struct error error;
};
typedef void directory_listener(void *context, const struct directory_news *news);

/* Looks at every file, one fstatat() each, and takes what changed. Each change is told once. */
void directory_refresh(struct directory *directory, directory_listener *listener, void *context);

/* Our domain of that name, canonical; NULL if it is not ours. */
const struct directory_domain *directory_find_domain(const struct directory *directory,
                                                     struct slice name);

/* An account as found in its source. */
struct directory_account {
    size_t source;              /* which `accounts` section */
    struct slice name;          /* canonical: address of a virtual account, name of a system user */
    const struct account *file; /* NULL: a system user, and `user` is filled */
    struct system_user user;
};

/* The first source that has it. `name` is the account's canonical name, or local part and domain of
 * an address of ours. ERROR_NOT_FOUND, or ERROR_TEMPORARY where NSS cannot tell. The result borrows
 * `name`, and is good until the next refresh. */
bool directory_find_account(const struct directory *directory, struct slice name, uint64_t now_ms,
                            struct directory_account *account, struct error *error);

/* Where its mail lies, whose it is and how much it may be, as master_protocol.h has it; the path,
 * NUL-terminated, is below the place. ERROR_PERMANENT if it gets too long. */
bool directory_find_home(const struct directory *directory, const struct directory_account *account,
                         struct master_home *home, char path[MASTER_PATH_MAX + 1],
                         struct error *error);

#endif
