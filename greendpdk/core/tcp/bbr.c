/* BBR, version 1 as Linux runs it: a model of the path, the largest delivery rate and the shortest round trip, sets both
 * the window and the pace; losses by themselves do not. By TCP_CONGESTION "bbr" only: for paths that lose at random.
 * Called by tcp/ through cc.h; calls tcp/rate.c.
 *
 *     STARTUP ── rate grows no more, 3 rounds ──► DRAIN ── queue gone ──► PROBE_BW ◄── 200 ms of 4 segments ──┐
 *     gain 2.89                                   1/2.89                  1.25, 0.75, 1 x 6 ── 10 s ──► PROBE_RTT
 *
 * Cardwell, Cheng, Gunn, Yeganeh, Jacobson: "BBR: Congestion-Based Congestion Control", 2016; draft-cardwell-iccrg-bbr-00.
 * Left out: the detection of token-bucket policers.
 */
#include "tcp.h"

#include <string.h>

#define HIGH_GAIN 2.885 /* 2 / ln 2: the least that doubles the rate each round */
#define CWND_GAIN 2.0   /* one more BDP, for ACKs that are delayed or come in heaps */
#define CYCLE 8u        /* phases of PROBE_BW, a shortest round trip each */
#define FULL_GROWTH 1.25
#define FULL_ROUNDS 3u
#define PACE_MARGIN 0.99               /* below the bandwidth, so that no queue builds up */
#define MIN_SEGMENTS 4u                /* enough for an ACK of every second segment to keep the clock */
#define MIN_RTT_LIFE (10 * GD_S)
#define PROBE_RTT_TIME (200 * GD_MS)
#define EXTRA_ROUNDS 5u                /* what ACKs come in heaps of is remembered for twice as long */
#define EXTRA_TIME 0.1                 /* and counts up to so many seconds' worth */
#define BURST 65536.0                  /* Linux's largest TSO frame */

enum mode { NONE, STARTUP, DRAIN, PROBE_BW, PROBE_RTT };

static const double cycle_gains[CYCLE] = {1.25, 0.75, 1, 1, 1, 1, 1, 1};

static double bandwidth(const struct gd_bbr *bbr)
{
    float most = 0;

    for (int i = 0; i < GD_BBR_ROUNDS; i++)
        if (bbr->bw[i] > most)
            most = bbr->bw[i];
    return most;
}

static double smaller(double a, double b)
{
    return a < b ? a : b;
}

static double pacing_gain(const struct gd_bbr *bbr)
{
    switch (bbr->mode) {
    case STARTUP:
        return HIGH_GAIN;
    case DRAIN:
        return 1 / HIGH_GAIN;
    case PROBE_BW:
        return cycle_gains[bbr->cycle];
    default:
        return 1;
    }
}

/* Bytes that fill the path by so much, and what hosts at both ends hold up for a moment. */
static uint32_t target(const struct gd_tcb *tcb, double gain)
{
    const struct gd_bbr *bbr = &tcb->cc_state.bbr;
    double bw = bandwidth(bbr), burst = smaller(bw * 0.001, BURST);
    double bytes = gain * bw * (double)bbr->min_rtt / (double)GD_S;

    if (bbr->min_rtt == 0 || bw == 0)
        return gd_cc_initial_window(tcb);
    bytes += 3 * (burst > 2.0 * tcb->mss ? burst : 2.0 * tcb->mss);
    if (bbr->mode == PROBE_BW && bbr->cycle == 0)
        bytes += 2.0 * tcb->mss;
    return (uint32_t)smaller(bytes, UINT32_MAX / 4);
}

static void begin(struct gd_tcb *tcb, uint64_t now)
{
    struct gd_bbr *bbr = &tcb->cc_state.bbr;
    uint64_t rtt = tcb->srtt != 0 ? tcb->srtt : GD_MS;

    memset(bbr, 0, sizeof(*bbr));
    bbr->mode = STARTUP;
    bbr->min_rtt = tcb->min_rtt;
    bbr->min_rtt_at = bbr->extra_at = now;
    bbr->round_end = tcb->rate.delivered;
    bbr->lost_before = (uint32_t)tcb->flight.ever_lost;
    tcb->ssthresh = UINT32_MAX / 2;
    tcb->rate.pace = (uint64_t)(HIGH_GAIN * tcb->cwnd * (double)GD_S / (double)rtt);
    tcb->rate.pace_at = now;
}

/* The largest rate of ten rounds; one that the application limited counts only if it is larger yet. */
static void take_bandwidth(struct gd_tcb *tcb, const struct gd_acked *acked)
{
    struct gd_bbr *bbr = &tcb->cc_state.bbr;
    double sample = gd_rate_sample(tcb, acked), most;
    bool limited = acked->sample.limited;

    bbr->round_start = sample > 0 && acked->sample.prior_delivered >= bbr->round_end;
    if (bbr->round_start) {
        bbr->round_end = tcb->rate.delivered;
        bbr->conserving = false;
        if (!limited) {
            bbr->round = (uint8_t)((bbr->round + 1) % GD_BBR_ROUNDS);
            bbr->bw[bbr->round] = 0;
        }
        bbr->rounds++;
    }
    if (sample > bbr->bw[bbr->round] && (!limited || sample > bandwidth(bbr)))
        bbr->bw[bbr->round] = (float)sample;
    if (bbr->full || !bbr->round_start || limited)
        return;
    most = bandwidth(bbr);
    if (most >= FULL_GROWTH * bbr->full_bw) {
        bbr->full_bw = (float)most;
        bbr->full_rounds = 0;
    } else {
        bbr->full = ++bbr->full_rounds >= FULL_ROUNDS;
    }
}

/* What was acknowledged beyond the bandwidth since ACKs last kept pace with it: heaps of them need a larger window. */
static void take_extra(struct gd_tcb *tcb, uint32_t acked, uint64_t now)
{
    struct gd_bbr *bbr = &tcb->cc_state.bbr;
    double bw = bandwidth(bbr), expected = bw * (double)(now - bbr->extra_at) / (double)GD_S, extra;

    if (bbr->round_start && ++bbr->extra_rounds >= EXTRA_ROUNDS) {
        bbr->extra_rounds = 0;
        bbr->extra[1] = bbr->extra[0];
        bbr->extra[0] = 0;
    }
    if (bbr->extra_acked <= expected) {
        bbr->extra_acked = 0;
        bbr->extra_at = now;
        expected = 0;
    }
    bbr->extra_acked += (float)acked;
    extra = smaller(smaller(bbr->extra_acked - expected, tcb->cwnd), bw * EXTRA_TIME);
    if (extra > bbr->extra[0])
        bbr->extra[0] = (float)extra;
}

static void enter_probe_bw(struct gd_tcb *tcb, uint64_t now)
{
    struct gd_bbr *bbr = &tcb->cc_state.bbr;

    bbr->mode = PROBE_BW;
    bbr->cycle = (uint8_t)(1 + gd_random_below(&tcb->sock.stack->random, CYCLE - 1)); /* flows should not probe together */
    bbr->cycle = bbr->cycle == 1 ? 2 : bbr->cycle;                         /* nor begin by draining */
    bbr->phase_at = now;
}

static void go_round(struct gd_tcb *tcb, bool lost, uint64_t now)
{
    struct gd_bbr *bbr = &tcb->cc_state.bbr;
    double gain = cycle_gains[bbr->cycle];
    uint32_t pipe = gd_tcp_pipe(tcb);
    bool through = now - bbr->phase_at > bbr->min_rtt;

    if (gain > 1)
        through = through && (lost || pipe >= target(tcb, gain));
    else if (gain < 1)
        through = through || pipe <= target(tcb, 1);
    if (!through)
        return;
    bbr->cycle = (uint8_t)((bbr->cycle + 1) % CYCLE);
    bbr->phase_at = now;
}

static void choose_mode(struct gd_tcb *tcb, bool lost, uint64_t now)
{
    struct gd_bbr *bbr = &tcb->cc_state.bbr;

    if (bbr->mode == PROBE_BW)
        go_round(tcb, lost, now);
    if (bbr->mode == STARTUP && bbr->full)
        bbr->mode = DRAIN;
    if (bbr->mode == DRAIN && gd_tcp_pipe(tcb) <= target(tcb, 1))
        enter_probe_bw(tcb, now);
}

static void keep_window(struct gd_tcb *tcb)
{
    struct gd_bbr *bbr = &tcb->cc_state.bbr;

    if (bbr->recovering || bbr->mode == PROBE_RTT)
        bbr->prior_cwnd = tcb->cwnd > bbr->prior_cwnd ? tcb->cwnd : bbr->prior_cwnd;
    else
        bbr->prior_cwnd = tcb->cwnd;
}

static void leave_probe_rtt(struct gd_tcb *tcb, uint64_t now)
{
    struct gd_bbr *bbr = &tcb->cc_state.bbr;

    bbr->min_rtt_at = now;
    tcb->cwnd = tcb->cwnd > bbr->prior_cwnd ? tcb->cwnd : bbr->prior_cwnd;
    if (bbr->full)
        enter_probe_bw(tcb, now);
    else
        bbr->mode = STARTUP;
}

/* The shortest round trip of ten seconds; when none was as short, the queue is emptied to see. */
static void take_min_rtt(struct gd_tcb *tcb, uint64_t rtt, uint64_t now)
{
    struct gd_bbr *bbr = &tcb->cc_state.bbr;
    bool old = now - bbr->min_rtt_at > MIN_RTT_LIFE;

    if (rtt != 0 && (bbr->min_rtt == 0 || rtt <= bbr->min_rtt || old)) {
        bbr->min_rtt = rtt;
        bbr->min_rtt_at = now;
    }
    if (old && bbr->mode != PROBE_RTT) {
        keep_window(tcb);
        bbr->mode = PROBE_RTT;
        bbr->phase_at = 0;
    }
    if (bbr->mode != PROBE_RTT)
        return;
    gd_rate_idle(tcb); /* its samples say nothing of the path */
    if (bbr->phase_at == 0) {
        if (gd_tcp_pipe(tcb) <= MIN_SEGMENTS * tcb->mss) {
            bbr->phase_at = now + PROBE_RTT_TIME;
            bbr->probe_round = bbr->rounds + 1;
        }
    } else if (now >= bbr->phase_at && bbr->rounds >= bbr->probe_round) {
        leave_probe_rtt(tcb, now);
    }
}

/* In the first round of a recovery a segment goes out for each that arrives, then the model rules again. True: it does. */
static bool in_recovery(struct gd_tcb *tcb, uint32_t acked, uint32_t lost)
{
    struct gd_bbr *bbr = &tcb->cc_state.bbr;
    bool recovering = tcb->recovery > GD_CWR;
    uint32_t kept = gd_tcp_pipe(tcb) + acked;

    if (lost > 0)
        tcb->cwnd = tcb->cwnd > lost + tcb->mss ? tcb->cwnd - lost : tcb->mss;
    if (recovering && !bbr->recovering) {
        bbr->conserving = tcb->recovery == GD_RECOVERY;
        bbr->round_end = tcb->rate.delivered;
        if (bbr->conserving)
            tcb->cwnd = kept;
    } else if (!recovering && bbr->recovering) {
        bbr->conserving = false;
        tcb->cwnd = tcb->cwnd > bbr->prior_cwnd ? tcb->cwnd : bbr->prior_cwnd;
    }
    bbr->recovering = recovering;
    if (!bbr->conserving)
        return true;
    tcb->cwnd = tcb->cwnd > kept ? tcb->cwnd : kept;
    return false;
}

static void set_window(struct gd_tcb *tcb, uint32_t acked, uint32_t lost)
{
    struct gd_bbr *bbr = &tcb->cc_state.bbr;
    double extra = bbr->extra[0] > bbr->extra[1] ? bbr->extra[0] : bbr->extra[1];
    uint32_t aim = target(tcb, bbr->mode == STARTUP || bbr->mode == DRAIN ? HIGH_GAIN : CWND_GAIN);
    uint32_t least = MIN_SEGMENTS * tcb->mss;

    if (in_recovery(tcb, acked, lost)) {
        aim += bbr->full ? (uint32_t)extra : 0;
        if (bbr->full)
            tcb->cwnd = tcb->cwnd + acked < aim ? tcb->cwnd + acked : aim;
        else if (tcb->cwnd < aim || tcb->rate.delivered < gd_cc_initial_window(tcb))
            tcb->cwnd += acked;
        if (tcb->cwnd < least)
            tcb->cwnd = least;
    }
    if (bbr->mode == PROBE_RTT && tcb->cwnd > least)
        tcb->cwnd = least;
}

static void model(struct gd_tcb *tcb, const struct gd_acked *acked, uint64_t now)
{
    struct gd_bbr *bbr = &tcb->cc_state.bbr;
    uint32_t lost;
    double pace;

    if (bbr->mode == NONE)
        begin(tcb, now);
    lost = (uint32_t)tcb->flight.ever_lost - bbr->lost_before;
    bbr->lost_before = (uint32_t)tcb->flight.ever_lost;
    take_bandwidth(tcb, acked);
    take_extra(tcb, acked->delivered, now);
    choose_mode(tcb, lost > 0, now);
    take_min_rtt(tcb, acked->rtt, now);
    pace = pacing_gain(bbr) * PACE_MARGIN * bandwidth(bbr);
    if (pace >= 1 && (bbr->full || pace > (double)tcb->rate.pace))
        tcb->rate.pace = (uint64_t)pace;
    set_window(tcb, acked->delivered, lost);
}

static void start(struct gd_tcb *tcb)
{
    memset(&tcb->cc_state, 0, sizeof(tcb->cc_state));
    tcb->rate.pace = 0; /* until the first ACK: the model begins with it */
    tcb->cwnd = gd_cc_initial_window(tcb);
    tcb->ssthresh = UINT32_MAX / 2;
}

/* A recovery begins: the window comes back when it ends. */
static void lost(struct gd_tcb *tcb, uint64_t now)
{
    (void)now;
    keep_window(tcb);
}

/* Version 1 does not listen to ECN. */
static void marked(struct gd_tcb *tcb, uint64_t now)
{
    (void)tcb;
    (void)now;
}

static void timeout(struct gd_tcb *tcb, uint64_t now)
{
    (void)now;
    keep_window(tcb);
    tcb->cc_state.bbr.full_bw = 0;
    tcb->cwnd = tcb->mss;
}

const struct gd_cc gd_cc_bbr = {
    .name = "bbr", .start = start, .model = model, .lost = lost, .marked = marked, .timeout = timeout};
