/*
 * Hibernation: once all sessions of the account have been quiet for timeouts.hibernate, each is
 * saved as a record (imapd/session/resume.h), which goes with its connection through the master to
 * imapd-login (MASTER_SLEEPS), and this process ends. The client does not notice. Its next octet,
 * or a change in the folder in which it idles, brings record and connection back to a process of
 * the account.
 *
 * All sessions hibernate or none: if one must stay awake, the process stays, and then the others
 * cost little. imapd-mailbox.
 */
#ifndef IMAPD_SESSION_HIBERNATION_H
#define IMAPD_SESSION_HIBERNATION_H

#include <ev.h>

#include "imapd/mailbox.h"

struct role;

struct hibernation {
    struct role *role;       /* borrowed */
    struct mailbox *mailbox; /* borrowed */
    /* All sessions hibernate now, and everything is closed; MASTER_SLEEPS was sent for each. */
    void (*on_asleep)(struct hibernation *hibernation);
    bool has_happened;
    ev_timer timer;
};

/* With timeouts.hibernate = never, no session ever hibernates. */
void hibernation_init(struct hibernation *hibernation, struct role *role, struct mailbox *mailbox,
                      void (*on_asleep)(struct hibernation *hibernation));
void hibernation_clear(struct hibernation *hibernation); /* may run twice, and on a zeroed struct */

/* To be called for each new session: starts checking whether all are quiet. */
void hibernation_begin(struct hibernation *hibernation);

#endif
