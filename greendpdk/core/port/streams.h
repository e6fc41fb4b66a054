/* Which random numbers a packet meets, so that a seed repeats what it did though real time never does: connections mix
 * otherwise, acknowledgements are more or fewer, an older connection says its last words.
 * Called by port/shaper.c; calls util/siphash.c.
 *
 *   packet ─► flow, numbered in the order of their first packets (TCP apart from all else, and apart what is older)
 *          ─► does it carry data, SYN or FIN? ─► the how manieth of these ─► key of its own numbers
 */
#ifndef GD_PORT_STREAMS_H
#define GD_PORT_STREAMS_H
#include "../util/random.h"

#define GD_STREAMS 4096u /* flows that are told apart; then all the others are one. A power of two */

struct gd_stream {
    uint64_t flow;     /* hash of addresses, ports and protocol; 0: free */
    uint32_t number;
    uint32_t count[2]; /* packets that carry nothing, and those that carry something */
};

struct gd_streams {
    uint32_t connections, older, others; /* of TCP, of TCP and midway when it was first seen, of all else */
    struct gd_stream stream[GD_STREAMS + 1]; /* the last one: all that found no room */
};

/* Begins anew: the next flow is the first. */
void gd_streams_reset(struct gd_streams *streams);
/* The random numbers of the frame that comes next. */
struct gd_random gd_streams_next(struct gd_streams *streams, uint64_t seed, const uint8_t *frame, uint32_t len);
#endif
