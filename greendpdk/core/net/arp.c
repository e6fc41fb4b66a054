/* ARP (RFC 826): questions, answers, announcements, address conflicts (RFC 5227).
 * Called by net/ether.c, net/neighbour.c, net/config.c, net/dhcp.c; calls net/neighbour.c, net/ether.c, net/config.c,
 * net/dhcp.c.
 */
#include "../wire/arp.h"
#include "../stack.h"
#include "../wire/ether.h"
#include "neigh.h"

static const uint8_t broadcast[GD_ETHER_MAC] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
static const uint8_t nobody[GD_ETHER_MAC] = {0};

/* False: there was no frame, or no room (counted). */
static bool send_arp(struct gd_netif *netif, struct gd_arp *arp, const uint8_t *to_mac)
{
    bool room = netif->ntx < GD_TX_QUEUE;
    struct gd_frame *frame = gd_netif_alloc(netif);

    if (!frame)
        return false;
    arp->sender_mac = netif->port->mac;
    gd_ether_write(frame->data, to_mac, netif->port->mac, GD_ETHER_ARP);
    gd_arp_write(frame->data + GD_ETHER_HEADER, arp);
    frame->len = GD_ETHER_HEADER + GD_ARP_LEN;
    frame->flags = 0;
    gd_netif_queue(netif, frame);
    if (room)
        gd_count(&netif->stack->stats, GD_STAT_arp_out);
    return room;
}

void gd_arp_request(struct gd_netif *netif, const struct gd_addr *target, const uint8_t *to_mac)
{
    const struct gd_addr *own = gd_ip_own(netif, target);
    struct gd_arp arp = {.operation = GD_ARP_REQUEST, .target = *target, .target_mac = nobody};

    if (!own) /* nobody could answer: the timer fails what waits */
        return;
    arp.sender = *own;
    send_arp(netif, &arp, to_mac ? to_mac : broadcast);
}

/* RFC 5227 2.3 and 3: an announcement is a request for the own address, as old caches update on requests for sure. */
void gd_arp_announce(struct gd_netif *netif, const struct gd_addr *addr)
{
    struct gd_arp arp = {.operation = GD_ARP_REQUEST, .sender = *addr, .target = *addr, .target_mac = nobody};

    if (netif->port->caps & GD_CAP_LOOPBACK || !gd_addr_is_v4(addr))
        return;
    send_arp(netif, &arp, broadcast);
}

bool gd_arp_probe(struct gd_netif *netif, const struct gd_addr *addr)
{
    static const uint8_t any[4] = {0};
    struct gd_arp arp = {
        .operation = GD_ARP_REQUEST, .sender = gd_addr_v4(any), .target = *addr, .target_mac = nobody};

    return send_arp(netif, &arp, broadcast);
}

/* An address that one host may have; a probe's sender (RFC 5227 2.1.1) has none yet. */
static bool is_host(const struct gd_netif *netif, const struct gd_addr *addr)
{
    return !gd_addr_is_any(addr) && !gd_addr_is_multicast(addr) && !gd_addr_is_loopback(addr) &&
           !gd_ip4_broadcast(netif, addr);
}

static bool on_link(const struct gd_netif *netif, const struct gd_addr *addr)
{
    for (int i = 0; i < netif->naddrs; i++) {
        const struct gd_ifaddr *own = &netif->addrs[i];

        if (gd_addr_is_v4(&own->addr) && gd_ip_within(addr, &own->addr, 96u + own->prefix_length))
            return true;
    }
    return false;
}

/* Somebody else uses our address: keep it, as a server must (RFC 5227 2.4 b). */
static void conflict(struct gd_netif *netif, struct gd_ifaddr *own, uint64_t now)
{
    gd_count(&netif->stack->stats, GD_STAT_arp_conflict);
    if (gd_ifaddr_defend(own, now))
        gd_arp_announce(netif, &own->addr);
}

static void answer(struct gd_netif *netif, const struct gd_arp *question)
{
    struct gd_arp arp = {.operation = GD_ARP_REPLY,
                         .sender = question->target,
                         .target = question->sender,
                         .target_mac = question->sender_mac};

    send_arp(netif, &arp, question->sender_mac);
}

/* In the order of RFC 826, "Packet Reception": update what is known; if it is for us, learn; then answer. */
void gd_arp_input(struct gd_netif *netif, const uint8_t *data, uint32_t len, uint64_t now)
{
    struct gd_stats *stats = &netif->stack->stats;
    enum gd_neigh_news news = GD_NEWS_SEEN;
    struct gd_ifaddr *own;
    struct gd_arp arp;
    bool for_us, known = false;

    gd_count(stats, GD_STAT_arp_in);
    if (!gd_arp_parse(data, len, &arp) || gd_mac_is_group(arp.sender_mac) ||
        (arp.operation != GD_ARP_REQUEST && arp.operation != GD_ARP_REPLY)) {
        gd_count(stats, GD_STAT_arp_drop_malformed);
        return;
    }
    if (gd_mac_eq(arp.sender_mac, netif->port->mac)) { /* our own, come back through a bridge */
        gd_count(stats, GD_STAT_arp_drop_not_ours);
        return;
    }
    gd_dhcp_hear_arp(netif, &arp.sender, &arp.target, now);
    own = gd_netif_own(netif, &arp.sender);
    if (own) {
        conflict(netif, own, now);
        return;
    }
    for_us = gd_netif_own(netif, &arp.target) != NULL;
    if (for_us && arp.operation == GD_ARP_REPLY)
        news = GD_NEWS_ANSWER;
    else if (for_us && on_link(netif, &arp.sender))
        news = GD_NEWS_ASKED;
    if (is_host(netif, &arp.sender))
        known = gd_neigh_heard(netif, &arp.sender, arp.sender_mac, news, now);
    if (for_us && arp.operation == GD_ARP_REQUEST)
        answer(netif, &arp);
    else if (!for_us && !known)
        gd_count(stats, GD_STAT_arp_drop_not_ours);
}
