/* Neighbour discovery's messages: solicitations and advertisements of neighbours in and out, and what is checked of all
 * five (RFC 4861 6.1, 7.1, 8.1).
 * Called by net/icmp6.c, net/neighbour.c, net/dad.c, net/router.c; calls net/neighbour.c, net/dad.c, net/router.c.
 *
 * Redirects are dropped: a host may ignore them (RFC 4861 8.3 says SHOULD update), its router forwards all the same,
 * and whoever is on the link could draw our packets to himself by them.
 */
#include "nd.h"
#include "../stack.h"
#include "../util/checksum.h"
#include "../wire/ether.h"
#include "../wire/icmp6.h"
#include "../wire/ip6.h"
#include "../wire/nd.h"
#include "neigh.h"

#include <netinet/in.h>

#define HOPS 255u                      /* RFC 4861 3.1: a router cannot have forwarded it */
#define ROUTER_ADVERT_LEN 16u

struct gd_addr gd_nd_solicited_group(const struct gd_addr *addr)
{
    struct gd_addr group = {.b = {0xff, 0x02, [11] = 1, [12] = 0xff}};

    memcpy(group.b + 13, addr->b + 13, 3);
    return group;
}

static struct gd_addr all_nodes(void)
{
    return (struct gd_addr){.b = {0xff, 0x02, [15] = 1}};
}

/* ---- out ---- */

static uint8_t *write_option(uint8_t *at, uint8_t kind, const uint8_t *six)
{
    at[0] = kind;
    at[1] = 1;
    memcpy(at + 2, six, 6);
    return at + 8;
}

bool gd_nd_send(struct gd_netif *netif, const struct gd_nd_message *message)
{
    bool room = netif->ntx < GD_TX_QUEUE;
    struct gd_frame *frame = netif->port->caps & GD_CAP_LOOPBACK ? NULL : gd_netif_alloc(netif);
    uint8_t group[GD_ETHER_MAC] = {0x33, 0x33}; /* RFC 2464 7 */
    struct gd_ip_fields fields = {.src = message->src, .dst = message->dst, .proto = IPPROTO_ICMPV6, .ttl = HOPS};
    uint8_t *icmp, *end;
    uint32_t len;

    if (!frame)
        return false;
    icmp = frame->data + GD_ETHER_HEADER + GD_IP6_HEADER;
    end = icmp + GD_ICMP6_HEADER;
    gd_icmp6_write(icmp, message->type, 0, message->rest);
    if (message->target) {
        struct gd_addr target = gd_addr_on(message->target, 0);

        memcpy(end, target.b, sizeof target.b);
        end += sizeof target.b;
    }
    if (message->option)
        end = write_option(end, message->option, netif->port->mac);
    if (message->nonce)
        end = write_option(end, GD_ND_OPTION_NONCE, message->nonce);
    len = (uint32_t)(end - icmp);
    gd_put16(icmp + 2, gd_checksum_finish(
                           gd_checksum_add(gd_ip_pseudo(message->src, message->dst, IPPROTO_ICMPV6, len), icmp, len)));
    gd_ip6_header(netif, frame, &fields, len, 0);
    memcpy(group + 2, message->dst->b + 12, 4);
    gd_ether_write(frame->data, message->to_mac ? message->to_mac : group, netif->port->mac, GD_ETHER_IP6);
    frame->len = GD_ETHER_HEADER + GD_IP6_HEADER + len;
    frame->flags = 0;
    gd_netif_queue(netif, frame);
    if (room)
        gd_count(&netif->stack->stats, GD_STAT_nd_out);
    return room;
}

void gd_nd_solicit(struct gd_netif *netif, const struct gd_addr *target, const uint8_t *to_mac)
{
    const struct gd_addr *own = gd_ip_own(netif, target);
    struct gd_addr group = gd_nd_solicited_group(target);

    if (!own) /* nobody could answer: the timer fails what waits */
        return;
    gd_nd_send(netif, &(struct gd_nd_message){.type = GD_ICMP6_NEIGHBOUR_SOLICIT,
                                              .src = own,
                                              .dst = to_mac ? target : &group,
                                              .target = target,
                                              .to_mac = to_mac,
                                              .option = GD_ND_SOURCE_MAC});
}

void gd_nd_announce(struct gd_netif *netif, const struct gd_addr *addr)
{
    struct gd_addr everybody = all_nodes();

    gd_nd_send(netif, &(struct gd_nd_message){.type = GD_ICMP6_NEIGHBOUR_ADVERT,
                                              .rest = GD_ND_OVERRIDE,
                                              .src = addr,
                                              .dst = &everybody,
                                              .target = addr,
                                              .option = GD_ND_TARGET_MAC});
}

static void answer(struct gd_netif *netif, const struct gd_addr *to, const uint8_t *to_mac,
                   const struct gd_addr *target)
{
    gd_nd_send(netif, &(struct gd_nd_message){.type = GD_ICMP6_NEIGHBOUR_ADVERT,
                                              .rest = GD_ND_SOLICITED | GD_ND_OVERRIDE,
                                              .src = target,
                                              .dst = to,
                                              .target = target,
                                              .to_mac = to_mac,
                                              .option = GD_ND_TARGET_MAC});
}

/* ---- in ---- */

static const uint8_t *option_of(const struct gd_packet *packet, uint8_t kind)
{
    return gd_nd_option(packet->l4 + GD_ND_HEADER, packet->l4_len - GD_ND_HEADER, kind);
}

/* The MAC in an option of that kind, if it is one host's; else NULL. */
static const uint8_t *mac_of(const struct gd_packet *packet, uint8_t kind)
{
    const uint8_t *option = option_of(packet, kind);

    return option && option[1] == 1 && !gd_mac_is_group(option + 2) ? option + 2 : NULL;
}

/* An address that we would send to without a router. Who is not gets no entry: a solicitation proves nothing (RFC 5942
 * 4), and anybody could give us entries without end. */
static bool is_on_link(struct gd_netif *netif, const struct gd_addr *addr)
{
    const struct gd_route *route = gd_addr_is_link_local(addr) ? NULL : gd_route_find(netif->stack, addr, NULL);

    return gd_addr_is_link_local(addr) || (route && !route->via && route->netif == netif);
}

/* Another host wants our tentative address too, unless it is our own question that comes back (RFC 7527 4.2). */
static void heard_probe(struct gd_netif *netif, const struct gd_packet *packet, struct gd_ifaddr *own, uint64_t now)
{
    const uint8_t *nonce = option_of(packet, GD_ND_OPTION_NONCE);

    if (own->asked && nonce && nonce[1] == 1 && memcmp(nonce + 2, own->nonce, GD_ND_NONCE) == 0) {
        gd_count(&netif->stack->stats, GD_STAT_nd_drop_looped);
        return;
    }
    gd_dad_conflict(netif, own, now);
}

static void drop(struct gd_netif *netif, enum gd_counter why)
{
    gd_count(&netif->stack->stats, why);
}

/* RFC 4861 7.2.3, 7.2.4; RFC 4862 5.4.3 */
static void solicitation(struct gd_netif *netif, const struct gd_packet *packet, const struct gd_addr *target,
                         uint64_t now)
{
    struct gd_ifaddr *own = gd_netif_own(netif, target);
    bool probe = gd_addr_is_any(&packet->src);
    const uint8_t *mac = mac_of(packet, GD_ND_SOURCE_MAC);
    struct gd_neigh *neigh;

    if (!own || (own->tentative && !probe)) {
        drop(netif, GD_STAT_nd_drop_not_ours);
        return;
    }
    if (own->tentative) {
        heard_probe(netif, packet, own, now);
        return;
    }
    if (probe) { /* somebody is about to take our address */
        gd_nd_announce(netif, target);
        return;
    }
    if (mac && is_on_link(netif, &packet->src))
        gd_neigh_heard(netif, &packet->src, mac, GD_NEWS_ASKED, now);
    neigh = mac ? NULL : gd_neigh_find(netif, &packet->src);
    if (neigh && gd_neigh_has_mac(neigh))
        mac = neigh->mac;
    if (!mac) { /* to answer we would have to ask: a flood of these would fill the table */
        drop(netif, GD_STAT_nd_drop_stranger);
        return;
    }
    answer(netif, &packet->src, mac, target);
}

/* An address of ours that stands is kept. */
static void defend(struct gd_netif *netif, struct gd_ifaddr *own, uint64_t now)
{
    gd_count(&netif->stack->stats, GD_STAT_nd_conflict);
    if (gd_ifaddr_defend(own, now))
        gd_nd_announce(netif, &own->addr);
}

/* RFC 4861 7.2.5; RFC 4862 5.4.4 */
static void advertisement(struct gd_netif *netif, const struct gd_packet *packet, const struct gd_addr *target,
                          uint64_t now)
{
    uint32_t flags = gd_get32(packet->l4 + 4);
    struct gd_ifaddr *own = gd_netif_own(netif, target);

    if (own && own->tentative)
        gd_dad_conflict(netif, own, now);
    else if (own)
        defend(netif, own, now);
    else if (!gd_neigh_advertised(netif, target, mac_of(packet, GD_ND_TARGET_MAC), flags, now))
        drop(netif, GD_STAT_nd_drop_not_ours);
}

/* RFC 4861 7.1.1, 7.1.2. Hop limit, code and options have been seen to. */
static bool neighbour_message_is_sane(const struct gd_packet *packet, const struct gd_addr *target)
{
    bool to_solicited = packet->dst.b[0] == 0xff && packet->dst.b[11] == 1 && packet->dst.b[12] == 0xff;

    if (gd_addr_is_multicast(target) || gd_addr_is_any(target) || gd_addr_is_v4(target))
        return false;
    if (packet->l4[0] == GD_ICMP6_NEIGHBOUR_ADVERT)
        return !gd_addr_is_any(&packet->src) &&
               !(gd_addr_is_multicast(&packet->dst) && gd_get32(packet->l4 + 4) & GD_ND_SOLICITED);
    return !gd_addr_is_any(&packet->src) || (to_solicited && !option_of(packet, GD_ND_SOURCE_MAC));
}

static void neighbour_input(struct gd_netif *netif, const struct gd_packet *packet, uint64_t now)
{
    struct gd_addr target;

    memcpy(target.b, packet->l4 + GD_ICMP6_HEADER, sizeof target.b);
    if (!neighbour_message_is_sane(packet, &target) || gd_addr_scope(&target) != 0) {
        drop(netif, GD_STAT_nd_drop_malformed);
        return;
    }
    target = gd_addr_on(&target, netif->index);
    if (packet->l4[0] == GD_ICMP6_NEIGHBOUR_SOLICIT)
        solicitation(netif, packet, &target, now);
    else
        advertisement(netif, packet, &target, now);
}

/* Bytes before the options; 0: not for hosts. */
static uint32_t header_of(uint8_t type)
{
    switch (type) {
    case GD_ICMP6_NEIGHBOUR_SOLICIT:
    case GD_ICMP6_NEIGHBOUR_ADVERT:
        return GD_ND_HEADER;
    case GD_ICMP6_ROUTER_ADVERT:
        return ROUTER_ADVERT_LEN;
    default: /* router solicitations are routers' (RFC 4861 6.2.6) */
        return 0;
    }
}

void gd_nd_input(struct gd_netif *netif, const struct gd_packet *packet, uint64_t now)
{
    uint8_t type = packet->l4[0];
    uint32_t header = header_of(type);

    gd_count(&netif->stack->stats, GD_STAT_nd_in);
    if (header == 0 || netif->port->caps & GD_CAP_LOOPBACK) {
        drop(netif, type == GD_ICMP6_REDIRECT ? GD_STAT_nd_drop_redirect : GD_STAT_nd_drop_not_ours);
        return;
    }
    if (packet->ttl != HOPS || packet->l4[1] != 0 || packet->l4_len < header ||
        !gd_nd_options_are_sane(packet->l4 + header, packet->l4_len - header)) {
        drop(netif, GD_STAT_nd_drop_malformed);
        return;
    }
    if (type == GD_ICMP6_ROUTER_ADVERT)
        gd_router_advert(netif, packet, now);
    else
        neighbour_input(netif, packet, now);
}
