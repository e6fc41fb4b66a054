/* Counters by name. Every drop bumps one. Called by everything; calls nothing. */
#ifndef GD_UTIL_STATS_H
#define GD_UTIL_STATS_H
#include <stdint.h>

/* stats.def holds a line a counter: GD_COUNTER(name) and its meaning; names follow SNMP's words where there is one. */
enum gd_counter {
#define GD_COUNTER(name) GD_STAT_##name,
#include "stats.def"
#undef GD_COUNTER
    GD_STAT_COUNT
};

struct gd_stats {
    uint64_t value[GD_STAT_COUNT];
};

static inline void gd_count(struct gd_stats *stats, enum gd_counter counter)
{
    stats->value[counter]++;
}
#endif
