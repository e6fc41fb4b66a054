/* The error queue: what routers and peers said of packets of ours, kept for recvmsg(MSG_ERRQUEUE) (ip(7), Linux's
 * ip_icmp_error and ip_recv_error). Every byte of it may be a lie.
 * Called by sock/message.c, dgram*.c, stream.c, option_control.c, tcp/icmp.c; calls sock/buffer.c, control.c.
 *
 *     sock.errors (a gd_buffer):  [entry|quote][entry|quote] …      no more than SO_RCVBUF; owns nothing while empty
 *
 * SO_ERROR is set beside it, and stays that of the oldest entry until the last one is taken, as on Linux.
 */
#include "errors.h"
#include "../stack.h"
#include "../wire/icmp4.h"
#include "../wire/icmp6.h"

#include <errno.h>
#include <time.h> /* which the next one forgets */
#include <linux/errqueue.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

/* What stands before a quote. */
struct entry {
    struct sock_extended_err what;
    struct gd_addr offender;
    struct gd_endpoint to; /* whom the packet was for */
    struct gd_facts facts; /* of the ICMP packet */
    uint32_t len;
};

bool gd_errors_wanted(const struct gd_sock *sock, bool v4)
{
    return (sock->options.control & (v4 ? GD_TELL_ERRORS : GD_TELL_ERRORS6)) != 0;
}

bool gd_errors_any(const struct gd_sock *sock)
{
    return sock->errors.len > 0;
}

void gd_errors_clear(struct gd_sock *sock)
{
    gd_buffer_clear(&sock->stack->pool, &sock->errors);
}

static bool write_entry(struct gd_sock *sock, const struct entry *entry, const void *quote)
{
    struct gd_chunk_pool *pool = &sock->stack->pool;
    uint32_t limit = sock->options.rcvbuf;
    uint32_t at = sock->errors.len, whole = (uint32_t)sizeof *entry + entry->len;

    if (at >= limit || whole > limit - at)
        return false;
    if (gd_buffer_write(pool, &sock->errors, at, entry, sizeof *entry) == 0 &&
        (entry->len == 0 || gd_buffer_write(pool, &sock->errors, at + (uint32_t)sizeof *entry, quote, entry->len) == 0)) {
        gd_buffer_extend(&sock->errors, whole);
        return true;
    }
    gd_buffer_cut(pool, &sock->errors);
    return false;
}

static void add(struct gd_sock *sock, const struct entry *entry, const void *quote)
{
    if (write_entry(sock, entry, quote))
        gd_sock_wake(sock, GD_ERR);
    else
        gd_count(&sock->stack->stats, GD_STAT_sock_drop_errors);
}

/* What nobody but ourselves says: that a neighbour does not answer. Linux sends itself an ICMP error then. */
static void fill_own(struct entry *entry, const struct gd_icmp_error *error, bool v4)
{
    entry->what.ee_type = v4 ? GD_ICMP4_UNREACHABLE : GD_ICMP6_UNREACHABLE;
    entry->what.ee_code = v4 ? 1 : 3; /* the host; its address */
    entry->offender = error->local.addr;
    entry->facts = (struct gd_facts){.to = error->local.addr, .ifindex = error->ifindex};
}

void gd_errors_add(struct gd_sock *sock, const struct gd_icmp_error *error, const void *quote, uint32_t len)
{
    const struct gd_packet *packet = error->packet;
    bool v4 = gd_addr_is_v4(&error->remote.addr);
    struct entry entry = {.what = {.ee_errno = (uint32_t)error->error, .ee_info = error->mtu},
                          .to = error->remote,
                          .len = len};

    entry.what.ee_origin = v4 ? SO_EE_ORIGIN_ICMP : SO_EE_ORIGIN_ICMP6;
    if (packet == NULL) {
        fill_own(&entry, error, v4);
    } else {
        entry.what.ee_type = packet->l4[0];
        entry.what.ee_code = packet->l4[1];
        entry.offender = packet->src;
        entry.facts = (struct gd_facts){packet->dst, sock->stack->now, error->ifindex, packet->ttl, packet->tos};
    }
    add(sock, &entry, quote);
}

void gd_errors_add_local(struct gd_sock *sock, const struct gd_endpoint *to, uint32_t mtu)
{
    struct entry entry = {.what = {.ee_errno = EMSGSIZE, .ee_origin = SO_EE_ORIGIN_LOCAL, .ee_info = mtu}, .to = *to};

    add(sock, &entry, NULL);
}

/* struct sock_extended_err, then the offender's struct sockaddr_in or sockaddr_in6, of zeros if it is none but us. */
static void put_entry(struct gd_control *control, struct gd_sock *sock, const struct entry *entry)
{
    bool v4 = gd_addr_is_v4(&entry->to.addr);
    struct gd_addr plain = gd_addr_on(&entry->offender, 0);
    struct {
        struct sock_extended_err what;
        union {
            struct sockaddr_in v4;
            struct sockaddr_in6 v6;
        } offender;
    } shown;
    bool six = sock->domain == AF_INET6 && !v4;

    memset(&shown, 0, sizeof shown);
    shown.what = entry->what;
    if (entry->what.ee_origin != SO_EE_ORIGIN_LOCAL && v4) {
        shown.offender.v4.sin_family = AF_INET;
        memcpy(&shown.offender.v4.sin_addr, entry->offender.b + 12, sizeof shown.offender.v4.sin_addr);
    } else if (entry->what.ee_origin != SO_EE_ORIGIN_LOCAL) {
        shown.offender.v6.sin6_family = AF_INET6;
        memcpy(&shown.offender.v6.sin6_addr, plain.b, sizeof shown.offender.v6.sin6_addr);
        if (gd_addr_is_scoped(&entry->offender))
            shown.offender.v6.sin6_scope_id = (uint32_t)gd_ifindex_shown(sock->stack, entry->facts.ifindex);
    }
    gd_control_put(control, six ? IPPROTO_IPV6 : IPPROTO_IP, six ? IPV6_RECVERR : IP_RECVERR, &shown,
                   (uint32_t)(sizeof shown.what + (six ? sizeof shown.offender.v6 : sizeof shown.offender.v4)));
}

/* Off the queue; SO_ERROR goes with the last one that came from elsewhere (Linux's sock_dequeue_err_skb). */
static void take(struct gd_sock *sock, const struct entry *entry)
{
    struct entry next = {.what = {.ee_origin = SO_EE_ORIGIN_LOCAL}};

    gd_buffer_consume(&sock->stack->pool, &sock->errors, (uint32_t)sizeof *entry + entry->len, false);
    if (sock->errors.len > 0) {
        gd_buffer_read(&sock->errors, 0, &next, sizeof next);
        gd_sock_wake(sock, GD_ERR);
    }
    if (next.what.ee_origin != SO_EE_ORIGIN_LOCAL)
        sock->error = (int)next.what.ee_errno;
    else if (entry->what.ee_origin != SO_EE_ORIGIN_LOCAL)
        sock->error = 0;
}

int64_t gd_errors_receive(struct gd_sock *sock, struct gd_message *message)
{
    struct gd_control control = {message->control, message->control_len, 0, &message->flags};
    uint32_t at = (uint32_t)sizeof(struct entry), left;
    int64_t copied = 0;
    struct entry entry;

    message->flags = 0;
    message->control_len = 0;
    if (sock->errors.len == 0)
        return -EAGAIN;
    gd_buffer_read(&sock->errors, 0, &entry, sizeof entry);
    left = entry.len;
    for (uint32_t i = 0; i < message->nparts && left > 0; i++) {
        uint32_t count = message->parts[i].len < left ? (uint32_t)message->parts[i].len : left;

        gd_buffer_read(&sock->errors, at, message->parts[i].base, count);
        at += count;
        left -= count;
        copied += count;
    }
    message->flags = MSG_ERRQUEUE | (left > 0 ? MSG_TRUNC : 0);
    message->named = 1;
    memcpy(message->addr, entry.to.addr.b, sizeof message->addr);
    message->port = entry.to.port;
    gd_control_put_stamp(&control, sock, entry.facts.at, message->epoch_ns);
    if (entry.what.ee_origin != SO_EE_ORIGIN_LOCAL)
        gd_control_put_facts(&control, sock, &entry.facts, &entry.offender);
    put_entry(&control, sock, &entry);
    message->control_len = control.used;
    take(sock, &entry);
    return copied;
}

int64_t gd_errors_recv(struct gd_sock *sock, void *data, size_t len)
{
    struct gd_iovec part = {data, len};
    struct gd_message message = {.parts = &part, .nparts = 1};

    return gd_errors_receive(sock, &message);
}
