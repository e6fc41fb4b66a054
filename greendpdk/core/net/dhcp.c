/* The DHCP client of an interface (RFC 2131 4.4): an address for the time that a server lends it.
 * Called by Python through api.cdef.h, sock/dgram_input.c, net/arp.c and the wheel; calls wire/dhcp.c, net/dhcp_send.c,
 * net/dhcp_lease.c, net/arp.c.
 *
 *     INIT ── DISCOVER ──► SELECTING ── first usable OFFER, REQUEST ──► REQUESTING ── ACK ──► CHECKING ──► BOUND
 *      ▲  4, 8, 16, 32, 64 s, ±1 s, for ever │                             │ NAK,         3 ARP    │  ▲      │ T1
 *      │                                     ▼                             │ or 4 tries   probes   │  │ ACK  ▼
 *      ├─────────────────────────────────────┴─────────────────────────────┘                       │  ├── RENEWING
 *      ├── 10 s ◄── DECLINE ◄── somebody has the address (RFC 5227) ◄─────────────────────────────┘  │      │ T2
 *      └── NAK, or the lease is over: the address goes ◄─────────────────────────────────────────────┴── REBINDING
 *
 * An ACK in RENEWING or REBINDING that names another address leads to CHECKING as well, and the old one serves until then.
 * INIT-REBOOT is left out, as nothing is kept from one run to the next. The first offer that can be used is taken, and
 * nothing waits at random before the first DISCOVER: both as Linux's clients do. The probes come 200 ms apart and not 1
 * to 2 s (docs/decisions), as a program waits for them.
 */
#include "dhcp.h"
#include "../stack.h"

#include <errno.h>
#include <stdlib.h>

#define SECOND 1000000000ull
#define BACKOFF_FIRST 4u            /* RFC 2131 4.1 ... */
#define BACKOFF_MOST 64u            /* ... and doubled each time up to that */
#define REQUESTS 4u                 /* RFC 2131 3.1.5: after 60 s in all the server is given up */
#define RENEW_LEAST (60 * SECOND)   /* RFC 2131 4.4.5: half of what is left, down to a minute */
#define PROBES 3u                   /* RFC 5227 1.1 ... */
#define PROBE_EVERY (SECOND / 5)    /* ... but sooner one after the other */
#define ANNOUNCE_EVERY (2 * SECOND) /* RFC 5227 2.3: twice; the first when the address is added */
#define DECLINE_WAIT (10 * SECOND)  /* RFC 2131 3.1.5 */
#define NAK_WAIT_MOST 6u            /* 2^6 s between a NAK and the next DISCOVER; nobody makes us spin */

static void arm(struct gd_dhcp *dhcp, uint64_t at)
{
    gd_timer_set(&dhcp->netif->stack->wheel, &dhcp->timer, at);
}

/* 4, 8, 16, 32, 64, 64, ... s, each a second more or less at random. */
static uint64_t backoff(struct gd_dhcp *dhcp)
{
    uint64_t wait = dhcp->tries > 4 ? BACKOFF_MOST : BACKOFF_FIRST << (dhcp->tries - 1);
    uint32_t shake = gd_random_below(&dhcp->netif->stack->random, 2001); /* ms */

    return wait * SECOND + shake * (SECOND / 1000) - SECOND;
}

static void become(struct gd_dhcp *dhcp, uint8_t state)
{
    dhcp->state = state;
    dhcp->tries = 0;
}

static void begin_again(struct gd_dhcp *dhcp, uint64_t at)
{
    become(dhcp, GD_DHCP_INIT);
    arm(dhcp, at);
}

/* A new transaction: whoever answered the one before is late. */
static void open_transaction(struct gd_dhcp *dhcp, uint64_t now)
{
    dhcp->xid = (uint32_t)gd_random_next(&dhcp->netif->stack->random);
    dhcp->begun_at = dhcp->asked_at = now;
}

static void send_again(struct gd_dhcp *dhcp, enum gd_dhcp_type type, uint64_t now)
{
    dhcp->tries++;
    gd_dhcp_send(dhcp, type, now);
    arm(dhcp, now + backoff(dhcp));
}

/* Half of the time that is left, but not so often as to be a nuisance; the end of it in any case. */
static void ask_for_more(struct gd_dhcp *dhcp, uint64_t until, uint64_t now)
{
    uint64_t wait = until == GD_NEVER ? RENEW_LEAST : (until - now) / 2;

    gd_dhcp_send(dhcp, GD_DHCP_REQUEST, now);
    if (wait < RENEW_LEAST)
        wait = RENEW_LEAST;
    arm(dhcp, until == GD_NEVER || now + wait < until ? now + wait : until);
}

/* Until T1. */
static void rest(struct gd_dhcp *dhcp)
{
    if (dhcp->renew_at != GD_NEVER)
        arm(dhcp, dhcp->renew_at);
    else
        gd_timer_cancel(&dhcp->netif->stack->wheel, &dhcp->timer);
}

/* The lease that was granted comes into force, from when it was asked for. */
static void enter_bound(struct gd_dhcp *dhcp, uint64_t now)
{
    const struct gd_dhcp_lease *lease = &dhcp->offer;
    bool for_ever = lease->seconds == GD_DHCP_FOREVER, fresh;

    if (gd_dhcp_apply(dhcp, lease) < 0) {
        gd_count(&dhcp->netif->stack->stats, GD_STAT_dhcp_drop_unusable);
        begin_again(dhcp, now + DECLINE_WAIT);
        return;
    }
    dhcp->renew_at = for_ever ? GD_NEVER : dhcp->asked_at + lease->renew * SECOND;
    dhcp->rebind_at = for_ever ? GD_NEVER : dhcp->asked_at + lease->rebind * SECOND;
    dhcp->ends_at = for_ever ? GD_NEVER : dhcp->asked_at + lease->seconds * SECOND;
    dhcp->naks_in_row = 0;
    fresh = dhcp->state == GD_DHCP_CHECKING;
    become(dhcp, GD_DHCP_BOUND);
    if (fresh && now + ANNOUNCE_EVERY < dhcp->renew_at)
        arm(dhcp, now + ANNOUNCE_EVERY);
    else
        rest(dhcp);
}

static void probe(struct gd_dhcp *dhcp, uint64_t now)
{
    if (now >= dhcp->ends_at) /* of the lease before: no probe could be sent for long */
        gd_dhcp_drop(dhcp);
    if (dhcp->tries == PROBES) {
        enter_bound(dhcp, now);
        return;
    }
    if (gd_arp_probe(dhcp->netif, &dhcp->offer.address)) /* else silence would say nothing */
        dhcp->tries++;
    arm(dhcp, now + PROBE_EVERY);
}

static void renew(struct gd_dhcp *dhcp, uint64_t now)
{
    if (now >= dhcp->ends_at) {
        gd_dhcp_drop(dhcp);
        begin_again(dhcp, now);
    } else if (now >= dhcp->rebind_at) {
        become(dhcp, GD_DHCP_REBINDING);
        ask_for_more(dhcp, dhcp->ends_at, now);
    } else {
        ask_for_more(dhcp, dhcp->rebind_at, now);
    }
}

static void fire(struct gd_timer *timer, uint64_t now)
{
    struct gd_dhcp *dhcp = GD_ENTRY(timer, struct gd_dhcp, timer);

    switch (dhcp->state) {
    case GD_DHCP_INIT:
        open_transaction(dhcp, now);
        become(dhcp, GD_DHCP_SELECTING);
        send_again(dhcp, GD_DHCP_DISCOVER, now);
        return;
    case GD_DHCP_SELECTING:
        send_again(dhcp, GD_DHCP_DISCOVER, now);
        return;
    case GD_DHCP_REQUESTING:
        if (dhcp->tries == REQUESTS)
            begin_again(dhcp, now);
        else
            send_again(dhcp, GD_DHCP_REQUEST, now);
        return;
    case GD_DHCP_CHECKING:
        probe(dhcp, now);
        return;
    case GD_DHCP_BOUND:
        if (now < dhcp->renew_at) {
            gd_arp_announce(dhcp->netif, &dhcp->lease.address);
            rest(dhcp);
            return;
        }
        open_transaction(dhcp, now);
        become(dhcp, GD_DHCP_RENEWING);
        renew(dhcp, now);
        return;
    default:
        renew(dhcp, now);
    }
}

/* ---- what servers say ---- */

static void offered(struct gd_dhcp *dhcp, const struct gd_dhcp_message *message, uint64_t now)
{
    struct gd_stats *stats = &dhcp->netif->stack->stats;

    if (dhcp->state != GD_DHCP_SELECTING) { /* a second server's, or the first's again */
        gd_count(stats, GD_STAT_dhcp_drop_state);
        return;
    }
    dhcp->seen.offers++;
    if (!gd_dhcp_parse_lease(message, &dhcp->offer)) {
        dhcp->seen.unusable++;
        gd_count(stats, GD_STAT_dhcp_drop_unusable);
        return;
    }
    become(dhcp, GD_DHCP_REQUESTING);
    dhcp->asked_at = now;
    send_again(dhcp, GD_DHCP_REQUEST, now);
}

static void granted(struct gd_dhcp *dhcp, const struct gd_dhcp_message *message, uint64_t now)
{
    struct gd_stats *stats = &dhcp->netif->stack->stats;
    struct gd_dhcp_lease lease;

    if (!gd_dhcp_parse_lease(message, &lease)) {
        dhcp->seen.unusable++;
        gd_count(stats, GD_STAT_dhcp_drop_unusable);
        return;
    }
    dhcp->offer = lease;
    if (dhcp->bound && gd_addr_eq(&lease.address, &dhcp->lease.address)) {
        enter_bound(dhcp, now);
        return;
    }
    become(dhcp, GD_DHCP_CHECKING); /* RFC 2131 4.4.1; of another address in a renewal too: until then the old one serves */
    probe(dhcp, now);
}

/* RFC 2131 4.4.1, 4.4.5: the address may not be used; begin anew, and more slowly each time that comes again. */
static void refused(struct gd_dhcp *dhcp, uint64_t now)
{
    uint64_t wait = SECOND << (dhcp->naks_in_row < NAK_WAIT_MOST ? dhcp->naks_in_row : NAK_WAIT_MOST);

    dhcp->seen.naks++;
    dhcp->naks_in_row++;
    gd_count(&dhcp->netif->stack->stats, GD_STAT_dhcp_naks);
    gd_dhcp_drop(dhcp);
    begin_again(dhcp, now + wait);
}

/* Is it an answer to what was asked, by who was asked? REBINDING asks everybody. */
static bool concerns(struct gd_dhcp *dhcp, const struct gd_dhcp_message *message)
{
    struct gd_stats *stats = &dhcp->netif->stack->stats;
    const struct gd_addr *server = dhcp->state == GD_DHCP_REQUESTING ? &dhcp->offer.server : &dhcp->lease.server;

    if (message->xid != dhcp->xid || memcmp(message->mac, dhcp->netif->port->mac, 6) != 0) {
        gd_count(stats, GD_STAT_dhcp_drop_not_ours);
        return false;
    }
    if (message->type == GD_DHCP_OFFER)
        return true;
    if (dhcp->state != GD_DHCP_REQUESTING && dhcp->state != GD_DHCP_RENEWING && dhcp->state != GD_DHCP_REBINDING) {
        gd_count(stats, GD_STAT_dhcp_drop_state);
        return false;
    }
    if (!message->has_server || (dhcp->state != GD_DHCP_REBINDING && !gd_addr_eq(&message->server, server))) {
        gd_count(stats, GD_STAT_dhcp_drop_server);
        return false;
    }
    return true;
}

void gd_dhcp_input(struct gd_netif *netif, uint16_t from_port, const uint8_t *data, uint32_t len, uint64_t now)
{
    struct gd_stats *stats = &netif->stack->stats;
    struct gd_dhcp_message message;

    gd_count(stats, GD_STAT_dhcp_in);
    if (from_port != GD_DHCP_SERVER || !gd_dhcp_parse(data, len, &message)) {
        gd_count(stats, GD_STAT_dhcp_drop_malformed);
        return;
    }
    if (!concerns(netif->dhcp, &message))
        return;
    switch (message.type) {
    case GD_DHCP_OFFER:
        offered(netif->dhcp, &message, now);
        return;
    case GD_DHCP_ACK:
        granted(netif->dhcp, &message, now);
        return;
    case GD_DHCP_NAK:
        refused(netif->dhcp, now);
        return;
    default: /* a client's, or an option of later RFCs that we did not ask for */
        gd_count(stats, GD_STAT_dhcp_drop_state);
    }
}

/* RFC 5227 2.1.1: somebody has the address, or is about to take it. */
void gd_dhcp_hear_arp(struct gd_netif *netif, const struct gd_addr *sender, const struct gd_addr *target, uint64_t now)
{
    struct gd_dhcp *dhcp = netif->dhcp;

    if (!dhcp || dhcp->state != GD_DHCP_CHECKING)
        return;
    if (!gd_addr_eq(sender, &dhcp->offer.address) &&
        !(gd_addr_is_any(sender) && gd_addr_eq(target, &dhcp->offer.address)))
        return;
    dhcp->seen.conflicts++;
    gd_count(&netif->stack->stats, GD_STAT_dhcp_conflicts);
    gd_dhcp_drop(dhcp); /* the server has given it up for the new one */
    gd_dhcp_send(dhcp, GD_DHCP_DECLINE, now);
    begin_again(dhcp, now + DECLINE_WAIT);
}

/* ---- the caller's side ---- */

int gd_dhcp_start(struct gd_stack *stack, int ifindex, const char *hostname)
{
    struct gd_netif *netif = gd_netif_find(stack, ifindex);

    if (!netif)
        return -ENODEV;
    if (netif->port->caps & GD_CAP_LOOPBACK)
        return -EOPNOTSUPP;
    if (netif->dhcp)
        return -EALREADY;
    netif->dhcp = calloc(1, sizeof *netif->dhcp);
    if (!netif->dhcp)
        return -ENOMEM;
    netif->dhcp->netif = netif;
    if (hostname)
        strncpy(netif->dhcp->hostname, hostname, GD_DHCP_HOSTNAME);
    gd_timer_init(&netif->dhcp->timer, fire);
    begin_again(netif->dhcp, stack->now);
    return 0;
}

void gd_dhcp_free(struct gd_netif *netif)
{
    if (!netif->dhcp)
        return;
    gd_timer_cancel(&netif->stack->wheel, &netif->dhcp->timer);
    free(netif->dhcp);
    netif->dhcp = NULL;
}

int gd_dhcp_stop(struct gd_stack *stack, int ifindex)
{
    struct gd_netif *netif = gd_netif_find(stack, ifindex);

    if (!netif)
        return -ENODEV;
    if (!netif->dhcp)
        return -ENOENT;
    if (netif->dhcp->bound)
        gd_dhcp_send(netif->dhcp, GD_DHCP_RELEASE, stack->now);
    gd_dhcp_drop(netif->dhcp);
    gd_dhcp_free(netif);
    return 0;
}
