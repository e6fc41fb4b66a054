/* socket(7)'s own options. Called by sock/option.c; calls tcp/ where an option acts at once. */
#include "../stack.h"
#include "../tcp/window.h"
#include "option.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#define GD_SNDBUF_MIN 4608u      /* Linux's SOCK_MIN_SNDBUF */
#define GD_RCVBUF_MIN 2304u      /* and SOCK_MIN_RCVBUF */
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
    *gd_option_number(sock, option) = shown > (uint32_t)option->min ? shown : (uint32_t)option->min;
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

/* Linux's sock_set_timeout: below 0 is no time at all, 0 is for ever. Those who call wait, not the engine. */
static int set_timeout(uint64_t *us, const void *value, uint32_t len)
{
    struct timeval time;

    if (len < sizeof(time))
        return -EINVAL;
    memcpy(&time, value, sizeof(time));
    if (time.tv_usec < 0 || time.tv_usec >= 1000000)
        return -EDOM;
    if (time.tv_sec < 0)
        *us = 1;
    else if (time.tv_sec > INT32_MAX)
        *us = 0;
    else
        *us = (uint64_t)time.tv_sec * 1000000 + (uint64_t)time.tv_usec;
    return 0;
}

static int get_timeout(uint64_t us, void *value, uint32_t *len)
{
    struct timeval time = {(time_t)(us / 1000000), (suseconds_t)(us % 1000000)};

    return gd_option_put(value, len, &time, sizeof(time));
}

static int set_rcvtimeo(struct gd_sock *sock, const void *value, uint32_t len)
{
    return set_timeout(&sock->options.rcvtimeo_us, value, len);
}

static int set_sndtimeo(struct gd_sock *sock, const void *value, uint32_t len)
{
    return set_timeout(&sock->options.sndtimeo_us, value, len);
}

static int get_rcvtimeo(struct gd_sock *sock, void *value, uint32_t *len)
{
    return get_timeout(sock->options.rcvtimeo_us, value, len);
}

static int get_sndtimeo(struct gd_sock *sock, void *value, uint32_t *len)
{
    return get_timeout(sock->options.sndtimeo_us, value, len);
}

static int set_dontroute(struct gd_sock *sock, const struct gd_option *option, int value)
{
    sock->dst.direct = value != 0;
    sock->dst.generation = 0;
    return gd_option_set_flag(sock, option, value);
}

/* An int, all ones for no limit, or 64 bits. */
static int set_pacing(struct gd_sock *sock, const void *value, uint32_t len)
{
    uint64_t rate = 0;

    if (len < sizeof(uint32_t))
        return -EINVAL;
    memcpy(&rate, value, len < sizeof(rate) ? sizeof(uint32_t) : sizeof(rate));
    sock->options.max_pacing = len < sizeof(rate) && rate == UINT32_MAX ? UINT64_MAX : rate;
    return 0;
}

static int get_pacing(struct gd_sock *sock, void *value, uint32_t *len)
{
    uint64_t rate = sock->options.max_pacing;

    if (*len < sizeof(rate) && rate > UINT32_MAX)
        rate = UINT32_MAX;
    return gd_option_put(value, len, &rate, *len < sizeof(rate) ? sizeof(uint32_t) : sizeof(rate));
}

static int set_busy_poll(struct gd_sock *sock, const struct gd_option *option, int value)
{
    (void)option;
    if (value < 0)
        return -EINVAL;
    sock->options.busy_poll_us = value;
    return 0;
}

static int get_busy_poll(struct gd_sock *sock, const struct gd_option *option)
{
    (void)option;
    return sock->options.busy_poll_us;
}

/* Where frames were last polled; as long as none can have come for it, there is none. */
static int get_incoming_cpu(struct gd_sock *sock, const struct gd_option *option)
{
    (void)option;
    return sock->flow.holders != NULL ? sock->stack->cpu : -1;
}

static int get_cookie(struct gd_sock *sock, void *value, uint32_t *len)
{
    uint64_t cookie = sock->id;

    return *len < sizeof(cookie) ? -EINVAL : gd_option_put(value, len, &cookie, sizeof(cookie));
}

/* What Linux lets nobody but root do. */
static int set_debug(struct gd_sock *sock, const struct gd_option *option, int value)
{
    (void)sock;
    (void)option;
    return value != 0 ? -EACCES : 0;
}

/* Linux takes it, and does nothing. */
static int set_nothing(struct gd_sock *sock, const struct gd_option *option, int value)
{
    (void)sock;
    (void)option;
    (void)value;
    return 0;
}

const struct gd_option *gd_option_socket(size_t *count)
{
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
        {SOL_SOCKET, SO_RCVTIMEO, .set_raw = set_rcvtimeo, .get_raw = get_rcvtimeo},
        {SOL_SOCKET, SO_SNDTIMEO, .set_raw = set_sndtimeo, .get_raw = get_sndtimeo},
        {SOL_SOCKET, SO_DONTROUTE, GD_ANY, set_dontroute, gd_option_get_flag, GD_AT(dontroute)},
        {SOL_SOCKET, SO_NO_CHECK, GD_ANY, gd_option_set_flag, gd_option_get_flag, GD_AT(no_check)},
        {SOL_SOCKET, SO_MAX_PACING_RATE, GD_ANY, .set_raw = set_pacing, .get_raw = get_pacing},
        {SOL_SOCKET, SO_BUSY_POLL, GD_ANY, .set = set_busy_poll, .get = get_busy_poll},
        {SOL_SOCKET, SO_INCOMING_CPU, .get = get_incoming_cpu},
        {SOL_SOCKET, SO_COOKIE, .get_raw = get_cookie},
        {SOL_SOCKET, SO_DEBUG, GD_ANY, .set = set_debug, .get = get_zero},
        {SOL_SOCKET, SO_BSDCOMPAT, GD_ANY, .set = set_nothing, .get = get_zero},
        {SOL_SOCKET, SO_LINGER, .set_raw = set_linger, .get_raw = get_linger},
    };

    *count = sizeof(table) / sizeof(table[0]);
    return table;
}
