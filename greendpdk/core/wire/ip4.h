/* IPv4's header (RFC 791 3.1). Called by net/ip4.c, net/icmp4.c, net/neighbour.c; calls util/bytes.h. */
#ifndef GD_WIRE_IP4_H
#define GD_WIRE_IP4_H
#include "../util/addr.h"

#define GD_IP4_HEADER 20u
#define GD_IP4_DF 0x4000u
#define GD_IP4_MF 0x2000u
#define GD_IP4_OFFSET 0x1fffu

/* Options that a host must look at. */
enum {
    GD_IP4_OPTION_END = 0,
    GD_IP4_OPTION_NOP = 1,
    GD_IP4_OPTION_LSRR = 131,
    GD_IP4_OPTION_SSRR = 137,
};

struct gd_ip4 {
    uint32_t header_len; /* with options */
    uint32_t total_len;  /* as the header says; may be more than there is when it is only quoted */
    uint16_t fragment;   /* flags and offset */
    uint8_t tos, ttl, proto;
    struct gd_addr src, dst;
};

/* False: shorter than its header, or not version 4, or lengths that contradict each other. Whether total_len bytes are
 * there is for the caller to see. */
static inline bool gd_ip4_parse(const uint8_t *data, uint32_t len, struct gd_ip4 *ip)
{
    if (len < GD_IP4_HEADER || data[0] >> 4 != 4)
        return false;
    ip->header_len = (data[0] & 15u) * 4;
    ip->total_len = gd_get16(data + 2);
    if (ip->header_len < GD_IP4_HEADER || ip->header_len > len || ip->total_len < ip->header_len)
        return false;
    ip->tos = data[1];
    ip->fragment = gd_get16(data + 6);
    ip->ttl = data[8];
    ip->proto = data[9];
    ip->src = gd_addr_v4(data + 12);
    ip->dst = gd_addr_v4(data + 16);
    return true;
}

/* Without options, the checksum zero. */
static inline void gd_ip4_write(uint8_t *data, const struct gd_ip4 *ip, uint16_t id)
{
    data[0] = 0x45;
    data[1] = ip->tos;
    gd_put16(data + 2, (uint16_t)ip->total_len);
    gd_put16(data + 4, id);
    gd_put16(data + 6, ip->fragment);
    data[8] = ip->ttl;
    data[9] = ip->proto;
    gd_put16(data + 10, 0);
    memcpy(data + 12, ip->src.b + 12, 4);
    memcpy(data + 16, ip->dst.b + 12, 4);
}
#endif
