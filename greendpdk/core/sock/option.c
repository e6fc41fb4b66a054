/* setsockopt(2) and getsockopt(2) in Linux's levels, names, layouts and errors: the look-up, and socket(7)'s own options.
 * Called by Python through api.cdef.h; calls sock/option_tcp.c, option_ip.c, option_group.c, option_source.c,
 * option_control.c, option_device.c, and tcp/ where an option acts at once.
 */
#include "option.h"
#include "../tcp/window.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#define GD_SNDBUF_MIN 4608u      /* Linux's SOCK_MIN_SNDBUF */
#define GD_RCVBUF_MIN 2304u      /* and SOCK_MIN_RCVBUF */

static bool *flag_of(struct gd_sock *sock, const struct gd_option *option)
{
    return (bool *)(void *)((char *)&sock->options + option->at);
}

static uint32_t *number_of(struct gd_sock *sock, const struct gd_option *option)
{
    return (uint32_t *)(void *)((char *)&sock->options + option->at);
}

int gd_option_set_flag(struct gd_sock *sock, const struct gd_option *option, int value)
{
    *flag_of(sock, option) = value != 0;
    return 0;
}

int gd_option_get_flag(struct gd_sock *sock, const struct gd_option *option)
{
    return *flag_of(sock, option) ? 1 : 0;
}

int gd_option_set_number(struct gd_sock *sock, const struct gd_option *option, int value)
{
    if (value < option->min || value > option->max)
        return -EINVAL;
    *number_of(sock, option) = (uint32_t)value;
    return 0;
}

int gd_option_get_number(struct gd_sock *sock, const struct gd_option *option)
{
    return (int)*number_of(sock, option);
}

int gd_option_put(void *value, uint32_t *len, const void *from, uint32_t size)
{
    if (*len > size)
        *len = size;
    memcpy(value, from, *len);
    return 0;
}

static int set_keepalive(struct gd_sock *sock, const struct gd_option *option, int value)
{
    gd_option_set_flag(sock, option, value);
    if (sock->type == SOCK_STREAM)
        gd_tcp_keepalive_restart(gd_tcb(sock), sock->stack->now);
    return 0;
}

/* Linux: twice what is asked, for its own bookkeeping; half of what is shown is payload (socket(7)). */
static int set_buffer(struct gd_sock *sock, const struct gd_option *option, int value)
{
    uint32_t most = sock->stack->config.buffer_max;
    uint32_t asked = (uint32_t)value < most ? (uint32_t)value : most;
    uint32_t shown = 2 * asked;

    if (option->name == SO_SNDBUF)
        sock->options.sndbuf_fixed = true;
    else
        sock->options.rcvbuf_fixed = true;
    *number_of(sock, option) = shown > (uint32_t)option->min ? shown : (uint32_t)option->min;
    if (sock->type == SOCK_STREAM) {
        gd_tcb(sock)->was_read = true; /* the window may have opened, as if by a reader */
        gd_tcp_want_output(gd_tcb(sock));
        gd_tcp_wake_writer(gd_tcb(sock));
    }
    return 0;
}

static int set_linger(struct gd_sock *sock, const void *value, uint32_t len)
{
    struct linger linger;

    if (len < sizeof(linger))
        return -EINVAL;
    memcpy(&linger, value, sizeof(linger));
    sock->options.linger_on = linger.l_onoff != 0;
    sock->options.linger_s = linger.l_linger < 0 ? (uint32_t)INT32_MAX : (uint32_t)linger.l_linger;
    return 0;
}

static int get_linger(struct gd_sock *sock, void *value, uint32_t *len)
{
    struct linger linger = {sock->options.linger_on, (int)sock->options.linger_s};

    return gd_option_put(value, len, &linger, sizeof(linger));
}

static int get_error(struct gd_sock *sock, const struct gd_option *option)
{
    (void)option;
    return -gd_sock_take_error(sock);
}

static int get_type(struct gd_sock *sock, const struct gd_option *option)
{
    (void)option;
    return sock->type;
}

static int get_domain(struct gd_sock *sock, const struct gd_option *option)
{
    (void)option;
    return sock->domain;
}

static int get_protocol(struct gd_sock *sock, const struct gd_option *option)
{
    (void)option;
    return sock->flow.proto;
}

static int get_listening(struct gd_sock *sock, const struct gd_option *option)
{
    (void)option;
    return sock->type == SOCK_STREAM && gd_tcb(sock)->state == GD_LISTEN ? 1 : 0;
}

/* Linux's sock_set_rcvlowat: what cannot be is as much as possible; the buffer makes room for it. */
static int set_rcvlowat(struct gd_sock *sock, const struct gd_option *option, int value)
{
    uint32_t most = sock->stack->config.buffer_max;

    (void)option;
    sock->options.rcvlowat = value < 0 || (uint32_t)value > most ? most : (uint32_t)value;
    if (sock->type != SOCK_STREAM)
        return 0;
    if (!sock->options.rcvbuf_fixed && sock->options.rcvbuf / 2 < sock->options.rcvlowat)
        sock->options.rcvbuf = 2 * sock->options.rcvlowat;
    if (gd_tcp_ready(sock) & GD_READ)
        gd_sock_wake(sock, GD_READ);
    return 0;
}

static int get_rcvlowat(struct gd_sock *sock, const struct gd_option *option)
{
    (void)option;
    return sock->options.rcvlowat != 0 ? (int)sock->options.rcvlowat : 1;
}

/* socket(7): 0 to 6 without privilege. Nothing of ours queues by it, as on a device without a queue. */
static int set_priority(struct gd_sock *sock, const struct gd_option *option, int value)
{
    return value < option->min || value > option->max ? -EPERM : gd_option_set_number(sock, option, value);
}

/* Routes have no marks here: what Linux says to who may not set one. */
static int set_mark(struct gd_sock *sock, const struct gd_option *option, int value)
{
    (void)sock;
    (void)option;
    (void)value;
    return -EPERM;
}

static int get_zero(struct gd_sock *sock, const struct gd_option *option)
{
    (void)sock;
    (void)option;
    return 0;
}

/* At the mark: the urgent byte is one to read now, or no more. */
static int set_oobinline(struct gd_sock *sock, const struct gd_option *option, int value)
{
    gd_option_set_flag(sock, option, value);
    if (sock->type == SOCK_STREAM && gd_tcp_readable(gd_tcb(sock)))
        gd_sock_wake(sock, GD_READ);
    return 0;
}

static int get_one(struct gd_sock *sock, const struct gd_option *option)
{
    (void)sock;
    (void)option;
    return 1;
}

static const struct gd_option table[] = {
    {SOL_SOCKET, SO_ERROR, .get = get_error},
    {SOL_SOCKET, SO_TYPE, .get = get_type},
    {SOL_SOCKET, SO_DOMAIN, .get = get_domain},
    {SOL_SOCKET, SO_PROTOCOL, .get = get_protocol},
    {SOL_SOCKET, SO_ACCEPTCONN, .get = get_listening},
    {SOL_SOCKET, SO_REUSEADDR, GD_ANY, gd_option_set_flag, gd_option_get_flag, GD_AT(reuseaddr)},
    {SOL_SOCKET, SO_REUSEPORT, GD_ANY, gd_option_set_flag, gd_option_get_flag, GD_AT(reuseport)},
    {SOL_SOCKET, SO_BROADCAST, GD_ANY, gd_option_set_flag, gd_option_get_flag, GD_AT(broadcast)},
    {SOL_SOCKET, SO_KEEPALIVE, GD_ANY, set_keepalive, gd_option_get_flag, GD_AT(keepalive)},
    {SOL_SOCKET, SO_SNDBUF, GD_ANY, set_buffer, gd_option_get_number, GD_AT(sndbuf), .min = (int)GD_SNDBUF_MIN},
    {SOL_SOCKET, SO_RCVBUF, GD_ANY, set_buffer, gd_option_get_number, GD_AT(rcvbuf), .min = (int)GD_RCVBUF_MIN},
    {SOL_SOCKET, SO_RCVLOWAT, GD_ANY, .set = set_rcvlowat, .get = get_rcvlowat},
    {SOL_SOCKET, SO_SNDLOWAT, .get = get_one},
    {SOL_SOCKET, SO_PRIORITY, GD_ANY, set_priority, gd_option_get_number, GD_AT(priority), .min = 0, .max = 6},
    {SOL_SOCKET, SO_MARK, GD_ANY, .set = set_mark, .get = get_zero},
    {SOL_SOCKET, SO_OOBINLINE, GD_ANY, set_oobinline, gd_option_get_flag, GD_AT(oobinline)},
    {SOL_SOCKET, SO_LINGER, .set_raw = set_linger, .get_raw = get_linger},
};

static const struct gd_option *table_of(int level, size_t *count)
{
    *count = 0;
    switch (level) {
    case SOL_SOCKET:
        *count = sizeof(table) / sizeof(table[0]);
        return table;
    case IPPROTO_TCP:
        return gd_option_tcp(count);
    case IPPROTO_UDP:
        return gd_option_udp(count);
    case IPPROTO_IP:
    case IPPROTO_IPV6:
        return gd_option_ip(count);
    default:
        return NULL;
    }
}

static const struct gd_option *look_up(const struct gd_option *rows, size_t count, int level, int name)
{
    for (size_t i = 0; i < count; i++)
        if (rows[i].level == level && rows[i].name == name)
            return &rows[i];
    return NULL;
}

/* NULL: no such option here, ENOPROTOOPT. */
static const struct gd_option *find(const struct gd_sock *sock, int level, int name)
{
    enum gd_option_for type = sock->type == SOCK_STREAM ? GD_STREAM : GD_DGRAM;
    size_t count;
    const struct gd_option *rows = table_of(level, &count);
    const struct gd_option *option = look_up(rows, count, level, name);

    if (option == NULL) {
        rows = gd_option_group(&count);
        option = look_up(rows, count, level, name);
    }
    if (option == NULL) {
        rows = gd_option_control(&count);
        option = look_up(rows, count, level, name);
    }
    if (option == NULL) {
        rows = gd_option_device(&count);
        option = look_up(rows, count, level, name);
    }
    if (option == NULL || (option->type != GD_ANY && option->type != type))
        return NULL;
    return level == IPPROTO_IPV6 && sock->domain != AF_INET6 ? NULL : option;
}

int gd_sock_setsockopt(struct gd_sock *sock, int level, int name, const void *value, uint32_t len)
{
    const struct gd_option *option = find(sock, level, name);
    int number;

    if (option != NULL && option->set_raw != NULL)
        return option->set_raw(sock, value, len);
    if (option == NULL && gd_option_is_source(sock, level, name))
        return gd_option_set_source(sock, level, name, value, len);
    if (option == NULL || option->set == NULL)
        return -ENOPROTOOPT;
    if (len >= sizeof(number))
        memcpy(&number, value, sizeof(number));
    else if (level == IPPROTO_IP && len >= 1) /* ip(7)'s take a byte as well */
        number = *(const uint8_t *)value;
    else
        return -EINVAL;
    return option->set(sock, option, number);
}

int gd_sock_getsockopt(struct gd_sock *sock, int level, int name, void *value, uint32_t *len)
{
    const struct gd_option *option = find(sock, level, name);
    int number;

    if (option != NULL && option->get_raw != NULL)
        return option->get_raw(sock, value, len);
    if (option == NULL || option->get == NULL)
        return -ENOPROTOOPT;
    number = option->get(sock, option);
    return gd_option_put(value, len, &number, sizeof(number));
}
