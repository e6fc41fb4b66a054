/* One segment of a connection: header, options, window, bytes.
 * Called by tcp/output.c and wherever an ACK is due at once; calls net/ip.c, sock/buffer.c.
 */
#include "tcp.h"
#include "urgent.h"
#include "window.h"

#include <errno.h>
#include <netinet/in.h>

/* The window may not shrink (RFC 9293 3.8.6.2.2, RFC 7323 2.4), and only grows by steps worth sending. */
static uint32_t right_edge(const struct gd_tcb *tcb)
{
    uint32_t room = gd_tcp_rcv_room(tcb);
    uint32_t limit = 65535u << tcb->rcv_wscale;
    uint32_t half = tcb->sock.options.rcvbuf / 4;
    uint32_t step = tcb->rcv_mss != 0 && tcb->rcv_mss < half ? tcb->rcv_mss : half;
    uint32_t edge;

    if (room > limit)
        room = limit;
    room &= ~((1u << tcb->rcv_wscale) - 1);
    edge = tcb->rcv_nxt + room;
    if (gd_seq_diff(edge, tcb->rcv_adv) < (int32_t)(step > 0 ? step : 1))
        return tcb->rcv_adv;
    return edge;
}

bool gd_tcp_window_update_due(const struct gd_tcb *tcb)
{
    uint32_t half = tcb->sock.options.rcvbuf / 4;
    uint32_t open = gd_tcp_rcv_window(tcb);
    int32_t gain;

    if (!tcb->was_read || (tcb->state & GD_CAN_RECEIVE) == 0)
        return false;
    gain = gd_seq_diff(right_edge(tcb), tcb->rcv_adv);
    if (gain <= 0)
        return false;
    return (uint32_t)gain >= half || (uint32_t)gain >= open || open < 2 * tcb->rcv_mss;
}

static uint16_t window_field(struct gd_tcb *tcb, uint8_t flags)
{
    uint32_t window;

    if (flags & GD_TCP_SYN) { /* not scaled (RFC 7323 2.2) */
        window = gd_tcp_syn_window(tcb->sock.stack, &tcb->sock.options);
        if (window > tcb->rcv_adv - tcb->rcv_nxt)
            tcb->rcv_adv = tcb->rcv_nxt + window;
        return (uint16_t)(tcb->rcv_adv - tcb->rcv_nxt);
    }
    tcb->rcv_adv = right_edge(tcb);
    if (gd_tcp_rcv_short(tcb) && (tcb->state & GD_CAN_RECEIVE) != 0)
        gd_tcp_starve(tcb);
    window = gd_tcp_rcv_window(tcb);
    window = (window + (1u << tcb->rcv_wscale) - 1) >> tcb->rcv_wscale; /* up: window.h */
    return (uint16_t)(window < 65535 ? window : 65535);
}

static void syn_options(const struct gd_tcb *tcb, uint8_t flags, struct gd_tcp_options *options)
{
    bool answer = (flags & GD_TCP_ACK) != 0;
    uint32_t mss = tcb->sock.dst.mtu - gd_tcp_headers(&tcb->sock.flow.remote.addr);

    if (tcb->sock.options.maxseg != 0 && mss > tcb->sock.options.maxseg)
        mss = tcb->sock.options.maxseg;
    options->has_mss = true;
    options->mss = (uint16_t)mss;
    options->has_wscale = !answer || tcb->wscale_ok;
    options->wscale = tcb->rcv_wscale;
    options->sack_ok = !answer || tcb->sack_ok;
}

static void fill_header(struct gd_tcb *tcb, struct gd_tcp_header *header, uint64_t now)
{
    header->source = tcb->sock.flow.local.port;
    header->destination = tcb->sock.flow.remote.port;
    header->ack = header->flags & GD_TCP_ACK ? tcb->rcv_nxt : 0;
    if (header->flags & GD_TCP_SYN)
        syn_options(tcb, header->flags, &header->options);
    if ((tcb->ts_ok || tcb->state == GD_SYN_SENT) && (header->flags & GD_TCP_RST) == 0) {
        header->options.has_ts = true;
        header->options.tsval = gd_tcp_now_ms(now) + tcb->ts_offset;
        header->options.tsecr = header->flags & GD_TCP_ACK ? tcb->ts_recent : 0;
    }
    if ((header->flags & (GD_TCP_SYN | GD_TCP_RST)) == 0 && (tcb->islands.count > 0 || tcb->dsack.start != tcb->dsack.end))
        gd_tcp_fill_sacks(tcb, &header->options);
}

/* An ACK has left with the segment. */
static void acknowledged(struct gd_tcb *tcb)
{
    tcb->ack_now = tcb->ack_later = tcb->was_read = false;
    tcb->small_in = 0;
    tcb->unacked_in = 0;
    tcb->last_ack_sent = tcb->rcv_nxt;
    gd_tcp_timer_stop(tcb, GD_T_DELACK);
}

/* Of a packet that the path takes, from TCP's header on. */
static uint32_t text_room(const struct gd_tcb *tcb, const struct gd_out *out)
{
    uint32_t ip = gd_tcp_headers(&tcb->sock.flow.remote.addr) - GD_TCP_HEADER;

    return tcb->path_mtu != 0 && tcb->path_mtu - ip < out->room ? tcb->path_mtu - ip : out->room;
}

/* IP_MTU_DISCOVER on a stream: Linux's ip_dont_fragment. */
static bool sets_df(const struct gd_options *options)
{
    return options->pmtudisc[0] == IP_PMTUDISC_DO || options->pmtudisc[0] == IP_PMTUDISC_WANT;
}

int gd_tcp_emit(struct gd_tcb *tcb, uint32_t seq, uint32_t len, uint8_t flags, uint64_t now)
{
    struct gd_stack *stack = tcb->sock.stack;
    struct gd_tcp_header header = {.seq = seq, .flags = flags};
    struct gd_ip_fields fields = {.src = &tcb->sock.flow.local.addr,
                                  .dst = &tcb->sock.flow.remote.addr,
                                  .proto = IPPROTO_TCP,
                                  .ttl = gd_options_ttl(&tcb->sock.options, &tcb->sock.flow.remote.addr),
                                  .tos = gd_options_tos(&tcb->sock.options, &tcb->sock.flow.remote.addr),
                                  .df = sets_df(&tcb->sock.options)};
    struct gd_out out;
    uint32_t at;
    int rc = gd_ip_begin(stack, &tcb->sock.dst, &fields, &out);

    if (rc != 0)
        return rc;
    fill_header(tcb, &header, now);
    gd_ecn_stamp(tcb, &header, &fields, len);
    gd_urgent_stamp(tcb, &header);
    header.window = window_field(tcb, flags);
    at = gd_tcp_write(out.l4, &header);
    if (at + len > text_room(tcb, &out) && header.options.nsacks > 0) { /* data comes before what the next ACK can still tell */
        header.options.nsacks = 0;
        at = gd_tcp_write(out.l4, &header);
    }
    if (at + len > out.room) { /* the route changed to a smaller MTU: the next pass cuts anew */
        gd_ip_cancel(&out);
        gd_tcp_update_mss(tcb);
        return -ENOBUFS;
    }
    if (len > 0)
        gd_buffer_read(&tcb->snd, seq - gd_tcp_snd_base(tcb), out.l4 + at, len);
    gd_ip_end(stack, &fields, &out, at + len);
    gd_count(&stack->stats, GD_STAT_tcp_out);
    gd_tally_out(tcb, seq, len);
    if (flags & GD_TCP_RST)
        gd_count(&stack->stats, GD_STAT_tcp_resets_out);
    if ((header.flags & (GD_TCP_CWR | GD_TCP_SYN)) == GD_TCP_CWR)
        tcb->ecn.cwr = false;
    if (flags & GD_TCP_ACK)
        acknowledged(tcb);
    return 0;
}

void gd_tcp_ack_at_once(struct gd_tcb *tcb, uint64_t now)
{
    if (gd_tcp_emit(tcb, gd_tcp_ack_seq(tcb), 0, GD_TCP_ACK, now) == 0)
        return;
    tcb->ack_now = true;
    gd_tcp_want_output(tcb);
}

/* Each connection by itself, as Linux since 6.1: a count that connections share tells one peer of another's answers,
 * which is enough to find out its ports and numbers (CVE-2016-5696). An answer is smaller than its question. */
bool gd_tcp_may_challenge(struct gd_stack *stack, uint64_t *last, uint64_t now)
{
    if (*last != 0 && now - *last < GD_TCP_CHALLENGE_PAUSE) {
        gd_count(&stack->stats, GD_STAT_tcp_challenges_withheld);
        return false;
    }
    *last = now;
    gd_count(&stack->stats, GD_STAT_tcp_challenge_acks);
    return true;
}

void gd_tcp_challenge(struct gd_tcb *tcb, uint64_t now)
{
    if (gd_tcp_may_challenge(tcb->sock.stack, &tcb->challenged_at, now))
        gd_tcp_ack_at_once(tcb, now);
}

int gd_tcp_emit_loose(struct gd_stack *stack, struct gd_loose *loose)
{
    struct gd_ip_fields fields = {.src = &loose->local->addr,
                                  .dst = &loose->remote->addr,
                                  .proto = IPPROTO_TCP,
                                  .ttl = loose->ttl,
                                  .tos = loose->tos,
                                  .df = true};
    struct gd_out out;
    int rc = gd_ip_begin(stack, loose->dst, &fields, &out);

    if (rc != 0)
        return rc;
    loose->header.source = loose->local->port;
    loose->header.destination = loose->remote->port;
    gd_ip_end(stack, &fields, &out, gd_tcp_write(out.l4, &loose->header));
    gd_count(&stack->stats, GD_STAT_tcp_out);
    if (loose->header.flags & GD_TCP_RST)
        gd_count(&stack->stats, GD_STAT_tcp_resets_out);
    return 0;
}

void gd_tcp_reset_segment(struct gd_stack *stack, const struct gd_segment *segment)
{
    const struct gd_tcp_header *in = &segment->header;
    struct gd_endpoint local = {segment->packet->dst, in->destination};
    struct gd_endpoint remote = {segment->packet->src, in->source};
    struct gd_dst dst = {0};
    struct gd_loose loose = {.local = &local, .remote = &remote, .dst = &dst, .ttl = GD_TTL_DEFAULT};
    uint32_t len = segment->packet->l4_len - in->len;

    if (in->flags & GD_TCP_RST)
        return;
    if (in->flags & GD_TCP_ACK) {
        loose.header.seq = in->ack;
        loose.header.flags = GD_TCP_RST;
    } else {
        loose.header.ack = in->seq + len + ((in->flags & GD_TCP_SYN) ? 1 : 0) + ((in->flags & GD_TCP_FIN) ? 1 : 0);
        loose.header.flags = GD_TCP_RST | GD_TCP_ACK;
    }
    gd_tcp_emit_loose(stack, &loose);
}
