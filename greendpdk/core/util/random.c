/* Random numbers as random.h says. Called by net/, tcp/, sock/, port/pipe.c; calls util/siphash.c. */
#include "random.h"

uint64_t gd_random_next(struct gd_random *random)
{
    uint64_t count = random->count++;

    return gd_siphash(&random->key, &count, sizeof count);
}

/* Lemire: "Fast Random Integer Generation in an Interval", 2019: the high half of a product, and a retry for the few
 * values that would make some results likelier than others. */
uint32_t gd_random_below(struct gd_random *random, uint32_t bound)
{
    uint32_t unfair = (0u - bound) % bound;

    for (;;) {
        uint64_t product = (gd_random_next(random) & UINT32_MAX) * bound;

        if ((uint32_t)product >= unfair)
            return (uint32_t)(product >> 32);
    }
}
