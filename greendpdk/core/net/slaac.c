/* Addresses made of advertised prefixes (RFC 4862 5.5.3, 5.5.4).
 * Called by net/router.c, net/dad.c (the timer); calls net/dad.c, net/config.c.
 *
 *     prefix/64 + identifier ──► tentative ──► preferred ── preferred lifetime ──► deprecated ── valid lifetime ──►
 * gone
 */
#include "../stack.h"

#define SECOND 1000000000ull
#define MS 1000000ull
#define TWO_HOURS (7200 * SECOND) /* RFC 4862 5.5.3 e */
#define MADE_MOST 8               /* the other half of GD_IFADDRS is for what is set by hand */

/* Ours within that prefix; *made counts all that we made. */
static struct gd_ifaddr *find(struct gd_netif *netif, const struct gd_addr *prefix, int *made)
{
    struct gd_ifaddr *found = NULL;

    *made = 0;
    for (int i = 0; i < netif->naddrs; i++) {
        struct gd_ifaddr *own = &netif->addrs[i];

        if (!own->made || gd_addr_is_link_local(&own->addr))
            continue;
        ++*made;
        if (gd_ip_within(&own->addr, prefix, 64))
            found = own;
    }
    return found;
}

/* Nobody on the link may shorten a life to less than two hours, but by letting it run out (RFC 4862 5.5.3 e). */
static void refresh(struct gd_ifaddr *own, uint32_t preferred_s, uint32_t valid_s, uint64_t now)
{
    uint64_t until = gd_nd_end_of(valid_s, now), two_hours = now + TWO_HOURS;

    own->preferred_until = gd_nd_end_of(preferred_s, now);
    if (until > two_hours || until > own->valid_until)
        own->valid_until = until;
    else if (own->valid_until > two_hours)
        own->valid_until = two_hours;
}

void gd_slaac_prefix(struct gd_netif *netif, const struct gd_addr *prefix, uint32_t preferred_s, uint32_t valid_s,
                     uint64_t now)
{
    struct gd_ifaddr own = {.addr = *prefix, .prefix_length = 64, .made = true};
    int made;
    struct gd_ifaddr *known = find(netif, prefix, &made);

    if (known) {
        refresh(known, preferred_s, valid_s, now);
        return;
    }
    gd_nd_identifier(netif, &own.addr);
    if (valid_s == 0 || gd_netif_own(netif, &own.addr)) /* set by hand: that one stays as it is */
        return;
    if (made == MADE_MOST || netif->naddrs == GD_IFADDRS) {
        gd_count(&netif->stack->stats, GD_STAT_nd_drop_table_full);
        return;
    }
    own.preferred_until = gd_nd_end_of(preferred_s, now);
    own.valid_until = gd_nd_end_of(valid_s, now);
    netif->addrs[netif->naddrs++] = own;
    /* All hosts of the link heard the same advertisement (RFC 4862 5.4.2). */
    gd_dad_start(netif, &netif->addrs[netif->naddrs - 1], now + gd_random_below(&netif->stack->random, 1000) * MS);
}

static void set_deprecated(struct gd_netif *netif, struct gd_ifaddr *own, bool deprecated)
{
    if (own->deprecated == deprecated)
        return;
    own->deprecated = deprecated;
    gd_net_changed(netif->stack);
}

uint64_t gd_slaac_run(struct gd_netif *netif, uint64_t now)
{
    uint64_t next = GD_NEVER;

    for (int i = netif->naddrs - 1; i >= 0; i--) {
        struct gd_ifaddr *own = &netif->addrs[i];

        if (!own->made)
            continue;
        if (own->valid_until <= now) {
            struct gd_addr gone = own->addr;

            gd_stack_del_address(netif->stack, netif->index, gone.b);
            continue;
        }
        set_deprecated(netif, own, own->preferred_until <= now);
        if (!own->deprecated && own->preferred_until < next)
            next = own->preferred_until;
        if (own->valid_until < next)
            next = own->valid_until;
    }
    return next;
}
