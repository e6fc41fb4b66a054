/* What an interface knows by neighbour discovery (RFC 4861, RFC 4862), and what nd.c, dad.c, router.c and slaac.c tell
 * each other. Included by net/net.h.
 *
 *     enable ──► link-local address ──► DAD ──► ours ──► (with autoconf) router solicitation ──► advertisement
 *                                                              │ again, later and later          │
 *     one timer an interface does all of it                    └─────────────────────────────────┴─► routes, addresses
 */
#ifndef GD_NET_ND_H
#define GD_NET_ND_H
#include "../util/addr.h"
#include "../util/timer.h"

/* Small and fixed: who floods us with advertisements fills these and no more. */
#define GD_ND_ROUTERS 4
#define GD_ND_PREFIXES 8 /* on-link prefixes that routers told us of */
#define GD_ND_SERVERS 3  /* name servers, as many as resolv.conf(5) takes */
#define GD_ND_NONCE 6u   /* RFC 3971 5.3.2 */

struct gd_netif;
struct gd_packet;
struct gd_ifaddr;

struct gd_nd_router {
    struct gd_addr addr;
    uint64_t until;    /* it is a default router, so long */
    int8_t preference; /* RFC 4191 2.1: -1, 0, 1 */
    bool silent;       /* it did not answer a neighbour solicitation, and has said nothing since */
};

struct gd_nd_prefix {
    struct gd_addr addr;
    uint8_t bits;
    uint64_t until;
};

struct gd_nd_server {
    struct gd_addr addr;
    uint64_t until;
};

struct gd_nd {
    bool on;                           /* IPv6 runs on this interface */
    bool autoconf;                     /* routers are asked, and believed */
    uint8_t hops;                      /* 0: the default */
    uint32_t mtu;                      /* 0: the port's */
    uint32_t reachable_ms, retrans_ms; /* 0: the defaults */
    struct gd_timer timer;
    uint64_t solicit_at, solicit_wait; /* the next router solicitation; GD_NEVER: none is due */
    bool has_gateway;
    struct gd_addr gateway; /* of the route ::/0 that follows the best router */
    int nrouters, nprefixes, nservers;
    struct gd_nd_router routers[GD_ND_ROUTERS]; /* who fell silent last stands last */
    struct gd_nd_prefix prefixes[GD_ND_PREFIXES];
    struct gd_nd_server servers[GD_ND_SERVERS];
};

/* dad.c: addresses of ours become ours, and stay it */
/* Switches IPv6 on: a link-local address, unless there is one. 0, -ENOSPC, -EINVAL (the MTU is below 1,280); nothing where
 * there is no Ethernet. */
int gd_nd_enable(struct gd_netif *netif, uint64_t now);
/* The same, and routers are asked as soon as there is an address to ask from. */
int gd_nd_autoconf(struct gd_netif *netif, uint64_t now);
/* Forgets all of it: the interface goes. */
void gd_nd_disable(struct gd_netif *netif);
/* A new address of the interface's list is tentative until nobody has objected for a second (RFC 4862 5.4). */
void gd_dad_start(struct gd_netif *netif, struct gd_ifaddr *own, uint64_t at);
/* An address that has left the list: its solicited-node group goes with it. */
void gd_dad_forget(struct gd_netif *netif, const struct gd_ifaddr *gone);
/* Somebody else has it, or says so. */
void gd_dad_conflict(struct gd_netif *netif, struct gd_ifaddr *own, uint64_t now);
/* The interface's identifier, made of its MAC (RFC 4291 appendix A): the last eight bytes of an address. */
void gd_nd_identifier(const struct gd_netif *netif, struct gd_addr *addr);
/* The timer is due at that time, at the latest. */
void gd_nd_wake_at(struct gd_netif *netif, uint64_t at);

/* nd.c: the messages */
struct gd_nd_message {
    uint8_t type;
    uint32_t rest; /* the second word */
    const struct gd_addr *src, *dst;
    const struct gd_addr *target; /* NULL: none */
    const uint8_t *to_mac;        /* NULL: dst is a group */
    uint8_t option;               /* the kind that carries our MAC; 0: none */
    const uint8_t *nonce;         /* NULL: none */
};
/* False: there is no Ethernet, no frame, or no room (counted). */
bool gd_nd_send(struct gd_netif *netif, const struct gd_nd_message *message);
/* Asks for a neighbour. to_mac NULL: its solicited-node group. */
void gd_nd_solicit(struct gd_netif *netif, const struct gd_addr *target, const uint8_t *to_mac);
/* Says, unasked, that an address is ours. */
void gd_nd_announce(struct gd_netif *netif, const struct gd_addr *addr);
/* Any of the five, its checksum right. */
void gd_nd_input(struct gd_netif *netif, const struct gd_packet *packet, uint64_t now);
/* ff02::1:ffXX:XXXX (RFC 4291 2.7.1) */
struct gd_addr gd_nd_solicited_group(const struct gd_addr *addr);

/* router.c and slaac.c: what routers say */
/* When a lifetime in seconds is over; all ones are for ever (RFC 4861 4.6.2). */
static inline uint64_t gd_nd_end_of(uint32_t lifetime_s, uint64_t now)
{
    return lifetime_s == UINT32_MAX ? GD_NEVER : now + lifetime_s * 1000000000ull;
}
void gd_router_advert(struct gd_netif *netif, const struct gd_packet *packet, uint64_t now);
/* The timer's share: returns when it is due again. */
uint64_t gd_router_run(struct gd_netif *netif, uint64_t now);
/* A neighbour answered, or did not; or says that it is no router any more. Nothing if it never was one of ours. */
void gd_router_heard(struct gd_netif *netif, const struct gd_addr *addr);
void gd_router_silent(struct gd_netif *netif, const struct gd_addr *addr);
void gd_router_resigned(struct gd_netif *netif, const struct gd_addr *addr);
void gd_slaac_prefix(struct gd_netif *netif, const struct gd_addr *prefix, uint32_t preferred_s, uint32_t valid_s,
                     uint64_t now);
uint64_t gd_slaac_run(struct gd_netif *netif, uint64_t now);
#endif
