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

/* IP_MULTICAST_IF has been set for such an address, and nothing nearer says by which interface. */
static bool has_interface(const struct gd_udp *udp, const struct gd_aim *aim)
{
    const struct gd_addr *to = &aim->to;

    return aim->only == 0 && gd_addr_is_multicast(to) && udp->multicast[gd_addr_is_v4(to) ? 0 : 1].ifindex != 0;
}

/* What datagrams of this aim come from, if it is not to be chosen; NULL: it is. */
static const struct gd_addr *named_source(const struct gd_udp *udp, const struct gd_aim *aim)
{
    if (!gd_addr_is_any(&aim->source))
        return &aim->source;
    return names_source(&udp->sock) ? &udp->sock.flow.local.addr : NULL;
}

/* May this socket send there at all? */
static int check_destination(struct gd_udp *udp, const struct gd_aim *aim)
{
    const struct gd_addr *to = &aim->to, *source = named_source(udp, aim);
    const struct gd_sock *sock = &udp->sock;
    struct gd_netif *netif;
    struct gd_addr next_hop;
    int rc;

    if (sock->domain == AF_INET && !gd_addr_is_v4(to))
        return -EAFNOSUPPORT;
    if (sock->domain == AF_INET6 && sock->options.v6only && gd_addr_is_v4(to))
        return -ENETUNREACH;
    rc = gd_bind_family(sock, to);
    if (rc < 0)
        return rc;
    if (source && !gd_ip_local(sock->stack, source)) /* one that is bound was ours then; both as Linux says */
        return source == &aim->source ? -ENETUNREACH : -EINVAL;
    udp->to_all = false;
    if (has_interface(udp, aim))
        return 0;
    rc = gd_ip_path(sock->stack, to, aim->only, &netif, &next_hop);
    if (rc < 0)
        return rc;
    if (aim->direct && !gd_addr_eq(to, &next_hop))
        return -ENETUNREACH;
    udp->to_all = gd_ip4_broadcast(netif, to);
    return udp->to_all && !sock->options.broadcast ? -EACCES : 0;
}

static bool same_aim(const struct gd_aim *a, const struct gd_aim *b)
{
    return a->only == b->only && a->direct == b->direct && gd_addr_eq(&a->to, &b->to) &&
           gd_addr_eq(&a->source, &b->source);
}

int gd_udp_aim(struct gd_udp *udp, const struct gd_aim *aim)
{
    struct gd_sock *sock = &udp->sock;
    int rc;

    if (sock->dst.generation == sock->stack->generation && same_aim(&udp->aim, aim))
        return 0;
    sock->dst.generation = 0;
    sock->dst.only = aim->only;
    sock->dst.direct = aim->direct;
    rc = check_destination(udp, aim);
    if (rc == 0 && has_interface(udp, aim))
        rc = gd_udp_aim_group(udp, &aim->to);
    else if (rc == 0)
        rc = gd_ip_source(sock->stack, &aim->to, aim->only, &udp->src);
    if (rc == 0 && named_source(udp, aim))
        udp->src = *named_source(udp, aim);
    else if (rc == 0 && !gd_addr_is_any(&udp->src) && !gd_ip_local(sock->stack, &udp->src)) /* IP_MULTICAST_IF's */
        rc = -EINVAL;
    udp->aim = *aim;
    return rc;
}

struct gd_aim gd_udp_aim_of(const struct gd_udp *udp, const struct gd_addr *to)
{
    const struct gd_options *options = &udp->sock.options;
    struct gd_aim aim = {.to = *to, .only = options->device, .direct = options->dontroute};

    if (aim.only == 0 && !gd_addr_is_multicast(to))
        aim.only = options->unicast_if[gd_addr_is_v4(to) ? 0 : 1];
    return aim;
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
                          const struct gd_gather *data, uint32_t mtu)
{
    uint8_t head[GD_UDP_HEADER];
    uint64_t sum = gd_ip_pseudo(fields->src, fields->dst, IPPROTO_UDP, header->len);
    uint16_t checksum;

    gd_udp_write(head, header);
    if (!fields->no_check) {
        checksum = gd_checksum_finish(gd_gather_sum(gd_checksum_add(sum, head, sizeof head), data));
        gd_put16(head + 6, checksum ? checksum : 0xffff); /* 0 would say "none" (RFC 768) */
    }
    return gd_ip_fragment(sock->stack, &sock->dst, fields, mtu, head, data);
}

static int transmit_whole(struct gd_sock *sock, struct gd_ip_fields *fields, const struct gd_udp_header *header,
                          const struct gd_gather *data)
{
    struct gd_out out;
    int rc = gd_ip_begin(sock->stack, &sock->dst, fields, &out);

    if (rc < 0)
        return rc;
    gd_udp_write(out.l4, header);
    gd_gather_read(data, 0, out.l4 + GD_UDP_HEADER, data->len);
    gd_ip_end(sock->stack, fields, &out, header->len);
    return 0;
}

/* What we send to a group or to everybody is for the sockets of this host as well (RFC 1112 6.1; Linux's ip_mc_output).
 * Handed over at once: there is no wire in between. */
static void loop_back(struct gd_udp *udp, const struct gd_endpoint *to, const struct gd_ip_fields *fields,
                      const struct gd_gather *data)
{
    struct gd_netif *netif = udp->sock.dst.netif;
    struct gd_udp_datagram datagram = {.local = {gd_addr_on(&to->addr, 0), to->port},
                                   .remote = {udp->src, udp->sock.flow.local.port},
                                   .data = *data,
                                   .netif = netif,
                                   .ttl = (uint8_t)(fields->ttl < 0 ? GD_TTL : fields->ttl),
                                   .tos = fields->tos};
    /* What leaves by Linux's lo comes back by it, whatever IP_MULTICAST_LOOP says. */
    bool loops = udp->multicast[gd_addr_is_v4(&to->addr) ? 0 : 1].loop || netif->port->caps & GD_CAP_LOOPBACK;

    if (gd_addr_is_multicast(&to->addr) ? loops && gd_group_member(netif, &datagram.local.addr) : udp->to_all)
        gd_udp_deliver(&datagram);
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

static struct gd_ip_fields fields_of(const struct gd_udp *udp, const struct gd_addr *to, const struct gd_wishes *wishes)
{
    const struct gd_options *options = &udp->sock.options;
    bool v4 = gd_addr_is_v4(to);
    struct gd_ip_fields fields = {.src = &udp->src,
                                  .dst = to,
                                  .proto = IPPROTO_UDP,
                                  .ttl = wishes->ttl,
                                  .tos = wishes->tos >= 0 ? (uint8_t)wishes->tos : gd_options_tos(options, to),
                                  .df = sets_df(options->pmtudisc[v4 ? 0 : 1]),
                                  .no_check = v4 && options->no_check};

    if (wishes->ttl < 0)
        fields.ttl = gd_addr_is_multicast(to) ? udp->multicast[v4 ? 0 : 1].ttl : gd_options_ttl(options, to);
    return fields;
}

static int transmit(struct gd_udp *udp, const struct gd_gather *data, const struct gd_endpoint *to,
                    const struct gd_wishes *wishes)
{
    struct gd_sock *sock = &udp->sock;
    struct gd_udp_header header = {sock->flow.local.port, to->port, GD_UDP_HEADER + data->len, 0};
    struct gd_ip_fields fields = fields_of(udp, &to->addr, wishes);
    bool v4 = gd_addr_is_v4(&to->addr);
    bool dontfrag = !v4 && (wishes->dontfrag >= 0 ? wishes->dontfrag != 0 : sock->options.dontfrag);
    int rc = gd_ip_resolve(sock->stack, &sock->dst, &fields);

    if (rc == 0 && !stays_here(&fields, &sock->dst)) {
        uint32_t mtu = gd_udp_mtu(udp, &to->addr);

        if (gd_ip_header_len(&to->addr) + header.len <= mtu)
            rc = transmit_whole(sock, &fields, &header, data);
        else if (may_fragment(sock->options.pmtudisc[v4 ? 0 : 1]) && !dontfrag)
            rc = transmit_parts(sock, &fields, &header, data, mtu);
        else
            rc = -EMSGSIZE;
        if (rc == -EMSGSIZE && gd_errors_wanted(sock, v4))
            gd_errors_add_local(sock, to, mtu);
    }
    if (rc == 0)
        loop_back(udp, to, &fields, data);
    return rc;
}

static int bind_to_send(struct gd_sock *sock)
{
    int rc = sock->flow.local.port ? 0 : gd_bind_implicit(sock, NULL);

    if (rc == 0 && !gd_udp_of(sock)->connected && !sock->listen_node.slot)
        gd_bound_insert(sock);
    return rc;
}

/* By what is set for the socket, and for this one datagram. */
static int aim_at(struct gd_udp *udp, const struct gd_addr *to, int flags, const struct gd_wishes *wishes)
{
    struct gd_aim aim = gd_udp_aim_of(udp, to);

    if (wishes->ifindex != 0)
        aim.only = wishes->ifindex;
    aim.source = wishes->source;
    aim.direct = aim.direct || flags & MSG_DONTROUTE;
    return gd_udp_aim(udp, &aim);
}

bool gd_udp_must_fit(const struct gd_udp *udp, const struct gd_addr *to)
{
    return !may_fragment(udp->sock.options.pmtudisc[gd_addr_is_v4(to) ? 0 : 1]);
}

int64_t gd_udp_emit(struct gd_udp *udp, const struct gd_gather *data, const struct gd_endpoint *to, int flags,
                    const struct gd_wishes *wishes)
{
    struct gd_stack *stack = udp->sock.stack;
    int rc = aim_at(udp, &to->addr, flags, wishes);

    if (rc < 0)
        return rc;
    if (flags & MSG_CONFIRM)
        gd_neigh_confirm(stack, &udp->sock.dst, stack->now);
    rc = transmit(udp, data, to, wishes);
    if (rc < 0)
        return rc == -ENOBUFS || rc == -EAGAIN ? blocked(udp) : rc;
    gd_count(&stack->stats, GD_STAT_udp_out);
    return (int64_t)data->len;
}

/* The order of these checks is Linux's (udp_sendmsg); flags that it does not know it lets pass. */
static int64_t send_one(struct gd_sock *sock, const struct gd_gather *data, int flags, const struct gd_endpoint *to,
                        const struct gd_message *message)
{
    struct gd_wishes wishes = GD_NO_WISHES;
    struct gd_udp *udp = gd_udp_of(sock);
    struct gd_endpoint remote;
    int rc = 0;

    if (flags & MSG_OOB)
        return -EOPNOTSUPP;
    if (udp->cork)
        return gd_udp_cork_append(udp, data, sock->options.cork || flags & MSG_MORE);
    if (!to && !udp->connected)
        return -EDESTADDRREQ;
    remote = to ? *to : sock->flow.remote;
    remote.addr = gd_udp_destination(&remote.addr);
    if (remote.port == 0)
        return -EINVAL;
    if (data->len > GD_UDP_MAX && gd_addr_is_v4(&remote.addr))
        return -EMSGSIZE;
    if (message && message->control_len > 0)
        rc = gd_control_parse(sock, message->control, message->control_len, gd_addr_is_v4(&remote.addr), &wishes);
    if (rc == 0)
        rc = aim_at(udp, &remote.addr, flags, &wishes);
    if (rc == 0)
        rc = gd_sock_take_error(sock);
    if (rc == 0 && sock->shut_wr)
        rc = -EPIPE;
    if (rc == 0)
        rc = bind_to_send(sock);
    if (rc < 0)
        return rc;
    if (sock->options.cork || flags & MSG_MORE)
        return gd_udp_cork_begin(udp, data, &remote, flags, &wishes);
    return gd_udp_emit(udp, data, &remote, flags, &wishes);
}

static bool is_too_long(const struct gd_sock *sock, size_t len)
{
    return len > GD_UDP_MAX + (sock->domain == AF_INET ? 0 : GD_UDP6_MORE);
}

int64_t gd_udp_sendto(struct gd_sock *sock, const void *data, size_t len, int flags, const struct gd_endpoint *to)
{
    struct gd_iovec part = {(void *)(uintptr_t)data, len};
    struct gd_gather all = {&part, 1, (uint32_t)len};

    return is_too_long(sock, len) ? -EMSGSIZE : send_one(sock, &all, flags, to, NULL);
}

int64_t gd_udp_sendmsg(struct gd_sock *sock, const struct gd_message *message, int flags, const struct gd_endpoint *to)
{
    struct gd_gather all = {message->parts, message->nparts, 0};

    for (uint32_t i = 0; i < message->nparts; i++) {
        if (is_too_long(sock, message->parts[i].len) || is_too_long(sock, all.len + message->parts[i].len))
            return -EMSGSIZE;
        all.len += (uint32_t)message->parts[i].len;
    }
    return send_one(sock, &all, flags, to, message);
}
