/* The neighbour cache: MAC addresses by IP address, learnt by asking. The states are RFC 4861 7.3.2's, applied to ARP too.
 * Called by net/ip.c, net/arp.c, net/nd.c, net/config.c, tcp/ack.c (confirm) and the wheel; calls net/arp.c, net/nd.c,
 * net/router.c, net/ether.c, net/report.c.
 *
 *            output            3 requests, 1 s apart, to all
 *     NONE ─────────► INCOMPLETE ───────────────────────► FAILED ── 1 s ──► gone
 *       (packets wait, 8)  │ answer                         (packets fail at once)
 *                          ▼          30 s without news
 *     answer or TCP's ► REACHABLE ──────────────────► STALE ── 10 min unused ──► gone
 *     progress             ▲                            │ output (it is sent all the same)
 *                          │      answer                ▼
 *                          └──────────────── PROBE ◄── DELAY (5 s for TCP's progress to speak for it)
 *                                 3 requests, unicast; then gone, so that the next packet asks everybody anew
 *
 * FIXED: set by hand (pinned), or made up from a group address. One timer an entry does all of it.
 */
#include "../stack.h"
#include "../wire/ether.h"
#include "../wire/nd.h"
#include "neigh.h"

#include <errno.h>

#define SECOND 1000000000ull
#define REQUESTS 3             /* MAX_MULTICAST_SOLICIT, MAX_UNICAST_SOLICIT (RFC 4861 10) */
#define RETRANS SECOND         /* RETRANS_TIMER */
#define DELAY (5 * SECOND)     /* DELAY_FIRST_PROBE_TIME */
#define REACHABLE_MS 30000u    /* REACHABLE_TIME, times 0.5 to 1.5 */
#define GONE (600 * SECOND)    /* STALE without use: the size is bounded, so this is tidiness only */
#define NEGATIVE (1 * SECOND)  /* a burst of connects to a dead host does not wait 3 s for each */

static void arm(struct gd_neigh *neigh, uint64_t at)
{
    gd_timer_set(&neigh->netif->stack->wheel, &neigh->timer, at);
}

/* What waits will never be sent. The list is taken off first: a socket that hears of it may send again. */
static void fail_waiting(struct gd_neigh *neigh, uint64_t now)
{
    struct gd_netif *netif = neigh->netif;
    struct gd_frame *waiting[GD_NEIGH_WAITING];
    int n = neigh->nwaiting;

    memcpy(waiting, neigh->waiting, sizeof waiting);
    neigh->nwaiting = 0;
    for (int i = 0; i < n; i++) {
        struct gd_icmp_error error = {.error = EHOSTUNREACH};
        const struct gd_frame *frame = waiting[i];

        gd_count(&netif->stack->stats, GD_STAT_neigh_drop_unreachable);
        gd_ip_report(netif->stack, netif, frame->data + GD_ETHER_HEADER, frame->len - GD_ETHER_HEADER, &error, now);
        gd_netif_give(netif, waiting[i]);
    }
}

static void request(struct gd_neigh *neigh, uint64_t now)
{
    const uint8_t *to_mac = neigh->state == GD_NEIGH_PROBE ? neigh->mac : NULL;
    uint32_t ms = gd_addr_is_v4(&neigh->addr) ? 0 : neigh->netif->nd.retrans_ms;

    neigh->requests++;
    if (gd_addr_is_v4(&neigh->addr))
        gd_arp_request(neigh->netif, &neigh->addr, to_mac);
    else
        gd_nd_solicit(neigh->netif, &neigh->addr, to_mac);
    arm(neigh, now + (ms ? ms * (SECOND / 1000) : RETRANS));
}

static void become_stale(struct gd_neigh *neigh, uint64_t now)
{
    gd_neigh_settle(neigh);
    neigh->state = GD_NEIGH_STALE;
    arm(neigh, now + GONE);
}

static void become_reachable(struct gd_neigh *neigh, uint64_t now)
{
    uint32_t told = gd_addr_is_v4(&neigh->addr) ? 0 : neigh->netif->nd.reachable_ms; /* by a router */
    uint32_t base = told ? told : REACHABLE_MS;
    uint32_t ms = base / 2 + gd_random_below(&neigh->netif->stack->random, base);

    gd_neigh_settle(neigh);
    neigh->state = GD_NEIGH_REACHABLE;
    neigh->reachable_time = ms * (SECOND / 1000);
    neigh->until = now + neigh->reachable_time;
    arm(neigh, neigh->until);
}

static void fire(struct gd_timer *timer, uint64_t now)
{
    struct gd_neigh *neigh = GD_ENTRY(timer, struct gd_neigh, timer);

    switch (neigh->state) {
    case GD_NEIGH_INCOMPLETE:
        if (neigh->requests < REQUESTS) {
            request(neigh, now);
            return;
        }
        neigh->state = GD_NEIGH_FAILED;
        neigh->until = now + NEGATIVE;
        arm(neigh, neigh->until);
        gd_router_silent(neigh->netif, &neigh->addr);
        fail_waiting(neigh, now);
        return;
    case GD_NEIGH_FAILED: /* early: for packets that came since */
        if (now < neigh->until) {
            arm(neigh, neigh->until);
            fail_waiting(neigh, now);
            return;
        }
        break;
    case GD_NEIGH_REACHABLE:
        if (now < neigh->until) /* confirmed since it was armed */
            arm(neigh, neigh->until);
        else
            become_stale(neigh, now);
        return;
    case GD_NEIGH_DELAYED:
        neigh->state = GD_NEIGH_PROBE;
        neigh->requests = 0;
        request(neigh, now);
        return;
    case GD_NEIGH_PROBE:
        if (neigh->requests < REQUESTS) {
            request(neigh, now);
            return;
        }
        gd_router_silent(neigh->netif, &neigh->addr);
        break;
    case GD_NEIGH_NONE:
    case GD_NEIGH_STALE:
    case GD_NEIGH_FIXED:
        break;
    }
    neigh->pinned = true; /* whatever a failing socket does: not evicted before we are done with it */
    fail_waiting(neigh, now);
    gd_neigh_release(neigh);
}

/* Group addresses need no asking: RFC 1112 6.4, RFC 2464 7, and everybody. */
static bool group_mac(const struct gd_netif *netif, const struct gd_addr *addr, uint8_t *mac)
{
    if (gd_addr_is_multicast(addr)) {
        mac[0] = gd_addr_is_v4(addr) ? 0x01 : 0x33;
        mac[1] = gd_addr_is_v4(addr) ? 0x00 : 0x33;
        memcpy(mac + 2, addr->b + 12, 4);
        if (gd_addr_is_v4(addr)) {
            mac[2] = 0x5e;
            mac[3] &= 0x7f;
        }
        return true;
    }
    memset(mac, 0xff, GD_ETHER_MAC);
    return gd_ip4_broadcast(netif, addr);
}

struct gd_neigh *gd_neigh_get(struct gd_stack *stack, struct gd_netif *netif, const struct gd_addr *addr)
{
    struct gd_neigh *neigh = gd_neigh_find(netif, addr);
    uint8_t mac[GD_ETHER_MAC];

    if (neigh)
        return neigh;
    neigh = gd_neigh_make(netif, addr, fire);
    if (!neigh)
        return NULL;
    if (group_mac(netif, addr, mac)) {
        gd_neigh_settle(neigh);
        neigh->state = GD_NEIGH_FIXED;
        memcpy(neigh->mac, mac, sizeof mac);
    } else {
        arm(neigh, stack->now + GONE);
    }
    return neigh;
}

static void transmit(struct gd_neigh *neigh, struct gd_frame *frame)
{
    bool v4 = frame->data[GD_ETHER_HEADER] >> 4 == 4;

    gd_ether_write(frame->data, neigh->mac, neigh->netif->port->mac, v4 ? GD_ETHER_IP4 : GD_ETHER_IP6);
    gd_netif_queue(neigh->netif, frame);
}

static void wait(struct gd_neigh *neigh, struct gd_frame *frame)
{
    if (neigh->nwaiting == GD_NEIGH_WAITING) {
        gd_count(&neigh->netif->stack->stats, GD_STAT_neigh_drop_queue_full);
        gd_netif_give(neigh->netif, neigh->waiting[0]);
        neigh->nwaiting--;
        memmove(neigh->waiting, neigh->waiting + 1, sizeof neigh->waiting - sizeof neigh->waiting[0]);
    }
    neigh->waiting[neigh->nwaiting++] = frame;
}

void gd_neigh_output(struct gd_stack *stack, struct gd_neigh *neigh, struct gd_frame *frame, uint64_t now)
{
    if (stack->neigh_all.prev != &neigh->link) { /* the youngest use stands last */
        gd_list_remove(&neigh->link);
        gd_list_append(&stack->neigh_all, &neigh->link);
    }
    switch (neigh->state) {
    case GD_NEIGH_NONE:
        wait(neigh, frame);
        neigh->state = GD_NEIGH_INCOMPLETE;
        neigh->requests = 0;
        request(neigh, now);
        return;
    case GD_NEIGH_INCOMPLETE:
        wait(neigh, frame);
        return;
    case GD_NEIGH_FAILED: /* reported by the timer, not from within the call that sends */
        wait(neigh, frame);
        arm(neigh, now);
        return;
    case GD_NEIGH_STALE:
        neigh->state = GD_NEIGH_DELAYED;
        arm(neigh, now + DELAY);
        break;
    case GD_NEIGH_REACHABLE:
    case GD_NEIGH_DELAYED:
    case GD_NEIGH_PROBE:
    case GD_NEIGH_FIXED:
        break;
    }
    transmit(neigh, frame);
}

int gd_neigh_ready(struct gd_neigh *neigh, uint64_t now)
{
    if (neigh->state == GD_NEIGH_FAILED)
        return -EHOSTUNREACH;
    if (neigh->state == GD_NEIGH_NONE) {
        neigh->state = GD_NEIGH_INCOMPLETE;
        neigh->requests = 0;
        request(neigh, now);
    }
    return neigh->state == GD_NEIGH_INCOMPLETE ? -EAGAIN : 0;
}

bool gd_neigh_has_mac(const struct gd_neigh *neigh)
{
    return neigh->state == GD_NEIGH_REACHABLE || neigh->state == GD_NEIGH_STALE ||
           neigh->state == GD_NEIGH_DELAYED || neigh->state == GD_NEIGH_PROBE;
}

void gd_neigh_confirm(struct gd_stack *stack, const struct gd_dst *dst, uint64_t now)
{
    struct gd_neigh *neigh = dst->neigh;

    if (dst->generation != stack->generation || !neigh || !gd_neigh_has_mac(neigh))
        return;
    if (neigh->state == GD_NEIGH_REACHABLE)
        neigh->until = now + neigh->reachable_time; /* the timer sees it when it fires */
    else
        become_reachable(neigh, now);
}

/* The MAC is known now: what waited leaves. */
static void release_waiting(struct gd_neigh *neigh, uint64_t now)
{
    struct gd_frame *waiting[GD_NEIGH_WAITING];
    int n = neigh->nwaiting;

    memcpy(waiting, neigh->waiting, sizeof waiting);
    neigh->nwaiting = 0;
    for (int i = 0; i < n; i++)
        gd_neigh_output(neigh->netif->stack, neigh, waiting[i], now);
}

bool gd_neigh_heard(struct gd_netif *netif, const struct gd_addr *addr, const uint8_t *mac, enum gd_neigh_news news,
                    uint64_t now)
{
    struct gd_neigh *neigh = gd_neigh_find(netif, addr);
    bool asked, changed;

    if (!neigh && news == GD_NEWS_ASKED) {
        neigh = gd_neigh_make(netif, addr, fire);
        if (!neigh)
            return false;
        /* Nothing of ours uses it yet: the first to go, so that a flood of questions evicts itself. */
        gd_list_remove(&neigh->link);
        gd_list_append(netif->stack->neigh_all.next, &neigh->link);
    }
    if (!neigh)
        return false;
    if (neigh->state == GD_NEIGH_FIXED)
        return true;
    asked = neigh->state == GD_NEIGH_INCOMPLETE || neigh->state == GD_NEIGH_PROBE;
    changed = !gd_neigh_has_mac(neigh) || !gd_mac_eq(neigh->mac, mac);
    memcpy(neigh->mac, mac, GD_ETHER_MAC);
    if (asked && news == GD_NEWS_ANSWER)
        become_reachable(neigh, now);
    else if (changed) /* believed, but not proven to hear us (RFC 4861 7.2.3) */
        become_stale(neigh, now);
    release_waiting(neigh, now);
    return true;
}

bool gd_neigh_advertised(struct gd_netif *netif, const struct gd_addr *addr, const uint8_t *mac, uint32_t flags,
                         uint64_t now)
{
    struct gd_neigh *neigh = gd_neigh_find(netif, addr);
    bool first = neigh && !gd_neigh_has_mac(neigh), changed;

    if (!neigh || neigh->state == GD_NEIGH_FIXED)
        return neigh != NULL;
    if (first && !mac)
        return false;
    changed = mac && (first || !gd_mac_eq(neigh->mac, mac));
    if (!first && changed && (flags & GD_ND_OVERRIDE) == 0) { /* proxies and the like do not overrule what is known */
        if (neigh->state == GD_NEIGH_REACHABLE)
            become_stale(neigh, now);
        return true;
    }
    if (changed)
        memcpy(neigh->mac, mac, GD_ETHER_MAC);
    if (flags & GD_ND_SOLICITED)
        become_reachable(neigh, now);
    else if (changed)
        become_stale(neigh, now);
    if (flags & GD_ND_ROUTER)
        gd_router_heard(netif, addr);
    else
        gd_router_resigned(netif, addr);
    release_waiting(neigh, now);
    return true;
}

int gd_neigh_pin(struct gd_netif *netif, const struct gd_addr *addr, const uint8_t *mac, uint64_t now)
{
    struct gd_neigh *neigh = gd_neigh_find(netif, addr);

    if (!neigh)
        neigh = gd_neigh_make(netif, addr, fire);
    if (!neigh)
        return -ENOMEM;
    gd_timer_cancel(&netif->stack->wheel, &neigh->timer);
    gd_neigh_settle(neigh);
    neigh->state = GD_NEIGH_FIXED;
    neigh->pinned = true;
    memcpy(neigh->mac, mac, GD_ETHER_MAC);
    release_waiting(neigh, now);
    return 0;
}
