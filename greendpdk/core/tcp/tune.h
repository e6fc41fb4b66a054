/* Buffers that tune themselves, and the window scale that fits them: tune.c's side of a connection.
 * Included by tcp/tcp.h; tune.c is called by tcp/text.c, ack.c, open.c, listen.c, syn_sent.c, sock/stream.c.
 */
#ifndef GD_TCP_TUNE_H
#define GD_TCP_TUNE_H
#include <stdint.h>

struct gd_options;
struct gd_segment;
struct gd_tcb;

/* What the reader takes in a round trip. */
struct gd_tune {
    uint64_t rtt;        /* as the receiver sees it, ns; 0: not known yet */
    uint64_t at;         /* when this round trip's count began */
    uint32_t copied;     /* bytes read since */
    uint32_t space;      /* the last count that was more than all before */
    uint32_t echoed;     /* the last of our timestamps that came back */
    uint32_t window_end; /* where a window's worth ends, ... */
    uint64_t window_at;  /* ... and when it began */
};

/* The window scale to offer: the smallest that tells of the largest receive buffer there may be. */
uint8_t gd_tcp_window_shift(const struct gd_options *options);
/* The connection is established. */
void gd_tcp_tune_start(struct gd_tcb *tcb, uint64_t now);
/* Text arrived in order; the user took bytes; cwnd may have grown. */
void gd_tcp_tune_arrived(struct gd_tcb *tcb, const struct gd_segment *segment, uint64_t now);
void gd_tcp_tune_read(struct gd_tcb *tcb, uint32_t count, uint64_t now);
void gd_tcp_tune_send(struct gd_tcb *tcb);
#endif
