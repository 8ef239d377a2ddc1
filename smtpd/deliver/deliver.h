/*
 * The role deliver: puts messages into the Maildirs of one uid, on behalf of queue. One process for
 * each uid that has mail to be delivered; it lives until it had nothing to do for
 * timeouts.linger.
 *
 *   queue ── DELIVER_MESSAGE ──> look (again) ─> quota ─> tmp/ ─> new/ ── DELIVER_RESULT ──> queue
 *                                                           └─ MASTER_CHANGED ─> master ─> mailbox
 *
 * Each message is written and answered within its handler: to queue a result means that the message
 * is visible, and flushed or covered by a syncfs on the file of DELIVER_SYNC.
 *
 * Its directory is the place (virtual accounts) or the one Maildir (a system user).
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
    int sync_fd;         /* what queue flushes */
    uint64_t homes_told; /* ROLE_HOME records so far, for MASTER_IDLE */
    uint64_t messages;   /* delivered, for the counts */
    ev_timer idle;       /* nothing to do for timeouts.linger */
    ev_timer forget;     /* what repeated deliveries had looked up */
};

extern const struct role_spec deliver_role; /* state: struct deliver, zeroed */

#endif
