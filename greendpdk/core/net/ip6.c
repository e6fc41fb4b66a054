/* IPv6 in, and its header out (RFC 8200).
 * Called by net/ether.c, net/ip.c; calls net/ip6_ext.c, net/group.c.
 *
 *     lengths ─► source ─► destination ─► extension headers (ip6_ext.c) ─► ICMPv6 │ UDP │ TCP
 */
#include "../wire/ip6.h"
#include "../stack.h"
#include "../wire/ether.h"

#include <netinet/in.h>

#define ND_HOPS 255 /* what a router cannot have forwarded (RFC 4861 3.1) */

/* What no packet on a wire may say of itself: v4-mapped addresses are an IPv4 host's, and would pass for one here; and
 * an address of link scope has no room for an interface yet. */
static bool is_wire_address(const struct gd_addr *addr)
{
    if (gd_addr_is_v4(addr))
        return false;
    return !gd_addr_is_scoped(addr) || gd_addr_scope(addr) == 0;
}

/* RFC 4291 2.5.2, 2.5.3, 2.7. From an address of ours only who claims it for himself may speak: nd.c sees to him. */
static bool source_is_sane(const struct gd_netif *netif, const struct gd_ip6 *ip, const struct gd_addr *src)
{
    if (netif->port->caps & GD_CAP_LOOPBACK)
        return true;
    if (!is_wire_address(&ip->src) || gd_addr_is_multicast(src) || gd_addr_is_loopback(src))
        return false;
    return !gd_ip_local(netif->stack, src) || (ip->next == IPPROTO_ICMPV6 && ip->hops == ND_HOPS);
}

/* ff02::1 is everybody's (RFC 4291 2.8); the others are joined. What does not leave an interface comes from no wire. */
static bool is_our_group(struct gd_netif *netif, const struct gd_addr *dst)
{
    static const struct gd_addr all_nodes = {.b = {0xff, 0x02, [15] = 1}};

    return (dst->b[1] & 15) > 1 && (gd_addr_eq(dst, &all_nodes) || gd_group_member(netif, dst));
}

/* The weak end system model, as for IPv4; but a link's address is ours on that link only, by the interface in it. */
static bool destination_is_ours(struct gd_netif *netif, const struct gd_ip6 *ip, const struct gd_addr *dst,
                                bool *to_group)
{
    if (netif->port->caps & GD_CAP_LOOPBACK)
        return gd_ip_local(netif->stack, dst) || gd_addr_is_multicast(dst);
    if (!is_wire_address(&ip->dst) || gd_addr_is_loopback(dst))
        return false;
    if (!gd_addr_is_multicast(dst))
        return gd_ip_local(netif->stack, dst) != NULL;
    *to_group = true;
    return is_our_group(netif, dst);
}

void gd_ip6_input(struct gd_netif *netif, const uint8_t *data, uint32_t len, uint32_t rx_flags, bool to_group,
                  uint64_t now)
{
    struct gd_stats *stats = &netif->stack->stats;
    struct gd_packet packet;
    struct gd_addr src, dst;
    struct gd_ip6 ip;

    gd_count(stats, GD_STAT_ip6_in);
    if (!gd_ip6_parse(data, len, &ip) || ip.payload_len > len - GD_IP6_HEADER) {
        gd_count(stats, GD_STAT_ip6_drop_malformed);
        return;
    }
    src = gd_ip6_scoped(netif, &ip.src);
    dst = gd_addr_is_multicast(&ip.dst) ? ip.dst : gd_ip6_scoped(netif, &ip.dst);
    if (!source_is_sane(netif, &ip, &src)) {
        gd_count(stats, GD_STAT_ip6_drop_source);
        return;
    }
    if (!destination_is_ours(netif, &ip, &dst, &to_group)) {
        gd_count(stats, GD_STAT_ip6_drop_not_ours);
        return;
    }
    packet = (struct gd_packet){.netif = netif,
                                .src = src,
                                .dst = dst,
                                .ip = data,
                                .ip_len = GD_IP6_HEADER,
                                .l4 = data + GD_IP6_HEADER,
                                .l4_len = ip.payload_len,
                                .next_at = GD_IP6_NEXT_AT,
                                .proto = ip.next,
                                .ttl = ip.hops,
                                .tos = ip.tclass,
                                .l4_csum_ok = (rx_flags & GD_RX_L4_CSUM_OK) != 0 && !netif->csum_lies,
                                .l4_csum_doubt = (rx_flags & GD_RX_L4_CSUM_DOUBT) != 0,
                                .to_group = to_group};
    gd_ip6_deliver(netif->stack, &packet, now);
}

/* RFC 6437 3: the same for all packets of a flow, from a hash that says nothing of other flows; never 0. */
uint32_t gd_ip6_label(struct gd_stack *stack, struct gd_dst *dst, const struct gd_ip_fields *fields, const uint8_t *l4)
{
    bool has_ports = fields->proto == IPPROTO_TCP || fields->proto == IPPROTO_UDP;
    uint32_t ports = has_ports ? gd_get32(l4) : 0;
    uint8_t key[37];

    if (dst->no_label)
        return 0;
    if (dst->label != 0 && dst->label_ports == ports)
        return dst->label;
    memcpy(key, fields->src->b, 16);
    memcpy(key + 16, fields->dst->b, 16);
    gd_put32(key + 32, ports);
    key[36] = fields->proto;
    dst->label_ports = ports;
    dst->label = (uint32_t)(gd_siphash(&stack->label_key, key, sizeof key) % GD_IP6_LABEL) + 1;
    return dst->label;
}

void gd_ip6_header(const struct gd_netif *netif, struct gd_frame *frame, const struct gd_ip_fields *fields,
                   uint32_t payload_len, uint32_t label)
{
    uint8_t hops = netif->nd.hops ? netif->nd.hops : GD_TTL; /* as the routers have it (RFC 4861 6.3.4) */
    bool wire = (netif->port->caps & GD_CAP_LOOPBACK) == 0; /* gd_ip6_scoped's other half */
    struct gd_ip6 ip = {.payload_len = payload_len,
                        .label = label,
                        .tclass = fields->tos,
                        .next = fields->proto,
                        .hops = fields->ttl < 0 ? hops : (uint8_t)fields->ttl,
                        .src = wire ? gd_addr_on(fields->src, 0) : *fields->src,
                        .dst = wire || gd_addr_is_multicast(fields->dst) ? gd_addr_on(fields->dst, 0) : *fields->dst};

    gd_ip6_write(frame->data + GD_ETHER_HEADER, &ip);
}
