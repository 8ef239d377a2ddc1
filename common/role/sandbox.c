/* The sandbox of sandbox.h. Every role, and the master's children before exec. */
#include "common/role/sandbox.h"

#include <ev.h> /* before <elf.h>, which <seccomp.h> brings and which defines EV_NONE as a macro */

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/disk/fd.h"
#include "common/role/master_protocol.h"
#include "common/size.h"

/* --- Users and capabilities ------------------------------------------------------------------ */

static bool set_capabilities(uint32_t effective, struct error *error)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
    struct __user_cap_data_struct data[2] = {
        {.effective = effective, .permitted = effective, .inheritable = effective},
        {0},
    };
    if (syscall(SYS_capset, &header, data) != 0)
        return error_errno(error, "set capabilities");
    return true;
}

static bool set_ids(const struct sandbox_user *user, struct error *error)
{
    gid_t groups[16];
    if (user->group_count > ARRAY_LENGTH(groups))
        return error_set(error, ERROR_PERMANENT, "too many groups");
    for (size_t i = 0; i < user->group_count; i++)
        groups[i] = user->groups[i];
    if (setgroups(user->group_count, groups) != 0)
        return error_errno(error, "set groups");
    if (setresgid(user->gid, user->gid, user->gid) != 0)
        return error_errno(error, "become gid %u", user->gid);
    if (setresuid(user->uid, user->uid, user->uid) != 0)
        return error_errno(error, "become uid %u", user->uid);
    return true;
}

bool sandbox_become(const struct sandbox_user *user, bool may_chroot, struct error *error)
{
    if (user->uid == 0)
        return error_set(error, ERROR_PERMANENT, "a role never runs as root");
    if (!may_chroot)
        return set_ids(user, error);
    if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0)
        return error_errno(error, "keep capabilities");
    if (!set_ids(user, error) || !set_capabilities(1U << CAP_SYS_CHROOT, error))
        return false;
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_SYS_CHROOT, 0, 0) != 0)
        return error_errno(error, "raise ambient capability");
    return true;
}

static bool drop_capabilities(struct error *error)
{
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0)
        return error_errno(error, "clear ambient capabilities");
    return set_capabilities(0, error);
}

static bool change_root(int directory, struct error *error)
{
    if (fchdir(directory) != 0)
        return error_errno(error, "enter directory");
    if (chroot(".") != 0)
        return error_errno(error, "chroot");
    return true;
}

/* --- Landlock -------------------------------------------------------------------------------- */

/* What Landlock's ABI 2 (Linux 5.19) governs; Debian's 6.1 has it. Nothing newer may be needed. */
enum {
    ACCESS_READ = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR,
    ACCESS_WRITE = LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR
                   | LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_DIR
                   | LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_REFER,
    ACCESS_ALL = ACCESS_READ | ACCESS_WRITE | LANDLOCK_ACCESS_FS_EXECUTE
                 | LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_SOCK
                 | LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_BLOCK
                 | LANDLOCK_ACCESS_FS_MAKE_SYM,
    LANDLOCK_ABI_NEEDED = 2,
};

static bool landlock_allow(int ruleset, int directory, uint64_t access, struct error *error)
{
    struct landlock_path_beneath_attr rule = {.allowed_access = access, .parent_fd = directory};
    if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) != 0)
        return error_errno(error, "Landlock rule");
    return true;
}

/* Modules are found by path and read what they like below these. In /tmp they only read: tickets of
 * Kerberos, and what pam_wrapper keeps there in tests. */
static bool landlock_allow_modules(int ruleset, struct error *error)
{
    enum { ACCESS_LOAD = ACCESS_READ | LANDLOCK_ACCESS_FS_EXECUTE };
    static const struct {
        const char *path;
        uint64_t access;
    } places[] = {
        {"/etc", ACCESS_LOAD},   {"/usr", ACCESS_LOAD}, {"/lib", ACCESS_LOAD},
        {"/lib64", ACCESS_LOAD}, {"/run", ACCESS_LOAD}, {"/proc", ACCESS_LOAD},
        {"/dev", ACCESS_LOAD},   {"/tmp", ACCESS_READ},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(places); i++) {
        int fd = open(places[i].path, O_PATH | O_CLOEXEC);
        if (fd < 0)
            continue; /* what is not there needs no rule */
        bool allowed = landlock_allow(ruleset, fd, places[i].access, error);
        fd_discard(&fd);
        if (!allowed)
            return false;
    }
    return true;
}

static uint64_t landlock_access(enum sandbox_files files)
{
    switch (files) {
    case SANDBOX_READ_FILES:
        return ACCESS_READ;
    case SANDBOX_WRITE_FILES:
        return ACCESS_READ | ACCESS_WRITE;
    case SANDBOX_NO_FILES:
        break;
    }
    return 0;
}

static bool landlock_restrict(int ruleset, const struct sandbox *sandbox,
                              const struct sandbox_directories *directories, struct error *error)
{
    uint64_t access = landlock_access(sandbox->files);
    if (access && directories->own >= 0
        && !landlock_allow(ruleset, directories->own, access, error))
        return false;
    for (size_t i = 0; i < directories->readable_count; i++)
        if (!landlock_allow(ruleset, directories->readable[i], ACCESS_READ, error))
            return false;
    if (sandbox->modules && !landlock_allow_modules(ruleset, error))
        return false;
    if (syscall(SYS_landlock_restrict_self, ruleset, 0) != 0)
        return error_errno(error, "Landlock");
    return true;
}

static bool enter_landlock(const struct sandbox *sandbox,
                           const struct sandbox_directories *directories, bool *landlocked,
                           struct error *error)
{
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    *landlocked = abi >= LANDLOCK_ABI_NEEDED;
    if (!*landlocked)
        return true;
    struct landlock_ruleset_attr governed = {.handled_access_fs = ACCESS_ALL};
    int ruleset = (int)syscall(SYS_landlock_create_ruleset, &governed, sizeof(governed), 0);
    if (ruleset < 0)
        return error_errno(error, "Landlock ruleset");
    bool entered = landlock_restrict(ruleset, sandbox, directories, error);
    fd_discard(&ruleset);
    return entered;
}

/* --- seccomp --------------------------------------------------------------------------------- */

static const int loop_calls[] = {
    SCMP_SYS(read),
    SCMP_SYS(readv),
    SCMP_SYS(write),
    SCMP_SYS(writev),
    SCMP_SYS(close),
    SCMP_SYS(recvfrom),
    SCMP_SYS(recvmsg),
    SCMP_SYS(recvmmsg),
    SCMP_SYS(pread64),
    SCMP_SYS(preadv),
    SCMP_SYS(pwrite64),
    SCMP_SYS(pwritev),
    SCMP_SYS(lseek),
    SCMP_SYS(fstat),
    SCMP_SYS(fcntl),
    SCMP_SYS(ftruncate),
    SCMP_SYS(fallocate),
    SCMP_SYS(epoll_create1),
    SCMP_SYS(epoll_ctl),
    SCMP_SYS(epoll_wait),
    SCMP_SYS(epoll_pwait),
    SCMP_SYS(epoll_pwait2),
    SCMP_SYS(poll),
    SCMP_SYS(ppoll),
    SCMP_SYS(pselect6), /* Berkeley DB sleeps with select() where two of its threads meet */
    SCMP_SYS(eventfd2),
    SCMP_SYS(timerfd_create),
    SCMP_SYS(timerfd_settime),
    SCMP_SYS(shutdown),
    SCMP_SYS(clock_gettime),
    SCMP_SYS(gettimeofday),
    SCMP_SYS(time),
    SCMP_SYS(clock_nanosleep),
    SCMP_SYS(nanosleep),
    SCMP_SYS(clock_getres),
    SCMP_SYS(getrandom),
    SCMP_SYS(futex),
    SCMP_SYS(sched_yield),
    SCMP_SYS(getpid),
    SCMP_SYS(gettid),
    SCMP_SYS(getuid),
    SCMP_SYS(geteuid),
    SCMP_SYS(getgid),
    SCMP_SYS(getegid),
    SCMP_SYS(brk),
    SCMP_SYS(munmap),
    SCMP_SYS(mremap),
    SCMP_SYS(madvise),
    SCMP_SYS(rt_sigreturn),
    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigaction),
    SCMP_SYS(sigaltstack),
    SCMP_SYS(restart_syscall),
    SCMP_SYS(exit),
    SCMP_SYS(exit_group),
    SCMP_SYS(tgkill),
    SCMP_SYS(sysinfo),
    SCMP_SYS(set_robust_list),
    SCMP_SYS(rseq),
    SCMP_SYS(prlimit64),
    SCMP_SYS(uname),
#ifdef __SANITIZE_ADDRESS__ /* what a report of the sanitizers needs besides */
    SCMP_SYS(readlink),
    SCMP_SYS(sched_getaffinity),
    SCMP_SYS(prctl),
    SCMP_SYS(getppid),
    SCMP_SYS(openat),
    SCMP_SYS(open),
    SCMP_SYS(newfstatat),
    SCMP_SYS(stat),
    SCMP_SYS(dup2),
#endif
};

static const int accept_calls[] = {
    SCMP_SYS(accept4),     SCMP_SYS(getsockopt),  SCMP_SYS(setsockopt),
    SCMP_SYS(getsockname), SCMP_SYS(getpeername),
};

static const int file_calls[] = {
    SCMP_SYS(open),
    SCMP_SYS(openat),
    SCMP_SYS(openat2),
    SCMP_SYS(newfstatat),
    SCMP_SYS(stat),
    SCMP_SYS(lstat),
    SCMP_SYS(statx),
    SCMP_SYS(access),
    SCMP_SYS(faccessat),
    SCMP_SYS(faccessat2),
    SCMP_SYS(getdents64),
    SCMP_SYS(rename),
    SCMP_SYS(renameat),
    SCMP_SYS(renameat2),
    SCMP_SYS(link),
    SCMP_SYS(linkat),
    SCMP_SYS(unlink),
    SCMP_SYS(unlinkat),
    SCMP_SYS(mkdir),
    SCMP_SYS(mkdirat),
    SCMP_SYS(rmdir),
    SCMP_SYS(fsync),
    SCMP_SYS(fdatasync),
    SCMP_SYS(syncfs),
    SCMP_SYS(sync_file_range),
    SCMP_SYS(utimensat),
    SCMP_SYS(flock),
    SCMP_SYS(fstatfs),
    SCMP_SYS(statfs),
    SCMP_SYS(copy_file_range),
    SCMP_SYS(fchmod),
    SCMP_SYS(fchmodat),
    SCMP_SYS(chmod),
    SCMP_SYS(getcwd),
    SCMP_SYS(readlink),
    SCMP_SYS(readlinkat),
    SCMP_SYS(dup),
    SCMP_SYS(umask),
    SCMP_SYS(truncate),
    SCMP_SYS(fadvise64),
    SCMP_SYS(sched_getaffinity), /* Berkeley DB counts processors */
};

/* glibc 2.36 starts a thread with clone3, and with clone where that says ENOSYS. */
static const int thread_calls[] = {
    SCMP_SYS(clone),
    SCMP_SYS(clone3),
    SCMP_SYS(set_tid_address),
    SCMP_SYS(sched_getaffinity),
};

static const int inotify_calls[] = {
    SCMP_SYS(inotify_init1),
    SCMP_SYS(inotify_add_watch),
    SCMP_SYS(inotify_rm_watch),
};

static const int connect_calls[] = {
    SCMP_SYS(socket),     SCMP_SYS(bind),        SCMP_SYS(connect),     SCMP_SYS(getsockopt),
    SCMP_SYS(setsockopt), SCMP_SYS(getsockname), SCMP_SYS(getpeername),
};

static const int send_file_calls[] = {SCMP_SYS(sendfile)};

static const int flush_calls[] = {
    SCMP_SYS(io_submit),
    SCMP_SYS(io_getevents),
    SCMP_SYS(io_destroy),
};

static int trap_descriptor = -1; /* for the signal handler alone, written once */

static void on_trap(int signal, siginfo_t *info, void *context)
{
    (void)signal;
    (void)context;
    struct master_trapped record = {
        .header = {.type = MASTER_TRAPPED, .version = IPC_VERSION, .length = sizeof(record)},
        .call = info->si_syscall,
        .architecture = info->si_arch,
    };
    if (write(trap_descriptor, &record, sizeof(record)) < 0)
        _exit(126);
    _exit(125);
}

static bool catch_traps(int trap_fd, struct error *error)
{
    trap_descriptor = trap_fd;
    struct sigaction action = {.sa_sigaction = on_trap, .sa_flags = SA_SIGINFO};
    if (sigaction(SIGSYS, &action, NULL) != 0)
        return error_errno(error, "catch SIGSYS");
    return true;
}

static bool allow_all(scmp_filter_ctx filter, const int *calls, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (seccomp_rule_add(filter, SCMP_ACT_ALLOW, calls[i], 0) != 0)
            return false;
    return true;
}

/* Memory that is both written and executed is what an intruder wants; nobody else does. */
static bool allow_memory(scmp_filter_ctx filter)
{
    const struct scmp_arg_cmp not_executable = SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0);
    return seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1, not_executable) == 0
           && seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1, not_executable) == 0;
}

/* What goes out is copied when it is sent. With MSG_ZEROCOPY, as with sendfile and splice, a socket
 * or pipe would go on holding the pages of a file after its descriptors and mappings are closed. No
 * lease knows of that, and whoever reads the other end has what is written into the file then: a
 * body that was lent could be kept open for the next one (smtpd/queue/store/spare_files.h). */
static bool allow_sending(scmp_filter_ctx filter)
{
    const struct {
        int call;
        unsigned flags; /* which argument that is */
    } calls[] = {{SCMP_SYS(sendto), 3}, {SCMP_SYS(sendmsg), 2}, {SCMP_SYS(sendmmsg), 3}};
    for (size_t i = 0; i < ARRAY_LENGTH(calls); i++)
        if (seccomp_rule_add(filter, SCMP_ACT_ALLOW, calls[i].call, 1,
                             SCMP_CMP(calls[i].flags, SCMP_CMP_MASKED_EQ, MSG_ZEROCOPY, 0))
            != 0)
            return false;
    return true;
}

/* TCGETS: libconfuse's scanner asks whether the configuration is a terminal, at a reload too. */
static bool allow_ioctls(scmp_filter_ctx filter)
{
    static const unsigned long requests[] = {FIONREAD, TCGETS};
    for (size_t i = 0; i < ARRAY_LENGTH(requests); i++)
        if (seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1,
                             SCMP_A1(SCMP_CMP_EQ, requests[i], 0))
            != 0)
            return false;
    return true;
}

static bool fill_filter(scmp_filter_ctx filter, const struct sandbox *sandbox)
{
    const struct {
        bool on;
        const int *calls;
        size_t count;
    } groups[] = {
        {true, loop_calls, ARRAY_LENGTH(loop_calls)},
        {(sandbox->calls & SANDBOX_ACCEPT) != 0, accept_calls, ARRAY_LENGTH(accept_calls)},
        {(sandbox->calls & SANDBOX_CONNECT) != 0, connect_calls, ARRAY_LENGTH(connect_calls)},
        {(sandbox->calls & SANDBOX_FILES) != 0, file_calls, ARRAY_LENGTH(file_calls)},
        {(sandbox->calls & SANDBOX_THREAD) != 0, thread_calls, ARRAY_LENGTH(thread_calls)},
        {(sandbox->calls & SANDBOX_INOTIFY) != 0, inotify_calls, ARRAY_LENGTH(inotify_calls)},
        {(sandbox->calls & SANDBOX_FLUSH) != 0, flush_calls, ARRAY_LENGTH(flush_calls)},
        {(sandbox->calls & SANDBOX_SENDFILE) != 0, send_file_calls, ARRAY_LENGTH(send_file_calls)},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(groups); i++)
        if (groups[i].on && !allow_all(filter, groups[i].calls, groups[i].count))
            return false;
    return allow_memory(filter) && allow_sending(filter) && allow_ioctls(filter)
           && seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2) == 0;
}

static bool enter_seccomp(const struct sandbox *sandbox, int trap_fd, struct error *error)
{
    if (!catch_traps(trap_fd, error))
        return false;
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_TRAP);
    if (!filter)
        return error_memory(error);
    bool loaded = fill_filter(filter, sandbox) && seccomp_load(filter) == 0;
    seccomp_release(filter);
    if (!loaded)
        return error_set(error, ERROR_TEMPORARY, "seccomp filter was not taken");
    return true;
}

bool sandbox_enter(const struct sandbox *sandbox, const struct sandbox_directories *directories,
                   bool chrooted, int trap_fd, bool *landlocked, struct error *error)
{
    if (chrooted && !sandbox->modules && directories->own >= 0
        && !change_root(directories->own, error))
        return false;
    if (chrooted && !drop_capabilities(error))
        return false;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return error_errno(error, "no new privileges");
    if (!enter_landlock(sandbox, directories, landlocked, error))
        return false;
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
        return error_errno(error, "not dumpable");
    return sandbox->no_seccomp || enter_seccomp(sandbox, trap_fd, error);
}
