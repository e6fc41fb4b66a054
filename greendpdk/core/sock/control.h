/* Control messages (cmsg(3), struct cmsghdr in Linux's layout): what came with a datagram, and how one is to go.
 * Included by sock/control.c, message.c, dgram*.c, errors.c, options*.c.
 */
#ifndef GD_SOCK_CONTROL_H
#define GD_SOCK_CONTROL_H
#include "sock.h"

/* struct gd_options.control: what the application asked to be told with each datagram. */
enum {
    GD_TELL_PKTINFO = 1 << 0,
    GD_TELL_TTL = 1 << 1,
    GD_TELL_TOS = 1 << 2,
    GD_TELL_ORIGDST = 1 << 3,
    GD_TELL_PKTINFO6 = 1 << 4,
    GD_TELL_HOPLIMIT = 1 << 5,
    GD_TELL_TCLASS = 1 << 6,
    GD_TELL_ORIGDST6 = 1 << 7,
    GD_TELL_DROPS = 1 << 8,
    GD_TELL_ERRORS = 1 << 9, /* IP_RECVERR, IPV6_RECVERR: the queue of sock/errors.c */
    GD_TELL_ERRORS6 = 1 << 10,
};

/* What is known of a packet that came. */
struct gd_facts {
    struct gd_addr to;
    uint64_t at; /* the stack's time; 0: unknown */
    int ifindex;
    uint8_t ttl, tos;
};

/* Where control messages are written to; flags gets MSG_CTRUNC when one found no room. */
struct gd_control {
    uint8_t *base;
    uint32_t size, used;
    int *flags;
};

/* One message: cut short, with MSG_CTRUNC, if there is no room for all of it (Linux's put_cmsg). */
void gd_control_put(struct gd_control *control, int level, int type, const void *data, uint32_t len);
/* SO_TIMESTAMP and its kin, of a packet that came at that time of the stack's. */
void gd_control_put_stamp(struct gd_control *control, const struct gd_sock *sock, uint64_t at, int64_t epoch_ns);
/* What the socket asked for of IP's and IPv6's. from: who sent it. */
void gd_control_put_facts(struct gd_control *control, struct gd_sock *sock, const struct gd_facts *facts,
                          const struct gd_addr *from);

/* How one datagram is to go: what its control messages say. */
struct gd_wishes {
    struct gd_addr source; /* ::, as the socket's */
    int ifindex;           /* 0: as the routes say */
    int16_t ttl, tos;      /* -1: as the socket's */
    int8_t dontfrag;       /* -1: as the socket's */
};

#define GD_NO_WISHES ((struct gd_wishes){.ttl = -1, .tos = -1, .dontfrag = -1})

/* Reads them, for a datagram of IPv4 or IPv6; a stream minds those of SOL_SOCKET only. 0, -EINVAL (malformed, unknown, or
 * out of range), -EPERM (for the privileged), -ENODEV. */
int gd_control_parse(struct gd_sock *sock, const void *control, uint32_t len, bool v4, struct gd_wishes *out);

/* The number that applications know an interface by: the stack's loopback is 1, as Linux's; the others are numbered from
 * GD_SCOPE_BASE on, so that they are not taken for the kernel's (_address.py). */
#define GD_SCOPE_BASE (1 << 30)
int gd_ifindex_shown(const struct gd_stack *stack, int ifindex);
/* The other way round, and our own small numbers too; NULL: there is none. */
struct gd_netif *gd_netif_shown(struct gd_stack *stack, int shown);
#endif
