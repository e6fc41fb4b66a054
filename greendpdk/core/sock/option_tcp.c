/* tcp(7)'s options of a stream. Called by sock/option.c; calls tcp/ where an option acts at once. */
#include "../tcp/tcp.h"
#include "option.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>

/* Options that let bytes go that were held back. */
static int set_and_send(struct gd_sock *sock, const struct gd_option *option, int value)
{
    gd_option_set_flag(sock, option, value);
    gd_tcp_want_output(gd_tcb(sock));
    return 0;
}

static int set_nodelay(struct gd_sock *sock, const struct gd_option *option, int value)
{
    gd_tcb(sock)->force = value != 0; /* Linux pushes what waits */
    return set_and_send(sock, option, value);
}

static int set_cork(struct gd_sock *sock, const struct gd_option *option, int value)
{
    gd_tcb(sock)->force = value == 0;
    return set_and_send(sock, option, value);
}

static int set_quickack(struct gd_sock *sock, const struct gd_option *option, int value)
{
    struct gd_tcb *tcb = gd_tcb(sock);

    if (value != 0 && tcb->ack_later)
        tcb->ack_now = true;
    return set_and_send(sock, option, value);
}

static int set_keepidle(struct gd_sock *sock, const struct gd_option *option, int value)
{
    int rc = gd_option_set_number(sock, option, value);

    if (rc == 0)
        gd_tcp_keepalive_restart(gd_tcb(sock), sock->stack->now);
    return rc;
}

static int set_maxseg(struct gd_sock *sock, const struct gd_option *option, int value)
{
    if (value != 0 && (value < option->min || value > option->max))
        return -EINVAL;
    sock->options.maxseg = (uint32_t)value;
    if (gd_tcb(sock)->state & GD_SYNCHRONIZED)
        gd_tcp_update_mss(gd_tcb(sock));
    return 0;
}

static int get_maxseg(struct gd_sock *sock, const struct gd_option *option)
{
    const struct gd_tcb *tcb = gd_tcb(sock);

    (void)option;
    if (tcb->state & GD_SYNCHRONIZED)
        return (int)tcb->mss;
    return sock->options.maxseg != 0 ? (int)sock->options.maxseg : (int)gd_tcp_mss_default(&sock->flow.remote.addr);
}

/* tcp(7): a name, with or without its zero. ENOENT: no such algorithm. */
static int set_congestion(struct gd_sock *sock, const void *value, uint32_t len)
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

static int get_congestion(struct gd_sock *sock, void *value, uint32_t *len)
{
    const char *name = gd_tcb(sock)->cc->name;
    char padded[GD_CC_NAME] = ""; /* Linux pads the name with zeros */

    memcpy(padded, name, strlen(name));
    return gd_option_put(value, len, padded, sizeof(padded));
}

static int get_info(struct gd_sock *sock, void *value, uint32_t *len)
{
    struct gd_tcp_info info;

    gd_tcp_info(gd_tcb(sock), &info);
    return gd_option_put(value, len, &info, sizeof(info));
}

const struct gd_option *gd_option_tcp(size_t *count)
{
    static const struct gd_option table[] = {
        {IPPROTO_TCP, TCP_NODELAY, GD_STREAM, set_nodelay, gd_option_get_flag, GD_AT(nodelay)},
        {IPPROTO_TCP, TCP_CORK, GD_STREAM, set_cork, gd_option_get_flag, GD_AT(cork)},
        {IPPROTO_TCP, TCP_QUICKACK, GD_STREAM, set_quickack, gd_option_get_flag, GD_AT(quickack)},
        {IPPROTO_TCP, TCP_MAXSEG, GD_STREAM, set_maxseg, get_maxseg, .min = (int)GD_TCP_MSS_MIN, .max = 32767},
        {IPPROTO_TCP, TCP_KEEPIDLE, GD_STREAM, set_keepidle, gd_option_get_number, GD_AT(keepidle_s),
         .min = 1, .max = 32767},
        {IPPROTO_TCP, TCP_KEEPINTVL, GD_STREAM, gd_option_set_number, gd_option_get_number, GD_AT(keepintvl_s),
         .min = 1, .max = 32767},
        {IPPROTO_TCP, TCP_KEEPCNT, GD_STREAM, gd_option_set_number, gd_option_get_number, GD_AT(keepcnt),
         .min = 1, .max = 127},
        {IPPROTO_TCP, TCP_USER_TIMEOUT, GD_STREAM, gd_option_set_number, gd_option_get_number,
         GD_AT(user_timeout_ms), .min = 0, .max = INT32_MAX},
        {IPPROTO_TCP, TCP_SYNCNT, GD_STREAM, gd_option_set_number, gd_option_get_number, GD_AT(syncnt),
         .min = 1, .max = 127},
        {IPPROTO_TCP, TCP_INFO, GD_STREAM, .get_raw = get_info},
        {IPPROTO_TCP, TCP_CONGESTION, GD_STREAM, .set_raw = set_congestion, .get_raw = get_congestion},
    };

    *count = sizeof(table) / sizeof(table[0]);
    return table;
}
