/*
 * The role `mailbox`: one process for each user with IMAP sessions, under the user's uid, rooted in
 * the user's Maildir. The master tells it the account (ROLE_HOME), and sends it clients
 * (ROLE_SESSION), changes by other processes (ROLE_CHANGED), requests of an administrator
 * (ROLE_CONTROL) and submissions that read by a URL (ROLE_READ). It hands quiet clients over for
 * hibernation (imapd/session/hibernation.h). After a while without sessions it sends MASTER_IDLE
 * and is ended. imapd-mailbox.
 */
#ifndef IMAPD_MAILBOX_ROLE_H
#define IMAPD_MAILBOX_ROLE_H

#include "common/role/role.h"
#include "imapd/mailbox.h"
#include "imapd/session/entrance.h"
#include "imapd/session/hibernation.h"
#include "imapd/upkeep/upkeep.h"
#include "imapd/url_readings.h"

struct mailbox_process {
    struct role *role;
    struct flush_rounds flushes;
    struct mailbox mailbox;
    struct entrance entrance;
    struct upkeep upkeep;
    struct url_readings readings;
    struct hibernation hibernation;
    struct master_home home;
    char account[MASTER_ACCOUNT_MAX + 1];
    char path[MASTER_PATH_MAX + 1]; /* of the Maildir, relative to its place */
    uint8_t boot[CHANGE_LOG_BOOT_OCTETS];
    uint64_t given; /* clients that the master sent us */
    ev_timer idle;
};

/* state: a struct mailbox_process, zeroed. */
extern const struct role_spec mailbox_role;

#endif
