/* recvmsg(2) and sendmsg(2): several buffers in one call, with control messages.
 * Called by Python through api.cdef.h; calls sock/dgram.c, dgram_output.c, stream.c, control.c, errors.c.
 *
 * No bytes are joined on the way: a stream's parts go one after the other into its buffer, which is cut into segments
 * later, so one segment may hold several; a datagram's are gathered into its frame.
 */
#include "../tcp/urgent.h"
#include "control.h"
#include "errors.h"
#include "stream.h"

#include <errno.h>
#include <sys/socket.h>

#define PARTS_MAX 1024u /* Linux's UIO_MAXIOV */

static bool is_stream(const struct gd_sock *sock)
{
    return sock->type == SOCK_STREAM;
}

/* Bytes that stay in the buffer, for this part and those after it. */
static int64_t peek_more(const struct gd_tcb *tcb, const struct gd_message *message, uint32_t i, uint32_t at)
{
    for (; i < message->nparts && at < tcb->rcv.len; i++) {
        uint32_t left = tcb->rcv.len - at;
        uint32_t count = message->parts[i].len < left ? (uint32_t)message->parts[i].len : left;

        gd_buffer_read(&tcb->rcv, at, message->parts[i].base, count);
        at += count;
    }
    return at;
}

static int64_t receive_stream(struct gd_sock *sock, struct gd_message *message, int flags)
{
    static char nowhere[1];
    struct gd_iovec none = {nowhere, 0};
    const struct gd_iovec *parts = message->nparts > 0 ? message->parts : &none;
    uint32_t first = 0;
    int64_t done;

    while (first + 1 < message->nparts && parts[first].len == 0) /* else nothing is waited for, and an urgent byte lost */
        first++;
    done = gd_tcp_recv(sock, parts[first].base, parts[first].len, flags);

    /* Near urgent data one part is read at a time: who reads stops before it, and after it. */
    if (done < 0 || (size_t)done < parts[first].len || flags & MSG_OOB || gd_tcb(sock)->urgent_in != GD_URGENT_NONE)
        return done;
    if (flags & MSG_PEEK)
        return peek_more(gd_tcb(sock), message, first + 1, (uint32_t)done);
    for (uint32_t i = first + 1; i < message->nparts && gd_tcb(sock)->rcv.len > 0; i++) {
        int64_t rc = gd_tcp_recv(sock, parts[i].base, parts[i].len, flags);

        if (rc < 0)
            break;
        done += rc;
        if ((size_t)rc < parts[i].len)
            break;
    }
    return done;
}

int64_t gd_sock_recvmsg(struct gd_sock *sock, struct gd_message *message, int flags)
{
    struct gd_control control = {message->control, message->control_len, 0, &message->flags};
    bool urgent;
    int64_t rc;

    message->flags = message->named = 0;
    if (message->nparts > PARTS_MAX)
        return -EMSGSIZE;
    if (flags & MSG_ERRQUEUE)
        return gd_errors_receive(sock, message);
    if (!is_stream(sock)) {
        rc = gd_udp_recvmsg(sock, message, flags);
        if (!message->named)
            message->control_len = 0;
        return rc;
    }
    urgent = flags & MSG_OOB && gd_tcb(sock)->urgent_in == GD_URGENT_HERE;
    rc = receive_stream(sock, message, flags);
    if (rc >= 0 && urgent) /* also where there was no room for it, and it is gone, as on Linux */
        message->flags = rc > 0 ? MSG_OOB : MSG_OOB | MSG_TRUNC;
    if (rc > 0)
        gd_control_put_stamp(&control, sock, gd_tcb(sock)->tally.text_at, message->epoch_ns);
    message->control_len = control.used;
    return rc;
}

static int64_t send_stream(struct gd_sock *sock, const struct gd_message *message, int flags)
{
    struct gd_wishes wishes = GD_NO_WISHES;
    int64_t done = 0, rc;

    rc = message->control_len > 0 ? gd_control_parse(sock, message->control, message->control_len, true, &wishes) : 0;
    if (rc < 0)
        return rc;
    if (message->nparts == 0)
        return gd_tcp_send(sock, "", 0, flags);
    for (uint32_t i = 0; i < message->nparts; i++) {
        rc = gd_tcp_send(sock, message->parts[i].base, message->parts[i].len, flags);
        if (rc < 0)
            return done > 0 ? done : rc;
        done += rc;
        if ((size_t)rc < message->parts[i].len)
            break;
    }
    return done;
}

int64_t gd_sock_sendmsg(struct gd_sock *sock, const struct gd_message *message, int flags)
{
    struct gd_endpoint to;
    int rc;

    if (message->nparts > PARTS_MAX)
        return -EMSGSIZE;
    if (is_stream(sock)) /* Linux ignores the address on a connection */
        return send_stream(sock, message, flags);
    if (!message->named)
        return gd_udp_sendmsg(sock, message, flags, NULL);
    rc = gd_sock_endpoint(sock, message->addr, message->port, &to);
    gd_sock_take_link(sock, &to.addr);
    return rc != 0 ? rc : gd_udp_sendmsg(sock, message, flags, &to);
}
