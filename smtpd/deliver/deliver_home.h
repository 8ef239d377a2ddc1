/*
 * The accounts that a deliver process writes for, as the master told (ROLE_HOME): where each one's
 * Maildir lies below the process's directory, its quota, who listens. Their folders are opened when
 * they are first needed, and stay open within a bound. deliver alone.
 */
#ifndef SMTPD_DELIVER_DELIVER_HOME_H
#define SMTPD_DELIVER_DELIVER_HOME_H

#include "common/hash_table.h"
#include "common/role/master_protocol.h"
#include "storage/maildir.h"
#include "storage/maildir_find.h"
#include "storage/quota.h"

enum { DELIVER_HOMES_OPEN_MAX = 64 }; /* four descriptors each */

struct deliver_home {
    UT_hash_handle hh;
    uint64_t handle;
    char account[MASTER_ACCOUNT_MAX + 1]; /* for the log */
    char path[MASTER_PATH_MAX + 1];       /* below the root; "": the root itself */
    struct quota_limits quota;
    bool watched; /* a mailbox process wants to hear of new mail */
    bool changed; /* and has not been told yet; in deliver's list */
    struct deliver_home *next_changed;
    bool swept;
    bool is_open;
    bool needs_flush; /* on another file system than the one that queue flushes */
    struct maildir inbox;
    struct maildir_find find;
    char sent[MAILDIR_NAME_SIZE]; /* the folder with use \Sent, when it was last looked for; "" */
};

struct deliver_homes {
    int root_fd;    /* borrowed */
    bool is_system; /* the root is the Maildir of a system user, the only one here */
    char system_path[MASTER_PATH_MAX + 1]; /* and this is where that lies */
    dev_t device;                          /* of the file that queue flushes */
    bool flush_each;                       /* nothing may be left to that flush */
    struct deliver_home *table;            /* by handle */
    size_t open;
};

/* A ROLE_HOME: a new account, or another quota or path for one that is known. */
bool deliver_homes_set(struct deliver_homes *homes, const struct role_home *record,
                       struct slice texts, struct error *error);

/* NULL: the master never told. */
struct deliver_home *deliver_homes_find(struct deliver_homes *homes, uint64_t handle);

/* Opens INBOX, making the directories that lead to it. Fine if it is open already. */
bool deliver_home_open(struct deliver_homes *homes, struct deliver_home *home, struct error *error);

/* Opens the folder with use \Sent of an open home, to be closed by the caller; its name is
 * home->sent. *needs_flush as in the home. ERROR_NOT_FOUND: there is none. */
bool deliver_home_open_sent(const struct deliver_homes *homes, struct deliver_home *home,
                            struct maildir *box, bool *needs_flush, struct error *error);

/* What is on disk may have been replaced (an account removed and made again): open it anew the next
 * time. */
void deliver_home_close(struct deliver_homes *homes, struct deliver_home *home);

void deliver_homes_close(struct deliver_homes *homes); /* all of them */

/* Forgets what repeated deliveries had looked up, in all accounts. */
void deliver_homes_forget(struct deliver_homes *homes);

#endif
