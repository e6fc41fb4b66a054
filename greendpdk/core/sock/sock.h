/* A socket, as the application and the demultiplexer see it: the part that streams and datagrams share.
 * Called by tcp/, net/, stack.c; calls tcp/ for streams.
 *
 *   struct gd_flow ─ what the tables hold:    connection │ half-open │ TIME-WAIT │ bound │ datagram
 *   struct gd_sock = gd_flow + handle, readiness, options, error
 *   struct gd_tcb = gd_sock + TCP (tcp/tcp.h)      struct gd_udp = gd_sock + a queue (sock/dgram.h)
 *
 * The application owns the handle until gd_sock_close; then the engine does (an orphan), until TCP is through.
 */
#ifndef GD_SOCK_SOCK_H
#define GD_SOCK_SOCK_H
#include "../net/net.h"
#include "../util/list.h"
#include "buffer.h"

/* Who holds one local port of one protocol; lives while anybody does. */
struct gd_port_holders {
    struct gd_node node; /* in stack->ports by (protocol, port) */
    uint8_t proto;
    uint16_t port;
    struct gd_list binders;  /* sockets that called bind, connect or sendto: gd_sock.holder_link */
    uint32_t heirs_reuse;    /* accepted connections and TIME-WAITs whose listener had SO_REUSEADDR */
    uint32_t heirs_plain;    /* and those whose had not */
};

enum gd_flow_kind {
    GD_FLOW_SOCK,      /* struct gd_sock */
    GD_FLOW_REQUEST,   /* struct gd_request: a half-open connection (tcp/listen.c) */
    GD_FLOW_TIME_WAIT, /* struct gd_time_wait (tcp/time_wait.c) */
};

struct gd_flow {
    struct gd_node node; /* in stack->flows by the 4-tuple (+ protocol) */
    struct gd_endpoint local, remote;
    uint8_t kind;  /* enum gd_flow_kind */
    uint8_t proto; /* IPPROTO_TCP, IPPROTO_UDP */
    bool heir_reuse;                 /* counted in holders->heirs_reuse, else heirs_plain (heirs only) */
    struct gd_port_holders *holders; /* of the local port, or NULL */
};

/* Options that a connection takes over from its listener. Times in ms, sizes in bytes, 0: the default. */
struct gd_options {
    int16_t ttl, hops;   /* of IPv4 and IPv6; GD_TTL_DEFAULT: as the interface has it */
    uint8_t tos, tclass;
    bool nodelay, cork, quickack, keepalive;
    bool linger_on;
    bool reuseaddr, reuseport, v6only, broadcast, oobinline;
    uint8_t pmtudisc[2]; /* IP_MTU_DISCOVER, IPV6_MTU_DISCOVER */
    bool dontfrag;       /* IPV6_DONTFRAG */
    uint32_t mtu;        /* IPV6_MTU: 0, or fragment to no more than this */
    uint32_t linger_s;
    uint32_t keepidle_s, keepintvl_s, keepcnt;
    uint32_t sndbuf, rcvbuf; /* as getsockopt shows them: twice what was set, as Linux */
    bool sndbuf_fixed, rcvbuf_fixed; /* set by the user: not tuned (tcp/tune.c) */
    uint32_t maxseg;
    uint32_t user_timeout_ms;
    uint32_t syncnt;
    bool thin_linear;
    uint8_t defer_accept;    /* SYN-ACKs' worth of time that a request may wait for text; 0: none */
    int32_t linger2_s;       /* an orphan's in FIN-WAIT-2; -1: none */
    uint32_t window_clamp;   /* of what we receive; 0: none */
    uint32_t notsent_lowat;  /* 0: none */
    uint32_t rcvlowat;       /* 0: 1 */
    uint32_t priority;
    uint32_t control;        /* GD_TELL_ bits (sock/control.h) */
    int device;              /* SO_BINDTODEVICE: the only interface, by its index; 0: any */
    int unicast_if[2];       /* IP_UNICAST_IF, IPV6_UNICAST_IF: where datagrams leave by; 0: as the routes say */
    uint8_t stamps;          /* SO_TIMESTAMP, SO_TIMESTAMPNS, ...: which of them is on; 0: none */
    bool dontroute;          /* SO_DONTROUTE */
    bool no_check;           /* SO_NO_CHECK: datagrams of IPv4 go without a checksum */
    uint64_t rcvtimeo_us, sndtimeo_us; /* kept for who can wait; 0: for ever */
    uint64_t max_pacing;     /* SO_MAX_PACING_RATE: bytes a second; UINT64_MAX: no limit */
    int busy_poll_us;        /* kept: the device is polled anyway */
    uint16_t port_low, port_high; /* IP_LOCAL_PORT_RANGE; 0: the stack's own bound */
    bool freebind, bind_no_port;  /* IP_FREEBIND, IP_BIND_ADDRESS_NO_PORT */
    bool no_label;           /* IPV6_AUTOFLOWLABEL is off */
    bool no_loop[2], not_all[2]; /* a stream's IP_MULTICAST_LOOP, IP_MULTICAST_ALL: kept, as Linux keeps them */
    uint8_t min_ttl, min_hops;    /* IP_MINTTL, IPV6_MINHOPCOUNT (RFC 5082); 0: any */
};

struct gd_sock {
    struct gd_flow flow;
    struct gd_stack *stack;
    uint32_t id;
    int domain, type; /* AF_INET/AF_INET6, SOCK_STREAM/SOCK_DGRAM */
    bool bound_addr;  /* the application named a local address */
    bool bound_port;  /* the application named a port (SOCK_BINDPORT_LOCK) */
    bool orphan;      /* no handle any more */
    bool shut_rd, shut_wr;
    int error;        /* SO_ERROR, positive, 0: none */
    int soft_error;   /* what a timeout will be reported as (RFC 1122 4.2.3.9) */
    uint32_t posted;  /* readiness bits not yet taken */
    struct gd_list ready_link; /* in stack->ready */
    struct gd_list all_link;   /* in stack->socks */
    struct gd_list holder_link; /* in flow.holders->binders; a binder, not an heir, if it is linked */
    struct gd_node listen_node; /* in stack->listeners by (protocol, local port) */
    struct gd_node id_node;    /* in stack->ids */
    struct gd_buffer errors;   /* sock/errors.c; owns nothing while empty */
    struct gd_dst dst;
    struct gd_options options;
};

/* What the packets to an address carry: IPv4 and IPv6 have options of their own. */
static inline int16_t gd_options_ttl(const struct gd_options *options, const struct gd_addr *to)
{
    return gd_addr_is_v4(to) ? options->ttl : options->hops;
}

static inline uint8_t gd_options_tos(const struct gd_options *options, const struct gd_addr *to)
{
    return gd_addr_is_v4(to) ? options->tos : options->tclass;
}

/* sock.c */
/* The endpoint that an application named. 0, -EAFNOSUPPORT (of the other family; a v4-mapped one is IPv6's too),
 * -ENETUNREACH. */
int gd_sock_endpoint(const struct gd_sock *sock, const uint8_t *addr, uint16_t port, struct gd_endpoint *out);
/* Where a datagram to there goes: on the link that the socket is bound to, if it names none itself. */
void gd_sock_take_link(const struct gd_sock *sock, struct gd_addr *to);
/* Sets up the shared part; the caller has zeroed it and owns the memory. A fresh id. */
void gd_sock_init(struct gd_sock *sock, struct gd_stack *stack, int domain, int type);
/* Out of every table and list, and freed when the poll or the call that runs ends: until then pointers to it hold. The
 * structure that embeds it came from malloc and begins with it. */
void gd_sock_bury(struct gd_sock *sock);
/* Readiness bits became true: put it on the ready list. Nothing for an orphan. */
void gd_sock_wake(struct gd_sock *sock, uint32_t bits);
/* Sets SO_ERROR (unless one is set) and wakes all. */
void gd_sock_fail(struct gd_sock *sock, int error);
/* Returns -SO_ERROR and clears it; 0 if none. */
int gd_sock_take_error(struct gd_sock *sock);

/* demux.c: who a packet is for. Keys are hashed with the stack's SipHash key. */
void gd_flow_insert(struct gd_stack *stack, struct gd_flow *flow);
void gd_flow_remove(struct gd_stack *stack, struct gd_flow *flow);
struct gd_flow *gd_flow_find(struct gd_stack *stack, uint8_t proto, const struct gd_endpoint *local,
                             const struct gd_endpoint *remote);
/* A listening (TCP), or bound and unconnected (UDP; bind.c does it) socket hears its local port. A datagram socket that
 * connects is removed here and inserted as a flow. remove is legal for one that is not in. */
void gd_bound_insert(struct gd_sock *sock);
void gd_bound_remove(struct gd_sock *sock);
/* The best listener (TCP) or unconnected socket (UDP) for a local endpoint: an exact address before a wildcard, and
 * bound to the device that it came by before to none; among SO_REUSEPORT equals by hash of the remote. NULL: none. */
struct gd_sock *gd_bound_find(struct gd_stack *stack, uint8_t proto, const struct gd_endpoint *local,
                              const struct gd_endpoint *remote, int ifindex);

/* Does what came to that address by that interface reach a socket bound as this one is? */
bool gd_bound_fits(const struct gd_sock *sock, const struct gd_addr *local, int ifindex);
/* Is what came by that interface for it, as far as SO_BINDTODEVICE goes? */
static inline bool gd_device_fits(const struct gd_options *options, int ifindex)
{
    return options->device == 0 || options->device == ifindex;
}
/* The next after `after` (NULL: the first) that hears a local port, whatever its address; NULL: no more. */
struct gd_sock *gd_bound_next(struct gd_stack *stack, uint8_t proto, uint16_t port, struct gd_sock *after);

/* bind.c: local addresses and ports */
/* Binds to an ephemeral port (RFC 6056) and, if none was bound, the source address for `remote`. remote NULL: a plain
 * listen or sendto. 0, -EADDRNOTAVAIL, -ENETUNREACH. */
int gd_bind_implicit(struct gd_sock *sock, const struct gd_endpoint *remote);
/* May a socket of IPv6 that is bound to an address send there? Nothing leaves from one family to the other. 0,
 * -EAFNOSUPPORT, -ENETUNREACH, as Linux has them. */
int gd_bind_family(const struct gd_sock *sock, const struct gd_addr *to);
/* Binds to that endpoint (port 0: an ephemeral one), as bind(2). A datagram socket then hears. */
int gd_bind(struct gd_sock *sock, const struct gd_endpoint *local);
void gd_bind_release(struct gd_stack *stack, struct gd_flow *flow); /* holds its port no more */
/* An accepted connection, or what is left of one in TIME-WAIT, holds the port as well. */
void gd_bind_inherit(struct gd_flow *flow, struct gd_port_holders *holders, bool reuse);

/* dgram.c, dgram_output.c */
int gd_udp_new(struct gd_stack *stack, int domain, struct gd_sock **out);
void gd_udp_close(struct gd_sock *sock);
uint32_t gd_udp_ready(struct gd_sock *sock);
int gd_udp_connect(struct gd_sock *sock, const struct gd_endpoint *remote); /* NULL: dissolve */
int64_t gd_udp_sendto(struct gd_sock *sock, const void *data, size_t len, int flags, const struct gd_endpoint *to);
int64_t gd_udp_recvfrom(struct gd_sock *sock, void *data, size_t len, int flags, struct gd_endpoint *from,
                        int *msg_flags);
int64_t gd_udp_recvmsg(struct gd_sock *sock, struct gd_message *message, int flags);
int64_t gd_udp_sendmsg(struct gd_sock *sock, const struct gd_message *message, int flags, const struct gd_endpoint *to);
int gd_udp_shutdown(struct gd_sock *sock, int how);
/* An interface goes: so do the memberships there. dgram_group.c */
void gd_udp_forget(struct gd_stack *stack, const struct gd_netif *netif);
int gd_udp_unread(struct gd_sock *sock); /* bytes of the first datagram, as SIOCINQ on UDP */
#endif
