/* Frames under way in one direction, ordered by the time when they arrive: a binary heap, the next due first.
 * Included by pipe.c and shaper.c, which own what is in it.
 */
#ifndef GD_PORT_LANE_H
#define GD_PORT_LANE_H
#include <stdint.h>

/* Then the sender is refused, as by a NIC with a full ring. 1500-byte frames at 1 Gbit/s over 100 ms are 8,300. */
#define GD_LANE_FRAMES 131072u

struct gd_lane {
    struct gd_lane_entry {
        uint64_t due, order; /* order: of sending, among those due at the same time */
        void *item;
    } *heap; /* owned; the items are not */
    uint32_t count, room;
    uint64_t order;
};

/* Makes room for one more. 0, -ENOBUFS. */
int gd_lane_reserve(struct gd_lane *lane);
/* The room was reserved. */
void gd_lane_push(struct gd_lane *lane, uint64_t due, void *item);
/* The item that is due first. The lane is not empty. */
void *gd_lane_pop(struct gd_lane *lane);
#endif
