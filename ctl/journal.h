/*
 * The journal: every event of every role arrives here, and becomes a line on standard error (for
 * systemd's journal) or in the log file. It reads from one socket a role, so that nobody can speak
 * in another's name. Role ROLE_JOURNAL; no network, no file but the log.
 */
#ifndef CTL_JOURNAL_H
#define CTL_JOURNAL_H

#include "common/role.h"

struct journal_feed;

struct journal {
    struct role *role;
    int fd; /* where lines go */
    struct journal_feed *feeds;
    struct buffer lines; /* of this turn, written at its end with one call */
    ev_prepare turn_end;
    uint64_t lost; /* lines that could not be written */
};

extern const struct role_spec journal_role;

#endif
