/* setsockopt(2) and getsockopt(2): one table of what exists, in Linux's levels, names, layouts and errors
 * (socket(7), tcp(7), ip(7), ipv6(7)). Called by Python through api.cdef.h; calls tcp/ where an option acts at once.
 */
#include "../tcp/tcp.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

#define GD_SNDBUF_MIN 4608u      /* Linux's SOCK_MIN_SNDBUF */
#define GD_RCVBUF_MIN 2304u      /* and SOCK_MIN_RCVBUF */
#define GD_BUFFER_MAX (6u << 20) /* what is set at most: Linux's tcp_rmem[2]; shown twice that */

enum for_type { ANY, STREAM };

struct option {
    int level, name;
    enum for_type type;
    /* NULL: cannot be set (ENOPROTOOPT). value: the int; lengths are checked. */
    int (*set)(struct gd_sock *sock, const struct option *option, int value);
    int (*get)(struct gd_sock *sock, const struct option *option);
    size_t at;    /* of the field in gd_options, for the plain ones */
    int min, max; /* outside: EINVAL */
};

static bool *flag_of(struct gd_sock *sock, const struct option *option)
{
    return (bool *)(void *)((char *)&sock->options + option->at);
}

static uint32_t *number_of(struct gd_sock *sock, const struct option *option)
{
    return (uint32_t *)(void *)((char *)&sock->options + option->at);
}

static int set_flag(struct gd_sock *sock, const struct option *option, int value)
{
    *flag_of(sock, option) = value != 0;
    return 0;
}

static int get_flag(struct gd_sock *sock, const struct option *option)
{
    return *flag_of(sock, option) ? 1 : 0;
}

static int set_number(struct gd_sock *sock, const struct option *option, int value)
{
    if (value < option->min || value > option->max)
        return -EINVAL;
    *number_of(sock, option) = (uint32_t)value;
    return 0;
}

static int get_number(struct gd_sock *sock, const struct option *option)
{
    return (int)*number_of(sock, option);
}

/* Options that let bytes go that were held back. */
static int set_and_send(struct gd_sock *sock, const struct option *option, int value)
{
    set_flag(sock, option, value);
    gd_tcp_want_output(gd_tcb(sock));
    return 0;
}

static int set_nodelay(struct gd_sock *sock, const struct option *option, int value)
{
    gd_tcb(sock)->force = value != 0; /* Linux pushes what waits */
    return set_and_send(sock, option, value);
}

static int set_cork(struct gd_sock *sock, const struct option *option, int value)
{
    gd_tcb(sock)->force = value == 0;
    return set_and_send(sock, option, value);
}

static int set_quickack(struct gd_sock *sock, const struct option *option, int value)
{
    struct gd_tcb *tcb = gd_tcb(sock);

    if (value != 0 && tcb->ack_later)
        tcb->ack_now = true;
    return set_and_send(sock, option, value);
}

static int set_keepalive(struct gd_sock *sock, const struct option *option, int value)
{
    set_flag(sock, option, value);
    if (sock->type == SOCK_STREAM)
        gd_tcp_keepalive_restart(gd_tcb(sock), sock->stack->now);
    return 0;
}

static int set_keepidle(struct gd_sock *sock, const struct option *option, int value)
{
    int rc = set_number(sock, option, value);

    if (rc == 0)
        gd_tcp_keepalive_restart(gd_tcb(sock), sock->stack->now);
    return rc;
}

/* Linux: twice what is asked, for its own bookkeeping; half of what is shown is payload (socket(7)). */
static int set_buffer(struct gd_sock *sock, const struct option *option, int value)
{
    uint32_t asked = (uint32_t)value < GD_BUFFER_MAX ? (uint32_t)value : GD_BUFFER_MAX;
    uint32_t shown = 2 * asked;

    *number_of(sock, option) = shown > (uint32_t)option->min ? shown : (uint32_t)option->min;
    if (sock->type == SOCK_STREAM) {
        gd_tcb(sock)->was_read = true; /* the window may have opened, as if by a reader */
        gd_tcp_want_output(gd_tcb(sock));
    }
    return 0;
}

static int set_maxseg(struct gd_sock *sock, const struct option *option, int value)
{
    if (value != 0 && (value < option->min || value > option->max))
        return -EINVAL;
    sock->options.maxseg = (uint32_t)value;
    if (gd_tcb(sock)->state & GD_SYNCHRONIZED)
        gd_tcp_update_mss(gd_tcb(sock));
    return 0;
}

static int get_maxseg(struct gd_sock *sock, const struct option *option)
{
    const struct gd_tcb *tcb = gd_tcb(sock);

    (void)option;
    if (tcb->state & GD_SYNCHRONIZED)
        return (int)tcb->mss;
    return sock->options.maxseg != 0 ? (int)sock->options.maxseg : (int)GD_TCP_MSS_DEFAULT;
}

static int set_ttl(struct gd_sock *sock, const struct option *option, int value)
{
    if (value != -1 && (value < option->min || value > option->max))
        return -EINVAL;
    sock->options.ttl = value == -1 ? 64 : (uint8_t)value;
    return 0;
}

static int get_ttl(struct gd_sock *sock, const struct option *option)
{
    (void)option;
    return sock->options.ttl;
}

/* ip(7): the two ECN bits of a stream are TCP's own. */
static int set_tos(struct gd_sock *sock, const struct option *option, int value)
{
    uint8_t mask = sock->type == SOCK_STREAM ? 0xfc : 0xff;

    if (value < option->min || value > option->max)
        return -EINVAL;
    sock->options.tos = value == -1 ? 0 : (uint8_t)value & mask;
    return 0;
}

static int get_tos(struct gd_sock *sock, const struct option *option)
{
    (void)option;
    return sock->options.tos;
}

static int set_v6only(struct gd_sock *sock, const struct option *option, int value)
{
    if (sock->domain != AF_INET6)
        return -ENOPROTOOPT;
    if (sock->flow.holders != NULL) /* Linux: only before bind */
        return -EINVAL;
    return set_flag(sock, option, value);
}

static int get_error(struct gd_sock *sock, const struct option *option)
{
    (void)option;
    return -gd_sock_take_error(sock);
}

static int get_type(struct gd_sock *sock, const struct option *option)
{
    (void)option;
    return sock->type;
}

static int get_domain(struct gd_sock *sock, const struct option *option)
{
    (void)option;
    return sock->domain;
}

static int get_protocol(struct gd_sock *sock, const struct option *option)
{
    (void)option;
    return sock->flow.proto;
}

static int get_listening(struct gd_sock *sock, const struct option *option)
{
    (void)option;
    return sock->type == SOCK_STREAM && gd_tcb(sock)->state == GD_LISTEN ? 1 : 0;
}

#define AT(field) offsetof(struct gd_options, field)

static const struct option table[] = {
    {SOL_SOCKET, SO_ERROR, ANY, NULL, get_error, 0, 0, 0},
    {SOL_SOCKET, SO_TYPE, ANY, NULL, get_type, 0, 0, 0},
    {SOL_SOCKET, SO_DOMAIN, ANY, NULL, get_domain, 0, 0, 0},
    {SOL_SOCKET, SO_PROTOCOL, ANY, NULL, get_protocol, 0, 0, 0},
    {SOL_SOCKET, SO_ACCEPTCONN, ANY, NULL, get_listening, 0, 0, 0},
    {SOL_SOCKET, SO_REUSEADDR, ANY, set_flag, get_flag, AT(reuseaddr), 0, 0},
    {SOL_SOCKET, SO_REUSEPORT, ANY, set_flag, get_flag, AT(reuseport), 0, 0},
    {SOL_SOCKET, SO_BROADCAST, ANY, set_flag, get_flag, AT(broadcast), 0, 0},
    {SOL_SOCKET, SO_KEEPALIVE, ANY, set_keepalive, get_flag, AT(keepalive), 0, 0},
    {SOL_SOCKET, SO_SNDBUF, ANY, set_buffer, get_number, AT(sndbuf), (int)GD_SNDBUF_MIN, 0},
    {SOL_SOCKET, SO_RCVBUF, ANY, set_buffer, get_number, AT(rcvbuf), (int)GD_RCVBUF_MIN, 0},
    {IPPROTO_TCP, TCP_NODELAY, STREAM, set_nodelay, get_flag, AT(nodelay), 0, 0},
    {IPPROTO_TCP, TCP_CORK, STREAM, set_cork, get_flag, AT(cork), 0, 0},
    {IPPROTO_TCP, TCP_QUICKACK, STREAM, set_quickack, get_flag, AT(quickack), 0, 0},
    {IPPROTO_TCP, TCP_MAXSEG, STREAM, set_maxseg, get_maxseg, 0, (int)GD_TCP_MSS_MIN, 32767},
    {IPPROTO_TCP, TCP_KEEPIDLE, STREAM, set_keepidle, get_number, AT(keepidle_s), 1, 32767},
    {IPPROTO_TCP, TCP_KEEPINTVL, STREAM, set_number, get_number, AT(keepintvl_s), 1, 32767},
    {IPPROTO_TCP, TCP_KEEPCNT, STREAM, set_number, get_number, AT(keepcnt), 1, 127},
    {IPPROTO_TCP, TCP_USER_TIMEOUT, STREAM, set_number, get_number, AT(user_timeout_ms), 0, INT32_MAX},
    {IPPROTO_TCP, TCP_SYNCNT, STREAM, set_number, get_number, AT(syncnt), 1, 127},
    {IPPROTO_IP, IP_TTL, ANY, set_ttl, get_ttl, 0, 1, 255},
    {IPPROTO_IP, IP_TOS, ANY, set_tos, get_tos, 0, -1, 255},
    {IPPROTO_IPV6, IPV6_V6ONLY, ANY, set_v6only, get_flag, AT(v6only), 0, 0},
    {IPPROTO_IPV6, IPV6_UNICAST_HOPS, ANY, set_ttl, get_ttl, 0, 0, 255},
    {IPPROTO_IPV6, IPV6_TCLASS, ANY, set_tos, get_tos, 0, -1, 255},
};

/* NULL: no such option here, ENOPROTOOPT. */
static const struct option *find(const struct gd_sock *sock, int level, int name)
{
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        const struct option *option = &table[i];

        if (option->level != level || option->name != name)
            continue;
        if (option->type == STREAM && sock->type != SOCK_STREAM)
            return NULL;
        return level == IPPROTO_IPV6 && sock->domain != AF_INET6 ? NULL : option;
    }
    return NULL;
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

/* tcp(7): a name, with or without its zero. ENOENT: no such algorithm. */
static int set_congestion(struct gd_sock *sock, const char *value, uint32_t len)
{
    struct gd_tcb *tcb = gd_tcb(sock);
    char name[GD_CC_NAME] = "";
    const struct gd_cc *cc;

    if (len == 0)
        return -EINVAL;
    memcpy(name, value, len < sizeof(name) ? len : sizeof(name) - 1);
    cc = gd_cc_find(name);
    if (cc == NULL)
        return -ENOENT;
    if (cc == tcb->cc)
        return 0;
    tcb->cc = cc;
    memset(&tcb->cc_state, 0, sizeof(tcb->cc_state));
    return 0;
}

int gd_sock_setsockopt(struct gd_sock *sock, int level, int name, const void *value, uint32_t len)
{
    const struct option *option = find(sock, level, name);
    int number;

    if (level == IPPROTO_TCP && name == TCP_CONGESTION && sock->type == SOCK_STREAM)
        return set_congestion(sock, value, len);
    if (level == SOL_SOCKET && name == SO_LINGER)
        return set_linger(sock, value, len);
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

static int put(void *value, uint32_t *len, const void *from, uint32_t size)
{
    if (*len > size)
        *len = size;
    memcpy(value, from, *len);
    return 0;
}

int gd_sock_getsockopt(struct gd_sock *sock, int level, int name, void *value, uint32_t *len)
{
    const struct option *option = find(sock, level, name);
    int number;

    if (level == SOL_SOCKET && name == SO_LINGER) {
        struct linger linger = {sock->options.linger_on, (int)sock->options.linger_s};

        return put(value, len, &linger, sizeof(linger));
    }
    if (level == IPPROTO_TCP && name == TCP_CONGESTION && sock->type == SOCK_STREAM) {
        const char *cc = gd_tcb(sock)->cc->name;

        char name_of[GD_CC_NAME] = ""; /* Linux pads the name with zeros */

        memcpy(name_of, cc, strlen(cc));
        return put(value, len, name_of, sizeof(name_of));
    }
    if (option == NULL)
        return -ENOPROTOOPT;
    number = option->get(sock, option);
    return put(value, len, &number, sizeof(number));
}
