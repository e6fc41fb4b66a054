/* ICMP errors about our segments: believed only if they quote what is in flight (RFC 5927 4.1).
 * Called by net/icmp4.c, net/neighbour.c; calls tcp/close.c.
 */
#include "tcp.h"

#include <errno.h>
#include <netinet/in.h>

#define GD_PATH_MTU_MIN 552u   /* Linux's min_pmtu: a smaller claim is an attack (RFC 5927 7.3) */
#define GD_PATH_MTU_MIN6 1280u /* RFC 8201 4 */

static void take_path_mtu(struct gd_tcb *tcb, uint32_t mtu)
{
    uint32_t now = tcb->path_mtu != 0 ? tcb->path_mtu : tcb->sock.dst.mtu;
    uint32_t least = gd_addr_is_v4(&tcb->sock.flow.remote.addr) ? GD_PATH_MTU_MIN : GD_PATH_MTU_MIN6;

    if (mtu < least)
        mtu = least;
    if (mtu >= now)
        return;
    tcb->path_mtu = mtu;
    gd_tcp_update_mss(tcb);
    while (tcb->flight.oldest != GD_NO_ENTRY) /* RFC 1191 6.4: what was dropped is sent again, smaller; no congestion */
        gd_flight_lost(&tcb->flight, tcb->flight.oldest);
    tcb->rtt_at = 0;
    gd_tcp_want_output(tcb);
}

static int tell_tcb(struct gd_tcb *tcb, const struct gd_icmp_error *error)
{
    if (gd_seq_lt(error->seq, tcb->snd_una) || gd_seq_ge(error->seq, tcb->snd_nxt)) {
        /* A neighbour that never answers speaks of the SYN before it is counted as sent. */
        if (tcb->state != GD_SYN_SENT || error->seq != tcb->iss)
            return -ENOENT;
    }
    if (error->mtu != 0) {
        if (tcb->state & GD_SYNCHRONIZED)
            take_path_mtu(tcb, error->mtu);
        return 0;
    }
    if (tcb->state & (GD_SYN_SENT | GD_SYN_RECEIVED)) /* Linux: any error ends an attempt */
        gd_tcp_done(tcb, error->error);
    else /* RFC 5461 4.1, Linux: no error ends a connection that stands; it names the time-out, if one comes */
        tcb->sock.soft_error = error->error;
    return 0;
}

int gd_tcp_icmp(struct gd_stack *stack, const struct gd_icmp_error *error, uint64_t now)
{
    struct gd_flow *flow = gd_flow_find(stack, IPPROTO_TCP, &error->local, &error->remote);

    (void)now;
    if (flow == NULL || flow->kind == GD_FLOW_TIME_WAIT)
        return -ENOENT;
    if (flow->kind == GD_FLOW_REQUEST) {
        struct gd_request *request = GD_ENTRY(flow, struct gd_request, flow);

        if (error->seq != request->iss)
            return -ENOENT;
        if (error->hard)
            gd_request_free(stack, request);
        return 0;
    }
    return tell_tcb(gd_tcb(GD_ENTRY(flow, struct gd_sock, flow)), error);
}
