/* The watchdog as the loop sees it. Included by port/live.c and port/watch.c; Python's calls are in api.cdef.h. */
#ifndef GD_WATCH_H
#define GD_WATCH_H
#include "../api.h"

/* By the loop's thread, when it has come out of its sleep and `at` is set: a watchdog that sleeps as well wakes up. */
void gd_watch_ring(struct gd_watch *watch);
#endif
