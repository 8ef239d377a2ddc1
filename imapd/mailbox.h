/*
 * The process of one user: his account's directory, the folders that are open, the sessions of all
 * his clients. One loop, one thread; whoever has much to do does it in slices, one a turn, so that
 * the other sessions go on. imapd-mailbox.
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
    const char *account;         /* borrowed: its name, for the log */
    int account_fd;              /* borrowed: the role's root */
    struct maildir inbox;
    struct file_system file_system;
    struct quota_limits quota;
    uint8_t boot[CHANGE_LOG_BOOT_OCTETS];
    struct tombstone_batch tombstones; /* of messages that were expunged */
    struct subscriptions subscriptions;
    struct undo undo;
    struct watch watch;
    struct flush_rounds *flushes; /* borrowed */
    struct message_cache cache;
    struct learner learner;
    ev_timer names_due; /* the next two are folder_names.c's */
    ev_timer names_settling;
    struct folder *folders; /* open, or kept for the next who asks */
    struct session *sessions;
    size_t session_count;
    void (*on_idle)(struct mailbox *mailbox); /* the last session has ended */
    uint32_t asleep; /* sessions of the account that are so (imapd/session/hibernation.h), as last
                        heard */
    bool watched;    /* some of them listen for changes */
    /* The folder has changed, for those. Once a turn at most while it is the same one. */
    void (*on_changed)(struct mailbox *mailbox, const char *directory);
    /* A session's client is nobody again: its connection goes to imapd-login, with what was read of
     * it and not run. `fd` stays the caller's. */
    bool (*give_back)(struct mailbox *mailbox, const struct session_pass *pass, struct slice input,
                      int fd, struct error *error);
    char changed[MAILDIR_NAME_SIZE]; /* to be told at the end of the turn; "": none */
    struct deferred telling;

    /* imapd/shared/: what the master is asked, and the answers that are still to come. */
    bool (*tell_master)(struct mailbox *mailbox, struct ipc_header *head, size_t head_octets,
                        struct slice tail);
    uint64_t last_request;
    struct visit *visits; /* of the account's clients, elsewhere */
    struct shared_question *questions;
    struct account_question *account_questions;
    bool shares; /* others have rights to some folder */
};

/* What the process was given. All borrowed, for as long as the mailbox is open. */
struct mailbox_means {
    struct ev_loop *loop;
    struct log *log;
    const struct config *config;
    const char *account;
    int account_fd; /* also the directory that the process stands in */
    struct quota_limits quota;
    struct flush_rounds *flushes;         /* open, not started */
    uint8_t boot[CHANGE_LOG_BOOT_OCTETS]; /* of storage/change_log.h */
};

/* Opens the account. A new one gets its usual folders (Drafts, Sent, Junk, Trash, Archive) with
 * their special use, subscribed. On failure it is closed. */
bool mailbox_open(struct mailbox *mailbox, const struct mailbox_means *means, struct error *error);

/* Ends what sessions there are, too; may run twice, and on a zeroed struct. */
void mailbox_close(struct mailbox *mailbox);

/* Seconds since 1970. */
int64_t mailbox_now(void);

/* Puts that folder into the account, with that special use (0: none). ERROR_EXISTS: it is there. */
bool mailbox_create_folder(struct mailbox *mailbox, struct slice name, unsigned special_use,
                           struct error *error);

/* So many messages more, of so many octets together: ERROR_PERMANENT with code EDQUOT, in words for
 * the user, if the quota has no room for them. */
bool mailbox_has_room(struct mailbox *mailbox, uint64_t octets, uint32_t messages,
                      struct error *error);

/* A folder has changed, or is called otherwise now, or was removed. */
void mailbox_note_changed(struct mailbox *mailbox, const char *directory);

/* So many messages came (or, below zero, went). A count that cannot be kept is logged: the next
 * recount makes it good. */
void mailbox_count_quota(struct mailbox *mailbox, int64_t octets, int64_t messages);

#endif
