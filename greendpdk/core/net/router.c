/* Routers: asked for, listened to, chosen among (RFC 4861 6.3, RFC 4191 3.2, RFC 7559, RFC 8106).
 * Called by net/nd.c, net/dad.c (the timer, the first question), net/neighbour.c; calls net/route.c, net/slaac.c,
 * net/nd.c.
 *
 *     advertisement ─┬► hop limit, times, MTU of the interface
 *                    ├► default router ──► the route ::/0, by the best one that answers
 *                    ├► on-link prefix ──► a route
 *                    ├► prefix to make an address of (slaac.c)
 *                    └► name servers
 *
 * Only where the caller has asked for it (gd_stack_autoconf): who advertises is believed in all of this. What has a
 * place in the small tables keeps it until its time is over, so a flood of routers or prefixes does not push out the
 * real ones.
 */
#include "../stack.h"
#include "../wire/ether.h"
#include "../wire/icmp6.h"
#include "../wire/ip6.h"
#include "../wire/nd.h"
#include "neigh.h"

#define SECOND 1000000000ull
#define MS 1000000ull
#define HEADER 16u                   /* of an advertisement, up to the options */
#define SOLICIT_FIRST (4 * SECOND)   /* RTR_SOLICITATION_INTERVAL, doubled each time (RFC 7559 2) ... */
#define SOLICIT_MOST (3600 * SECOND) /* ... up to this */
#define PREFIX_LEN 32                /* of a prefix option, and its flags (RFC 4861 4.6.2) */
#define ON_LINK 0x80
#define AUTONOMOUS 0x40
/* A router may tell how long a neighbour is believed and waited for; beyond these it would only do harm. */
#define REACHABLE_LEAST 1000u
#define REACHABLE_MOST 3600000u /* MAX_REACHABLE_TIME's limit (RFC 4861 6.2.1) */
#define RETRANS_LEAST 100u
#define RETRANS_MOST 10000u

static void full(struct gd_netif *netif)
{
    gd_count(&netif->stack->stats, GD_STAT_nd_drop_table_full);
}

/* ---- default routers ---- */

static struct gd_nd_router *find(struct gd_nd *nd, const struct gd_addr *addr)
{
    for (int i = 0; i < nd->nrouters; i++)
        if (gd_addr_eq(&nd->routers[i].addr, addr))
            return &nd->routers[i];
    return NULL;
}

/* One that answers, then the preferred one, then the first (RFC 4191 3.2). NULL: none. */
static const struct gd_nd_router *best_of(const struct gd_nd *nd)
{
    const struct gd_nd_router *best = NULL;

    for (int i = 0; i < nd->nrouters; i++) {
        const struct gd_nd_router *next = &nd->routers[i];

        if (!best || (best->silent && !next->silent) ||
            (best->silent == next->silent && next->preference > best->preference))
            best = next;
    }
    return best;
}

/* The default route follows the best router; it is left alone, and every flow's path with it, while that is the same.
 */
static void choose(struct gd_netif *netif)
{
    struct gd_nd *nd = &netif->nd;
    const struct gd_nd_router *best = best_of(nd);
    struct gd_route route = {.origin = GD_ROUTE_RA, .via = true, .netif = netif};

    if (best ? nd->has_gateway && gd_addr_eq(&nd->gateway, &best->addr) : !nd->has_gateway)
        return;
    nd->has_gateway = best != NULL;
    if (!best) {
        gd_route_remove(netif->stack, &route);
        return;
    }
    nd->gateway = route.gateway = best->addr;
    if (gd_route_add(netif->stack, &route) < 0) {
        nd->has_gateway = false;
        full(netif);
    }
}

static void remove_router(struct gd_nd *nd, const struct gd_nd_router *router)
{
    int at = (int)(router - nd->routers);

    nd->nrouters--;
    memmove(nd->routers + at, nd->routers + at + 1, (size_t)(nd->nrouters - at) * sizeof *router);
}

static void take_router(struct gd_netif *netif, const struct gd_addr *addr, uint32_t lifetime_s, uint8_t flags,
                        uint64_t now)
{
    static const int8_t preferences[4] = {0, 1, 0, -1}; /* RFC 4191 2.1; the reserved one is medium */
    struct gd_nd *nd = &netif->nd;
    struct gd_nd_router *router = find(nd, addr);

    if (lifetime_s == 0) {
        if (router)
            remove_router(nd, router);
        choose(netif);
        return;
    }
    if (!router) {
        if (nd->nrouters == GD_ND_ROUTERS) {
            full(netif);
            return;
        }
        router = &nd->routers[nd->nrouters++];
        router->addr = *addr;
    }
    router->until = now + lifetime_s * SECOND;
    router->preference = preferences[flags >> 3 & 3];
    router->silent = false;
    nd->solicit_at = GD_NEVER; /* RFC 7559 2.1: one router is enough to stop asking */
    choose(netif);
}

void gd_router_heard(struct gd_netif *netif, const struct gd_addr *addr)
{
    struct gd_nd_router *router = find(&netif->nd, addr);

    if (!router || !router->silent)
        return;
    router->silent = false;
    choose(netif);
}

/* To the end of the list, so that of several silent ones each gets its turn (RFC 4861 6.3.6). */
void gd_router_silent(struct gd_netif *netif, const struct gd_addr *addr)
{
    struct gd_nd *nd = &netif->nd;
    struct gd_nd_router *router = find(nd, addr), last;

    if (!router)
        return;
    last = *router;
    last.silent = true;
    remove_router(nd, router);
    nd->routers[nd->nrouters++] = last;
    choose(netif);
}

void gd_router_resigned(struct gd_netif *netif, const struct gd_addr *addr)
{
    struct gd_nd_router *router = find(&netif->nd, addr);

    if (!router)
        return;
    remove_router(&netif->nd, router);
    choose(netif);
}

/* ---- on-link prefixes ---- */

static void set_on_link(struct gd_netif *netif, const struct gd_nd_prefix *prefix, bool on)
{
    struct gd_route route = {.prefix = prefix->addr, .bits = prefix->bits, .origin = GD_ROUTE_RA, .netif = netif};

    if (!on)
        gd_route_remove(netif->stack, &route);
    else if (gd_route_add(netif->stack, &route) < 0)
        full(netif);
}

static void remove_prefix(struct gd_netif *netif, struct gd_nd_prefix *prefix)
{
    set_on_link(netif, prefix, false);
    *prefix = netif->nd.prefixes[--netif->nd.nprefixes];
}

static void take_on_link(struct gd_netif *netif, const struct gd_addr *addr, uint8_t bits, uint32_t valid_s,
                         uint64_t now)
{
    struct gd_nd *nd = &netif->nd;
    struct gd_nd_prefix *prefix = nd->prefixes, *end = nd->prefixes + nd->nprefixes;

    while (prefix < end && !(prefix->bits == bits && gd_ip_within(addr, &prefix->addr, bits)))
        prefix++;
    if (prefix < end && valid_s == 0) {
        remove_prefix(netif, prefix);
        return;
    }
    if (valid_s == 0)
        return;
    if (prefix == end) {
        if (nd->nprefixes == GD_ND_PREFIXES) {
            full(netif);
            return;
        }
        *prefix = (struct gd_nd_prefix){.addr = *addr, .bits = bits};
        nd->nprefixes++;
        set_on_link(netif, prefix, true);
    }
    prefix->until = gd_nd_end_of(valid_s, now);
}

/* RFC 4861 4.6.2, 6.3.4. ::/0 on link would have us ask the link for the whole world: nobody means that. */
static void take_prefix(struct gd_netif *netif, const uint8_t *option, uint64_t now)
{
    uint32_t valid_s, preferred_s;
    struct gd_addr prefix;
    uint8_t bits;

    if (option[1] != PREFIX_LEN / 8) {
        gd_count(&netif->stack->stats, GD_STAT_nd_drop_prefix);
        return;
    }
    bits = option[2];
    valid_s = gd_get32(option + 4);
    preferred_s = gd_get32(option + 8);
    memcpy(prefix.b, option + 16, sizeof prefix.b);
    if (bits == 0 || bits > 128 || gd_addr_is_link_local(&prefix) || gd_addr_is_multicast(&prefix) ||
        gd_addr_is_v4(&prefix)) {
        gd_count(&netif->stack->stats, GD_STAT_nd_drop_prefix);
        return;
    }
    if (option[3] & ON_LINK)
        take_on_link(netif, &prefix, bits, valid_s, now);
    if ((option[3] & AUTONOMOUS) == 0)
        return;
    if (bits != 64 || preferred_s > valid_s) { /* RFC 4862 5.5.3 c, d: the identifier has 64 bits */
        gd_count(&netif->stack->stats, GD_STAT_nd_drop_prefix);
        return;
    }
    gd_slaac_prefix(netif, &prefix, preferred_s, valid_s, now);
}

/* ---- name servers, and the interface's numbers ---- */

static void take_server(struct gd_netif *netif, const struct gd_addr *addr, uint32_t lifetime_s, uint64_t now)
{
    struct gd_nd *nd = &netif->nd;
    int at = 0;

    while (at < nd->nservers && !gd_addr_eq(&nd->servers[at].addr, addr))
        at++;
    if (lifetime_s == 0) {
        if (at < nd->nservers)
            nd->servers[at] = nd->servers[--nd->nservers];
        return;
    }
    if (at == GD_ND_SERVERS)
        return; /* resolv.conf(5) has no use for more: no harm is done */
    if (at == nd->nservers)
        nd->nservers++;
    nd->servers[at] = (struct gd_nd_server){*addr, gd_nd_end_of(lifetime_s, now)};
}

static void take_servers(struct gd_netif *netif, const uint8_t *option, uint64_t now)
{
    for (uint32_t at = 8; at + 16 <= option[1] * 8u; at += 16) {
        struct gd_addr addr;

        memcpy(addr.b, option + at, sizeof addr.b);
        if (gd_addr_is_any(&addr) || gd_addr_is_multicast(&addr) || gd_addr_is_loopback(&addr) || gd_addr_is_v4(&addr)) {
            gd_count(&netif->stack->stats, GD_STAT_nd_drop_server);
            continue;
        }
        addr = gd_addr_on(&addr, netif->index);
        take_server(netif, &addr, gd_get32(option + 4), now);
    }
}

static void take_mtu(struct gd_netif *netif, const uint8_t *option)
{
    uint32_t mtu = gd_get32(option + 4);

    if (option[1] != 1 || mtu < GD_IP6_MTU_MIN || mtu > netif->port->mtu || mtu == netif->nd.mtu)
        return;
    netif->nd.mtu = mtu;
    gd_net_changed(netif->stack);
}

static void take_numbers(struct gd_nd *nd, const uint8_t *advert)
{
    uint32_t reachable = gd_get32(advert + 8), retrans = gd_get32(advert + 12);

    if (advert[4] != 0)
        nd->hops = advert[4];
    if (reachable >= REACHABLE_LEAST && reachable <= REACHABLE_MOST)
        nd->reachable_ms = reachable;
    if (retrans >= RETRANS_LEAST && retrans <= RETRANS_MOST)
        nd->retrans_ms = retrans;
}

void gd_router_advert(struct gd_netif *netif, const struct gd_packet *packet, uint64_t now)
{
    const uint8_t *options = packet->l4 + HEADER, *end = packet->l4 + packet->l4_len;

    if (!gd_addr_is_link_local(&packet->src)) {
        gd_count(&netif->stack->stats, GD_STAT_nd_drop_malformed);
        return;
    }
    if (!netif->nd.autoconf) {
        gd_count(&netif->stack->stats, GD_STAT_nd_drop_unasked);
        return;
    }
    take_numbers(&netif->nd, packet->l4);
    for (const uint8_t *option = options; option < end; option += option[1] * 8u) {
        if (option[0] == GD_ND_SOURCE_MAC && option[1] == 1 && !gd_mac_is_group(option + 2))
            gd_neigh_heard(netif, &packet->src, option + 2, GD_NEWS_ASKED, now);
        else if (option[0] == GD_ND_MTU)
            take_mtu(netif, option);
        else if (option[0] == GD_ND_PREFIX)
            take_prefix(netif, option, now);
        else if (option[0] == GD_ND_RDNSS)
            take_servers(netif, option, now);
    }
    take_router(netif, &packet->src, gd_get16(packet->l4 + 6), packet->l4[5], now);
    gd_nd_wake_at(netif, now); /* the timer finds what is due next */
}

/* ---- time ---- */

static void solicit(struct gd_netif *netif, uint64_t now)
{
    struct gd_addr routers = {.b = {0xff, 0x02, [15] = 2}};
    const struct gd_addr *own = gd_ip_own(netif, &routers);
    struct gd_nd *nd = &netif->nd;
    uint64_t wait = nd->solicit_wait < SOLICIT_FIRST ? SOLICIT_FIRST : 2 * nd->solicit_wait;

    if (own)
        gd_nd_send(netif,
                   &(struct gd_nd_message){
                       .type = GD_ICMP6_ROUTER_SOLICIT, .src = own, .dst = &routers, .option = GD_ND_SOURCE_MAC});
    if (wait > SOLICIT_MOST)
        wait = SOLICIT_MOST;
    nd->solicit_wait = wait;
    nd->solicit_at = now + wait - wait / 10 + gd_random_below(&netif->stack->random, 1000) * (wait / 5000);
}

static void sooner(uint64_t *next, uint64_t at)
{
    if (at < *next)
        *next = at;
}

uint64_t gd_router_run(struct gd_netif *netif, uint64_t now)
{
    struct gd_nd *nd = &netif->nd;
    uint64_t next = GD_NEVER;

    if (nd->solicit_at <= now)
        solicit(netif, now);
    sooner(&next, nd->solicit_at);
    for (int i = nd->nrouters - 1; i >= 0; i--) {
        if (nd->routers[i].until <= now)
            remove_router(nd, &nd->routers[i]);
        else
            sooner(&next, nd->routers[i].until);
    }
    choose(netif);
    for (int i = nd->nprefixes - 1; i >= 0; i--) {
        if (nd->prefixes[i].until <= now)
            remove_prefix(netif, &nd->prefixes[i]);
        else
            sooner(&next, nd->prefixes[i].until);
    }
    for (int i = nd->nservers - 1; i >= 0; i--) {
        if (nd->servers[i].until <= now)
            nd->servers[i] = nd->servers[--nd->nservers];
        else
            sooner(&next, nd->servers[i].until);
    }
    return next;
}
