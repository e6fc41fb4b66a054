/* Explicit congestion notification (RFC 3168): asked for, marked, echoed. What the sender does about an echo stands in
 * recover.c. Called by tcp/emit.c, text.c, ack.c, syn_sent.c, listen.c, open.c; calls nothing.
 *
 *     SYN: ECE CWR ─► SYN-ACK: ECE      data: ECT(0)      ACK of marked data: ECE      data after the reduction: CWR
 */
#include "tcp.h"

#define BOTH (GD_TCP_ECE | GD_TCP_CWR)

void gd_ecn_open(struct gd_tcb *tcb)
{
    tcb->ecn = (struct gd_ecn){.asked = tcb->sock.stack->config.ecn == GD_ECN_ASK};
}

/* A SYN that is itself marked as capable is no honest question (RFC 3168 6.1.1; as Linux). */
bool gd_ecn_is_asked(const struct gd_stack *stack, const struct gd_segment *segment)
{
    return stack->config.ecn != GD_ECN_OFF && (segment->header.flags & (BOTH | GD_TCP_SYN)) == (BOTH | GD_TCP_SYN) &&
           (segment->packet->tos & GD_ECN_CE) == 0;
}

/* A SYN-ACK with CWR as well comes from a host that sends reserved bits back as they came (6.1.1). A SYN of a
 * simultaneous open has both, as ours had. */
void gd_ecn_take_syn(struct gd_tcb *tcb, const struct gd_segment *segment)
{
    uint8_t agreed = segment->header.flags & GD_TCP_ACK ? GD_TCP_ECE : BOTH;

    tcb->ecn.ok = tcb->ecn.asked && (segment->header.flags & BOTH) == agreed;
}

void gd_ecn_take_text(struct gd_tcb *tcb, const struct gd_segment *segment)
{
    uint8_t mark = segment->packet->tos & GD_ECN_CE;

    if (!tcb->ecn.ok)
        return;
    if (segment->header.flags & GD_TCP_CWR) { /* its window may be one segment now: nothing to wait for (Linux) */
        tcb->ecn.echo = false;
        tcb->ack_now = true;
    }
    tcb->ecn.seen = tcb->ecn.seen || mark != 0;
    if (mark != GD_ECN_CE)
        return;
    gd_count(&tcb->sock.stack->stats, GD_STAT_tcp_ce_in);
    tcb->ack_now = tcb->ack_now || !tcb->ecn.echo;
    tcb->ecn.echo = true;
}

/* 6.1.1: a SYN sent again asks no more, as its first may have been dropped for asking (Linux's tcp_ecn_fallback).
 * 6.1.4 to 6.1.6: ACKs, what is sent again and probes are not ECT. */
void gd_ecn_stamp(const struct gd_tcb *tcb, struct gd_tcp_header *header, struct gd_ip_fields *fields, uint32_t len)
{
    if (header->flags & GD_TCP_SYN) {
        if ((header->flags & GD_TCP_ACK) == 0 && tcb->ecn.asked && tcb->snd_nxt == tcb->iss)
            header->flags |= BOTH;
        else if ((header->flags & GD_TCP_ACK) != 0 && tcb->ecn.ok)
            header->flags |= GD_TCP_ECE;
        return;
    }
    if (!tcb->ecn.ok || (header->flags & GD_TCP_RST) != 0)
        return;
    if (tcb->ecn.echo)
        header->flags |= GD_TCP_ECE;
    if (len == 0 || gd_seq_lt(header->seq, tcb->snd_nxt))
        return;
    fields->tos |= GD_ECN_ECT0;
    if (tcb->ecn.cwr)
        header->flags |= GD_TCP_CWR;
}

bool gd_ecn_is_echo(const struct gd_tcb *tcb, const struct gd_segment *segment)
{
    return tcb->ecn.ok && (segment->header.flags & (GD_TCP_ECE | GD_TCP_SYN)) == GD_TCP_ECE;
}
