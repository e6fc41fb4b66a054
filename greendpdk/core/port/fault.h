/* What a bad wire does to a frame, drawn from a seed: the same seed and frames meet the same fate again.
 * Called by port/pipe.c and shaper.c; calls util/random.c.
 *
 *   frame ─► lost? ─► queue for the rate full? ─► serialised (len / rate) ─► delay + jitter ─► kept in order,
 *            unless it is held longer (reorder) ─► maybe twice, maybe with a byte changed
 */
#ifndef GD_PORT_FAULT_H
#define GD_PORT_FAULT_H
#include "../api.h"
#include "../util/random.h"

#include <stdbool.h>

#define GD_FAULT_QUEUE 65536u /* frames that can wait for the rate: 100 ms of 1500-byte frames at 7.8 Gbit/s */

struct gd_faults {
    struct gd_fault fault;
    struct gd_random random;
    uint64_t idle_at;    /* when the wire has sent all it was given */
    uint64_t in_order;   /* no frame but a reordered one arrives before this */
    uint64_t count;      /* frames that were given to the wire */
    uint64_t *departs;   /* owned; when the last GD_FAULT_QUEUE of them left it, by count */
};

struct gd_fate {
    bool lost, late, twice; /* late: held longer than those around it */
    uint64_t due;        /* when it arrives */
    uint32_t flip_at;    /* byte to change, if flip is not 0 */
    uint8_t flip;
};

/* A wire without faults. 0, -ENOMEM. */
int gd_faults_init(struct gd_faults *faults);
void gd_faults_free(struct gd_faults *faults);
/* From now on; starts the random numbers anew from the seed. */
void gd_faults_set(struct gd_faults *faults, const struct gd_fault *fault);
/* Draws what becomes of a frame that is sent now. */
struct gd_fate gd_faults_draw(struct gd_faults *faults, const uint8_t *frame, uint32_t len, uint64_t now);
#endif
