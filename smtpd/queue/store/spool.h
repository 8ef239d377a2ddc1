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
    bool unnamed;         /* the file system has O_TMPFILE, and proc_fd allows linking */
    bool leases;          /* the file system has leases; else the octets are copied */
    uint64_t created;     /* number of the last file that was created with a name */
    bool keeps;           /* between spool_keep() and spool_let_go() */
    struct buffer kept;   /* ids of bodies to be removed at spool_let_go() */
    struct buffer doomed; /* ids of bodies to be removed by the second thread */
    struct spare_files spares;
    struct flush_batch flushes; /* used by the second thread only */
};

/* A body that has no record yet. */
struct spool_file {
    int read_fd;   /* -1: none */
    char name[32]; /* of a file created with a name: that name; of a spare file: its last body's;
                      once linked: the id's; else empty */
    uint64_t lent_octets; /* size when it was lent; 0 unless it is a spare file */
    int flush_code;       /* errno of its flush; 0 before the flush, and after success */
};

#define SPOOL_FILE_NONE                                                                            \
    {                                                                                              \
        .read_fd = -1, .name = ""                                                                  \
    }

/* Before the chroot: opens /proc/self/fd, and `flushes`. The absence of either is no failure. From
 * then on the process ignores SIGIO. */
void spool_prepare(struct spool *spool);

/* Opens (makes) the directory `spool` below the current directory, finds out what its file system
 * can do, and removes files that an earlier process left unfinished. */
bool spool_open(struct spool *spool, struct error *error);
void spool_close(struct spool *spool); /* may run twice */

/* Moves the whole directory `spool`, which is not open, below `target` in the current directory:
 * the bodies belong to the database that was set aside there. No spool is no failure. */
bool spool_set_aside(const char *target, struct error *error);

/* A file that is empty or contains only zeros. The caller gives *write_fd away and closes it;
 * file->read_fd is kept. */
bool spool_create(struct spool *spool, struct spool_file *file, int *write_fd, struct error *error);

/* Makes sure that no process can change the file any more. ERROR_PEER: a process still has it open
 * for writing, or it has not `octets` octets (a spare file: not lent_octets, if that is more). */
bool spool_seal(struct spool *spool, struct spool_file *file, uint64_t octets, struct error *error);

/* Starts writing the file to disk, without waiting, and gives it the name of the id. (second
 * thread)
 */
bool spool_link(struct spool *spool, struct spool_file *file, uint64_t id, struct error *error);

/* Adds the file to the next spool_flush(), which flushes all of them and the directory at once, so
 * that the file system's journal and the disk's cache are flushed only once. (second thread) */
void spool_flush_file(struct spool *spool, struct spool_file *file);

/* False: no new name is sure to be on disk. (second thread) */
bool spool_flush(struct spool *spool, struct error *error);

/* After spool_flush(): the result for one file. After a failure discard the file: the kernel may
 * have dropped the pages. (second thread) */
bool spool_flushed(const struct spool_file *file, struct error *error);

/* Closes the file; if it has a name, the file will be removed. May run twice. */
void spool_discard(struct spool *spool, struct spool_file *file);

/* Closes the file after its record was committed; the name stays. */
void spool_release(struct spool_file *file);

/* The body of that id, read-only; -1 on failure. ERROR_PERMANENT: it does not exist, or is shorter
 * than `octets`. Octets after them are zeros, left by an earlier, longer body. */
int spool_open_body(const struct spool *spool, uint64_t id, uint64_t octets, struct error *error);

/* To be called when no record of the body is on disk any more. */
void spool_remove(struct spool *spool, uint64_t id);

/* Takes up to `most` ids of bodies to be removed, oldest first. Returns their number. */
size_t spool_take_doomed(struct spool *spool, uint64_t *ids, size_t most);

/* Success also if the file does not exist. (second thread) */
bool spool_unlink(const struct spool *spool, uint64_t id, struct error *error);

/* Once a second: dooms spare files that are not needed, or all of them if disk space is
 * `scarce`. */
void spool_tick(struct spool *spool, bool scarce);

/* From now on no body is removed, so that a copy of the database finds its bodies, until
 * spool_let_go(), which removes them. Those that it cannot remove, or had no memory to remember,
 * are removed at the next start. */
void spool_keep(struct spool *spool);
void spool_let_go(struct spool *spool);

/* Links every body into the directory `target_fd`. */
bool spool_link_all(struct spool *spool, int target_fd, struct error *error);

/* Removes each body for which `wanted` sets *wanted to false. Fails, with its *error, if `wanted`
 * fails. */
typedef bool spool_wanted(void *context, uint64_t id, bool *wanted, struct error *error);
bool spool_sweep(struct spool *spool, spool_wanted *wanted, void *context, struct error *error);

#endif
