/* How fast a connection's bytes arrive at the peer, and how fast they may leave: delivery rate samples
 * (draft-ietf-ccwg-bbr 4.1) and pacing. Included by tcp/tcp.h; rate.c is called by tcp/output.c, rack.c, bbr.c.
 *
 *     sent ──── send_elapsed ────► sent        a sample: what was delivered between the sending and the ACK of one segment,
 *       └─ delivered ── ack_elapsed ──► ACK     over the longer of the two times: neither burst can make it too large
 */
#ifndef GD_TCP_RATE_H
#define GD_TCP_RATE_H
#include <stdbool.h>
#include <stdint.h>

struct gd_acked;
struct gd_sent;
struct gd_tcb;

/* What one ACK gives: the segment sent last among those that have arrived with it. */
struct gd_rate_sample {
    uint64_t prior_delivered, prior_at, sent_at, send_elapsed;
    bool valid, limited;
};

struct gd_rate {
    uint64_t delivered;    /* bytes in all that are known to have arrived */
    uint64_t delivered_at; /* when the last of them became known */
    uint64_t first_at;     /* when the segment was sent that begins the sending side of the next sample */
    uint64_t limited;      /* until so much is delivered the application, not the path, sets the pace; 0: not */
    /* Pacing */
    uint64_t pace;    /* bytes a second; 0: as fast as the window lets */
    uint64_t pace_at; /* when the next byte is due */
};

/* The entry has just been sent, or sent again. */
void gd_rate_sent(struct gd_tcb *tcb, struct gd_sent *sent, uint64_t now);
/* The entry has arrived. */
void gd_rate_delivered(struct gd_tcb *tcb, const struct gd_sent *sent, struct gd_acked *acked, uint64_t now);
/* Nothing waits to be sent, though the window would let it. */
void gd_rate_idle(struct gd_tcb *tcb);
/* Bytes a second by this ACK; 0: it gives no sample. */
double gd_rate_sample(const struct gd_tcb *tcb, const struct gd_acked *acked);
/* What it is paced at: as the model says, and no faster than SO_MAX_PACING_RATE; 0: it is not. */
uint64_t gd_rate_pace(const struct gd_tcb *tcb);
/* True: the next segment has to wait, and a timer is set for it. */
bool gd_rate_holds(struct gd_tcb *tcb, uint64_t now);
#endif
