/* The counters' names. Called by _stack.py and the tests; calls nothing. */
#include "stats.h"

#include "../api.h"

static const char *const names[GD_STAT_COUNT] = {
#define GD_COUNTER(name) #name,
#include "stats.def"
#undef GD_COUNTER
};

int gd_stack_counter_count(void)
{
    return GD_STAT_COUNT;
}

const char *gd_stack_counter_name(int index)
{
    return index >= 0 && index < GD_STAT_COUNT ? names[index] : NULL;
}
