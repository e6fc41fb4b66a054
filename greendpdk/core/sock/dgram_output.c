/* Datagrams out (RFC 768, RFC 1122 4.1).
 * Called by sock/sock.c, dgram.c, dgram_input.c, option_ip.c; calls net/ip.c, fragment.c, pmtu.c, group.c,
 * sock/bind.c, demux.c, dgram_group.c, dgram_input.c.
 *
 *     fits the path's MTU? ─┬─ yes ─► one packet, with DF unless IP_PMTUDISC_DONT
 *                           └─ no ──► fragments, or EMSGSIZE if IP_PMTUDISC_DO and the like
 */
#include "dgram.h"
#include "../util/checksum.h"
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

/* Is the bound address what datagrams come from? Bound to a group or to everybody's, a socket hears that, and sends from
 * its host's (Linux's inet_bind). */
static bool names_source(const struct gd_sock *sock)
{
    const struct gd_addr *bound = &sock->flow.local.addr;

    return !gd_addr_is_any(bound) && !gd_addr_is_multicast(bound) && !gd_ip4_any_broadcast(sock->stack, bound);
}

/* IP_MULTICAST_IF has been set for such an address. */
static bool has_interface(const struct gd_udp *udp, const struct gd_addr *to)
{
    return gd_addr_is_multicast(to) && udp->multicast[gd_addr_is_v4(to) ? 0 : 1].ifindex != 0;
}

/* May this socket send there at all? */
static int check_destination(struct gd_udp *udp, const struct gd_addr *to)
{
    const struct gd_sock *sock = &udp->sock;
    struct gd_netif *netif;
    struct gd_addr next_hop;
    int rc;

    if (sock->domain == AF_INET && !gd_addr_is_v4(to))
        return -EAFNOSUPPORT;
    if (sock->domain == AF_INET6 && sock->options.v6only && gd_addr_is_v4(to))
        return -ENETUNREACH;
    if (names_source(sock) && !gd_ip_local(sock->stack, &sock->flow.local.addr)) /* it was ours when it was bound */
        return -EINVAL; /* as Linux's route look-up says */
    udp->to_all = false;
    if (has_interface(udp, to))
        return 0;
    rc = gd_ip_path(sock->stack, to, &netif, &next_hop);
    if (rc < 0)
        return rc;
    udp->to_all = gd_ip4_broadcast(netif, to);
    return udp->to_all && !sock->options.broadcast ? -EACCES : 0;
}

int gd_udp_aim(struct gd_udp *udp, const struct gd_addr *to)
{
    struct gd_sock *sock = &udp->sock;
    bool same = gd_addr_eq(&udp->to, to);
    int rc;

    if (same && sock->dst.generation == sock->stack->generation)
        return 0;
    sock->dst.generation = 0;
    rc = check_destination(udp, to);
    if (rc == 0 && has_interface(udp, to))
        rc = gd_udp_aim_group(udp, to);
    else if (rc == 0)
        rc = gd_ip_source(sock->stack, to, &udp->src);
    if (rc == 0 && names_source(sock))
        udp->src = sock->flow.local.addr;
    else if (rc == 0 && !gd_ip_local(sock->stack, &udp->src)) /* IP_MULTICAST_IF's, which nobody has looked at */
        rc = -EINVAL;
    udp->to = *to;
    return rc;
}

/* EAGAIN, and GD_WRITE as soon as there is reason to try again. */
static int64_t blocked(struct gd_udp *udp)
{
    struct gd_stack *stack = udp->sock.stack;
    const struct gd_netif *netif = udp->sock.dst.netif;
    bool full = udp->sock.dst.generation == stack->generation && netif->ntx > GD_TX_QUEUE / 2;

    gd_timer_set(&stack->wheel, &udp->retry, full ? stack->now : stack->now + RETRY);
    return -EAGAIN;
}

/* Linux's ip_sk_use_pmtu: may what routers say of the path be believed? */
static bool trusts_path(uint8_t mode)
{
    return mode != IP_PMTUDISC_PROBE && mode != IP_PMTUDISC_INTERFACE && mode != IP_PMTUDISC_OMIT;
}

/* Linux's ip_sk_ignore_df. */
static bool may_fragment(uint8_t mode)
{
    return mode == IP_PMTUDISC_DONT || mode == IP_PMTUDISC_WANT || mode == IP_PMTUDISC_OMIT;
}

static bool sets_df(uint8_t mode)
{
    return mode == IP_PMTUDISC_DO || mode == IP_PMTUDISC_WANT || mode == IP_PMTUDISC_PROBE;
}

uint32_t gd_udp_mtu(struct gd_udp *udp, const struct gd_addr *to)
{
    const struct gd_sock *sock = &udp->sock;
    bool v4 = gd_addr_is_v4(to);
    uint32_t mtu =
        trusts_path(sock->options.pmtudisc[v4 ? 0 : 1]) ? gd_path_mtu(sock->stack, &sock->dst, to) : sock->dst.mtu;

    return !v4 && sock->options.mtu && sock->options.mtu < mtu ? sock->options.mtu : mtu;
}

/* In fragments none of which has DF: each router may cut it smaller still, as on Linux. */
static int transmit_parts(struct gd_sock *sock, struct gd_ip_fields *fields, const struct gd_udp_header *header,
                          const void *data, uint32_t mtu)
{
    uint8_t head[GD_UDP_HEADER];
    uint64_t sum = gd_ip_pseudo(fields->src, fields->dst, IPPROTO_UDP, header->len);
    uint16_t checksum;

    gd_udp_write(head, header);
    sum = gd_checksum_add(gd_checksum_add(sum, head, sizeof head), data, header->len - GD_UDP_HEADER);
    checksum = gd_checksum_finish(sum);
    gd_put16(head + 6, checksum ? checksum : 0xffff); /* 0 would say "none" (RFC 768) */
    return gd_ip_fragment(sock->stack, &sock->dst, fields, mtu, head, data, header->len - GD_UDP_HEADER);
}

static int transmit_whole(struct gd_sock *sock, struct gd_ip_fields *fields, const struct gd_udp_header *header,
                          const void *data)
{
    struct gd_out out;
    int rc = gd_ip_begin(sock->stack, &sock->dst, fields, &out);

    if (rc < 0)
        return rc;
    gd_udp_write(out.l4, header);
    if (header->len > GD_UDP_HEADER)
        memcpy(out.l4 + GD_UDP_HEADER, data, header->len - GD_UDP_HEADER);
    gd_ip_end(sock->stack, fields, &out, header->len);
    return 0;
}

/* What we send to a group or to everybody is for the sockets of this host as well (RFC 1112 6.1; Linux's ip_mc_output).
 * Handed over at once: there is no wire in between. */
static void loop_back(struct gd_udp *udp, const struct gd_endpoint *to, const void *data, uint32_t len)
{
    struct gd_endpoint local = {gd_addr_on(&to->addr, 0), to->port}, remote = {udp->src, udp->sock.flow.local.port};
    struct gd_netif *netif = udp->sock.dst.netif;
    /* What leaves by Linux's lo comes back by it, whatever IP_MULTICAST_LOOP says. */
    bool loops = udp->multicast[gd_addr_is_v4(&to->addr) ? 0 : 1].loop || netif->port->caps & GD_CAP_LOOPBACK;

    if (gd_addr_is_multicast(&to->addr) ? loops && gd_group_member(netif, &local.addr) : udp->to_all)
        gd_udp_deliver(netif, &local, &remote, data, len);
}

/* Hop limit 0, and a scope of the interface alone (RFC 4291 2.7): it stays in this host. */
static bool stays_here(const struct gd_ip_fields *fields, const struct gd_dst *dst)
{
    const struct gd_addr *to = fields->dst;

    if (!gd_addr_is_multicast(to))
        return false;
    return fields->ttl == 0 || dst->netif->port->caps & GD_CAP_LOOPBACK ||
           (!gd_addr_is_v4(to) && (to->b[1] & 15) == 1);
}

static int transmit(struct gd_udp *udp, const void *data, uint32_t len, const struct gd_endpoint *to)
{
    struct gd_sock *sock = &udp->sock;
    struct gd_udp_header header = {sock->flow.local.port, to->port, GD_UDP_HEADER + len, 0};
    bool v4 = gd_addr_is_v4(&to->addr);
    uint8_t mode = sock->options.pmtudisc[v4 ? 0 : 1];
    struct gd_ip_fields fields = {.src = &udp->src,
                                  .dst = &to->addr,
                                  .proto = IPPROTO_UDP,
                                  .ttl = gd_addr_is_multicast(&to->addr) ? udp->multicast[v4 ? 0 : 1].ttl
                                                                         : gd_options_ttl(&sock->options, &to->addr),
                                  .tos = gd_options_tos(&sock->options, &to->addr),
                                  .df = sets_df(mode)};
    int rc = gd_ip_resolve(sock->stack, &sock->dst, &fields);
    uint32_t mtu;

    if (rc < 0 || stays_here(&fields, &sock->dst))
        return rc;
    mtu = gd_udp_mtu(udp, &to->addr);
    if (gd_ip_header_len(&to->addr) + header.len <= mtu)
        return transmit_whole(sock, &fields, &header, data);
    if (may_fragment(mode) && (v4 || !sock->options.dontfrag))
        return transmit_parts(sock, &fields, &header, data, mtu);
    return -EMSGSIZE;
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

    if (len > GD_UDP_MAX + (sock->domain == AF_INET ? 0 : GD_UDP6_MORE))
        return -EMSGSIZE;
    if (flags & ~SEND_FLAGS)
        return -EOPNOTSUPP;
    if (!to && !udp->connected)
        return -EDESTADDRREQ;
    remote = to ? *to : sock->flow.remote;
    remote.addr = gd_udp_destination(&remote.addr);
    if (remote.port == 0)
        return -EINVAL;
    if (len > GD_UDP_MAX && gd_addr_is_v4(&remote.addr))
        return -EMSGSIZE;
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
    rc = transmit(udp, data, (uint32_t)len, &remote);
    if (rc < 0)
        return rc == -ENOBUFS || rc == -EAGAIN ? blocked(udp) : rc;
    loop_back(udp, &remote, data, (uint32_t)len);
    gd_count(&sock->stack->stats, GD_STAT_udp_out);
    return (int64_t)len;
}
