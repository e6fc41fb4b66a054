/* What a connection may send now: window, Nagle, silly-window avoidance, FIN (RFC 9293 3.7.4, 3.8.6).
 * Called by stack.c for each tcb on the output list; calls tcp/emit.c.
 */
#include "tcp.h"

#include <errno.h>

/* Bytes that the peer's window and ours let stand in the network. */
static uint32_t send_window(const struct gd_tcb *tcb)
{
    uint32_t window = tcb->cwnd;

    /* RFC 3042: limited transmit, of new data, and not after a time-out */
    if (!tcb->in_recovery && tcb->dupacks > 0 && tcb->snd_nxt == tcb->snd_max && gd_seq_gt(tcb->snd_una, tcb->recover))
        window += (tcb->dupacks < 2 ? tcb->dupacks : 2) * tcb->mss;
    return window < tcb->snd_wnd ? window : tcb->snd_wnd;
}

static uint32_t fin_seq(const struct gd_tcb *tcb)
{
    return gd_tcp_snd_base(tcb) + tcb->snd.len;
}

/* A segment of len < mss at the buffer's end: does anything say wait? Linux's tcp_nagle_check (Minshall): only while
 * an earlier small segment is unacknowledged. */
static bool nagle_holds(const struct gd_tcb *tcb)
{
    const struct gd_options *options = &tcb->sock.options;

    if (tcb->force || (tcb->sock.shut_wr))
        return false;
    if (options->cork || tcb->more)
        return true;
    return !options->nodelay && gd_seq_gt(tcb->snd_sml, tcb->snd_una) && tcb->snd_max != tcb->snd_una;
}

/* RFC 9293 3.8.6.2.1: a full segment, or all there is, or half the peer's largest window. */
static bool worth_sending(const struct gd_tcb *tcb, uint32_t len, uint32_t waiting)
{
    if (len >= tcb->mss || gd_seq_lt(tcb->snd_nxt, tcb->snd_max) || tcb->force)
        return true;
    if (len == waiting)
        return !nagle_holds(tcb);
    return len >= tcb->max_wnd / 2;
}

/* The first send of [seq, seq + len) times it, and starts the retransmission timer (RFC 6298 5.1). */
static void sent(struct gd_tcb *tcb, uint32_t seq, uint32_t count, uint64_t now)
{
    uint32_t end = seq + count;

    if (gd_seq_lt(seq, tcb->snd_max)) {
        tcb->total_retransmits++;
        tcb->resent_ts = gd_tcp_now_ms(now) + tcb->ts_offset;
        gd_count(&tcb->sock.stack->stats, GD_STAT_tcp_retransmits);
        if (tcb->rtt_at != 0 && gd_seq_lt(seq, tcb->rtt_seq))
            tcb->rtt_at = 0;
    } else if (tcb->rtt_at == 0) {
        tcb->rtt_at = now;
        tcb->rtt_seq = end;
    }
    if (tcb->snd_una == tcb->snd_max)
        tcb->first_unacked_at = now;
    tcb->last_sent_at = now;
    tcb->snd_max = gd_seq_max(tcb->snd_max, end);
    if (tcb->deadline[GD_T_RETRANSMIT] == GD_NEVER)
        gd_tcp_timer_set(tcb, GD_T_RETRANSMIT, now + tcb->rto);
    gd_tcp_timer_stop(tcb, GD_T_PERSIST);
}

static int send_syn(struct gd_tcb *tcb, uint64_t now)
{
    uint8_t flags = (uint8_t)(GD_TCP_SYN | (tcb->state == GD_SYN_RECEIVED ? GD_TCP_ACK : 0));
    int rc = gd_tcp_emit(tcb, tcb->iss, 0, flags, now);

    if (rc != 0)
        return rc;
    tcb->snd_nxt = tcb->iss + 1;
    sent(tcb, tcb->iss, 1, now);
    return 0;
}

/* One segment from seq on, with the FIN if it comes to that. *count: sequence numbers used. */
static int send_segment(struct gd_tcb *tcb, uint32_t seq, uint32_t len, uint32_t *count, uint64_t now)
{
    bool last = seq + len == fin_seq(tcb);
    bool fin = last && tcb->sock.shut_wr && (tcb->state & (GD_FIN_WAIT_1 | GD_CLOSING | GD_LAST_ACK)) != 0;
    uint8_t flags = (uint8_t)(GD_TCP_ACK | (last && len > 0 ? GD_TCP_PSH : 0) | (fin ? GD_TCP_FIN : 0));
    int rc = gd_tcp_emit(tcb, seq, len, flags, now);

    if (rc != 0)
        return rc;
    *count = len + (fin ? 1 : 0);
    if (len > 0 && len < tcb->mss)
        tcb->snd_sml = gd_seq_max(tcb->snd_sml, seq + len);
    if (fin)
        tcb->fin_sent = true;
    sent(tcb, seq, *count, now);
    return 0;
}

/* RFC 5681 3.2: the first segment that is not acknowledged, whatever the window. */
static int send_again(struct gd_tcb *tcb, uint64_t now)
{
    uint32_t base = gd_tcp_snd_base(tcb);
    uint32_t sent_bytes = tcb->snd_max - base;
    uint32_t len = tcb->snd.len < sent_bytes ? tcb->snd.len : sent_bytes;
    uint32_t count;
    int rc;

    if (!tcb->syn_acked)
        return send_syn(tcb, now);
    if (tcb->snd_una == tcb->snd_max)
        return 0;
    rc = send_segment(tcb, base, len < tcb->mss ? len : tcb->mss, &count, now);
    if (rc == 0)
        tcb->snd_nxt = gd_seq_max(tcb->snd_nxt, base + count);
    return rc;
}

/* RFC 5681 4.1: after an idle RTO the window starts again. */
static void restart_after_idle(struct gd_tcb *tcb, uint64_t now)
{
    uint32_t window = gd_cc_initial_window(tcb);

    if (tcb->snd_una == tcb->snd_max && now - tcb->last_sent_at > tcb->rto && tcb->cwnd > window)
        tcb->cwnd = window;
}

/* Data waits and nothing is in flight that could bring a window update: probe for it. */
static void arm_persist(struct gd_tcb *tcb, uint64_t now)
{
    if (tcb->snd_una != tcb->snd_max || tcb->snd.len == 0 || tcb->deadline[GD_T_PERSIST] != GD_NEVER)
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

static int send_data(struct gd_tcb *tcb, uint64_t now)
{
    restart_after_idle(tcb, now);
    tcb->cwnd_limited = false;
    for (;;) {
        uint32_t flight = tcb->snd_nxt - tcb->snd_una;
        uint32_t window = send_window(tcb);
        uint32_t usable = window > flight ? window - flight : 0;
        uint32_t waiting = gd_seq_diff(fin_seq(tcb), tcb->snd_nxt) > 0 ? fin_seq(tcb) - tcb->snd_nxt : 0;
        uint32_t len = waiting < usable ? waiting : usable;
        bool fin = tcb->sock.shut_wr && tcb->snd_nxt == fin_seq(tcb) && flight <= tcb->snd_wnd &&
                   (tcb->state & (GD_FIN_WAIT_1 | GD_CLOSING | GD_LAST_ACK)) != 0;
        uint32_t count;
        int rc;

        if (len > tcb->mss)
            len = tcb->mss;
        if (waiting > 0 && window == tcb->cwnd && len < tcb->mss && len < waiting)
            tcb->cwnd_limited = true;
        if (len == 0 && !fin) {
            if (waiting > 0 && tcb->snd_wnd == 0)
                arm_persist(tcb, now);
            return 0;
        }
        if (len > 0 && !worth_sending(tcb, len, waiting)) {
            wait_for_more(tcb, len < waiting, now);
            return 0;
        }
        rc = send_segment(tcb, tcb->snd_nxt, len, &count, now);
        if (rc != 0)
            return rc;
        tcb->snd_nxt += count;
        tcb->force = false;
    }
}

int gd_tcp_output(struct gd_tcb *tcb, uint64_t now)
{
    int rc = 0;

    if (tcb->state & (GD_CLOSED | GD_LISTEN | GD_TIME_WAIT))
        return 0;
    if (tcb->resend) {
        rc = send_again(tcb, now);
        if (rc != 0)
            return rc;
        tcb->resend = false;
    }
    if (!tcb->syn_acked && tcb->snd_nxt == tcb->iss)
        return send_syn(tcb, now);
    if (tcb->state & (GD_SYN_SENT | GD_SYN_RECEIVED))
        return 0;
    rc = send_data(tcb, now);
    if (rc == 0 && (tcb->ack_now || gd_tcp_window_update_due(tcb)))
        rc = gd_tcp_emit(tcb, tcb->snd_max, 0, GD_TCP_ACK, now);
    return rc;
}
