/*
 * Files of the spool whose body is no longer needed, kept to be overwritten by the next one.
 * Removing a file and creating another waits for the disk on some file systems, and on one without
 * a journal takes a third of the CPU of a long message; overwriting existing blocks costs neither.
 *
 * A spare file is ours alone: the kernel grants a write lease only if no process has another
 * descriptor or mapping of it, and it has only one name, so no backup has it. It is wiped before
 * anybody else gets it.
 *
 * A lease does not cover pages of the file that wait in a socket or pipe: sendfile, splice and
 * MSG_ZEROCOPY send them without a copy, so the reader there sees whatever the file holds by then.
 * Hence no role that a body is lent to may use these (common/role/sandbox.c).
 *
 * As many files are kept as were asked for in the last seconds; none if that were only a few. The
 * loop's thread only.
 */
#ifndef SMTPD_QUEUE_STORE_SPARE_FILES_H
#define SMTPD_QUEUE_STORE_SPARE_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    SPARE_FILES_MAX = 512,
    SPARE_FILES_FEW = 8,               /* if at most as many are asked for in 2 s, none is kept */
    SPARE_FILE_OCTETS_MAX = 256 << 10, /* longer files are not kept */
    SPARE_OCTETS_MAX = 64 << 20,       /* total size of spare files */
};

struct spare_file {
    uint64_t id;     /* of its last body; the file still has that name */
    uint64_t octets; /* its size */
};

/* Zeroed: no spare files. */
struct spare_files {
    struct spare_file files[SPARE_FILES_MAX];
    size_t count;
    uint64_t octets;
    size_t asked, asked_before; /* since the last tick; between the two ticks before that */
};

/* Whether another spare file would be kept, so that it is worth opening one. */
bool spare_files_wanted(const struct spare_files *spares);

/* Keeps the file. `fd` must be the only descriptor of it; the caller closes it next. False: the
 * file cannot be kept. */
bool spare_files_keep(struct spare_files *spares, uint64_t id, int fd);

/* Takes a spare file. False: there is none. Each call counts as demand. */
bool spare_files_take(struct spare_files *spares, struct spare_file *spare);

/* Fills the file with zeros. False: it cannot be used. */
bool spare_file_wipe(const struct spare_file *spare, int write_fd);

/* To be called once a second: first spare_files_tick(), then spare_files_drop() until it returns
 * false. That gives the ids of files that are no longer needed, or of all if disk space is
 * `scarce`. */
void spare_files_tick(struct spare_files *spares);
bool spare_files_drop(struct spare_files *spares, bool scarce, uint64_t *id);

#endif
