/* Loss by time: RACK and the tail loss probe (RFC 8985). A segment is lost when one sent enough later has arrived; and
 * when nothing arrives, the last one is sent again to find out. Finds lost retransmissions too, which the scoreboard of
 * RFC 6675 leaves to the retransmission timer.
 * Called by tcp/ack.c, sack.c, timer.c; calls tcp/flight.c, recover.c.
 *
 *     by time of sending:   o ── o ── o ── o ── * ── o        * the last sent of those that have arrived (rack_serial)
 *                           └─ lost ─┘ └ wait ┘               sent before *, by more than the reordering window or not
 */
#include "tcp.h"

#include <errno.h>

#define DUPLICATES 3u             /* RFC 8985 6.2: DupThresh */
#define MIN_RTT_LIFE (300 * GD_S) /* Linux's tcp_min_rtt_wlen */
#define STEPS_MAX 16u             /* quarters of min_rtt: four round trips are no reordering any more */
#define PERSIST 16u               /* RFC 8985 6.2 step 4: reo_wnd_persist */
#define PROBE_MARGIN (2 * GD_MS)  /* Linux's two jiffies */

/* RFC 8985 6.2 orders what has one time by sequence number; but what is sent again may follow new data in one turn. */
static bool sent_after(uint32_t serial, uint32_t other)
{
    return gd_seq_gt(serial, other);
}

static void take_min_rtt(struct gd_tcb *tcb, uint64_t rtt, uint64_t now)
{
    if (tcb->min_rtt != 0 && rtt > tcb->min_rtt && now - tcb->min_rtt_at < MIN_RTT_LIFE)
        return;
    tcb->min_rtt = rtt;
    tcb->min_rtt_at = now;
}

/* RFC 8985 6.2, steps 1 to 3. */
void gd_tcp_rack_delivered(struct gd_tcb *tcb, const struct gd_sent *sent, struct gd_acked *acked, uint64_t now)
{
    uint64_t rtt = now - sent->at;

    tcb->tally.delivered++;
    gd_rate_delivered(tcb, sent, acked, now);
    if (gd_seq_gt(sent->end, tcb->fack)) {
        tcb->fack = sent->end;
    } else if (gd_seq_lt(sent->end, acked->fack) && !sent->resent) {
        tcb->reordered = true;
        tcb->tally.reorders++;
    }
    if (tcb->rtt_at != 0 && sent->end == tcb->rtt_seq && !sent->resent) { /* by SACK too: no wait for a gap is in it */
        gd_tcp_rtt_sample(tcb, now - tcb->rtt_at);
        tcb->rtt_at = 0;
        acked->timed = true;
    }
    if (!sent->resent) {
        acked->rtt = rtt > 0 ? rtt : 1;
        take_min_rtt(tcb, acked->rtt, now);
    } else if (rtt < tcb->min_rtt) {
        return; /* too fast for the second sending: the first has arrived after all */
    }
    if (!sent_after(sent->serial, tcb->rack_serial))
        return;
    tcb->rack_serial = sent->serial;
    tcb->rack_rtt = rtt;
}

/* RFC 8985 6.2, step 4. */
static uint64_t reordering_window(const struct gd_tcb *tcb)
{
    uint64_t window;

    if (!tcb->reordered && (tcb->recovery > GD_CWR || tcb->flight.sacked >= DUPLICATES * tcb->mss))
        return 0;
    window = (1 + tcb->reorder_steps) * tcb->min_rtt / 4;
    return window < tcb->srtt ? window : tcb->srtt;
}

/* Something was sent again that had arrived: wait longer next time, a quarter of a round trip more, once a round trip.
 * That the path reorders is known when an undo shows it: a probe's duplicate does not. */
void gd_tcp_rack_dsack(struct gd_tcb *tcb)
{
    tcb->reorder_left = PERSIST;
    if (gd_seq_lt(tcb->snd_una, tcb->reorder_round) || tcb->reorder_steps >= STEPS_MAX)
        return;
    tcb->reorder_steps++;
    tcb->reorder_round = tcb->snd_nxt;
}

void gd_tcp_rack_recovered(struct gd_tcb *tcb)
{
    if (tcb->reorder_left > 0 && --tcb->reorder_left == 0)
        tcb->reorder_steps = 0;
}

void gd_tcp_rack_timeout(struct gd_tcb *tcb, uint64_t now)
{
    struct gd_flight *flight = &tcb->flight;
    uint64_t late = (tcb->rack_rtt != 0 ? tcb->rack_rtt : tcb->srtt) + reordering_window(tcb);

    if (flight->count > 0 && gd_flight_at(flight, flight->first)->fate == GD_SENT_OUT)
        gd_flight_lost(flight, flight->first);
    while (flight->oldest != GD_NO_ENTRY && gd_flight_at(flight, flight->oldest)->at + late <= now)
        gd_flight_lost(flight, flight->oldest);
}

/* RFC 8985 6.2, step 5: oldest first, and none after the first that may still come. */
bool gd_tcp_rack_detect(struct gd_tcb *tcb, uint64_t now)
{
    struct gd_flight *flight = &tcb->flight;
    uint64_t window = reordering_window(tcb);
    bool found = false;

    gd_tcp_timer_stop(tcb, GD_T_REORDER);
    while (flight->oldest != GD_NO_ENTRY) {
        uint64_t position = flight->oldest;
        const struct gd_sent *sent = gd_flight_at(flight, position);
        uint64_t due = sent->at + tcb->rack_rtt + window;

        if (!sent_after(tcb->rack_serial, sent->serial))
            break;
        if (due > now) {
            gd_tcp_timer_set(tcb, GD_T_REORDER, due);
            break;
        }
        gd_flight_lost(flight, position);
        found = true;
    }
    return found;
}

void gd_tcp_on_reorder(struct gd_tcb *tcb, uint64_t now)
{
    if (gd_tcp_rack_detect(tcb, now))
        gd_tcp_recover_lost(tcb, now);
}

/* RFC 8985 7.2 */
void gd_tcp_probe_schedule(struct gd_tcb *tcb, uint64_t now)
{
    uint64_t wait = 2 * tcb->srtt + (tcb->flight.count == 1 ? GD_TCP_RTO_MIN : PROBE_MARGIN);

    gd_tcp_timer_stop(tcb, GD_T_PROBE);
    if (!tcb->sack_ok || tcb->probing || tcb->recovery > GD_CWR || tcb->flight.sacked > 0 || tcb->flight.count == 0 ||
        tcb->retries > 0)
        return;
    if (tcb->srtt == 0)
        wait = GD_TCP_RTO_FIRST;
    if (now + wait < tcb->deadline[GD_T_RETRANSMIT])
        gd_tcp_timer_set(tcb, GD_T_PROBE, now + wait);
}

/* RFC 8985 7.3: new data if there is any, else the last segment again. */
void gd_tcp_on_probe(struct gd_tcb *tcb, uint64_t now)
{
    int sent;

    if (tcb->flight.count == 0 || tcb->flight.sacked > 0 || tcb->recovery > GD_CWR) /* SACKs came since: 7.2 */
        return;
    sent = gd_tcp_send_one(tcb, now);
    tcb->probe_resent = sent == 0;
    if (sent == 0 && gd_tcp_send_again(tcb, gd_flight_end(&tcb->flight) - 1, now) == 0)
        sent = 1;
    if (sent == 1) {
        tcb->probing = true;
        tcb->probe_end = tcb->snd_nxt;
        gd_count(&tcb->sock.stack->stats, GD_STAT_tcp_tail_loss_probes);
    }
    gd_tcp_timer_set(tcb, GD_T_RETRANSMIT, now + tcb->rto);
}

/* RFC 8985 7.4.2: an ACK beyond the probe and no DSACK of it: it has repaired a loss that nothing else tells of. An ACK of
 * just the probe may be late for the first sending: the DSACK that says so comes with the next. */
void gd_tcp_probe_acked(struct gd_tcb *tcb, const struct gd_acked *acked, uint64_t now)
{
    if (!tcb->probing || gd_seq_lt(tcb->snd_una, tcb->probe_end))
        return;
    if (tcb->snd_una == tcb->probe_end && tcb->probe_resent && acked->bytes > 0 && !acked->dsack)
        return;
    tcb->probing = false;
    if (!tcb->probe_resent || acked->dsack || acked->bytes == 0 || tcb->recovery != GD_OPEN)
        return;
    tcb->cc->lost(tcb, now);
    if (tcb->cc->model == NULL)
        tcb->cwnd = tcb->ssthresh;
}
