/*
 * Preloaded into all processes of a house (LD_PRELOAD): the wall's clock is off by what a file
 * says, and a test sets it while they run, as an administrator or a time server would.
 *
 *     STEP_CLOCK=/some/file       eight octets, nanoseconds, in the order of this machine
 *
 * Clocks that nobody can set (CLOCK_MONOTONIC, CLOCK_BOOTTIME) stay what they are. The file is
 * mapped before a role confines itself, so nothing here makes a system call later.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { BILLION = 1000000000 };

static const volatile int64_t *offset;

static void __attribute__((constructor)) map_offset(void)
{
    const char *name = getenv("STEP_CLOCK");
    int fd = name ? open(name, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0)
        return;
    void *mapped = mmap(NULL, sizeof(*offset), PROT_READ, MAP_SHARED, fd, 0);
    if (mapped != MAP_FAILED)
        offset = mapped;
    close(fd);
}

/* The C library's own function goes by the vDSO, and is not asked: it may be this one. */
int clock_gettime(clockid_t clock, struct timespec *now)
{
    int result = (int)syscall(SYS_clock_gettime, clock, now);
    if (result != 0 || !offset || (clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE))
        return result;
    int64_t stepped = (int64_t)now->tv_sec * BILLION + now->tv_nsec + *offset;
    now->tv_sec = (time_t)(stepped / BILLION);
    now->tv_nsec = (long)(stepped % BILLION);
    return 0;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    (void)zone;
    struct timespec precise;
    int result = clock_gettime(CLOCK_REALTIME, &precise);
    now->tv_sec = precise.tv_sec;
    now->tv_usec = precise.tv_nsec / 1000;
    return result;
}

time_t time(time_t *result)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (result)
        *result = now.tv_sec;
    return now.tv_sec;
}
