/* What a DHCP lease does to its interface: the address, the routes, the MTU; and what it tells the caller.
 * Called by net/dhcp.c and Python through api.cdef.h; calls net/config.c, net/route.c.
 */
#include "../stack.h"
#include "dhcp.h"

#include <errno.h>

static void add_routes(struct gd_netif *netif, const struct gd_dhcp_lease *lease)
{
    for (uint32_t i = 0; i < lease->nroutes; i++) {
        const struct gd_dhcp_route *way = &lease->routes[i];
        struct gd_route route = {.prefix = way->prefix,
                                 .bits = (uint8_t)(96 + way->bits),
                                 .origin = GD_ROUTE_DHCP,
                                 .via = !gd_addr_is_any(&way->gateway),
                                 .gateway = way->gateway,
                                 .netif = netif};

        if (gd_addr_eq(&way->gateway, &lease->address)) /* we are nobody's router */
            continue;
        if (gd_route_add(netif->stack, &route) < 0)
            gd_count(&netif->stack->stats, GD_STAT_dhcp_drop_route);
    }
}

/* Everything but the times, which a renewal is there to change. */
static bool is_same(const struct gd_dhcp_lease *a, const struct gd_dhcp_lease *b)
{
    struct gd_dhcp_lease other = *b;

    other.seconds = a->seconds;
    other.renew = a->renew;
    other.rebind = a->rebind;
    return memcmp(a, &other, sizeof other) == 0;
}

static void remove_address(struct gd_dhcp *dhcp)
{
    struct gd_netif *netif = dhcp->netif;

    if (!dhcp->borrowed)
        gd_stack_del_address(netif->stack, netif->index, dhcp->lease.address.b);
}

static bool has_address(const struct gd_dhcp *dhcp, const struct gd_dhcp_lease *lease)
{
    return dhcp->bound && gd_addr_eq(&dhcp->lease.address, &lease->address) &&
           dhcp->lease.prefix_length == lease->prefix_length;
}

int gd_dhcp_apply(struct gd_dhcp *dhcp, const struct gd_dhcp_lease *lease)
{
    struct gd_netif *netif = dhcp->netif;
    struct gd_stack *stack = netif->stack;
    int rc = 0;

    if (dhcp->bound && is_same(&dhcp->lease, lease)) { /* flows keep their routes */
        dhcp->lease = *lease;
        return 0;
    }
    if (!has_address(dhcp, lease)) {
        if (dhcp->bound)
            remove_address(dhcp);
        rc = gd_stack_add_address(stack, netif->index, lease->address.b, lease->prefix_length);
        dhcp->borrowed = rc == -EEXIST;
    }
    gd_route_withdraw(stack, netif, GD_ROUTE_DHCP);
    dhcp->bound = rc == 0 || rc == -EEXIST;
    dhcp->seen.changes++;
    netif->mtu4 = dhcp->bound ? lease->mtu : 0;
    if (!dhcp->bound)
        return rc;
    dhcp->lease = *lease;
    add_routes(netif, lease);
    gd_net_changed(stack);
    gd_count(&stack->stats, GD_STAT_dhcp_leases);
    return 0;
}

void gd_dhcp_drop(struct gd_dhcp *dhcp)
{
    if (!dhcp->bound)
        return;
    remove_address(dhcp);
    gd_route_withdraw(dhcp->netif->stack, dhcp->netif, GD_ROUTE_DHCP);
    dhcp->netif->mtu4 = 0;
    dhcp->bound = dhcp->borrowed = false;
    dhcp->seen.changes++;
    gd_net_changed(dhcp->netif->stack);
}

static uint32_t seconds_left(const struct gd_dhcp *dhcp, uint64_t now)
{
    if (dhcp->ends_at == GD_NEVER)
        return GD_DHCP_FOREVER;
    return dhcp->ends_at > now ? (uint32_t)((dhcp->ends_at - now) / 1000000000u) : 0;
}

int gd_dhcp_status(struct gd_stack *stack, int ifindex, struct gd_dhcp_status *out)
{
    const struct gd_netif *netif = gd_netif_find(stack, ifindex);
    const struct gd_dhcp_lease *lease;

    if (!netif)
        return -ENODEV;
    memset(out, 0, sizeof *out);
    if (!netif->dhcp)
        return 0;
    *out = netif->dhcp->seen;
    out->state = netif->dhcp->state;
    if (!netif->dhcp->bound)
        return 0;
    lease = &netif->dhcp->lease;
    memcpy(out->address, lease->address.b, 16);
    memcpy(out->server, lease->server.b, 16);
    out->prefix_length = lease->prefix_length;
    out->mtu = lease->mtu;
    out->seconds_left = seconds_left(netif->dhcp, stack->now);
    memcpy(out->domain, lease->domain, sizeof lease->domain);
    out->dns_count = lease->ndns;
    for (uint32_t i = 0; i < lease->ndns; i++)
        memcpy(out->dns + i * 16, lease->dns[i].b, 16);
    for (uint32_t i = 0; i < lease->nroutes; i++)
        if (lease->routes[i].bits == 0)
            memcpy(out->gateway, lease->routes[i].gateway.b, 16);
    return 0;
}
