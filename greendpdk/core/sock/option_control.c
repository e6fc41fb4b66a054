/* Options that say what recvmsg tells of each datagram, and which errors are queued (ip(7), ipv6(7), socket(7)).
 * Called by sock/option.c; calls sock/errors.c.
 */
#include "control.h"
#include "../stack.h"
#include "errors.h"
#include "option.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>

/* option->max is the GD_TELL_ bit. */
static int set_tell(struct gd_sock *sock, const struct gd_option *option, int value)
{
    uint32_t bit = (uint32_t)option->max;

    sock->options.control = value != 0 ? sock->options.control | bit : sock->options.control & ~bit;
    if (value == 0 && bit & (GD_TELL_ERRORS | GD_TELL_ERRORS6)) /* Linux purges the queue */
        gd_errors_clear(sock);
    return 0;
}

static int get_tell(struct gd_sock *sock, const struct gd_option *option)
{
    return (sock->options.control & (uint32_t)option->max) != 0;
}

/* One of them at a time; switched off, they all are (Linux's sock_set_timestamp). */
static int set_stamps(struct gd_sock *sock, const struct gd_option *option, int value)
{
    sock->options.stamps = value != 0 ? (uint8_t)option->name : 0;
    return 0;
}

static int get_stamps(struct gd_sock *sock, const struct gd_option *option)
{
    return sock->options.stamps == option->name;
}

/* Linux's numbers for a struct timeval and timespec of 64 bits, which glibc has under no name of its own. */
#define STAMP_NEW 63
#define STAMPNS_NEW 64

const struct gd_option *gd_option_control(size_t *count)
{
    static const struct gd_option table[] = {
        {IPPROTO_IP, IP_PKTINFO, GD_ANY, set_tell, get_tell, .max = GD_TELL_PKTINFO},
        {IPPROTO_IP, IP_RECVTTL, GD_ANY, set_tell, get_tell, .max = GD_TELL_TTL},
        {IPPROTO_IP, IP_RECVTOS, GD_ANY, set_tell, get_tell, .max = GD_TELL_TOS},
        {IPPROTO_IP, IP_RECVORIGDSTADDR, GD_ANY, set_tell, get_tell, .max = GD_TELL_ORIGDST},
        {IPPROTO_IP, IP_RECVERR, GD_ANY, set_tell, get_tell, .max = GD_TELL_ERRORS},
        {IPPROTO_IPV6, IPV6_RECVPKTINFO, GD_ANY, set_tell, get_tell, .max = GD_TELL_PKTINFO6},
        {IPPROTO_IPV6, IPV6_RECVHOPLIMIT, GD_ANY, set_tell, get_tell, .max = GD_TELL_HOPLIMIT},
        {IPPROTO_IPV6, IPV6_RECVTCLASS, GD_ANY, set_tell, get_tell, .max = GD_TELL_TCLASS},
        {IPPROTO_IPV6, IPV6_RECVORIGDSTADDR, GD_ANY, set_tell, get_tell, .max = GD_TELL_ORIGDST6},
        {IPPROTO_IPV6, IPV6_RECVERR, GD_ANY, set_tell, get_tell, .max = GD_TELL_ERRORS6},
        {SOL_SOCKET, SO_RXQ_OVFL, GD_ANY, set_tell, get_tell, .max = GD_TELL_DROPS},
        {SOL_SOCKET, SO_TIMESTAMP, GD_ANY, .set = set_stamps, .get = get_stamps},
        {SOL_SOCKET, SO_TIMESTAMPNS, GD_ANY, .set = set_stamps, .get = get_stamps},
        {SOL_SOCKET, STAMP_NEW, GD_ANY, .set = set_stamps, .get = get_stamps},
        {SOL_SOCKET, STAMPNS_NEW, GD_ANY, .set = set_stamps, .get = get_stamps},
    };

    *count = sizeof(table) / sizeof(table[0]);
    return table;
}
