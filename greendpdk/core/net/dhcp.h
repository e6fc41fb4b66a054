/* One interface's DHCP client, and what dhcp.c, dhcp_send.c and dhcp_lease.c tell each other. Called by net/ only. */
#ifndef GD_NET_DHCP_H
#define GD_NET_DHCP_H
#include "../wire/dhcp.h"
#include "net.h"

#define GD_DHCP_HOSTNAME 63u /* RFC 1035 2.3.4, one label */

struct gd_dhcp {
    struct gd_netif *netif;
    struct gd_timer timer; /* the one of the state, dhcp.c draws it */
    uint8_t state;         /* GD_DHCP_ of api.cdef.h */
    bool bound;            /* lease is in force: its address and routes are the interface's */
    bool borrowed;         /* the address was there already, set by hand: it stays when the lease goes */
    uint32_t xid;
    uint32_t tries; /* messages of this state sent, or probes */
    uint32_t naks_in_row;
    uint64_t begun_at; /* what `secs` counts from */
    uint64_t asked_at; /* when the request that was granted was first sent: a lease runs from then (RFC 2131 4.4.5) */
    uint64_t renew_at, rebind_at, ends_at; /* GD_NEVER: the lease lasts for ever */
    struct gd_dhcp_lease lease;            /* in force, if bound */
    struct gd_dhcp_lease offer;            /* offered or granted, not yet in force */
    struct gd_dhcp_status seen;            /* counts, and `changes`; the rest is filled in when asked for */
    char hostname[GD_DHCP_HOSTNAME + 1];   /* "": none */
};

/* dhcp_send.c: by broadcast from 0.0.0.0 while there is no lease; RENEWING and RELEASE by unicast to the server. */
void gd_dhcp_send(struct gd_dhcp *dhcp, enum gd_dhcp_type type, uint64_t now);

/* dhcp_lease.c */
/* Puts the lease in force in the place of the one before, if anything is new. 0, -ENOSPC: no room for its address. */
int gd_dhcp_apply(struct gd_dhcp *dhcp, const struct gd_dhcp_lease *lease);
/* Takes its address and routes away. Legal while none is in force. */
void gd_dhcp_drop(struct gd_dhcp *dhcp);
#endif
