/* Options that name a device: SO_BINDTODEVICE and SO_BINDTOIFINDEX (socket(7)), IP_UNICAST_IF and IPV6_UNICAST_IF (ip(7)).
 * Called by sock/option.c; calls sock/control.c.
 */
#include "control.h"
#include "../stack.h"
#include "option.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

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

    if (sock->options.device != 0 && !netif)
        return -ENODEV;
    if (size == 0) {
        *len = 0;
        return 0;
    }
    if (*len < size)
        return -EINVAL;
    return gd_option_put(value, len, netif->name, size);
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

/* An index in network byte order, in either family. */
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

const struct gd_option *gd_option_device(size_t *count)
{
    static const struct gd_option table[] = {
        {SOL_SOCKET, SO_BINDTODEVICE, GD_ANY, .set_raw = set_device, .get_raw = get_device},
        {SOL_SOCKET, SO_BINDTOIFINDEX, GD_ANY, .set = set_device_index, .get = get_device_index},
        {IPPROTO_IP, IP_UNICAST_IF, GD_ANY, .set_raw = set_unicast_if4, .get_raw = get_unicast_if4},
        {IPPROTO_IPV6, IPV6_UNICAST_IF, GD_ANY, .set_raw = set_unicast_if6, .get_raw = get_unicast_if6},
    };

    *count = sizeof(table) / sizeof(table[0]);
    return table;
}
