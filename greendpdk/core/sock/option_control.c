/* Options that say what recvmsg tells of each datagram, and which errors are queued (ip(7), ipv6(7), socket(7)), and those
 * that name a device. Called by sock/option.c; calls sock/errors.c, control.c.
 */
#include "control.h"
#include "../stack.h"
#include "errors.h"
#include "option.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

/* option->max is the GD_TELL_ bit. */
static int set_tell(struct gd_sock *sock, const struct gd_option *option, int value)
{
    uint32_t bit = (uint32_t)option->max;

    sock->options.control = value != 0 ? sock->options.control | bit : sock->options.control & ~bit;
    if (value == 0 && bit & (GD_TELL_ERRORS | GD_TELL_ERRORS6)) /* Linux purges the queue */
        gd_errors_clear(sock);
    return 0;
}

static int get_tell(struct gd_sock *sock, const struct gd_option *option)
{
    return (sock->options.control & (uint32_t)option->max) != 0;
}

/* One of them at a time; switched off, they all are (Linux's sock_set_timestamp). */
static int set_stamps(struct gd_sock *sock, const struct gd_option *option, int value)
{
    sock->options.stamps = value != 0 ? (uint8_t)option->name : 0;
    return 0;
}

static int get_stamps(struct gd_sock *sock, const struct gd_option *option)
{
    return sock->options.stamps == option->name;
}

static int bind_device(struct gd_sock *sock, int ifindex)
{
    if (sock->options.device == ifindex)
        return 0;
    sock->options.device = sock->dst.only = ifindex;
    sock->dst.generation = 0;
    return 0;
}

/* A name, with or without its zero; none: unbound again. */
static int set_device(struct gd_sock *sock, const void *value, uint32_t len)
{
    char name[GD_IFNAME] = "";

    memcpy(name, value, len < sizeof name ? len : sizeof name - 1);
    if (name[0] == '\0')
        return bind_device(sock, 0);
    for (int i = 0; i < sock->stack->netif_end; i++) {
        const struct gd_netif *netif = sock->stack->netifs[i];

        if (netif && strcmp(netif->name, name) == 0)
            return bind_device(sock, netif->index);
    }
    return -ENODEV;
}

/* With its zero, or nothing (socket(7): EINVAL where that finds no room). */
static int get_device(struct gd_sock *sock, void *value, uint32_t *len)
{
    const struct gd_netif *netif = gd_netif_find(sock->stack, sock->options.device);
    uint32_t size = netif ? (uint32_t)strlen(netif->name) + 1 : 0;

    if (*len < size)
        return -EINVAL;
    memcpy(value, netif ? netif->name : "", size);
    *len = size;
    return sock->options.device != 0 && !netif ? -ENODEV : 0;
}

static int set_device_index(struct gd_sock *sock, const struct gd_option *option, int value)
{
    const struct gd_netif *netif = value > 0 ? gd_netif_shown(sock->stack, value) : NULL;

    (void)option;
    if (value < 0)
        return -EINVAL;
    if (value > 0 && !netif) /* Linux takes any number; one of no interface of ours is the kernel's, or a mistake */
        return -ENODEV;
    return bind_device(sock, netif ? netif->index : 0);
}

static int get_device_index(struct gd_sock *sock, const struct gd_option *option)
{
    (void)option;
    return gd_ifindex_shown(sock->stack, sock->options.device);
}

/* ip(7): an index in network byte order, in either family. */
static int set_unicast_if(struct gd_sock *sock, const void *value, uint32_t len, int which)
{
    const struct gd_netif *netif;
    uint32_t index;

    if (len != sizeof index)
        return -EINVAL;
    memcpy(&index, value, sizeof index);
    index = ntohl(index);
    netif = index <= INT32_MAX ? gd_netif_shown(sock->stack, (int)index) : NULL;
    if (index != 0 && !netif)
        return -EADDRNOTAVAIL;
    if (netif && sock->options.device != 0 && sock->options.device != netif->index)
        return -EINVAL;
    sock->options.unicast_if[which] = netif ? netif->index : 0;
    return 0;
}

static int set_unicast_if4(struct gd_sock *sock, const void *value, uint32_t len)
{
    return set_unicast_if(sock, value, len, 0);
}

static int set_unicast_if6(struct gd_sock *sock, const void *value, uint32_t len)
{
    return set_unicast_if(sock, value, len, 1);
}

static int get_unicast_if(struct gd_sock *sock, int which, void *value, uint32_t *len)
{
    uint32_t index = htonl((uint32_t)gd_ifindex_shown(sock->stack, sock->options.unicast_if[which]));

    return gd_option_put(value, len, &index, sizeof index);
}

static int get_unicast_if4(struct gd_sock *sock, void *value, uint32_t *len)
{
    return get_unicast_if(sock, 0, value, len);
}

static int get_unicast_if6(struct gd_sock *sock, void *value, uint32_t *len)
{
    return get_unicast_if(sock, 1, value, len);
}

/* Linux's numbers for a struct timeval and timespec of 64 bits, which glibc has under no name of its own. */
#define STAMP_NEW 63
#define STAMPNS_NEW 64

const struct gd_option *gd_option_control(size_t *count)
{
    static const struct gd_option table[] = {
        {IPPROTO_IP, IP_PKTINFO, GD_ANY, set_tell, get_tell, .max = GD_TELL_PKTINFO},
        {IPPROTO_IP, IP_RECVTTL, GD_ANY, set_tell, get_tell, .max = GD_TELL_TTL},
        {IPPROTO_IP, IP_RECVTOS, GD_ANY, set_tell, get_tell, .max = GD_TELL_TOS},
        {IPPROTO_IP, IP_RECVORIGDSTADDR, GD_ANY, set_tell, get_tell, .max = GD_TELL_ORIGDST},
        {IPPROTO_IP, IP_RECVERR, GD_ANY, set_tell, get_tell, .max = GD_TELL_ERRORS},
        {IPPROTO_IPV6, IPV6_RECVPKTINFO, GD_ANY, set_tell, get_tell, .max = GD_TELL_PKTINFO6},
        {IPPROTO_IPV6, IPV6_RECVHOPLIMIT, GD_ANY, set_tell, get_tell, .max = GD_TELL_HOPLIMIT},
        {IPPROTO_IPV6, IPV6_RECVTCLASS, GD_ANY, set_tell, get_tell, .max = GD_TELL_TCLASS},
        {IPPROTO_IPV6, IPV6_RECVORIGDSTADDR, GD_ANY, set_tell, get_tell, .max = GD_TELL_ORIGDST6},
        {IPPROTO_IPV6, IPV6_RECVERR, GD_ANY, set_tell, get_tell, .max = GD_TELL_ERRORS6},
        {SOL_SOCKET, SO_RXQ_OVFL, GD_ANY, set_tell, get_tell, .max = GD_TELL_DROPS},
        {SOL_SOCKET, SO_TIMESTAMP, GD_ANY, .set = set_stamps, .get = get_stamps},
        {SOL_SOCKET, SO_TIMESTAMPNS, GD_ANY, .set = set_stamps, .get = get_stamps},
        {SOL_SOCKET, STAMP_NEW, GD_ANY, .set = set_stamps, .get = get_stamps},
        {SOL_SOCKET, STAMPNS_NEW, GD_ANY, .set = set_stamps, .get = get_stamps},
        {SOL_SOCKET, SO_BINDTODEVICE, GD_ANY, .set_raw = set_device, .get_raw = get_device},
        {SOL_SOCKET, SO_BINDTOIFINDEX, GD_ANY, .set = set_device_index, .get = get_device_index},
        {IPPROTO_IP, IP_UNICAST_IF, GD_ANY, .set_raw = set_unicast_if4, .get_raw = get_unicast_if4},
        {IPPROTO_IPV6, IPV6_UNICAST_IF, GD_ANY, .set_raw = set_unicast_if6, .get_raw = get_unicast_if6},
    };

    *count = sizeof(table) / sizeof(table[0]);
    return table;
}
