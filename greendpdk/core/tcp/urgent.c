/* The urgent mark, either way (RFC 9293 3.8.5, RFC 6093; Linux's tcp_check_urg, tcp_urg and tcp_recv_urg).
 * Called by tcp/text.c, emit.c, timer.c, sock/stream.c, ioctl.c; calls sock/buffer.c.
 */
#include "urgent.h"

#include <errno.h>
#include <sys/socket.h>

/* Only one that is ahead of all that we have had counts: a copy of an old segment rewinds no mark. */
static void take_pointer(struct gd_tcb *tcb, const struct gd_segment *segment)
{
    uint32_t pointer = segment->header.urgent;
    uint32_t mark = segment->header.seq + (pointer > 0 ? pointer - 1 : 0);
    bool known = tcb->urgent_in != GD_URGENT_NONE && gd_seq_le(mark, tcb->rcv_up);

    if (gd_seq_gt(gd_tcp_read_seq(tcb), mark) || gd_seq_lt(mark, tcb->rcv_nxt) || known)
        return;
    /* Who stands at the old mark has had that byte, or never will: not again as one of the stream. */
    if (gd_urgent_hole(tcb) > 0 && tcb->rcv.len > 0)
        gd_buffer_consume(&tcb->sock.stack->pool, &tcb->rcv, 1, tcb->islands.count > 0);
    tcb->urgent_in = GD_URGENT_AWAITED;
    tcb->rcv_up = mark;
}

void gd_urgent_take(struct gd_tcb *tcb, const struct gd_segment *segment)
{
    uint32_t at;

    if (segment->header.flags & GD_TCP_URG)
        take_pointer(tcb, segment);
    at = tcb->rcv_up - segment->seq;
    if (tcb->urgent_in != GD_URGENT_AWAITED || at >= segment->len)
        return;
    tcb->urgent_byte = segment->data[at];
    tcb->urgent_in = GD_URGENT_HERE;
    gd_sock_wake(&tcb->sock, GD_PRI);
}

/* Never blocks, whatever the socket does. */
int64_t gd_urgent_recv(struct gd_tcb *tcb, void *data, size_t len, int flags)
{
    if (tcb->sock.options.oobinline || tcb->urgent_in == GD_URGENT_NONE || tcb->urgent_in == GD_URGENT_READ)
        return -EINVAL;
    if (tcb->state == GD_CLOSED && !tcb->fin_received)
        return -ENOTCONN;
    if (tcb->urgent_in == GD_URGENT_AWAITED)
        return tcb->state == GD_CLOSED || tcb->sock.shut_rd || tcb->fin_received ? 0 : -EAGAIN;
    if ((flags & MSG_PEEK) == 0)
        tcb->urgent_in = GD_URGENT_READ;
    if (len == 0)
        return 0;
    if ((flags & MSG_TRUNC) == 0)
        *(uint8_t *)data = tcb->urgent_byte;
    return 1;
}

uint32_t gd_urgent_limit(const struct gd_tcb *tcb, uint32_t len, uint32_t *hole)
{
    uint32_t before = tcb->rcv_up - gd_tcp_read_seq(tcb), there;

    *hole = len > 0 ? gd_urgent_hole(tcb) : 0;
    there = tcb->rcv.len - *hole;
    if (before > 0 && before < there)
        there = before;
    return len < there ? len : there;
}

void gd_urgent_passed(struct gd_tcb *tcb)
{
    if (gd_seq_gt(gd_tcp_read_seq(tcb), tcb->rcv_up))
        tcb->urgent_in = GD_URGENT_NONE;
}

uint32_t gd_urgent_unread(const struct gd_tcb *tcb)
{
    uint32_t before = tcb->rcv_up - gd_tcp_read_seq(tcb);

    if (tcb->urgent_in == GD_URGENT_NONE || tcb->sock.options.oobinline || before > tcb->rcv.len)
        return tcb->rcv.len;
    return before;
}

void gd_urgent_mark(struct gd_tcb *tcb)
{
    tcb->urgent_out = true;
    tcb->snd_up = gd_tcp_snd_base(tcb) + tcb->snd.len;
}

/* The pointer has 16 bits. A mark beyond them is told of as far as it reaches, if all up to there has been written; else
 * by the segments that are nearer (Linux's tcp_transmit_skb). */
void gd_urgent_stamp(const struct gd_tcb *tcb, struct gd_tcp_header *header)
{
    uint32_t ahead = tcb->snd_up - header->seq;

    if (!tcb->urgent_out || gd_seq_ge(header->seq, tcb->snd_up) || (header->flags & (GD_TCP_SYN | GD_TCP_RST)) != 0)
        return;
    if (ahead > UINT16_MAX && !gd_seq_gt(header->seq + UINT16_MAX, tcb->snd_nxt))
        return;
    header->flags |= GD_TCP_URG;
    header->urgent = (uint16_t)(ahead < UINT16_MAX ? ahead : UINT16_MAX);
}

bool gd_urgent_can_tell(const struct gd_tcb *tcb)
{
    return tcb->urgent_out && tcb->snd_up - tcb->snd_una <= UINT16_MAX;
}
