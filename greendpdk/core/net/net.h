/* The network layer's contract: interfaces, packets in, packets out, routes, neighbours.
 * Called by stack.c, tcp/, sock/; calls port/.
 */
#ifndef GD_NET_NET_H
#define GD_NET_NET_H
#include "../port/port.h"
#include "../util/addr.h"
#include "../util/gather.h"
#include "../util/table.h"
#include "../util/timer.h"
#include "group.h"
#include "nd.h"

#define GD_IFADDRS 16
#define GD_IFNAME 32
#define GD_TX_QUEUE 256 /* frames an interface holds for its port; more is back-pressure (-ENOBUFS) */

#define GD_TTL 64           /* RFC 1700, Linux's net.ipv4.ip_default_ttl */
#define GD_TTL_DEFAULT (-1)

struct gd_neigh;
struct gd_dhcp;

struct gd_ifaddr {
    struct gd_addr addr;
    uint8_t prefix_length; /* of the family's own length: 0..32 for v4, 0..128 for v6 */
    bool tentative;        /* not yet known to be nobody else's (RFC 4862 5.4): no source, and not ours */
    bool duplicate, asked; /* while it is tentative: it is somebody else's; we have asked */
    bool made;             /* by ourselves, not set by hand: goes with its lifetime */
    bool deprecated;       /* its preferred lifetime is over (RFC 4862 5.5.4): a source only if there is no other */
    uint8_t nonce[GD_ND_NONCE]; /* of our last question (RFC 7527) */
    uint64_t defended_at;       /* when it was last defended against another host; 0: never */
    uint64_t dad_at;            /* when the question is due, or its answer's time is over */
    uint64_t preferred_until, valid_until;
};

struct gd_netif {
    struct gd_stack *stack;
    struct gd_port *port; /* owned */
    int index;            /* > 0 */
    char name[GD_IFNAME];
    int naddrs;
    struct gd_ifaddr addrs[GD_IFADDRS];
    int ngroups;
    struct gd_group groups[GD_GROUPS];
    struct gd_reporter reporters[2]; /* of IPv4, of IPv6 */
    bool groups_closed;              /* by gd_group_close */
    int ntx;
    struct gd_frame *tx[GD_TX_QUEUE]; /* owned until the port takes them */
    uint64_t rx_frames, rx_bytes, tx_frames, tx_bytes;
    bool csum_lies;       /* the port has called a wrong checksum right: it is believed no more */
    uint32_t mtu4;        /* of IPv4, less than the port's, as DHCP says; 0: the port's */
    struct gd_dhcp *dhcp; /* owned; NULL: no client runs here */
    struct gd_nd nd;
};

/* One received IP packet. It and what it points at live until the input function returns. */
struct gd_packet {
    struct gd_netif *netif;
    struct gd_addr src, dst;
    const uint8_t *ip; /* the IP header, ip_len bytes, then the payload (for an ICMP error's quote) */
    uint32_t ip_len;
    const uint8_t *l4; /* the transport header on */
    uint32_t l4_len;   /* IP's padding cut off */
    uint32_t next_at;  /* IPv6: where in ip the byte stands that names proto */
    uint8_t proto, ttl, tos;
    bool l4_csum_ok;   /* checked by the port */
    bool l4_csum_doubt; /* the same, but looked at as a sample */
    bool whole;        /* came with fragment headers: put together, or in one that is all of it */
    bool to_group;     /* broadcast or multicast, on Ethernet or IP: no RST, no ICMP error (RFC 1122 3.2.2) */
};

/* Where packets of one flow go; a cache inside the flow, found anew when the stack's generation moves on. */
struct gd_dst {
    uint64_t generation; /* 0: never resolved; 64 bits, as a peer that floods us with ARP can make it move */
    struct gd_netif *netif;
    struct gd_neigh *neigh; /* NULL on loopback; valid as long as generation is current */
    uint32_t mtu;
    uint32_t label, label_ports; /* IPv6: the flow label, and the ports that it was made for; 0: none yet */
    int only;      /* by that interface alone (SO_BINDTODEVICE); 0: as the routes say. Stays when it is found anew */
    bool direct;   /* to neighbours alone, by no router (SO_DONTROUTE). Stays too */
    bool no_label; /* IPv6 without a flow label (IPV6_AUTOFLOWLABEL off). Stays too */
};

struct gd_pmtu {
    struct gd_addr addr;
    uint32_t mtu;
    uint64_t until;
};

/* A packet being built: the caller writes a transport header and data to l4, at most room bytes. */
struct gd_out {
    struct gd_frame *frame;
    struct gd_dst *dst;
    uint8_t *l4;
    uint32_t room;
};

struct gd_ip_fields {
    const struct gd_addr *src, *dst;
    uint8_t proto, tos; /* tos: the traffic class in IPv6 */
    int16_t ttl;        /* the hop limit in IPv6; GD_TTL_DEFAULT: as the interface has it */
    bool df;            /* IPv4 only; IPv6 has no other way */
    bool no_check;      /* UDP over IPv4 without a checksum (SO_NO_CHECK) */
};

/* ---- config.c: what stack.c calls ---- */
/* Tables and lists of this layer, into a zeroed stack with its keys set. 0, -ENOMEM. */
int gd_net_init(struct gd_stack *stack);
/* Neighbours with their waiting frames, routes, tables; legal after a failed gd_net_init. Interfaces live still. */
void gd_net_free(struct gd_stack *stack);
/* A route, address or neighbour went or came: every struct gd_dst is found anew. */
void gd_net_changed(struct gd_stack *stack);
/* By index; NULL: none. */
struct gd_netif *gd_netif_find(struct gd_stack *stack, int ifindex);

/* ---- ether.c: frames ---- */
/* A frame to fill, or NULL (counted). */
struct gd_frame *gd_netif_alloc(struct gd_netif *netif);
/* Takes the frame to the interface's queue; drops and counts it when that is full. */
void gd_netif_queue(struct gd_netif *netif, struct gd_frame *frame);
void gd_netif_give(struct gd_netif *netif, struct gd_frame *frame); /* back to the port */
/* Gives back what is queued: before the port is closed. */
void gd_netif_discard(struct gd_netif *netif);
/* Receives bursts on one interface; returns the count of frames taken. */
int gd_netif_receive(struct gd_netif *netif, int rounds, uint64_t now);
/* Hands queued frames to the port; what it refuses stays queued. */
void gd_netif_flush(struct gd_netif *netif, uint64_t now);

/* ---- ip.c: packets out, either family ---- */
/* Fills dst. 0, -ENETUNREACH, -ENOBUFS (no room for one more neighbour). O(1) while the generation stands. */
int gd_dst_resolve(struct gd_stack *stack, struct gd_dst *dst, const struct gd_addr *to);
/* The same by an interface and next hop that the caller has chosen. 0, -ENOBUFS. */
int gd_dst_by(struct gd_dst *dst, struct gd_netif *netif, const struct gd_addr *next_hop);
/* The same, for a packet from that source, which must be an address of ours. */
int gd_ip_resolve(struct gd_stack *stack, struct gd_dst *dst, const struct gd_ip_fields *fields);
/* Begins a packet. 0, -ENETUNREACH, -ENOBUFS (no frame or queue full: try again next turn). */
int gd_ip_begin(struct gd_stack *stack, struct gd_dst *dst, const struct gd_ip_fields *fields, struct gd_out *out);
/* Ends it: writes IP and link headers, the transport checksum (its field must be zero), queues the frame, or leaves it
 * with the neighbour until that answers. The frame is no longer the caller's. */
void gd_ip_end(struct gd_stack *stack, const struct gd_ip_fields *fields, struct gd_out *out, uint32_t l4_len);
/* Gives up a packet that was begun. */
void gd_ip_cancel(struct gd_out *out);

/* ---- fragment.c, pmtu.c: packets out that are longer than the path takes ---- */
#define GD_L4_HEAD 8u /* UDP's header, and ICMP's */
/* Sends a head of 8 bytes, with its checksum, and the data in fragments of at most mtu bytes. All or nothing:
 * 0, -ENOBUFS (no room now), -EAGAIN (the neighbour is being asked), -EHOSTUNREACH (it did not answer), -EMSGSIZE (more
 * fragments than the queue has places), -ENETUNREACH. */
int gd_ip_fragment(struct gd_stack *stack, struct gd_dst *dst, const struct gd_ip_fields *fields, uint32_t mtu,
                   const uint8_t *head, const struct gd_gather *data);
/* A router said that no more than mtu bytes pass to that address. The caller has seen to it that we sent something. */
void gd_pmtu_learn(struct gd_stack *stack, const struct gd_addr *to, uint32_t mtu);
/* The longest packet to there, where dst leads: the interface's MTU, or less if a router said so lately. */
uint32_t gd_path_mtu(struct gd_stack *stack, const struct gd_dst *dst, const struct gd_addr *to);

/* The interface that owns addr (loopback for 127/8 and ::1), or NULL. */
struct gd_netif *gd_ip_local(struct gd_stack *stack, const struct gd_addr *addr);
/* Where packets to an address leave by, and what to ask a neighbour for; only: by that interface, 0: by any.
 * 0, -ENETUNREACH, -ENODEV, -EINVAL (an address of another link than only's). */
int gd_ip_path(struct gd_stack *stack, const struct gd_addr *to, int only, struct gd_netif **netif,
               struct gd_addr *next_hop);
/* The interface's own address of that value, tentative or not; NULL: it has none such. config.c */
struct gd_ifaddr *gd_netif_own(struct gd_netif *netif, const struct gd_addr *addr);
/* Another host uses this one: keep it, and say so, but at most every 10 s (RFC 5227 2.4 b). True: say so now. */
bool gd_ifaddr_defend(struct gd_ifaddr *own, uint64_t now);
/* True if the address lies within prefix/bits (of the 128). */
bool gd_ip_within(const struct gd_addr *addr, const struct gd_addr *prefix, uint32_t bits);
/* 255.255.255.255, or the broadcast address of a subnet of that interface. */
bool gd_ip4_broadcast(const struct gd_netif *netif, const struct gd_addr *addr);
/* ... of any interface. */
bool gd_ip4_any_broadcast(const struct gd_stack *stack, const struct gd_addr *addr);
/* The header of a packet that is total_len long, its checksum filled in unless the port does that. */
void gd_ip4_header(struct gd_stack *stack, struct gd_frame *frame, const struct gd_ip_fields *fields,
                   uint32_t total_len, bool checksum);
/* The same for IPv6, which has no checksum. payload_len: all that follows the header. */
void gd_ip6_header(const struct gd_netif *netif, struct gd_frame *frame, const struct gd_ip_fields *fields,
                   uint32_t payload_len, uint32_t label);
/* The flow label of a packet whose transport header is at l4 (RFC 6437); kept in dst. */
uint32_t gd_ip6_label(struct gd_stack *stack, struct gd_dst *dst, const struct gd_ip_fields *fields, const uint8_t *l4);
/* Of IP's own header, without options: 20 or 40. */
static inline uint32_t gd_ip_header_len(const struct gd_addr *dst)
{
    return gd_addr_is_v4(dst) ? 20 : 40;
}
/* To be told of a TCP or UDP checksum that is wrong: the port may have called it right, and is believed no more. */
void gd_checksum_is_wrong(const struct gd_packet *packet);
/* Sum of the pseudo header, to go on with by gd_checksum_add (RFC 9293 3.1, RFC 8200 8.1). */
uint64_t gd_ip_pseudo(const struct gd_addr *src, const struct gd_addr *dst, uint8_t proto, uint32_t l4_len);

/* ---- packets in ---- */
void gd_ip4_input(struct gd_netif *netif, const uint8_t *data, uint32_t len, uint32_t rx_flags, bool to_group,
                  uint64_t now);
void gd_ip6_input(struct gd_netif *netif, const uint8_t *data, uint32_t len, uint32_t rx_flags, bool to_group,
                  uint64_t now);
/* An address as it stands in a packet of that interface, with the interface in it. On the loopback the addresses of every
 * interface come by, and have it in them already. */
static inline struct gd_addr gd_ip6_scoped(const struct gd_netif *netif, const struct gd_addr *addr)
{
    return netif->port->caps & GD_CAP_LOOPBACK ? *addr : gd_addr_on(addr, netif->index);
}
/* ip6_ext.c. The rest of a packet whose proto may be an extension header's; whole, or put together again. */
void gd_ip6_deliver(struct gd_stack *stack, struct gd_packet *packet, uint64_t now);
/* Where the transport header begins in a packet of at least 40 bytes, cut short or not, and its protocol; 0: nowhere. */
uint32_t gd_ip6_skip(const uint8_t *data, uint32_t len, uint8_t *proto);
/* ip6_fragment.c. A fragment of a larger packet: proto is GD_IP6_FRAGMENT, l4 its header. Takes nothing over. */
void gd_ip6_fragment_input(struct gd_stack *stack, const struct gd_packet *packet, uint64_t now);
void gd_icmp6_input(struct gd_stack *stack, const struct gd_packet *packet, uint64_t now);
/* Parameter problem about the byte at that offset of the packet; even_group: also where it was for many (RFC 4443 2.4). */
void gd_icmp6_parameter(struct gd_stack *stack, const struct gd_packet *packet, uint8_t code, uint32_t at,
                        bool even_group, uint64_t now);
void gd_icmp6_unreachable(struct gd_stack *stack, const struct gd_packet *packet, uint8_t code, uint64_t now);
void gd_icmp6_time_exceeded(struct gd_stack *stack, const struct gd_packet *packet, uint8_t code, uint64_t now);
void gd_icmp4_input(struct gd_stack *stack, const struct gd_packet *packet, uint64_t now);
/* icmp_limit.c. One token of the bucket that all errors of both families share, and one of the host's that it is for;
 * false: there is none (counted). */
bool gd_icmp_may_send(struct gd_stack *stack, const struct gd_netif *netif, const struct gd_addr *to, uint64_t now);
/* Sends destination unreachable with that code of IPv4's about packet, under the rate limit (RFC 1812 4.3.2.8). */
void gd_icmp_unreachable(struct gd_stack *stack, const struct gd_packet *packet, uint8_t code, uint64_t now);
/* About the first fragment of a datagram whose others did not come (RFC 792, RFC 8200 4.5), as it came. */
void gd_icmp_reassembly_timeout(struct gd_stack *stack, const struct gd_packet *packet, uint64_t now);
void gd_udp_input(struct gd_stack *stack, const struct gd_packet *packet, uint64_t now);  /* sock/dgram_input.c */
void gd_tcp_input(struct gd_stack *stack, const struct gd_packet *packet, uint64_t now);  /* tcp/input.c */

/* An ICMP error, or a neighbour that does not answer, about a packet we sent from `local` to `remote`.
 * hard: RFC 1122 4.2.3.9. seq: TCP's, to be checked against the window (RFC 5927). mtu > 0: fragmentation needed. */
struct gd_icmp_error {
    struct gd_endpoint local, remote;
    uint32_t seq;
    int error; /* errno, positive: ECONNREFUSED, EHOSTUNREACH, ENETUNREACH, EMSGSIZE, ... */
    bool hard;
    uint32_t mtu;
    int ifindex;                    /* where it came by, or where the neighbour was to be */
    const struct gd_packet *packet; /* the ICMP packet; NULL: a neighbour's silence */
    const uint8_t *quote;           /* from the transport header on, quote_len bytes; 8 at least */
    uint32_t quote_len;
};
/* 0, or -ENOENT: no such socket. */
int gd_tcp_icmp(struct gd_stack *stack, const struct gd_icmp_error *error, uint64_t now); /* tcp/icmp.c */
int gd_udp_icmp(struct gd_stack *stack, const struct gd_icmp_error *error);               /* sock/dgram_input.c */

/* Tells the socket that sent this packet (from its IP header on, len bytes of it) by that interface what became of it:
 * fills in the endpoints of error. 0, -ENOENT (no such socket), -EINVAL (not a packet of ours). report.c */
int gd_ip_report(struct gd_stack *stack, const struct gd_netif *netif, const uint8_t *ip, uint32_t len,
                 struct gd_icmp_error *error, uint64_t now);

/* ---- group.c: multicast groups of an interface ---- */
/* Counted: as many leaves as joins. 0, -ENOBUFS (too many groups). */
int gd_group_join(struct gd_netif *netif, const struct gd_addr *addr);
/* Legal where nobody joined. */
void gd_group_leave(struct gd_netif *netif, const struct gd_addr *addr);
/* What all sockets with a filter want together, besides those who join. 0, -ENOBUFS (too many groups), -ENOMEM. */
int gd_group_narrow(struct gd_netif *netif, const struct gd_addr *addr, const struct gd_filter *filter);
bool gd_group_member(struct gd_netif *netif, const struct gd_addr *addr);
/* Does any member want what that host sends to the group? */
bool gd_group_wants(struct gd_netif *netif, const struct gd_addr *addr, const struct gd_addr *source);
/* ---- source.c: which of our addresses a packet comes from ---- */
/* Best source address for `to`, by that interface alone if only is not 0. 0, and as gd_ip_path. */
int gd_ip_source(struct gd_stack *stack, const struct gd_addr *to, int only, struct gd_addr *src);
/* The interface's own address to talk to its neighbour `on` from; NULL: it has none of that family. */
const struct gd_addr *gd_ip_own(const struct gd_netif *netif, const struct gd_addr *on);

/* ---- dhcp.c (RFC 2131): the client of an interface ---- */
#define GD_DHCP_CLIENT 68u
/* A datagram to the client's port came by an interface that has one. */
void gd_dhcp_input(struct gd_netif *netif, uint16_t from_port, const uint8_t *data, uint32_t len, uint64_t now);
/* What an ARP packet says may be a conflict with the address that is about to be taken. */
void gd_dhcp_hear_arp(struct gd_netif *netif, const struct gd_addr *sender, const struct gd_addr *target, uint64_t now);
/* Ends the client without a word. Legal where none runs. */
void gd_dhcp_free(struct gd_netif *netif);

/* ---- route.c ---- */
enum gd_route_origin { /* among routes for the same prefix the lower one is used */
    GD_ROUTE_STATIC,   /* set by hand; outlives the addresses of its interface */
    GD_ROUTE_LINK,     /* an address's own subnet; goes with the last address of that subnet */
    GD_ROUTE_DHCP,     /* goes with the lease */
    GD_ROUTE_RA,       /* of a router advertisement (RFC 4861 6.3.4) */
};
struct gd_route {
    struct gd_addr prefix;
    uint8_t bits;   /* of the 128: a v4 /24 is 120 */
    uint8_t origin; /* enum gd_route_origin */
    bool via;       /* gateway is set */
    struct gd_addr gateway;
    struct gd_addr source; /* what packets come from as long as it is ours, if nobody has bound one; ::, no wish */
    struct gd_netif *netif;
};
/* Longest match, or NULL; netif NULL: by any interface. */
const struct gd_route *gd_route_find(const struct gd_stack *stack, const struct gd_addr *to,
                                     const struct gd_netif *netif);
/* Takes the place of one with the same prefix, interface and origin. 0, -ENOSPC. */
int gd_route_add(struct gd_stack *stack, const struct gd_route *route);
/* Sets the source of the one with the same prefix, interface and origin. 0, -ESRCH. */
int gd_route_set_source(struct gd_stack *stack, const struct gd_route *route);
/* Removes the one with the same prefix, interface and origin. 0, -ESRCH. */
int gd_route_remove(struct gd_stack *stack, const struct gd_route *route);
/* Removes all of an interface that have that origin. */
void gd_route_withdraw(struct gd_stack *stack, struct gd_netif *netif, enum gd_route_origin origin);
void gd_route_forget(struct gd_stack *stack, struct gd_netif *netif); /* all of an interface */

/* ---- neighbour.c (RFC 826, states as RFC 4861 7.3.2) and arp.c ---- */
/* Found or made; NULL if the table is full of entries in use. */
struct gd_neigh *gd_neigh_get(struct gd_stack *stack, struct gd_netif *netif, const struct gd_addr *addr);
/* Writes the MAC and queues the frame, or keeps it until the neighbour answers. Takes the frame. */
void gd_neigh_output(struct gd_stack *stack, struct gd_neigh *neigh, struct gd_frame *frame, uint64_t now);
/* Asks for it if need be. 0: packets leave at once, -EAGAIN: it was asked, -EHOSTUNREACH: it did not answer. */
int gd_neigh_ready(struct gd_neigh *neigh, uint64_t now);
/* A flow made progress: its neighbour is reachable (RFC 4861 7.3.1). Nothing on the loopback, or if dst is stale. */
void gd_neigh_confirm(struct gd_stack *stack, const struct gd_dst *dst, uint64_t now);
int gd_neigh_waiting(const struct gd_stack *stack); /* frames that wait for an answer */
/* All of an interface (NULL: of all), with the frames that wait for them. */
void gd_neigh_forget(struct gd_stack *stack, const struct gd_netif *netif);
void gd_arp_input(struct gd_netif *netif, const uint8_t *data, uint32_t len, uint64_t now);
void gd_arp_announce(struct gd_netif *netif, const struct gd_addr *addr);
/* Asks for an address from none of our own (RFC 5227 2.1): does anybody have it? False: nobody was asked (counted). */
bool gd_arp_probe(struct gd_netif *netif, const struct gd_addr *addr);
/* to_mac NULL: broadcast. */
void gd_arp_request(struct gd_netif *netif, const struct gd_addr *target, const uint8_t *to_mac);
#endif
