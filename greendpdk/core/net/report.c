/* Tells a socket what became of a packet that it sent: what a router quotes in an ICMP error, or a frame whose
 * neighbour never answered. Every byte may be a lie.
 * Called by net/icmp4.c, net/icmp6.c, net/neighbour.c; calls tcp/icmp.c, sock/dgram_input.c.
 */
#include "../stack.h"
#include "../wire/ip4.h"
#include "../wire/ip6.h"

#include <errno.h>
#include <netinet/in.h>

#define QUOTE 8u /* RFC 792: so much of the transport header is there for sure: ports, TCP's sequence number */

/* The transport header that a quote holds, at least QUOTE bytes of it. */
struct quoted {
    struct gd_addr src, dst;
    const uint8_t *l4;
    uint32_t len;
    uint8_t proto;
};

static bool parse_ip4(const uint8_t *data, uint32_t len, struct quoted *quoted)
{
    struct gd_ip4 ip;

    if (!gd_ip4_parse(data, len, &ip) || ip.fragment & GD_IP4_OFFSET || len - ip.header_len < QUOTE)
        return false;
    *quoted = (struct quoted){ip.src, ip.dst, data + ip.header_len, len - ip.header_len, ip.proto};
    return true;
}

static bool parse_ip6(const struct gd_netif *netif, const uint8_t *data, uint32_t len, struct quoted *quoted)
{
    struct gd_ip6 ip;
    uint32_t at;

    if (!gd_ip6_parse(data, len, &ip))
        return false;
    at = gd_ip6_skip(data, len, &ip.next);
    if (at == 0 || len - at < QUOTE)
        return false;
    *quoted = (struct quoted){gd_ip6_scoped(netif, &ip.src), gd_ip6_scoped(netif, &ip.dst), data + at,
                              len - at, ip.next};
    return true;
}

int gd_ip_report(struct gd_stack *stack, const struct gd_netif *netif, const uint8_t *ip, uint32_t len,
                 struct gd_icmp_error *error, uint64_t now)
{
    struct quoted quoted;

    if (!parse_ip4(ip, len, &quoted) && !parse_ip6(netif, ip, len, &quoted))
        return -EINVAL;
    error->local = (struct gd_endpoint){quoted.src, gd_get16(quoted.l4)};
    error->remote = (struct gd_endpoint){quoted.dst, gd_get16(quoted.l4 + 2)};
    error->ifindex = netif->index;
    error->quote = quoted.l4;
    error->quote_len = quoted.len;
    error->seq = gd_get32(quoted.l4 + 4);
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
