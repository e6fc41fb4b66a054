/* Datagram sockets as the application holds them (RFC 768, RFC 1122 4.1): life, connect, receive.
 * Called by sock/sock.c; calls sock/{bind,demux,sock,buffer,dgram_output,dgram_group}.c.
 *
 *     queue (a gd_buffer):  [record|payload][record|payload] ...       whole datagrams, under SO_RCVBUF
 *     unconnected: heard by local port (gd_bound_find)     connected: by the 4-tuple (gd_flow_find) alone
 */
#include "dgram.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>

static void retry(struct gd_timer *timer, uint64_t now)
{
    (void)now;
    gd_sock_wake(&GD_ENTRY(timer, struct gd_udp, retry)->sock, GD_WRITE);
}

int gd_udp_new(struct gd_stack *stack, int domain, struct gd_sock **out)
{
    struct gd_udp *udp = calloc(1, sizeof *udp);

    if (!udp)
        return -ENOMEM;
    gd_sock_init(&udp->sock, stack, domain, SOCK_DGRAM);
    udp->sock.flow.proto = IPPROTO_UDP;
    udp->sock.options.sndbuf = udp->sock.options.rcvbuf = GD_UDP_BUFFER;
    gd_timer_init(&udp->retry, retry);
    for (int i = 0; i < 2; i++)
        udp->multicast[i] = (struct gd_multicast){.ttl = 1, .loop = true, .all = true}; /* RFC 1112 6.1; Linux */
    *out = &udp->sock;
    return 0;
}

void gd_udp_close(struct gd_sock *sock)
{
    struct gd_udp *udp = gd_udp_of(sock);

    gd_timer_cancel(&sock->stack->wheel, &udp->retry);
    gd_buffer_clear(&sock->stack->pool, &udp->queue);
    gd_udp_leave_all(udp);
    gd_udp_cork_drop(udp);
    gd_sock_bury(sock);
}

uint32_t gd_udp_ready(struct gd_sock *sock)
{
    const struct gd_udp *udp = gd_udp_of(sock);
    uint32_t bits = 0;

    if (udp->queue.len > 0 || sock->shut_rd || sock->error)
        bits |= GD_READ;
    if (udp->retry.at == GD_NEVER || sock->shut_wr || sock->error)
        bits |= GD_WRITE;
    if (sock->shut_rd)
        bits |= GD_RDHUP;
    if (sock->shut_rd && sock->shut_wr)
        bits |= GD_HUP;
    if (sock->error || gd_errors_any(sock))
        bits |= GD_ERR;
    return bits;
}

/* What the application asked to be told of this one. */
static void put_control(struct gd_udp *udp, struct gd_message *message, const struct gd_record *record)
{
    struct gd_control control = {message->control, message->control_len, 0, &message->flags};
    struct gd_sock *sock = &udp->sock;

    gd_control_put_stamp(&control, sock, record->facts.at, message->epoch_ns);
    if (sock->options.control & GD_TELL_DROPS && record->dropped != 0)
        gd_control_put(&control, SOL_SOCKET, SO_RXQ_OVFL, &record->dropped, sizeof record->dropped);
    gd_control_put_facts(&control, sock, &record->facts, &record->from.addr);
    message->control_len = control.used;
}

/* Scatters it over the parts; returns the bytes that found room. */
static uint32_t scatter(const struct gd_udp *udp, const struct gd_message *message, uint32_t len)
{
    uint32_t done = 0;

    for (uint32_t i = 0; i < message->nparts && done < len; i++) {
        const struct gd_iovec *part = &message->parts[i];
        uint32_t count = part->len < len - done ? (uint32_t)part->len : len - done;

        gd_buffer_read(&udp->queue, (uint32_t)sizeof(struct gd_record) + done, part->base, count);
        done += count;
    }
    return done;
}

int64_t gd_udp_recvmsg(struct gd_sock *sock, struct gd_message *message, int flags)
{
    struct gd_udp *udp = gd_udp_of(sock);
    struct gd_record record;
    uint32_t copied;
    int rc;

    if (flags & MSG_ERRQUEUE)
        return gd_errors_receive(sock, message);
    rc = gd_sock_take_error(sock);
    if (rc < 0)
        return rc;
    if (udp->queue.len == 0)
        return sock->shut_rd ? 0 : -EAGAIN;
    gd_buffer_read(&udp->queue, 0, &record, sizeof record);
    copied = scatter(udp, message, record.len);
    memcpy(message->addr, record.from.addr.b, sizeof message->addr);
    message->port = record.from.port;
    message->named = 1;
    if (copied < record.len)
        message->flags |= MSG_TRUNC;
    put_control(udp, message, &record);
    if ((flags & MSG_PEEK) == 0)
        gd_buffer_consume(&sock->stack->pool, &udp->queue, (uint32_t)sizeof record + record.len, false);
    return flags & MSG_TRUNC ? record.len : copied;
}

int64_t gd_udp_recvfrom(struct gd_sock *sock, void *data, size_t len, int flags, struct gd_endpoint *from,
                        int *msg_flags)
{
    struct gd_iovec part = {data, len};
    struct gd_message message = {.parts = &part, .nparts = 1};
    int64_t rc = gd_udp_recvmsg(sock, &message, flags);

    if (from) {
        memcpy(from->addr.b, message.addr, sizeof message.addr);
        from->port = message.port;
    }
    if (msg_flags)
        *msg_flags = message.flags & ~MSG_CTRUNC;
    return rc;
}

int gd_udp_unread(struct gd_sock *sock)
{
    const struct gd_udp *udp = gd_udp_of(sock);
    struct gd_record record;

    if (udp->queue.len == 0)
        return 0;
    gd_buffer_read(&udp->queue, 0, &record, sizeof record);
    return record.len;
}

static void dissolve(struct gd_udp *udp)
{
    struct gd_sock *sock = &udp->sock;
    static const uint8_t any[4] = {0};

    if (!udp->connected)
        return;
    gd_flow_remove(sock->stack, &sock->flow);
    udp->connected = false;
    sock->flow.remote = (struct gd_endpoint){0};
    sock->dst.generation = 0;
    if (!sock->bound_addr)
        sock->flow.local.addr = sock->domain == AF_INET ? gd_addr_v4(any) : (struct gd_addr){0};
    if (sock->bound_port) {
        gd_bound_insert(sock);
        return;
    }
    gd_bind_release(sock->stack, &sock->flow);
    sock->flow.local.port = 0;
}

int gd_udp_connect(struct gd_sock *sock, const struct gd_endpoint *remote)
{
    struct gd_udp *udp = gd_udp_of(sock);
    struct gd_endpoint to;
    struct gd_aim aim;
    int rc;

    if (!remote) {
        dissolve(udp);
        return 0;
    }
    to = (struct gd_endpoint){gd_udp_destination(&remote->addr), remote->port};
    aim = gd_udp_aim_of(udp, &to.addr);
    rc = gd_udp_aim(udp, &aim);
    if (rc == 0 && sock->flow.local.port == 0)
        rc = gd_bind_implicit(sock, &to);
    if (rc < 0)
        return rc;
    if (udp->connected)
        gd_flow_remove(sock->stack, &sock->flow);
    else
        gd_bound_remove(sock);
    if (gd_addr_is_any(&sock->flow.local.addr))
        sock->flow.local.addr = udp->src;
    sock->flow.remote = to;
    gd_flow_insert(sock->stack, &sock->flow);
    udp->connected = true;
    return 0;
}

/* ENOTCONN comes after the deed, as on Linux (inet_shutdown): an unconnected socket is shut all the same. */
int gd_udp_shutdown(struct gd_sock *sock, int how)
{
    if (how != SHUT_RD && how != SHUT_WR && how != SHUT_RDWR)
        return -EINVAL;
    sock->shut_rd = sock->shut_rd || how != SHUT_WR;
    sock->shut_wr = sock->shut_wr || how != SHUT_RD;
    gd_sock_wake(sock, gd_udp_ready(sock));
    return gd_udp_of(sock)->connected ? 0 : -ENOTCONN;
}
