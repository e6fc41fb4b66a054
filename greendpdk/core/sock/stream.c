/* Bytes in and out of a connection: send(2) and recv(2) on a stream.
 * Called by sock/sock.c; calls sock/buffer.c, and tcp/ through the output list.
 */
#include "../tcp/urgent.h"
#include "../tcp/window.h"
#include "errors.h"
#include "stream.h"

#include <errno.h>
#include <sys/socket.h>

/* Linux's tcp_sendmsg_fastopen without an address. */
static int fast_open(const struct gd_tcb *tcb)
{
    if (tcb->state == GD_CLOSED)
        return -EINVAL;
    return tcb->state == GD_SYN_SENT ? -EALREADY : -EISCONN;
}

/* Flags that mean nothing to a stream are let pass, as Linux lets them. */
static int may_send(struct gd_tcb *tcb, int flags)
{
    if (flags & MSG_FASTOPEN)
        return fast_open(tcb);
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
        if (flags & MSG_OOB)
            gd_urgent_mark(tcb);
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

/* After bytes were taken out: the window may open. */
static void was_read(struct gd_tcb *tcb, uint32_t count)
{
    tcb->was_read = true;
    if (tcb->small_in == 2 && tcb->ack_later && tcb->rcv.len == 0) { /* Linux's tcp_cleanup_rbuf: its sender may wait for nothing else */
        tcb->ack_now = true;
        gd_tcp_want_output(tcb);
    }
    gd_tcp_tune_read(tcb, count, tcb->sock.stack->now);
    if (gd_tcp_window_update_due(tcb))
        gd_tcp_want_output(tcb);
    else if (gd_tcp_rcv_short(tcb))
        gd_tcp_starve(tcb);
}

int64_t gd_tcp_recv(struct gd_sock *sock, void *data, size_t len, int flags)
{
    struct gd_tcb *tcb = gd_tcb(sock);
    uint32_t count = len < tcb->rcv.len ? (uint32_t)len : tcb->rcv.len, hole = 0;

    if (flags & MSG_ERRQUEUE)
        return gd_errors_recv(sock, data, len);
    if (flags & MSG_OOB)
        return tcb->state == GD_LISTEN ? -ENOTCONN : gd_urgent_recv(tcb, data, len, flags);
    if (tcb->urgent_in != GD_URGENT_NONE)
        count = gd_urgent_limit(tcb, count, &hole);
    if (tcb->rcv.len == 0)
        return nothing(tcb);
    if ((flags & MSG_TRUNC) == 0) /* tcp(7): MSG_TRUNC throws the bytes away */
        gd_buffer_read(&tcb->rcv, hole, data, count);
    if ((flags & MSG_PEEK) == 0) {
        gd_buffer_consume(&sock->stack->pool, &tcb->rcv, hole + count, tcb->islands.count > 0);
        if (tcb->urgent_in != GD_URGENT_NONE)
            gd_urgent_passed(tcb);
        was_read(tcb, hole + count);
    }
    return count > 0 || len == 0 ? (int64_t)count : nothing(tcb);
}
