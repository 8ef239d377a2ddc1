/*
 * Bodies too long for the database, one file each, below `spool` in the queue's directory. The
 * queue only; functions marked (second thread) may run there, all others on the loop.
 *
 *   spool_create      an unlinked file (O_TMPFILE), or one of an earlier body, wiped
 *   spool_seal        nobody can write to it any more: the kernel grants a read lease
 *   spool_link        it has its name, and its octets are on their way (second thread)
 *   spool_flush_file  it is flushed with the next spool_flush          (second thread)
 *   spool_flush       the octets and the names of all are on disk      (second thread)
 *   spool_flushed     was this one's flush good?                       (second thread)
 *      ...the record is committed, the message acknowledged...
 *   spool_open_body   for each delivery
 *   spool_remove      once the record is gone: kept for another body (spare_files.h), or doomed
 *   spool_unlink      what is doomed is removed                         (second thread)
 *
 * A crash leaves either nothing, or a name without a record: spool_sweep removes those at start.
 * A spare file has the name of its last body until it gets the next one.
 */
#ifndef SMTPD_QUEUE_STORE_SPOOL_H
#define SMTPD_QUEUE_STORE_SPOOL_H

#include "common/buffer.h"
#include "common/disk/flush_batch.h"
#include "common/error.h"
#include "common/slice.h"
#include "smtpd/queue/store/spare_files.h"

struct spool {
    int directory_fd;     /* -1: not open */
    int proc_fd;          /* /proc/self/fd, from outside the chroot; -1: there is none */
    bool unnamed;         /* the file system has O_TMPFILE and we have proc_fd to link by */
    bool leases;          /* it has leases; else the octets are copied */
    uint64_t created;     /* numbers of named files */
    bool keeps;           /* see spool_keep */
    struct buffer kept;   /* ids of bodies to be removed then */
    struct buffer doomed; /* ids of bodies to be removed by the second thread */
    struct spare_files spares;
    struct flush_batch flushes; /* the second thread's */
};

/* A body that has no record yet. */
struct spool_file {
    int read_fd;   /* -1: none */
    char name[32]; /* where it has a name already: its own of a named file, that of its last body,
                      or the id's once linked; else empty */
    uint64_t lent_octets; /* its size when it was lent: 0 but for one that was used before */
    int flush_code;       /* errno of its flush; 0 beforehand and if it was good */
};

#define SPOOL_FILE_NONE                                                                            \
    {                                                                                              \
        .read_fd = -1, .name = ""                                                                  \
    }

/* Before the chroot: opens /proc/self/fd, and what flushes many files at once. The absence of
 * either is no failure. From then on the process ignores SIGIO. */
void spool_prepare(struct spool *spool);

/* Opens (makes) the directory `spool` below the current directory, finds out what its file system
 * can do, and removes what an earlier life left unfinished. */
bool spool_open(struct spool *spool, struct error *error);
void spool_close(struct spool *spool); /* may run twice */

/* Moves the whole directory `spool`, which is not open, below `target` in the current directory:
 * the bodies belong to the database that was set aside there. No spool is no failure. */
bool spool_set_aside(const char *target, struct error *error);

/* A file with nothing but zeros in it, if anything: *write_fd to be given away and closed,
 * file->read_fd kept. */
bool spool_create(struct spool *spool, struct spool_file *file, int *write_fd, struct error *error);

/* From now on nobody can change it. ERROR_PEER: somebody still holds it open for writing, or it has
 * not that many octets. */
bool spool_seal(struct spool *spool, struct spool_file *file, uint64_t octets, struct error *error);

/* Starts to write it out, without waiting, and gives it the name of the id. (second thread) */
bool spool_link(struct spool *spool, struct spool_file *file, uint64_t id, struct error *error);

/* All files that were named since the last time and the directory go to disk at once: then the
 * kernel's journal and the disk's cache are flushed once for all. (second thread) */
void spool_flush_file(struct spool *spool, struct spool_file *file);

/* False: no name is sure to be on disk. (second thread) */
bool spool_flush(struct spool *spool, struct error *error);

/* After that. After a failure discard the file: the kernel may have dropped what it could not
 * write. (second thread) */
bool spool_flushed(const struct spool_file *file, struct error *error);

/* Closes; a name that it has is doomed. May run twice. */
void spool_discard(struct spool *spool, struct spool_file *file);

/* Closes; the name stays: its record is committed. */
void spool_release(struct spool_file *file);

/* The body of that id, read-only; -1 on failure. ERROR_PERMANENT: it is not there, or has not that
 * many octets. Whatever it has behind them is nothing: zeros of an earlier, longer body. */
int spool_open_body(const struct spool *spool, uint64_t id, uint64_t octets, struct error *error);

/* No record of it is on disk any more. */
void spool_remove(struct spool *spool, uint64_t id);

/* What is to be removed, oldest first, at most `most`; how many. Theirs from then on. */
size_t spool_take_doomed(struct spool *spool, uint64_t *ids, size_t most);

/* That it is not there is no failure. (second thread) */
bool spool_unlink(const struct spool *spool, uint64_t id, struct error *error);

/* Once a second: files that are spared for nothing are doomed; all of them if room is `scarce`. */
void spool_tick(struct spool *spool, bool scarce);

/* From now on what is to be removed stays, so that a copy of the database finds its bodies; until
 * spool_let_go(), which removes it. What it cannot remove, or found no memory for, the next start
 * removes. */
void spool_keep(struct spool *spool);
void spool_let_go(struct spool *spool);

/* A second name for every body, in the directory `target_fd`. */
bool spool_link_all(struct spool *spool, int target_fd, struct error *error);

/* Removes each body for which `wanted` says no. Fails, with its *error, where `wanted` fails. */
typedef bool spool_wanted(void *context, uint64_t id, bool *wanted, struct error *error);
bool spool_sweep(struct spool *spool, spool_wanted *wanted, void *context, struct error *error);

#endif
