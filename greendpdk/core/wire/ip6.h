/* IPv6's header (RFC 8200 3) and the numbers of its extension headers. Called by net/; calls util/bytes.h. */
#ifndef GD_WIRE_IP6_H
#define GD_WIRE_IP6_H
#include "../util/addr.h"

#define GD_IP6_HEADER 40u
#define GD_IP6_MTU_MIN 1280u /* RFC 8200 5: every link carries this */
#define GD_IP6_LABEL 0xfffffu
#define GD_IP6_NEXT_AT 6u /* where the next header is named */
#define GD_IP6_FRAGMENT_HEADER 8u
#define GD_IP6_RESERVED 6u /* of the fragment header's second word, between offset and M */

/* Next headers that are extension headers (RFC 8200 4), and none. Upper layers have their IPPROTO_. */
enum {
    GD_IP6_HOP_BY_HOP = 0,
    GD_IP6_ROUTING = 43,
    GD_IP6_FRAGMENT = 44,
    GD_IP6_NONE = 59,
    GD_IP6_DESTINATION = 60,
};

struct gd_ip6 {
    uint32_t payload_len; /* as the header says; may be more than there is when it is only quoted */
    uint32_t label;
    uint8_t tclass, next, hops;
    struct gd_addr src, dst; /* as on the wire, without an interface */
};

/* False: shorter than its header, or not version 6. */
static inline bool gd_ip6_parse(const uint8_t *data, uint32_t len, struct gd_ip6 *ip)
{
    uint32_t first;

    if (len < GD_IP6_HEADER || data[0] >> 4 != 6)
        return false;
    first = gd_get32(data);
    ip->tclass = (uint8_t)(first >> 20);
    ip->label = first & GD_IP6_LABEL;
    ip->payload_len = gd_get16(data + 4);
    ip->next = data[6];
    ip->hops = data[7];
    memcpy(ip->src.b, data + 8, 16);
    memcpy(ip->dst.b, data + 24, 16);
    return true;
}

static inline void gd_ip6_write(uint8_t *data, const struct gd_ip6 *ip)
{
    gd_put32(data, 6u << 28 | (uint32_t)ip->tclass << 20 | ip->label);
    gd_put16(data + 4, (uint16_t)ip->payload_len);
    data[6] = ip->next;
    data[7] = ip->hops;
    memcpy(data + 8, ip->src.b, 16);
    memcpy(data + 24, ip->dst.b, 16);
}
#endif
