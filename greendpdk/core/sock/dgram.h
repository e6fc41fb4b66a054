/* A datagram socket, and what the files of datagram sockets tell each other. Included by sock/dgram*.c only. */
#ifndef GD_SOCK_DGRAM_H
#define GD_SOCK_DGRAM_H
#include "../stack.h"

/* What stands before a datagram in the queue. */
struct gd_record {
    struct gd_endpoint from;
    uint16_t len;
};

struct gd_udp {
    struct gd_sock sock; /* first: the handle points at it */
    struct gd_buffer queue;
    struct gd_timer retry; /* armed: the device took no more, writers wait */
    struct gd_addr to;     /* what sock.dst leads to */
    struct gd_addr src;    /* the source address chosen for it, while no address is bound */
    bool connected;
};

static inline struct gd_udp *gd_udp_of(struct gd_sock *sock)
{
    return (struct gd_udp *)(void *)sock;
}

/* dgram_output.c */
/* The longest packet to there that may go in one piece; sock.dst leads there. */
uint32_t gd_udp_mtu(struct gd_udp *udp, const struct gd_addr *to);
/* The address that datagrams to `to` really go to. */
struct gd_addr gd_udp_destination(const struct gd_addr *to);
/* Points sock.dst and the source address at `to`; nothing to do when the last datagram went there too. 0, -errno. */
int gd_udp_aim(struct gd_udp *udp, const struct gd_addr *to);
#endif
