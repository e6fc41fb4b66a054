/* Congestion control behind four calls (RFC 5681). Called by tcp/ack.c, recover.c, timer.c; calls an algorithm.
 * An algorithm writes cwnd and ssthresh of the tcb, and nothing else.
 */
#ifndef GD_TCP_CC_H
#define GD_TCP_CC_H
#include <stdint.h>

struct gd_tcb;

struct gd_cc {
    const char *name; /* as TCP_CONGESTION names it */
    /* The connection is established, the MSS known. */
    void (*start)(struct gd_tcb *tcb);
    /* New data was acknowledged outside of recovery, while the window was in use. */
    void (*acked)(struct gd_tcb *tcb, uint32_t bytes, uint64_t now);
    /* A loss was seen by duplicate ACKs: set ssthresh. */
    void (*lost)(struct gd_tcb *tcb, uint64_t now);
    /* The retransmission timer went off: set ssthresh and cwnd. */
    void (*timeout)(struct gd_tcb *tcb, uint64_t now);
};

extern const struct gd_cc gd_cc_reno;
/* RFC 6928: ten segments. */
uint32_t gd_cc_initial_window(const struct gd_tcb *tcb);
#endif
