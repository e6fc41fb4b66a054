/* Options of source filters, in the layouts of ip(7) and RFC 3678. Called by sock/option.c; calls sock/dgram_source.c.
 *
 *     IP_ADD_SOURCE_MEMBERSHIP, ...      struct ip_mreq_source      IP_MSFILTER      struct ip_msfilter
 *     MCAST_JOIN_SOURCE_GROUP, ...       struct group_source_req    MCAST_MSFILTER   struct group_filter
 */
#include "dgram.h"
#include "option.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#define SOURCES4 10u /* Linux's igmp_max_msf; of IPv6 it is GD_SOURCES */

/* What an option asks, whatever its layout. */
struct request {
    struct gd_addr group, source;
    int ifindex;
    struct in_addr address;
};

static struct gd_addr of_in(const struct in_addr *in)
{
    return gd_addr_v4((const uint8_t *)in);
}

/* 0, -EADDRNOTAVAIL: of the other family. */
static int of_sockaddr(const struct sockaddr_storage *from, int family, struct gd_addr *out)
{
    struct sockaddr_in four;
    struct sockaddr_in6 six;

    if (from->ss_family != family)
        return -EADDRNOTAVAIL;
    if (family == AF_INET) {
        memcpy(&four, from, sizeof four);
        *out = of_in(&four.sin_addr);
        return 0;
    }
    memcpy(&six, from, sizeof six);
    memcpy(out->b, &six.sin6_addr, sizeof out->b);
    return 0;
}

static int parse_old(const void *value, uint32_t len, struct request *request)
{
    struct ip_mreq_source from;

    if (len != sizeof from)
        return -EINVAL;
    memcpy(&from, value, sizeof from);
    *request = (struct request){of_in(&from.imr_multiaddr), of_in(&from.imr_sourceaddr), 0, from.imr_interface};
    return 0;
}

static int parse_any(int family, const void *value, uint32_t len, struct request *request)
{
    struct group_source_req from;
    int rc;

    if (len < sizeof from)
        return -EINVAL;
    memcpy(&from, value, sizeof from);
    *request = (struct request){.ifindex = (int)from.gsr_interface};
    rc = of_sockaddr(&from.gsr_group, family, &request->group);
    return rc == 0 ? of_sockaddr(&from.gsr_source, family, &request->source) : rc;
}

/* The interface, or -EINVAL, -ENODEV. */
static int find(struct gd_sock *sock, int level, const struct request *request, struct gd_netif **netif)
{
    if (!gd_addr_is_multicast(&request->group) || (level == IPPROTO_IPV6 && gd_addr_is_v4(&request->group)))
        return -EINVAL;
    *netif = gd_option_interface(sock->stack, &request->group, request->ifindex, &request->address);
    return *netif ? 0 : -ENODEV;
}

static int set_one(struct gd_sock *sock, int level, int name, const void *value, uint32_t len)
{
    struct gd_udp *udp = gd_udp_of(sock);
    struct gd_netif *netif;
    struct request request;
    int rc = name < MCAST_JOIN_GROUP ? parse_old(value, len, &request)
                                     : parse_any(level == IPPROTO_IP ? AF_INET : AF_INET6, value, len, &request);

    if (rc == 0)
        rc = find(sock, level, &request, &netif);
    if (rc < 0)
        return rc;
    switch (name) {
    case IP_ADD_SOURCE_MEMBERSHIP:
    case MCAST_JOIN_SOURCE_GROUP:
        return gd_udp_join_source(udp, &request.group, netif, &request.source);
    case IP_DROP_SOURCE_MEMBERSHIP:
    case MCAST_LEAVE_SOURCE_GROUP:
        return gd_udp_source(udp, &request.group, netif, &request.source, true, false);
    case IP_BLOCK_SOURCE:
    case MCAST_BLOCK_SOURCE:
        return gd_udp_source(udp, &request.group, netif, &request.source, false, true);
    default:
        return gd_udp_source(udp, &request.group, netif, &request.source, false, false);
    }
}

static int apply(struct gd_sock *sock, int level, const struct request *request, uint32_t mode,
                 const struct gd_source_list *list)
{
    struct gd_netif *netif;
    int rc;

    if (!gd_addr_is_multicast(&request->group) || (mode != MCAST_INCLUDE && mode != MCAST_EXCLUDE))
        return -EINVAL;
    rc = find(sock, level, request, &netif);
    return rc < 0 ? rc : gd_udp_filter(gd_udp_of(sock), &request->group, netif, list, mode == MCAST_INCLUDE);
}

static int set_old_filter(struct gd_sock *sock, const void *value, uint32_t len)
{
    struct gd_source_list list = {0};
    struct request request = {0};
    struct ip_msfilter from;
    uint32_t head = (uint32_t)IP_MSFILTER_SIZE(0);

    if (len < head)
        return -EINVAL;
    memcpy(&from, value, head);
    if (from.imsf_numsrc > SOURCES4)
        return -ENOBUFS;
    if (len < IP_MSFILTER_SIZE(from.imsf_numsrc))
        return -EINVAL;
    request.group = of_in(&from.imsf_multiaddr);
    request.address = from.imsf_interface;
    for (; list.count < from.imsf_numsrc; list.count++)
        list.at[list.count] = gd_addr_v4((const uint8_t *)value + head + 4 * list.count);
    return apply(sock, IPPROTO_IP, &request, from.imsf_fmode, &list);
}

static int set_any_filter(struct gd_sock *sock, int level, const void *value, uint32_t len)
{
    int family = level == IPPROTO_IP ? AF_INET : AF_INET6;
    struct gd_source_list list = {0};
    struct request request = {0};
    struct group_filter from;
    uint32_t head = (uint32_t)GROUP_FILTER_SIZE(0);
    int rc;

    if (len < head)
        return -EINVAL;
    memcpy(&from, value, head);
    if (from.gf_numsrc > (level == IPPROTO_IP ? SOURCES4 : GD_SOURCES))
        return -ENOBUFS;
    if (len < GROUP_FILTER_SIZE(from.gf_numsrc))
        return -EINVAL;
    request.ifindex = (int)from.gf_interface;
    rc = of_sockaddr(&from.gf_group, family, &request.group);
    for (; rc == 0 && list.count < from.gf_numsrc; list.count++) {
        struct sockaddr_storage source;

        memcpy(&source, (const uint8_t *)value + head + sizeof source * list.count, sizeof source);
        rc = of_sockaddr(&source, family, &list.at[list.count]);
    }
    return rc < 0 ? rc : apply(sock, level, &request, from.gf_fmode, &list);
}

bool gd_option_is_source(const struct gd_sock *sock, int level, int name)
{
    bool mcast = name == MCAST_BLOCK_SOURCE || name == MCAST_UNBLOCK_SOURCE || name == MCAST_JOIN_SOURCE_GROUP ||
                 name == MCAST_LEAVE_SOURCE_GROUP || name == MCAST_MSFILTER;
    bool old = name >= IP_UNBLOCK_SOURCE && name <= IP_MSFILTER;

    if (sock->type != SOCK_DGRAM)
        return false;
    return level == IPPROTO_IP ? mcast || old : level == IPPROTO_IPV6 && sock->domain == AF_INET6 && mcast;
}

int gd_option_set_source(struct gd_sock *sock, int level, int name, const void *value, uint32_t len)
{
    if (name == IP_MSFILTER)
        return set_old_filter(sock, value, len);
    return name == MCAST_MSFILTER ? set_any_filter(sock, level, value, len) : set_one(sock, level, name, value, len);
}
