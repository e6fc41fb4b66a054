/* The route table: a sorted array, the longest prefix first. Looked up once a flow and generation, so its few entries
 * need no tree. Called by net/ip.c, net/config.c, stack.c; calls nothing.
 */
#include "../stack.h"

#include <errno.h>

bool gd_ip_within(const struct gd_addr *addr, const struct gd_addr *prefix, uint32_t bits)
{
    uint32_t bytes = bits / 8, rest = bits % 8;

    if (memcmp(addr->b, prefix->b, bytes) != 0)
        return false;
    return rest == 0 || ((addr->b[bytes] ^ prefix->b[bytes]) & (0xff00u >> rest & 0xffu)) == 0;
}

/* ::/0 would hold every v4-mapped address too: a route is for its own family. */
static bool matches(const struct gd_route *route, const struct gd_addr *to)
{
    return gd_addr_is_v4(&route->prefix) == gd_addr_is_v4(to) && gd_ip_within(to, &route->prefix, route->bits);
}

const struct gd_route *gd_route_find(const struct gd_stack *stack, const struct gd_addr *to)
{
    for (int i = 0; i < stack->nroutes; i++)
        if (matches(&stack->routes[i], to))
            return &stack->routes[i];
    return NULL;
}

static bool same(const struct gd_route *a, const struct gd_route *b)
{
    return a->bits == b->bits && a->netif == b->netif && gd_addr_eq(&a->prefix, &b->prefix);
}

int gd_route_add(struct gd_stack *stack, const struct gd_route *route)
{
    struct gd_route added = *route;
    int at = 0;

    for (uint32_t bit = added.bits; bit < 128; bit++)
        added.prefix.b[bit / 8] &= (uint8_t) ~(0x80u >> bit % 8);
    for (int i = 0; i < stack->nroutes; i++) {
        if (!same(&stack->routes[i], &added))
            continue;
        stack->routes[i] = added; /* the same again, maybe by another gateway */
        gd_net_changed(stack);
        return 0;
    }
    if (stack->nroutes == GD_ROUTES)
        return -ENOSPC;
    while (at < stack->nroutes && stack->routes[at].bits >= added.bits)
        at++; /* the first of equals wins, as on Linux without metrics */
    memmove(stack->routes + at + 1, stack->routes + at, (size_t)(stack->nroutes - at) * sizeof added);
    stack->routes[at] = added;
    stack->nroutes++;
    gd_net_changed(stack);
    return 0;
}

void gd_route_forget(struct gd_stack *stack, const struct gd_netif *netif)
{
    int kept = 0;

    for (int i = 0; i < stack->nroutes; i++)
        if (stack->routes[i].netif != netif)
            stack->routes[kept++] = stack->routes[i];
    stack->nroutes = kept;
    gd_net_changed(stack);
}
