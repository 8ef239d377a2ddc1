/*
 * The sandbox of a role: chroot, capabilities, Landlock, seccomp. A role says in one static struct
 * what it needs; role_run() (common/role/role.h) enters the sandbox between prepare() and start().
 */
#ifndef COMMON_ROLE_SANDBOX_H
#define COMMON_ROLE_SANDBOX_H

#include <stddef.h>
#include <stdint.h>

#include "common/error.h"

/* Groups of system calls. SANDBOX_LOOP is always on: memory, clocks, epoll, reading, writing and
 * closing of open descriptors, exit. */
enum sandbox_calls {
    SANDBOX_LOOP = 0,
    SANDBOX_ACCEPT = 1 << 0,  /* accept4, socket options, addresses, shutdown */
    SANDBOX_FILES = 1 << 1,   /* open, stat, rename, link, unlink, mkdir, flush, directories */
    SANDBOX_THREAD = 1 << 2,  /* start a thread */
    SANDBOX_INOTIFY = 1 << 3, /* watch directories */
    SANDBOX_CONNECT = 1 << 4, /* make and connect network sockets */
    SANDBOX_FLUSH = 1 << 5,   /* common/disk/flush_batch.h */
    /* Forbidden to every role that queue lends a body to: smtpd/queue/store/spare_files.h. */
    SANDBOX_SENDFILE = 1 << 6,
};

/* What a role may do below its directory (Landlock). */
enum sandbox_files {
    SANDBOX_NO_FILES,
    SANDBOX_READ_FILES,
    SANDBOX_WRITE_FILES, /* read, write, make, rename, link and remove files and directories */
};

struct sandbox {
    unsigned calls;           /* of enum sandbox_calls */
    enum sandbox_files files; /* below its own directory, and nowhere else */
    bool modules;    /* the role loads modules while it runs (NSS, PAM): no chroot; Landlock also
                        allows reading and executing below /etc, /usr, /lib, /run, /proc and /dev,
                        and reading below /tmp */
    bool no_seccomp; /* `check`: the system calls of PAM modules are not known in advance */
};

/* The directories whose files the role may use. */
struct sandbox_directories {
    int own;             /* the access of sandbox.files is for this one; -1: no files at all */
    const int *readable; /* files below these may also be read */
    size_t readable_count;
};

/* Enters the sandbox, irrevocably: chroot to the own directory (if `chrooted`), all capabilities
 * dropped, Landlock, no-new-privileges, not dumpable, seccomp last. trap_fd: the socket on which
 * the SIGSYS handler reports a forbidden call (struct master_trapped) before it ends the process.
 * *landlocked: whether the kernel has Landlock; its absence is no error. */
bool sandbox_enter(const struct sandbox *sandbox, const struct sandbox_directories *directories,
                   bool chrooted, int trap_fd, bool *landlocked, struct error *error);

/* For the master's child between fork and exec, as root: changes to that user irrevocably, with no
 * supplementary groups but `groups`. With may_chroot it keeps CAP_SYS_CHROOT (ambient, so that it
 * survives the exec; sandbox_enter() drops it). */
struct sandbox_user {
    uint32_t uid;
    uint32_t gid;
    const uint32_t *groups;
    size_t group_count;
};
bool sandbox_become(const struct sandbox_user *user, bool may_chroot, struct error *error);

#endif
