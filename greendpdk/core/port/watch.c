/* A watchdog over the loop: a thread of its own, without Python's lock, that looks whether a turn takes too long.
 * Called by Python's _watchdog.py in that thread, and by port/live.c; reads what live.c writes, calls the kernel.
 *
 *   loop     at = 0 (asleep) ─► awake: at = now, ring ─► polls: at = now ─► … ─► at = 0
 *   watchdog parked, no wake-ups ◄─────────┘ looks four times in each limit ◄───┘ parks again
 *
 * A program that others keep from the CPU is not to blame for it: what the kernel says that the loop's thread has waited
 * for a CPU (schedstat, Documentation/scheduler/sched-stats.rst) does not count.
 */
#define _GNU_SOURCE
#include "watch.h"

#include "../stack.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define LOOKS 4u             /* in each limit */
#define END_LOOK_NS 5000000u /* while the end of a turn is awaited that was too long already */

struct gd_watch {
    struct gd_stack *stack;
    pthread_mutex_t lock; /* of `stopped`, and of `moved` */
    pthread_cond_t moved;
    bool parked, stopped;
    int schedstat; /* of the loop's thread; -1: this kernel has none */
    uint64_t reported;
};

static uint64_t since(const struct gd_watch *watch)
{
    return __atomic_load_n(&watch->stack->loop.at, __ATOMIC_SEQ_CST);
}

/* Nanoseconds that the loop's thread was ready to run and did not. */
static uint64_t waited_for_cpu(const struct gd_watch *watch)
{
    char text[80];
    unsigned long long ran, waited;
    ssize_t len = watch->schedstat < 0 ? -1 : pread(watch->schedstat, text, sizeof text - 1, 0);

    if (len <= 0)
        return 0;
    text[len] = '\0';
    return sscanf(text, "%llu %llu", &ran, &waited) == 2 ? waited : 0;
}

/* With the lock held. */
static void sleep_for(struct gd_watch *watch, uint64_t ns)
{
    uint64_t until = gd_live_now() + ns;
    struct timespec end = {(time_t)(until / 1000000000u), (long)(until % 1000000000u)};

    pthread_cond_timedwait(&watch->moved, &watch->lock, &end);
}

/* With the lock held. A ring between the look and the wait is not lost: it sees `parked`, and needs the lock. */
static void park(struct gd_watch *watch)
{
    __atomic_store_n(&watch->parked, true, __ATOMIC_SEQ_CST);
    if (since(watch) == 0 && !watch->stopped)
        pthread_cond_wait(&watch->moved, &watch->lock);
    __atomic_store_n(&watch->parked, false, __ATOMIC_SEQ_CST);
}

void gd_watch_ring(struct gd_watch *watch)
{
    if (!__atomic_load_n(&watch->parked, __ATOMIC_SEQ_CST))
        return;
    pthread_mutex_lock(&watch->lock);
    pthread_cond_signal(&watch->moved);
    pthread_mutex_unlock(&watch->lock);
}

int gd_watch_new(struct gd_stack *stack, struct gd_watch **out)
{
    struct gd_watch *watch = calloc(1, sizeof *watch);
    pthread_condattr_t attributes;

    if (watch == NULL)
        return -ENOMEM;
    watch->stack = stack;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&watch->moved, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_mutex_init(&watch->lock, NULL);
    watch->schedstat = open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);
    stack->watch = watch;
    *out = watch;
    return 0;
}

uint64_t gd_watch_wait(struct gd_watch *watch, uint64_t limit_ns)
{
    uint64_t seen = 0, waited = 0, found = 0;

    pthread_mutex_lock(&watch->lock);
    while (!watch->stopped && found == 0) {
        uint64_t at = since(watch), now = gd_live_now();

        if (at == 0) {
            park(watch);
            continue;
        }
        if (at != seen) {
            seen = at;
            waited = waited_for_cpu(watch);
        } else if (at != watch->reported && now - at > limit_ns && watch->stack->nsocks > 0 &&
                   now - at > limit_ns + (waited_for_cpu(watch) - waited)) {
            watch->reported = found = at;
            break;
        }
        sleep_for(watch, limit_ns / LOOKS);
    }
    pthread_mutex_unlock(&watch->lock);
    return found;
}

uint64_t gd_watch_length(struct gd_watch *watch, uint64_t at, uint64_t most_ns, int *over)
{
    uint64_t end = gd_live_now() + most_ns, now;

    pthread_mutex_lock(&watch->lock);
    for (;;) {
        *over = since(watch) != at || watch->stopped;
        now = gd_live_now();
        if (*over || now >= end)
            break;
        sleep_for(watch, END_LOOK_NS);
    }
    pthread_mutex_unlock(&watch->lock);
    return now - at;
}

void gd_watch_stop(struct gd_watch *watch)
{
    pthread_mutex_lock(&watch->lock);
    watch->stopped = true;
    pthread_cond_broadcast(&watch->moved);
    pthread_mutex_unlock(&watch->lock);
}

void gd_watch_free(struct gd_watch *watch)
{
    watch->stack->watch = NULL;
    if (watch->schedstat >= 0)
        close(watch->schedstat);
    pthread_cond_destroy(&watch->moved);
    pthread_mutex_destroy(&watch->lock);
    free(watch);
}
