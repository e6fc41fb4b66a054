/* TIME-WAIT as a small entry of its own (RFC 9293 3.6.1): answers old segments, makes way for a newer SYN to a listener
 * (RFC 6191), is not ended by a RST (RFC 1337). Called by tcp/ack.c, text.c, input.c; calls tcp/emit.c, sock/demux.c.
 */
#include "tcp.h"
#include "window.h"

#include <netinet/in.h>
#include <stdlib.h>

void gd_time_wait_free(struct gd_stack *stack, struct gd_time_wait *tw)
{
    gd_timer_cancel(&stack->wheel, &tw->timer);
    gd_flow_remove(stack, &tw->flow);
    gd_bind_release(stack, &tw->flow);
    gd_list_remove(&tw->link);
    stack->ntime_waits--;
    free(tw);
}

static void on_timer(struct gd_timer *timer, uint64_t now)
{
    struct gd_time_wait *tw = GD_ENTRY(timer, struct gd_time_wait, timer);

    (void)now;
    gd_time_wait_free(tw->stack, tw);
}

static void restart(struct gd_time_wait *tw, uint64_t now)
{
    gd_timer_set(&tw->stack->wheel, &tw->timer, now + tw->stack->config.time_wait_ms * GD_MS);
}

static struct gd_time_wait *new_entry(const struct gd_tcb *tcb, uint64_t now)
{
    struct gd_stack *stack = tcb->sock.stack;
    struct gd_time_wait *tw = calloc(1, sizeof(*tw));

    if (tw == NULL)
        return NULL;
    tw->stack = stack;
    tw->flow.kind = GD_FLOW_TIME_WAIT;
    tw->flow.proto = IPPROTO_TCP;
    tw->flow.local = tcb->sock.flow.local;
    tw->flow.remote = tcb->sock.flow.remote;
    tw->dst = tcb->sock.dst;
    tw->snd_nxt = tcb->snd_nxt;
    tw->rcv_nxt = tcb->rcv_nxt;
    tw->window = gd_tcp_rcv_window(tcb) >> tcb->rcv_wscale;
    tw->ts_ok = tcb->ts_ok;
    tw->ts_recent = tcb->ts_recent;
    tw->ts_recent_at = tcb->ts_recent_at;
    tw->ts_offset = tcb->ts_offset;
    tw->ttl = gd_options_ttl(&tcb->sock.options, &tw->flow.remote.addr);
    tw->tos = gd_options_tos(&tcb->sock.options, &tw->flow.remote.addr);
    gd_timer_init(&tw->timer, on_timer);
    restart(tw, now);
    return tw;
}

void gd_tcp_enter_time_wait(struct gd_tcb *tcb, uint64_t now)
{
    struct gd_stack *stack = tcb->sock.stack;
    struct gd_time_wait *tw = stack->ntime_waits < stack->config.time_wait_cap ? new_entry(tcb, now) : NULL;

    gd_tcp_become(tcb, GD_TIME_WAIT);
    if (tw == NULL) {
        gd_count(&stack->stats, GD_STAT_tcp_time_wait_overflow);
        gd_tcp_done(tcb, 0);
        return;
    }
    gd_count(&stack->stats, GD_STAT_tcp_time_wait);
    if (tcb->sock.flow.holders != NULL)
        gd_bind_inherit(&tw->flow, tcb->sock.flow.holders, tcb->sock.options.reuseaddr);
    gd_list_append(&stack->time_waits, &tw->link);
    stack->ntime_waits++;
    gd_tcp_done(tcb, 0);
    gd_flow_insert(stack, &tw->flow);
}

static void answer(struct gd_time_wait *tw, uint64_t now)
{
    struct gd_loose loose = {
        .local = &tw->flow.local, .remote = &tw->flow.remote, .dst = &tw->dst, .ttl = tw->ttl, .tos = tw->tos};

    loose.header.seq = tw->snd_nxt;
    loose.header.ack = tw->rcv_nxt;
    loose.header.flags = GD_TCP_ACK;
    loose.header.window = (uint16_t)(tw->window < 65535 ? tw->window : 65535);
    loose.header.options.has_ts = tw->ts_ok;
    loose.header.options.tsval = gd_tcp_now_ms(now) + tw->ts_offset;
    loose.header.options.tsecr = tw->ts_recent;
    gd_tcp_emit_loose(tw->stack, &loose);
}

/* RFC 6191 2, RFC 9293 3.10.7.4: a SYN that is surely newer than all we have seen. */
static bool is_newer_syn(const struct gd_time_wait *tw, const struct gd_segment *segment)
{
    const struct gd_tcp_options *options = &segment->header.options;

    if ((segment->header.flags & (GD_TCP_SYN | GD_TCP_ACK | GD_TCP_RST)) != GD_TCP_SYN)
        return false;
    if (tw->ts_ok && options->has_ts && options->tsval != tw->ts_recent)
        return gd_seq_gt(options->tsval, tw->ts_recent);
    return gd_seq_gt(segment->seq, tw->rcv_nxt);
}

bool gd_tcp_time_wait_input(struct gd_stack *stack, struct gd_time_wait *tw, struct gd_segment *segment, uint64_t now)
{
    if (is_newer_syn(tw, segment) && gd_bound_find(stack, IPPROTO_TCP, &tw->flow.local, &tw->flow.remote,
                                                   segment->packet->netif->index) != NULL) {
        gd_time_wait_free(stack, tw);
        return false;
    }
    gd_count(&stack->stats, GD_STAT_tcp_drop_time_wait);
    if (segment->header.flags & GD_TCP_RST)
        return true;
    if (segment->fin && segment->seq + segment->len + 1 == tw->rcv_nxt) { /* our ACK of it was lost */
        restart(tw, now);
        answer(tw, now);
        return true;
    }
    /* A plain ACK in its place is no question; two TIME-WAITs would answer each other for ever. */
    if (segment->len == 0 && !segment->fin && (segment->header.flags & GD_TCP_SYN) == 0 && segment->seq == tw->rcv_nxt)
        return true;
    if (gd_tcp_may_challenge(stack, &tw->challenged_at, now))
        answer(tw, now);
    return true;
}
