/* Round-trip time and retransmission time-out (RFC 6298). Called by tcp/ack.c, timer.c; calls nothing. */
#include "tcp.h"

#define THIN 4u         /* segments in flight (Linux's tcp_stream_is_thin) */
#define THIN_RETRIES 6u /* Linux's TCP_THIN_LINEAR_RETRIES */

/* RFC 6298 2; the variance's part has Linux's floor of 200 ms, so that a delayed ACK never times out. */
static uint64_t timeout_of(const struct gd_tcb *tcb)
{
    uint64_t variance = 4 * tcb->rttvar;
    uint64_t rto = tcb->srtt + (variance > GD_TCP_RTO_MIN ? variance : GD_TCP_RTO_MIN);

    return rto < GD_TCP_RTO_MAX ? rto : GD_TCP_RTO_MAX;
}

void gd_tcp_rtt_sample(struct gd_tcb *tcb, uint64_t rtt)
{
    if (rtt == 0)
        rtt = 1; /* srtt 0 means "none yet" */
    if (tcb->srtt == 0) {
        tcb->srtt = rtt;
        tcb->rttvar = rtt / 2;
    } else {
        uint64_t delta = rtt > tcb->srtt ? rtt - tcb->srtt : tcb->srtt - rtt;

        tcb->rttvar = (3 * tcb->rttvar + delta) / 4;
        tcb->srtt = (7 * tcb->srtt + rtt) / 8;
    }
    tcb->rto = timeout_of(tcb);
}

void gd_tcp_rto_restore(struct gd_tcb *tcb)
{
    tcb->rto = timeout_of(tcb);
}

uint64_t gd_tcp_persist_wait(const struct gd_tcb *tcb)
{
    uint64_t wait = tcb->rto << (tcb->retries < 16 ? tcb->retries : 16);

    return wait < GD_TCP_RTO_MAX ? wait : GD_TCP_RTO_MAX;
}

/* RFC 6298 5.5; it holds until a new sample (5.7's note), as on Linux. */
void gd_tcp_back_off(struct gd_tcb *tcb)
{
    bool thin = tcb->sock.options.thin_linear && tcb->state == GD_ESTABLISHED && tcb->flight.count < THIN;

    if (thin && tcb->retries <= THIN_RETRIES && tcb->srtt != 0) { /* tcp(7), TCP_THIN_LINEAR_TIMEOUTS */
        tcb->rto = timeout_of(tcb);
        return;
    }
    tcb->rto = 2 * tcb->rto < GD_TCP_RTO_MAX ? 2 * tcb->rto : GD_TCP_RTO_MAX;
}
