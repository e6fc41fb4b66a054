/* Frames in and out of one interface: bursts, the Ethernet header, the queue to the port.
 * Called by stack.c, net/ip.c, net/neighbour.c, net/arp.c; calls port/, net/arp.c, net/ip4.c, net/ip6.c.
 *
 *     port.rx ──► own MAC? ──► ethertype ──► arp │ ip4 │ ip6      lent frames go back after each burst
 *     queue (tx[0..ntx]) ──► port.tx ──► what is refused stays first in the queue
 */
#include "../stack.h"
#include "../wire/ether.h"
#include "capture.h"

static void receive_frame(struct gd_netif *netif, const struct gd_frame *frame, uint64_t now)
{
    struct gd_stats *stats = &netif->stack->stats;
    uint32_t flags = frame->flags;
    bool to_group;

    netif->rx_bytes += frame->len;
    if (frame->len < GD_ETHER_HEADER) {
        gd_count(stats, GD_STAT_eth_drop_short);
        return;
    }
    to_group = gd_mac_is_group(frame->data);
    if (!to_group && !gd_mac_eq(frame->data, netif->port->mac)) {
        gd_count(stats, GD_STAT_eth_drop_other_host);
        return;
    }
    if (netif->port->caps & GD_CAP_LOOPBACK) /* left out on the way out */
        flags = GD_RX_IP_CSUM_OK | GD_RX_L4_CSUM_OK;
    switch (gd_ether_type(frame->data)) {
    case GD_ETHER_IP4:
        gd_ip4_input(netif, frame->data + GD_ETHER_HEADER, frame->len - GD_ETHER_HEADER, flags, to_group, now);
        return;
    case GD_ETHER_IP6:
        gd_ip6_input(netif, frame->data + GD_ETHER_HEADER, frame->len - GD_ETHER_HEADER, flags, to_group, now);
        return;
    case GD_ETHER_ARP:
        gd_arp_input(netif, frame->data + GD_ETHER_HEADER, frame->len - GD_ETHER_HEADER, now);
        return;
    default:
        gd_count(stats, GD_STAT_eth_drop_ethertype);
    }
}

static void receive_captured(struct gd_netif *netif, const struct gd_frame *frame, uint64_t now)
{
    gd_capture_begin(netif);
    receive_frame(netif, frame, now);
    gd_capture_end(netif, frame, now);
}

int gd_netif_receive(struct gd_netif *netif, int rounds, uint64_t now)
{
    struct gd_port *port = netif->port;
    struct gd_frame *frames[GD_BURST];
    int total = 0;

    while (rounds-- > 0) {
        int n = port->ops->rx(port, frames, GD_BURST, now);

        if (n <= 0)
            break;
        for (int i = 0; i < n; i++) {
            if (i + 1 < n)
                __builtin_prefetch(frames[i + 1]->data);
            if (netif->stack->capture == NULL)
                receive_frame(netif, frames[i], now);
            else
                receive_captured(netif, frames[i], now);
        }
        port->ops->free(port, frames, n);
        total += n;
        if (n < GD_BURST)
            break;
    }
    netif->rx_frames += (uint64_t)total;
    netif->stack->stats.value[GD_STAT_eth_in] += (uint64_t)total;
    return total;
}

void gd_netif_flush(struct gd_netif *netif, uint64_t now)
{
    struct gd_port *port = netif->port;
    int done = 0;

    while (done < netif->ntx) {
        int left = netif->ntx - done, n = left < GD_BURST ? left : GD_BURST, taken;
        uint32_t lengths[GD_BURST]; /* a taken frame is the port's: not to be looked at any more */

        for (int i = 0; i < n; i++)
            lengths[i] = netif->tx[done + i]->len;
        taken = port->ops->tx(port, netif->tx + done, n, now);
        for (int i = 0; i < taken; i++)
            netif->tx_bytes += lengths[i];
        done += taken > 0 ? taken : 0;
        if (taken < n)
            break;
    }
    netif->ntx -= done;
    memmove(netif->tx, netif->tx + done, (size_t)netif->ntx * sizeof netif->tx[0]);
    netif->tx_frames += (uint64_t)done;
    netif->stack->stats.value[GD_STAT_eth_out] += (uint64_t)done;
}

struct gd_frame *gd_netif_alloc(struct gd_netif *netif)
{
    struct gd_frame *frame = netif->port->ops->alloc(netif->port);

    if (!frame)
        gd_count(&netif->stack->stats, GD_STAT_eth_drop_no_frame);
    return frame;
}

void gd_netif_give(struct gd_netif *netif, struct gd_frame *frame)
{
    netif->port->ops->free(netif->port, &frame, 1);
}

void gd_netif_queue(struct gd_netif *netif, struct gd_frame *frame)
{
    if (netif->ntx == GD_TX_QUEUE) {
        gd_count(&netif->stack->stats, GD_STAT_eth_drop_queue_full);
        gd_netif_give(netif, frame);
        return;
    }
    if (netif->stack->capture != NULL)
        gd_capture_out(netif, frame, netif->stack->now);
    netif->tx[netif->ntx++] = frame;
}

void gd_netif_discard(struct gd_netif *netif)
{
    for (int i = 0; i < netif->ntx; i++)
        gd_netif_give(netif, netif->tx[i]);
    netif->ntx = 0;
}
