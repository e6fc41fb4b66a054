/* Datagrams out (RFC 768, RFC 1122 4.1).
 * Called by sock/sock.c, dgram.c; calls net/ip.c, sock/bind.c, demux.c.
 *
 * There is no fragmentation: what does not fit the interface's MTU is EMSGSIZE, which is what Linux says on a socket
 * with IP_PMTUDISC_DO.
 */
#include "dgram.h"
#include "../wire/udp.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>

#define RETRY 1000000ull /* without a frame to be had: 1 ms, by when the driver has sent some */
#define SEND_FLAGS (MSG_DONTWAIT | MSG_NOSIGNAL | MSG_CONFIRM | MSG_EOR)

/* 0.0.0.0 as a destination is this host, as on Linux. */
struct gd_addr gd_udp_destination(const struct gd_addr *to)
{
    static const uint8_t localhost[4] = {127, 0, 0, 1};

    return gd_addr_is_v4(to) && gd_addr_is_any(to) ? gd_addr_v4(localhost) : *to;
}

/* May this socket send there at all? */
static int check_destination(const struct gd_sock *sock, const struct gd_addr *to)
{
    struct gd_netif *netif;
    struct gd_addr next_hop;
    int rc;

    if (sock->domain == AF_INET && !gd_addr_is_v4(to))
        return -EAFNOSUPPORT;
    if (sock->domain == AF_INET6 && sock->options.v6only && gd_addr_is_v4(to))
        return -ENETUNREACH;
    rc = gd_ip_path(sock->stack, to, &netif, &next_hop);
    if (rc < 0)
        return rc;
    return gd_ip4_broadcast(netif, to) && !sock->options.broadcast ? -EACCES : 0;
}

int gd_udp_aim(struct gd_udp *udp, const struct gd_addr *to)
{
    struct gd_sock *sock = &udp->sock;
    bool same = gd_addr_eq(&udp->to, to);
    int rc;

    if (same && sock->dst.generation == sock->stack->generation)
        return 0;
    sock->dst.generation = 0;
    rc = check_destination(sock, to);
    if (rc == 0)
        rc = gd_ip_source(sock->stack, to, &udp->src);
    udp->to = *to;
    return rc;
}

/* EAGAIN, and GD_WRITE as soon as there is reason to try again. */
static int64_t blocked(struct gd_udp *udp)
{
    struct gd_stack *stack = udp->sock.stack;
    const struct gd_netif *netif = udp->sock.dst.netif;
    bool full = udp->sock.dst.generation == stack->generation && netif->ntx == GD_TX_QUEUE;

    gd_timer_set(&stack->wheel, &udp->retry, full ? stack->now : stack->now + RETRY);
    return -EAGAIN;
}

static int64_t transmit(struct gd_udp *udp, const void *data, uint32_t len, const struct gd_endpoint *to)
{
    struct gd_sock *sock = &udp->sock;
    const struct gd_addr *bound = &sock->flow.local.addr;
    struct gd_udp_header header = {sock->flow.local.port, to->port, GD_UDP_HEADER + len, 0};
    bool group = gd_addr_is_multicast(&to->addr); /* stays on the link unless told otherwise (RFC 1112 6.1) */
    struct gd_ip_fields fields = {.src = gd_addr_is_any(bound) ? &udp->src : bound,
                                  .dst = &to->addr,
                                  .proto = IPPROTO_UDP,
                                  .ttl = group ? 1 : gd_options_ttl(&sock->options, &to->addr),
                                  .tos = gd_options_tos(&sock->options, &to->addr),
                                  .df = sock->options.df};
    struct gd_out out;
    int rc = gd_ip_begin(sock->stack, &sock->dst, &fields, &out);

    if (rc < 0)
        return rc == -ENOBUFS ? blocked(udp) : rc;
    if (header.len > out.room) {
        gd_ip_cancel(&out);
        return -EMSGSIZE;
    }
    gd_udp_write(out.l4, &header);
    if (len > 0)
        memcpy(out.l4 + GD_UDP_HEADER, data, len);
    gd_ip_end(sock->stack, &fields, &out, header.len);
    gd_count(&sock->stack->stats, GD_STAT_udp_out);
    return len;
}

static int bind_to_send(struct gd_sock *sock)
{
    int rc = sock->flow.local.port ? 0 : gd_bind_implicit(sock, NULL);

    if (rc == 0 && !gd_udp_of(sock)->connected && !sock->listen_node.slot)
        gd_bound_insert(sock);
    return rc;
}

/* The order of these checks is Linux's (udp_sendmsg). */
int64_t gd_udp_sendto(struct gd_sock *sock, const void *data, size_t len, int flags, const struct gd_endpoint *to)
{
    struct gd_udp *udp = gd_udp_of(sock);
    struct gd_endpoint remote;
    int rc;

    if (len > GD_UDP_MAX)
        return -EMSGSIZE;
    if (flags & ~SEND_FLAGS)
        return -EOPNOTSUPP;
    if (!to && !udp->connected)
        return -EDESTADDRREQ;
    remote = to ? *to : sock->flow.remote;
    remote.addr = gd_udp_destination(&remote.addr);
    if (remote.port == 0)
        return -EINVAL;
    rc = gd_udp_aim(udp, &remote.addr);
    if (rc == 0)
        rc = gd_sock_take_error(sock);
    if (rc == 0 && sock->shut_wr)
        rc = -EPIPE;
    if (rc == 0)
        rc = bind_to_send(sock);
    if (rc < 0)
        return rc;
    if (flags & MSG_CONFIRM)
        gd_neigh_confirm(sock->stack, &sock->dst, sock->stack->now);
    return transmit(udp, data, (uint32_t)len, &remote);
}
