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

#define RCVBUF_DEFAULT 212992u /* Linux's net.core.rmem_default */

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
        return gd_udp_of(GD_ENTRY(flow, struct gd_sock, flow));
    return gd_udp_of(gd_bound_find(stack, IPPROTO_UDP, local, remote));
}

/* Record and payload, or neither. */
static bool enqueue(struct gd_udp *udp, const struct gd_endpoint *from, const uint8_t *data, uint32_t len)
{
    struct gd_chunk_pool *pool = &udp->sock.stack->pool;
    uint32_t limit = udp->sock.options.rcvbuf ? udp->sock.options.rcvbuf : RCVBUF_DEFAULT;
    uint32_t at = udp->queue.len, whole = (uint32_t)sizeof(struct gd_record) + len;
    struct gd_record record = {*from, (uint16_t)len};

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

static void deliver(struct gd_udp *udp, const struct gd_endpoint *remote, const uint8_t *data, uint32_t len)
{
    if (enqueue(udp, remote, data, len))
        gd_sock_wake(&udp->sock, GD_READ);
    else
        gd_count(&udp->sock.stack->stats, GD_STAT_udp_drop_buffer);
}

uint32_t gd_udp_deliver(struct gd_netif *netif, const struct gd_endpoint *local, const struct gd_endpoint *remote,
                        const uint8_t *data, uint32_t len)
{
    struct gd_stack *stack = netif->stack;
    struct gd_flow *flow = gd_flow_find(stack, IPPROTO_UDP, local, remote); /* bound to the group and connected */
    struct gd_sock *sock = flow ? GD_ENTRY(flow, struct gd_sock, flow) : NULL;
    uint32_t count = 0;

    if (sock && gd_udp_hears(gd_udp_of(sock), &local->addr, netif->index)) {
        deliver(gd_udp_of(sock), remote, data, len);
        count++;
    }
    for (sock = NULL; (sock = gd_bound_next(stack, IPPROTO_UDP, local->port, sock)) != NULL;) {
        if (!gd_bound_fits(sock, &local->addr) || !gd_udp_hears(gd_udp_of(sock), &local->addr, netif->index))
            continue;
        deliver(gd_udp_of(sock), remote, data, len);
        count++;
    }
    return count;
}

/* To every socket that hears it; to one, the best match. Returns how many. */
static uint32_t hand_out(const struct gd_packet *packet, const struct gd_endpoint *local,
                         const struct gd_endpoint *remote, const uint8_t *data, uint32_t len)
{
    struct gd_udp *udp;

    if (packet->to_group && (gd_addr_is_multicast(&local->addr) || gd_ip4_broadcast(packet->netif, &local->addr)))
        return gd_udp_deliver(packet->netif, local, remote, data, len);
    udp = find(packet->netif->stack, local, remote);
    if (udp)
        deliver(udp, remote, data, len);
    return udp ? 1 : 0;
}

void gd_udp_input(struct gd_stack *stack, const struct gd_packet *packet, uint64_t now)
{
    struct gd_endpoint local = {packet->dst, 0}, remote = {packet->src, 0};
    struct gd_udp_header header;

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
    if (packet->netif->dhcp && header.destination == GD_DHCP_CLIENT && gd_addr_is_v4(&packet->dst)) {
        gd_dhcp_input(packet->netif, header.source, packet->l4 + GD_UDP_HEADER, header.len - GD_UDP_HEADER, now);
        return;
    }
    if (hand_out(packet, &local, &remote, packet->l4 + GD_UDP_HEADER, header.len - GD_UDP_HEADER) > 0)
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

/* Only a connected socket hears, and only of what will not mend itself, as on Linux without IP_RECVERR; of a packet too
 * big for the path too. */
int gd_udp_icmp(struct gd_stack *stack, const struct gd_icmp_error *error)
{
    struct gd_udp *udp = find(stack, &error->local, &error->remote);
    bool tell = error->hard;

    if (!udp)
        return -ENOENT;
    if (error->mtu > 0)
        tell = takes_path(udp, error);
    if (udp->connected && tell)
        gd_sock_fail(&udp->sock, error->error);
    return 0;
}
