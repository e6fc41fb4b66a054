/* One neighbour, and what neigh_table.c, neighbour.c and arp.c tell each other. Called by net/ only. */
#ifndef GD_NET_NEIGH_H
#define GD_NET_NEIGH_H
#include "../wire/ether.h"
#include "net.h"

#define GD_NEIGH_ASKING 128u /* asked for at one time: a second's worth of new neighbours, and of frames that wait */
#define GD_NEIGH_WAITING 8 /* RFC 1122 2.3.2.2 asks for at least one */

/* neighbour.c draws them. */
enum gd_neigh_state {
    GD_NEIGH_NONE,
    GD_NEIGH_INCOMPLETE,
    GD_NEIGH_REACHABLE,
    GD_NEIGH_STALE,
    GD_NEIGH_DELAYED,
    GD_NEIGH_PROBE,
    GD_NEIGH_FAILED,
    GD_NEIGH_FIXED,
};

struct gd_neigh {
    struct gd_node node;  /* stack->neighs */
    struct gd_list link;  /* stack->neigh_all */
    struct gd_list asking; /* stack->neigh_asking, until its MAC is known */
    struct gd_timer timer;
    struct gd_netif *netif;
    struct gd_addr addr;
    uint8_t mac[GD_ETHER_MAC];
    enum gd_neigh_state state;
    bool pinned; /* by hand: never evicted */
    int requests;
    int nwaiting;
    struct gd_frame *waiting[GD_NEIGH_WAITING]; /* owned; oldest first */
    uint64_t until;          /* REACHABLE or FAILED, so long */
    uint64_t reachable_time; /* this entry's own */
};

/* neigh_table.c */
/* NULL: there is none. */
struct gd_neigh *gd_neigh_find(const struct gd_netif *netif, const struct gd_addr *addr);
/* A new one, youngest, in state NONE and without a timer armed; NULL: the table is full of entries in use (counted). */
struct gd_neigh *gd_neigh_make(struct gd_netif *netif, const struct gd_addr *addr, gd_timer_fn *fire);
/* Its MAC is known: nobody asks for it any more. Legal if that was so before. */
void gd_neigh_settle(struct gd_neigh *neigh);
/* Frees it and the frames that wait. */
void gd_neigh_release(struct gd_neigh *neigh);

/* neighbour.c */
/* What an ARP packet, or a neighbour solicitation, says about its sender. */
enum gd_neigh_news {
    GD_NEWS_SEEN,   /* it exists: update an entry, make none (RFC 826, "merge flag") */
    GD_NEWS_ASKED,  /* it asked for us, and so will hear from us: make an entry */
    GD_NEWS_ANSWER, /* it answered us */
};

/* True if an entry was updated or made. */
bool gd_neigh_heard(struct gd_netif *netif, const struct gd_addr *addr, const uint8_t *mac, enum gd_neigh_news news,
                    uint64_t now);
/* A neighbour advertisement about addr, by the rules of RFC 4861 7.2.5. mac NULL: it has none; flags: GD_ND_. False: there
 * is no entry, or none that it could help. */
bool gd_neigh_advertised(struct gd_netif *netif, const struct gd_addr *addr, const uint8_t *mac, uint32_t flags,
                         uint64_t now);
bool gd_neigh_has_mac(const struct gd_neigh *neigh);
/* An entry for good. 0, -ENOMEM. */
int gd_neigh_pin(struct gd_netif *netif, const struct gd_addr *addr, const uint8_t *mac, uint64_t now);
#endif
