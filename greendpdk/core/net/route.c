/* The route table: a sorted array, the longest prefix first, then by origin. A host's routes are few (a default, one a
 * subnet, one a DHCP or RA entry: GD_ROUTES, 64, bounds them), and a flow looks up once a generation, not once a
 * packet: a walk over one array costs less than a tree's pointers would, and the order shows which route wins.
 * Called by net/ip.c, net/config.c, net/dhcp_lease.c, stack.c; calls nothing.
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

const struct gd_route *gd_route_find(const struct gd_stack *stack, const struct gd_addr *to,
                                     const struct gd_netif *netif)
{
    for (int i = 0; i < stack->nroutes; i++)
        if ((!netif || stack->routes[i].netif == netif) && matches(&stack->routes[i], to))
            return &stack->routes[i];
    return NULL;
}

static bool same(const struct gd_route *a, const struct gd_route *b)
{
    return a->bits == b->bits && a->origin == b->origin && a->netif == b->netif && gd_addr_eq(&a->prefix, &b->prefix);
}

/* The host's bits cleared. */
static struct gd_route masked(const struct gd_route *route)
{
    struct gd_route result = *route;

    for (uint32_t bit = result.bits; bit < 128; bit++)
        result.prefix.b[bit / 8] &= (uint8_t) ~(0x80u >> bit % 8);
    return result;
}

int gd_route_add(struct gd_stack *stack, const struct gd_route *route)
{
    struct gd_route added = masked(route);
    int at = 0;

    for (int i = 0; i < stack->nroutes; i++) {
        if (!same(&stack->routes[i], &added))
            continue;
        stack->routes[i] = added; /* the same again, maybe by another gateway */
        gd_net_changed(stack);
        return 0;
    }
    if (stack->nroutes == GD_ROUTES)
        return -ENOSPC;
    while (at < stack->nroutes && (stack->routes[at].bits > added.bits ||
                                   (stack->routes[at].bits == added.bits && stack->routes[at].origin <= added.origin)))
        at++; /* the first of equals wins, as on Linux without metrics */
    memmove(stack->routes + at + 1, stack->routes + at, (size_t)(stack->nroutes - at) * sizeof added);
    stack->routes[at] = added;
    stack->nroutes++;
    gd_net_changed(stack);
    return 0;
}

/* Keeps those that wanted() says yes of. */
static void filter(struct gd_stack *stack, const struct gd_route *like,
                   bool wanted(const struct gd_route *route, const struct gd_route *like))
{
    int kept = 0, before = stack->nroutes;

    for (int i = 0; i < before; i++)
        if (wanted(&stack->routes[i], like))
            stack->routes[kept++] = stack->routes[i];
    stack->nroutes = kept;
    if (kept < before)
        gd_net_changed(stack);
}

static bool differs(const struct gd_route *route, const struct gd_route *like)
{
    return !same(route, like);
}

static bool is_elsewhere(const struct gd_route *route, const struct gd_route *like)
{
    return route->netif != like->netif;
}

static bool has_other_origin(const struct gd_route *route, const struct gd_route *like)
{
    return route->netif != like->netif || route->origin != like->origin;
}

int gd_route_set_source(struct gd_stack *stack, const struct gd_route *route)
{
    struct gd_route wanted = masked(route);

    for (int i = 0; i < stack->nroutes; i++) {
        if (!same(&stack->routes[i], &wanted))
            continue;
        stack->routes[i].source = wanted.source;
        gd_net_changed(stack);
        return 0;
    }
    return -ESRCH;
}

int gd_route_remove(struct gd_stack *stack, const struct gd_route *route)
{
    struct gd_route gone = masked(route);
    int before = stack->nroutes;

    filter(stack, &gone, differs);
    return stack->nroutes < before ? 0 : -ESRCH;
}

void gd_route_withdraw(struct gd_stack *stack, struct gd_netif *netif, enum gd_route_origin origin)
{
    struct gd_route like = {.netif = netif, .origin = (uint8_t)origin};

    filter(stack, &like, has_other_origin);
}

void gd_route_forget(struct gd_stack *stack, struct gd_netif *netif)
{
    struct gd_route like = {.netif = netif};

    filter(stack, &like, is_elsewhere);
}
