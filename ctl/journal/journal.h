/*
 * The journal: writes every event of every role as a line to standard error (for systemd's journal)
 * or to the log file; events of messages are also kept (history.h), for `staffetta why`. It has one
 * socket for each process, so that none can send events in another's name. Role ROLE_JOURNAL; no
 * network, no files but the log and its own directory.
 */
#ifndef CTL_JOURNAL_JOURNAL_H
#define CTL_JOURNAL_JOURNAL_H

#include "common/disk/flusher.h"
#include "common/role/role.h"
#include "ctl/journal/journal_backup.h"
#include "ctl/journal/metrics_count.h"
#include "ctl/journal/stories.h"

struct journal_feed;
struct history;

struct journal {
    struct role *role;
    int fd; /* log file or standard error */
    struct journal_feed *feeds;
    struct buffer lines; /* of this turn, written at its end with one call */
    ev_prepare turn_end;
    struct history *history; /* NULL: off, or it cannot be opened for now */
    struct flusher *flusher; /* while there is a history */
    struct flusher_job checkpoint;
    ev_timer commit; /* soon after an event was noted */
    ev_timer second;
    uint64_t next_prune_s, next_open_s; /* on the loop's clock */
    bool noted;                         /* since the last second */
    /* About the history, each kind logged at most once a minute; on the loop's clock. */
    struct {
        uint64_t losses; /* not logged yet */
        uint64_t next_loss_s, next_message_s;
    } complaints;
    struct metrics metrics;
    uint64_t lost; /* lines that could not be written */
    struct journal_backup backup;
    struct stories stories;
};

/* Logs a failure of the history; if it is no longer usable, closes it, to be opened again later. */
void journal_lose_history(struct journal *journal, const struct error *error);

extern const struct role_spec journal_role;

#endif
