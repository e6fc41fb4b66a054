/* A datagram socket, and what the files of datagram sockets tell each other. Included by sock/dgram*.c only. */
#ifndef GD_SOCK_DGRAM_H
#define GD_SOCK_DGRAM_H
#include "../stack.h"
#include "control.h"
#include "errors.h"

/* What stands before a datagram in the queue. */
struct gd_record {
    struct gd_endpoint from;
    uint16_t len;
    uint32_t dropped; /* datagrams that had found no room by then */
    struct gd_facts facts;
};

/* One that comes in. */
struct gd_udp_datagram {
    struct gd_endpoint local, remote;
    struct gd_gather data;
    struct gd_netif *netif;
    uint8_t ttl, tos;
};

/* Where datagrams go, and how. */
struct gd_aim {
    struct gd_addr to;
    struct gd_addr source; /* ::, the one that is bound, or the best */
    int only;              /* by that interface; 0: as the routes say */
    bool direct;           /* by no router */
};

#define GD_UDP_BUFFER 212992u /* Linux's net.core.rmem_default and wmem_default */
#define GD_MEMBERSHIPS 20 /* Linux's igmp_max_memberships */

/* What a filter lists. */
struct gd_source_list {
    uint32_t count;
    struct gd_addr at[GD_SOURCES];
};

struct gd_membership {
    struct gd_addr group; /* without an interface in it */
    int ifindex;
    bool include;                /* the listed sources alone, else all but them (RFC 3376 2) */
    struct gd_source_list *list; /* owned; NULL until the first */
};

/* How a socket sends to groups, and what it hears of them: IP_MULTICAST_... and IPV6_MULTICAST_... */
struct gd_multicast {
    int ifindex; /* 0: as the routes say */
    struct gd_addr source;
    uint8_t ttl;
    bool loop; /* own datagrams are for members of this host too */
    bool all;  /* it hears groups that only others have joined */
};

struct gd_udp {
    struct gd_sock sock; /* first: the handle points at it */
    struct gd_buffer queue;
    struct gd_timer retry; /* armed: the device took no more, writers wait */
    struct gd_aim aim;     /* what sock.dst leads to */
    struct gd_addr src;    /* the source address chosen for it, while no address is bound */
    bool to_all;           /* and that is a broadcast address */
    bool connected;
    uint32_t dropped;      /* datagrams that found no room */
    int nmemberships;
    struct gd_membership *memberships; /* owned; NULL until the first join */
    struct gd_multicast multicast[2];  /* of IPv4, of IPv6 */
    struct gd_cork *cork; /* owned; NULL: no datagram waits to be longer */
};

static inline struct gd_udp *gd_udp_of(struct gd_sock *sock)
{
    return (struct gd_udp *)(void *)sock;
}

/* dgram_group.c */
/* 0, -EADDRINUSE (twice), -ENOBUFS (too many), -ENOMEM. */
int gd_udp_join(struct gd_udp *udp, const struct gd_addr *group, struct gd_netif *netif);
/* 0, -EADDRNOTAVAIL. */
int gd_udp_leave(struct gd_udp *udp, const struct gd_addr *group, const struct gd_netif *netif);
void gd_udp_leave_all(struct gd_udp *udp);
/* Is it for this socket, as far as memberships go? */
bool gd_udp_hears(const struct gd_udp *udp, const struct gd_udp_datagram *datagram);
struct gd_membership *gd_udp_membership(const struct gd_udp *udp, const struct gd_addr *group, int ifindex);
/* A place for one more, of nobody's traffic yet. 0, -ENOBUFS, -ENOMEM. */
int gd_udp_new_membership(struct gd_udp *udp, const struct gd_addr *group, int ifindex, struct gd_membership **out);

/* dgram_source.c: whose datagrams to a group a socket wants (RFC 3376 3.1, RFC 3678 4) */
/* One source more or less in the list of a membership of that mode, as Linux's ip_mc_source. 0; -EINVAL (no member, or of
 * the other mode), -EADDRNOTAVAIL (it is there, or is not), -ENOBUFS (too many), -ENOMEM. */
int gd_udp_source(struct gd_udp *udp, const struct gd_addr *group, struct gd_netif *netif, const struct gd_addr *source,
                  bool include, bool add);
/* Joins, unless that was done, and adds a source to those wanted. As gd_udp_source. */
int gd_udp_join_source(struct gd_udp *udp, const struct gd_addr *group, struct gd_netif *netif,
                       const struct gd_addr *source);
/* The whole list at once (Linux's ip_mc_msfilter); to include nobody is to leave. */
int gd_udp_filter(struct gd_udp *udp, const struct gd_addr *group, struct gd_netif *netif,
                  const struct gd_source_list *list, bool include);
/* Out of it, with its list; the interface hears of it. */
void gd_udp_end_membership(struct gd_udp *udp, struct gd_membership *membership);
bool gd_membership_wants(const struct gd_membership *membership, const struct gd_addr *source);
/* gd_udp_aim at a group, by the interface that IP_MULTICAST_IF named. */
int gd_udp_aim_group(struct gd_udp *udp, const struct gd_addr *to);

/* dgram_input.c */
/* A datagram to a group or everybody, to all sockets of ours that hear it; returns how many would. */
uint32_t gd_udp_deliver(const struct gd_udp_datagram *datagram);

/* dgram_output.c */
/* The longest packet to there that may go in one piece; sock.dst leads there. */
uint32_t gd_udp_mtu(struct gd_udp *udp, const struct gd_addr *to);
/* The address that datagrams to `to` really go to. */
struct gd_addr gd_udp_destination(const struct gd_addr *to);
/* Points sock.dst and the source address there; nothing to do when the last datagram went there too. 0, -errno. */
int gd_udp_aim(struct gd_udp *udp, const struct gd_aim *aim);
/* As the socket's own options say. */
struct gd_aim gd_udp_aim_of(const struct gd_udp *udp, const struct gd_addr *to);
/* Routers and the interface may not cut a datagram to there: it is no longer than gd_udp_mtu. */
bool gd_udp_must_fit(const struct gd_udp *udp, const struct gd_addr *to);
/* One datagram, from a socket that is bound. Its length, or -errno; -EAGAIN: GD_WRITE says when to try again. */
int64_t gd_udp_emit(struct gd_udp *udp, const struct gd_gather *data, const struct gd_endpoint *to, int flags,
                    const struct gd_wishes *wishes);

/* dgram_cork.c: a datagram that is made by several sends (MSG_MORE, UDP_CORK) */
/* The first part of one. What gd_udp_cork_append returns. */
int64_t gd_udp_cork_begin(struct gd_udp *udp, const struct gd_gather *data, const struct gd_endpoint *to, int flags,
                          const struct gd_wishes *wishes);
/* The next part; more: it is not the last. Bytes taken; -EAGAIN (the last one again), or -errno, and all parts are lost. */
int64_t gd_udp_cork_append(struct gd_udp *udp, const struct gd_gather *data, bool more);
void gd_udp_cork_drop(struct gd_udp *udp);
#endif
