/*
 * Descriptors: whole writes, whole reads, closing without losing an error. -1 is "none" everywhere.
 * Blocking files only, save where said; sockets of an event loop use common/net/stream or
 * common/role/ipc.
 */
#ifndef COMMON_DISK_FD_H
#define COMMON_DISK_FD_H

#include "common/buffer.h"
#include "common/error.h"
#include "common/slice.h"

/* Writes all of it, through EINTR and short writes. A write that moves nothing is an error. */
bool fd_write_all(int fd, struct slice octets, struct error *error);
bool fd_pwrite_all(int fd, struct slice octets, uint64_t offset, struct error *error);

/* Reads until `size` octets or the end of the file; *got says how many. */
bool fd_read_full(int fd, void *octets, size_t size, size_t *got, struct error *error);
bool fd_pread_full(int fd, void *octets, size_t size, uint64_t offset, size_t *got,
                   struct error *error);

/* Appends all up to the end of the file. False, ERROR_PERMANENT, if it is longer than the buffer's
 * limit. */
bool fd_read_all(int fd, struct buffer *octets, struct error *error);

/* Everything that was written to the file system of that file is on its disk, or false. syncfs()
 * alone says so too of one that the kernel made read-only after an error, and of an ext4 that was
 * shut down: nothing was flushed there. */
bool fd_sync_filesystem(int fd, struct error *error);

/* Closes and sets *fd to -1; an error of close (a delayed write failed) is an error. */
bool fd_close(int *fd, struct error *error);

/* Closes what may be open, sets *fd to -1, and has nothing to say. For clean-up. errno is kept. */
void fd_discard(int *fd);

bool fd_set_nonblocking(int fd, struct error *error);

#endif
