/* A TCP segment arrives: whose is it, and the steps of RFC 9293 3.10.7.4 in their order.
 * Called by net/ip4.c; calls the other files of tcp/.
 *
 *   parse ─► checksum ─► demux ─┬► tcb: sequence ─► RST ─► SYN ─► ACK ─► text ─► FIN    (each may stop)
 *                               ├► tcb in SYN-SENT (syn_sent.c)
 *                               ├► half-open (request.c), TIME-WAIT (time_wait.c), listener (listen.c)
 *                               └► nobody: RST
 */
#include "tcp.h"
#include "window.h"

#include "../util/checksum.h"

#include <errno.h>
#include <netinet/in.h>

typedef bool step(struct gd_tcb *tcb, struct gd_segment *segment, uint64_t now);

/* RFC 7323 5.5: after 24 days (Linux's TCP_PAWS_WRAP) the peer's clock may have gone half its way round. */
static bool is_forgotten(const struct gd_tcb *tcb, uint64_t now)
{
    return now - tcb->ts_recent_at >= 24ull * 86400 * GD_S;
}

/* RFC 7323 5.3 R1; a RST passes. */
static bool is_old(const struct gd_tcb *tcb, const struct gd_segment *segment, uint64_t now)
{
    return tcb->ts_ok && segment->header.options.has_ts && (segment->header.flags & GD_TCP_RST) == 0 &&
           gd_seq_lt(segment->header.options.tsval, tcb->ts_recent) && !is_forgotten(tcb, now);
}

/* RFC 9293 3.4, the four cases. */
static bool is_acceptable(const struct gd_tcb *tcb, const struct gd_segment *segment)
{
    uint32_t edge = gd_tcp_rcv_limit(tcb);
    uint32_t len = segment->len + (segment->fin ? 1 : 0) + ((segment->header.flags & GD_TCP_SYN) ? 1 : 0);
    uint32_t last = segment->seq + (len > 0 ? len - 1 : 0);

    if (edge == tcb->rcv_nxt)
        return segment->seq == tcb->rcv_nxt; /* text is cut off later, the ACK counts (3.10.7.4) */
    return (gd_seq_ge(segment->seq, tcb->rcv_nxt) && gd_seq_lt(segment->seq, edge)) ||
           (gd_seq_ge(last, tcb->rcv_nxt) && gd_seq_lt(last, edge)) ||
           (gd_seq_lt(segment->seq, tcb->rcv_nxt) && gd_seq_ge(last, edge));
}

/* An old segment's ACK may still be news: RFC 9293 3.10.7.4 lets it be used; the answer is an ACK. */
static bool refuse(struct gd_tcb *tcb, const struct gd_segment *segment, enum gd_counter why, uint64_t now)
{
    gd_count(&tcb->sock.stack->stats, why);
    if (segment->header.flags & GD_TCP_RST)
        return false;
    /* Without text it may be an answer to an answer of ours: two sides that disagree would go on for ever. */
    if ((segment->len > 0 || segment->fin) && (segment->header.flags & GD_TCP_SYN) == 0)
        gd_tcp_ack_at_once(tcb, now);
    else
        gd_tcp_challenge(tcb, now);
    return false;
}

/* RFC 5961 3.2: only the exact number resets; as on Linux also the end of what we have shown by SACK, as a peer may
 * count on it, and the FIN's own number: macOS sends both from there when a process is killed. */
static bool is_exact_reset(const struct gd_tcb *tcb, const struct gd_segment *segment)
{
    if (segment->seq == tcb->rcv_nxt)
        return true;
    if (tcb->sack_ok && tcb->islands.count > 0 && segment->seq == tcb->islands.at[tcb->islands.count - 1].end)
        return true;
    return tcb->fin_received && segment->seq == tcb->rcv_nxt - 1;
}

/* Simultaneous open: the peer's SYN-ACK crosses ours (RFC 9293 3.5, figure 7). Its SYN we have; its ACK is news. */
static void take_crossing_syn(struct gd_tcb *tcb, struct gd_segment *segment)
{
    uint8_t both = GD_TCP_SYN | GD_TCP_ACK;

    if (tcb->state != GD_SYN_RECEIVED || (segment->header.flags & both) != both || segment->seq != tcb->irs)
        return;
    segment->header.flags &= (uint8_t)~GD_TCP_SYN;
    segment->seq++;
    tcb->ack_now = true; /* as Linux: the last word of a handshake is an ACK */
    gd_tcp_want_output(tcb);
}

static bool check_sequence(struct gd_tcb *tcb, struct gd_segment *segment, uint64_t now)
{
    const struct gd_tcp_options *options = &segment->header.options;

    take_crossing_syn(tcb, segment);
    if (is_old(tcb, segment, now))
        return refuse(tcb, segment, GD_STAT_tcp_drop_paws, now);
    if (!is_acceptable(tcb, segment)) {
        if ((segment->header.flags & GD_TCP_RST) != 0 && is_exact_reset(tcb, segment))
            return true;
        if (tcb->sack_ok && segment->len > 0 && gd_seq_le(segment->seq + segment->len, tcb->rcv_nxt))
            tcb->dsack = (struct gd_range){segment->seq, segment->seq + segment->len}; /* RFC 2883 4.1 */
        return refuse(tcb, segment, GD_STAT_tcp_drop_sequence, now);
    }
    /* RFC 7323 4.3 (2) */
    if (tcb->ts_ok && options->has_ts && gd_seq_le(segment->seq, tcb->last_ack_sent) &&
        (gd_seq_ge(options->tsval, tcb->ts_recent) || is_forgotten(tcb, now))) {
        tcb->ts_recent = options->tsval;
        tcb->ts_recent_at = now;
    }
    return true;
}

static bool check_reset(struct gd_tcb *tcb, struct gd_segment *segment, uint64_t now)
{
    if ((segment->header.flags & GD_TCP_RST) == 0)
        return true;
    if (!is_exact_reset(tcb, segment)) {
        gd_count(&tcb->sock.stack->stats, GD_STAT_tcp_drop_reset);
        gd_tcp_challenge(tcb, now);
        return false;
    }
    gd_count(&tcb->sock.stack->stats, GD_STAT_tcp_resets_in);
    if ((tcb->state & (GD_ESTABLISHED | GD_CLOSE_WAIT)) != 0)
        gd_count(&tcb->sock.stack->stats, GD_STAT_tcp_established_resets);
    if (tcb->state == GD_SYN_RECEIVED)
        gd_tcp_done(tcb, ECONNREFUSED);
    else if (tcb->state == GD_CLOSE_WAIT) /* Linux's tcp_reset: the peer had ended already */
        gd_tcp_done(tcb, EPIPE);
    else if ((tcb->state & (GD_CLOSING | GD_LAST_ACK)) != 0)
        gd_tcp_done(tcb, 0);
    else
        gd_tcp_done(tcb, ECONNRESET);
    return false;
}

/* RFC 5961 4.2: a SYN in a synchronized state, in the window or not, is challenged. */
static bool check_syn(struct gd_tcb *tcb, struct gd_segment *segment, uint64_t now)
{
    if ((segment->header.flags & GD_TCP_SYN) == 0)
        return true;
    gd_count(&tcb->sock.stack->stats, GD_STAT_tcp_drop_syn);
    gd_tcp_challenge(tcb, now);
    return false;
}

void gd_tcp_steps(struct gd_tcb *tcb, struct gd_segment *segment, uint64_t now)
{
    static step *const steps[] = {check_sequence,    check_reset,      check_syn,
                                  gd_tcp_check_ack, gd_tcp_take_text, gd_tcp_take_fin};

    gd_tally_in(tcb, segment, now);
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
        if (!steps[i](tcb, segment, now))
            return;
}

static void tcb_input(struct gd_tcb *tcb, struct gd_segment *segment, uint64_t now)
{
    uint8_t shift = (segment->header.flags & GD_TCP_SYN) ? 0 : tcb->snd_wscale;

    segment->wnd = (uint32_t)segment->header.window << shift;
    if (tcb->state != GD_SYN_SENT) {
        gd_tcp_steps(tcb, segment, now);
        return;
    }
    gd_tally_in(tcb, segment, now);
    gd_tcp_syn_sent(tcb, segment, now);
}

/* RFC 5082: from further away than it listens. */
static bool is_too_far(const struct gd_sock *sock, const struct gd_packet *packet)
{
    return packet->ttl < (gd_addr_is_v4(&packet->src) ? sock->options.min_ttl : sock->options.min_hops);
}

/* No flow has this 4-tuple: a listener, or nobody. */
static void no_flow(struct gd_stack *stack, struct gd_segment *segment, uint32_t iss_above, uint64_t now)
{
    struct gd_endpoint local = {segment->packet->dst, segment->header.destination};
    struct gd_endpoint remote = {segment->packet->src, segment->header.source};
    struct gd_sock *sock = gd_bound_find(stack, IPPROTO_TCP, &local, &remote, segment->packet->netif->index);

    if (sock != NULL && is_too_far(sock, segment->packet)) {
        gd_count(&stack->stats, GD_STAT_tcp_drop_far);
        return;
    }
    if (sock != NULL) {
        gd_tcp_listener_input(gd_tcb(sock), segment, iss_above, now);
        return;
    }
    gd_count(&stack->stats, GD_STAT_tcp_drop_no_socket);
    gd_tcp_reset_segment(stack, segment);
}

/* A connection bound to a device hears what comes by that one (SO_BINDTODEVICE). By another nothing of its 4-tuple is
 * heard: on Linux it could be another connection, here it would stand in the first one's place. */
static bool hears(const struct gd_flow *flow, const struct gd_packet *packet)
{
    if (flow->kind == GD_FLOW_SOCK)
        return gd_device_fits(&GD_ENTRY(flow, const struct gd_sock, flow)->options, packet->netif->index);
    return flow->kind != GD_FLOW_REQUEST ||
           gd_device_fits(&GD_ENTRY(flow, const struct gd_request, flow)->listener->sock.options, packet->netif->index);
}

static void dispatch(struct gd_stack *stack, struct gd_flow *flow, struct gd_segment *segment, uint64_t now)
{
    if (flow == NULL) {
        no_flow(stack, segment, 0, now);
    } else if (!hears(flow, segment->packet)) {
        gd_count(&stack->stats, GD_STAT_tcp_drop_device);
    } else if (flow->kind == GD_FLOW_SOCK && is_too_far(GD_ENTRY(flow, struct gd_sock, flow), segment->packet)) {
        gd_count(&stack->stats, GD_STAT_tcp_drop_far);
    } else if (flow->kind == GD_FLOW_SOCK) {
        tcb_input(gd_tcb(GD_ENTRY(flow, struct gd_sock, flow)), segment, now);
    } else if (flow->kind == GD_FLOW_REQUEST) {
        gd_tcp_request_input(stack, GD_ENTRY(flow, struct gd_request, flow), segment, now);
    } else {
        struct gd_time_wait *tw = GD_ENTRY(flow, struct gd_time_wait, flow);
        uint32_t above = tw->snd_nxt;

        if (!gd_tcp_time_wait_input(stack, tw, segment, now))
            no_flow(stack, segment, above, now); /* RFC 6191: a new connection, with a later ISN */
    }
}

static bool checksum_ok(const struct gd_packet *packet)
{
    uint64_t sum;

    if (packet->l4_csum_ok)
        return true;
    sum = gd_ip_pseudo(&packet->src, &packet->dst, IPPROTO_TCP, packet->l4_len);
    return gd_checksum_finish(gd_checksum_add(sum, packet->l4, packet->l4_len)) == 0;
}

void gd_tcp_input(struct gd_stack *stack, const struct gd_packet *packet, uint64_t now)
{
    struct gd_segment segment = {.packet = packet};
    struct gd_endpoint local, remote;

    gd_count(&stack->stats, GD_STAT_tcp_in);
    if (packet->to_group || gd_tcp_parse(packet->l4, packet->l4_len, &segment.header) != 0) {
        gd_count(&stack->stats, GD_STAT_tcp_drop_malformed);
        return;
    }
    if (!checksum_ok(packet)) {
        gd_checksum_is_wrong(packet);
        gd_count(&stack->stats, GD_STAT_tcp_drop_checksum);
        return;
    }
    local = (struct gd_endpoint){packet->dst, segment.header.destination};
    remote = (struct gd_endpoint){packet->src, segment.header.source};
    segment.seq = segment.header.seq;
    segment.data = packet->l4 + segment.header.len;
    segment.len = packet->l4_len - segment.header.len;
    segment.fin = (segment.header.flags & GD_TCP_FIN) != 0;
    dispatch(stack, gd_flow_find(stack, IPPROTO_TCP, &local, &remote), &segment, now);
}
