/* Fast retransmit and NewReno's fast recovery (RFC 5681 3.2, RFC 6582), limited transmit (RFC 3042).
 * Called by tcp/ack.c; calls cc.h.
 */
#include "tcp.h"

#define DUPLICATES 3u /* RFC 5681 3.2 */

static void enter(struct gd_tcb *tcb, uint64_t now)
{
    gd_count(&tcb->sock.stack->stats, GD_STAT_tcp_fast_retransmits);
    tcb->cc->lost(tcb, now);
    tcb->in_recovery = true;
    tcb->recover = tcb->snd_max;
    tcb->cwnd = tcb->ssthresh + DUPLICATES * tcb->mss;
    tcb->resend = true;
    tcb->rtt_at = 0; /* Karn: the timed segment may be the one sent again */
    gd_tcp_timer_set(tcb, GD_T_RETRANSMIT, now + tcb->rto);
}

void gd_tcp_duplicate_ack(struct gd_tcb *tcb, uint64_t now)
{
    tcb->dupacks++;
    if (tcb->in_recovery)
        tcb->cwnd += tcb->mss; /* a segment has left the network */
    else if (tcb->dupacks == DUPLICATES && gd_seq_gt(tcb->snd_una, tcb->recover))
        enter(tcb, now); /* RFC 6582 3.2 step 2: not for the losses of the recovery before, or of a time-out */
    gd_tcp_want_output(tcb);
}

static void leave(struct gd_tcb *tcb)
{
    uint32_t flight = tcb->snd_max - tcb->snd_una;
    uint32_t window = (flight > tcb->mss ? flight : tcb->mss) + tcb->mss;

    tcb->in_recovery = false;
    tcb->cwnd = window < tcb->ssthresh ? window : tcb->ssthresh; /* RFC 6582 3.2 step 3, option 1 */
}

void gd_tcp_recover_ack(struct gd_tcb *tcb, uint32_t acked, uint64_t now)
{
    tcb->dupacks = 0;
    if (!tcb->in_recovery) {
        if (tcb->cwnd_limited)
            tcb->cc->acked(tcb, acked, now);
        return;
    }
    if (gd_seq_ge(tcb->snd_una, tcb->recover)) {
        leave(tcb);
        return;
    }
    /* A partial ACK: the next hole is lost as well. */
    tcb->resend = true;
    tcb->cwnd = tcb->cwnd > acked ? tcb->cwnd - acked : 0;
    if (acked >= tcb->mss || tcb->cwnd < tcb->mss)
        tcb->cwnd += tcb->mss;
}
