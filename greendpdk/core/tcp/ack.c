/* Step five of a segment's arrival: its ACK and its window (RFC 9293 3.10.7.4, RFC 5961 5).
 * Called by tcp/input.c; calls tcp/flight.c, sack.c, recover.c, rtt.c, time_wait.c.
 */
#include "tcp.h"
#include "window.h"

#include <errno.h>

static void drop(struct gd_tcb *tcb, enum gd_counter counter)
{
    gd_count(&tcb->sock.stack->stats, counter);
}

/* RFC 6298 3 (Karn): the timed segment was not sent twice. Where nothing was timed a timestamp serves, if it echoes the
 * last resend: a lost ACK makes the receiver echo an older one, and each such sample would lengthen the next wait. */
static void take_rtt(struct gd_tcb *tcb, const struct gd_segment *segment, const struct gd_acked *acked, uint64_t now)
{
    if (acked->timed) /* rack.c has taken it */
        return;
    if (tcb->ts_ok && tcb->rtt_at == 0 && segment->header.options.has_ts &&
        gd_seq_ge(segment->header.options.tsecr, tcb->resent_ts)) {
        uint32_t ms = gd_tcp_now_ms(now) + tcb->ts_offset - segment->header.options.tsecr;

        if (ms < GD_TCP_RTO_MAX / GD_MS)
            gd_tcp_rtt_sample(tcb, ms * GD_MS);
    } else if (tcb->ts_ok && tcb->srtt != 0) {
        gd_tcp_rto_restore(tcb); /* Linux takes any echo as a sample: whatever came through, the back-off is over */
    }
}

/* Entries up to ack leave the flight. */
static void take_flight(struct gd_tcb *tcb, uint32_t ack, struct gd_acked *acked, uint64_t now)
{
    struct gd_flight *flight = &tcb->flight;
    uint32_t arrived = 0;

    while (flight->count > 0) {
        struct gd_sent *sent = gd_flight_at(flight, flight->first);
        uint32_t end = gd_seq_min(sent->end, ack);

        if (gd_seq_le(ack, sent->seq))
            break;
        acked->resent = acked->resent || sent->resent;
        if (sent->fate != GD_SENT_SACKED) {
            arrived += end - sent->seq;
            if (end == sent->end)
                gd_tcp_rack_delivered(tcb, sent, acked, now);
        }
        if (end != sent->end) {
            gd_flight_trim(flight, ack);
            break;
        }
        gd_flight_pop(flight);
    }
    if (!tcb->sack_ok) { /* the duplicate ACKs have spoken of all but the first of these (Linux: tcp_remove_reno_sacks) */
        uint32_t known = tcb->dupacks * tcb->mss;

        tcb->dupacks -= known > acked->bytes ? acked->bytes / tcb->mss : tcb->dupacks;
        arrived = acked->bytes > known ? acked->bytes - known : tcb->mss;
    }
    acked->delivered += arrived;
}

/* The bytes up to ack leave the send buffer; SYN and FIN take no bytes of it. */
static void advance(struct gd_tcb *tcb, uint32_t ack, uint64_t now)
{
    uint32_t base = gd_tcp_snd_base(tcb);
    uint32_t bytes = gd_seq_gt(ack, base) ? ack - base : 0;

    if (bytes > tcb->snd.len) /* the FIN's number */
        bytes = tcb->snd.len;
    gd_buffer_consume(&tcb->sock.stack->pool, &tcb->snd, bytes, false);
    gd_tally_progress(tcb, bytes, now);
    tcb->snd_una = ack;
    tcb->syn_acked = true;
    if (tcb->recovery == GD_OPEN && gd_seq_gt(ack, tcb->recover))
        tcb->recover = ack - 1; /* never more than half the number space behind */
    tcb->fack = gd_seq_max(tcb->fack, ack);
    tcb->snd_sml = gd_seq_max(tcb->snd_sml, ack);
    if (tcb->urgent_out && gd_seq_ge(ack, tcb->snd_up))
        tcb->urgent_out = false;
}

void gd_tcp_wake_writer(struct gd_tcb *tcb)
{
    if (tcb->want_write && gd_tcp_writable(tcb)) {
        tcb->want_write = false;
        gd_sock_wake(&tcb->sock, GD_WRITE);
    }
}

static void new_ack(struct gd_tcb *tcb, const struct gd_segment *segment, struct gd_acked *acked, uint64_t now)
{
    acked->bytes = segment->header.ack - tcb->snd_una;
    take_flight(tcb, segment->header.ack, acked, now);
    advance(tcb, segment->header.ack, now);
    take_rtt(tcb, segment, acked, now);
    gd_neigh_confirm(tcb->sock.stack, &tcb->sock.dst, now);
    tcb->sock.soft_error = 0;
    tcb->first_unacked_at = now;
}

/* What an ACK of new data means for the timers and for who waits to write. */
static void after_new_ack(struct gd_tcb *tcb, uint64_t now)
{
    tcb->retries = 0;
    gd_mtu_acked(tcb, now);
    if (tcb->snd_una == tcb->snd_nxt) { /* RFC 6298 5.2, 5.3 */
        gd_tcp_timer_stop(tcb, GD_T_RETRANSMIT);
        gd_tcp_timer_stop(tcb, GD_T_REORDER);
    } else {
        gd_tcp_timer_set(tcb, GD_T_RETRANSMIT, now + tcb->rto);
    }
    gd_tcp_probe_schedule(tcb, now);
    gd_tcp_tune_send(tcb);
    gd_tcp_wake_writer(tcb);
    gd_tcp_want_output(tcb);
}

static void take_window(struct gd_tcb *tcb, const struct gd_segment *segment)
{
    bool newer = gd_seq_lt(tcb->snd_wl1, segment->seq) ||
                 (tcb->snd_wl1 == segment->seq && gd_seq_le(tcb->snd_wl2, segment->header.ack));

    if (!newer)
        return;
    tcb->snd_wl1 = segment->seq;
    tcb->snd_wl2 = segment->header.ack;
    if (segment->wnd == tcb->snd_wnd)
        return;
    tcb->snd_wnd = segment->wnd;
    if (segment->wnd > tcb->max_wnd)
        tcb->max_wnd = segment->wnd;
    if (segment->wnd > 0 && tcb->deadline[GD_T_PERSIST] != GD_NEVER) {
        gd_tcp_timer_stop(tcb, GD_T_PERSIST);
        tcb->retries = 0;
    }
    gd_tcp_want_output(tcb);
}

/* RFC 5681 2: data is outstanding, and the segment has nothing but the same ACK and window once more. */
static bool is_duplicate(const struct gd_tcb *tcb, const struct gd_segment *segment)
{
    return tcb->snd_una != tcb->snd_nxt && segment->len == 0 && !segment->fin &&
           (segment->header.flags & GD_TCP_SYN) == 0 && segment->header.ack == tcb->snd_una &&
           segment->wnd == tcb->snd_wnd;
}

/* What the ACK of our FIN does (RFC 9293 3.10.7.4, fifth step). */
static bool after_fin_acked(struct gd_tcb *tcb, uint64_t now)
{
    if (!tcb->fin_sent || tcb->snd_una != tcb->snd_nxt || tcb->snd.len > 0)
        return true;
    if (tcb->state == GD_FIN_WAIT_1) {
        gd_tcp_become(tcb, GD_FIN_WAIT_2);
        gd_sock_wake(&tcb->sock, GD_WRITE);
        if (tcb->sock.orphan)
            return gd_tcp_await_fin(tcb, now);
    } else if (tcb->state == GD_CLOSING) {
        gd_tcp_enter_time_wait(tcb, now);
        return false;
    } else if (tcb->state == GD_LAST_ACK) {
        gd_tcp_done(tcb, 0);
        return false;
    }
    return true;
}

static bool leave_syn_received(struct gd_tcb *tcb, struct gd_segment *segment, uint64_t now)
{
    if (gd_seq_le(segment->header.ack, tcb->snd_una) || gd_seq_gt(segment->header.ack, tcb->snd_nxt)) {
        drop(tcb, GD_STAT_tcp_drop_ack);
        gd_tcp_reset_segment(tcb->sock.stack, segment);
        return false;
    }
    tcb->snd_wnd = tcb->max_wnd = segment->wnd;
    tcb->snd_wl1 = segment->seq;
    tcb->snd_wl2 = segment->header.ack;
    gd_tcp_established(tcb, now);
    return true;
}

/* Everything that the ACK, its window and its SACK blocks tell the sender. */
static void take_news(struct gd_tcb *tcb, const struct gd_segment *segment, uint64_t now)
{
    struct gd_acked acked = {.fack = tcb->fack};
    uint32_t delivered = tcb->tally.delivered;
    bool duplicate = is_duplicate(tcb, segment);

    if (gd_seq_gt(segment->header.ack, tcb->snd_una))
        new_ack(tcb, segment, &acked, now);
    else if (segment->header.ack != tcb->snd_una)
        return; /* older than what we know */
    take_window(tcb, segment);
    if (tcb->sack_ok) {
        gd_tcp_take_sacks(tcb, segment, &acked, now);
    } else if (duplicate && tcb->recovery != GD_LOSS) { /* after a time-out they may be of what was sent again */
        tcb->dupacks++;
        acked.delivered = tcb->mss;
    }
    acked.echo = gd_ecn_is_echo(tcb, segment);
    tcb->tally.delivered_ce += acked.echo ? tcb->tally.delivered - delivered : 0;
    if (acked.bytes > 0 || acked.delivered > 0 || acked.dsack || acked.echo || tcb->probing)
        gd_tcp_recover(tcb, segment, &acked, now);
    if (acked.bytes > 0)
        after_new_ack(tcb, now);
    else if (acked.delivered > 0)
        gd_tcp_want_output(tcb);
}

bool gd_tcp_check_ack(struct gd_tcb *tcb, struct gd_segment *segment, uint64_t now)
{
    uint32_t ack = segment->header.ack;

    if ((segment->header.flags & GD_TCP_ACK) == 0) {
        drop(tcb, GD_STAT_tcp_drop_no_ack);
        return false;
    }
    if (tcb->state == GD_SYN_RECEIVED && !leave_syn_received(tcb, segment, now))
        return false;
    /* RFC 5961 5.2: neither what was never sent nor what is older than any window. */
    if (gd_seq_gt(ack, tcb->snd_nxt) || gd_seq_lt(ack, tcb->snd_una - tcb->max_wnd)) {
        drop(tcb, GD_STAT_tcp_drop_ack);
        gd_tcp_challenge(tcb, now);
        return false;
    }
    tcb->probes = 0; /* the peer lives, however long its window is shut; a segment that was refused may be anybody's */
    tcb->last_received_at = now;
    gd_tcp_keepalive_restart(tcb, now);
    take_news(tcb, segment, now);
    if (tcb->more) { /* Linux's tcp_data_snd_check knows nothing of a MSG_MORE */
        tcb->more = false;
        gd_tcp_want_output(tcb);
    }
    return after_fin_acked(tcb, now);
}
