/* ICMP errors about our segments: believed only if they quote what is in flight (RFC 5927 4.1).
 * Called by net/icmp4.c, net/neighbour.c; calls tcp/close.c, mtu.c.
 */
#include "tcp.h"
#include "../sock/errors.h"

#include <errno.h>
#include <netinet/in.h>

static int tell_tcb(struct gd_tcb *tcb, const struct gd_icmp_error *error, uint64_t now)
{
    bool wanted;

    if (gd_seq_lt(error->seq, tcb->snd_una) || gd_seq_ge(error->seq, tcb->snd_nxt)) {
        /* A neighbour that never answers speaks of the SYN before it is counted as sent. */
        if (tcb->state != GD_SYN_SENT || error->seq != tcb->iss)
            return -ENOENT;
    }
    if (error->mtu != 0) {
        if (tcb->state & GD_SYNCHRONIZED)
            gd_mtu_learnt(tcb, error->mtu, now);
        return 0;
    }
    wanted = gd_errors_wanted(&tcb->sock, gd_addr_is_v4(&error->remote.addr));
    if (tcb->state & (GD_SYN_SENT | GD_SYN_RECEIVED)) { /* Linux: any error ends an attempt */
        if (wanted)
            gd_errors_add(&tcb->sock, error, error->quote, error->quote_len);
        gd_tcp_done(tcb, error->error);
    } else if (wanted) { /* ip(7): at once, to the next call; no queue, as on Linux */
        gd_sock_fail(&tcb->sock, error->error);
    } else { /* RFC 5461 4.1, Linux: no error ends a connection that stands; it names the time-out, if one comes */
        tcb->sock.soft_error = error->error;
    }
    return 0;
}

int gd_tcp_icmp(struct gd_stack *stack, const struct gd_icmp_error *error, uint64_t now)
{
    struct gd_flow *flow = gd_flow_find(stack, IPPROTO_TCP, &error->local, &error->remote);

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
    return tell_tcb(gd_tcb(GD_ENTRY(flow, struct gd_sock, flow)), error, now);
}
