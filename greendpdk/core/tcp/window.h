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

static inline uint32_t gd_tcp_rcv_room(const struct gd_tcb *tcb)
{
    uint32_t room = tcb->sock.options.rcvbuf / 2; /* as Linux: half of what is shown is payload */

    return room > tcb->rcv.len ? room - tcb->rcv.len : 0;
}

static inline uint32_t gd_tcp_snd_room(const struct gd_tcb *tcb)
{
    uint32_t room = tcb->sock.options.sndbuf / 2;

    return room > tcb->snd.len ? room - tcb->snd.len : 0;
}

/* The window of a SYN, which is never scaled (RFC 7323 2.2). */
static inline uint16_t gd_tcp_syn_window(const struct gd_options *options)
{
    return (uint16_t)(options->rcvbuf / 2 < 65535 ? options->rcvbuf / 2 : 65535);
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
#endif
