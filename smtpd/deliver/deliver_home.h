/*
 * The accounts that a deliver process writes for, as named by the master (ROLE_HOME): the path of
 * each Maildir below the process's root directory, its quota, and whether changes are to be
 * reported. Folders are opened on demand and stay open within a bound. deliver only.
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
    bool watched; /* new mail is to be reported by MASTER_CHANGED */
    bool changed; /* has new mail that was not reported yet; in deliver's list */
    struct deliver_home *next_changed;
    bool swept;
    bool is_open;
    bool needs_flush; /* not on the file system that queue's syncfs covers */
    struct maildir inbox;
    struct maildir_find find;
    char sent[MAILDIR_NAME_SIZE]; /* the folder with use \Sent, when last looked up; "": none */
};

struct deliver_homes {
    int root_fd;    /* borrowed */
    bool is_system; /* the root is the Maildir of a system user, the only home here */
    char system_path[MASTER_PATH_MAX + 1]; /* is_system: path of that Maildir */
    dev_t device;                          /* of the file of DELIVER_SYNC */
    bool flush_each;                       /* syncfs cannot be trusted: flush every message */
    struct deliver_home *table;            /* by handle */
    size_t open;
};

/* Takes a ROLE_HOME: a new account, or a new quota or path of a known one. */
bool deliver_homes_set(struct deliver_homes *homes, const struct role_home *record,
                       struct slice texts, struct error *error);

/* NULL: no ROLE_HOME had this handle. */
struct deliver_home *deliver_homes_find(struct deliver_homes *homes, uint64_t handle);

/* Opens INBOX, making the directories that lead to it. Fine if it is open already. */
bool deliver_home_open(struct deliver_homes *homes, struct deliver_home *home, struct error *error);

/* Opens the folder with use \Sent of an open home, to be closed by the caller; its name is
 * home->sent. *needs_flush as in the home. ERROR_NOT_FOUND: there is none. */
bool deliver_home_open_sent(const struct deliver_homes *homes, struct deliver_home *home,
                            struct maildir *box, bool *needs_flush, struct error *error);

/* Closes the home, so that it is opened again when next needed: the Maildir on disk may have been
 * replaced (an account removed and made again). */
void deliver_home_close(struct deliver_homes *homes, struct deliver_home *home);

void deliver_homes_close(struct deliver_homes *homes); /* all of them */

/* Clears the look-up tables of repeated deliveries (`find`) in all accounts. */
void deliver_homes_forget(struct deliver_homes *homes);

#endif
