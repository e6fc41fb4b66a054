/* Packets out, of either family: path, and the frame from the transport's bytes to the port's queue.
 * Called by tcp/, sock/, net/icmp4.c, net/config.c; calls net/route.c, net/neighbour.c, net/ip4.c, net/ip6.c,
 * net/ether.c.
 *
 *     gd_ip_begin ──► the caller writes at out.l4 ──► gd_ip_end │ gd_ip_cancel
 *     (nothing else may be resolved in between: out.dst->neigh must stay what it is)
 *
 * A packet to an address of our own leaves by netifs[0], the loopback, whatever interface owns the address.
 */
#include "../stack.h"
#include "../util/checksum.h"
#include "../wire/ether.h"
#include "../wire/ip4.h"

#include <errno.h>
#include <netinet/in.h>

#define LEN_MAX 65535u /* of IPv4's total and IPv6's payload length; no jumbograms */
#define TCP_CHECKSUM_AT 16
#define UDP_CHECKSUM_AT 6

static struct gd_netif *loopback(const struct gd_stack *stack)
{
    return stack->netifs[0];
}

struct gd_netif *gd_ip_local(struct gd_stack *stack, const struct gd_addr *addr)
{
    if (gd_addr_is_loopback(addr))
        return loopback(stack);
    for (int i = 0; i < stack->netif_end; i++) {
        struct gd_netif *netif = stack->netifs[i];

        for (int j = 0; netif && j < netif->naddrs; j++)
            if (gd_addr_eq(&netif->addrs[j].addr, addr) && !netif->addrs[j].tentative)
                return netif;
    }
    return NULL;
}

/* For 255.255.255.255, groups and links where nothing says which interface: the first that has an address. */
static struct gd_netif *first_with_address(const struct gd_stack *stack, const struct gd_addr *to)
{
    for (int i = 1; i < stack->netif_end; i++)
        if (stack->netifs[i] && gd_ip_own(stack->netifs[i], to))
            return stack->netifs[i];
    return NULL;
}

/* By an interface that the socket is bound to. IPv4 without a route there: Linux takes it to be on that link. */
static int path_by(struct gd_stack *stack, const struct gd_addr *to, struct gd_netif *netif, bool group,
                   struct gd_addr *next_hop)
{
    const struct gd_route *route = gd_route_find(stack, to, netif);

    if (gd_addr_is_scoped(to))
        return gd_addr_scope(to) == 0 || gd_addr_scope(to) == netif->index ? 0 : -EINVAL;
    if (route && route->via && !group)
        *next_hop = route->gateway;
    return route || group || gd_addr_is_v4(to) ? 0 : -ENETUNREACH;
}

int gd_ip_path(struct gd_stack *stack, const struct gd_addr *to, int only, struct gd_netif **netif,
               struct gd_addr *next_hop)
{
    bool group = gd_addr_is_multicast(to) || (gd_addr_is_v4(to) && gd_addr_u32(to) == INADDR_BROADCAST);
    const struct gd_netif *owner = gd_ip_local(stack, to);
    const struct gd_route *route;

    *next_hop = *to;
    *netif = only ? gd_netif_find(stack, only) : NULL;
    if (only && !*netif) /* gone; as Linux says */
        return gd_addr_is_v4(to) ? -ENODEV : -ENETUNREACH;
    if (owner && (!only || owner == *netif || *netif == loopback(stack))) {
        *netif = loopback(stack);
        return 0;
    }
    if (only)
        return path_by(stack, to, *netif, group, next_hop);
    if (gd_addr_is_scoped(to)) { /* never by a router (RFC 4291 2.5.6) */
        int index = gd_addr_scope(to);

        *netif = index ? gd_netif_find(stack, index) : first_with_address(stack, to);
        return *netif ? 0 : -ENETUNREACH;
    }
    route = gd_route_find(stack, to, NULL);
    *netif = route ? route->netif : group ? first_with_address(stack, to) : NULL;
    if (route && route->via && !group)
        *next_hop = route->gateway;
    return *netif ? 0 : -ENETUNREACH;
}

int gd_dst_by(struct gd_dst *dst, struct gd_netif *netif, const struct gd_addr *next_hop)
{
    struct gd_stack *stack = netif->stack;
    uint32_t told = gd_addr_is_v4(next_hop) ? netif->mtu4 : netif->nd.mtu;

    dst->neigh = NULL;
    if ((netif->port->caps & GD_CAP_LOOPBACK) == 0) {
        dst->neigh = gd_neigh_get(stack, netif, next_hop);
        if (!dst->neigh)
            return -ENOBUFS;
    }
    dst->netif = netif;
    dst->mtu = told && told < netif->port->mtu ? told : netif->port->mtu;
    dst->label = 0;
    dst->generation = stack->generation; /* which making a neighbour may have moved */
    return 0;
}

int gd_dst_resolve(struct gd_stack *stack, struct gd_dst *dst, const struct gd_addr *to)
{
    struct gd_netif *netif;
    struct gd_addr next_hop;
    int rc;

    if (dst->generation == stack->generation)
        return 0;
    rc = gd_ip_path(stack, to, dst->only, &netif, &next_hop);
    if (rc == 0 && dst->direct && !gd_addr_eq(to, &next_hop))
        rc = -ENETUNREACH;
    return rc < 0 ? rc : gd_dst_by(dst, netif, &next_hop);
}

uint64_t gd_ip_pseudo(const struct gd_addr *src, const struct gd_addr *dst, uint8_t proto, uint32_t l4_len)
{
    uint64_t sum = (uint64_t)proto + l4_len;
    struct gd_addr from, to;

    if (gd_addr_is_v4(dst))
        return gd_checksum_add(gd_checksum_add(sum, src->b + 12, 4), dst->b + 12, 4);
    from = gd_addr_on(src, 0); /* as they are on the wire */
    to = gd_addr_on(dst, 0);
    return gd_checksum_add(gd_checksum_add(sum, from.b, sizeof from.b), to.b, sizeof to.b);
}

int gd_ip_resolve(struct gd_stack *stack, struct gd_dst *dst, const struct gd_ip_fields *fields)
{
    bool known = dst->generation == stack->generation;
    int rc = gd_dst_resolve(stack, dst, fields->dst);

    if (rc < 0)
        return rc;
    /* Linux asks once a route look-up too: what comes from an address that is ours no more stays here. */
    if (!known && !gd_addr_is_any(fields->src) && !gd_ip_local(stack, fields->src)) {
        dst->generation = 0;
        return -ENETUNREACH;
    }
    return 0;
}

int gd_ip_begin(struct gd_stack *stack, struct gd_dst *dst, const struct gd_ip_fields *fields, struct gd_out *out)
{
    uint32_t longest, header = gd_ip_header_len(fields->dst);
    int rc = gd_ip_resolve(stack, dst, fields);

    if (rc < 0)
        return rc;
    if (dst->netif->ntx == GD_TX_QUEUE)
        return -ENOBUFS;
    out->frame = gd_netif_alloc(dst->netif);
    if (!out->frame)
        return -ENOBUFS;
    longest = out->frame->room - GD_ETHER_HEADER;
    if (longest > dst->mtu)
        longest = dst->mtu;
    if (longest > LEN_MAX)
        longest = LEN_MAX;
    out->dst = dst;
    out->l4 = out->frame->data + GD_ETHER_HEADER + header;
    out->room = longest - header;
    return 0;
}

void gd_checksum_is_wrong(const struct gd_packet *packet)
{
    if (!packet->l4_csum_doubt)
        return;
    gd_count(&packet->netif->stack->stats, GD_STAT_eth_checksum_lies);
    packet->netif->csum_lies = true;
}

/* Left to the port where it can, to nobody on the loopback. Other protocols bring their own checksum. */
static void transport_checksum(const struct gd_ip_fields *fields, struct gd_out *out, uint32_t l4_len)
{
    bool tcp = fields->proto == IPPROTO_TCP;
    uint8_t *field = out->l4 + (tcp ? TCP_CHECKSUM_AT : UDP_CHECKSUM_AT);
    uint32_t caps = out->dst->netif->port->caps;
    uint16_t checksum;
    uint64_t sum;

    if (caps & GD_CAP_LOOPBACK || fields->no_check || (!tcp && fields->proto != IPPROTO_UDP))
        return;
    sum = gd_ip_pseudo(fields->src, fields->dst, fields->proto, l4_len);
    if (caps & GD_CAP_TX_L4_CSUM) {
        gd_put16(field, gd_checksum_fold(sum));
        out->frame->flags |= tcp ? GD_TX_TCP_CSUM : GD_TX_UDP_CSUM;
        return;
    }
    checksum = gd_checksum_finish(gd_checksum_add(sum, out->l4, l4_len));
    gd_put16(field, checksum == 0 && !tcp ? 0xffff : checksum); /* 0 would say "none" (RFC 768) */
}

static void network_header(struct gd_stack *stack, const struct gd_ip_fields *fields, struct gd_out *out,
                           uint32_t l4_len)
{
    struct gd_frame *frame = out->frame;
    uint32_t caps = out->dst->netif->port->caps;

    if (!gd_addr_is_v4(fields->dst)) {
        frame->flags |= GD_TX_IPV6;
        gd_ip6_header(out->dst->netif, frame, fields, l4_len, gd_ip6_label(stack, out->dst, fields, out->l4));
        gd_count(&stack->stats, GD_STAT_ip6_out);
        return;
    }
    if (caps & GD_CAP_TX_IP_CSUM)
        frame->flags |= GD_TX_IP_CSUM;
    gd_ip4_header(stack, frame, fields, GD_IP4_HEADER + l4_len, (caps & (GD_CAP_TX_IP_CSUM | GD_CAP_LOOPBACK)) == 0);
    gd_count(&stack->stats, GD_STAT_ip4_out);
}

void gd_ip_end(struct gd_stack *stack, const struct gd_ip_fields *fields, struct gd_out *out, uint32_t l4_len)
{
    struct gd_netif *netif = out->dst->netif;
    struct gd_frame *frame = out->frame;
    uint32_t header = gd_ip_header_len(fields->dst);

    frame->flags = 0;
    frame->len = GD_ETHER_HEADER + header + l4_len;
    frame->l2_len = GD_ETHER_HEADER;
    frame->l3_len = (uint16_t)header;
    frame->l4_len = fields->proto == IPPROTO_TCP ? (uint16_t)((out->l4[12] >> 4) * 4) : 8;
    transport_checksum(fields, out, l4_len);
    network_header(stack, fields, out, l4_len);
    if (out->dst->neigh) {
        gd_neigh_output(stack, out->dst->neigh, frame, stack->now);
        return;
    }
    gd_ether_write(frame->data, netif->port->mac, netif->port->mac,
                   gd_addr_is_v4(fields->dst) ? GD_ETHER_IP4 : GD_ETHER_IP6);
    gd_netif_queue(netif, frame);
}

void gd_ip_cancel(struct gd_out *out)
{
    gd_netif_give(out->dst->netif, out->frame);
}
