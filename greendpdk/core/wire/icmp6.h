/* ICMPv6's header and numbers (RFC 4443 2.1, RFC 4861 4). Called by net/; calls util/bytes.h. */
#ifndef GD_WIRE_ICMP6_H
#define GD_WIRE_ICMP6_H
#include "../util/bytes.h"

#define GD_ICMP6_HEADER 8u

enum {
    GD_ICMP6_UNREACHABLE = 1,
    GD_ICMP6_TOO_BIG = 2,
    GD_ICMP6_TIME_EXCEEDED = 3,
    GD_ICMP6_PARAMETER = 4,
    GD_ICMP6_ERRORS = 128, /* below: errors; from here on: information */
    GD_ICMP6_ECHO = 128,
    GD_ICMP6_ECHO_REPLY = 129,
    GD_ICMP6_MLD_QUERY = 130,
    GD_ICMP6_ROUTER_SOLICIT = 133,
    GD_ICMP6_ROUTER_ADVERT = 134,
    GD_ICMP6_NEIGHBOUR_SOLICIT = 135,
    GD_ICMP6_NEIGHBOUR_ADVERT = 136,
    GD_ICMP6_REDIRECT = 137,
};

/* Codes of destination unreachable and of parameter problem. */
enum {
    GD_UNREACH6_PORT = 4,
    GD_PARAMETER_HEADER = 0, /* a field that is wrong */
    GD_PARAMETER_NEXT = 1,   /* a next header that is unknown */
    GD_PARAMETER_OPTION = 2, /* an option that is unknown */
    GD_PARAMETER_CHAIN = 3,  /* a first fragment without all headers (RFC 7112 5) */
};

/* The checksum zero. */
static inline void gd_icmp6_write(uint8_t *data, uint8_t type, uint8_t code, uint32_t rest)
{
    data[0] = type;
    data[1] = code;
    gd_put16(data + 2, 0);
    gd_put32(data + 4, rest);
}
#endif
