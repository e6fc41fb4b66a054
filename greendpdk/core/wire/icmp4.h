/* ICMP's header and numbers (RFC 792, RFC 1122 3.2.2, RFC 1191 4). Called by net/icmp4.c; calls util/bytes.h. */
#ifndef GD_WIRE_ICMP4_H
#define GD_WIRE_ICMP4_H
#include "../util/bytes.h"

#define GD_ICMP4_HEADER 8u

enum {
    GD_ICMP4_ECHO_REPLY = 0,
    GD_ICMP4_UNREACHABLE = 3,
    GD_ICMP4_SOURCE_QUENCH = 4,
    GD_ICMP4_REDIRECT = 5,
    GD_ICMP4_ECHO = 8,
    GD_ICMP4_TIME_EXCEEDED = 11,
    GD_ICMP4_PARAMETER = 12,
    GD_ICMP4_TIMESTAMP = 13,
};

/* Codes of destination unreachable. */
enum {
    GD_UNREACH_NET = 0,
    GD_UNREACH_HOST = 1,
    GD_UNREACH_PROTOCOL = 2,
    GD_UNREACH_PORT = 3,
    GD_UNREACH_TOO_BIG = 4,
};

#define GD_EXCEEDED_REASSEMBLY 1 /* a code of time exceeded */

/* The checksum zero. */
static inline void gd_icmp4_write(uint8_t *data, uint8_t type, uint8_t code, uint32_t rest)
{
    data[0] = type;
    data[1] = code;
    gd_put16(data + 2, 0);
    gd_put32(data + 4, rest);
}

/* RFC 1191 4: the next hop's MTU in a "fragmentation needed"; 0 from old routers. */
static inline uint32_t gd_icmp4_mtu(const uint8_t *data)
{
    return gd_get16(data + 6);
}
#endif
