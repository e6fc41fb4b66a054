/* Addresses, routes and static neighbours, as the caller of the stack sets them.
 * Called by _stack.py, testing/, stack.c; calls net/route.c, net/neighbour.c, net/arp.c.
 */
#include "../stack.h"
#include "../wire/ip6.h"
#include "neigh.h"

#include <errno.h>

#define NEIGH_BUCKETS 64
#define DEFEND_INTERVAL 10000000000ull /* RFC 5227 1.1 */
#define V4_BITS 96 /* of the 128 that stand before a v4-mapped address */

int gd_net_init(struct gd_stack *stack)
{
    gd_list_init(&stack->neigh_all);
    gd_list_init(&stack->neigh_asking);
    stack->generation = 1;
    return gd_table_init(&stack->neighs, NEIGH_BUCKETS);
}

void gd_net_free(struct gd_stack *stack)
{
    if (stack->neighs.buckets)
        gd_neigh_forget(stack, NULL);
    gd_table_free(&stack->neighs);
    gd_reassembly_free(stack);
    stack->nroutes = 0;
}

void gd_net_changed(struct gd_stack *stack)
{
    stack->generation++;
}

struct gd_netif *gd_netif_find(struct gd_stack *stack, int ifindex)
{
    struct gd_netif *netif = stack->netifs[gd_netif_slot(ifindex)];

    return netif && netif->index == ifindex ? netif : NULL;
}

struct gd_ifaddr *gd_netif_own(struct gd_netif *netif, const struct gd_addr *addr)
{
    for (int i = 0; i < netif->naddrs; i++)
        if (gd_addr_eq(&netif->addrs[i].addr, addr))
            return &netif->addrs[i];
    return NULL;
}

bool gd_ifaddr_defend(struct gd_ifaddr *own, uint64_t now)
{
    if (own->defended_at != 0 && now - own->defended_at < DEFEND_INTERVAL)
        return false;
    own->defended_at = now;
    return true;
}

static struct gd_addr addr_of(const uint8_t *sixteen)
{
    struct gd_addr addr;

    memcpy(addr.b, sixteen, sizeof addr.b);
    return addr;
}

static int longest_prefix(const struct gd_addr *addr)
{
    return gd_addr_is_v4(addr) ? 32 : 128;
}

/* Of the 128 that the address has. */
static uint8_t bits_of(const struct gd_addr *addr, int prefix_length)
{
    return (uint8_t)((gd_addr_is_v4(addr) ? V4_BITS : 0) + prefix_length);
}

/* One that a host may have. */
static int check_own(const struct gd_addr *addr, int prefix_length)
{
    if (prefix_length < 0 || prefix_length > longest_prefix(addr) || gd_addr_is_any(addr) ||
        gd_addr_is_multicast(addr) || gd_addr_is_loopback(addr) ||
        (gd_addr_is_v4(addr) && gd_addr_u32(addr) == UINT32_MAX))
        return -EINVAL;
    return 0;
}

/* The last address of a subnet is everybody's as long as we are in it, and may be one host's before and after: what its
 * neighbour entry says is of the other time. */
static void forget_broadcast(struct gd_netif *netif, const struct gd_ifaddr *own)
{
    struct gd_addr everybody = own->addr;
    struct gd_neigh *neigh;

    if (!gd_addr_is_v4(&own->addr))
        return;
    gd_put32(everybody.b + 12, gd_addr_u32(&own->addr) | (uint32_t)(UINT64_C(0xffffffff) >> own->prefix_length));
    neigh = gd_neigh_find(netif, &everybody);
    if (neigh && !neigh->pinned)
        gd_neigh_release(neigh);
}

/* With the address of the link that the first one of IPv6 brings (gd_nd_enable). */
static bool has_room(const struct gd_netif *netif, const struct gd_addr *own)
{
    bool first = !gd_addr_is_v4(own) && !gd_addr_is_link_local(own) && !netif->nd.on &&
                 (netif->port->caps & GD_CAP_LOOPBACK) == 0;

    return netif->naddrs + (first ? 2 : 1) <= GD_IFADDRS;
}

int gd_stack_add_address(struct gd_stack *stack, int ifindex, const uint8_t *addr, int prefix_length)
{
    struct gd_netif *netif = gd_netif_find(stack, ifindex);
    struct gd_ifaddr own = {.addr = addr_of(addr), .prefix_length = (uint8_t)prefix_length};
    struct gd_route route = {.prefix = own.addr, .bits = bits_of(&own.addr, prefix_length), .netif = netif};
    int rc = check_own(&own.addr, prefix_length);

    if (!netif)
        return -ENODEV;
    if (rc < 0)
        return rc;
    if (!gd_addr_is_v4(&own.addr) && netif->port->mtu < GD_IP6_MTU_MIN) /* RFC 8200 5 */
        return -EINVAL;
    own.addr = gd_addr_on(&own.addr, ifindex);
    for (int i = 0; i < netif->naddrs; i++)
        if (gd_addr_eq(&netif->addrs[i].addr, &own.addr))
            return -EEXIST;
    if (!has_room(netif, &own.addr))
        return -ENOSPC;
    /* A /32 or /128 has nobody else on its link; fe80::/10 needs no route, it is every link's own. */
    if (prefix_length < longest_prefix(&own.addr) && !gd_addr_is_link_local(&own.addr)) {
        route.origin = GD_ROUTE_LINK;
        rc = gd_route_add(stack, &route);
        if (rc < 0)
            return rc;
    }
    own.preferred_until = own.valid_until = GD_NEVER;
    netif->addrs[netif->naddrs++] = own;
    forget_broadcast(netif, &own);
    gd_net_changed(stack);
    if (gd_addr_is_v4(&own.addr)) {
        gd_arp_announce(netif, &own.addr);
        return 0;
    }
    rc = gd_nd_enable(netif, stack->now);
    gd_dad_start(netif, gd_netif_own(netif, &own.addr), stack->now);
    return rc;
}

/* The subnet's route goes unless another address of ours is in it. */
static void leave_subnet(struct gd_netif *netif, const struct gd_ifaddr *gone)
{
    struct gd_route route = {.prefix = gone->addr,
                             .bits = bits_of(&gone->addr, gone->prefix_length),
                             .origin = GD_ROUTE_LINK,
                             .netif = netif};

    for (int i = 0; i < netif->naddrs; i++)
        if (netif->addrs[i].prefix_length == gone->prefix_length &&
            gd_addr_is_v4(&netif->addrs[i].addr) == gd_addr_is_v4(&gone->addr) &&
            gd_ip_within(&netif->addrs[i].addr, &gone->addr, route.bits))
            return;
    gd_route_remove(netif->stack, &route);
    forget_broadcast(netif, gone);
}

int gd_stack_del_address(struct gd_stack *stack, int ifindex, const uint8_t *addr)
{
    struct gd_netif *netif = gd_netif_find(stack, ifindex);
    struct gd_addr own = addr_of(addr);

    if (!netif)
        return -ENODEV;
    own = gd_addr_on(&own, ifindex);
    for (int i = 0; i < netif->naddrs; i++) {
        struct gd_ifaddr gone = netif->addrs[i];

        if (!gd_addr_eq(&gone.addr, &own))
            continue;
        netif->naddrs--; /* the order stays: the first address of a subnet is the source */
        memmove(netif->addrs + i, netif->addrs + i + 1, (size_t)(netif->naddrs - i) * sizeof gone);
        leave_subnet(netif, &gone);
        gd_dad_forget(netif, &gone);
        gd_net_changed(stack);
        return 0;
    }
    return -EADDRNOTAVAIL;
}

int gd_stack_autoconf(struct gd_stack *stack, int ifindex)
{
    struct gd_netif *netif = gd_netif_find(stack, ifindex);

    return netif ? gd_nd_autoconf(netif, stack->now) : -ENODEV;
}

int gd_stack_address_state(struct gd_stack *stack, int ifindex, int at)
{
    const struct gd_netif *netif = gd_netif_find(stack, ifindex);
    const struct gd_ifaddr *own;

    if (!netif)
        return -ENODEV;
    if (at < 0 || at >= netif->naddrs)
        return -ENOENT;
    own = &netif->addrs[at];
    return (own->tentative && !own->duplicate ? GD_ADDRESS_TENTATIVE : 0) |
           (own->duplicate ? GD_ADDRESS_DUPLICATE : 0) | (own->deprecated ? GD_ADDRESS_DEPRECATED : 0) |
           (own->made ? GD_ADDRESS_MADE : 0);
}

int gd_stack_routers(struct gd_stack *stack, int ifindex)
{
    const struct gd_netif *netif = gd_netif_find(stack, ifindex);

    return netif ? netif->nd.nrouters : -ENODEV;
}

int gd_stack_nameserver(struct gd_stack *stack, int ifindex, int at, uint8_t *addr)
{
    const struct gd_netif *netif = gd_netif_find(stack, ifindex);

    if (!netif)
        return -ENODEV;
    if (at < 0 || at >= netif->nd.nservers)
        return -ENOENT;
    memcpy(addr, netif->nd.servers[at].addr.b, 16);
    return 0;
}

/* What tells a route by hand from the others. 0, -ENODEV, -EINVAL. */
static int name_route(struct gd_stack *stack, const uint8_t *prefix, int prefix_length, int ifindex,
                      struct gd_route *route)
{
    *route = (struct gd_route){.prefix = addr_of(prefix), .netif = gd_netif_find(stack, ifindex)};
    if (!route->netif)
        return -ENODEV;
    if (prefix_length < 0 || prefix_length > longest_prefix(&route->prefix))
        return -EINVAL;
    route->bits = bits_of(&route->prefix, prefix_length);
    return 0;
}

int gd_stack_route_source(struct gd_stack *stack, const uint8_t *prefix, int prefix_length, int ifindex,
                          const uint8_t *source)
{
    struct gd_route route;
    int rc = name_route(stack, prefix, prefix_length, ifindex, &route);

    if (rc < 0)
        return rc;
    route.source = addr_of(source);
    if (gd_addr_is_v4(&route.source) != gd_addr_is_v4(&route.prefix))
        return -EINVAL;
    return gd_route_set_source(stack, &route);
}

int gd_stack_del_route(struct gd_stack *stack, const uint8_t *prefix, int prefix_length, int ifindex)
{
    struct gd_route route;
    int rc = name_route(stack, prefix, prefix_length, ifindex, &route);

    return rc < 0 ? rc : gd_route_remove(stack, &route);
}

int gd_stack_address(struct gd_stack *stack, int ifindex, int at, uint8_t *addr, int *prefix_length)
{
    const struct gd_netif *netif = gd_netif_find(stack, ifindex);
    struct gd_addr own;

    if (!netif)
        return -ENODEV;
    if (at < 0 || at >= netif->naddrs)
        return -ENOENT;
    own = gd_addr_on(&netif->addrs[at].addr, 0);
    memcpy(addr, own.b, 16);
    *prefix_length = netif->addrs[at].prefix_length;
    return 0;
}

int gd_stack_add_route(struct gd_stack *stack, const uint8_t *prefix, int prefix_length, const uint8_t *gateway,
                       int ifindex)
{
    struct gd_route route = {.prefix = addr_of(prefix), .netif = gd_netif_find(stack, ifindex)};

    if (!route.netif)
        return -ENODEV;
    if (prefix_length < 0 || prefix_length > longest_prefix(&route.prefix) || gd_addr_is_link_local(&route.prefix))
        return -EINVAL;
    route.bits = bits_of(&route.prefix, prefix_length);
    if (gateway) {
        route.via = true;
        route.gateway = addr_of(gateway);
        route.gateway = gd_addr_on(&route.gateway, ifindex);
        if (check_own(&route.gateway, 32) < 0 || gd_ip_local(stack, &route.gateway) ||
            gd_addr_is_v4(&route.gateway) != gd_addr_is_v4(&route.prefix))
            return -EINVAL;
    }
    return gd_route_add(stack, &route);
}

int gd_stack_route(struct gd_stack *stack, const uint8_t *dst, uint8_t *src)
{
    struct gd_addr to = addr_of(dst), next_hop, from;
    struct gd_netif *netif;
    int rc = gd_ip_path(stack, &to, 0, &netif, &next_hop);

    if (rc == 0)
        rc = gd_ip_source(stack, &to, 0, &from);
    if (rc < 0)
        return rc;
    memcpy(src, from.b, sizeof from.b);
    return netif->index;
}

int gd_stack_is_local(struct gd_stack *stack, const uint8_t *addr)
{
    struct gd_addr own = addr_of(addr);

    return gd_ip_local(stack, &own) != NULL;
}

int gd_stack_set_neighbour(struct gd_stack *stack, int ifindex, const uint8_t *addr, const uint8_t *mac)
{
    struct gd_netif *netif = gd_netif_find(stack, ifindex);
    struct gd_addr neighbour = addr_of(addr);

    return netif ? gd_neigh_pin(netif, &neighbour, mac, stack->now) : -ENODEV;
}
