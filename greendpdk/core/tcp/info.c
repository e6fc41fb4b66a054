/* The counters of a connection and TCP_INFO (tcp(7)): what Linux's tcp_get_info would say, in its units: microseconds,
 * milliseconds for what was last, segments for windows.
 * Called by tcp/input.c, emit.c, output.c, timer.c, ack.c, sock/option_tcp.c; calls nothing.
 *
 * Zero for want of such a thing here: delivery_rate (only BBR samples it, for itself), fackets, last_ack_sent and rehash; Fast Open.
 */
#include "tcp.h"
#include "window.h"

#include <stddef.h>
#include <string.h>

#define US 1000ull
#define INFINITE_SSTHRESH 0x7fffffffu /* Linux's TCP_INFINITE_SSTHRESH */
#define TIMESTAMPS 12u
#define DUPTHRESH 3u                  /* tcpi_reordering: RACK has it too (RFC 8985 6.2) */

_Static_assert(offsetof(struct gd_tcp_info, rto) == 8 && offsetof(struct gd_tcp_info, total_retrans) == 100 &&
                   offsetof(struct gd_tcp_info, pacing_rate) == 104 && offsetof(struct gd_tcp_info, delivery_rate) == 160 &&
                   offsetof(struct gd_tcp_info, snd_wnd) == 228 && sizeof(struct gd_tcp_info) == 248,
               "linux/tcp.h");

void gd_tally_in(struct gd_tcb *tcb, const struct gd_segment *segment, uint64_t now)
{
    tcb->tally.segs_in++;
    if (segment->header.flags & GD_TCP_ACK)
        tcb->tally.ack_at = now;
    if (segment->len == 0)
        return;
    tcb->tally.data_segs_in++;
    tcb->tally.text_at = now;
}

void gd_tally_out(struct gd_tcb *tcb, uint32_t seq, uint32_t len)
{
    struct gd_tally *tally = &tcb->tally;

    tally->segs_out++;
    if (len == 0)
        return;
    tally->data_segs_out++;
    tally->bytes_sent += len;
    if (gd_seq_lt(seq, tcb->snd_nxt))
        tally->bytes_resent += len;
}

void gd_tally_timeout(struct gd_tcb *tcb, uint64_t now)
{
    struct gd_tally *tally = &tcb->tally;

    tally->timeouts++;
    if (tally->timeout_since != 0)
        return;
    tally->timeout_spells++;
    tally->timeout_since = now;
}

void gd_tally_progress(struct gd_tcb *tcb, uint32_t bytes, uint64_t now)
{
    struct gd_tally *tally = &tcb->tally;

    tally->bytes_acked += bytes;
    if (tally->timeout_since == 0)
        return;
    tally->timeout_time += now - tally->timeout_since;
    tally->timeout_since = 0;
}

void gd_tally_doing(struct gd_tcb *tcb, enum gd_doing doing, uint64_t now)
{
    struct gd_tally *tally = &tcb->tally;

    if (tally->doing == doing)
        return;
    tally->spent[tally->doing] += now - tally->doing_since;
    tally->doing = (uint8_t)doing;
    tally->doing_since = now;
}

/* enum tcp_ca_state: open, disorder, CWR, recovery, loss */
static uint8_t linux_recovery(const struct gd_tcb *tcb)
{
    static const uint8_t numbers[] = {[GD_OPEN] = 0, [GD_CWR] = 2, [GD_RECOVERY] = 3, [GD_LOSS] = 4};

    if (tcb->recovery == GD_OPEN && (tcb->flight.sacked > 0 || tcb->dupacks > 0))
        return 1;
    return numbers[tcb->recovery];
}

/* TCPI_OPT_ */
static uint8_t agreed(const struct gd_tcb *tcb)
{
    return (uint8_t)((tcb->ts_ok ? 1 : 0) | (tcb->sack_ok ? 2 : 0) | (tcb->wscale_ok ? 4 : 0) | (tcb->ecn.ok ? 8 : 0) |
                     (tcb->ecn.seen ? 16 : 0));
}

static uint32_t segments(const struct gd_tcb *tcb, uint32_t bytes)
{
    return tcb->mss > 0 ? bytes / tcb->mss : 0;
}

/* The only walk over the flight, and it is for who asks. */
static void count_flight(const struct gd_tcb *tcb, struct gd_tcp_info *info)
{
    const struct gd_flight *flight = &tcb->flight;

    info->unacked = flight->count + (tcb->state & (GD_SYN_SENT | GD_SYN_RECEIVED) && tcb->snd_nxt != tcb->snd_una ? 1 : 0);
    info->lost = flight->nlost;
    info->sacked = tcb->sack_ok ? 0 : tcb->dupacks;
    for (uint64_t at = flight->first; at != gd_flight_end(flight); at++) {
        const struct gd_sent *sent = gd_flight_at(flight, at);

        info->sacked += sent->fate == GD_SENT_SACKED ? 1 : 0;
        info->retrans += sent->fate == GD_SENT_OUT && sent->resent ? 1 : 0;
    }
}

static uint32_t ms_since(const struct gd_tcb *tcb, uint64_t at)
{
    return at != 0 ? (uint32_t)((tcb->sock.stack->now - at) / GD_MS) : 0;
}

static void fill_path(const struct gd_tcb *tcb, struct gd_tcp_info *info)
{
    uint32_t link = tcb->sock.dst.mtu, headers = gd_tcp_headers(&tcb->sock.flow.remote.addr);
    bool infinite = tcb->ssthresh == 0 || tcb->ssthresh >= UINT32_MAX / 2;

    info->rto = (uint32_t)(tcb->rto / US);
    info->rtt = (uint32_t)(tcb->srtt < US ? tcb->srtt != 0 : tcb->srtt / US); /* a measured one is 1 at least */
    info->rttvar = (uint32_t)((tcb->srtt != 0 ? tcb->rttvar : GD_TCP_RTO_FIRST / 4) / US);
    info->min_rtt = tcb->min_rtt != 0 ? (uint32_t)(tcb->min_rtt / US) : UINT32_MAX;
    info->ato = tcb->tally.text_at != 0 ? tcb->sock.stack->config.delayed_ack_ms * 1000 : 0;
    info->snd_mss = tcb->mss != 0 ? tcb->mss : GD_TCP_MSS_DEFAULT;
    info->rcv_mss = tcb->rcv_mss;
    info->pmtu = tcb->path_mtu != 0 && tcb->path_mtu < link ? tcb->path_mtu : link;
    info->advmss = link > headers ? link - headers : 0;
    if (tcb->sock.options.maxseg != 0 && info->advmss > tcb->sock.options.maxseg)
        info->advmss = tcb->sock.options.maxseg;
    info->advmss -= tcb->ts_ok && info->advmss > TIMESTAMPS ? TIMESTAMPS : 0; /* what is left for text */
    info->snd_ssthresh = infinite ? INFINITE_SSTHRESH : segments(tcb, tcb->ssthresh);
    info->rcv_ssthresh = tcb->sock.options.rcvbuf / 2;
    info->rcv_rtt = (uint32_t)(tcb->tune.rtt / US);
    info->rcv_space = tcb->tune.space;
    info->snd_wnd = tcb->snd_wnd;
    info->rcv_wnd = gd_tcp_rcv_window(tcb);
}

static uint64_t spent(const struct gd_tcb *tcb, enum gd_doing doing)
{
    const struct gd_tally *tally = &tcb->tally;
    uint64_t now = tally->doing == doing ? tcb->sock.stack->now - tally->doing_since : 0;

    return (tally->spent[doing] + now) / US;
}

static void fill_tally(const struct gd_tcb *tcb, struct gd_tcp_info *info)
{
    const struct gd_tally *tally = &tcb->tally;

    info->last_data_sent = ms_since(tcb, tcb->last_sent_at);
    info->last_data_recv = ms_since(tcb, tally->text_at);
    info->last_ack_recv = ms_since(tcb, tally->ack_at);
    info->total_retrans = tcb->total_retransmits;
    info->bytes_acked = tally->bytes_acked;
    info->bytes_received = tally->bytes_received;
    info->segs_out = tally->segs_out;
    info->segs_in = tally->segs_in;
    info->data_segs_in = tally->data_segs_in;
    info->data_segs_out = tally->data_segs_out;
    info->delivered = tally->delivered;
    info->delivered_ce = tally->delivered_ce;
    info->bytes_sent = tally->bytes_sent;
    info->bytes_retrans = tally->bytes_resent;
    info->dsack_dups = tally->dsacks;
    info->reord_seen = tally->reorders;
    info->rcv_ooopack = tally->out_of_order;
    info->rwnd_limited = spent(tcb, GD_DOING_RWND);
    info->sndbuf_limited = spent(tcb, GD_DOING_SNDBUF);
    info->busy_time = spent(tcb, GD_DOING_SENDING) + info->rwnd_limited + info->sndbuf_limited;
    info->total_rto = (uint16_t)tally->timeouts;
    info->total_rto_recoveries = (uint16_t)tally->timeout_spells;
    info->total_rto_time = (uint32_t)(tally->timeout_time / GD_MS);
}

void gd_tcp_info(const struct gd_tcb *tcb, struct gd_tcp_info *info)
{
    uint32_t flight = tcb->snd_nxt - gd_tcp_snd_base(tcb);

    memset(info, 0, sizeof(*info));
    info->state = gd_tcp_state_number(tcb->state);
    info->pacing_rate = gd_rate_pace(tcb) != 0 ? gd_rate_pace(tcb) : UINT64_MAX;
    info->max_pacing_rate = UINT64_MAX;
    info->reordering = DUPTHRESH;
    info->snd_cwnd = tcb->cwnd != 0 ? segments(tcb, tcb->cwnd) : 10; /* the initial one (RFC 6928) */
    if (tcb->state == GD_LISTEN) { /* Linux's aliases: how many wait for accept, and the limit */
        info->unacked = tcb->listener->queued;
        info->sacked = tcb->listener->backlog;
        return;
    }
    info->ca_state = linux_recovery(tcb);
    info->retransmits = (uint8_t)(tcb->deadline[GD_T_PERSIST] == UINT64_MAX ? tcb->retries : 0);
    info->probes = (uint8_t)tcb->probes;
    info->backoff = (uint8_t)tcb->retries;
    info->options = agreed(tcb);
    info->wscales = (uint8_t)(tcb->snd_wscale | tcb->rcv_wscale << 4);
    info->notsent_bytes = tcb->snd.len > flight ? tcb->snd.len - flight : 0;
    count_flight(tcb, info);
    fill_path(tcb, info);
    fill_tally(tcb, info);
}
