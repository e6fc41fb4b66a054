/* SYN-SENT: the answer to our SYN (RFC 9293 3.10.7.3), and what both opens do when they are through.
 * Called by tcp/input.c, ack.c, request.c; calls tcp/emit.c, cc.h.
 */
#include "tcp.h"

#include <errno.h>

/* The peer still had an old connection of this pair, which our RST has ended: the SYN need not wait out its second.
 * Linux's TCP_TIMEOUT_MIN. */
#define SYN_AGAIN (2 * GD_MS)

/* Link MTU less IP's and TCP's headers; what a full segment carries, less the timestamps in each (RFC 6691). */
void gd_tcp_update_mss(struct gd_tcb *tcb)
{
    uint32_t headers = gd_tcp_headers(&tcb->sock.flow.remote.addr);
    uint32_t mtu = tcb->sock.dst.mtu != 0 ? tcb->sock.dst.mtu : 1500;
    uint32_t mss = tcb->peer_mss;

    if (tcb->path_mtu != 0 && tcb->path_mtu < mtu)
        mtu = tcb->path_mtu;
    if (mss > mtu - headers)
        mss = mtu - headers;
    if (tcb->sock.options.maxseg != 0 && mss > tcb->sock.options.maxseg)
        mss = tcb->sock.options.maxseg;
    if (mss < GD_TCP_SND_MSS_MIN)
        mss = GD_TCP_SND_MSS_MIN;
    tcb->mss = mss - (tcb->ts_ok ? 12u : 0u);
}

void gd_tcp_take_options(struct gd_tcb *tcb, const struct gd_tcp_options *options, uint64_t now)
{
    tcb->peer_mss = options->has_mss ? options->mss : gd_tcp_mss_default(&tcb->sock.flow.remote.addr);
    tcb->wscale_ok = options->has_wscale;
    tcb->snd_wscale = options->has_wscale ? options->wscale : 0;
    tcb->rcv_wscale = options->has_wscale ? tcb->rcv_wscale : 0;
    tcb->ts_ok = options->has_ts;
    tcb->sack_ok = options->sack_ok;
    tcb->rcv_mss = GD_TCP_MSS_DEFAULT; /* until a larger one is seen; as Linux, over IPv6 too */
    if (options->has_ts) {
        tcb->ts_recent = options->tsval;
        tcb->ts_recent_at = now;
    }
    gd_mtu_start(tcb, now);
    gd_tcp_update_mss(tcb);
}

void gd_tcp_established(struct gd_tcb *tcb, uint64_t now)
{
    gd_tcp_become(tcb, GD_ESTABLISHED);
    if (tcb->sock.shut_wr) /* the user was faster than the handshake */
        gd_tcp_become(tcb, GD_FIN_WAIT_1);
    tcb->ever_connected = true;
    tcb->min_rtt = tcb->srtt; /* the handshake's: what is acknowledged faster was not sent again in time (RACK) */
    tcb->min_rtt_at = now;
    tcb->tally.delivered = 1; /* the SYN, as Linux counts */
    tcb->retries = 0;
    tcb->resent_ts = gd_tcp_now_ms(now) + tcb->ts_offset;
    gd_tcp_timer_stop(tcb, GD_T_RETRANSMIT);
    tcb->cc->start(tcb);
    gd_tcp_tune_start(tcb, now);
    tcb->last_received_at = now;
    gd_tcp_keepalive_restart(tcb, now);
    if (!tcb->passive)
        gd_sock_wake(&tcb->sock, GD_WRITE);
    gd_tcp_want_output(tcb);
}

static bool ack_is_wrong(struct gd_tcb *tcb, const struct gd_segment *segment)
{
    uint32_t ack = segment->header.ack;

    return (segment->header.flags & GD_TCP_ACK) != 0 && (gd_seq_le(ack, tcb->iss) || gd_seq_gt(ack, tcb->snd_nxt));
}

static void take_syn(struct gd_tcb *tcb, const struct gd_segment *segment, uint64_t now)
{
    uint32_t window = tcb->rcv_adv - tcb->rcv_nxt; /* what our SYN offered */

    tcb->irs = segment->seq;
    tcb->rcv_nxt = segment->seq + 1;
    tcb->rcv_adv = tcb->rcv_nxt + window;
    tcb->last_ack_sent = tcb->rcv_nxt;
    tcb->snd_wnd = tcb->max_wnd = segment->wnd; /* a SYN's window is never scaled */
    tcb->snd_wl1 = segment->seq;
    tcb->snd_wl2 = segment->header.ack;
    gd_tcp_take_options(tcb, &segment->header.options, now);
    gd_ecn_take_syn(tcb, segment);
}

/* Text or FIN behind the SYN is taken as if it came by itself (RFC 9293 3.10.7.3 calls for its processing). */
static void take_rest(struct gd_tcb *tcb, struct gd_segment *segment, uint64_t now)
{
    segment->seq++;
    if (gd_tcp_take_text(tcb, segment, now))
        gd_tcp_take_fin(tcb, segment, now);
}

static void open_done(struct gd_tcb *tcb, struct gd_segment *segment, uint64_t now)
{
    tcb->snd_una = segment->header.ack;
    tcb->syn_acked = true;
    tcb->syn_due = false;
    tcb->fack = tcb->snd_una;
    tcb->snd_sml = tcb->snd_una;
    if (tcb->rtt_at != 0)
        gd_tcp_rtt_sample(tcb, now - tcb->rtt_at);
    else
        tcb->rto = 3 * GD_S; /* RFC 6298 5.7: the SYN was sent again */
    tcb->rtt_at = 0;
    gd_neigh_confirm(tcb->sock.stack, &tcb->sock.dst, now);
    gd_tcp_established(tcb, now);
    tcb->ack_now = true;
    take_rest(tcb, segment, now);
}

void gd_tcp_syn_sent(struct gd_tcb *tcb, struct gd_segment *segment, uint64_t now)
{
    uint8_t flags = segment->header.flags;
    struct gd_stats *stats = &tcb->sock.stack->stats;

    if (ack_is_wrong(tcb, segment)) {
        gd_count(stats, GD_STAT_tcp_drop_ack);
        gd_tcp_reset_segment(tcb->sock.stack, segment);
        if (tcb->retries == 0 && (flags & GD_TCP_RST) == 0)
            gd_tcp_timer_set(tcb, GD_T_RETRANSMIT, now + SYN_AGAIN);
        return;
    }
    if (flags & GD_TCP_RST) {
        gd_count(stats, flags & GD_TCP_ACK ? GD_STAT_tcp_resets_in : GD_STAT_tcp_drop_reset);
        if (flags & GD_TCP_ACK)
            gd_tcp_done(tcb, ECONNREFUSED);
        return;
    }
    if ((flags & GD_TCP_SYN) == 0) {
        gd_count(stats, GD_STAT_tcp_drop_state);
        return;
    }
    take_syn(tcb, segment, now);
    if (flags & GD_TCP_ACK) {
        open_done(tcb, segment, now);
        return;
    }
    /* Simultaneous open: our SYN goes out again, now with an ACK. */
    gd_tcp_become(tcb, GD_SYN_RECEIVED);
    tcb->syn_due = true;
    tcb->rtt_at = 0;
    gd_tcp_want_output(tcb);
}
