/* The path's MTU (RFC 1191, RFC 8201), also where no router tells of it (RFC 4821).
 * Called by tcp/syn_sent.c, icmp.c, timer.c, output.c, recover.c, ack.c; calls tcp/syn_sent.c, net/pmtu.c.
 *
 *     ICMP ─────────────────────► path_mtu ──── 10 minutes ───► search
 *     three time-outs in a row ─► 1,064, then 552 (IPv6: 1,280) ─► search at once: was it the size, or an outage?
 *
 *     search:  path_mtu │◄─────── may pass ───────►│ high        a probe of `high`, then half way each, until they meet
 *
 * A probe is one segment of new data that is longer than the MSS. If it arrives, its size is the path's; if it alone is
 * lost, the size was too large and nothing else is meant: no reduction (RFC 4821 7.6.2), and its text goes again in
 * segments that pass. So a larger MTU is never simply tried, as RFC 1191 6.3 has it: where ICMP is filtered that would
 * stop the connection for seconds each ten minutes. Linux searches so with tcp_mtu_probing, which it leaves off.
 */
#include "tcp.h"

#define TIMEOUTS 3u             /* Linux's tcp_retries1: then something is wrong with the path */
#define BASE 1064u              /* Linux's tcp_base_mss, 1,024, and the headers */
#define LEAST4 552u             /* Linux's min_pmtu: a smaller claim is an attack (RFC 5927 7.3) */
#define LEAST6 1280u            /* RFC 8201 4 */
#define NEAR 8u                 /* Linux's tcp_probe_threshold: that close is found */
#define AGAIN (600 * GD_S)      /* RFC 1191 6.3, RFC 8201 5.2; Linux's tcp_probe_interval */
#define FOLLOWERS 4u            /* segments after the probe: RACK finds it lost by them (RFC 4821 7.4) */
#define TIMESTAMPS 12u

static bool is_v4(const struct gd_tcb *tcb)
{
    return gd_addr_is_v4(&tcb->sock.flow.remote.addr);
}

/* What the interface and the peer take. */
static uint32_t limit_of(const struct gd_tcb *tcb)
{
    uint32_t headers = gd_tcp_headers(&tcb->sock.flow.remote.addr);
    uint32_t mss = tcb->peer_mss, maxseg = tcb->sock.options.maxseg;

    if (maxseg != 0 && mss > maxseg)
        mss = maxseg;
    return mss + headers < tcb->sock.dst.mtu ? mss + headers : tcb->sock.dst.mtu;
}

static uint32_t size_now(const struct gd_tcb *tcb)
{
    return tcb->path_mtu != 0 && tcb->path_mtu < limit_of(tcb) ? tcb->path_mtu : limit_of(tcb);
}

static void set_path(struct gd_tcb *tcb, uint32_t mtu)
{
    tcb->path_mtu = mtu < limit_of(tcb) ? mtu : 0;
    gd_tcp_update_mss(tcb);
}

static void stop_search(struct gd_tcb *tcb, uint64_t now)
{
    tcb->mtu = (struct gd_mtu){.again_at = now + AGAIN};
    if (tcb->path_mtu != 0) /* what has been found out here, others need not */
        gd_pmtu_learn(tcb->sock.stack, &tcb->sock.flow.remote.addr, tcb->path_mtu);
}

void gd_mtu_start(struct gd_tcb *tcb, uint64_t now)
{
    uint32_t known = gd_path_mtu(tcb->sock.stack, &tcb->sock.dst, &tcb->sock.flow.remote.addr);

    tcb->path_mtu = known < tcb->sock.dst.mtu ? known : 0;
    tcb->mtu = (struct gd_mtu){.again_at = now + AGAIN};
}

void gd_mtu_learnt(struct gd_tcb *tcb, uint32_t mtu, uint64_t now)
{
    uint32_t least = is_v4(tcb) ? LEAST4 : LEAST6;

    if (mtu < least)
        mtu = least;
    if (mtu < size_now(tcb)) {
        set_path(tcb, mtu);
        stop_search(tcb, now);
        while (tcb->flight.oldest != GD_NO_ENTRY) /* RFC 1191 6.4: what was dropped goes again, smaller; no congestion */
            gd_flight_lost(&tcb->flight, tcb->flight.oldest);
    } else if (mtu < tcb->mtu.probe) { /* a router that does tell: this is what to try next */
        uint64_t at = gd_flight_search(&tcb->flight, tcb->mtu.probe_seq);

        if (at != gd_flight_end(&tcb->flight) && gd_flight_at(&tcb->flight, at)->fate == GD_SENT_OUT)
            gd_flight_lost(&tcb->flight, at);
        tcb->mtu = (struct gd_mtu){.high = mtu};
        if (mtu == size_now(tcb))
            stop_search(tcb, now);
    } else {
        return;
    }
    tcb->rtt_at = 0;
    gd_tcp_want_output(tcb);
}

/* The size that failed, or all that is known of it. */
static void too_large(struct gd_tcb *tcb, uint64_t now)
{
    struct gd_mtu *mtu = &tcb->mtu;

    mtu->high = mtu->probe - 1;
    mtu->halve = true;
    mtu->probe = 0;
    if (mtu->high < size_now(tcb) + NEAR)
        stop_search(tcb, now);
}

void gd_mtu_timeout(struct gd_tcb *tcb, uint64_t now)
{
    uint32_t size = size_now(tcb), next = is_v4(tcb) ? size > BASE ? BASE : LEAST4 : LEAST6;
    const struct gd_sent *first = tcb->flight.count > 0 ? gd_flight_at(&tcb->flight, tcb->flight.first) : NULL;

    if (tcb->mtu.probe != 0)
        too_large(tcb, now);
    if (tcb->retries < TIMEOUTS || next >= size || first == NULL)
        return;
    if (first->end - first->seq + gd_tcp_headers(&tcb->sock.flow.remote.addr) <= next) /* smaller: not the size's fault */
        return;
    gd_count(&tcb->sock.stack->stats, GD_STAT_tcp_mtu_black_holes);
    if (tcb->mtu.high == 0)
        tcb->mtu = (struct gd_mtu){.high = size};
    set_path(tcb, next);
}

/* RFC 4821 7.4: nothing else is wrong, and enough follows that a loss shows. */
static bool may_probe(const struct gd_tcb *tcb)
{
    return tcb->sack_ok && tcb->recovery == GD_OPEN && tcb->mtu.probe == 0 && tcb->flight.sacked == 0 &&
           tcb->flight.nlost == 0 && tcb->retries == 0;
}

uint32_t gd_mtu_probe(struct gd_tcb *tcb, uint32_t waiting, uint32_t window, uint64_t now)
{
    struct gd_mtu *mtu = &tcb->mtu;
    uint32_t around = gd_tcp_headers(&tcb->sock.flow.remote.addr) + (tcb->ts_ok ? TIMESTAMPS : 0);
    uint32_t size, len, all, pipe = gd_tcp_pipe(tcb);

    if (tcb->path_mtu == 0 || (mtu->high == 0 && now < mtu->again_at) || !may_probe(tcb))
        return 0;
    if (mtu->high == 0)
        *mtu = (struct gd_mtu){.high = limit_of(tcb)};
    size = mtu->halve ? (size_now(tcb) + mtu->high + 1) / 2 : mtu->high;
    if (size <= around) /* the peer takes less than its timestamps are */
        return 0;
    len = size - around;
    all = len + FOLLOWERS * tcb->mss;
    if (len <= tcb->mss || waiting < all || window < all || pipe + len > tcb->cwnd || all > tcb->cwnd)
        return 0;
    return len;
}

void gd_mtu_probe_sent(struct gd_tcb *tcb, uint32_t seq, uint32_t len)
{
    gd_count(&tcb->sock.stack->stats, GD_STAT_tcp_mtu_probes);
    tcb->mtu.probe = len + gd_tcp_headers(&tcb->sock.flow.remote.addr) + (tcb->ts_ok ? TIMESTAMPS : 0);
    tcb->mtu.probe_seq = seq;
    tcb->mtu.probe_end = seq + len;
}

void gd_mtu_acked(struct gd_tcb *tcb, uint64_t now)
{
    struct gd_mtu *mtu = &tcb->mtu;

    if (mtu->probe == 0 || gd_seq_lt(tcb->snd_una, mtu->probe_end))
        return;
    gd_count(&tcb->sock.stack->stats, GD_STAT_tcp_mtu_probes_through);
    set_path(tcb, mtu->probe);
    mtu->probe = 0;
    if (mtu->high < size_now(tcb) + NEAR)
        stop_search(tcb, now);
}

bool gd_mtu_only_probe_lost(struct gd_tcb *tcb, uint64_t now)
{
    uint64_t at;

    if (tcb->mtu.probe == 0)
        return false;
    at = gd_flight_search(&tcb->flight, tcb->mtu.probe_seq);
    if (at == gd_flight_end(&tcb->flight) || gd_flight_at(&tcb->flight, at)->fate != GD_SENT_LOST)
        return false;
    too_large(tcb, now);
    return tcb->flight.nlost == 1;
}
