/* Tells a socket what became of a packet that it sent: what a router quotes in an ICMP error, or a frame whose
 * neighbour never answered. Every byte may be a lie.
 * Called by net/icmp4.c, net/neighbour.c; calls tcp/icmp.c, sock/dgram_input.c.
 */
#include "../stack.h"
#include "../wire/ip4.h"

#include <errno.h>
#include <netinet/in.h>

#define QUOTE 8u /* RFC 792: so much of the transport header is there for sure: ports, TCP's sequence number */

int gd_ip_report(struct gd_stack *stack, const uint8_t *ip, uint32_t len, struct gd_icmp_error *error, uint64_t now)
{
    struct gd_ip4 quoted;
    const uint8_t *l4;

    if (!gd_ip4_parse(ip, len, &quoted) || quoted.fragment & GD_IP4_OFFSET || len - quoted.header_len < QUOTE)
        return -EINVAL;
    l4 = ip + quoted.header_len;
    error->local = (struct gd_endpoint){quoted.src, gd_get16(l4)};
    error->remote = (struct gd_endpoint){quoted.dst, gd_get16(l4 + 2)};
    error->seq = gd_get32(l4 + 4);
    if (!gd_ip_local(stack, &quoted.src))
        return -ENOENT;
    switch (quoted.proto) {
    case IPPROTO_TCP:
        return gd_tcp_icmp(stack, error, now);
    case IPPROTO_UDP:
        return gd_udp_icmp(stack, error);
    default:
        return -ENOENT;
    }
}
