/*
 * The process of one user: his account's directory, the folders that are open, the sessions of all
 * his clients. One loop, one thread; whoever has much to do does it in slices, one a turn, so that
 * the other sessions go on. imapd-mailbox.
 */
#ifndef IMAPD_MAILBOX_H
#define IMAPD_MAILBOX_H

#include "common/log.h"
#include "common/turn.h"
#include "imapd/watch.h"
#include "storage/file_system.h"
#include "storage/maildir.h"
#include "storage/quota.h"
#include "storage/subscriptions.h"

struct config;
struct folder;
struct session;

struct mailbox {
    struct turn turn;
    struct log *log;             /* borrowed */
    const struct config *config; /* borrowed */
    int account_fd;              /* borrowed: the role's root */
    struct maildir inbox;
    struct file_system file_system;
    struct quota_limits quota;
    struct subscriptions subscriptions;
    struct watch watch;
    struct folder *folders; /* open, or kept for the next who asks */
    struct session *sessions;
    size_t session_count;
    void (*on_idle)(struct mailbox *mailbox); /* the last session has ended */
};

/* Opens the account: directories, subscriptions, watch. The folders of a new account (Drafts, Sent,
 * Junk, Trash, Archive, with their special use) are made. On failure it is closed. */
bool mailbox_open(struct mailbox *mailbox, struct ev_loop *loop, int account_fd,
                  struct error *error);
void mailbox_close(struct mailbox *mailbox); /* sessions and folders too; may run twice */

/* Somebody says that a folder changed (its name on disk, empty for INBOX). */
void mailbox_on_changed(struct mailbox *mailbox, struct slice directory);

/* Seconds since 1970. */
int64_t mailbox_now(void);

#endif
