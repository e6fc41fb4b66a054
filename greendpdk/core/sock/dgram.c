/* UDP sockets (RFC 768, RFC 1122 4.1): out, in, errors.
 * Called by sock/sock.c, net/ip4.c, net/report.c; calls net/ip.c, net/icmp4.c, sock/{bind,demux,sock,buffer}.c.
 *
 *     queue (a gd_buffer):  [record|payload][record|payload] ...       whole datagrams, under SO_RCVBUF
 *     unconnected: heard by local port (gd_bound_find)     connected: by the 4-tuple (gd_flow_find) alone
 *
 * There is no fragmentation: what does not fit the interface's MTU is EMSGSIZE, which is what Linux says on a socket
 * with IP_PMTUDISC_DO. A datagram to a broadcast address reaches one socket of ours, the best match.
 */
#include "../wire/udp.h"
#include "../stack.h"
#include "../util/checksum.h"
#include "../wire/icmp4.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>

#define RCVBUF_DEFAULT 212992u /* Linux's net.core.rmem_default */
#define RETRY 1000000ull       /* without a frame to be had: 1 ms, by when the driver has sent some */
#define SEND_FLAGS (MSG_DONTWAIT | MSG_NOSIGNAL | MSG_CONFIRM | MSG_EOR)
#define RECV_FLAGS (MSG_DONTWAIT | MSG_PEEK | MSG_TRUNC | MSG_WAITALL | MSG_NOSIGNAL | MSG_CMSG_CLOEXEC)

struct record {
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

static struct gd_udp *udp_of(struct gd_sock *sock)
{
    return (struct gd_udp *)(void *)sock;
}

static void retry(struct gd_timer *timer, uint64_t now)
{
    (void)now;
    gd_sock_wake(&GD_ENTRY(timer, struct gd_udp, retry)->sock, GD_WRITE);
}

int gd_udp_new(struct gd_stack *stack, int domain, struct gd_sock **out)
{
    struct gd_udp *udp = calloc(1, sizeof *udp);

    if (!udp)
        return -ENOMEM;
    gd_sock_init(&udp->sock, stack, domain, SOCK_DGRAM);
    udp->sock.flow.proto = IPPROTO_UDP;
    gd_timer_init(&udp->retry, retry);
    *out = &udp->sock;
    return 0;
}

void gd_udp_close(struct gd_sock *sock)
{
    struct gd_udp *udp = udp_of(sock);

    gd_timer_cancel(&sock->stack->wheel, &udp->retry);
    gd_buffer_clear(&sock->stack->pool, &udp->queue);
    gd_sock_bury(sock);
}

uint32_t gd_udp_ready(struct gd_sock *sock)
{
    const struct gd_udp *udp = udp_of(sock);
    uint32_t bits = 0;

    if (udp->queue.len > 0 || sock->shut_rd || sock->error)
        bits |= GD_READ;
    if (udp->retry.at == GD_NEVER || sock->shut_wr || sock->error)
        bits |= GD_WRITE;
    if (sock->shut_rd)
        bits |= GD_RDHUP;
    if (sock->shut_rd && sock->shut_wr)
        bits |= GD_HUP;
    if (sock->error)
        bits |= GD_ERR;
    return bits;
}

/* ---- out ---- */

/* 0.0.0.0 as a destination is this host, as on Linux. */
static struct gd_addr destination(const struct gd_addr *to)
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

/* Points sock.dst and the source address at `to`; nothing to do when the last datagram went there too. */
static int aim(struct gd_udp *udp, const struct gd_addr *to)
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

    if (rc == 0 && !udp_of(sock)->connected && !sock->listen_node.slot)
        gd_bound_insert(sock);
    return rc;
}

/* The order of these checks is Linux's (udp_sendmsg). */
int64_t gd_udp_sendto(struct gd_sock *sock, const void *data, size_t len, int flags, const struct gd_endpoint *to)
{
    struct gd_udp *udp = udp_of(sock);
    struct gd_endpoint remote;
    int rc;

    if (len > GD_UDP_MAX)
        return -EMSGSIZE;
    if (flags & ~SEND_FLAGS)
        return -EOPNOTSUPP;
    if (!to && !udp->connected)
        return -EDESTADDRREQ;
    remote = to ? *to : sock->flow.remote;
    remote.addr = destination(&remote.addr);
    if (remote.port == 0)
        return -EINVAL;
    rc = aim(udp, &remote.addr);
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

/* ---- in ---- */

static bool checksum_ok(const struct gd_packet *packet, const struct gd_udp_header *header)
{
    uint64_t sum;

    if (packet->l4_csum_ok)
        return true;
    if (header->checksum == 0) /* none was made; IPv6 does not allow that (RFC 8200 8.1) */
        return gd_addr_is_v4(&packet->dst);
    sum = gd_ip_pseudo(&packet->src, &packet->dst, IPPROTO_UDP, header->len);
    return gd_checksum_finish(gd_checksum_add(sum, packet->l4, header->len)) == 0;
}

static struct gd_udp *find(struct gd_stack *stack, const struct gd_endpoint *local, const struct gd_endpoint *remote)
{
    struct gd_flow *flow = gd_flow_find(stack, IPPROTO_UDP, local, remote);

    if (flow)
        return udp_of(GD_ENTRY(flow, struct gd_sock, flow));
    return udp_of(gd_bound_find(stack, IPPROTO_UDP, local, remote));
}

/* Record and payload, or neither. */
static bool enqueue(struct gd_udp *udp, const struct gd_endpoint *from, const uint8_t *data, uint32_t len)
{
    struct gd_chunk_pool *pool = &udp->sock.stack->pool;
    uint32_t limit = udp->sock.options.rcvbuf ? udp->sock.options.rcvbuf : RCVBUF_DEFAULT;
    uint32_t at = udp->queue.len, whole = (uint32_t)sizeof(struct record) + len;
    struct record record = {*from, (uint16_t)len};

    if (at > 0 && (at >= limit || whole > limit - at)) /* one always fits, as on Linux */
        return false;
    if (gd_buffer_write(pool, &udp->queue, at, &record, sizeof record) < 0 ||
        gd_buffer_write(pool, &udp->queue, at + (uint32_t)sizeof record, data, len) < 0) {
        if (at == 0)
            gd_buffer_clear(pool, &udp->queue);
        return false;
    }
    gd_buffer_extend(&udp->queue, whole);
    return true;
}

void gd_udp_input(struct gd_stack *stack, const struct gd_packet *packet, uint64_t now)
{
    struct gd_endpoint local = {packet->dst, 0}, remote = {packet->src, 0};
    struct gd_udp_header header;
    struct gd_udp *udp;

    gd_count(&stack->stats, GD_STAT_udp_in);
    if (!gd_udp_parse(packet->l4, packet->l4_len, &header)) {
        gd_count(&stack->stats, GD_STAT_udp_drop_malformed);
        return;
    }
    if (!checksum_ok(packet, &header)) {
        gd_count(&stack->stats, GD_STAT_udp_drop_checksum);
        return;
    }
    local.port = header.destination;
    remote.port = header.source;
    udp = find(stack, &local, &remote);
    if (!udp) {
        gd_count(&stack->stats, GD_STAT_udp_drop_no_port);
        gd_icmp_unreachable(stack, packet, GD_UNREACH_PORT, now);
        return;
    }
    if (!enqueue(udp, &remote, packet->l4 + GD_UDP_HEADER, header.len - GD_UDP_HEADER)) {
        gd_count(&stack->stats, GD_STAT_udp_drop_buffer);
        return;
    }
    gd_sock_wake(&udp->sock, GD_READ);
}

int64_t gd_udp_recvfrom(struct gd_sock *sock, void *data, size_t len, int flags, struct gd_endpoint *from,
                        int *msg_flags)
{
    struct gd_udp *udp = udp_of(sock);
    struct record record;
    uint32_t copied;
    int rc;

    if (msg_flags)
        *msg_flags = 0;
    if (flags & ~RECV_FLAGS)
        return -EOPNOTSUPP;
    rc = gd_sock_take_error(sock);
    if (rc < 0)
        return rc;
    if (udp->queue.len == 0)
        return sock->shut_rd ? 0 : -EAGAIN;
    gd_buffer_read(&udp->queue, 0, &record, sizeof record);
    copied = len < record.len ? (uint32_t)len : record.len;
    gd_buffer_read(&udp->queue, sizeof record, data, copied);
    if (from)
        *from = record.from;
    if (msg_flags && copied < record.len)
        *msg_flags |= MSG_TRUNC;
    if ((flags & MSG_PEEK) == 0)
        gd_buffer_consume(&sock->stack->pool, &udp->queue, (uint32_t)sizeof record + record.len, false);
    return flags & MSG_TRUNC ? record.len : copied;
}

int gd_udp_unread(struct gd_sock *sock)
{
    const struct gd_udp *udp = udp_of(sock);
    struct record record;

    if (udp->queue.len == 0)
        return 0;
    gd_buffer_read(&udp->queue, 0, &record, sizeof record);
    return record.len;
}

/* ---- connecting, shutting, errors ---- */

static void dissolve(struct gd_udp *udp)
{
    struct gd_sock *sock = &udp->sock;
    static const uint8_t any[4] = {0};

    if (!udp->connected)
        return;
    gd_flow_remove(sock->stack, &sock->flow);
    udp->connected = false;
    sock->flow.remote = (struct gd_endpoint){0};
    sock->dst.generation = 0;
    if (!sock->bound_addr)
        sock->flow.local.addr = sock->domain == AF_INET ? gd_addr_v4(any) : (struct gd_addr){0};
    if (sock->bound_port) {
        gd_bound_insert(sock);
        return;
    }
    gd_bind_release(sock->stack, &sock->flow);
    sock->flow.local.port = 0;
}

int gd_udp_connect(struct gd_sock *sock, const struct gd_endpoint *remote)
{
    struct gd_udp *udp = udp_of(sock);
    struct gd_endpoint to;
    int rc;

    if (!remote) {
        dissolve(udp);
        return 0;
    }
    to = (struct gd_endpoint){destination(&remote->addr), remote->port};
    rc = aim(udp, &to.addr);
    if (rc == 0 && sock->flow.local.port == 0)
        rc = gd_bind_implicit(sock, &to);
    if (rc < 0)
        return rc;
    if (udp->connected)
        gd_flow_remove(sock->stack, &sock->flow);
    else
        gd_bound_remove(sock);
    if (gd_addr_is_any(&sock->flow.local.addr))
        sock->flow.local.addr = udp->src;
    sock->flow.remote = to;
    gd_flow_insert(sock->stack, &sock->flow);
    udp->connected = true;
    return 0;
}

/* ENOTCONN comes after the deed, as on Linux (inet_shutdown): an unconnected socket is shut all the same. */
int gd_udp_shutdown(struct gd_sock *sock, int how)
{
    if (how != SHUT_RD && how != SHUT_WR && how != SHUT_RDWR)
        return -EINVAL;
    sock->shut_rd = sock->shut_rd || how != SHUT_WR;
    sock->shut_wr = sock->shut_wr || how != SHUT_RD;
    gd_sock_wake(sock, gd_udp_ready(sock));
    return udp_of(sock)->connected ? 0 : -ENOTCONN;
}

/* Only a connected socket hears, and only of what will not mend itself, as on Linux without IP_RECVERR; of a packet too
 * big for the path too, as IP_MTU_DISCOVER is on there. */
int gd_udp_icmp(struct gd_stack *stack, const struct gd_icmp_error *error)
{
    struct gd_udp *udp = find(stack, &error->local, &error->remote);

    if (!udp)
        return -ENOENT;
    if (udp->connected && (error->hard || error->error == EMSGSIZE))
        gd_sock_fail(&udp->sock, error->error);
    return 0;
}
