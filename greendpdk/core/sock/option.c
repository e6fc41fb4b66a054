/* setsockopt(2) and getsockopt(2) in Linux's levels, names, layouts and errors: the look-up.
 * Called by Python through api.cdef.h; calls sock/option_socket.c, option_tcp.c, option_ip.c, option_group.c, option_source.c,
 * option_control.c, option_device.c.
 */
#include "option.h"
#include "../stack.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

static bool *flag_of(struct gd_sock *sock, const struct gd_option *option)
{
    return (bool *)(void *)((char *)&sock->options + option->at);
}

uint32_t *gd_option_number(struct gd_sock *sock, const struct gd_option *option)
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
    *gd_option_number(sock, option) = (uint32_t)value;
    return 0;
}

int gd_option_get_number(struct gd_sock *sock, const struct gd_option *option)
{
    return (int)*gd_option_number(sock, option);
}

int gd_option_put(void *value, uint32_t *len, const void *from, uint32_t size)
{
    if (*len > size)
        *len = size;
    memcpy(value, from, *len);
    return 0;
}

static const struct gd_option *table_of(int level, size_t *count)
{
    *count = 0;
    switch (level) {
    case SOL_SOCKET:
        return gd_option_socket(count);
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

/* An option that only the other type has is not there; one may mean another thing to each. */
static const struct gd_option *look_up(const struct gd_option *rows, size_t count, enum gd_option_for type, int level,
                                       int name)
{
    for (size_t i = 0; i < count; i++)
        if (rows[i].level == level && rows[i].name == name && (rows[i].type == GD_ANY || rows[i].type == type))
            return &rows[i];
    return NULL;
}

/* NULL: no such option here, ENOPROTOOPT. */
static const struct gd_option *find(const struct gd_sock *sock, int level, int name)
{
    static const struct gd_option *(*const others[])(size_t *count) = {gd_option_group, gd_option_control,
                                                                       gd_option_device};
    enum gd_option_for type = sock->type == SOCK_STREAM ? GD_STREAM : GD_DGRAM;
    size_t count;
    const struct gd_option *rows = table_of(level, &count);
    const struct gd_option *option = look_up(rows, count, type, level, name);

    for (size_t i = 0; option == NULL && i < sizeof(others) / sizeof(others[0]); i++) {
        rows = others[i](&count);
        option = look_up(rows, count, type, level, name);
    }
    return level == IPPROTO_IPV6 && sock->domain != AF_INET6 ? NULL : option;
}

int gd_sock_setsockopt(struct gd_sock *sock, int level, int name, const void *value, uint32_t len)
{
    const struct gd_option *option = find(sock, level, name);
    bool source = option == NULL && gd_option_is_source(sock, level, name);
    int number;

    if (value == NULL && len > 0 && (source || option != NULL)) /* as copy_from_sockptr has it */
        return level != IPPROTO_IP && len < sizeof(number) ? -EINVAL : -EFAULT;
    if (value == NULL)
        value = "";
    if (option != NULL && option->set_raw != NULL)
        return option->set_raw(sock, value, len);
    if (source)
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

/* Linux asks the protocols in turn, and the last of them knows its own level only (ip_getsockopt, ipv6_getsockopt). */
static bool is_level(const struct gd_sock *sock, int level)
{
    return level == SOL_SOCKET || level == sock->flow.proto || level == IPPROTO_IP ||
           (level == IPPROTO_IPV6 && sock->domain == AF_INET6);
}

int gd_sock_getsockopt(struct gd_sock *sock, int level, int name, void *value, uint32_t *len)
{
    const struct gd_option *option = find(sock, level, name);
    int number;

    if (option != NULL && option->get_raw != NULL)
        return option->get_raw(sock, value, len);
    if (option == NULL || option->get == NULL)
        return is_level(sock, level) ? -ENOPROTOOPT : -EOPNOTSUPP;
    number = option->get(sock, option);
    return gd_option_put(value, len, &number, sizeof(number));
}
