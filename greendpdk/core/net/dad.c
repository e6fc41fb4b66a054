/* IPv6 addresses of an interface from tentative to ours (RFC 4862 5.3, 5.4), and the interface's one timer.
 * Called by net/config.c, net/nd.c, net/slaac.c, stack.c and the wheel; calls net/nd.c, net/group.c, net/router.c.
 *
 *     added ──► tentative ── asked for, nobody answers for 1 s ──► ours (announced)
 *                   └──────── somebody answers, or asks too ─────► duplicate: never used, stays in the list to be seen
 *
 * The first question goes out at once: the random delay of RFC 4862 5.4.2 is against hosts that start together, and a
 * program that starts waits for its address. Addresses that an advertisement makes in all hosts at once do wait.
 *
 * Identifiers are made of the MAC (modified EUI-64), not opaque (RFC 7217, which RFC 8064 recommends): those want a
 * secret that outlives the process, and a server whose address changed with each start could not be found.
 */
#include "../stack.h"
#include "../wire/icmp6.h"
#include "../wire/ip6.h"
#include "../wire/nd.h"

#include <errno.h>

#define RETRANS 1000000000ull /* RFC 4861 10, RETRANS_TIMER; DupAddrDetectTransmits is 1 (RFC 4862 5.1) */
#define MS 1000000ull
#define AGAIN (10 * MS) /* without a frame to ask by */

void gd_nd_identifier(const struct gd_netif *netif, struct gd_addr *addr)
{
    const uint8_t *mac = netif->port->mac;
    uint8_t *eight = addr->b + 8;

    eight[0] = mac[0] ^ 2;
    eight[1] = mac[1];
    eight[2] = mac[2];
    eight[3] = 0xff;
    eight[4] = 0xfe;
    memcpy(eight + 5, mac + 3, 3);
}

void gd_nd_wake_at(struct gd_netif *netif, uint64_t at)
{
    if (at < netif->nd.timer.at)
        gd_timer_set(&netif->stack->wheel, &netif->nd.timer, at);
}

void gd_dad_start(struct gd_netif *netif, struct gd_ifaddr *own, uint64_t at)
{
    struct gd_addr group = gd_nd_solicited_group(&own->addr);

    if (netif->port->caps & GD_CAP_LOOPBACK)
        return;
    own->tentative = true;
    own->duplicate = own->asked = false;
    own->dad_at = at;
    /* Full: the address works as long as somebody lets multicast through; who asks for it is not heard. */
    if (gd_group_join(netif, &group) < 0)
        gd_count(&netif->stack->stats, GD_STAT_nd_drop_group_full);
    gd_nd_wake_at(netif, at);
}

void gd_dad_forget(struct gd_netif *netif, const struct gd_ifaddr *gone)
{
    struct gd_addr group = gd_nd_solicited_group(&gone->addr);

    if (!gd_addr_is_v4(&gone->addr) && (netif->port->caps & GD_CAP_LOOPBACK) == 0)
        gd_group_leave(netif, &group);
}

void gd_dad_conflict(struct gd_netif *netif, struct gd_ifaddr *own, uint64_t now)
{
    (void)now;
    gd_count(&netif->stack->stats, GD_STAT_nd_duplicate);
    own->duplicate = true;
    own->dad_at = GD_NEVER;
}

/* False: nobody was asked (counted). */
static bool ask(struct gd_netif *netif, struct gd_ifaddr *own)
{
    struct gd_addr nobody = {0}, group = gd_nd_solicited_group(&own->addr);
    uint64_t random = gd_random_next(&netif->stack->random);

    memcpy(own->nonce, &random, sizeof own->nonce);
    return gd_nd_send(netif, &(struct gd_nd_message){.type = GD_ICMP6_NEIGHBOUR_SOLICIT,
                                                     .src = &nobody,
                                                     .dst = &group,
                                                     .target = &own->addr,
                                                     .nonce = own->nonce});
}

/* RFC 4861 6.3.7: the first question within a second. */
static void seek_routers(struct gd_netif *netif, uint64_t now)
{
    struct gd_nd *nd = &netif->nd;

    if (!nd->autoconf || nd->solicit_wait != 0)
        return;
    nd->solicit_wait = 1;
    nd->solicit_at = now + gd_random_below(&netif->stack->random, 1000) * MS;
    gd_nd_wake_at(netif, nd->solicit_at);
}

static void becomes_ours(struct gd_netif *netif, struct gd_ifaddr *own, uint64_t now)
{
    own->tentative = false;
    own->dad_at = GD_NEVER;
    gd_net_changed(netif->stack);
    gd_nd_announce(netif, &own->addr);
    if (gd_addr_is_link_local(&own->addr))
        seek_routers(netif, now);
}

static uint64_t run_dad(struct gd_netif *netif, uint64_t now)
{
    uint64_t next = GD_NEVER, wait = netif->nd.retrans_ms ? netif->nd.retrans_ms * MS : RETRANS;

    for (int i = 0; i < netif->naddrs; i++) {
        struct gd_ifaddr *own = &netif->addrs[i];

        if (!own->tentative || own->duplicate)
            continue;
        if (own->dad_at <= now && own->asked) {
            becomes_ours(netif, own, now);
            continue;
        }
        if (own->dad_at <= now) {
            own->asked = ask(netif, own);
            own->dad_at = now + (own->asked ? wait : AGAIN);
        }
        if (own->dad_at < next)
            next = own->dad_at;
    }
    return next;
}

static void fire(struct gd_timer *timer, uint64_t now)
{
    struct gd_nd *nd = GD_ENTRY(timer, struct gd_nd, timer);
    struct gd_netif *netif = GD_ENTRY(nd, struct gd_netif, nd);
    uint64_t dad = run_dad(netif, now), router = gd_router_run(netif, now), slaac = gd_slaac_run(netif, now);
    uint64_t next = dad < router ? dad : router;

    if (slaac < next)
        next = slaac;
    if (next != GD_NEVER)
        gd_nd_wake_at(netif, next);
}

int gd_nd_enable(struct gd_netif *netif, uint64_t now)
{
    struct gd_ifaddr own = {.addr = {.b = {0xfe, 0x80}}, .prefix_length = 64, .made = true};
    bool by_hand = false;

    if (netif->port->caps & GD_CAP_LOOPBACK || netif->nd.on)
        return 0;
    if (netif->port->mtu < GD_IP6_MTU_MIN)
        return -EINVAL;
    for (int i = 0; i < netif->naddrs; i++)
        by_hand = by_hand || gd_addr_is_link_local(&netif->addrs[i].addr);
    if (!by_hand && netif->naddrs == GD_IFADDRS)
        return -ENOSPC;
    netif->nd.on = true;
    netif->nd.solicit_at = GD_NEVER;
    gd_timer_init(&netif->nd.timer, fire);
    if (by_hand)
        return 0;
    gd_nd_identifier(netif, &own.addr);
    own.addr = gd_addr_on(&own.addr, netif->index);
    own.preferred_until = own.valid_until = GD_NEVER;
    netif->addrs[netif->naddrs++] = own;
    gd_dad_start(netif, &netif->addrs[netif->naddrs - 1], now);
    return 0;
}

int gd_nd_autoconf(struct gd_netif *netif, uint64_t now)
{
    int rc = gd_nd_enable(netif, now);

    netif->nd.autoconf = netif->nd.on;
    for (int i = 0; i < netif->naddrs; i++)
        if (gd_addr_is_link_local(&netif->addrs[i].addr) && !netif->addrs[i].tentative)
            seek_routers(netif, now);
    return rc;
}

void gd_nd_disable(struct gd_netif *netif)
{
    if (netif->nd.on)
        gd_timer_cancel(&netif->stack->wheel, &netif->nd.timer);
    netif->nd.on = false;
}
