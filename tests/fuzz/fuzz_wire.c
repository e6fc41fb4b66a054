/* Invariant: two stacks, a wire that the input makes lose, double, hold back, cut and flip frames, and calls of both
 * sides in any order: nothing crashes, leaks or spins; what a stream delivers is what was sent, in order, without a
 * hole, as long as the wire only damages frames (a checksum sees that) and does not forge them; and once the wire is
 * whole again a connection that was untouched still moves data both ways.
 * Called by libFuzzer or replay.c; calls pair.c.
 */
#include "pair.h"

#include "alloc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MODE_DRAIN = 8 };
#define STEPS 200

static void pass_time(struct pair *pair, struct input *in)
{
    static const uint64_t steps[] = {HOST_MS,    5 * HOST_MS, 45 * HOST_MS, 250 * HOST_MS,
                                     2 * HOST_S, 70 * HOST_S, 601 * HOST_S, 100000 * HOST_S};

    pair_advance(pair, steps[input_below(in, sizeof steps / sizeof steps[0])]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, data + size};
    uint8_t mode = input_8(&in);
    struct pair pair;

    pair_open(&pair, mode);
    for (int i = 0; i < STEPS && input_left(&in); i++) {
        uint8_t step = input_8(&in);

        if (step < 96)
            pair_call(&pair, step & 1, &in);
        else if (step < 224)
            pair_deliver(&pair, step & 1, &in);
        else if (step < 248)
            pass_time(&pair, &in);
        else
            pair_starve(&pair, step & 1, &in);
    }
    pair_close(&pair, (mode & MODE_DRAIN) == 0);
    return 0;
}
