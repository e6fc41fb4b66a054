/* The neighbour cache: MAC addresses by IP address, learnt by asking. The states are RFC 4861 7.3.2's, applied to ARP.
 * Called by net/ip.c, net/arp.c, net/config.c, tcp/ack.c (confirm) and the wheel; calls net/arp.c, net/ether.c,
 * net/report.c.
 *
 *            output            3 requests, 1 s apart, broadcast
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
#include "neigh.h"

#include <errno.h>
#include <stdlib.h>

#define SECOND 1000000000ull
#define WAITING 8              /* RFC 1122 2.3.2.2 asks for at least one */
#define REQUESTS 3             /* MAX_MULTICAST_SOLICIT, MAX_UNICAST_SOLICIT (RFC 4861 10) */
#define RETRANS SECOND         /* RETRANS_TIMER */
#define DELAY (5 * SECOND)     /* DELAY_FIRST_PROBE_TIME */
#define REACHABLE_MS 30000u    /* REACHABLE_TIME, times 0.5 to 1.5 */
#define GONE (600 * SECOND)    /* STALE without use: the size is bounded, so this is tidiness only */
#define NEGATIVE (1 * SECOND)  /* a burst of connects to a dead host does not wait 3 s for each */

enum state {
    NONE,
    INCOMPLETE,
    REACHABLE,
    STALE,
    DELAYED,
    PROBE,
    FAILED,
    FIXED,
};

struct gd_neigh {
    struct gd_node node;  /* stack->neighs */
    struct gd_list link;  /* stack->neigh_all */
    struct gd_timer timer;
    struct gd_netif *netif;
    struct gd_addr addr;
    uint8_t mac[GD_ETHER_MAC];
    enum state state;
    bool pinned; /* by hand: never evicted */
    int requests;
    int nwaiting;
    struct gd_frame *waiting[WAITING]; /* owned; oldest first */
    uint64_t until;          /* REACHABLE or FAILED, so long */
    uint64_t reachable_time; /* this entry's own */
};

static uint64_t hash_of(const struct gd_stack *stack, const struct gd_netif *netif, const struct gd_addr *addr)
{
    uint8_t key[20];

    gd_put32(key, (uint32_t)netif->index);
    memcpy(key + 4, addr->b, 16);
    return gd_siphash(&stack->hash_key, key, sizeof key);
}

static struct gd_neigh *find(const struct gd_netif *netif, const struct gd_addr *addr)
{
    uint64_t hash = hash_of(netif->stack, netif, addr);
    struct gd_node *node = gd_table_first(&netif->stack->neighs, hash);

    for (; node; node = node->next) {
        struct gd_neigh *neigh = GD_ENTRY(node, struct gd_neigh, node);

        if (node->hash == hash && neigh->netif == netif && gd_addr_eq(&neigh->addr, addr))
            return neigh;
    }
    return NULL;
}

static void arm(struct gd_neigh *neigh, uint64_t at)
{
    gd_timer_set(&neigh->netif->stack->wheel, &neigh->timer, at);
}

static void release(struct gd_neigh *neigh)
{
    struct gd_stack *stack = neigh->netif->stack;

    gd_timer_cancel(&stack->wheel, &neigh->timer);
    gd_table_remove(&stack->neighs, &neigh->node);
    gd_list_remove(&neigh->link);
    stack->neigh_count--;
    for (int i = 0; i < neigh->nwaiting; i++)
        gd_netif_give(neigh->netif, neigh->waiting[i]);
    free(neigh);
    gd_net_changed(stack);
}

/* What waits will never be sent. The list is taken off first: a socket that hears of it may send again. */
static void fail_waiting(struct gd_neigh *neigh, uint64_t now)
{
    struct gd_netif *netif = neigh->netif;
    struct gd_frame *waiting[WAITING];
    int n = neigh->nwaiting;

    memcpy(waiting, neigh->waiting, sizeof waiting);
    neigh->nwaiting = 0;
    for (int i = 0; i < n; i++) {
        struct gd_icmp_error error = {.error = EHOSTUNREACH};
        const struct gd_frame *frame = waiting[i];

        gd_count(&netif->stack->stats, GD_STAT_neigh_drop_unreachable);
        gd_ip_report(netif->stack, frame->data + GD_ETHER_HEADER, frame->len - GD_ETHER_HEADER, &error, now);
        gd_netif_give(netif, waiting[i]);
    }
}

static void request(struct gd_neigh *neigh, uint64_t now)
{
    neigh->requests++;
    gd_arp_request(neigh->netif, &neigh->addr, neigh->state == PROBE ? neigh->mac : NULL);
    arm(neigh, now + RETRANS);
}

static void become_stale(struct gd_neigh *neigh, uint64_t now)
{
    neigh->state = STALE;
    arm(neigh, now + GONE);
}

static void become_reachable(struct gd_neigh *neigh, uint64_t now)
{
    uint32_t ms = REACHABLE_MS / 2 + gd_random_below(&neigh->netif->stack->random, REACHABLE_MS);

    neigh->state = REACHABLE;
    neigh->reachable_time = ms * (SECOND / 1000);
    neigh->until = now + neigh->reachable_time;
    arm(neigh, neigh->until);
}

static void fire(struct gd_timer *timer, uint64_t now)
{
    struct gd_neigh *neigh = GD_ENTRY(timer, struct gd_neigh, timer);

    switch (neigh->state) {
    case INCOMPLETE:
        if (neigh->requests < REQUESTS) {
            request(neigh, now);
            return;
        }
        neigh->state = FAILED;
        neigh->until = now + NEGATIVE;
        arm(neigh, neigh->until);
        fail_waiting(neigh, now);
        return;
    case FAILED: /* early: for packets that came since */
        if (now < neigh->until) {
            arm(neigh, neigh->until);
            fail_waiting(neigh, now);
            return;
        }
        break;
    case REACHABLE:
        if (now < neigh->until) /* confirmed since it was armed */
            arm(neigh, neigh->until);
        else
            become_stale(neigh, now);
        return;
    case DELAYED:
        neigh->state = PROBE;
        neigh->requests = 0;
        request(neigh, now);
        return;
    case PROBE:
        if (neigh->requests < REQUESTS) {
            request(neigh, now);
            return;
        }
        break;
    case NONE:
    case STALE:
    case FIXED:
        break;
    }
    neigh->pinned = true; /* whatever a failing socket does: not evicted before we are done with it */
    fail_waiting(neigh, now);
    release(neigh);
}

/* The oldest that nothing waits for makes room. */
static bool evict(struct gd_stack *stack)
{
    struct gd_list *link = stack->neigh_all.next;

    for (; link != &stack->neigh_all; link = link->next) {
        struct gd_neigh *neigh = GD_ENTRY(link, struct gd_neigh, link);

        if (neigh->pinned || neigh->nwaiting > 0)
            continue;
        release(neigh);
        return true;
    }
    return false;
}

static struct gd_neigh *make(struct gd_netif *netif, const struct gd_addr *addr)
{
    struct gd_stack *stack = netif->stack;
    struct gd_neigh *neigh = NULL;

    if (stack->neigh_count < GD_NEIGHS || evict(stack))
        neigh = calloc(1, sizeof *neigh);
    if (!neigh) {
        gd_count(&stack->stats, GD_STAT_neigh_drop_table_full);
        return NULL;
    }
    neigh->netif = netif;
    neigh->addr = *addr;
    gd_timer_init(&neigh->timer, fire);
    gd_table_insert(&stack->neighs, &neigh->node, hash_of(stack, netif, addr));
    gd_list_append(&stack->neigh_all, &neigh->link);
    stack->neigh_count++;
    return neigh;
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
    struct gd_neigh *neigh = find(netif, addr);
    uint8_t mac[GD_ETHER_MAC];

    if (neigh)
        return neigh;
    neigh = make(netif, addr);
    if (!neigh)
        return NULL;
    if (group_mac(netif, addr, mac)) {
        neigh->state = FIXED;
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
    if (neigh->nwaiting == WAITING) {
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
    case NONE:
        wait(neigh, frame);
        neigh->state = INCOMPLETE;
        neigh->requests = 0;
        request(neigh, now);
        return;
    case INCOMPLETE:
        wait(neigh, frame);
        return;
    case FAILED: /* reported by the timer, not from within the call that sends */
        wait(neigh, frame);
        arm(neigh, now);
        return;
    case STALE:
        neigh->state = DELAYED;
        arm(neigh, now + DELAY);
        break;
    case REACHABLE:
    case DELAYED:
    case PROBE:
    case FIXED:
        break;
    }
    transmit(neigh, frame);
}

static bool has_mac(const struct gd_neigh *neigh)
{
    return neigh->state == REACHABLE || neigh->state == STALE || neigh->state == DELAYED || neigh->state == PROBE;
}

void gd_neigh_confirm(struct gd_stack *stack, const struct gd_dst *dst, uint64_t now)
{
    struct gd_neigh *neigh = dst->neigh;

    if (dst->generation != stack->generation || !neigh || !has_mac(neigh))
        return;
    if (neigh->state == REACHABLE)
        neigh->until = now + neigh->reachable_time; /* the timer sees it when it fires */
    else
        become_reachable(neigh, now);
}

/* The MAC is known now: what waited leaves. */
static void release_waiting(struct gd_neigh *neigh, uint64_t now)
{
    struct gd_frame *waiting[WAITING];
    int n = neigh->nwaiting;

    memcpy(waiting, neigh->waiting, sizeof waiting);
    neigh->nwaiting = 0;
    for (int i = 0; i < n; i++)
        gd_neigh_output(neigh->netif->stack, neigh, waiting[i], now);
}

bool gd_neigh_heard(struct gd_netif *netif, const struct gd_addr *addr, const uint8_t *mac, enum gd_neigh_news news,
                    uint64_t now)
{
    struct gd_neigh *neigh = find(netif, addr);
    bool asked, changed;

    if (!neigh && news == GD_NEWS_ASKED) {
        neigh = make(netif, addr);
        if (!neigh)
            return false;
        /* Nothing of ours uses it yet: the first to go, so that a flood of questions evicts itself. */
        gd_list_remove(&neigh->link);
        gd_list_append(netif->stack->neigh_all.next, &neigh->link);
    }
    if (!neigh)
        return false;
    if (neigh->state == FIXED)
        return true;
    asked = neigh->state == INCOMPLETE || neigh->state == PROBE;
    changed = !has_mac(neigh) || !gd_mac_eq(neigh->mac, mac);
    memcpy(neigh->mac, mac, GD_ETHER_MAC);
    if (asked && news == GD_NEWS_ANSWER)
        become_reachable(neigh, now);
    else if (changed) /* believed, but not proven to hear us (RFC 4861 7.2.3) */
        become_stale(neigh, now);
    release_waiting(neigh, now);
    return true;
}

int gd_neigh_pin(struct gd_netif *netif, const struct gd_addr *addr, const uint8_t *mac, uint64_t now)
{
    struct gd_neigh *neigh = find(netif, addr);

    if (!neigh)
        neigh = make(netif, addr);
    if (!neigh)
        return -ENOMEM;
    gd_timer_cancel(&netif->stack->wheel, &neigh->timer);
    neigh->state = FIXED;
    neigh->pinned = true;
    memcpy(neigh->mac, mac, GD_ETHER_MAC);
    release_waiting(neigh, now);
    return 0;
}

void gd_neigh_forget(struct gd_stack *stack, const struct gd_netif *netif)
{
    struct gd_list *link = stack->neigh_all.next, *next;

    for (; link != &stack->neigh_all; link = next) {
        struct gd_neigh *neigh = GD_ENTRY(link, struct gd_neigh, link);

        next = link->next;
        if (!netif || neigh->netif == netif)
            release(neigh);
    }
}
