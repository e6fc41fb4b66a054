/* IPv4 in, and its header out (RFC 791, RFC 1122 3.2.1).
 * Called by net/ether.c, net/ip.c; calls net/reassembly.c, igmp.c, icmp4.c, sock/dgram_input.c, tcp/input.c.
 *
 *     lengths ─► checksum ─► source ─► destination ─► options ─► fragments ─► ICMP │ UDP │ TCP
 */
#include "../wire/ip4.h"
#include "../stack.h"
#include "../util/checksum.h"
#include "../wire/ether.h"
#include "../wire/icmp4.h"

#include <netinet/in.h>

bool gd_ip4_broadcast(const struct gd_netif *netif, const struct gd_addr *addr)
{
    if (!gd_addr_is_v4(addr))
        return false;
    if (gd_addr_u32(addr) == INADDR_BROADCAST)
        return true;
    for (int i = 0; i < netif->naddrs; i++) {
        const struct gd_ifaddr *own = &netif->addrs[i];

        /* A /31 has no broadcast address (RFC 3021). */
        if (gd_addr_is_v4(&own->addr) && own->prefix_length < 31 &&
            gd_addr_u32(addr) == (gd_addr_u32(&own->addr) | UINT32_MAX >> own->prefix_length))
            return true;
    }
    return false;
}

bool gd_ip4_any_broadcast(const struct gd_stack *stack, const struct gd_addr *addr)
{
    for (int i = 0; i < stack->netif_end; i++)
        if (stack->netifs[i] && gd_ip4_broadcast(stack->netifs[i], addr))
            return true;
    return false;
}

/* A switch that minds groups has no address of its own to ask from (RFC 4541 2.1.1); Linux's ip_mc_validate_source. */
static bool is_switch(const struct gd_ip4 *ip)
{
    return gd_addr_is_any(&ip->src) && ip->proto == IPPROTO_IGMP && gd_addr_is_multicast(&ip->dst);
}

/* Who has no address yet asks everybody for one (RFC 1122 3.2.1.3 a); Linux's ip_route_input_slow. */
static bool is_newcomer(const struct gd_ip4 *ip)
{
    return gd_addr_is_any(&ip->src) && gd_addr_u32(&ip->dst) == INADDR_BROADCAST;
}

/* RFC 1122 3.2.1.3: what may stand in the source field of a packet from a wire. */
static bool source_is_sane(const struct gd_netif *netif, const struct gd_ip4 *ip)
{
    const struct gd_addr *src = &ip->src;

    if (netif->port->caps & GD_CAP_LOOPBACK || is_switch(ip) || is_newcomer(ip))
        return true;
    return src->b[12] != 0 && !gd_addr_is_loopback(src) && !gd_addr_is_multicast(src) &&
           !gd_ip4_broadcast(netif, src) && !gd_ip_local(netif->stack, src);
}

/* Ours, or everybody's. The weak end system model (RFC 1122 3.3.4.2), as Linux: any address of ours on any interface;
 * but 127/8 never comes from a wire. */
static bool destination_is_ours(struct gd_netif *netif, const struct gd_addr *dst, bool *to_group)
{
    if (gd_addr_is_loopback(dst))
        return (netif->port->caps & GD_CAP_LOOPBACK) != 0;
    if (gd_ip_local(netif->stack, dst))
        return true;
    *to_group = true;
    if (gd_addr_is_multicast(dst))
        return gd_group_member(netif, dst);
    return gd_ip4_broadcast(netif, dst);
}

/* RFC 7126: source routes are an attacker's tool, other options are not for hosts and skipped. */
static bool options_are_sane(const uint8_t *options, uint32_t len)
{
    uint32_t at = 0;

    while (at < len && options[at] != GD_IP4_OPTION_END) {
        if (options[at] == GD_IP4_OPTION_NOP) {
            at++;
            continue;
        }
        if (options[at] == GD_IP4_OPTION_LSRR || options[at] == GD_IP4_OPTION_SSRR)
            return false;
        if (at + 1 >= len || options[at + 1] < 2)
            return false;
        at += options[at + 1];
    }
    return at <= len;
}

static void deliver(const struct gd_packet *packet, uint64_t now)
{
    struct gd_stack *stack = packet->netif->stack;

    switch (packet->proto) {
    case IPPROTO_TCP:
        gd_tcp_input(stack, packet, now);
        return;
    case IPPROTO_UDP:
        gd_udp_input(stack, packet, now);
        return;
    case IPPROTO_IGMP:
        gd_igmp_input(packet, now);
        return;
    case IPPROTO_ICMP:
        gd_icmp4_input(stack, packet, now);
        return;
    default:
        gd_count(&stack->stats, GD_STAT_ip4_drop_protocol);
        gd_icmp_unreachable(stack, packet, GD_UNREACH_PROTOCOL, now);
    }
}

/* True: it was the last to come, and packet is the whole datagram. */
static bool join_fragment(struct gd_packet *packet, uint16_t field, uint64_t now)
{
    struct gd_fragment fragment = {.id = gd_get16(packet->ip + 4),
                                   .offset = (field & GD_IP4_OFFSET) * 8u,
                                   .more = (field & GD_IP4_MF) != 0};

    return gd_reassemble(packet->netif->stack, packet, &fragment, now);
}

void gd_ip4_input(struct gd_netif *netif, const uint8_t *data, uint32_t len, uint32_t rx_flags, bool to_group,
                  uint64_t now)
{
    struct gd_stats *stats = &netif->stack->stats;
    struct gd_packet packet;
    struct gd_ip4 ip;

    gd_count(stats, GD_STAT_ip4_in);
    if (!gd_ip4_parse(data, len, &ip) || ip.total_len > len) {
        gd_count(stats, GD_STAT_ip4_drop_malformed);
        return;
    }
    if (rx_flags & GD_RX_IP_CSUM_BAD ||
        ((rx_flags & GD_RX_IP_CSUM_OK) == 0 && gd_checksum_finish(gd_checksum_add(0, data, ip.header_len)) != 0)) {
        gd_count(stats, GD_STAT_ip4_drop_checksum);
        return;
    }
    if (!source_is_sane(netif, &ip)) {
        gd_count(stats, GD_STAT_ip4_drop_source);
        return;
    }
    if (!destination_is_ours(netif, &ip.dst, &to_group)) {
        gd_count(stats, GD_STAT_ip4_drop_not_ours);
        return;
    }
    if (ip.header_len > GD_IP4_HEADER &&
        !options_are_sane(data + GD_IP4_HEADER, ip.header_len - GD_IP4_HEADER)) {
        gd_count(stats, GD_STAT_ip4_drop_options);
        return;
    }
    packet = (struct gd_packet){.netif = netif,
                                .src = ip.src,
                                .dst = ip.dst,
                                .ip = data,
                                .ip_len = ip.header_len,
                                .l4 = data + ip.header_len,
                                .l4_len = ip.total_len - ip.header_len,
                                .proto = ip.proto,
                                .ttl = ip.ttl,
                                .tos = ip.tos,
                                .l4_csum_ok = (rx_flags & GD_RX_L4_CSUM_OK) != 0 && !netif->csum_lies,
                                .l4_csum_doubt = (rx_flags & GD_RX_L4_CSUM_DOUBT) != 0,
                                .to_group = to_group};
    if (ip.fragment & (GD_IP4_MF | GD_IP4_OFFSET) && !join_fragment(&packet, ip.fragment, now))
        return;
    deliver(&packet, now);
}

void gd_ip4_header(struct gd_stack *stack, struct gd_frame *frame, const struct gd_ip_fields *fields,
                   uint32_t total_len, bool checksum)
{
    uint8_t *data = frame->data + GD_ETHER_HEADER;
    struct gd_ip4 ip = {.total_len = total_len,
                        .fragment = fields->df ? GD_IP4_DF : 0,
                        .tos = fields->tos,
                        .ttl = (uint8_t)(fields->ttl < 0 ? GD_TTL : fields->ttl),
                        .proto = fields->proto,
                        .src = *fields->src,
                        .dst = *fields->dst};
    /* Needed only where a router may fragment (RFC 6864 4.1), and then not to be foretold (RFC 7739's reasons). */
    uint16_t id = fields->df ? 0 : (uint16_t)gd_random_next(&stack->random);

    gd_ip4_write(data, &ip, id);
    if (checksum)
        gd_put16(data + 10, gd_checksum_finish(gd_checksum_add(0, data, GD_IP4_HEADER)));
}
