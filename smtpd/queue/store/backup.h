/*
 * Copies the queue while it is in use, for `staffetta backup`: into the subdirectory `backup` of
 * the queue's directory, with the same layout, from where the command copies it.
 *
 *   backup-queue begin   answered with "ok" once it is there
 *   backup-queue end     removes it
 *
 *   BACKUP_NONE ──> BACKUP_CHECKPOINT ──> BACKUP_COPYING ──> BACKUP_NONE
 *
 * No other checkpoint takes place until the end (db_copy.h), and files of bodies that are delivered
 * meanwhile are kept, so that each record of the copy finds its body.
 */
#ifndef SMTPD_QUEUE_STORE_BACKUP_H
#define SMTPD_QUEUE_STORE_BACKUP_H

#include "common/disk/db_copy.h"
#include "common/disk/flusher.h"
#include "common/role/control.h"

struct queue;

enum backup_stage { BACKUP_NONE, BACKUP_CHECKPOINT, BACKUP_COPYING };

struct backup {
    enum backup_stage stage;
    int client_fd; /* socket of the command that waits for the answer */
    int target_fd;
    struct flusher_job checkpoint;
    struct db_copy copy;
};

/* Removes the remains of an earlier process. */
void backup_init(struct queue *queue);

/* Takes the descriptor. */
void backup_on_control(struct queue *queue, const struct control_words *words, int fd);

/* Does one step; called at the end of a turn. */
void backup_run(struct queue *queue);

static inline bool backup_is_under_way(const struct backup *backup)
{
    return backup->stage != BACKUP_NONE;
}

#endif
