/* UDP's header (RFC 768). Called by sock/dgram_*.c; calls util/bytes.h. */
#ifndef GD_WIRE_UDP_H
#define GD_WIRE_UDP_H
#include "../util/bytes.h"

#include <stdbool.h>

#define GD_UDP_HEADER 8u
/* What fits the length field of UDP in that of IPv4. */
#define GD_UDP_MAX (65535u - 20u - GD_UDP_HEADER)
#define GD_UDP6_MORE 20u /* so much more in IPv6, whose length field does not count its header */

struct gd_udp_header {
    uint16_t source, destination;
    uint32_t len; /* header and data */
    uint16_t checksum;
};

/* False: shorter than its header, or longer than what is there. */
static inline bool gd_udp_parse(const uint8_t *data, uint32_t len, struct gd_udp_header *header)
{
    if (len < GD_UDP_HEADER)
        return false;
    header->source = gd_get16(data);
    header->destination = gd_get16(data + 2);
    header->len = gd_get16(data + 4);
    header->checksum = gd_get16(data + 6);
    return header->len >= GD_UDP_HEADER && header->len <= len;
}

static inline void gd_udp_write(uint8_t *data, const struct gd_udp_header *header)
{
    gd_put16(data, header->source);
    gd_put16(data + 2, header->destination);
    gd_put16(data + 4, (uint16_t)header->len);
    gd_put16(data + 6, header->checksum);
}
#endif
