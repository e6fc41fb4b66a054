/* Delivery rate samples and pacing (rate.h). Called by tcp/output.c, rack.c, bbr.c; calls tcp/timer.c.
 *
 * A paced connection sends what a millisecond is worth and waits for the wheel, whose tick is that long; what a late tick
 * has cost is made up for, but no more than that.
 */
#include "tcp.h"

#define QUANTUM GD_MS /* the wheel's tick, and what Linux's sk_pacing_shift of 10 gives */

uint64_t gd_rate_pace(const struct gd_tcb *tcb)
{
    uint64_t most = tcb->sock.options.max_pacing;

    if (most == UINT64_MAX || most == 0) /* 0: Linux does not pace either */
        return tcb->rate.pace;
    return tcb->rate.pace != 0 && tcb->rate.pace < most ? tcb->rate.pace : most;
}

void gd_rate_sent(struct gd_tcb *tcb, struct gd_sent *sent, uint64_t now)
{
    struct gd_rate *rate = &tcb->rate;
    uint32_t len = sent->end - sent->seq;
    uint64_t pace = gd_rate_pace(tcb);

    if (tcb->flight.pipe <= len) /* nothing else is out: a sample begins here */
        rate->first_at = rate->delivered_at = now;
    sent->first_at = rate->first_at;
    sent->delivered_at = rate->delivered_at;
    sent->delivered = rate->delivered;
    sent->limited = rate->limited != 0;
    if (pace == 0)
        return;
    if (rate->pace_at + QUANTUM < now)
        rate->pace_at = now - QUANTUM;
    rate->pace_at += len * GD_S / pace;
}

void gd_rate_delivered(struct gd_tcb *tcb, const struct gd_sent *sent, struct gd_acked *acked, uint64_t now)
{
    struct gd_rate_sample *sample = &acked->sample;
    struct gd_rate *rate = &tcb->rate;

    rate->delivered += sent->end - sent->seq;
    rate->delivered_at = now;
    if (rate->limited != 0 && rate->delivered > rate->limited)
        rate->limited = 0;
    if (sample->valid && (sent->delivered < sample->prior_delivered || sent->at < sample->sent_at))
        return;
    *sample = (struct gd_rate_sample){.prior_delivered = sent->delivered,
                                      .prior_at = sent->delivered_at,
                                      .sent_at = sent->at,
                                      .send_elapsed = sent->at - sent->first_at,
                                      .valid = true,
                                      .limited = sent->limited};
    rate->first_at = sent->at;
}

void gd_rate_idle(struct gd_tcb *tcb)
{
    uint64_t until = tcb->rate.delivered + gd_tcp_pipe(tcb);

    tcb->rate.limited = until > 0 ? until : 1;
}

double gd_rate_sample(const struct gd_tcb *tcb, const struct gd_acked *acked)
{
    const struct gd_rate_sample *sample = &acked->sample;
    uint64_t ack_elapsed = tcb->rate.delivered_at - sample->prior_at;
    uint64_t elapsed = ack_elapsed > sample->send_elapsed ? ack_elapsed : sample->send_elapsed;

    /* Shorter than any round trip: ACKs that came in a heap. */
    if (!sample->valid || elapsed == 0 || elapsed < tcb->min_rtt)
        return 0;
    return (double)(tcb->rate.delivered - sample->prior_delivered) * (double)GD_S / (double)elapsed;
}

bool gd_rate_holds(struct gd_tcb *tcb, uint64_t now)
{
    if (gd_rate_pace(tcb) == 0 || tcb->rate.pace_at <= now + QUANTUM)
        return false;
    gd_tcp_timer_set(tcb, GD_T_PACE, tcb->rate.pace_at);
    return true;
}
