/* ARP for IPv4 over Ethernet (RFC 826): 28 bytes after the Ethernet header.
 * Called by net/arp.c; calls util/bytes.h.
 *
 *     0 hardware 1 | 2 protocol 0x0800 | 4 lengths 6, 4 | 6 operation
 *     8 sender's MAC | 14 sender's IP | 18 target's MAC | 24 target's IP
 */
#ifndef GD_WIRE_ARP_H
#define GD_WIRE_ARP_H
#include "../util/addr.h"

#define GD_ARP_LEN 28u

enum { GD_ARP_REQUEST = 1, GD_ARP_REPLY = 2 };

struct gd_arp {
    uint16_t operation;
    struct gd_addr sender, target;
    const uint8_t *sender_mac, *target_mac; /* six bytes; on parsing, within the frame */
};

/* False: too short, or not IPv4 over Ethernet. Padding after it is legal. */
static inline bool gd_arp_parse(const uint8_t *data, uint32_t len, struct gd_arp *arp)
{
    static const uint8_t ethernet_ip4[6] = {0, 1, 8, 0, 6, 4};

    if (len < GD_ARP_LEN || memcmp(data, ethernet_ip4, 6) != 0)
        return false;
    arp->operation = gd_get16(data + 6);
    arp->sender_mac = data + 8;
    arp->sender = gd_addr_v4(data + 14);
    arp->target_mac = data + 18;
    arp->target = gd_addr_v4(data + 24);
    return true;
}

static inline void gd_arp_write(uint8_t *data, const struct gd_arp *arp)
{
    static const uint8_t ethernet_ip4[6] = {0, 1, 8, 0, 6, 4};

    memcpy(data, ethernet_ip4, 6);
    gd_put16(data + 6, arp->operation);
    memcpy(data + 8, arp->sender_mac, 6);
    memcpy(data + 14, arp->sender.b + 12, 4);
    memcpy(data + 18, arp->target_mac, 6);
    memcpy(data + 24, arp->target.b + 12, 4);
}
#endif
