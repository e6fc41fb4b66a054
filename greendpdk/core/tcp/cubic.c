/* CUBIC (RFC 9438), the default, with HyStart++ (RFC 9406) for its slow start.
 * Called by tcp/ through cc.h; calls the C library's cbrt.
 *
 *     window = w_max + C (t - k)^3     t since the loss, k when w_max is reached again; never below what Reno would have
 */
#include "tcp.h"

#include <math.h>
#include <string.h>

#define C 0.4         /* RFC 9438 4.1 and 5 */
#define BETA 0.7      /* RFC 9438 4.6 */
#define ABC_LIMIT 8u  /* RFC 9406 4.3: for a sender that does not pace */
#define SSTHRESH_UNKNOWN (UINT32_MAX / 2)
/* HyStart++ (RFC 9406 4.3) */
#define RTT_THRESHOLD_MIN (4 * GD_MS)
#define RTT_THRESHOLD_MAX (16 * GD_MS)
#define RTT_SAMPLES 8u
#define CSS_DIVISOR 4u
#define CSS_ROUNDS 5u

static void start(struct gd_tcb *tcb)
{
    memset(&tcb->cc_state, 0, sizeof(tcb->cc_state));
    tcb->cwnd = gd_cc_initial_window(tcb);
    tcb->ssthresh = SSTHRESH_UNKNOWN;
    tcb->cc_state.cubic.hystart.round_end = tcb->snd_nxt;
}

static void new_round(struct gd_tcb *tcb)
{
    struct gd_hystart *hystart = &tcb->cc_state.cubic.hystart;

    if (hystart->css && ++hystart->css_rounds >= CSS_ROUNDS)
        tcb->ssthresh = tcb->cwnd; /* the delay stayed: slow start is over */
    hystart->last_min = hystart->current_min;
    hystart->current_min = 0;
    hystart->samples = 0;
    hystart->round_end = tcb->snd_nxt;
}

/* RFC 9406 4.2: a round trip longer than the round before's by an eighth: grow carefully, and watch. */
static void watch_delay(struct gd_tcb *tcb, uint64_t rtt)
{
    struct gd_hystart *hystart = &tcb->cc_state.cubic.hystart;
    uint64_t threshold = hystart->last_min / 8;

    if (gd_seq_gt(tcb->snd_una, hystart->round_end)) /* not the ACK of its last segment: that was sent in the round before */
        new_round(tcb);
    if (rtt == 0)
        return;
    if (hystart->current_min == 0 || rtt < hystart->current_min)
        hystart->current_min = rtt;
    if (++hystart->samples < RTT_SAMPLES || hystart->last_min == 0)
        return;
    if (threshold < RTT_THRESHOLD_MIN)
        threshold = RTT_THRESHOLD_MIN;
    if (threshold > RTT_THRESHOLD_MAX)
        threshold = RTT_THRESHOLD_MAX;
    if (!hystart->css && hystart->current_min >= hystart->last_min + threshold) {
        hystart->css = true;
        hystart->css_rounds = 0;
        hystart->baseline = hystart->current_min;
    } else if (hystart->css && hystart->current_min < hystart->baseline) {
        hystart->css = false; /* it was a burst of ours, not a queue */
    }
}

static void slow_start(struct gd_tcb *tcb, const struct gd_acked *acked)
{
    uint32_t limit = (tcb->retries > 0 || tcb->recovery == GD_LOSS ? 1 : ABC_LIMIT) * tcb->mss; /* RFC 3465 2.3 */
    uint32_t grow = acked->bytes < limit ? acked->bytes : limit;

    if (tcb->ssthresh == SSTHRESH_UNKNOWN) /* RFC 9406 4.3: a later slow start knows where to end */
        watch_delay(tcb, acked->rtt);
    tcb->cwnd = gd_cc_slow_start(tcb, tcb->cc_state.cubic.hystart.css ? grow / CSS_DIVISOR : grow);
}

/* RFC 9438 4.2: the curve begins anew. */
static void begin_epoch(struct gd_tcb *tcb, uint64_t now)
{
    struct gd_cubic *cubic = &tcb->cc_state.cubic;
    double mss = tcb->mss;

    cubic->epoch = now;
    cubic->credit = 0;
    cubic->w_est = tcb->cwnd;
    if (cubic->w_max < tcb->cwnd)
        cubic->w_max = tcb->cwnd;
    cubic->k = cbrt((cubic->w_max - tcb->cwnd) / mss / C);
}

static void acked(struct gd_tcb *tcb, const struct gd_acked *acked, uint64_t now)
{
    struct gd_cubic *cubic = &tcb->cc_state.cubic;
    double mss = tcb->mss, cwnd = tcb->cwnd, t, target;
    uint64_t unused = now - cubic->used_at;

    cubic->used_at = now;
    if (tcb->cwnd < tcb->ssthresh) {
        slow_start(tcb, acked);
        return;
    }
    if (cubic->epoch == 0)
        begin_epoch(tcb, now);
    else if (unused > 2 * tcb->srtt) /* 5.8: the curve stands still while the application has nothing to send */
        cubic->epoch += unused;
    t = (double)(now - cubic->epoch + tcb->srtt) / (double)GD_S; /* 4.2: where the curve will be in a round trip */
    target = cubic->w_max + C * mss * (t - cubic->k) * (t - cubic->k) * (t - cubic->k);
    if (target > 1.5 * cwnd)
        target = 1.5 * cwnd;
    /* 4.3: Reno's window with the same mean, alpha = 3 (1 - beta) / (1 + beta); 1 once it is above the last maximum */
    cubic->w_est += (cubic->w_est < cubic->prior ? 3 * (1 - BETA) / (1 + BETA) : 1.0) * acked->bytes * mss / cwnd;
    if (target < cubic->w_est) { /* 4.3: then the window is Reno's */
        if (cubic->w_est > cwnd)
            tcb->cwnd = (uint32_t)cubic->w_est;
        return;
    }
    if (target > cwnd)
        cubic->credit += (target - cwnd) / cwnd * acked->bytes; /* 4.4: (target - cwnd) / cwnd for each segment */
    if (cubic->credit >= mss) {
        tcb->cwnd += (uint32_t)cubic->credit;
        cubic->credit = 0;
    }
}

/* RFC 9438 4.6 and 4.7 */
static void reduce(struct gd_tcb *tcb)
{
    struct gd_cubic *cubic = &tcb->cc_state.cubic;
    double window = tcb->cwnd * BETA;

    cubic->epoch = 0;
    cubic->prior = tcb->cwnd;
    cubic->w_max = tcb->cwnd < cubic->w_max ? tcb->cwnd * (1 + BETA) / 2 : tcb->cwnd; /* fast convergence */
    cubic->hystart.css = false;
    tcb->ssthresh = window > 2.0 * tcb->mss ? (uint32_t)window : 2 * tcb->mss;
}

static void lost(struct gd_tcb *tcb, uint64_t now)
{
    (void)now;
    reduce(tcb);
}

static void timeout(struct gd_tcb *tcb, uint64_t now)
{
    (void)now;
    if (tcb->retries == 1) /* a second time-out of the same data does not reduce again (RFC 5681 3.1) */
        reduce(tcb);
    tcb->cwnd = tcb->mss;
}

const struct gd_cc gd_cc_cubic = {.name = "cubic", .start = start, .acked = acked, .lost = lost, .marked = lost, .timeout = timeout};

const struct gd_cc *gd_cc_find(const char *name)
{
    static const struct gd_cc *const all[] = {&gd_cc_cubic, &gd_cc_reno, &gd_cc_bbr};

    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        if (strcmp(all[i]->name, name) == 0)
            return all[i];
    return NULL;
}
