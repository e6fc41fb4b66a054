/* ioctl(2) on a socket: how much waits, either way (tcp(7), udp(7)).
 * Called by Python through api.cdef.h; calls sock/sock.c.
 */
#include "../tcp/tcp.h"
#include "../tcp/window.h"

#include <errno.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

static int of_stream(struct gd_sock *sock, uint32_t request)
{
    struct gd_tcb *tcb = gd_tcb(sock);
    bool opening = (tcb->state & (GD_SYN_SENT | GD_SYN_RECEIVED)) != 0;

    if (request == SIOCATMARK)
        return gd_urgent_at_mark(tcb) ? 1 : 0;
    if (tcb->state == GD_LISTEN)
        return -EINVAL;
    switch (request) {
    case SIOCINQ:
        return gd_sock_unread(sock);
    case SIOCOUTQ:
        return opening ? 0 : gd_sock_unacked(sock);
    default:
        return opening ? 0 : (int)gd_tcp_not_sent(tcb);
    }
}

int gd_sock_ioctl(struct gd_sock *sock, uint32_t request)
{
    if (request != SIOCINQ && request != SIOCOUTQ && request != SIOCOUTQNSD && request != SIOCATMARK)
        return -ENOTTY;
    if (sock->type == SOCK_STREAM)
        return of_stream(sock, request);
    if (request == SIOCINQ)
        return gd_sock_unread(sock);
    return request == SIOCOUTQ ? gd_sock_unacked(sock) : -ENOTTY;
}
