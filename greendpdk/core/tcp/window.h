/* Room in a connection's buffers, and the edges that its windows show.
 * Included by the files of tcp/ and sock/stream.c that fill or empty them.
 *
 *     rcv_nxt │◄──────────── window shown ───────────────►│
 *             │                                  rcv_adv │▒│ gd_tcp_rcv_limit
 *     A window is told in units of 1 << rcv_wscale, rounded up: rounded down an edge once shown would move back. What
 *     the rounding promises (▒) is accepted; rcv_adv itself does not move by it, or it would creep on with each ACK.
 */
#ifndef GD_TCP_WINDOW_H
#define GD_TCP_WINDOW_H
#include "tcp.h"
#include "urgent.h"

/* By the buffer's size alone. As Linux: half of what is shown is payload. */
static inline uint32_t gd_tcp_rcv_free(const struct gd_tcb *tcb)
{
    uint32_t size = tcb->sock.options.rcvbuf / 2, clamp = tcb->sock.options.window_clamp;
    uint32_t left = size > tcb->rcv.len ? size - tcb->rcv.len : 0;

    return clamp != 0 && left > clamp ? clamp : left;
}

/* Written, and never sent yet. */
static inline uint32_t gd_tcp_not_sent(const struct gd_tcb *tcb)
{
    int32_t left = gd_seq_diff(gd_tcp_snd_base(tcb) + tcb->snd.len, tcb->snd_nxt);

    return left > 0 ? (uint32_t)left : 0;
}

/* A segment in flight has an entry of its own, so crumbs count as more than their bytes. */
static inline uint32_t gd_tcp_snd_free(const struct gd_tcb *tcb)
{
    uint32_t size = tcb->sock.options.sndbuf / 2;
    uint64_t entries = (uint64_t)tcb->flight.count * GD_TCP_CRUMB;
    uint64_t held = tcb->snd.len > entries ? tcb->snd.len : entries;

    return size > held ? size - (uint32_t)held : 0;
}

/* And by what the stack has: a window is not shown that memory could not fill. */
static inline uint32_t gd_tcp_rcv_room(const struct gd_tcb *tcb)
{
    uint64_t room = gd_buffer_room(&tcb->sock.stack->pool, &tcb->rcv);
    uint32_t left = gd_tcp_rcv_free(tcb);

    return left < room ? left : (uint32_t)room;
}

/* recv has something to do (SO_RCVLOWAT): enough, or as much as can come (Linux's tcp_epollin_ready). */
static inline bool gd_tcp_readable(const struct gd_tcb *tcb)
{
    uint32_t target = tcb->sock.options.rcvlowat > 0 ? tcb->sock.options.rcvlowat : 1;

    if (tcb->rcv.len == 0)
        return false;
    return tcb->rcv.len >= target + gd_urgent_hole(tcb) || gd_tcp_rcv_room(tcb) <= tcb->rcv_mss;
}

static inline uint32_t gd_tcp_snd_room(const struct gd_tcb *tcb)
{
    uint64_t room = gd_buffer_room(&tcb->sock.stack->pool, &tcb->snd);
    uint32_t left = gd_tcp_snd_free(tcb);

    return left < room ? left : (uint32_t)room;
}

/* And by TCP_NOTSENT_LOWAT: nothing above it, but a segment's worth below. */
static inline uint32_t gd_tcp_write_room(const struct gd_tcb *tcb)
{
    uint32_t room = gd_tcp_snd_room(tcb), lowat = tcb->sock.options.notsent_lowat, waiting = gd_tcp_not_sent(tcb);
    uint32_t below;

    if (lowat == 0)
        return room;
    if (waiting >= lowat)
        return 0;
    below = lowat - waiting > tcb->mss ? lowat - waiting : tcb->mss;
    return room < below ? room : below;
}

/* Linux's sk_stream_is_writeable: a third free, so that a writer is not woken for crumbs. */
static inline bool gd_tcp_writable(const struct gd_tcb *tcb)
{
    uint32_t room = gd_tcp_snd_room(tcb), lowat = tcb->sock.options.notsent_lowat;

    if (lowat != 0 && gd_tcp_not_sent(tcb) >= (lowat + 1) / 2)
        return false;
    return room > 0 && room >= tcb->snd.len / 2;
}

/* It is only memory that is wanting. */
static inline bool gd_tcp_snd_short(const struct gd_tcb *tcb)
{
    return gd_tcp_snd_room(tcb) < gd_tcp_snd_free(tcb);
}

/* The same of a window in which no two full segments fit. */
static inline bool gd_tcp_rcv_short(const struct gd_tcb *tcb)
{
    uint32_t room = gd_tcp_rcv_room(tcb);

    return room < 2 * tcb->rcv_mss && room < gd_tcp_rcv_free(tcb);
}

/* The window of a SYN, which is never scaled (RFC 7323 2.2). Less while memory is short, but for the reserve. */
static inline uint16_t gd_tcp_syn_window(const struct gd_stack *stack, const struct gd_options *options)
{
    uint64_t room = gd_pool_room(&stack->pool, 0);
    uint32_t window = options->rcvbuf / 2 < 65535 ? options->rcvbuf / 2 : 65535;

    if (options->window_clamp != 0 && window > options->window_clamp)
        window = options->window_clamp;
    if (room < GD_RESERVE)
        room = GD_RESERVE;
    return (uint16_t)(window < room ? window : room);
}

/* What is left of the window: rcv_nxt may have passed rcv_adv by what was rounded up. */
static inline uint32_t gd_tcp_rcv_window(const struct gd_tcb *tcb)
{
    return gd_seq_gt(tcb->rcv_adv, tcb->rcv_nxt) ? tcb->rcv_adv - tcb->rcv_nxt : 0;
}

/* Text before this number is accepted. */
static inline uint32_t gd_tcp_rcv_limit(const struct gd_tcb *tcb)
{
    return tcb->rcv_adv + (1u << tcb->rcv_wscale) - 1;
}

/* The number of a segment without text. A peer that took its window back would refuse one beyond (Linux:
 * tcp_acceptable_seq), and answer, and so on for ever; its rounding is no taking back. */
static inline uint32_t gd_tcp_ack_seq(const struct gd_tcb *tcb)
{
    uint32_t edge = tcb->snd_una + tcb->snd_wnd;
    uint32_t grain = 1u << tcb->snd_wscale;

    return gd_seq_ge(edge + grain - 1, tcb->snd_nxt) ? tcb->snd_nxt : edge;
}

/* ack.c: wakes a writer that waits, if there is room for it. */
void gd_tcp_wake_writer(struct gd_tcb *tcb);
/* memory.c */
/* It waits for memory: it will be woken when some has come back. Legal for one that waits already. */
void gd_tcp_starve(struct gd_tcb *tcb);
void gd_tcp_unstarve(struct gd_tcb *tcb);
/* A writer found no room: it will be woken when there is some. */
void gd_tcp_want_room(struct gd_tcb *tcb);
/* If memory came back, wakes those who can go on; stack->to_feed are left for the next turns. */
void gd_tcp_feed(struct gd_stack *stack);
#endif
