/* Ethernet's header (IEEE 802.3 3.1.1, type interpretation): destination, source, type.
 * Called by net/ether.c, net/neighbour.c, net/arp.c; calls util/bytes.h.
 */
#ifndef GD_WIRE_ETHER_H
#define GD_WIRE_ETHER_H
#include "../util/bytes.h"

#include <stdbool.h>

#define GD_ETHER_HEADER 14u
#define GD_ETHER_MAC 6u

enum {
    GD_ETHER_IP4 = 0x0800,
    GD_ETHER_ARP = 0x0806,
    GD_ETHER_IP6 = 0x86dd,
};

static inline uint16_t gd_ether_type(const uint8_t *header)
{
    return gd_get16(header + 12);
}

static inline void gd_ether_write(uint8_t *header, const uint8_t *to, const uint8_t *from, uint16_t type)
{
    memcpy(header, to, GD_ETHER_MAC);
    memcpy(header + 6, from, GD_ETHER_MAC);
    gd_put16(header + 12, type);
}

/* Broadcast or multicast: the first bit on the wire. */
static inline bool gd_mac_is_group(const uint8_t *mac)
{
    return (mac[0] & 1) != 0;
}

static inline bool gd_mac_eq(const uint8_t *a, const uint8_t *b)
{
    return memcmp(a, b, GD_ETHER_MAC) == 0;
}
#endif
