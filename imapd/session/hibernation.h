/*
 * Hibernation: once all sessions of the account have been quiet for timeouts.hibernate, each
 * becomes a record (imapd/session/resume.h), which goes with its connection to imapd-login, by the
 * master (MASTER_SLEEPS), and this process ends. The client sees nothing of it. Its next octet, or
 * a change of the folder that it idles in, brings record and connection back to a process of that
 * account.
 *
 * All of them or none: one that must stay awake keeps the process, and then the others cost little.
 * imapd-mailbox.
 */
#ifndef IMAPD_SESSION_HIBERNATION_H
#define IMAPD_SESSION_HIBERNATION_H

#include <ev.h>

#include "imapd/mailbox.h"

struct role;

struct hibernation {
    struct role *role;       /* borrowed */
    struct mailbox *mailbox; /* borrowed */
    /* All sessions are asleep now, and everything is closed; MASTER_SLEEPS of each was sent. */
    void (*on_asleep)(struct hibernation *hibernation);
    bool has_happened;
    ev_timer timer;
};

/* With timeouts.hibernate = never nothing ever happens. */
void hibernation_init(struct hibernation *hibernation, struct role *role, struct mailbox *mailbox,
                      void (*on_asleep)(struct hibernation *hibernation));
void hibernation_clear(struct hibernation *hibernation); /* may run twice, and on a zeroed struct */

/* A session came: from now on it is looked whether they are quiet. */
void hibernation_begin(struct hibernation *hibernation);

#endif
