/*
 * A copy of the queue while it is in use, for `staffetta backup`: the directory `backup` in the
 * queue's own, as a queue's directory is, which the command copies from there.
 *
 *   backup-queue begin   answered with "ok" once it is there
 *   backup-queue end     removes it
 *
 *   BACKUP_NONE ──> BACKUP_CHECKPOINT ──> BACKUP_COPYING ──> BACKUP_NONE
 *
 * From the checkpoint to the end no other takes place (db_copy.h), and bodies that are delivered
 * meanwhile keep their files: each record of the copy finds its own.
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
    int client_fd; /* who waits for the answer */
    int target_fd;
    struct flusher_job checkpoint;
    struct db_copy copy;
};

/* Removes what an earlier life left. */
void backup_init(struct queue *queue);

/* Takes the descriptor. */
void backup_on_control(struct queue *queue, const struct control_words *words, int fd);

/* A step, at the end of a turn. */
void backup_run(struct queue *queue);

static inline bool backup_is_under_way(const struct backup *backup)
{
    return backup->stage != BACKUP_NONE;
}

#endif
