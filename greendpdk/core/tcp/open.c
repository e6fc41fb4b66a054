/* The user's side of opening: a new control block, connect, listen, accept, readiness.
 * Called by sock/sock.c; calls sock/bind.c, demux.c, tcp/isn.c.
 */
#include "tcp.h"
#include "../sock/errors.h"
#include "window.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>

#define GD_BACKLOG_MAX 4096u /* Linux's net.core.somaxconn */

int gd_tcp_new(struct gd_stack *stack, int domain, struct gd_sock **out)
{
    struct gd_tcb *tcb = calloc(1, sizeof(*tcb));

    if (tcb == NULL)
        return -ENOMEM;
    gd_sock_init(&tcb->sock, stack, domain, SOCK_STREAM);
    tcb->sock.flow.proto = IPPROTO_TCP;
    tcb->sock.options.sndbuf = GD_TCP_BUFFER;
    tcb->sock.options.rcvbuf = GD_TCP_BUFFER;
    tcb->state = GD_CLOSED;
    tcb->cc = &gd_cc_cubic;
    tcb->rto = GD_TCP_RTO_FIRST;
    gd_tcp_timer_init(tcb);
    gd_flight_init(&tcb->flight);
    gd_list_init(&tcb->output_link);
    gd_list_init(&tcb->starved_link);
    gd_list_init(&tcb->accept_link);
    *out = &tcb->sock;
    return 0;
}

void gd_tcp_want_output(struct gd_tcb *tcb)
{
    if (!gd_list_linked(&tcb->output_link))
        gd_list_append(&tcb->sock.stack->output, &tcb->output_link);
}

/* connect(2) for a socket whose connect is under way or over. 1: there is none. */
static int connect_again(struct gd_tcb *tcb)
{
    if (tcb->state & (GD_SYN_SENT | GD_SYN_RECEIVED))
        return -EALREADY;
    if (tcb->connecting) { /* the outcome, once */
        tcb->connecting = false;
        if (tcb->state != GD_CLOSED)
            return 0;
        return tcb->sock.error != 0 ? gd_sock_take_error(&tcb->sock) : -ECONNABORTED;
    }
    return tcb->state == GD_CLOSED ? 1 : -EISCONN;
}

static void forget_connection(struct gd_tcb *tcb)
{
    struct gd_chunk_pool *pool = &tcb->sock.stack->pool;

    gd_buffer_clear(pool, &tcb->snd);
    gd_buffer_clear(pool, &tcb->rcv);
    gd_islands_clear(&tcb->islands);
    tcb->fin_sent = tcb->fin_received = tcb->rcv_fin = tcb->syn_acked = false;
    tcb->ack_now = tcb->ack_later = tcb->syn_due = tcb->force = tcb->passive = false;
    gd_flight_clear(&tcb->flight);
    tcb->recovery = GD_OPEN;
    tcb->undo_ok = tcb->probing = tcb->reordered = tcb->sack_ok = false;
    tcb->min_rtt = tcb->rack_rtt = 0;
    tcb->reorder_steps = tcb->reorder_left = 0;
    tcb->nseen = 0;
    tcb->dsack = (struct gd_range){0, 0};
    tcb->retries = tcb->probes = tcb->dupacks = tcb->total_retransmits = 0;
    tcb->last_sent_at = tcb->challenged_at = 0;
    tcb->rate = (struct gd_rate){0};
    tcb->srtt = tcb->rtt_at = 0;
    tcb->rto = GD_TCP_RTO_FIRST;
    tcb->snd_wscale = tcb->rcv_wscale = 0;
    tcb->rcv_nxt = tcb->rcv_adv = 0;
    tcb->ts_ok = tcb->ever_connected = tcb->urgent_out = false;
    tcb->urgent_in = GD_URGENT_NONE;
    tcb->sock.shut_rd = tcb->sock.shut_wr = false;
    tcb->sock.soft_error = 0;
}

/* AF_UNSPEC: connect(2) dissolves the association; Linux's tcp_disconnect. */
static int disconnect(struct gd_tcb *tcb)
{
    if (tcb->state == GD_LISTEN)
        gd_listener_free(tcb, tcb->sock.stack->now);
    if (tcb->state != GD_CLOSED)
        gd_tcp_abort(tcb, 0, tcb->sock.stack->now);
    forget_connection(tcb);
    tcb->connecting = false;
    tcb->sock.error = 0;
    return 0;
}

int gd_tcp_connect(struct gd_sock *sock, const struct gd_endpoint *remote)
{
    struct gd_tcb *tcb = gd_tcb(sock);
    struct gd_stack *stack = sock->stack;
    int rc;

    if (remote == NULL)
        return disconnect(tcb);
    rc = connect_again(tcb);
    if (rc <= 0)
        return rc;
    if (gd_addr_is_multicast(&remote->addr) || gd_ip4_any_broadcast(stack, &remote->addr)) /* RFC 9293 MUST-46 */
        return -ENETUNREACH;
    rc = gd_bind_family(sock, &remote->addr);
    if (rc != 0)
        return rc;
    forget_connection(tcb);
    rc = gd_dst_resolve(stack, &sock->dst, &remote->addr);
    if (rc == 0)
        rc = gd_bind_implicit(sock, remote);
    if (rc != 0)
        return rc;
    sock->flow.remote = *remote;
    if (gd_flow_find(stack, IPPROTO_TCP, &sock->flow.local, remote) != NULL)
        return -EADDRNOTAVAIL;
    gd_flow_insert(stack, &sock->flow);
    tcb->iss = gd_tcp_isn(stack, &sock->flow, stack->now);
    tcb->ts_offset = gd_tcp_ts_offset(stack, &sock->flow);
    tcb->snd_una = tcb->snd_nxt = tcb->snd_sml = tcb->recover = tcb->fack = tcb->iss;
    tcb->rcv_wscale = gd_tcp_window_shift(&sock->options);
    tcb->syn_due = true;
    gd_ecn_open(tcb);
    tcb->tally = (struct gd_tally){0};
    tcb->peer_mss = gd_tcp_mss_default(&remote->addr);
    tcb->connecting = true;
    gd_count(&stack->stats, GD_STAT_tcp_active_opens);
    gd_tcp_become(tcb, GD_SYN_SENT);
    gd_tcp_want_output(tcb);
    return -EINPROGRESS;
}

int gd_tcp_listen(struct gd_sock *sock, int backlog)
{
    struct gd_tcb *tcb = gd_tcb(sock);
    int rc;

    if ((tcb->state & (GD_CLOSED | GD_LISTEN)) == 0)
        return -EINVAL;
    if (tcb->listener == NULL) {
        if (sock->flow.holders == NULL) {
            rc = gd_bind_implicit(sock, NULL);
            if (rc != 0)
                return rc;
        }
        tcb->listener = calloc(1, sizeof(*tcb->listener));
        if (tcb->listener == NULL)
            return -ENOMEM;
        gd_list_init(&tcb->listener->accept_queue);
        gd_list_init(&tcb->listener->requests);
        gd_tcp_become(tcb, GD_LISTEN);
        gd_bound_insert(sock);
    }
    /* Linux casts to unsigned: a negative backlog is the largest. */
    tcb->listener->backlog = (uint32_t)backlog < GD_BACKLOG_MAX ? (uint32_t)backlog : GD_BACKLOG_MAX;
    return 0;
}

int gd_tcp_accept(struct gd_sock *sock, struct gd_sock **out)
{
    struct gd_tcb *tcb = gd_tcb(sock);
    struct gd_list *link;

    if (tcb->state != GD_LISTEN)
        return -EINVAL;
    link = gd_list_pop(&tcb->listener->accept_queue);
    if (link == NULL)
        return -EAGAIN;
    tcb->listener->queued--;
    tcb = GD_ENTRY(link, struct gd_tcb, accept_link);
    tcb->parent = NULL;
    tcb->sock.orphan = false;
    *out = &tcb->sock;
    return 0;
}

uint32_t gd_tcp_ready(struct gd_sock *sock)
{
    struct gd_tcb *tcb = gd_tcb(sock);
    uint32_t bits = sock->error != 0 ? GD_ERR | GD_READ | GD_WRITE : gd_errors_any(sock) ? GD_ERR : 0u;

    if (tcb->state == GD_LISTEN)
        return bits | (tcb->listener->queued > 0 ? GD_READ : 0u);
    if (tcb->state & (GD_SYN_SENT | GD_SYN_RECEIVED))
        return bits;
    if (tcb->urgent_in == GD_URGENT_HERE)
        bits |= GD_PRI;
    if (tcb->state == GD_CLOSED) /* tcp_poll: never connected, or over */
        return bits | GD_HUP | GD_WRITE | (tcb->ever_connected || tcb->connecting ? GD_READ | GD_RDHUP : 0u);
    if (gd_tcp_readable(tcb))
        bits |= GD_READ;
    if (tcb->fin_received || sock->shut_rd)
        bits |= GD_READ | GD_RDHUP;
    if (sock->shut_wr || gd_tcp_writable(tcb))
        bits |= GD_WRITE;
    else
        gd_tcp_want_room(tcb); /* who asks will wait, as Linux's tcp_poll sets SOCK_NOSPACE */
    if (sock->shut_wr && (tcb->fin_received || sock->shut_rd))
        bits |= GD_HUP;
    return bits;
}
