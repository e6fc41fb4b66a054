/* Bytes in and out of a connection: send(2) and recv(2) on a stream.
 * Called by sock/sock.c; calls sock/buffer.c, and tcp/ through the output list.
 */
#include "../tcp/window.h"
#include "stream.h"

#include <errno.h>
#include <sys/socket.h>

/* MSG_CONFIRM and friends that change nothing here are let pass as Linux lets them. */
#define SEND_FLAGS (MSG_DONTWAIT | MSG_NOSIGNAL | MSG_MORE | MSG_EOR | MSG_CONFIRM | MSG_DONTROUTE)
#define RECV_FLAGS (MSG_DONTWAIT | MSG_NOSIGNAL | MSG_PEEK | MSG_WAITALL | MSG_TRUNC)

static int may_send(struct gd_tcb *tcb, int flags)
{
    if (flags & ~SEND_FLAGS)
        return -EOPNOTSUPP;
    if (tcb->sock.error != 0)
        return gd_sock_take_error(&tcb->sock);
    if (tcb->sock.shut_wr)
        return -EPIPE;
    if (tcb->state & (GD_SYN_SENT | GD_SYN_RECEIVED)) {
        tcb->want_write = true;
        return -EAGAIN;
    }
    return tcb->state & GD_CAN_SEND ? 0 : -EPIPE;
}

int64_t gd_tcp_send(struct gd_sock *sock, const void *data, size_t len, int flags)
{
    struct gd_tcb *tcb = gd_tcb(sock);
    uint32_t room, taken;
    int rc = may_send(tcb, flags);

    if (rc != 0)
        return rc;
    if (len == 0)
        return 0;
    room = gd_tcp_write_room(tcb);
    taken = gd_buffer_append(&sock->stack->pool, &tcb->snd, data, len < room ? (uint32_t)len : room);
    tcb->more = (flags & MSG_MORE) != 0;
    if (taken > 0) {
        gd_tcp_want_output(tcb);
        return taken;
    }
    gd_tcp_want_room(tcb);
    return -EAGAIN;
}

/* What recv says when no byte is there. */
static int64_t nothing(struct gd_tcb *tcb)
{
    if (tcb->fin_received) /* Linux's SOCK_DONE: the end stays the end, also when a RST came after it */
        return 0;
    if (tcb->sock.error != 0)
        return gd_sock_take_error(&tcb->sock);
    if (tcb->sock.shut_rd)
        return 0;
    if (tcb->state & (GD_CLOSED | GD_LISTEN))
        return tcb->ever_connected ? 0 : -ENOTCONN;
    return -EAGAIN;
}

int64_t gd_tcp_recv(struct gd_sock *sock, void *data, size_t len, int flags)
{
    struct gd_tcb *tcb = gd_tcb(sock);
    uint32_t count = len < tcb->rcv.len ? (uint32_t)len : tcb->rcv.len;

    if (flags & MSG_OOB)
        return -EINVAL; /* no urgent data is kept apart: it stands in the stream */
    if (flags & MSG_ERRQUEUE)
        return -EAGAIN;
    if (flags & ~RECV_FLAGS)
        return -EOPNOTSUPP;
    if (tcb->rcv.len == 0)
        return nothing(tcb);
    if ((flags & MSG_TRUNC) == 0) /* tcp(7): MSG_TRUNC throws the bytes away */
        gd_buffer_read(&tcb->rcv, 0, data, count);
    if (flags & MSG_PEEK)
        return count;
    gd_buffer_consume(&sock->stack->pool, &tcb->rcv, count, tcb->islands.count > 0);
    tcb->was_read = true;
    if (tcb->small_in == 2 && tcb->ack_later && tcb->rcv.len == 0) { /* Linux's tcp_cleanup_rbuf: its sender may wait for nothing else */
        tcb->ack_now = true;
        gd_tcp_want_output(tcb);
    }
    gd_tcp_tune_read(tcb, count, sock->stack->now);
    if (gd_tcp_window_update_due(tcb))
        gd_tcp_want_output(tcb);
    else if (gd_tcp_rcv_short(tcb))
        gd_tcp_starve(tcb);
    return count;
}
