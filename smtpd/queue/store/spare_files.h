/*
 * Files of the spool whose body is gone, to be overwritten by the next ones. Removing a file and
 * making another waits for some disks, and is a third of the CPU of a long message on a file system
 * without journal; overwriting blocks that are there costs neither.
 *
 * A spare file is nobody's but ours: the kernel grants a write lease only where no other descriptor
 * or mapping of it is left in any process, and it has one name, so it is in no backup that has a
 * record of it. It is wiped before anybody else sees it again.
 *
 * What a lease does not know of is a page of the file that waits in a socket or pipe: sent by
 * sendfile, splice or MSG_ZEROCOPY it is not copied, and shows who reads it there whatever the file
 * has got since. No role that a body is lent to may do that (common/role/sandbox.c).
 *
 * As many are kept as were asked for within the last seconds, none where those were few. The loop's
 * thread alone.
 */
#ifndef SMTPD_QUEUE_STORE_SPARE_FILES_H
#define SMTPD_QUEUE_STORE_SPARE_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    SPARE_FILES_MAX = 512,
    SPARE_FILES_FEW = 8,               /* asked for within two seconds: then none is kept */
    SPARE_FILE_OCTETS_MAX = 256 << 10, /* a longer one is not kept */
    SPARE_OCTETS_MAX = 64 << 20,       /* of all */
};

struct spare_file {
    uint64_t id;     /* its name still */
    uint64_t octets; /* its size */
};

/* Zeroed: none. */
struct spare_files {
    struct spare_file files[SPARE_FILES_MAX];
    size_t count;
    uint64_t octets;
    size_t asked, asked_before; /* since the last tick, and between the two before */
};

/* Before opening one that could be kept. */
bool spare_files_wanted(const struct spare_files *spares);

/* False: it is not fit for it. `fd` is the only descriptor that the caller has of it, and closed
 * next. */
bool spare_files_keep(struct spare_files *spares, uint64_t id, int fd);

/* One to be used again, in any case a question that was asked. False: there is none. */
bool spare_files_take(struct spare_files *spares, struct spare_file *spare);

/* All of it is zeros afterwards. False: it cannot be used. */
bool spare_file_wipe(const struct spare_file *spare, int write_fd);

/* Once a second; then the ids of those that are too many, one by one; all if room is `scarce`. */
void spare_files_tick(struct spare_files *spares);
bool spare_files_drop(struct spare_files *spares, bool scarce, uint64_t *id);

#endif
