/* Stands between a program and the C library (LD_PRELOAD): syncs that fail or take long, and a clock that steps.
 *
 * One page of 64-bit words in a file says what is wrong, for each role of the server its own 16 words from
 * word 16 * role on (0 parent or anything else, 1 control, 2 gateway):
 *   0  errno that fsync and fdatasync fail with; 0 for none      1  microseconds that a sync takes longer
 *   2  microseconds that the wall clock is ahead
 *   3  the process dies before the sync with which this counts to 0    4  the same, after it
 *   8  syncs so far                                                    9  syncs that failed
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile int64_t none[16];
static volatile int64_t *words = none;
static int (*real_fsync)(int);
static int (*real_fdatasync)(int);
static int (*real_clock_gettime)(clockid_t, struct timespec *);

__attribute__((constructor)) static void begin(void)
{
    real_fsync = dlsym(RTLD_NEXT, "fsync");
    real_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
    real_clock_gettime = dlsym(RTLD_NEXT, "clock_gettime");
    const char *path = getenv("FAULTS");
    int page = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (page < 0)
        return;
    void *map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, page, 0);
    close(page);
    if (map == MAP_FAILED)
        return;
    char line[4096];
    int role = 0, file = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
    ssize_t length = file < 0 ? 0 : read(file, line, sizeof line);
    if (file >= 0)
        close(file);
    if (length > 0 && memmem(line, (size_t)length, "--role\0control", 15))
        role = 1;
    if (length > 0 && memmem(line, (size_t)length, "--role\0gateway", 15))
        role = 2;
    words = (volatile int64_t *)map + 16 * role;
}

static void die_at(volatile int64_t *count)
{
    if (*count > 0 && __atomic_sub_fetch(count, 1, __ATOMIC_SEQ_CST) == 0)
        kill(getpid(), SIGKILL);
}

static int synced(int (*real)(int), int file)
{
    __atomic_fetch_add(&words[8], 1, __ATOMIC_SEQ_CST);
    int64_t longer = words[1];
    if (longer > 0)
        usleep((useconds_t)longer);
    die_at(&words[3]);
    if (words[0] != 0) {
        __atomic_fetch_add(&words[9], 1, __ATOMIC_SEQ_CST);
        errno = (int)words[0];
        return -1;
    }
    int result = real(file), error = errno;
    die_at(&words[4]);
    errno = error;
    return result;
}

int fsync(int file) { return synced(real_fsync, file); }
int fdatasync(int file) { return synced(real_fdatasync, file); }

int clock_gettime(clockid_t clock, struct timespec *at)
{
    if (!real_clock_gettime)
        real_clock_gettime = dlsym(RTLD_NEXT, "clock_gettime");
    int result = real_clock_gettime(clock, at);
    if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
        int64_t micros = (int64_t)at->tv_sec * 1000000 + at->tv_nsec / 1000 + words[2];
        at->tv_sec = micros / 1000000;
        at->tv_nsec = (micros % 1000000) * 1000 + at->tv_nsec % 1000;
    }
    return result;
}

int gettimeofday(struct timeval *at, void *zone)
{
    struct timespec now;
    (void)zone;
    if (clock_gettime(CLOCK_REALTIME, &now) != 0)
        return -1;
    at->tv_sec = now.tv_sec;
    at->tv_usec = now.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *at)
{
    struct timespec now;
    if (clock_gettime(CLOCK_REALTIME, &now) != 0)
        return (time_t)-1;
    if (at)
        *at = now.tv_sec;
    return now.tv_sec;
}
