/* Reno's window (RFC 5681 3.1, counting bytes as RFC 3465). Called by tcp/ through cc.h; calls nothing. */
#include "tcp.h"

/* RFC 9406 4.3: eight segments a step for a sender that does not pace; RFC 3465 2.2's two starve on stretch ACKs. */
#define ABC_LIMIT 8u

uint32_t gd_cc_initial_window(const struct gd_tcb *tcb)
{
    uint32_t floor = 2 * tcb->mss > 14600 ? 2 * tcb->mss : 14600; /* RFC 6928 2 */

    return 10 * tcb->mss < floor ? 10 * tcb->mss : floor;
}

uint32_t gd_cc_slow_start(const struct gd_tcb *tcb, uint32_t grow)
{
    return tcb->ssthresh - tcb->cwnd < grow ? tcb->ssthresh : tcb->cwnd + grow;
}

static uint32_t half_of_flight(const struct gd_tcb *tcb)
{
    uint32_t half = (tcb->snd_nxt - tcb->snd_una) / 2;

    return half > 2 * tcb->mss ? half : 2 * tcb->mss; /* RFC 5681 (4) */
}

static void start(struct gd_tcb *tcb)
{
    tcb->cwnd = gd_cc_initial_window(tcb);
    tcb->ssthresh = UINT32_MAX / 2;
    tcb->acked_in_ca = 0;
}

static void acked(struct gd_tcb *tcb, const struct gd_acked *acked, uint64_t now)
{
    uint32_t bytes = acked->bytes;

    (void)now;
    if (tcb->cwnd < tcb->ssthresh) {
        uint32_t limit = (tcb->retries > 0 || tcb->recovery == GD_LOSS ? 1 : ABC_LIMIT) * tcb->mss; /* RFC 3465 2.3 */

        tcb->cwnd = gd_cc_slow_start(tcb, bytes < limit ? bytes : limit);
        return;
    }
    tcb->acked_in_ca += bytes;
    if (tcb->acked_in_ca < tcb->cwnd)
        return;
    tcb->acked_in_ca -= tcb->cwnd;
    tcb->cwnd += tcb->mss;
}

static void lost(struct gd_tcb *tcb, uint64_t now)
{
    (void)now;
    tcb->ssthresh = half_of_flight(tcb);
    tcb->acked_in_ca = 0;
}

/* Half the window, not of the flight, which the ACK that told of it may have emptied. */
static void marked(struct gd_tcb *tcb, uint64_t now)
{
    (void)now;
    tcb->ssthresh = tcb->cwnd / 2 > 2 * tcb->mss ? tcb->cwnd / 2 : 2 * tcb->mss;
    tcb->acked_in_ca = 0;
}

static void timeout(struct gd_tcb *tcb, uint64_t now)
{
    (void)now;
    if (tcb->retries == 1) /* RFC 5681 3.1: a second time-out of the same data does not halve again */
        tcb->ssthresh = half_of_flight(tcb);
    tcb->cwnd = tcb->mss;
    tcb->acked_in_ca = 0;
}

const struct gd_cc gd_cc_reno = {.name = "reno", .start = start, .acked = acked, .lost = lost, .marked = marked, .timeout = timeout};
