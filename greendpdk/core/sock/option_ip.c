/* ip(7)'s and ipv6(7)'s options. Called by sock/option.c; calls sock/dgram_output.c. */
#include "option.h"
#include "../wire/ip6.h"
#include "dgram.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>

/* IP_TTL and IPV6_UNICAST_HOPS; -1 is the default. */
static int set_ttl(struct gd_sock *sock, const struct gd_option *option, int value)
{
    int16_t *ttl = option->level == IPPROTO_IP ? &sock->options.ttl : &sock->options.hops;

    if (value != -1 && (value < option->min || value > option->max))
        return -EINVAL;
    *ttl = (int16_t)value;
    return 0;
}

static int get_ttl(struct gd_sock *sock, const struct gd_option *option)
{
    int ttl = option->level == IPPROTO_IP ? sock->options.ttl : sock->options.hops;

    return ttl == GD_TTL_DEFAULT ? GD_TTL : ttl;
}

/* IP_TOS and IPV6_TCLASS; the two ECN bits of a stream are TCP's own (ip(7)). */
static int set_tos(struct gd_sock *sock, const struct gd_option *option, int value)
{
    uint8_t mask = sock->type == SOCK_STREAM ? 0xfc : 0xff;
    uint8_t *tos = option->level == IPPROTO_IP ? &sock->options.tos : &sock->options.tclass;

    if (value < option->min || value > option->max)
        return -EINVAL;
    *tos = value == -1 ? 0 : (uint8_t)value & mask;
    return 0;
}

static int get_tos(struct gd_sock *sock, const struct gd_option *option)
{
    return option->level == IPPROTO_IP ? sock->options.tos : sock->options.tclass;
}

static int set_v6only(struct gd_sock *sock, const struct gd_option *option, int value)
{
    if (sock->domain != AF_INET6)
        return -ENOPROTOOPT;
    if (sock->flow.holders != NULL) /* Linux: only before bind */
        return -EINVAL;
    return gd_option_set_flag(sock, option, value);
}

static uint8_t *mode_of(struct gd_sock *sock, const struct gd_option *option)
{
    return &sock->options.pmtudisc[option->level == IPPROTO_IP ? 0 : 1];
}

static int set_discover(struct gd_sock *sock, const struct gd_option *option, int value)
{
    if (value < option->min || value > option->max)
        return -EINVAL;
    *mode_of(sock, option) = (uint8_t)value;
    return 0;
}

static int get_discover(struct gd_sock *sock, const struct gd_option *option)
{
    return *mode_of(sock, option);
}

/* IP_MTU, IPV6_MTU: what is known of the path to the peer. */
static int get_mtu(struct gd_sock *sock, void *value, uint32_t *len)
{
    int rc = gd_udp_of(sock)->connected ? gd_dst_resolve(sock->stack, &sock->dst, &sock->flow.remote.addr) : -ENOTCONN;
    int mtu;

    if (rc < 0)
        return rc;
    mtu = (int)gd_udp_mtu(gd_udp_of(sock), &sock->flow.remote.addr);
    return gd_option_put(value, len, &mtu, sizeof(mtu));
}

static int set_mtu(struct gd_sock *sock, const void *value, uint32_t len)
{
    int mtu;

    if (len < sizeof(mtu))
        return -EINVAL;
    memcpy(&mtu, value, sizeof(mtu));
    if (mtu != 0 && mtu < (int)GD_IP6_MTU_MIN)
        return -EINVAL;
    sock->options.mtu = (uint32_t)mtu;
    return 0;
}

const struct gd_option *gd_option_ip(size_t *count)
{
    static const struct gd_option table[] = {
        {IPPROTO_IP, IP_TTL, GD_ANY, set_ttl, get_ttl, .min = 1, .max = 255},
        {IPPROTO_IP, IP_TOS, GD_ANY, set_tos, get_tos, .min = -1, .max = 255},
        {IPPROTO_IP, IP_MTU_DISCOVER, GD_DGRAM, set_discover, get_discover, .min = 0, .max = IP_PMTUDISC_OMIT},
        {IPPROTO_IP, IP_MTU, GD_DGRAM, .get_raw = get_mtu},
        {IPPROTO_IPV6, IPV6_MTU_DISCOVER, GD_DGRAM, set_discover, get_discover, .min = 0, .max = IPV6_PMTUDISC_OMIT},
        {IPPROTO_IPV6, IPV6_MTU, GD_DGRAM, .set_raw = set_mtu, .get_raw = get_mtu},
        {IPPROTO_IPV6, IPV6_DONTFRAG, GD_DGRAM, gd_option_set_flag, gd_option_get_flag, GD_AT(dontfrag)},
        {IPPROTO_IPV6, IPV6_V6ONLY, GD_ANY, set_v6only, gd_option_get_flag, GD_AT(v6only)},
        {IPPROTO_IPV6, IPV6_UNICAST_HOPS, GD_ANY, set_ttl, get_ttl, .min = 0, .max = 255},
        {IPPROTO_IPV6, IPV6_TCLASS, GD_ANY, set_tos, get_tos, .min = -1, .max = 255},
    };

    *count = sizeof(table) / sizeof(table[0]);
    return table;
}
