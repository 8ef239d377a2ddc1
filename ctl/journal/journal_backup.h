/*
 * Copies the history while it is in use, for `staffetta backup`: into the subdirectory `backup` of
 * the journal's directory, from where the command copies it. "backup-journal begin" is answered
 * with "ok" when the copy is complete; "backup-journal end" removes it. No checkpoint takes place
 * meanwhile (common/disk/db_copy.h).
 */
#ifndef CTL_JOURNAL_JOURNAL_BACKUP_H
#define CTL_JOURNAL_JOURNAL_BACKUP_H

#include <ev.h>

#include "common/disk/db_copy.h"
#include "common/disk/flusher.h"
#include "common/role/control.h"

struct journal;

struct journal_backup {
    int client_fd; /* socket of the command that waits for the answer; -1: no backup under way */
    int target_fd;
    struct flusher_job checkpoint; /* before the copy */
    struct db_copy copy;
    ev_timer step;
};

/* Removes the remains of an earlier process. */
void journal_backup_init(struct journal *journal);

/* Takes the descriptor. */
void journal_backup_on_control(struct journal *journal, const struct control_words *words, int fd);

/* The database was closed: ends the backup, if one is under way. */
void journal_backup_give_up(struct journal *journal, const struct error *error);

static inline bool journal_backup_is_under_way(const struct journal_backup *backup)
{
    return backup->client_fd >= 0;
}

#endif
