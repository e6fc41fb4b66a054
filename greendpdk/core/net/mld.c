/* Multicast listener discovery, a host's part: version 2 (RFC 3810), and 1 (RFC 2710) for routers that know no better.
 * Called by net/icmp6.c, group.c; calls net/group.c, neighbour.c, ether.c.
 *
 *     [IPv6: hop limit 1][hop-by-hop: router alert][type, ..., checksum, number of records][record]...   to ff02::16
 */
#include "../stack.h"
#include "../util/checksum.h"
#include "../wire/ether.h"
#include "../wire/icmp6.h"
#include "../wire/igmp.h"
#include "../wire/ip6.h"

#include <netinet/in.h>

#define HOP_BY_HOP 8u /* of length: the router alert option of RFC 2711, and two bytes of padding */
#define BEFORE (GD_ETHER_HEADER + GD_IP6_HEADER + HOP_BY_HOP)
#define OPTION_ROUTER_ALERT 5
#define OPTION_PADN 1
#define MS 1000000ull
#define SECOND 1000000000ull
#define INTERVAL 125u /* s, of queries (RFC 3810 9.2) */
#define ROBUSTNESS 2u

static const struct gd_addr nobody, all_routers = {.b = {0xff, 2, [15] = 2}}, all_mld2 = {.b = {0xff, 2, [15] = 0x16}};

/* ---- out ---- */

/* RFC 3810 5.2.13: an address of the link, or nobody's while there is none (as for the first address's own group). */
static struct gd_addr source_of(struct gd_netif *netif)
{
    for (int i = 0; i < netif->naddrs; i++)
        if (gd_addr_is_link_local(&netif->addrs[i].addr) && !netif->addrs[i].tentative)
            return netif->addrs[i].addr;
    return nobody;
}

/* len bytes stand at the place of the message; its checksum is zero. */
static void transmit(struct gd_netif *netif, struct gd_frame *frame, const struct gd_addr *to, uint32_t len)
{
    uint8_t *options = frame->data + GD_ETHER_HEADER + GD_IP6_HEADER, *message = options + HOP_BY_HOP;
    struct gd_addr src = source_of(netif);
    struct gd_ip_fields fields = {.src = &src, .dst = to, .proto = GD_IP6_HOP_BY_HOP, .ttl = 1};
    struct gd_neigh *neigh = gd_neigh_get(netif->stack, netif, to);
    uint64_t sum = gd_ip_pseudo(&src, to, IPPROTO_ICMPV6, len);

    if (!neigh) {
        gd_netif_give(netif, frame);
        return;
    }
    memcpy(options, (const uint8_t[HOP_BY_HOP]){IPPROTO_ICMPV6, 0, OPTION_ROUTER_ALERT, 2, 0, 0, OPTION_PADN, 0},
           HOP_BY_HOP);
    gd_put16(message + 2, gd_checksum_finish(gd_checksum_add(sum, message, len)));
    gd_ip6_header(netif, frame, &fields, HOP_BY_HOP + len, 0);
    frame->flags = 0;
    frame->len = BEFORE + len;
    gd_count(&netif->stack->stats, GD_STAT_group_reports);
    gd_neigh_output(netif->stack, neigh, frame, netif->stack->now);
}

static uint32_t write_record(uint8_t *at, const struct gd_group_record *record, uint32_t done, uint32_t part)
{
    gd_put32(at, (uint32_t)record->type << 24 | part); /* no auxiliary data */
    memcpy(at + 4, record->group.b, 16);
    for (uint32_t i = 0; i < part; i++)
        memcpy(at + GD_MLD_RECORD + 16 * i, record->sources[done + i].b, 16);
    return GD_MLD_RECORD + 16 * part;
}

/* Long lists as in igmp.c (RFC 3810 5.2.15). */
void gd_mld_report(struct gd_netif *netif, const struct gd_group_record *records, uint32_t count)
{
    uint32_t mtu = netif->port->mtu < GD_IP6_MTU_MIN ? netif->port->mtu : GD_IP6_MTU_MIN; /* less is no IPv6's link */
    uint32_t before = GD_IP6_HEADER + HOP_BY_HOP + GD_MLD_REPORT, done = 0;
    uint32_t room = mtu > before ? mtu - before : 0;

    while (count > 0 && room >= GD_MLD_RECORD + 16) {
        struct gd_frame *frame = gd_netif_alloc(netif);
        uint32_t used = 0, n = 0;

        if (!frame)
            return;
        for (; count > 0; n++) {
            uint32_t left = records->count - done;
            uint32_t part = gd_group_record_part(room - used, GD_MLD_RECORD, 16, left);
            bool cut = records->type == GD_RECORD_IS_EX || records->type == GD_RECORD_TO_EX;

            if (room - used < GD_MLD_RECORD || (part < left && n > 0))
                break;
            used += write_record(frame->data + BEFORE + GD_MLD_REPORT + used, records, done, part);
            done = part == left || cut ? 0 : done + part;
            records += done == 0 ? 1 : 0;
            count -= done == 0 ? 1 : 0;
        }
        gd_icmp6_write(frame->data + BEFORE, GD_MLD_REPORT2, 0, n);
        transmit(netif, frame, &all_mld2, GD_MLD_REPORT + used);
    }
}

void gd_mld_report_old(struct gd_netif *netif, const struct gd_group_record *record)
{
    bool left = record->type == GD_RECORD_TO_IN;
    struct gd_frame *frame;

    if (netif->port->mtu < GD_IP6_HEADER + HOP_BY_HOP + GD_MLD_LEN)
        return;
    frame = gd_netif_alloc(netif);
    if (!frame)
        return;
    gd_icmp6_write(frame->data + BEFORE, left ? GD_MLD_DONE1 : GD_MLD_REPORT1, 0, 0);
    memcpy(frame->data + BEFORE + 8, record->group.b, 16);
    transmit(netif, frame, left ? &all_routers : &record->group, GD_MLD_LEN);
}

/* ---- in ---- */

/* RFC 3810 6.2: from this link, with the option that makes routers look. gd_ip6_deliver has checked the lengths. */
static bool is_of_link(const struct gd_packet *packet)
{
    const uint8_t *options = packet->ip + GD_IP6_HEADER;
    uint32_t end;

    if (packet->ttl != 1 || !gd_addr_is_link_local(&packet->src) || packet->ip[GD_IP6_NEXT_AT] != GD_IP6_HOP_BY_HOP)
        return false;
    end = 8u + options[1] * 8u;
    for (uint32_t at = 2; at < end; at += options[at] == 0 ? 1u : 2u + options[at + 1])
        if (options[at] == OPTION_ROUTER_ALERT)
            return true;
    return false;
}

static bool parse_query(const struct gd_packet *packet, struct gd_query *query)
{
    uint32_t code = gd_get16(packet->l4 + 4);

    if (packet->l4_len != GD_MLD_LEN && packet->l4_len < GD_MLD_QUERY2) /* RFC 3810 8.1 */
        return false;
    query->version = packet->l4_len == GD_MLD_LEN ? 1 : 2;
    if (query->version == 2) {
        query->nsources = gd_get16(packet->l4 + 26);
        query->sources = packet->l4 + GD_MLD_QUERY2;
        if (query->nsources > (packet->l4_len - GD_MLD_QUERY2) / 16)
            return false;
    }
    memcpy(query->group.b, packet->l4 + 8, 16);
    query->general = gd_addr_is_any(&query->group);
    if (!query->general && !gd_addr_is_multicast(&query->group))
        return false;
    query->within = (query->version == 1 ? code : gd_igmp_number(code, 16)) * MS;
    query->older_timeout = ROBUSTNESS * INTERVAL * SECOND + query->within;
    return true;
}

void gd_mld_input(const struct gd_packet *packet, uint64_t now)
{
    struct gd_stats *stats = &packet->netif->stack->stats;
    struct gd_addr group;
    struct gd_query query = {0};

    gd_count(stats, GD_STAT_group_in);
    if (packet->l4_len < GD_MLD_LEN || !is_of_link(packet)) {
        gd_count(stats, GD_STAT_group_drop_malformed);
        return;
    }
    if (packet->l4[0] == GD_MLD_REPORT1) {
        memcpy(group.b, packet->l4 + 8, 16);
        gd_group_heard(packet->netif, &group, now);
    } else if (parse_query(packet, &query)) {
        gd_group_query(packet->netif, false, &query, now);
    } else {
        gd_count(stats, GD_STAT_group_drop_malformed);
    }
}
