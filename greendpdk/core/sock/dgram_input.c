/* Datagrams in, and what became of those that went out (RFC 768, RFC 1122 4.1).
 * Called by net/ip4.c, net/report.c; calls sock/demux.c, buffer.c, sock.c, net/icmp4.c, pmtu.c.
 *
 * A datagram to a group or to everybody reaches every socket that hears it, any other the one that fits best.
 */
#include "dgram.h"
#include "../util/checksum.h"
#include "../wire/icmp4.h"
#include "../wire/udp.h"

#include <errno.h>
#include <netinet/in.h>

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

static struct gd_udp *find(struct gd_stack *stack, const struct gd_endpoint *local, const struct gd_endpoint *remote,
                           int ifindex)
{
    struct gd_flow *flow = gd_flow_find(stack, IPPROTO_UDP, local, remote);

    if (flow && gd_device_fits(&GD_ENTRY(flow, struct gd_sock, flow)->options, ifindex))
        return gd_udp_of(GD_ENTRY(flow, struct gd_sock, flow));
    return gd_udp_of(gd_bound_find(stack, IPPROTO_UDP, local, remote, ifindex));
}

static bool write_parts(struct gd_udp *udp, uint32_t at, const struct gd_gather *data)
{
    for (uint32_t i = 0; i < data->nparts; i++) {
        uint32_t len = (uint32_t)data->parts[i].len;

        if (len > 0 && gd_buffer_write(&udp->sock.stack->pool, &udp->queue, at, data->parts[i].base, len) < 0)
            return false;
        at += len;
    }
    return true;
}

/* Record and payload, or neither. */
static bool enqueue(struct gd_udp *udp, const struct gd_udp_datagram *datagram)
{
    struct gd_chunk_pool *pool = &udp->sock.stack->pool;
    uint32_t limit = udp->sock.options.rcvbuf;
    uint32_t at = udp->queue.len, len = datagram->data.len, whole = (uint32_t)sizeof(struct gd_record) + len;
    struct gd_record record = {datagram->remote, (uint16_t)len, udp->dropped,
                               {datagram->local.addr, udp->sock.stack->now, datagram->netif->index, datagram->ttl,
                                datagram->tos}};

    if (at > 0 && (at >= limit || whole > limit - at)) /* one always fits, as on Linux */
        return false;
    if (gd_buffer_write(pool, &udp->queue, at, &record, sizeof record) < 0 ||
        !write_parts(udp, at + (uint32_t)sizeof record, &datagram->data)) {
        if (at == 0)
            gd_buffer_clear(pool, &udp->queue);
        return false;
    }
    gd_buffer_extend(&udp->queue, whole);
    return true;
}

static void deliver(struct gd_udp *udp, const struct gd_udp_datagram *datagram)
{
    if (enqueue(udp, datagram)) {
        gd_sock_wake(&udp->sock, GD_READ);
        return;
    }
    udp->dropped++;
    gd_count(&udp->sock.stack->stats, GD_STAT_udp_drop_buffer);
}

uint32_t gd_udp_deliver(const struct gd_udp_datagram *datagram)
{
    const struct gd_endpoint *local = &datagram->local;
    struct gd_stack *stack = datagram->netif->stack;
    /* Bound to the group and connected: */
    struct gd_flow *flow = gd_flow_find(stack, IPPROTO_UDP, local, &datagram->remote);
    struct gd_sock *sock = flow ? GD_ENTRY(flow, struct gd_sock, flow) : NULL;
    int ifindex = datagram->netif->index;
    uint32_t count = 0;

    if (sock && gd_device_fits(&sock->options, ifindex) && gd_udp_hears(gd_udp_of(sock), datagram)) {
        deliver(gd_udp_of(sock), datagram);
        count++;
    }
    for (sock = NULL; (sock = gd_bound_next(stack, IPPROTO_UDP, local->port, sock)) != NULL;) {
        if (!gd_bound_fits(sock, &local->addr, ifindex) || !gd_udp_hears(gd_udp_of(sock), datagram))
            continue;
        deliver(gd_udp_of(sock), datagram);
        count++;
    }
    return count;
}

/* To every socket that hears it; to one, the best match. Returns how many. */
static uint32_t hand_out(const struct gd_packet *packet, const struct gd_udp_datagram *datagram)
{
    const struct gd_addr *to = &datagram->local.addr;
    struct gd_udp *udp;

    if (packet->to_group && (gd_addr_is_multicast(to) || gd_ip4_broadcast(packet->netif, to)))
        return gd_udp_deliver(datagram);
    udp = find(packet->netif->stack, &datagram->local, &datagram->remote, packet->netif->index);
    if (udp)
        deliver(udp, datagram);
    return udp ? 1 : 0;
}

void gd_udp_input(struct gd_stack *stack, const struct gd_packet *packet, uint64_t now)
{
    struct gd_udp_datagram datagram = {.netif = packet->netif, .ttl = packet->ttl, .tos = packet->tos};
    struct gd_udp_header header;
    struct gd_iovec part;

    gd_count(&stack->stats, GD_STAT_udp_in);
    if (!gd_udp_parse(packet->l4, packet->l4_len, &header)) {
        gd_count(&stack->stats, GD_STAT_udp_drop_malformed);
        return;
    }
    if (!checksum_ok(packet, &header)) {
        gd_checksum_is_wrong(packet);
        gd_count(&stack->stats, GD_STAT_udp_drop_checksum);
        return;
    }
    if (packet->netif->dhcp && header.destination == GD_DHCP_CLIENT && gd_addr_is_v4(&packet->dst)) {
        gd_dhcp_input(packet->netif, header.source, packet->l4 + GD_UDP_HEADER, header.len - GD_UDP_HEADER, now);
        return;
    }
    part = (struct gd_iovec){(void *)(uintptr_t)(packet->l4 + GD_UDP_HEADER), header.len - GD_UDP_HEADER};
    datagram.local = (struct gd_endpoint){packet->dst, header.destination};
    datagram.remote = (struct gd_endpoint){packet->src, header.source};
    datagram.data = (struct gd_gather){&part, 1, (uint32_t)part.len};
    if (hand_out(packet, &datagram) > 0)
        return;
    gd_count(&stack->stats, GD_STAT_udp_drop_no_port);
    gd_icmp_unreachable(stack, packet, GD_UNREACH_PORT, now);
}

/* What routers say of the path is believed where the socket says so (Linux's ip_sk_accept_pmtu), and what was sent too
 * long is told unless IP_PMTUDISC_DONT. */
static bool takes_path(struct gd_udp *udp, const struct gd_icmp_error *error)
{
    uint8_t mode = udp->sock.options.pmtudisc[gd_addr_is_v4(&error->remote.addr) ? 0 : 1];

    if (mode == IP_PMTUDISC_INTERFACE || mode == IP_PMTUDISC_OMIT)
        return false;
    gd_pmtu_learn(udp->sock.stack, &error->remote.addr, error->mtu);
    return mode != IP_PMTUDISC_DONT;
}

/* Who asked for all errors (IP_RECVERR) gets them in its queue; of the others only a connected socket hears, and only of
 * what will not mend itself, and of a packet too big for the path too (Linux's __udp4_lib_err). */
int gd_udp_icmp(struct gd_stack *stack, const struct gd_icmp_error *error)
{
    struct gd_udp *udp = find(stack, &error->local, &error->remote, error->ifindex);
    bool tell = error->hard;

    if (!udp)
        return -ENOENT;
    if (error->mtu > 0) {
        if (!takes_path(udp, error))
            return 0;
        tell = true;
    }
    if (gd_errors_wanted(&udp->sock, gd_addr_is_v4(&error->remote.addr))) {
        gd_errors_add(&udp->sock, error, error->quote + GD_UDP_HEADER, error->quote_len - GD_UDP_HEADER);
        gd_sock_fail(&udp->sock, error->error);
    } else if (udp->connected && tell) {
        gd_sock_fail(&udp->sock, error->error);
    }
    return 0;
}
