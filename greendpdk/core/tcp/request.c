/* A half-open connection: its SYN-ACK, sent again until the handshake's last ACK comes (SYN-RECEIVED, passive).
 * Called by tcp/listen.c, cookie.c, input.c, the timing wheel; calls tcp/emit.c, listen.c.
 */
#include "tcp.h"
#include "window.h"

#include <netinet/in.h>
#include <stdlib.h>

#define RTO_SHIFT 7u /* doubled so often, the first time-out is past the longest */

void gd_tcp_request_init(struct gd_request *request, struct gd_tcb *listener, const struct gd_segment *segment)
{
    *request = (struct gd_request){.listener = listener, .irs = segment->seq, .options = segment->header.options};
    request->dst.only = listener->sock.options.device;
    request->dst.direct = listener->sock.options.dontroute;
    request->dst.no_label = listener->sock.options.no_label;
    request->flow.kind = GD_FLOW_REQUEST;
    request->flow.proto = IPPROTO_TCP;
    request->flow.local = (struct gd_endpoint){segment->packet->dst, segment->header.destination};
    request->flow.remote = (struct gd_endpoint){segment->packet->src, segment->header.source};
    request->ts_recent = segment->header.options.tsval;
    request->ts_offset = gd_tcp_ts_offset(listener->sock.stack, &request->flow);
    request->ecn = gd_ecn_is_asked(listener->sock.stack, segment);
    request->snd_wnd = segment->header.window;
    request->window = gd_tcp_syn_window(listener->sock.stack, &listener->sock.options);
    request->rcv_wscale = gd_tcp_window_shift(&listener->sock.options);
}

static void fill_options(const struct gd_request *request, struct gd_tcp_options *options, uint64_t now)
{
    const struct gd_options *ours = &request->listener->sock.options;
    uint32_t mss = request->dst.mtu - gd_tcp_headers(&request->flow.remote.addr);

    if (ours->maxseg != 0 && mss > ours->maxseg)
        mss = ours->maxseg;
    options->has_mss = true;
    options->mss = (uint16_t)mss;
    options->has_wscale = request->options.has_wscale;
    options->wscale = request->rcv_wscale;
    options->has_ts = request->options.has_ts;
    options->sack_ok = request->options.sack_ok;
    options->tsval = request->cookie ? gd_tcp_cookie_tsval(request, now) : gd_tcp_now_ms(now) + request->ts_offset;
    options->tsecr = request->ts_recent;
}

void gd_tcp_request_answer(struct gd_stack *stack, struct gd_request *request, uint8_t flags, uint64_t now)
{
    const struct gd_options *options = &request->listener->sock.options;
    struct gd_loose loose = {.local = &request->flow.local,
                             .remote = &request->flow.remote,
                             .dst = &request->dst,
                             .ttl = gd_options_ttl(options, &request->flow.remote.addr),
                             .tos = gd_options_tos(options, &request->flow.remote.addr)};

    if (gd_dst_resolve(stack, &request->dst, &request->flow.remote.addr) != 0)
        return; /* the timer tries again */
    if ((flags & GD_TCP_SYN) != 0 && request->syn_acks++ == 0)
        request->sent_at = now;
    loose.header.seq = flags & GD_TCP_SYN ? request->iss : request->iss + 1;
    loose.header.ack = request->irs + 1;
    loose.header.flags = flags | ((flags & GD_TCP_SYN) && request->ecn ? GD_TCP_ECE : 0);
    loose.header.window = request->window;
    fill_options(request, &loose.header.options, now);
    if ((flags & GD_TCP_SYN) == 0)
        loose.header.options.has_mss = loose.header.options.has_wscale = loose.header.options.sack_ok = false;
    gd_tcp_emit_loose(stack, &loose);
}

static void on_timer(struct gd_timer *timer, uint64_t now)
{
    struct gd_request *request = GD_ENTRY(timer, struct gd_request, timer);
    struct gd_stack *stack = request->listener->sock.stack;

    const struct gd_options *options = &request->listener->sock.options;
    uint32_t limit = options->syncnt != 0 ? options->syncnt : GD_TCP_SYNACK_RETRIES;
    uint32_t shift;

    if (request->retries >= limit && (request->acked_at == 0 || request->retries >= options->defer_accept)) {
        gd_count(&stack->stats, GD_STAT_tcp_attempt_fails);
        gd_request_free(stack, request);
        return;
    }
    request->retries++;
    if (request->acked_at == 0 || request->retries >= options->defer_accept) { /* the last ACK again: now it counts */
        gd_count(&stack->stats, GD_STAT_tcp_retransmits);
        gd_tcp_request_answer(stack, request, GD_TCP_SYN | GD_TCP_ACK, now);
    }
    shift = request->retries < RTO_SHIFT ? request->retries : RTO_SHIFT;
    gd_timer_set(&stack->wheel, timer, now + (shift < RTO_SHIFT ? GD_TCP_RTO_FIRST << shift : GD_TCP_RTO_MAX));
}

void gd_tcp_request_start(struct gd_stack *stack, struct gd_request *request, uint64_t now)
{
    gd_timer_init(&request->timer, on_timer);
    gd_tcp_request_answer(stack, request, GD_TCP_SYN | GD_TCP_ACK, now);
    gd_timer_set(&stack->wheel, &request->timer, now + GD_TCP_RTO_FIRST);
}

void gd_request_free(struct gd_stack *stack, struct gd_request *request)
{
    gd_timer_cancel(&stack->wheel, &request->timer);
    gd_flow_remove(stack, &request->flow);
    gd_list_remove(&request->link);
    request->listener->listener->half_open--;
    stack->nrequests--;
    free(request);
}

static void challenge(struct gd_stack *stack, struct gd_request *request, uint64_t now)
{
    if (gd_tcp_may_challenge(stack, &request->challenged_at, now))
        gd_tcp_request_answer(stack, request, GD_TCP_ACK, now);
}

/* RFC 9293 3.10.7.4 and RFC 5961 for SYN-RECEIVED, as far as a request needs them. False: dealt with. */
static bool acceptable(struct gd_stack *stack, struct gd_request *request, struct gd_segment *segment, uint64_t now)
{
    uint8_t flags = segment->header.flags;
    uint32_t next = request->irs + 1;
    const struct gd_tcp_options *options = &segment->header.options;
    bool old = request->options.has_ts && options->has_ts && gd_seq_lt(options->tsval, request->ts_recent);
    bool inside = gd_seq_ge(segment->seq, next) && gd_seq_lt(segment->seq, next + request->window);

    if (flags & GD_TCP_RST) {
        gd_count(&stack->stats, segment->seq == next ? GD_STAT_tcp_resets_in : GD_STAT_tcp_drop_reset);
        if (segment->seq == next)
            gd_request_free(stack, request);
        else if (inside)
            challenge(stack, request, now);
        return false;
    }
    if ((flags & (GD_TCP_SYN | GD_TCP_ACK)) == GD_TCP_SYN && segment->seq == request->irs) {
        if (gd_tcp_may_challenge(stack, &request->challenged_at, now)) /* our SYN-ACK was lost; or we are to flood it */
            gd_tcp_request_answer(stack, request, GD_TCP_SYN | GD_TCP_ACK, now);
        return false;
    }
    if (old || !inside || (flags & GD_TCP_SYN)) {
        gd_count(&stack->stats, old ? GD_STAT_tcp_drop_paws : GD_STAT_tcp_drop_sequence);
        challenge(stack, request, now);
        return false;
    }
    if ((flags & GD_TCP_ACK) == 0) {
        gd_count(&stack->stats, GD_STAT_tcp_drop_no_ack);
        return false;
    }
    return true;
}

/* TCP_DEFER_ACCEPT (tcp(7)): only text opens the connection until the time is over; that the peer is there is noted. */
static bool waits_for_text(struct gd_stack *stack, struct gd_request *request, const struct gd_segment *segment,
                           uint64_t now)
{
    if (request->retries >= request->listener->sock.options.defer_accept || segment->len > 0 || segment->fin)
        return false;
    if (request->acked_at == 0)
        request->acked_at = now;
    gd_count(&stack->stats, GD_STAT_tcp_deferred);
    return true;
}

void gd_tcp_request_input(struct gd_stack *stack, struct gd_request *request, struct gd_segment *segment, uint64_t now)
{
    if (!acceptable(stack, request, segment, now))
        return;
    if (segment->header.ack != request->iss + 1) {
        gd_count(&stack->stats, GD_STAT_tcp_drop_ack);
        gd_tcp_reset_segment(stack, segment);
        return;
    }
    if (!waits_for_text(stack, request, segment, now))
        gd_tcp_request_done(stack, request, segment, now);
}
