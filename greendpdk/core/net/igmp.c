/* IGMP, a host's part: version 3 (RFC 3376), and 2 (RFC 2236) and 1 (RFC 1112) for routers that know no better.
 * Called by net/ip4.c, group.c; calls net/group.c, neighbour.c, ether.c.
 *
 *     [IP: TTL 1, TOS 0xc0, router alert][type, ..., checksum, number of records][record]...   to 224.0.0.22
 */
#include "../stack.h"
#include "../util/checksum.h"
#include "../wire/ether.h"
#include "../wire/igmp.h"
#include "../wire/ip4.h"

#include <netinet/in.h>

#define HEADER (GD_IP4_HEADER + 4u) /* with the router alert option (RFC 2113) */
#define OPTION_ROUTER_ALERT 0x94
#define TOS 0xc0 /* internetwork control (RFC 3376 4) */
#define TENTH 100000000ull
#define SECOND 1000000000ull
#define INTERVAL 125u /* s, of queries, in versions that do not say (RFC 3376 8.2) */
#define ROBUSTNESS 2u
#define VERSION1_WITHIN (10 * SECOND) /* RFC 3376 7.2.1 */

static const uint8_t all_routers[4] = {224, 0, 0, 2}, all_igmp3[4] = {224, 0, 0, 22};

/* ---- out ---- */

static void write_header(struct gd_netif *netif, struct gd_frame *frame, const struct gd_addr *to, uint32_t len)
{
    uint8_t *data = frame->data + GD_ETHER_HEADER;
    const struct gd_addr *own = gd_ip_own(netif, to);
    static const uint8_t nobody[4] = {0}; /* RFC 3376 4.2.13 */
    struct gd_ip4 ip = {.total_len = HEADER + len,
                        .fragment = GD_IP4_DF,
                        .tos = TOS,
                        .ttl = 1,
                        .proto = IPPROTO_IGMP,
                        .src = own ? *own : gd_addr_v4(nobody),
                        .dst = *to};

    gd_ip4_write(data, &ip, 0);
    data[0] = 4 << 4 | HEADER / 4;
    data[GD_IP4_HEADER] = OPTION_ROUTER_ALERT;
    data[GD_IP4_HEADER + 1] = 4;
    gd_put16(data + GD_IP4_HEADER + 2, 0);
    gd_put16(data + 10, gd_checksum_finish(gd_checksum_add(0, data, HEADER)));
}

/* len bytes stand at the place of the message; its checksum is zero. */
static void transmit(struct gd_netif *netif, struct gd_frame *frame, const struct gd_addr *to, uint32_t len)
{
    uint8_t *message = frame->data + GD_ETHER_HEADER + HEADER;
    struct gd_neigh *neigh = gd_neigh_get(netif->stack, netif, to);

    if (!neigh) {
        gd_netif_give(netif, frame);
        return;
    }
    gd_put16(message + 2, gd_checksum_finish(gd_checksum_add(0, message, len)));
    write_header(netif, frame, to, len);
    frame->flags = 0;
    frame->len = GD_ETHER_HEADER + HEADER + len;
    gd_count(&netif->stack->stats, GD_STAT_group_reports);
    gd_neigh_output(netif->stack, neigh, frame, netif->stack->now);
}

/* A frame whose message has its first 8 bytes; NULL: there is none (counted). */
static struct gd_frame *begin(struct gd_netif *netif, uint8_t type, uint32_t rest)
{
    struct gd_frame *frame = netif->port->mtu < HEADER + GD_IGMP_LEN ? NULL : gd_netif_alloc(netif);
    uint8_t *message;

    if (!frame)
        return NULL;
    message = frame->data + GD_ETHER_HEADER + HEADER;
    gd_put32(message, (uint32_t)type << 24);
    gd_put32(message + 4, rest);
    return frame;
}

static uint32_t write_record(uint8_t *at, const struct gd_group_record *record, uint32_t done, uint32_t part)
{
    gd_put32(at, (uint32_t)record->type << 24 | part); /* no auxiliary data */
    gd_put32(at + 4, gd_addr_u32(&record->group));
    for (uint32_t i = 0; i < part; i++)
        gd_put32(at + GD_IGMP_RECORD + 4 * i, gd_addr_u32(&record->sources[done + i]));
    return GD_IGMP_RECORD + 4 * part;
}

/* A list that is too long for one record goes on in the next, if it is not one of exceptions: it is cut, and what is not
 * wanted comes and is dropped (RFC 3376 4.2.16). */
void gd_igmp_report(struct gd_netif *netif, const struct gd_group_record *records, uint32_t count)
{
    struct gd_addr to = gd_addr_v4(all_igmp3);
    uint32_t mtu = netif->port->mtu, before = HEADER + GD_IGMP_LEN, done = 0;
    uint32_t room = mtu > before ? mtu - before : 0;

    while (count > 0 && room >= GD_IGMP_RECORD + 4) {
        struct gd_frame *frame = begin(netif, GD_IGMP_REPORT3, 0);
        uint32_t used = 0, n = 0;
        uint8_t *message;

        if (!frame)
            return;
        message = frame->data + GD_ETHER_HEADER + HEADER;
        for (; count > 0 && n < UINT16_MAX; n++) {
            uint32_t left = records->count - done;
            uint32_t part = gd_group_record_part(room - used, GD_IGMP_RECORD, 4, left);
            bool cut = records->type == GD_RECORD_IS_EX || records->type == GD_RECORD_TO_EX;

            if (room - used < GD_IGMP_RECORD || (part < left && n > 0)) /* in a report of its own, as far as it goes */
                break;
            used += write_record(message + GD_IGMP_LEN + used, records, done, part);
            done = part == left || cut ? 0 : done + part;
            records += done == 0 ? 1 : 0;
            count -= done == 0 ? 1 : 0;
        }
        gd_put32(message + 4, n);
        transmit(netif, frame, &to, GD_IGMP_LEN + used);
    }
}

void gd_igmp_report_old(struct gd_netif *netif, int version, const struct gd_group_record *record)
{
    bool left = record->type == GD_RECORD_TO_IN;
    struct gd_addr to = left ? gd_addr_v4(all_routers) : record->group;
    uint8_t type = left ? GD_IGMP_LEAVE2 : version == 1 ? GD_IGMP_REPORT1 : GD_IGMP_REPORT2;
    struct gd_frame *frame;

    if (left && version == 1) /* RFC 1112: one just falls silent */
        return;
    frame = begin(netif, type, gd_addr_u32(&record->group));
    if (frame)
        transmit(netif, frame, &to, GD_IGMP_LEN);
}

/* ---- in ---- */

static bool has_router_alert(const struct gd_packet *packet)
{
    const uint8_t *options = packet->ip + GD_IP4_HEADER;
    uint32_t len = packet->ip_len - GD_IP4_HEADER;

    /* gd_ip4_input has seen that their lengths are right. */
    for (uint32_t at = 0; at < len && options[at] != GD_IP4_OPTION_END;
         at += options[at] == GD_IP4_OPTION_NOP ? 1u : options[at + 1])
        if (options[at] == OPTION_ROUTER_ALERT)
            return true;
    return false;
}

/* RFC 3376 7.1 tells the versions apart, 9.1 says what else a query must be. */
static bool parse_query(const struct gd_packet *packet, struct gd_query *query)
{
    const uint8_t *message = packet->l4;
    uint32_t robustness = ROBUSTNESS, interval = INTERVAL;

    query->version = packet->l4_len >= GD_IGMP_QUERY3 ? 3 : message[1] == 0 ? 1 : 2;
    if (packet->l4_len != GD_IGMP_LEN && query->version != 3)
        return false;
    if (query->version == 3) {
        query->nsources = gd_get16(message + 10);
        query->sources = message + GD_IGMP_QUERY3;
        if (query->nsources > (packet->l4_len - GD_IGMP_QUERY3) / 4)
            return false;
    }
    query->group = gd_addr_v4(message + 4);
    query->general = gd_get32(message + 4) == 0;
    if (!query->general && !gd_addr_is_multicast(&query->group))
        return false;
    if (query->version != 1 && !has_router_alert(packet))
        return false;
    if (query->general && gd_addr_u32(&packet->dst) != INADDR_ALLHOSTS_GROUP)
        return false;
    query->within = query->version == 1   ? VERSION1_WITHIN
                    : query->version == 2 ? message[1] * TENTH
                                          : gd_igmp_number(message[1], 8) * TENTH;
    query->older_timeout = robustness * interval * SECOND + query->within;
    return true;
}

void gd_igmp_input(const struct gd_packet *packet, uint64_t now)
{
    struct gd_stats *stats = &packet->netif->stack->stats;
    struct gd_addr group;
    struct gd_query query = {0};

    gd_count(stats, GD_STAT_group_in);
    if (packet->l4_len < GD_IGMP_LEN || packet->ttl != 1) { /* from a router of this link, or from nobody */
        gd_count(stats, GD_STAT_group_drop_malformed);
        return;
    }
    if (gd_checksum_finish(gd_checksum_add(0, packet->l4, packet->l4_len)) != 0) {
        gd_count(stats, GD_STAT_group_drop_checksum);
        return;
    }
    switch (packet->l4[0]) {
    case GD_IGMP_QUERY:
        if (parse_query(packet, &query))
            gd_group_query(packet->netif, true, &query, now);
        else
            gd_count(stats, GD_STAT_group_drop_malformed);
        return;
    case GD_IGMP_REPORT1:
    case GD_IGMP_REPORT2:
        group = gd_addr_v4(packet->l4 + 4);
        gd_group_heard(packet->netif, &group, now);
        return;
    default: /* leaves and version 3's reports are for routers */
        gd_count(stats, GD_STAT_group_drop_unknown);
    }
}
