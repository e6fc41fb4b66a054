/* Random numbers from the stack's seed: SipHash of a counter, so nobody can foretell them without the
 * key, and a test that gives the seed gets the same ones again. Called by net/, tcp/, sock/, port/pipe.c;
 * calls util/siphash.c.
 */
#ifndef GD_UTIL_RANDOM_H
#define GD_UTIL_RANDOM_H
#include "siphash.h"

struct gd_random {
    struct gd_key key;
    uint64_t count;
};

uint64_t gd_random_next(struct gd_random *random);
/* 0 <= result < bound; bound > 0. */
uint32_t gd_random_below(struct gd_random *random, uint32_t bound);
#endif
