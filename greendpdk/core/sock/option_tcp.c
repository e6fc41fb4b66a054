/* tcp(7)'s options of a stream. Called by sock/option.c; calls tcp/ where an option acts at once. */
#include "../tcp/tcp.h"
#include "../tcp/window.h"
#include "option.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>

#define RTO_MAX_S 120         /* GD_TCP_RTO_MAX */
#define FIN_TIMEOUT_MAX_S 120 /* Linux's TCP_FIN_TIMEOUT_MAX */
#define CLAMP_MIN 1152        /* Linux: half of SOCK_MIN_RCVBUF */

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

/* Linux counts the time in SYN-ACKs: set in seconds, kept as how often one is sent again in them. */
static int set_defer_accept(struct gd_sock *sock, const struct gd_option *option, int value)
{
    uint32_t retries = 0;
    int64_t period = 0, wait = 1;

    (void)option;
    while (value > period && retries < UINT8_MAX) {
        period += wait;
        wait = 2 * wait < RTO_MAX_S ? 2 * wait : RTO_MAX_S;
        retries++;
    }
    sock->options.defer_accept = (uint8_t)retries;
    return 0;
}

static int get_defer_accept(struct gd_sock *sock, const struct gd_option *option)
{
    int period = 0, wait = 1;

    (void)option;
    for (uint32_t i = 0; i < sock->options.defer_accept; i++) {
        period += wait;
        wait = 2 * wait < RTO_MAX_S ? 2 * wait : RTO_MAX_S;
    }
    return period;
}

static int set_linger2(struct gd_sock *sock, const struct gd_option *option, int value)
{
    sock->options.linger2_s = value < 0 ? -1 : value < option->max ? value : option->max;
    return 0;
}

static int get_linger2(struct gd_sock *sock, const struct gd_option *option)
{
    (void)option;
    return sock->options.linger2_s != 0 ? sock->options.linger2_s : (int)(GD_TCP_FIN_TIMEOUT / GD_S);
}

static int set_window_clamp(struct gd_sock *sock, const struct gd_option *option, int value)
{
    if (value == 0 && gd_tcb(sock)->state != GD_CLOSED)
        return -EINVAL;
    sock->options.window_clamp = (uint32_t)(value == 0 || value > option->min ? value : option->min);
    return 0;
}

static int get_window_clamp(struct gd_sock *sock, const struct gd_option *option)
{
    (void)option;
    if (sock->options.window_clamp != 0 || (gd_tcb(sock)->state & GD_SYNCHRONIZED) == 0)
        return (int)sock->options.window_clamp;
    return (int)(sock->options.rcvbuf / 2);
}

static int set_notsent_lowat(struct gd_sock *sock, const struct gd_option *option, int value)
{
    (void)option;
    sock->options.notsent_lowat = (uint32_t)value;
    gd_tcp_wake_writer(gd_tcb(sock));
    return 0;
}

static int set_thin(struct gd_sock *sock, const struct gd_option *option, int value)
{
    if (value != 0 && value != 1)
        return -EINVAL;
    return option->name == TCP_THIN_LINEAR_TIMEOUTS ? gd_option_set_flag(sock, option, value) : 0;
}

/* Linux has no early retransmit any more either, and shows so. */
static int get_thin_dupack(struct gd_sock *sock, const struct gd_option *option)
{
    (void)sock;
    (void)option;
    return 0;
}

static int get_syncnt(struct gd_sock *sock, const struct gd_option *option)
{
    (void)option;
    return (int)(sock->options.syncnt != 0 ? sock->options.syncnt : GD_TCP_SYN_RETRIES);
}

/* The clock of our timestamps; Linux lets nobody set it but who restores a connection. */
static int get_timestamp(struct gd_sock *sock, const struct gd_option *option)
{
    (void)option;
    return (int)(gd_tcp_now_ms(sock->stack->now) + gd_tcb(sock)->ts_offset);
}

static int refuse_timestamp(struct gd_sock *sock, const struct gd_option *option, int value)
{
    (void)sock;
    (void)option;
    (void)value;
    return -EPERM;
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
    if (tcb->cc->model != NULL && tcb->recovery != GD_OPEN) /* PRR goes to ssthresh, and a model has set none */
        tcb->ssthresh = tcb->cwnd > 2 * tcb->mss ? tcb->cwnd : 2 * tcb->mss;
    tcb->cc = cc;
    tcb->rate.pace = 0;
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
        {IPPROTO_TCP, TCP_SYNCNT, GD_STREAM, gd_option_set_number, get_syncnt, GD_AT(syncnt),
         .min = 1, .max = 127},
        {IPPROTO_TCP, TCP_DEFER_ACCEPT, GD_STREAM, .set = set_defer_accept, .get = get_defer_accept},
        {IPPROTO_TCP, TCP_LINGER2, GD_STREAM, set_linger2, get_linger2, .max = FIN_TIMEOUT_MAX_S},
        {IPPROTO_TCP, TCP_WINDOW_CLAMP, GD_STREAM, set_window_clamp, get_window_clamp, .min = CLAMP_MIN},
        {IPPROTO_TCP, TCP_NOTSENT_LOWAT, GD_STREAM, set_notsent_lowat, gd_option_get_number, GD_AT(notsent_lowat)},
        {IPPROTO_TCP, TCP_THIN_LINEAR_TIMEOUTS, GD_STREAM, set_thin, gd_option_get_flag, GD_AT(thin_linear)},
        {IPPROTO_TCP, TCP_THIN_DUPACK, GD_STREAM, .set = set_thin, .get = get_thin_dupack},
        {IPPROTO_TCP, TCP_TIMESTAMP, GD_STREAM, .set = refuse_timestamp, .get = get_timestamp},
        {IPPROTO_TCP, TCP_INFO, GD_STREAM, .get_raw = get_info},
        {IPPROTO_TCP, TCP_CONGESTION, GD_STREAM, .set_raw = set_congestion, .get_raw = get_congestion},
    };

    *count = sizeof(table) / sizeof(table[0]);
    return table;
}
