/* What a connection may send now: window, Nagle, silly-window avoidance, FIN (RFC 9293 3.7.4, 3.8.6).
 * Called by stack.c for each tcb on the output list; calls tcp/emit.c, flight.c.
 */
#include "tcp.h"
#include "window.h"

#include <errno.h>

static uint32_t fin_seq(const struct gd_tcb *tcb)
{
    return gd_tcp_snd_base(tcb) + tcb->snd.len;
}

/* A segment of len < mss at the buffer's end: does anything say wait? Linux's tcp_nagle_check (Minshall): only while
 * an earlier small segment is unacknowledged. */
static bool nagle_holds(const struct gd_tcb *tcb)
{
    const struct gd_options *options = &tcb->sock.options;

    if (tcb->force || tcb->sock.shut_wr || tcb->urgent_out) /* Linux's tcp_nagle_test: urgent data does not wait */
        return false;
    if (options->cork || tcb->more)
        return true;
    return !options->nodelay && gd_seq_gt(tcb->snd_sml, tcb->snd_una);
}

/* RFC 9293 3.8.6.2.1: a full segment, or all there is, or half the peer's largest window. */
static bool worth_sending(const struct gd_tcb *tcb, uint32_t len, uint32_t waiting)
{
    if (len >= tcb->mss || tcb->force)
        return true;
    if (len == waiting)
        return !nagle_holds(tcb);
    return len >= tcb->max_wnd / 2;
}

/* A segment has left: the retransmission timer runs (RFC 6298 5.1), one segment a round trip is timed. */
static void sent(struct gd_tcb *tcb, uint32_t len, uint64_t now)
{
    tcb->last_sent_at = now;
    tcb->prr_out += len;
    if (tcb->deadline[GD_T_RETRANSMIT] == GD_NEVER)
        gd_tcp_timer_set(tcb, GD_T_RETRANSMIT, now + tcb->rto);
    gd_tcp_timer_stop(tcb, GD_T_PERSIST);
}

/* Karn: without SACK the cumulative ACK of what is timed waits for any segment before it. */
static void sent_again(struct gd_tcb *tcb, uint32_t seq, uint32_t end, uint64_t now)
{
    uint32_t ts = gd_tcp_now_ms(now) + tcb->ts_offset;

    tcb->total_retransmits++;
    gd_count(&tcb->sock.stack->stats, GD_STAT_tcp_retransmits);
    if (gd_seq_lt(seq, tcb->rtt_seq) && (!tcb->sack_ok || gd_seq_ge(end, tcb->rtt_seq)))
        tcb->rtt_at = 0;
    tcb->resent_ts = ts;
    tcb->undo_resent++;
    if (tcb->undo_ts == 0)
        tcb->undo_ts = ts;
}

static int send_syn(struct gd_tcb *tcb, uint64_t now)
{
    uint8_t flags = (uint8_t)(GD_TCP_SYN | (tcb->state == GD_SYN_RECEIVED ? GD_TCP_ACK : 0));
    bool again = tcb->snd_nxt != tcb->iss;
    int rc = gd_tcp_emit(tcb, tcb->iss, 0, flags, now);

    if (rc != 0)
        return rc;
    tcb->syn_due = false;
    tcb->snd_nxt = tcb->iss + 1;
    if (again) {
        sent_again(tcb, tcb->iss, tcb->snd_nxt, now);
    } else {
        tcb->rtt_at = now;
        tcb->rtt_seq = tcb->snd_nxt;
        tcb->first_unacked_at = now;
    }
    sent(tcb, 1, now);
    return 0;
}

static bool may_send_fin(const struct gd_tcb *tcb)
{
    return tcb->sock.shut_wr && (tcb->state & (GD_FIN_WAIT_1 | GD_CLOSING | GD_LAST_ACK)) != 0;
}

/* One segment at snd_nxt, with the FIN if it comes to that. */
static int send_new(struct gd_tcb *tcb, uint32_t len, uint64_t now)
{
    uint32_t seq = tcb->snd_nxt;
    bool last = seq + len == fin_seq(tcb);
    bool fin = last && may_send_fin(tcb);
    uint8_t flags = (uint8_t)(GD_TCP_ACK | (last && len > 0 ? GD_TCP_PSH : 0) | (fin ? GD_TCP_FIN : 0));
    int rc = gd_flight_reserve(&tcb->flight);

    if (rc == 0)
        rc = gd_tcp_emit(tcb, seq, len, flags, now);
    if (rc != 0)
        return rc;
    tcb->snd_nxt = seq + len + (fin ? 1 : 0);
    gd_flight_push(&tcb->flight, seq, tcb->snd_nxt, now);
    gd_rate_sent(tcb, gd_flight_at(&tcb->flight, gd_flight_end(&tcb->flight) - 1), now);
    if (tcb->rtt_at == 0) {
        tcb->rtt_at = now;
        tcb->rtt_seq = tcb->snd_nxt;
    }
    if (tcb->snd_una == seq)
        tcb->first_unacked_at = now;
    if (len > 0 && len < tcb->mss)
        tcb->snd_sml = seq + len;
    tcb->fin_sent = tcb->fin_sent || fin;
    sent(tcb, len, now);
    return 0;
}

static bool ends_with_fin(const struct gd_tcb *tcb, uint32_t end)
{
    return tcb->fin_sent && end == fin_seq(tcb) + 1;
}

/* The last of the lost entries behind position that fit into one segment with it: small ones go together. */
static uint64_t last_together(const struct gd_tcb *tcb, uint64_t position)
{
    const struct gd_flight *flight = &tcb->flight;
    uint32_t seq = gd_flight_at(flight, position)->seq;

    while (position + 1 != gd_flight_end(flight)) {
        const struct gd_sent *next = gd_flight_at(flight, position + 1);

        if (next->fate != GD_SENT_LOST || next->end - (ends_with_fin(tcb, next->end) ? 1 : 0) - seq > tcb->mss)
            break;
        position++;
    }
    return position;
}

/* [seq, end) again, in pieces if the MSS has shrunk since. A piece without a frame is as one that the wire loses: else
 * those before it would go out again each turn, until there are frames for all. */
static int emit_again(struct gd_tcb *tcb, uint32_t seq, uint32_t end, uint64_t now)
{
    bool fin = ends_with_fin(tcb, end);
    uint32_t begin = seq;

    end -= fin ? 1 : 0;
    do {
        uint32_t len = end - seq < tcb->mss ? end - seq : tcb->mss;
        uint8_t push = len > 0 && seq + len == fin_seq(tcb) ? GD_TCP_PSH : 0;
        uint8_t last = fin && seq + len == end ? GD_TCP_FIN : 0;
        int rc = gd_tcp_emit(tcb, seq, len, (uint8_t)(GD_TCP_ACK | push | last), now);

        if (rc != 0)
            return seq == begin ? rc : 0;
        seq += len;
    } while (seq != end);
    return 0;
}

int gd_tcp_send_again(struct gd_tcb *tcb, uint64_t position, uint64_t now)
{
    uint64_t last = last_together(tcb, position);
    uint32_t seq = gd_flight_at(&tcb->flight, position)->seq;
    uint32_t end = gd_flight_at(&tcb->flight, last)->end;
    int rc = emit_again(tcb, seq, end, now);

    if (rc != 0)
        return rc;
    sent_again(tcb, seq, end, now);
    sent(tcb, end - seq, now);
    if (position == tcb->flight.first && tcb->recovery == GD_RECOVERY) /* Linux: the timer is the first segment's */
        gd_tcp_timer_set(tcb, GD_T_RETRANSMIT, now + tcb->rto);
    for (; position <= last; position++) {
        gd_flight_resent(&tcb->flight, gd_flight_at(&tcb->flight, position), position, now);
        gd_rate_sent(tcb, gd_flight_at(&tcb->flight, position), now);
    }
    return 0;
}

/* RFC 5681 4.1: after an idle RTO the window starts again. */
static void restart_after_idle(struct gd_tcb *tcb, uint64_t now)
{
    uint32_t window = gd_cc_initial_window(tcb);

    if (tcb->snd_una == tcb->snd_nxt && now - tcb->last_sent_at > tcb->rto && tcb->cwnd > window &&
        tcb->cc->model == NULL)
        tcb->cwnd = window;
}

/* Data waits and nothing is in flight that could bring a window update: probe for it. */
static void arm_persist(struct gd_tcb *tcb, uint64_t now)
{
    if (tcb->snd_una != tcb->snd_nxt || tcb->snd.len == 0 || tcb->deadline[GD_T_PERSIST] != GD_NEVER)
        return;
    gd_tcp_timer_set(tcb, GD_T_PERSIST, now + gd_tcp_persist_wait(tcb));
}

/* Something is held back: what will send it, if neither an ACK nor the user does? */
static void wait_for_more(struct gd_tcb *tcb, bool small_window, uint64_t now)
{
    bool corked = tcb->sock.options.cork || tcb->more;

    if (small_window)
        arm_persist(tcb, now);
    else if (corked && tcb->deadline[GD_T_CORK] == GD_NEVER)
        gd_tcp_timer_set(tcb, GD_T_CORK, now + GD_TCP_CORK_TIME);
}

/* What was lost goes first (RFC 6675 NextSeg, rule 1), as far as the window lets it. */
static int send_lost(struct gd_tcb *tcb, uint64_t now)
{
    uint64_t position;

    while ((position = gd_flight_next_lost(&tcb->flight)) != GD_NO_ENTRY) {
        const struct gd_sent *entry = gd_flight_at(&tcb->flight, position);
        uint32_t pipe = gd_tcp_pipe(tcb);
        int rc;

        if ((pipe > 0 && pipe + (entry->end - entry->seq) > tcb->cwnd) || gd_rate_holds(tcb, now))
            return 0;
        rc = gd_tcp_send_again(tcb, position, now);
        if (rc != 0)
            return rc;
    }
    return 0;
}

static uint32_t window_left(const struct gd_tcb *tcb)
{
    uint32_t flight = tcb->snd_nxt - tcb->snd_una;

    return tcb->snd_wnd > flight ? tcb->snd_wnd - flight : 0;
}

/* Bytes that wait at snd_nxt, and how many of them make the next segment by the peer's window. */
static uint32_t next_len(const struct gd_tcb *tcb, uint32_t *waiting)
{
    uint32_t window = window_left(tcb);
    int32_t left = gd_seq_diff(fin_seq(tcb), tcb->snd_nxt);
    uint32_t len;

    *waiting = left > 0 ? (uint32_t)left : 0;
    len = *waiting < window ? *waiting : window;
    return len < tcb->mss ? len : tcb->mss;
}

/* A segment larger than the MSS, to see if the path takes it. */
static bool send_larger(struct gd_tcb *tcb, uint32_t waiting, uint64_t now)
{
    uint32_t seq = tcb->snd_nxt, len = gd_mtu_probe(tcb, waiting, window_left(tcb), now);

    if (len == 0 || send_new(tcb, len, now) != 0)
        return false;
    gd_mtu_probe_sent(tcb, seq, len);
    return true;
}

static int send_data(struct gd_tcb *tcb, uint64_t now)
{
    restart_after_idle(tcb, now);
    tcb->cwnd_limited = false;
    for (;;) {
        uint32_t waiting, len = next_len(tcb, &waiting), pipe = gd_tcp_pipe(tcb);
        bool fin = !tcb->fin_sent && may_send_fin(tcb) && waiting == 0;
        int rc;

        if (tcb->path_mtu != 0 && send_larger(tcb, waiting, now))
            continue;
        if (len > 0 && pipe + len > tcb->cwnd) {
            tcb->cwnd_limited = true;
            return 0;
        }
        if (len > 0 && gd_rate_holds(tcb, now))
            return 0;
        if (len == 0 && !fin) {
            if (waiting == 0 && tcb->flight.nlost == 0)
                gd_rate_idle(tcb);
            if (waiting > 0 && tcb->snd_wnd == 0)
                arm_persist(tcb, now);
            return 0;
        }
        if (len > 0 && !worth_sending(tcb, len, waiting)) {
            wait_for_more(tcb, len < waiting, now);
            return 0;
        }
        rc = send_new(tcb, len, now);
        if (rc != 0)
            return rc;
        tcb->force = false;
    }
}

/* What holds the sender up, for TCP_INFO. */
static void note_doing(struct gd_tcb *tcb, uint64_t now)
{
    uint32_t waiting, len = next_len(tcb, &waiting);
    enum gd_doing doing = GD_DOING_NOTHING;

    if (waiting > 0 && len < tcb->mss && len < waiting)
        doing = GD_DOING_RWND;
    else if (tcb->want_write && waiting == 0)
        doing = GD_DOING_SNDBUF;
    else if (tcb->snd_una != tcb->snd_nxt || waiting > 0)
        doing = GD_DOING_SENDING;
    gd_tally_doing(tcb, doing, now);
}

int gd_tcp_send_one(struct gd_tcb *tcb, uint64_t now)
{
    uint32_t waiting, len = next_len(tcb, &waiting);

    return len > 0 && send_new(tcb, len, now) == 0 ? 1 : 0;
}

int gd_tcp_output(struct gd_tcb *tcb, uint64_t now)
{
    bool idle = tcb->flight.count == 0;
    int rc;

    if (tcb->state & (GD_CLOSED | GD_LISTEN | GD_TIME_WAIT))
        return 0;
    if (tcb->syn_due)
        return send_syn(tcb, now);
    if (tcb->state & (GD_SYN_SENT | GD_SYN_RECEIVED))
        return 0;
    rc = send_lost(tcb, now);
    if (rc == 0)
        rc = send_data(tcb, now);
    note_doing(tcb, now);
    if (tcb->sock.options.notsent_lowat != 0) /* what waits has become less */
        gd_tcp_wake_writer(tcb);
    if (idle || tcb->deadline[GD_T_PROBE] == GD_NEVER)
        gd_tcp_probe_schedule(tcb, now);
    if (rc == 0 && (tcb->ack_now || gd_tcp_window_update_due(tcb)))
        rc = gd_tcp_emit(tcb, gd_tcp_ack_seq(tcb), 0, GD_TCP_ACK, now);
    return rc;
}
