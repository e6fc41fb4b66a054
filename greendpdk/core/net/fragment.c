/* Packets out that do not fit the MTU: in fragments, all of them or none (RFC 791 3.2, RFC 8200 4.5).
 * Called by sock/dgram_output.c, net/icmp4.c, icmp6.c; calls net/ip.c, neighbour.c, ether.c.
 *
 *     head (8 bytes: UDP's or ICMP's) and data ──► [IP][head data …][IP][… data …][IP][… data]
 *
 * All frames are had, and the queue has room for them, before the first is filled: a datagram of which a part is left
 * out is a burden to all and of use to nobody. A neighbour that is unknown is asked first and the sender has to wait, as
 * only a few packets may wait for an answer.
 */
#include "../stack.h"
#include "../util/checksum.h"
#include "../wire/ether.h"
#include "../wire/ip4.h"
#include "../wire/ip6.h"

#include <errno.h>
#include <netinet/in.h>

#define MORE 1u

struct parts {
    struct gd_stack *stack;
    struct gd_dst *dst;
    const struct gd_ip_fields *fields;
    const uint8_t *head;
    const struct gd_gather *data;
    uint32_t header; /* before each part: IP's, and IPv6's fragment header */
    uint32_t each;   /* bytes of head and data in a fragment that is not the last */
    uint32_t id;
};

/* A number for each pair of hosts, which nobody else can foretell, and no other soon (RFC 7739 5.3). */
static uint32_t next_id(struct gd_stack *stack, const struct gd_ip_fields *fields)
{
    uint8_t key[33];
    uint64_t hash;

    memcpy(key, fields->src->b, 16);
    memcpy(key + 16, fields->dst->b, 16);
    key[32] = fields->proto;
    hash = gd_siphash(&stack->fragment_key, key, sizeof key);
    return (uint32_t)hash + stack->fragment_ids[(hash >> 32) % GD_FRAGMENT_IDS]++;
}

/* The head and data from `at` on. */
static void copy(uint8_t *to, const struct parts *parts, uint32_t at, uint32_t len)
{
    uint32_t first = at < GD_L4_HEAD ? GD_L4_HEAD - at : 0;

    memcpy(to, parts->head + at, first);
    gd_gather_read(parts->data, at + first - GD_L4_HEAD, to + first, len - first);
}

static void write_header4(struct gd_frame *frame, const struct parts *parts, uint32_t at, uint32_t len, bool more)
{
    const struct gd_ip_fields *fields = parts->fields;
    uint8_t *data = frame->data + GD_ETHER_HEADER;
    struct gd_ip4 ip = {.total_len = GD_IP4_HEADER + len,
                        .fragment = (uint16_t)(at / 8 | (more ? GD_IP4_MF : 0)),
                        .tos = fields->tos,
                        .ttl = (uint8_t)(fields->ttl < 0 ? GD_TTL : fields->ttl),
                        .proto = fields->proto,
                        .src = *fields->src,
                        .dst = *fields->dst};

    gd_ip4_write(data, &ip, (uint16_t)parts->id);
    if (parts->dst->netif->port->caps & GD_CAP_TX_IP_CSUM)
        frame->flags = GD_TX_IP_CSUM;
    else
        gd_put16(data + 10, gd_checksum_finish(gd_checksum_add(0, data, GD_IP4_HEADER)));
}

static void write_header6(struct gd_frame *frame, const struct parts *parts, uint32_t at, uint32_t len, bool more)
{
    uint8_t *data = frame->data + GD_ETHER_HEADER + GD_IP6_HEADER;
    struct gd_ip_fields fields = *parts->fields;

    fields.proto = GD_IP6_FRAGMENT;
    gd_ip6_header(parts->dst->netif, frame, &fields, GD_IP6_FRAGMENT_HEADER + len,
                  gd_ip6_label(parts->stack, parts->dst, parts->fields, parts->head));
    gd_put16(data, (uint16_t)(parts->fields->proto << 8));
    gd_put16(data + 2, (uint16_t)(at | (more ? MORE : 0)));
    gd_put32(data + 4, parts->id);
    frame->flags = GD_TX_IPV6;
}

static void transmit(struct gd_frame *frame, const struct parts *parts, uint32_t at, uint32_t len)
{
    bool v4 = gd_addr_is_v4(parts->fields->dst), more = at + len < GD_L4_HEAD + parts->data->len;
    struct gd_netif *netif = parts->dst->netif;

    frame->flags = 0;
    frame->len = GD_ETHER_HEADER + parts->header + len;
    frame->l2_len = GD_ETHER_HEADER;
    frame->l3_len = (uint16_t)(v4 ? GD_IP4_HEADER : GD_IP6_HEADER);
    frame->l4_len = 0;
    if (v4)
        write_header4(frame, parts, at, len, more);
    else
        write_header6(frame, parts, at, len, more);
    copy(frame->data + GD_ETHER_HEADER + parts->header, parts, at, len);
    gd_count(&parts->stack->stats, GD_STAT_fragment_out);
    if (parts->dst->neigh) {
        gd_neigh_output(parts->stack, parts->dst->neigh, frame, parts->stack->now);
        return;
    }
    gd_ether_write(frame->data, netif->port->mac, netif->port->mac, v4 ? GD_ETHER_IP4 : GD_ETHER_IP6);
    gd_netif_queue(netif, frame);
}

/* All frames or none. */
static bool take_frames(struct gd_netif *netif, struct gd_frame **frames, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        frames[i] = gd_netif_alloc(netif);
        if (frames[i])
            continue;
        while (i > 0)
            gd_netif_give(netif, frames[--i]);
        return false;
    }
    return true;
}

int gd_ip_fragment(struct gd_stack *stack, struct gd_dst *dst, const struct gd_ip_fields *fields, uint32_t mtu,
                   const uint8_t *head, const struct gd_gather *data)
{
    struct parts parts = {.stack = stack, .dst = dst, .fields = fields, .head = head, .data = data};
    struct gd_frame *frames[GD_TX_QUEUE];
    uint32_t count, total = GD_L4_HEAD + data->len;
    int rc = gd_ip_resolve(stack, dst, fields);

    if (rc < 0)
        return rc;
    parts.header = gd_ip_header_len(fields->dst) + (gd_addr_is_v4(fields->dst) ? 0 : GD_IP6_FRAGMENT_HEADER);
    if (mtu < parts.header + 8)
        return -EMSGSIZE;
    parts.each = (mtu - parts.header) & ~7u;
    count = (total + parts.each - 1) / parts.each;
    if (count > GD_TX_QUEUE)
        return -EMSGSIZE;
    if ((uint32_t)(GD_TX_QUEUE - dst->netif->ntx) < count)
        return -ENOBUFS;
    rc = dst->neigh ? gd_neigh_ready(dst->neigh, stack->now) : 0;
    if (rc < 0)
        return rc;
    if (!take_frames(dst->netif, frames, count))
        return -ENOBUFS;
    parts.id = next_id(stack, fields);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t at = i * parts.each, left = total - at;

        transmit(frames[i], &parts, at, left < parts.each ? left : parts.each);
    }
    gd_count(&stack->stats, gd_addr_is_v4(fields->dst) ? GD_STAT_ip4_out : GD_STAT_ip6_out);
    return 0;
}
