/* Urgent data (RFC 9293 3.8.5) as Linux has it by default (tcp(7), tcp_stdurg off): one byte beside the stream.
 * Included by the files of tcp/ and sock/ that a mark concerns; what they ask of each segment stands here.
 *
 *   send(MSG_OOB)        una            up                 receive       read so far      mark
 *                     ────┼──────────────┼──                         ──────┼──────────────┼─┼──
 *                         │ URG is set   │                                 │  reads stop  │!│ skipped unless SO_OOBINLINE
 *                                                                                        up, at its last byte
 *
 * There is one mark each way: a second send or a later pointer moves it on, and what was urgent is a byte like others.
 */
#ifndef GD_TCP_URGENT_H
#define GD_TCP_URGENT_H
#include "tcp.h"

enum gd_urgent {
    GD_URGENT_NONE,
    GD_URGENT_AWAITED, /* announced: the mark is known, the byte is not here */
    GD_URGENT_HERE,    /* recv(MSG_OOB) gives it */
    GD_URGENT_READ,    /* it has; the mark stands until the stream is read past it */
};

/* The number of the next byte that recv gives. */
static inline uint32_t gd_tcp_read_seq(const struct gd_tcb *tcb)
{
    return tcb->rcv_nxt - (tcb->fin_received ? 1 : 0) - tcb->rcv.len;
}

/* SIOCATMARK. */
static inline bool gd_urgent_at_mark(const struct gd_tcb *tcb)
{
    return tcb->urgent_in != GD_URGENT_NONE && tcb->rcv_up == gd_tcp_read_seq(tcb);
}

/* Bytes at the head of what is unread that recv passes over: 0 or 1. */
static inline uint32_t gd_urgent_hole(const struct gd_tcb *tcb)
{
    return gd_urgent_at_mark(tcb) && !tcb->sock.options.oobinline ? 1 : 0;
}

/* Has the segment to do with a mark? */
static inline bool gd_urgent_concerns(const struct gd_tcb *tcb, const struct gd_segment *segment)
{
    return (segment->header.flags & GD_TCP_URG) != 0 || tcb->urgent_in == GD_URGENT_AWAITED;
}

/* urgent.c */
/* A pointer that is news, and the byte that it points to, in order or not. */
void gd_urgent_take(struct gd_tcb *tcb, const struct gd_segment *segment);
/* recv(2) with MSG_OOB. */
int64_t gd_urgent_recv(struct gd_tcb *tcb, void *data, size_t len, int flags);
/* How many of len bytes a read may give: it stops at the mark. At the mark *hole, which it has to pass over, is 1. */
uint32_t gd_urgent_limit(const struct gd_tcb *tcb, uint32_t len, uint32_t *hole);
/* The stream was read on: past the mark there is none. */
void gd_urgent_passed(struct gd_tcb *tcb);
/* SIOCINQ: bytes before the mark, or all of them. */
uint32_t gd_urgent_unread(const struct gd_tcb *tcb);
/* The last byte written is urgent now. */
void gd_urgent_mark(struct gd_tcb *tcb);
/* URG and the pointer of a segment that leaves. */
void gd_urgent_stamp(const struct gd_tcb *tcb, struct gd_tcp_header *header);
/* Is the mark near enough that a probe of a closed window can tell of it? */
bool gd_urgent_can_tell(const struct gd_tcb *tcb);
#endif
