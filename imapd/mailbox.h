/*
 * The state of one user's process: the account's directory, its open folders, the sessions of all
 * its clients. One event loop, one thread; long work is done in slices, one per turn of the loop,
 * so that the other sessions go on. imapd-mailbox.
 */
#ifndef IMAPD_MAILBOX_H
#define IMAPD_MAILBOX_H

#include "common/disk/flush_rounds.h"
#include "common/log.h"
#include "common/role/turn.h"
#include "imapd/fetch/message_cache.h"
#include "imapd/folder/undo.h"
#include "imapd/folder/watch.h"
#include "imapd/search/learn.h"
#include "storage/change_log.h"
#include "storage/file_system.h"
#include "storage/maildir.h"
#include "storage/quota.h"
#include "storage/subscriptions.h"
#include "storage/tombstone.h"

struct config;
struct folder;
struct account_question;
struct ipc_header;
struct session;
struct session_pass;
struct shared_question;
struct visit;

struct mailbox {
    struct turn turn;
    struct log *log;             /* borrowed */
    const struct config *config; /* borrowed */
    const char *account;         /* borrowed: the account's name, for the log */
    int account_fd;              /* borrowed: the account's directory, this role's root */
    struct maildir inbox;
    struct file_system file_system;
    struct quota_limits quota;
    uint8_t boot[CHANGE_LOG_BOOT_OCTETS];
    struct tombstone_batch tombstones; /* of expunged messages */
    struct subscriptions subscriptions;
    struct undo undo;
    struct watch watch;
    struct flush_rounds *flushes; /* borrowed */
    struct message_cache cache;
    struct learner learner;
    ev_timer names_due;      /* folder_names.c */
    ev_timer names_settling; /* folder_names.c */
    struct folder *folders;  /* in use, or unused and kept in memory */
    struct session *sessions;
    size_t session_count;
    void (*on_idle)(struct mailbox *mailbox); /* called when the last session has ended */
    uint32_t asleep; /* hibernating sessions of the account (imapd/session/hibernation.h), as last
                        reported */
    bool watched;    /* some hibernating sessions wait for changes */
    /* Tells them that a folder has changed; at most once a turn for the same folder. */
    void (*on_changed)(struct mailbox *mailbox, const char *directory);
    /* After UNAUTHENTICATE: passes the connection to imapd-login, with the input that was read but
     * not run. `fd` stays the caller's. */
    bool (*give_back)(struct mailbox *mailbox, const struct session_pass *pass, struct slice input,
                      int fd, struct error *error);
    char changed[MAILDIR_NAME_SIZE]; /* folder for on_changed at the end of the turn; "": none */
    struct deferred telling;

    /* For imapd/shared/: questions to the master, and the answers that are still to come. */
    bool (*tell_master)(struct mailbox *mailbox, struct ipc_header *head, size_t head_octets,
                        struct slice tail);
    uint64_t last_request;
    struct visit *visits; /* of this account's clients in other accounts */
    struct shared_question *questions;
    struct account_question *account_questions;
    bool shares; /* other users have rights to some folder */
};

/* What the mailbox needs from its process. All borrowed for as long as the mailbox is open. */
struct mailbox_means {
    struct ev_loop *loop;
    struct log *log;
    const struct config *config;
    const char *account;
    int account_fd; /* also the working directory of the process */
    struct quota_limits quota;
    struct flush_rounds *flushes;         /* open, not started */
    uint8_t boot[CHANGE_LOG_BOOT_OCTETS]; /* of storage/change_log.h */
};

/* Opens the account. A new account gets the usual folders (Drafts, Sent, Junk, Trash, Archive) with
 * their special use, subscribed. On failure the mailbox is closed. */
bool mailbox_open(struct mailbox *mailbox, const struct mailbox_means *means, struct error *error);

/* Ends all sessions too; may run twice, and on a zeroed struct. */
void mailbox_close(struct mailbox *mailbox);

/* Seconds since 1970. */
int64_t mailbox_now(void);

/* Creates a folder with this special use (0: none). ERROR_EXISTS: the folder exists. */
bool mailbox_create_folder(struct mailbox *mailbox, struct slice name, unsigned special_use,
                           struct error *error);

/* Whether the quota has room for this many more messages and octets (the total of all). If not:
 * ERROR_PERMANENT with code EDQUOT and a text for the user. */
bool mailbox_has_room(struct mailbox *mailbox, uint64_t octets, uint32_t messages,
                      struct error *error);

/* To be called when a folder was changed, renamed or removed. */
void mailbox_note_changed(struct mailbox *mailbox, const char *directory);

/* Adds to the quota's usage; negative: messages were removed. A failure is logged only: the next
 * recount corrects it. */
void mailbox_count_quota(struct mailbox *mailbox, int64_t octets, int64_t messages);

#endif
