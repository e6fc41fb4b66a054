/* LISTEN: a SYN makes a half-open connection (SYN queue), its last ACK a connection (accept queue).
 * Called by tcp/input.c, cookie.c, close.c; calls tcp/request.c's SYN-ACK, cookie.c, sock/demux.c.
 *
 *   SYN ─┬► requests (backlog, and a cap of all listeners') ─┬► ACK ─► accept_queue (backlog + 1, as Linux) ─► accept()
 *        └► full: a cookie goes out, nothing is kept ────────┘
 */
#include "tcp.h"

#include <stdlib.h>

#define GD_SYN_QUEUE_MIN 8u /* half-open connections of a listener whose backlog is smaller */

static bool full(const struct gd_tcb *listener)
{
    return listener->listener->queued > listener->listener->backlog; /* Linux's sk_acceptq_is_full */
}

/* As on Linux a listener's SYN queue is as long as its backlog (inet_csk_reqsk_queue_is_full); none has the last
 * quarter of all that the stack holds, so that a flood to one port leaves the others theirs. */
static bool syn_queue_full(const struct gd_tcb *listener)
{
    const struct gd_stack *stack = listener->sock.stack;
    uint32_t cap = stack->config.syn_cap, share = cap - cap / 4;
    uint32_t limit = listener->listener->backlog > GD_SYN_QUEUE_MIN ? listener->listener->backlog : GD_SYN_QUEUE_MIN;

    if (stack->config.syn_cookies == GD_COOKIES_ALWAYS || stack->nrequests >= cap)
        return true;
    return listener->listener->half_open >= (limit < share ? limit : share);
}

/* RFC 9293 3.10.7.2: what a listener makes of a segment that is no SYN. */
static bool is_syn(struct gd_tcb *listener, struct gd_segment *segment, uint64_t now)
{
    struct gd_stack *stack = listener->sock.stack;
    uint8_t flags = segment->header.flags;

    if (flags & GD_TCP_RST) {
        gd_count(&stack->stats, GD_STAT_tcp_drop_reset);
        return false;
    }
    if ((flags & (GD_TCP_ACK | GD_TCP_SYN)) == GD_TCP_ACK && gd_tcp_cookie_input(listener, segment, now))
        return false;
    if (flags & GD_TCP_ACK) {
        gd_count(&stack->stats, GD_STAT_tcp_drop_state);
        gd_tcp_reset_segment(stack, segment);
        return false;
    }
    if ((flags & GD_TCP_SYN) == 0 || (flags & GD_TCP_FIN) != 0) { /* Linux: SYN with FIN is an attack */
        gd_count(&stack->stats, GD_STAT_tcp_drop_state);
        return false;
    }
    return true;
}

static struct gd_request *new_request(struct gd_tcb *listener, const struct gd_segment *segment, uint64_t now)
{
    struct gd_stack *stack = listener->sock.stack;
    struct gd_request *request = malloc(sizeof(*request));

    if (request == NULL)
        return NULL;
    gd_tcp_request_init(request, listener, segment);
    request->iss = gd_tcp_isn(stack, &request->flow, now);
    gd_flow_insert(stack, &request->flow);
    gd_list_append(&listener->listener->requests, &request->link);
    listener->listener->half_open++;
    stack->nrequests++;
    return request;
}

void gd_tcp_listener_input(struct gd_tcb *listener, struct gd_segment *segment, uint32_t iss_above, uint64_t now)
{
    struct gd_stack *stack = listener->sock.stack;
    struct gd_request *request;

    if (!is_syn(listener, segment, now))
        return;
    if (full(listener)) {
        gd_count(&stack->stats, GD_STAT_tcp_drop_accept_queue);
        return;
    }
    if (syn_queue_full(listener)) {
        if (stack->config.syn_cookies == GD_COOKIES_NEVER)
            gd_count(&stack->stats, GD_STAT_tcp_drop_syn_queue);
        else
            gd_tcp_cookie_send(listener, segment, now);
        return;
    }
    request = new_request(listener, segment, now);
    if (request == NULL) {
        gd_count(&stack->stats, GD_STAT_tcp_drop_memory);
        return;
    }
    if (iss_above != 0 && !gd_seq_gt(request->iss, iss_above))
        request->iss = iss_above + 65535 + 2; /* RFC 6191: above all that the old connection sent; Linux's step */
    gd_tcp_request_start(stack, request, now);
}

/* Everything of the child that the handshake has settled. */
static struct gd_tcb *new_child(struct gd_request *request, uint64_t now)
{
    struct gd_tcb *listener = request->listener;
    struct gd_sock *sock;
    struct gd_tcb *tcb;

    if (gd_tcp_new(listener->sock.stack, listener->sock.domain, &sock) != 0)
        return NULL;
    tcb = gd_tcb(sock);
    sock->orphan = true; /* until accept */
    sock->options = listener->sock.options;
    sock->options.defer_accept = 0; /* the listener's own, as on Linux */
    sock->options.priority = 0;
    tcb->cc = listener->cc;
    sock->flow.local = request->flow.local;
    sock->flow.remote = request->flow.remote;
    sock->dst = request->dst;
    tcb->passive = true;
    tcb->iss = tcb->snd_una = request->iss;
    tcb->recover = request->iss;
    tcb->snd_nxt = tcb->snd_sml = tcb->fack = request->iss + 1;
    tcb->snd_wnd = tcb->max_wnd = request->snd_wnd;
    tcb->ts_offset = request->ts_offset;
    tcb->irs = request->irs;
    tcb->rcv_nxt = tcb->last_ack_sent = request->irs + 1;
    tcb->rcv_adv = tcb->rcv_nxt + request->window;
    tcb->rcv_wscale = request->rcv_wscale;
    gd_tcp_take_options(tcb, &request->options, now);
    tcb->ts_recent = request->ts_recent;
    tcb->ecn.ok = request->ecn;
    tcb->tally.segs_in = 1;
    tcb->tally.segs_out = request->cookie ? 1 : request->syn_acks;
    if (request->syn_acks == 1) /* none: when a cookie was sent is forgotten; more: Karn */
        gd_tcp_rtt_sample(tcb, (request->acked_at != 0 ? request->acked_at : now) - request->sent_at);
    else if (request->retries > 0)
        tcb->rto = 3 * GD_S; /* RFC 6298 5.7 */
    return tcb;
}

void gd_tcp_request_done(struct gd_stack *stack, struct gd_request *request, struct gd_segment *segment, uint64_t now)
{
    struct gd_tcb *listener = request->listener;
    struct gd_tcb *tcb;

    if (full(listener)) { /* as Linux: stay half-open; the peer's next segment or our SYN-ACK tries again */
        gd_count(&stack->stats, GD_STAT_tcp_drop_accept_queue);
        return;
    }
    tcb = new_child(request, now);
    if (tcb == NULL) {
        gd_count(&stack->stats, GD_STAT_tcp_drop_memory);
        return;
    }
    if (!request->cookie)
        gd_request_free(stack, request);
    gd_flow_insert(stack, &tcb->sock.flow);
    gd_bind_inherit(&tcb->sock.flow, listener->sock.flow.holders, listener->sock.options.reuseaddr);
    tcb->parent = listener;
    gd_list_append(&listener->listener->accept_queue, &tcb->accept_link);
    listener->listener->queued++;
    gd_tcp_become(tcb, GD_SYN_RECEIVED);
    gd_count(&stack->stats, GD_STAT_tcp_passive_opens);
    segment->wnd = (uint32_t)segment->header.window << tcb->snd_wscale;
    gd_tcp_steps(tcb, segment, now);
    if (tcb->state == GD_SYN_RECEIVED)
        gd_tcp_done(tcb, 0);
    else if (tcb->parent != NULL)
        gd_sock_wake(&listener->sock, GD_READ);
}

void gd_listener_free(struct gd_tcb *tcb, uint64_t now)
{
    struct gd_listener *listener = tcb->listener;
    struct gd_list *link;

    while (!gd_list_empty(&listener->requests))
        gd_request_free(tcb->sock.stack, GD_ENTRY(listener->requests.next, struct gd_request, link));
    while ((link = gd_list_pop(&listener->accept_queue)) != NULL) { /* Linux: RST for those nobody accepted */
        struct gd_tcb *child = GD_ENTRY(link, struct gd_tcb, accept_link);

        child->parent = NULL;
        gd_tcp_abort(child, 0, now);
    }
    gd_bound_remove(&tcb->sock);
    free(listener);
    tcb->listener = NULL;
    gd_tcp_become(tcb, GD_CLOSED);
}
