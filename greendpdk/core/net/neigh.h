/* What neighbour.c and arp.c tell each other. Called by net/ only. */
#ifndef GD_NET_NEIGH_H
#define GD_NET_NEIGH_H
#include "net.h"

/* What an ARP packet says about its sender. */
enum gd_neigh_news {
    GD_NEWS_SEEN,   /* it exists: update an entry, make none (RFC 826, "merge flag") */
    GD_NEWS_ASKED,  /* it asked for us, and so will hear from us: make an entry */
    GD_NEWS_ANSWER, /* it answered us */
};

/* True if an entry was updated or made. */
bool gd_neigh_heard(struct gd_netif *netif, const struct gd_addr *addr, const uint8_t *mac, enum gd_neigh_news news,
                    uint64_t now);
/* An entry for good. 0, -ENOMEM. */
int gd_neigh_pin(struct gd_netif *netif, const struct gd_addr *addr, const uint8_t *mac, uint64_t now);
#endif
