/* Multicast options, in ip(7)'s and ipv6(7)'s layouts. Called by sock/option.c; calls sock/dgram_group.c, net/ip.c.
 * Those of source filters are option_source.c's.
 */
#include "dgram.h"
#include "option.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#define SCOPE_BASE (1 << 30) /* _address.py's: a port's number beside those of the kernel's interfaces */

/* By its number in the stack, or by the scope id that Python has for it. */
static struct gd_netif *by_index(struct gd_stack *stack, int ifindex)
{
    return gd_netif_find(stack, ifindex > SCOPE_BASE ? ifindex - SCOPE_BASE : ifindex);
}

struct gd_netif *gd_option_interface(struct gd_stack *stack, const struct gd_addr *group, int ifindex,
                                     const struct in_addr *address)
{
    struct gd_addr own, next_hop;
    struct gd_netif *netif;

    if (ifindex != 0)
        return by_index(stack, ifindex);
    if (address && address->s_addr != 0) {
        own = gd_addr_v4((const uint8_t *)address);
        return gd_ip_local(stack, &own);
    }
    return gd_ip_path(stack, group, 0, &netif, &next_hop) == 0 ? netif : NULL;
}

static int change(struct gd_sock *sock, const struct gd_addr *group, int ifindex, const struct in_addr *address,
                  bool join)
{
    struct gd_netif *netif;

    if (!gd_addr_is_multicast(group))
        return -EINVAL;
    netif = gd_option_interface(sock->stack, group, ifindex, address);
    if (!netif)
        return -ENODEV;
    return join ? gd_udp_join(gd_udp_of(sock), group, netif) : gd_udp_leave(gd_udp_of(sock), group, netif);
}

/* struct ip_mreq: group and address; struct ip_mreqn: and an index. */
static int change4(struct gd_sock *sock, const void *value, uint32_t len, bool join)
{
    struct ip_mreqn request = {0};
    struct gd_addr group;

    if (len < sizeof(struct ip_mreq))
        return -EINVAL;
    memcpy(&request, value, len < sizeof(request) ? sizeof(struct ip_mreq) : sizeof(request));
    group = gd_addr_v4((const uint8_t *)&request.imr_multiaddr);
    return change(sock, &group, request.imr_ifindex, &request.imr_address, join);
}

static int join4(struct gd_sock *sock, const void *value, uint32_t len)
{
    return change4(sock, value, len, true);
}

static int leave4(struct gd_sock *sock, const void *value, uint32_t len)
{
    return change4(sock, value, len, false);
}

static int change6(struct gd_sock *sock, const void *value, uint32_t len, bool join)
{
    struct ipv6_mreq request;
    struct gd_addr group;

    if (len < sizeof(request))
        return -EINVAL;
    memcpy(&request, value, sizeof(request));
    memcpy(group.b, &request.ipv6mr_multiaddr, sizeof(group.b));
    if (gd_addr_is_v4(&group)) /* Linux: a v4-mapped one is no group of IPv6 */
        return -EINVAL;
    return change(sock, &group, (int)request.ipv6mr_interface, NULL, join);
}

static int join6(struct gd_sock *sock, const void *value, uint32_t len)
{
    return change6(sock, value, len, true);
}

static int leave6(struct gd_sock *sock, const void *value, uint32_t len)
{
    return change6(sock, value, len, false);
}

/* struct group_req, of either family (RFC 3678 5.1.2). */
static int change_any(struct gd_sock *sock, int family, const void *value, uint32_t len, bool join)
{
    struct group_req request;
    struct gd_addr group;

    if (len < sizeof(request))
        return -EINVAL;
    memcpy(&request, value, sizeof(request));
    if (request.gr_group.ss_family != family)
        return family == AF_INET ? -EINVAL : -EADDRNOTAVAIL;
    if (family == AF_INET)
        group = gd_addr_v4((const uint8_t *)&((struct sockaddr_in *)&request.gr_group)->sin_addr);
    else
        memcpy(group.b, &((struct sockaddr_in6 *)&request.gr_group)->sin6_addr, sizeof(group.b));
    return change(sock, &group, (int)request.gr_interface, NULL, join);
}

static int join_any4(struct gd_sock *sock, const void *value, uint32_t len)
{
    return change_any(sock, AF_INET, value, len, true);
}

static int leave_any4(struct gd_sock *sock, const void *value, uint32_t len)
{
    return change_any(sock, AF_INET, value, len, false);
}

static int join_any6(struct gd_sock *sock, const void *value, uint32_t len)
{
    return change_any(sock, AF_INET6, value, len, true);
}

static int leave_any6(struct gd_sock *sock, const void *value, uint32_t len)
{
    return change_any(sock, AF_INET6, value, len, false);
}

static struct gd_multicast *multicast_of(struct gd_sock *sock, const struct gd_option *option)
{
    return &gd_udp_of(sock)->multicast[option->level == IPPROTO_IP ? 0 : 1];
}

/* struct in_addr, ip_mreq or ip_mreqn, told apart by length. */
static int set_interface4(struct gd_sock *sock, const void *value, uint32_t len)
{
    struct gd_multicast *multicast = &gd_udp_of(sock)->multicast[0];
    struct ip_mreqn request = {0};
    struct gd_netif *netif;

    if (len < sizeof(struct in_addr))
        return -EINVAL;
    if (len < sizeof(struct ip_mreq))
        memcpy(&request.imr_address, value, sizeof(struct in_addr));
    else
        memcpy(&request, value, len < sizeof(request) ? sizeof(struct ip_mreq) : sizeof(request));
    sock->dst.generation = 0;
    if (request.imr_ifindex == 0 && request.imr_address.s_addr == 0) {
        multicast->ifindex = 0;
        multicast->source = (struct gd_addr){0};
        return 0;
    }
    netif = gd_option_interface(sock->stack, NULL, request.imr_ifindex, &request.imr_address);
    if (!netif)
        return -EADDRNOTAVAIL;
    multicast->ifindex = netif->index;
    multicast->source = gd_addr_v4((const uint8_t *)&request.imr_address);
    return 0;
}

static int get_interface4(struct gd_sock *sock, void *value, uint32_t *len)
{
    return gd_option_put(value, len, gd_udp_of(sock)->multicast[0].source.b + 12, sizeof(struct in_addr));
}

static int set_interface6(struct gd_sock *sock, const struct gd_option *option, int value)
{
    const struct gd_netif *netif = by_index(sock->stack, value);

    if (value != 0 && !netif)
        return -ENODEV;
    multicast_of(sock, option)->ifindex = netif ? netif->index : 0;
    sock->dst.generation = 0;
    return 0;
}

static int get_interface6(struct gd_sock *sock, const struct gd_option *option)
{
    return multicast_of(sock, option)->ifindex;
}

static int set_ttl(struct gd_sock *sock, const struct gd_option *option, int value)
{
    if (value < option->min || value > option->max)
        return -EINVAL;
    multicast_of(sock, option)->ttl = (uint8_t)(value == -1 ? 1 : value);
    return 0;
}

static int get_ttl(struct gd_sock *sock, const struct gd_option *option)
{
    return multicast_of(sock, option)->ttl;
}

/* max 1: anything else is EINVAL; 0: is true. */
static int set_loop(struct gd_sock *sock, const struct gd_option *option, int value)
{
    if (option->max && (value < 0 || value > option->max))
        return -EINVAL;
    multicast_of(sock, option)->loop = value != 0;
    return 0;
}

static int get_loop(struct gd_sock *sock, const struct gd_option *option)
{
    return multicast_of(sock, option)->loop;
}

static int set_all(struct gd_sock *sock, const struct gd_option *option, int value)
{
    if (value < 0 || value > option->max)
        return -EINVAL;
    multicast_of(sock, option)->all = value != 0;
    return 0;
}

static int get_all(struct gd_sock *sock, const struct gd_option *option)
{
    return multicast_of(sock, option)->all;
}

const struct gd_option *gd_option_group(size_t *count)
{
    static const struct gd_option table[] = {
        {IPPROTO_IP, IP_ADD_MEMBERSHIP, GD_DGRAM, .set_raw = join4},
        {IPPROTO_IP, IP_DROP_MEMBERSHIP, GD_DGRAM, .set_raw = leave4},
        {IPPROTO_IP, MCAST_JOIN_GROUP, GD_DGRAM, .set_raw = join_any4},
        {IPPROTO_IP, MCAST_LEAVE_GROUP, GD_DGRAM, .set_raw = leave_any4},
        {IPPROTO_IP, IP_MULTICAST_IF, GD_DGRAM, .set_raw = set_interface4, .get_raw = get_interface4},
        {IPPROTO_IP, IP_MULTICAST_TTL, GD_DGRAM, set_ttl, get_ttl, .min = -1, .max = 255},
        {IPPROTO_IP, IP_MULTICAST_LOOP, GD_DGRAM, set_loop, get_loop, .max = 0},
        {IPPROTO_IP, IP_MULTICAST_ALL, GD_DGRAM, set_all, get_all, .max = 1},
        {IPPROTO_IPV6, IPV6_JOIN_GROUP, GD_DGRAM, .set_raw = join6},
        {IPPROTO_IPV6, IPV6_LEAVE_GROUP, GD_DGRAM, .set_raw = leave6},
        {IPPROTO_IPV6, MCAST_JOIN_GROUP, GD_DGRAM, .set_raw = join_any6},
        {IPPROTO_IPV6, MCAST_LEAVE_GROUP, GD_DGRAM, .set_raw = leave_any6},
        {IPPROTO_IPV6, IPV6_MULTICAST_IF, GD_DGRAM, set_interface6, get_interface6, .max = INT32_MAX},
        {IPPROTO_IPV6, IPV6_MULTICAST_HOPS, GD_DGRAM, set_ttl, get_ttl, .min = -1, .max = 255},
        {IPPROTO_IPV6, IPV6_MULTICAST_LOOP, GD_DGRAM, set_loop, get_loop, .max = 1},
        {IPPROTO_IPV6, IPV6_MULTICAST_ALL, GD_DGRAM, set_all, get_all, .max = 1},
    };

    *count = sizeof(table) / sizeof(table[0]);
    return table;
}
