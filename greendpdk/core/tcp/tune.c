/* How large a connection's buffers may get while the user has not said: with what the reader takes in a round trip, and
 * with the congestion window. And the window scale that fits them (RFC 7323 2.3).
 * Called by tcp/text.c, ack.c, open.c, listen.c, sock/stream.c; calls nothing.
 *
 *     the reader takes │◄─ space ─►│◄── copied ──►│   a round trip each; a sender in slow start has twice
 *     so the window is                            │◄─── 2 × copied + slack ───►│   as much for the next
 *
 * This is dynamic right-sizing (Fisk and Feng) as Linux does it in tcp_rcv_space_adjust, with its figures.
 * A size is what a buffer may come to hold: its chunks come and go with the bytes. It only grows, so no window shrinks.
 */
#include "tcp.h"
#include "window.h"

/* A window's worth is not more than this many bytes of overhead in front of a burst (Linux's slack in rcvwin). */
#define SLACK_SEGMENTS 16u

static uint32_t smaller(uint64_t a, uint32_t b)
{
    return a < b ? (uint32_t)a : b;
}

uint8_t gd_tcp_window_shift(const struct gd_options *options)
{
    uint32_t most = options->rcvbuf_fixed ? options->rcvbuf / 2 : GD_TCP_BUFFER_AUTO;
    uint8_t shift = 0;

    while (shift < GD_TCP_WSCALE_MAX && (65535u << shift) < most)
        shift++;
    return shift;
}

void gd_tcp_tune_start(struct gd_tcb *tcb, uint64_t now)
{
    struct gd_tune *tune = &tcb->tune;
    uint32_t window = gd_tcp_rcv_window(tcb);

    *tune = (struct gd_tune){.rtt = tcb->srtt, .at = now, .window_at = now, .window_end = tcb->rcv_adv};
    tune->space = smaller(window, 10 * tcb->mss); /* what a peer sends at first (RFC 6928) */
    tune->echoed = gd_tcp_now_ms(now) + tcb->ts_offset;
    gd_tcp_tune_send(tcb);
}

/* The peer echoes the clock of our ACK that let the segment out. A lower value is true at once; a higher one may only
 * say that the peer had nothing to send. */
static void by_echo(struct gd_tcb *tcb, uint32_t echo, uint64_t now)
{
    struct gd_tune *tune = &tcb->tune;
    uint32_t ms = gd_tcp_now_ms(now) + tcb->ts_offset - echo;
    uint64_t sample = (ms + 1ull) * GD_MS; /* the clock's grain: less is not known */

    if (echo == tune->echoed || ms > GD_TCP_RTO_MAX / GD_MS)
        return;
    tune->echoed = echo;
    if (tune->rtt == 0 || (sample < tune->rtt && ms > 0)) {
        tune->rtt = sample;
    } else if (sample > tune->rtt && ms > 0) {
        uint64_t more = sample - tune->rtt;

        tune->rtt += (more < tune->rtt ? more : tune->rtt) / 8;
    }
}

/* Without timestamps: a window's worth takes at least a round trip, so the shortest of those is the best guess. */
static void by_window(struct gd_tcb *tcb, uint64_t now)
{
    struct gd_tune *tune = &tcb->tune;

    if (gd_seq_lt(tcb->rcv_nxt, tune->window_end))
        return;
    if (tune->rtt == 0 || now - tune->window_at < tune->rtt)
        tune->rtt = now - tune->window_at;
    tune->window_end = tcb->rcv_adv;
    tune->window_at = now;
}

void gd_tcp_tune_arrived(struct gd_tcb *tcb, const struct gd_segment *segment, uint64_t now)
{
    if (!tcb->ts_ok)
        by_window(tcb, now);
    else if (segment->header.options.has_ts && segment->len >= tcb->rcv_mss)
        by_echo(tcb, segment->header.options.tsecr, now);
}

/* Twice what was taken, for the sender's next round trip; more, as fast as the taking itself grew (Linux). */
static void grow(struct gd_tcb *tcb)
{
    struct gd_tune *tune = &tcb->tune;
    uint64_t window = 2ull * tune->copied + SLACK_SEGMENTS * (uint64_t)tcb->rcv_mss;
    uint64_t most = 65535ull << tcb->rcv_wscale;
    uint32_t size;

    window += 2 * (window * (tune->copied - tune->space) / (tune->space > 0 ? tune->space : 1));
    size = 2 * smaller(window < most ? window : most, GD_TCP_BUFFER_AUTO);
    if (size > tcb->sock.options.rcvbuf)
        tcb->sock.options.rcvbuf = size;
}

void gd_tcp_tune_read(struct gd_tcb *tcb, uint32_t count, uint64_t now)
{
    struct gd_tune *tune = &tcb->tune;

    tune->copied += count;
    if (tune->rtt == 0 || now - tune->at < tune->rtt)
        return;
    if (tune->copied > tune->space) {
        if (!tcb->sock.options.rcvbuf_fixed)
            grow(tcb);
        tune->space = tune->copied;
    }
    tune->copied = 0;
    tune->at = now;
}

/* Twice the congestion window: what is in flight, and as much again to follow its ACKs (Linux's tcp_sndbuf_expand). */
void gd_tcp_tune_send(struct gd_tcb *tcb)
{
    uint32_t size = 2 * smaller(2ull * tcb->cwnd, GD_TCP_BUFFER_AUTO);

    if (!tcb->sock.options.sndbuf_fixed && size > tcb->sock.options.sndbuf)
        tcb->sock.options.sndbuf = size;
}
