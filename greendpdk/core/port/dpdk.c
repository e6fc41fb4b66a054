/* Frames to and from a DPDK device: bursts, offload flags, counters. Called through port.h by net/ether.c, and by
 * _stack.py; calls ethdev's one receive and one transmit queue.
 *
 *   mbuf   [ struct rte_mbuf │ struct gd_frame (private area) │ headroom │ Ethernet header … ]
 *
 * so a frame costs no allocation of its own, and either is found from the other by adding.
 */
#include "dpdk.h"

#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include <errno.h>
#include <string.h>

#define SAMPLE 256u /* frames that the device calls right: one of them is looked at, 0.4 % of the work that it saves */

static struct rte_mbuf *mbuf_of(struct gd_frame *frame)
{
    return (struct rte_mbuf *)(void *)((char *)frame - sizeof(struct rte_mbuf));
}

static uint32_t rx_flags(uint64_t offload)
{
    uint64_t ip = offload & RTE_MBUF_F_RX_IP_CKSUM_MASK;
    uint64_t l4 = offload & RTE_MBUF_F_RX_L4_CKSUM_MASK;
    uint32_t flags = 0;

    if (ip == RTE_MBUF_F_RX_IP_CKSUM_GOOD)
        flags |= GD_RX_IP_CSUM_OK;
    else if (ip == RTE_MBUF_F_RX_IP_CKSUM_BAD)
        flags |= GD_RX_IP_CSUM_BAD;
    if (l4 == RTE_MBUF_F_RX_L4_CKSUM_GOOD)
        flags |= GD_RX_L4_CSUM_OK;
    else if (l4 == RTE_MBUF_F_RX_L4_CKSUM_BAD)
        flags |= GD_RX_L4_CSUM_BAD;
    return flags;
}

static uint32_t sample(struct gd_dpdk *dpdk, uint32_t flags)
{
    if ((flags & GD_RX_L4_CSUM_OK) == 0 || dpdk->trusted++ % SAMPLE != 0)
        return flags;
    return (flags & ~GD_RX_L4_CSUM_OK) | GD_RX_L4_CSUM_DOUBT;
}

static int dpdk_rx(struct gd_port *port, struct gd_frame **frames, int max, uint64_t now)
{
    struct rte_mbuf *mbufs[GD_BURST];
    struct gd_dpdk *dpdk = gd_dpdk_of(port);
    uint16_t received = rte_eth_rx_burst(dpdk->id, 0, mbufs, (uint16_t)(max < GD_BURST ? max : GD_BURST));
    int count = 0;

    (void)now;
    for (uint16_t i = 0; i < received; i++) {
        struct gd_frame *frame = rte_mbuf_to_priv(mbufs[i]);

        /* The pool's buffers hold a whole frame of our MTU, so what cannot be made one piece is longer than that. */
        if (mbufs[i]->nb_segs > 1 && rte_pktmbuf_linearize(mbufs[i]) < 0) {
            dpdk->too_long++;
            rte_pktmbuf_free(mbufs[i]);
            continue;
        }
        *frame = (struct gd_frame){
            .data = rte_pktmbuf_mtod(mbufs[i], uint8_t *),
            .len = mbufs[i]->data_len,
            .room = mbufs[i]->data_len + (uint32_t)rte_pktmbuf_tailroom(mbufs[i]),
            .flags = sample(dpdk, rx_flags(mbufs[i]->ol_flags)),
        };
        frames[count++] = frame;
    }
    return count;
}

static struct gd_frame *dpdk_alloc(struct gd_port *port)
{
    struct rte_mbuf *mbuf = rte_pktmbuf_alloc(gd_dpdk_of(port)->pool);
    struct gd_frame *frame;

    if (!mbuf)
        return NULL;
    frame = rte_mbuf_to_priv(mbuf);
    *frame = (struct gd_frame){.data = rte_pktmbuf_mtod(mbuf, uint8_t *), .room = rte_pktmbuf_tailroom(mbuf)};
    return frame;
}

/* The frame as its mbuf; returns true if the driver has something to fill in. */
static bool prepare(struct gd_frame *frame, struct rte_mbuf *mbuf)
{
    uint64_t offload = 0;

    mbuf->data_off = (uint16_t)(frame->data - (uint8_t *)mbuf->buf_addr);
    mbuf->data_len = (uint16_t)frame->len;
    mbuf->pkt_len = frame->len;
    if (!(frame->flags & (GD_TX_IP_CSUM | GD_TX_TCP_CSUM | GD_TX_UDP_CSUM)))
        return false;
    offload |= frame->flags & GD_TX_IPV6 ? RTE_MBUF_F_TX_IPV6 : RTE_MBUF_F_TX_IPV4;
    if (frame->flags & GD_TX_IP_CSUM)
        offload |= RTE_MBUF_F_TX_IP_CKSUM;
    if (frame->flags & GD_TX_TCP_CSUM)
        offload |= RTE_MBUF_F_TX_TCP_CKSUM;
    if (frame->flags & GD_TX_UDP_CSUM)
        offload |= RTE_MBUF_F_TX_UDP_CKSUM;
    mbuf->ol_flags |= offload;
    mbuf->tx_offload = rte_mbuf_tx_offload(frame->l2_len, frame->l3_len, frame->l4_len, 0, 0, 0, 0);
    return true;
}

static void dpdk_free(struct gd_port *port, struct gd_frame **frames, int n)
{
    (void)port;
    for (int i = 0; i < n; i++)
        rte_pktmbuf_free(mbuf_of(frames[i]));
}

static int dpdk_tx(struct gd_port *port, struct gd_frame **frames, int n, uint64_t now)
{
    struct rte_mbuf *mbufs[GD_BURST];
    struct gd_dpdk *dpdk = gd_dpdk_of(port);
    uint16_t count = (uint16_t)(n < GD_BURST ? n : GD_BURST), ready = count, sent;
    bool offload = false;

    (void)now;
    for (int i = 0; i < count; i++) {
        mbufs[i] = mbuf_of(frames[i]);
        offload |= prepare(frames[i], mbufs[i]);
    }
    if (offload) /* some drivers want the pseudo header's sum otherwise than it is */
        ready = rte_eth_tx_prepare(dpdk->id, 0, mbufs, count);
    sent = rte_eth_tx_burst(dpdk->id, 0, mbufs, ready);
    if (sent == ready && ready < count) {
        /* A frame that the driver can never send must not block those behind it. */
        dpdk_free(port, &frames[sent], 1);
        dpdk->refused++;
        return sent + 1;
    }
    if (sent == 0 && count > 0 && !gd_dpdk_link(port)) {
        /* No cable, no peer yet (net_memif): a packet that is sent now is lost, as it is on Linux; kept, it would go
         * out stale when the link comes up. */
        dpdk_free(port, frames, count);
        dpdk->refused += count;
        return count;
    }
    return sent;
}

static uint64_t dpdk_next(struct gd_port *port)
{
    (void)port;
    return UINT64_MAX;
}

static int dpdk_rx_fd(struct gd_port *port)
{
    return gd_dpdk_of(port)->rx_fd;
}

const struct gd_port_ops gd_dpdk_ops = {
    .rx = dpdk_rx,
    .alloc = dpdk_alloc,
    .tx = dpdk_tx,
    .free = dpdk_free,
    .next = dpdk_next,
    .rx_fd = dpdk_rx_fd,
    .close = gd_dpdk_close,
};

const char *gd_dpdk_driver(struct gd_port *port)
{
    return gd_dpdk_of(port)->driver;
}

const char *gd_dpdk_name(struct gd_port *port)
{
    return gd_dpdk_of(port)->name;
}

int gd_dpdk_kernel_ifindex(struct gd_port *port)
{
    return gd_dpdk_of(port)->ifindex;
}

int gd_dpdk_stats(struct gd_port *port, uint64_t *eight)
{
    struct gd_dpdk *dpdk = gd_dpdk_of(port);
    struct rte_eth_stats stats;
    int result = rte_eth_stats_get(dpdk->id, &stats);

    if (result < 0)
        return result;
    memcpy(eight,
           (uint64_t[8]){stats.ipackets, stats.opackets, stats.ibytes, stats.obytes, stats.imissed,
                         stats.ierrors + dpdk->too_long, stats.oerrors + dpdk->refused, stats.rx_nombuf},
           8 * sizeof *eight);
    return 0;
}

int gd_dpdk_link(struct gd_port *port)
{
    struct rte_eth_link link;

    if (rte_eth_link_get_nowait(gd_dpdk_of(port)->id, &link) < 0)
        return 0;
    return link.link_status == RTE_ETH_LINK_UP;
}
