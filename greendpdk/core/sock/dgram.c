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

#define RECV_FLAGS (MSG_DONTWAIT | MSG_PEEK | MSG_TRUNC | MSG_WAITALL | MSG_NOSIGNAL | MSG_CMSG_CLOEXEC)

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
    if (sock->error)
        bits |= GD_ERR;
    return bits;
}

int64_t gd_udp_recvfrom(struct gd_sock *sock, void *data, size_t len, int flags, struct gd_endpoint *from,
                        int *msg_flags)
{
    struct gd_udp *udp = gd_udp_of(sock);
    struct gd_record record;
    uint32_t copied;
    int rc;

    if (msg_flags)
        *msg_flags = 0;
    if (flags & ~RECV_FLAGS)
        return -EOPNOTSUPP;
    rc = gd_sock_take_error(sock);
    if (rc < 0)
        return rc;
    if (udp->queue.len == 0)
        return sock->shut_rd ? 0 : -EAGAIN;
    gd_buffer_read(&udp->queue, 0, &record, sizeof record);
    copied = len < record.len ? (uint32_t)len : record.len;
    gd_buffer_read(&udp->queue, sizeof record, data, copied);
    if (from)
        *from = record.from;
    if (msg_flags && copied < record.len)
        *msg_flags |= MSG_TRUNC;
    if ((flags & MSG_PEEK) == 0)
        gd_buffer_consume(&sock->stack->pool, &udp->queue, (uint32_t)sizeof record + record.len, false);
    return flags & MSG_TRUNC ? record.len : copied;
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
    int rc;

    if (!remote) {
        dissolve(udp);
        return 0;
    }
    to = (struct gd_endpoint){gd_udp_destination(&remote->addr), remote->port};
    rc = gd_udp_aim(udp, &to.addr);
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
