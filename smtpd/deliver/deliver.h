/*
 * The role deliver: writes messages into the Maildirs of one uid, for queue. One process for each
 * uid with mail to be delivered; it ends when it was idle for timeouts.linger.
 *
 *   queue ── DELIVER_MESSAGE ──> look (again) ─> quota ─> tmp/ ─> new/ ── DELIVER_RESULT ──> queue
 *                                                           └─ MASTER_CHANGED ─> master ─> mailbox
 *
 * Each message is written and answered within its handler. A result tells queue that the message is
 * visible, and flushed or covered by a syncfs on the file of DELIVER_SYNC.
 *
 * The role's root directory is the directory tree of the `accounts` section (virtual accounts), or
 * the only Maildir (a system user).
 */
#ifndef SMTPD_DELIVER_DELIVER_H
#define SMTPD_DELIVER_DELIVER_H

#include "common/role/role.h"
#include "common/role/turn.h"
#include "smtpd/deliver/deliver_home.h"
#include "storage/file_system.h"

struct deliver {
    struct role *role;
    struct turn turn;
    struct deferred announce;     /* MASTER_CHANGED of this turn's deliveries */
    struct deliver_home *changed; /* their homes */
    struct deliver_homes homes;
    struct file_system fs;
    int sync_fd;         /* the file of DELIVER_SYNC, for queue's syncfs */
    uint64_t homes_told; /* ROLE_HOME records received, for MASTER_IDLE */
    uint64_t messages;   /* delivered messages, for the counts */
    ev_timer idle;       /* fires after timeouts.linger without work */
    ev_timer forget;     /* calls deliver_homes_forget() */
};

extern const struct role_spec deliver_role; /* state: struct deliver, zeroed */

#endif
