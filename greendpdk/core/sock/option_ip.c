/* ip(7)'s and ipv6(7)'s options. Called by sock/option.c; calls sock/dgram_output.c. */
#include "option.h"
#include "../wire/ip6.h"
#include "../tcp/tcp.h"
#include "dgram.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>

#define LOCAL_PORT_RANGE 51 /* IP_LOCAL_PORT_RANGE of Linux 6.3 */

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

/* The two ECN bits of a stream are TCP's own (ip(7)). */
static uint8_t tos_mask(const struct gd_sock *sock)
{
    return sock->type == SOCK_STREAM ? 0xfc : 0xff;
}

/* Linux takes any number's last byte; */
static int set_tos(struct gd_sock *sock, const struct gd_option *option, int value)
{
    (void)option;
    sock->options.tos = (uint8_t)value & tos_mask(sock);
    return 0;
}

/* and here none but a byte, or -1 for the default. */
static int set_tclass(struct gd_sock *sock, const struct gd_option *option, int value)
{
    if (value < option->min || value > option->max)
        return -EINVAL;
    sock->options.tclass = value == -1 ? 0 : (uint8_t)value & tos_mask(sock);
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
    const struct gd_addr *to = &sock->flow.remote.addr;
    bool stream = sock->type == SOCK_STREAM;
    bool connected = stream ? (gd_tcb(sock)->state & GD_SYNCHRONIZED) != 0 : gd_udp_of(sock)->connected;
    int rc = connected ? gd_dst_resolve(sock->stack, &sock->dst, to) : -ENOTCONN;
    int mtu;

    if (rc < 0)
        return rc;
    if (stream)
        mtu = (int)(gd_tcb(sock)->path_mtu != 0 ? gd_tcb(sock)->path_mtu : gd_path_mtu(sock->stack, &sock->dst, to));
    else
        mtu = (int)gd_udp_mtu(gd_udp_of(sock), to);
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

/* Sockets that pass for others' addresses want CAP_NET_ADMIN on Linux. */
static int set_transparent(struct gd_sock *sock, const struct gd_option *option, int value)
{
    (void)sock;
    (void)option;
    return value != 0 ? -EPERM : 0;
}

static int get_zero(struct gd_sock *sock, const struct gd_option *option)
{
    (void)sock;
    (void)option;
    return 0;
}

static int get_one(struct gd_sock *sock, const struct gd_option *option)
{
    (void)sock;
    (void)option;
    return 1;
}

/* The lowest port in the low half, the highest in the high one; 0: the stack's own bound (ip(7)). */
static int set_port_range(struct gd_sock *sock, const struct gd_option *option, int value)
{
    uint16_t low = (uint16_t)value, high = (uint16_t)((uint32_t)value >> 16);

    (void)option;
    if (low != 0 && high != 0 && low > high)
        return -EINVAL;
    sock->options.port_low = low;
    sock->options.port_high = high;
    return 0;
}

static int get_port_range(struct gd_sock *sock, const struct gd_option *option)
{
    (void)option;
    return (int)((uint32_t)sock->options.port_high << 16 | sock->options.port_low);
}

static uint8_t *least_of(struct gd_sock *sock, const struct gd_option *option)
{
    return option->level == IPPROTO_IP ? &sock->options.min_ttl : &sock->options.min_hops;
}

static int set_least_ttl(struct gd_sock *sock, const struct gd_option *option, int value)
{
    if (value < 0 || value > option->max)
        return -EINVAL;
    *least_of(sock, option) = (uint8_t)value;
    return 0;
}

static int get_least_ttl(struct gd_sock *sock, const struct gd_option *option)
{
    return *least_of(sock, option);
}

/* The flags that Linux has the other way round. */
static int set_off(struct gd_sock *sock, const struct gd_option *option, int value)
{
    sock->dst.generation = 0;
    return gd_option_set_flag(sock, option, value == 0);
}

static int get_off(struct gd_sock *sock, const struct gd_option *option)
{
    return !gd_option_get_flag(sock, option);
}

static int set_autoflowlabel(struct gd_sock *sock, const struct gd_option *option, int value)
{
    sock->dst.no_label = value == 0;
    return set_off(sock, option, value);
}

static int set_off_or_one(struct gd_sock *sock, const struct gd_option *option, int value)
{
    return value != 0 && value != 1 ? -EINVAL : set_off(sock, option, value);
}

static int refuse(struct gd_sock *sock, const void *value, uint32_t len)
{
    (void)sock;
    (void)value;
    (void)len;
    return -EINVAL;
}

static int get_no_interface(struct gd_sock *sock, void *value, uint32_t *len)
{
    static const uint8_t none[4];

    (void)sock;
    return gd_option_put(value, len, none, sizeof(none));
}

static int get_one_hop(struct gd_sock *sock, void *value, uint32_t *len)
{
    static const int one = 1;

    (void)sock;
    return gd_option_put(value, len, &one, sizeof(one));
}

const struct gd_option *gd_option_ip(size_t *count)
{
    static const struct gd_option table[] = {
        {IPPROTO_IP, IP_TTL, GD_ANY, set_ttl, get_ttl, .min = 1, .max = 255},
        {IPPROTO_IP, IP_TOS, GD_ANY, .set = set_tos, .get = get_tos},
        {IPPROTO_IP, IP_MTU_DISCOVER, GD_ANY, set_discover, get_discover, .min = 0, .max = IP_PMTUDISC_OMIT},
        {IPPROTO_IP, IP_MTU, GD_ANY, .get_raw = get_mtu},
        {IPPROTO_IPV6, IPV6_MTU_DISCOVER, GD_ANY, set_discover, get_discover, .min = 0, .max = IPV6_PMTUDISC_OMIT},
        {IPPROTO_IPV6, IPV6_MTU, GD_ANY, .set_raw = set_mtu, .get_raw = get_mtu},
        {IPPROTO_IPV6, IPV6_DONTFRAG, GD_ANY, gd_option_set_flag, gd_option_get_flag, GD_AT(dontfrag)},
        {IPPROTO_IPV6, IPV6_V6ONLY, GD_ANY, set_v6only, gd_option_get_flag, GD_AT(v6only)},
        {IPPROTO_IPV6, IPV6_UNICAST_HOPS, GD_ANY, set_ttl, get_ttl, .min = 0, .max = 255},
        {IPPROTO_IPV6, IPV6_TCLASS, GD_ANY, set_tclass, get_tos, .min = -1, .max = 255},
        {IPPROTO_IP, IP_FREEBIND, GD_ANY, gd_option_set_flag, gd_option_get_flag, GD_AT(freebind)},
        {IPPROTO_IPV6, IPV6_FREEBIND, GD_ANY, gd_option_set_flag, gd_option_get_flag, GD_AT(freebind)},
        {IPPROTO_IP, IP_TRANSPARENT, GD_ANY, .set = set_transparent, .get = get_zero},
        {IPPROTO_IPV6, IPV6_TRANSPARENT, GD_ANY, .set = set_transparent, .get = get_zero},
        {IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, GD_ANY, gd_option_set_flag, gd_option_get_flag, GD_AT(bind_no_port)},
        {IPPROTO_IP, LOCAL_PORT_RANGE, GD_ANY, .set = set_port_range, .get = get_port_range},
        {IPPROTO_IP, IP_MINTTL, GD_ANY, .set = set_least_ttl, .get = get_least_ttl, .max = 255},
        {IPPROTO_IPV6, IPV6_MINHOPCOUNT, GD_ANY, .set = set_least_ttl, .get = get_least_ttl, .max = 255},
        {IPPROTO_IPV6, IPV6_AUTOFLOWLABEL, GD_ANY, set_autoflowlabel, get_off, GD_AT(no_label)},
        /* A stream sends to no group, and keeps what Linux lets it keep. */
        {IPPROTO_IP, IP_MULTICAST_TTL, GD_STREAM, .set_raw = refuse, .get_raw = get_one_hop},
        {IPPROTO_IP, IP_MULTICAST_IF, GD_STREAM, .set_raw = refuse, .get_raw = get_no_interface},
        {IPPROTO_IP, IP_MULTICAST_LOOP, GD_STREAM, set_off, get_off, GD_AT(no_loop[0])},
        {IPPROTO_IP, IP_MULTICAST_ALL, GD_STREAM, set_off_or_one, get_off, GD_AT(not_all[0])},
        {IPPROTO_IPV6, IPV6_MULTICAST_HOPS, GD_STREAM, .get = get_one},
        {IPPROTO_IPV6, IPV6_MULTICAST_IF, GD_STREAM, .get = get_zero},
        {IPPROTO_IPV6, IPV6_MULTICAST_LOOP, GD_STREAM, set_off_or_one, get_off, GD_AT(no_loop[1])},
        {IPPROTO_IPV6, IPV6_MULTICAST_ALL, GD_STREAM, set_off, get_off, GD_AT(not_all[1])},
    };

    *count = sizeof(table) / sizeof(table[0]);
    return table;
}
