/* Recovery from loss: NewReno or SACK's (RFC 6582, RFC 6675), the window by PRR (RFC 6937), undone when it was needless
 * (timestamps: RFC 3522, RFC 4015; DSACK: RFC 3708).
 * Called by tcp/ack.c, rack.c, timer.c; calls cc.h, tcp/flight.c.
 *
 *              loss found                     snd_una >= recover
 *      OPEN ───────────────► RECOVERY ─────────────────────────────► OPEN
 *        ├──── time-out ───► LOSS ─────────────────────────────────────┤     an undo leads there at once
 *        └──── ECE ────────► CWR ──────────────────────────────────────┘     from CWR to RECOVERY and LOSS as from OPEN
 */
#include "tcp.h"

#include <errno.h>

#define DUPLICATES 3u /* RFC 5681 3.2 */

uint32_t gd_tcp_pipe(const struct gd_tcb *tcb)
{
    uint32_t arrived = tcb->sack_ok ? 0 : tcb->dupacks * tcb->mss;

    return tcb->flight.pipe > arrived ? tcb->flight.pipe - arrived : 0;
}

static void remember_for_undo(struct gd_tcb *tcb)
{
    tcb->prior_cwnd = tcb->cwnd;
    tcb->prior_ssthresh = tcb->ssthresh;
    tcb->undo_ok = true;
    tcb->undo_resent = 0;
    tcb->undo_ts = 0;
}

/* The window will shrink to ssthresh over a round trip. */
static void reduce(struct gd_tcb *tcb, uint32_t flight)
{
    tcb->prr_flight = flight;
    tcb->prr_delivered = tcb->prr_out = 0;
    tcb->recover = tcb->snd_nxt;
}

static void enter(struct gd_tcb *tcb, uint64_t now)
{
    gd_count(&tcb->sock.stack->stats, GD_STAT_tcp_fast_retransmits);
    reduce(tcb, tcb->snd_nxt - tcb->snd_una);
    if (tcb->recovery == GD_OPEN) { /* in CWR ssthresh has gone down already, and rightly */
        remember_for_undo(tcb);
        tcb->cc->lost(tcb, now);
        tcb->ecn.cwr = tcb->ecn.ok;
    }
    tcb->recovery = GD_RECOVERY;
    if (!tcb->sack_ok)
        tcb->rtt_at = 0; /* Karn: what is timed may be sent again */
    gd_tcp_timer_stop(tcb, GD_T_PROBE);
    gd_tcp_timer_set(tcb, GD_T_RETRANSMIT, now + tcb->rto);
}

/* RFC 3168 6.1.2: an echo reduces once a window. */
static void take_echo(struct gd_tcb *tcb, const struct gd_acked *acked, uint64_t now)
{
    bool told = gd_seq_le(tcb->snd_una, tcb->recover); /* our CWR cannot have been heard yet */
    uint32_t flight = tcb->snd_nxt - tcb->snd_una + acked->bytes;

    if (tcb->recovery != GD_OPEN || told)
        return;
    gd_count(&tcb->sock.stack->stats, GD_STAT_tcp_ecn_reductions);
    reduce(tcb, flight > 0 ? flight : tcb->cwnd);
    tcb->cc->marked(tcb, now);
    if (flight == 0 && tcb->cwnd > tcb->ssthresh) /* no ACK of a flight will shrink it bit by bit */
        tcb->cwnd = tcb->ssthresh;
    tcb->ecn.cwr = true;
    tcb->recovery = GD_CWR;
}

/* CWR goes on until new data is acknowledged, which has told the peer of it: ACKs before that still have ECE. */
static bool is_through(const struct gd_tcb *tcb)
{
    return tcb->recovery == GD_CWR ? gd_seq_gt(tcb->snd_una, tcb->recover) : gd_seq_ge(tcb->snd_una, tcb->recover);
}

static void leave(struct gd_tcb *tcb)
{
    gd_tcp_rack_recovered(tcb);
    if (tcb->recovery != GD_LOSS && tcb->cc->model == NULL)
        tcb->cwnd = tcb->ssthresh; /* RFC 6937 3: PRR has brought it there, or below when the sender was idle */
    tcb->recovery = GD_OPEN;
    tcb->dupacks = 0;
}

/* Nothing was lost: as if we had waited. */
static void undo(struct gd_tcb *tcb)
{
    struct gd_flight *flight = &tcb->flight;
    uint64_t position;

    gd_count(&tcb->sock.stack->stats, GD_STAT_tcp_undos);
    while ((position = gd_flight_next_lost(flight)) != GD_NO_ENTRY)
        gd_flight_not_lost(flight, position);
    if (tcb->cwnd < tcb->prior_cwnd)
        tcb->cwnd = tcb->prior_cwnd;
    if (tcb->ssthresh < tcb->prior_ssthresh)
        tcb->ssthresh = tcb->prior_ssthresh;
    tcb->reordered = tcb->reordered || tcb->recovery != GD_LOSS;
    tcb->undo_ok = tcb->ecn.cwr = false;
    tcb->recovery = GD_OPEN;
    tcb->dupacks = 0;
}

/* Was it needless? The ACK of what was sent again echoes a segment sent before that; or DSACKs account for every resend. */
static bool was_needless(struct gd_tcb *tcb, const struct gd_segment *segment, const struct gd_acked *acked)
{
    const struct gd_tcp_options *options = &segment->header.options;

    if (!tcb->undo_ok)
        return false;
    if (acked->dsack && tcb->undo_resent > 0 && --tcb->undo_resent == 0)
        return true;
    return acked->resent && tcb->recovery != GD_OPEN && tcb->ts_ok && options->has_ts && tcb->undo_ts != 0 &&
           gd_seq_lt(options->tsecr, tcb->undo_ts);
}

/* RFC 6937 3.1, with the slow start reduction bound while nothing more is lost. */
static void set_window(struct gd_tcb *tcb, const struct gd_acked *acked, bool lost)
{
    uint32_t pipe = gd_tcp_pipe(tcb);
    uint32_t may;

    if (tcb->recovery == GD_CWR && acked->delivered == 0)
        return;
    tcb->prr_delivered += acked->delivered;
    if (pipe > tcb->ssthresh) {
        uint64_t due = ((uint64_t)tcb->prr_delivered * tcb->ssthresh + tcb->prr_flight - 1) / tcb->prr_flight;

        may = due > tcb->prr_out ? (uint32_t)(due - tcb->prr_out) : 0;
    } else {
        may = tcb->prr_delivered > tcb->prr_out ? tcb->prr_delivered - tcb->prr_out : 0;
        if (may < acked->delivered)
            may = acked->delivered;
        if (acked->bytes > 0 && !lost)
            may += tcb->mss;
        if (may > tcb->ssthresh - pipe)
            may = tcb->ssthresh - pipe;
    }
    if (tcb->prr_out == 0 && may < tcb->mss)
        may = tcb->mss; /* the fast retransmit itself, or CWR */
    tcb->cwnd = pipe + may;
}

/* Without SACK: the third duplicate ACK, or a partial ACK in recovery, says that the first segment is lost. */
static bool newreno_lost(struct gd_tcb *tcb, const struct gd_acked *acked)
{
    struct gd_flight *flight = &tcb->flight;
    bool fresh = tcb->recovery == GD_CWR || (tcb->recovery == GD_OPEN && gd_seq_gt(tcb->snd_una, tcb->recover));
    bool third = fresh && tcb->dupacks >= DUPLICATES;
    bool partial = tcb->recovery == GD_RECOVERY && acked->bytes > 0 && gd_seq_lt(tcb->snd_una, tcb->recover);

    if (flight->count == 0 || gd_flight_at(flight, flight->first)->fate != GD_SENT_OUT || !(third || partial))
        return false;
    gd_flight_lost(flight, flight->first);
    return true;
}

void gd_tcp_recover(struct gd_tcb *tcb, const struct gd_segment *segment, const struct gd_acked *acked, uint64_t now)
{
    bool lost;

    if (acked->echo) /* whatever else it looks like, the window is right to be smaller */
        tcb->undo_ok = false;
    if (was_needless(tcb, segment, acked))
        undo(tcb);
    if (acked->dsack)
        gd_tcp_rack_dsack(tcb);
    if (tcb->recovery != GD_OPEN && is_through(tcb))
        leave(tcb);
    gd_tcp_probe_acked(tcb, acked, now);
    lost = tcb->sack_ok ? gd_tcp_rack_detect(tcb, now) : newreno_lost(tcb, acked);
    if (acked->echo)
        take_echo(tcb, acked, now);
    if (lost && !gd_mtu_only_probe_lost(tcb, now) && tcb->recovery <= GD_CWR)
        enter(tcb, now);
    if (tcb->cc->model != NULL)
        tcb->cc->model(tcb, acked, now);
    else if (tcb->recovery == GD_RECOVERY || tcb->recovery == GD_CWR)
        set_window(tcb, acked, lost);
    else if (acked->bytes > 0 && (tcb->cwnd_limited || tcb->recovery == GD_LOSS))
        tcb->cc->acked(tcb, acked, now);
    if (tcb->recovery != GD_OPEN || lost)
        gd_tcp_want_output(tcb);
}

void gd_tcp_recover_lost(struct gd_tcb *tcb, uint64_t now)
{
    static const struct gd_acked nothing = {0};

    if (!gd_mtu_only_probe_lost(tcb, now) && tcb->recovery <= GD_CWR)
        enter(tcb, now);
    if (tcb->recovery == GD_RECOVERY && tcb->cc->model == NULL)
        set_window(tcb, &nothing, true);
    gd_tcp_want_output(tcb);
}

void gd_tcp_recover_timeout(struct gd_tcb *tcb, uint64_t now)
{
    struct gd_flight *flight = &tcb->flight;
    bool reneged = flight->count > 0 && gd_flight_at(flight, flight->first)->fate == GD_SENT_SACKED;

    if (tcb->recovery != GD_LOSS || !tcb->undo_ok)
        remember_for_undo(tcb);
    tcb->cc->timeout(tcb, now);
    tcb->ecn.cwr = tcb->ecn.ok;
    tcb->recovery = GD_LOSS;
    tcb->recover = tcb->snd_nxt;
    tcb->dupacks = 0;
    tcb->probing = false;
    gd_tcp_rack_timeout(tcb, now);
    /* RFC 2018 8: a receiver may take back what it has SACKed; then the first segment shows it. */
    for (uint64_t at = flight->first; reneged && at != gd_flight_end(flight); at++)
        if (gd_flight_at(flight, at)->fate == GD_SENT_SACKED)
            gd_flight_lost(flight, at);
    tcb->nseen = 0;
    tcb->cwnd += gd_tcp_pipe(tcb); /* what may still arrive does not hold up the one segment that a time-out allows */
    gd_tcp_timer_stop(tcb, GD_T_REORDER);
    gd_tcp_timer_stop(tcb, GD_T_PROBE);
}
