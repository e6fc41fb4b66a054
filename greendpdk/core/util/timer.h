/* A hierarchical timing wheel: arm, move and cancel in O(1), fire in O(1) a timer.
 * Called by tcp/, net/ and stack.c; calls the timers' own functions. Owns no timer.
 */
#ifndef GD_UTIL_TIMER_H
#define GD_UTIL_TIMER_H
#include "list.h"

#include <stdint.h>

#define GD_NEVER UINT64_MAX

struct gd_timer;
/* Runs once, after the timer was taken off the wheel; may arm it again, or free it. */
typedef void gd_timer_fn(struct gd_timer *timer, uint64_t now);

struct gd_timer {
    struct gd_list link;
    uint64_t at; /* nanoseconds; GD_NEVER while it is not armed */
    gd_timer_fn *fire;
};

/* 2^20 ns = 1.05 ms: the finest wait that TCP asks for here is a delayed ACK's 40 ms. */
#define GD_WHEEL_TICK_SHIFT 20
#define GD_WHEEL_BITS 6
#define GD_WHEEL_SLOTS (1 << GD_WHEEL_BITS)
#define GD_WHEEL_LEVELS 8 /* 64^8 ticks hold every tick of a 64-bit clock, so nothing lies beyond the wheel */

struct gd_wheel {
    uint64_t tick;      /* all timers of ticks <= this one have fired, but for those in due */
    struct gd_list due; /* armed for a time that had passed already: the next run's */
    uint64_t occupied[GD_WHEEL_LEVELS];
    struct gd_list slots[GD_WHEEL_LEVELS][GD_WHEEL_SLOTS];
};

void gd_wheel_init(struct gd_wheel *wheel, uint64_t now);
void gd_timer_init(struct gd_timer *timer, gd_timer_fn *fire);
/* Arms or moves. Never fires before `at`; fires at the first run a tick after it at the latest. */
void gd_timer_set(struct gd_wheel *wheel, struct gd_timer *timer, uint64_t at);
/* Legal for one that is not armed. */
void gd_timer_cancel(struct gd_wheel *wheel, struct gd_timer *timer);
/* Fires what is due. A timer armed by a firing one for a time that has passed fires in the next run. */
void gd_wheel_run(struct gd_wheel *wheel, uint64_t now);
/* When gd_wheel_run has work: never later than the first timer's firing, maybe earlier. GD_NEVER: no timer. */
uint64_t gd_wheel_next(const struct gd_wheel *wheel);
#endif
