/* Starts DPDK's environment once in a process, without what it would do to its host: the caller keeps its CPUs and its
 * signals, and stderr stays quiet. Called by _stack.py; calls rte_eal_init.
 *
 * EAL is one for the process by its nature, so what is kept about it here is static as well.
 */
#define _GNU_SOURCE
#include "dpdk.h"

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_log.h>
#include <rte_version.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define LOG_KEEP 16384 /* bytes of the last lines: EAL's usage text takes 5,000, what a failed probe says some 500 */

#define OWN_PLACE "/tmp/greendpdk-"

static FILE *log_stream;
static char log_text[LOG_KEEP]; /* written under the stream's lock */
static size_t log_len;
static pid_t owner;
static char telemetry_socket[4096], spare[4096];

/* For Python's logging: messages, each behind its level (rte_log.h's 1 to 8) as a digit. A ring that is full takes no
 * more until it is read. Written under the stream's lock as well. */
static char log_new[LOG_KEEP];
static size_t log_new_len;
static int log_bell = -1; /* an eventfd */

static void keep_for_logging(const char *text, size_t size)
{
    int level = rte_log_cur_msg_loglevel();
    uint64_t one = 1;

    if (log_new_len + size + 2 > sizeof log_new)
        return;
    log_new[log_new_len++] = (char)('0' + (level >= 1 && level <= 8 ? level : (int)RTE_LOG_INFO));
    memcpy(log_new + log_new_len, text, size);
    log_new_len += size;
    log_new[log_new_len++] = '\0';
    if (log_bell >= 0)
        (void)!write(log_bell, &one, sizeof one);
}

static ssize_t log_write(void *cookie, const char *text, size_t size)
{
    size_t take = size < sizeof log_text ? size : sizeof log_text;
    size_t drop = log_len + take > sizeof log_text ? log_len + take - sizeof log_text : 0;

    (void)cookie;
    keep_for_logging(text, size);
    memmove(log_text, log_text + drop, log_len - drop);
    log_len -= drop;
    memcpy(log_text + log_len, text + size - take, take);
    log_len += take;
    return (ssize_t)size;
}

const char *gd_eal_log(void)
{
    static char copy[LOG_KEEP + 1];

    if (!log_stream)
        return "";
    flockfile(log_stream);
    fflush_unlocked(log_stream);
    memcpy(copy, log_text, log_len);
    copy[log_len] = '\0';
    funlockfile(log_stream);
    return copy;
}

int gd_eal_log_take(char *out, int room)
{
    size_t len = 0;

    if (!log_stream)
        return 0;
    flockfile(log_stream);
    fflush_unlocked(log_stream);
    if (log_new_len <= (size_t)room) {
        len = log_new_len;
        memcpy(out, log_new, len);
        log_new_len = 0;
    }
    funlockfile(log_stream);
    return (int)len;
}

int gd_eal_log_fd(void)
{
    if (log_bell < 0)
        log_bell = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    return log_bell < 0 ? -errno : log_bell;
}

const char *gd_eal_runtime_dir(void)
{
    return rte_eal_get_runtime_dir();
}

const char *gd_eal_version(void)
{
    return rte_version();
}

/* Its fatal errors and its usage text go past the log, straight to stdio: for this one call they are the log. */
static int init_quietly(int argc, char **argv)
{
    FILE *out = stdout, *err = stderr;
    int result;

    stdout = log_stream;
    stderr = log_stream;
    result = rte_eal_init(argc, argv);
    stdout = out;
    stderr = err;
    return result;
}

/* At exit, after EAL's own handlers: its runtime directory goes too. They remove telemetry's socket even in a forked child
 * that ends by exit(3), so there it is put back under its name: `spare` is a second one. */
static void leave(void)
{
    if (getpid() != owner) {
        (void)!link(spare, telemetry_socket);
        return;
    }
    if (spare[0] == '\0')
        return; /* EAL has ended the process before it was up */
    (void)unlink(spare);
    *strrchr(spare, '/') = '\0';
    (void)rmdir(spare);
    /* What _device.py has made for want of a better place goes as well, with the last process that uses it. */
    while (strncmp(spare, OWN_PLACE, sizeof OWN_PLACE - 1) == 0) {
        *strrchr(spare, '/') = '\0';
        (void)rmdir(spare);
    }
}

static void keep_socket(void)
{
    const char *dir = rte_eal_get_runtime_dir();

    snprintf(telemetry_socket, sizeof telemetry_socket, "%s/dpdk_telemetry.v2", dir);
    snprintf(spare, sizeof spare, "%s/.spare", dir);
    if (link(telemetry_socket, spare) < 0)
        (void)rmdir(dir); /* empty, as we share nothing; else EAL leaves one for each process */
}

int gd_eal_init(int argc, char **argv)
{
    cpu_set_t cpus;
    sigset_t all, signals;
    int result;

    if (!log_stream)
        log_stream = fopencookie(NULL, "w", (cookie_io_functions_t){.write = log_write});
    if (!log_stream)
        return -ENOMEM;
    owner = getpid();
    atexit(leave); /* before EAL's handlers are registered: after they have run */
    setvbuf(log_stream, NULL, _IOLBF, 0);
    rte_openlog_stream(log_stream);

    /* EAL narrows the calling thread to one CPU. And its threads must not take the program's signals: they inherit
     * the mask. */
    result = pthread_getaffinity_np(pthread_self(), sizeof cpus, &cpus);
    if (result)
        return -result;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &signals);
    result = init_quietly(argc, argv);
    pthread_sigmask(SIG_SETMASK, &signals, NULL);
    pthread_setaffinity_np(pthread_self(), sizeof cpus, &cpus);
    keep_socket();
    if (result >= 0)
        return 0;
    return rte_errno > 0 ? -rte_errno : -EIO;
}
