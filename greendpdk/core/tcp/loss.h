/* How losses are found and repaired: what an ACK says, and the calls between sack.c, rack.c and recover.c.
 * Included by tcp/tcp.h; those three are called by tcp/ack.c, output.c, timer.c.
 *
 *     ack.c ─► sack.c ─► rack.c (an entry has arrived) ─► struct gd_acked ─► recover.c ─► rack.c (what is lost) ─► cc.h
 */
#ifndef GD_TCP_LOSS_H
#define GD_TCP_LOSS_H
#include "flight.h"
#include "rate.h"

struct gd_segment;
struct gd_tcb;
struct gd_tcp_options;

enum gd_recovery {
    GD_OPEN,     /* no loss known of */
    GD_CWR,      /* nor here, but the window is being reduced as ECN told of congestion (RFC 3168 6.1.2), by PRR */
    GD_RECOVERY, /* fast recovery (RFC 6675), window by PRR */
    GD_LOSS,     /* after a time-out (RFC 5681 3.1) */
};

/* What one segment's ACK and SACK blocks said. */
struct gd_acked {
    uint32_t bytes;     /* by which snd_una moved */
    uint32_t delivered; /* bytes that are now known to have arrived (RFC 6937) */
    uint64_t rtt;       /* of the last of them that was sent once; 0: none */
    uint32_t fack;      /* the highest number known to have arrived before it */
    struct gd_rate_sample sample;
    bool dsack;
    bool resent;        /* snd_una passed something that was sent again */
    bool timed;         /* the segment that was timed is among them */
    bool echo;          /* ECE: congestion (ecn.h) */
};

/* sack.c */
/* The blocks of an arrived segment: marks what they cover. */
void gd_tcp_take_sacks(struct gd_tcb *tcb, const struct gd_segment *segment, struct gd_acked *acked, uint64_t now);
/* The blocks to send with the next ACK. */
void gd_tcp_fill_sacks(struct gd_tcb *tcb, struct gd_tcp_options *options);

/* rack.c */
/* An entry has arrived, by ACK or SACK, before it is taken off or marked. */
void gd_tcp_rack_delivered(struct gd_tcb *tcb, const struct gd_sent *sent, struct gd_acked *acked, uint64_t now);
/* Marks what must be lost by now; true if anything was. */
bool gd_tcp_rack_detect(struct gd_tcb *tcb, uint64_t now);
void gd_tcp_rack_dsack(struct gd_tcb *tcb);
/* A recovery has ended. */
void gd_tcp_rack_recovered(struct gd_tcb *tcb);
/* What the retransmission timer may take as lost (RFC 8985 6.3): the first, and what is late by more than the window. */
void gd_tcp_rack_timeout(struct gd_tcb *tcb, uint64_t now);
/* Arms the tail loss probe, if one is due by the rules. */
void gd_tcp_probe_schedule(struct gd_tcb *tcb, uint64_t now);
void gd_tcp_probe_acked(struct gd_tcb *tcb, const struct gd_acked *acked, uint64_t now);
void gd_tcp_on_reorder(struct gd_tcb *tcb, uint64_t now);
void gd_tcp_on_probe(struct gd_tcb *tcb, uint64_t now);

/* recover.c */
/* After each ACK: enters, goes on with, undoes or leaves recovery; sets cwnd. */
void gd_tcp_recover(struct gd_tcb *tcb, const struct gd_segment *segment, const struct gd_acked *acked, uint64_t now);
/* The same without an ACK: RACK's timer found losses. */
void gd_tcp_recover_lost(struct gd_tcb *tcb, uint64_t now);
/* The retransmission timer: everything in flight is lost. */
void gd_tcp_recover_timeout(struct gd_tcb *tcb, uint64_t now);
/* Bytes in the network (RFC 6675 4's pipe; without SACK each duplicate ACK is a segment less). */
uint32_t gd_tcp_pipe(const struct gd_tcb *tcb);
#endif
