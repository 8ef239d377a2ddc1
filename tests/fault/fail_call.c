/*
 * Preloaded into a role (LD_PRELOAD), fails one call of one function:
 *
 *     FAIL_CALL=fdatasync:5:3     the third fdatasync after the event loop began returns EIO
 *
 * or ends the process there, as SIGKILL would:
 *
 *     FAIL_CALL=fsync:before:1    the first fsync is not made any more
 *     FAIL_CALL=fsync:after:1     it is made, and nothing after it
 *     FAIL_WHEN=/some/file        counting begins when that file is there
 *
 * strace's error injection is no use here: it replaces the number of the system call, and the
 * role's own seccomp filter ends the process for it. For the same reason what fails is the function
 * of the C library. malloc and calloc fail for real, with NULL.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static char target[32];
static char what[16]; /* an errno, or "before" or "after" */
static int code;
static long wanted;
static const char *when; /* a file, or NULL */
static atomic_long calls;
static atomic_bool armed;

static void __attribute__((constructor)) read_order(void)
{
    const char *order = getenv("FAIL_CALL");
    when = getenv("FAIL_WHEN");
    if (!order || sscanf(order, "%31[^:]:%15[^:]:%ld", target, what, &wanted) != 3)
        target[0] = '\0';
    code = atoi(what);
}

enum turn {
    TURN_NONE,
    TURN_FAILS,
    TURN_ENDS, /* the process, when the call is made */
};

static enum turn turn_of(const char *name)
{
    struct stat status;
    if (!atomic_load(&armed) || strcmp(name, target) != 0 || (when && stat(when, &status) != 0)
        || atomic_fetch_add(&calls, 1) + 1 != wanted)
        return TURN_NONE;
    if (strcmp(what, "before") == 0)
        _exit(1);
    errno = code;
    return code ? TURN_FAILS : TURN_ENDS;
}

static bool fails(const char *name)
{
    return turn_of(name) == TURN_FAILS;
}

/* A function pointer from dlsym's object pointer, as POSIX means it. */
#define REAL(name)                                                                                 \
    __typeof__(&name) real;                                                                        \
    *(void **)&real = dlsym(RTLD_NEXT, #name)

int epoll_wait(int fd, struct epoll_event *events, int most, int timeout)
{
    REAL(epoll_wait);
    atomic_store(&armed, true);
    return real(fd, events, most, timeout);
}

#define INTERPOSE(type, name, failed, parameters, ...)                                             \
    type name parameters;                                                                          \
    type name parameters                                                                           \
    {                                                                                              \
        REAL(name);                                                                                \
        enum turn turn = turn_of(#name);                                                           \
        type result = turn == TURN_FAILS ? failed : real(__VA_ARGS__);                             \
        if (turn == TURN_ENDS)                                                                     \
            _exit(1);                                                                              \
        return result;                                                                             \
    }

INTERPOSE(int, fsync, -1, (int fd), fd)

/* One fsync of those that common/disk/flush_batch.h has made at once; or the call that begins them.
 * It reads more words than the caller gave, as the library's own does. */
__attribute__((no_sanitize("address"))) long syscall(long number, ...)
{
    REAL(syscall);
    long words[6];
    va_list arguments;
    va_start(arguments, number);
    for (int i = 0; i < 6; i++)
        words[i] = va_arg(arguments, long);
    va_end(arguments);
    if (number == SYS_io_submit && fails("io_submit"))
        return -1;
    long result = real(number, words[0], words[1], words[2], words[3], words[4], words[5]);
    struct io_event *events = (struct io_event *)words[3];
    for (long i = 0; number == SYS_io_getevents && i < result; i++)
        if (fails("fsync"))
            events[i].res = -code;
    return result;
}

INTERPOSE(int, mkdirat, -1, (int fd, const char *name, mode_t mode), fd, name, mode)
INTERPOSE(ssize_t, writev, -1, (int fd, const struct iovec *vectors, int count), fd, vectors, count)
INTERPOSE(int, fdatasync, -1, (int fd), fd)
INTERPOSE(int, syncfs, -1, (int fd), fd)
INTERPOSE(int, linkat, -1, (int from_fd, const char *from, int to_fd, const char *to, int flags),
          from_fd, from, to_fd, to, flags)
INTERPOSE(int, unlinkat, -1, (int fd, const char *name, int flags), fd, name, flags)
INTERPOSE(int, unlink, -1, (const char *name), name)
INTERPOSE(int, renameat, -1, (int from_fd, const char *from, int to_fd, const char *to), from_fd,
          from, to_fd, to)
INTERPOSE(int, rename, -1, (const char *from, const char *to), from, to)
/* Berkeley DB follows a pwrite that failed by lseek and write: these fail with it. */
static _Thread_local bool write_too;

/* Files only: that of an eventfd cannot fail. */
ssize_t write(int fd, const void *octets, size_t count)
{
    REAL(write);
    struct stat status;
    bool is_file = fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
    if (is_file && write_too) {
        write_too = false;
        errno = code;
        return -1;
    }
    return is_file && fails("write") ? -1 : real(fd, octets, count);
}

/* Under both names, as with and without _FILE_OFFSET_BITS=64. */
#define INTERPOSE_AS(type, name, as, failed, parameters, ...)                                      \
    type name parameters;                                                                          \
    type name parameters                                                                           \
    {                                                                                              \
        REAL(name);                                                                                \
        enum turn turn = turn_of(as);                                                              \
        type result = turn == TURN_FAILS ? failed : real(__VA_ARGS__);                             \
        if (turn == TURN_ENDS)                                                                     \
            _exit(1);                                                                              \
        return result;                                                                             \
    }

INTERPOSE_AS(ssize_t, pwrite, "pwrite", (write_too = true, -1),
             (int fd, const void *octets, size_t count, off_t offset), fd, octets, count, offset)
INTERPOSE_AS(ssize_t, pwrite64, "pwrite", (write_too = true, -1),
             (int fd, const void *octets, size_t count, off64_t offset), fd, octets, count, offset)
INTERPOSE_AS(ssize_t, pread, "pread", -1, (int fd, void *octets, size_t count, off_t offset), fd,
             octets, count, offset)
INTERPOSE_AS(ssize_t, pread64, "pread", -1, (int fd, void *octets, size_t count, off64_t offset),
             fd, octets, count, offset)
INTERPOSE_AS(int, statvfs64, "statvfs", -1,
             (const char *restrict path, struct statvfs64 *restrict status), path, status)
INTERPOSE(ssize_t, sendmsg, -1, (int fd, const struct msghdr *message, int flags), fd, message,
          flags)
INTERPOSE(ssize_t, recvmsg, -1, (int fd, struct msghdr *message, int flags), fd, message, flags)
#define INTERPOSE_OPEN(name)                                                                       \
    int name(const char *path, int flags, ...)                                                     \
    {                                                                                              \
        REAL(name);                                                                                \
        va_list arguments;                                                                         \
        va_start(arguments, flags);                                                                \
        mode_t mode = va_arg(arguments, mode_t);                                                   \
        va_end(arguments);                                                                         \
        return fails("open") ? -1 : real(path, flags, mode);                                       \
    }
INTERPOSE_OPEN(open)
INTERPOSE_OPEN(open64)

#define INTERPOSE_OPENAT(name)                                                                     \
    int name(int fd, const char *path, int flags, ...)                                             \
    {                                                                                              \
        REAL(name);                                                                                \
        va_list arguments;                                                                         \
        va_start(arguments, flags);                                                                \
        mode_t mode = va_arg(arguments, mode_t);                                                   \
        va_end(arguments);                                                                         \
        return fails("open") ? -1 : real(fd, path, flags, mode);                                   \
    }
INTERPOSE_OPENAT(openat)
INTERPOSE_OPENAT(openat64)

#define INTERPOSE_FCNTL(name)                                                                      \
    int name(int fd, int command, ...)                                                             \
    {                                                                                              \
        REAL(name);                                                                                \
        va_list arguments;                                                                         \
        va_start(arguments, command);                                                              \
        uintptr_t argument = va_arg(arguments, uintptr_t);                                         \
        va_end(arguments);                                                                         \
        return fails("fcntl") ? -1 : real(fd, command, argument);                                  \
    }
INTERPOSE_FCNTL(fcntl)
INTERPOSE_FCNTL(fcntl64)

#ifndef __SANITIZE_ADDRESS__ /* which has an allocator of its own */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *octets, size_t size);

void *realloc(void *octets, size_t size)
{
    return fails("realloc") ? NULL : __libc_realloc(octets, size);
}

void *malloc(size_t size)
{
    return fails("malloc") ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    return fails("malloc") ? NULL : __libc_calloc(count, size);
}
#endif
