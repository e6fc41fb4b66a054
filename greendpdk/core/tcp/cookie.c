/* SYN cookies (RFC 4987 3.6): while a listener's SYN queue is full, the SYN-ACK's own numbers keep what a half-open
 * connection would have kept, so that a flood costs no memory and locks nobody out.
 * Called by tcp/listen.c, request.c; calls tcp/request.c's SYN-ACK, util/siphash.c.
 *
 *     iss   = hash(4-tuple) + irs +  5 bits: minute │ 3: MSS, of a table │ 24: hash(4-tuple, irs, minute, MSS)
 *     tsval = ts_offset + the clock, its last bits:  ECN │ SACK │ 4: the peer's window scale, 15: none
 *
 * What does not fit is not used: without timestamps no window scale, no SACK and no ECN is agreed on, as on Linux, and
 * the SYN-ACK is not sent again. A guess hits once in 2^28; it counts only in the two minutes after a cookie was sent.
 */
#include "tcp.h"
#include "window.h"

#define MINUTE (60 * GD_S)
#define AGES 2u       /* this minute's and the last one's: Linux's MAX_SYNCOOKIE_AGE */
#define BITS 6        /* of the timestamp; Linux's TSBITS: the clock told is at most 64 ms slow */
#define NO_WSCALE 15u /* 14 is the largest */
#define SACK_BIT (1u << 4)
#define ECN_BIT (1u << 5)
#define MAC_MASK 0xffffffu

/* Never more than the peer offered: the least there is, the defaults of IPv4 and IPv6, tunnels, PPPoE, Ethernet, jumbo
 * frames. */
static const uint16_t mss_table[8] = {GD_TCP_MSS_MIN, 536, 1220, 1300, 1400, 1440, 1460, 8960};

static uint32_t mac(struct gd_stack *stack, const struct gd_flow *flow, uint32_t irs, uint64_t minute, uint32_t index)
{
    uint8_t bytes[49];

    memcpy(bytes, flow->local.addr.b, 16);
    memcpy(bytes + 16, flow->remote.addr.b, 16);
    gd_put16(bytes + 32, flow->local.port);
    gd_put16(bytes + 34, flow->remote.port);
    gd_put32(bytes + 36, irs);
    memcpy(bytes + 40, &minute, sizeof(minute));
    bytes[48] = (uint8_t)index;
    return (uint32_t)gd_siphash(&stack->cookie_key, bytes, sizeof(bytes));
}

/* What hides the fields: a hash that no field goes into. */
static uint32_t mask(struct gd_stack *stack, const struct gd_flow *flow)
{
    return mac(stack, flow, 0, UINT64_MAX, UINT8_MAX);
}

static uint32_t make(struct gd_stack *stack, const struct gd_request *request, uint32_t mss, uint64_t now)
{
    uint64_t minute = now / MINUTE;
    uint32_t index = 7, fields;

    while (index > 0 && mss_table[index] > mss)
        index--;
    fields = (uint32_t)(minute & 31) << 27 | index << 24;
    fields |= mac(stack, &request->flow, request->irs, minute, index) & MAC_MASK;
    return mask(stack, &request->flow) + request->irs + fields;
}

/* The MSS that the cookie tells; 0: it is none of ours. */
static uint32_t check(struct gd_stack *stack, const struct gd_request *request, uint64_t now)
{
    uint32_t fields = request->iss - request->irs - mask(stack, &request->flow);
    uint64_t minute = now / MINUTE;
    uint32_t age = ((uint32_t)minute - (fields >> 27)) & 31, index = fields >> 24 & 7;

    if (age >= AGES)
        return 0;
    if ((mac(stack, &request->flow, request->irs, minute - age, index) & MAC_MASK) != (fields & MAC_MASK))
        return 0;
    return mss_table[index];
}

uint32_t gd_tcp_cookie_tsval(const struct gd_request *request, uint64_t now)
{
    const struct gd_tcp_options *options = &request->options;
    uint32_t bits = (options->has_wscale ? options->wscale : NO_WSCALE) | (options->sack_ok ? SACK_BIT : 0) |
                    (request->ecn ? ECN_BIT : 0);
    uint32_t clock = gd_tcp_now_ms(now);
    uint32_t told = (clock >> BITS << BITS) | bits;

    if (gd_seq_gt(told, clock)) /* never ahead of what comes next (RFC 7323 4.3) */
        told -= 1u << BITS;
    return told + request->ts_offset;
}

void gd_tcp_cookie_send(struct gd_tcb *listener, const struct gd_segment *segment, uint64_t now)
{
    struct gd_stack *stack = listener->sock.stack;
    struct gd_request request;
    uint32_t mss;

    gd_tcp_request_init(&request, listener, segment);
    mss = request.options.has_mss ? request.options.mss : gd_tcp_mss_default(&request.flow.remote.addr);
    if (!request.options.has_ts)
        request.options.has_wscale = request.options.sack_ok = request.ecn = false;
    request.cookie = true;
    request.iss = make(stack, &request, mss, now);
    listener->listener->cookie_at = now;
    gd_count(&stack->stats, GD_STAT_tcp_syncookies_sent);
    gd_tcp_request_answer(stack, &request, GD_TCP_SYN | GD_TCP_ACK, now);
}

static void take_bits(struct gd_request *request, const struct gd_tcp_options *options)
{
    uint32_t bits = options->tsecr - request->ts_offset;
    uint32_t wscale = bits & 15;

    request->options.has_wscale = wscale <= GD_TCP_WSCALE_MAX;
    request->options.wscale = (uint8_t)wscale;
    request->options.sack_ok = (bits & SACK_BIT) != 0;
    request->ecn = (bits & ECN_BIT) != 0;
}

bool gd_tcp_cookie_input(struct gd_tcb *listener, struct gd_segment *segment, uint64_t now)
{
    struct gd_stack *stack = listener->sock.stack;
    struct gd_request request;
    uint32_t mss;

    /* Linux's tcp_synq_no_recent_overflow: while no cookie is out, there is nothing to guess. */
    if (listener->listener->cookie_at == 0 || now - listener->listener->cookie_at >= AGES * MINUTE)
        return false;
    gd_tcp_request_init(&request, listener, segment);
    request.cookie = true;
    request.irs = segment->seq - 1;
    request.iss = segment->header.ack - 1;
    mss = check(stack, &request, now);
    if (mss == 0) {
        gd_count(&stack->stats, GD_STAT_tcp_syncookies_failed);
        return false;
    }
    request.options = (struct gd_tcp_options){.has_mss = true, .mss = (uint16_t)mss};
    request.options.has_ts = segment->header.options.has_ts;
    request.options.tsval = segment->header.options.tsval;
    if (request.options.has_ts)
        take_bits(&request, &segment->header.options);
    gd_count(&stack->stats, GD_STAT_tcp_syncookies_received);
    if (gd_dst_resolve(stack, &request.dst, &request.flow.remote.addr) == 0)
        gd_tcp_request_done(stack, &request, segment, now);
    return true;
}
