/* How large a packet of this connection may be, and the search for it: mtu.c's side of a connection.
 * Included by tcp/tcp.h; mtu.c is called by tcp/syn_sent.c, icmp.c, timer.c, output.c, recover.c, ack.c.
 */
#ifndef GD_TCP_MTU_H
#define GD_TCP_MTU_H
#include <stdbool.h>
#include <stdint.h>

struct gd_tcb;

struct gd_mtu {
    uint32_t high;      /* the search: the largest size that may still pass; 0: there is none on */
    bool halve;         /* half way next, as `high` itself was too large */
    uint32_t probe;     /* bytes of the packet that is out to see; 0: none */
    uint32_t probe_seq; /* and where its text begins and ends */
    uint32_t probe_end;
    uint64_t again_at;  /* when to search again */
};

/* A connection begins: with what is known of the path. */
void gd_mtu_start(struct gd_tcb *tcb, uint64_t now);
/* A router says so, in an error that quotes what is in flight. */
void gd_mtu_learnt(struct gd_tcb *tcb, uint32_t mtu, uint64_t now);
/* The retransmission timer has gone off: is it the size? Before everything in flight is marked as lost. */
void gd_mtu_timeout(struct gd_tcb *tcb, uint64_t now);
/* Bytes of text to try now; 0: not now. waiting: not yet sent; window: left of the peer's. */
uint32_t gd_mtu_probe(struct gd_tcb *tcb, uint32_t waiting, uint32_t window, uint64_t now);
/* They have left, from seq on. */
void gd_mtu_probe_sent(struct gd_tcb *tcb, uint32_t seq, uint32_t len);
/* After each ACK. */
void gd_mtu_acked(struct gd_tcb *tcb, uint64_t now);
/* Segments were found lost: true if it is the probe and nothing else, which says nothing of congestion. */
bool gd_mtu_only_probe_lost(struct gd_tcb *tcb, uint64_t now);
#endif
