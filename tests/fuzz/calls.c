/* The application under attack: one socket call at a time, as the input says, each with memory of exactly its size.
 * Called by the targets; calls the engine's public functions.
 */
#include "alloc.h"
#include "host.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <linux/udp.h>
#include <stdlib.h>
#include <sys/socket.h>

#define CALL_MAX 70000u /* more than a datagram, and some windows full */

/* Blocks of the harness are its own: calls.c is no part of the engine, so malloc here is not counted. */
static uint8_t *block(uint32_t len, uint8_t fill)
{
    uint8_t *made = malloc(len);

    if (!made)
        abort();
    memset(made, fill, len);
    return made;
}

static struct gd_addr address(struct input *in)
{
    static const uint8_t local[4] = {127, 0, 0, 1}, group[4] = {239, 1, 2, 3}, all[4] = {255, 255, 255, 255};
    struct gd_addr addr;

    switch (input_below(in, 11)) {
    case 0:
        return frame_v4(PEER);
    case 1:
        return frame_v4(OURS);
    case 2:
        return gd_addr_v4(local);
    case 3:
        return gd_addr_v4(group);
    case 4:
        return gd_addr_v4(all);
    case 5:
        return (struct gd_addr){.b = {[10] = 0xff, [11] = 0xff}};
    case 6:
        return (struct gd_addr){.b = {[15] = input_8(in) & 1}};
    case 7:
        return frame_global(input_8(in) & 3);
    case 8:
        return frame_link_local(input_8(in) & 3);
    case 9:
        return (struct gd_addr){.b = {0xff, 0x02, [15] = input_8(in)}};
    default:
        addr = frame_v4(input_8(in));
        return addr.b[15] == WITNESS ? frame_v4(OTHER) : addr;
    }
}

static uint16_t port(struct input *in)
{
    static const uint16_t ports[] = {0, PORT_OPEN, PORT_UDP, 5000, 5001, 68, 546, 1};

    return ports[input_below(in, sizeof ports / sizeof ports[0])];
}

static const struct {
    int level, name;
} options[] = {
    {SOL_SOCKET, SO_REUSEADDR},
    {SOL_SOCKET, SO_REUSEPORT},
    {SOL_SOCKET, SO_KEEPALIVE},
    {SOL_SOCKET, SO_LINGER},
    {SOL_SOCKET, SO_SNDBUF},
    {SOL_SOCKET, SO_RCVBUF},
    {SOL_SOCKET, SO_RCVLOWAT},
    {SOL_SOCKET, SO_PRIORITY},
    {SOL_SOCKET, SO_DOMAIN},
    {SOL_SOCKET, SO_PROTOCOL},
    {SOL_SOCKET, SO_ACCEPTCONN},
    {SOL_SOCKET, SO_OOBINLINE},
    {SOL_SOCKET, SO_BROADCAST},
    {SOL_SOCKET, SO_ERROR},
    {SOL_SOCKET, SO_TYPE},
    {IPPROTO_TCP, TCP_NODELAY},
    {IPPROTO_TCP, TCP_CORK},
    {IPPROTO_TCP, TCP_MAXSEG},
    {IPPROTO_TCP, TCP_KEEPIDLE},
    {IPPROTO_TCP, TCP_KEEPINTVL},
    {IPPROTO_TCP, TCP_KEEPCNT},
    {IPPROTO_TCP, TCP_QUICKACK},
    {IPPROTO_TCP, TCP_USER_TIMEOUT},
    {IPPROTO_TCP, TCP_SYNCNT},
    {IPPROTO_TCP, TCP_CONGESTION},
    {IPPROTO_TCP, TCP_INFO},
    {IPPROTO_TCP, TCP_DEFER_ACCEPT},
    {IPPROTO_TCP, TCP_WINDOW_CLAMP},
    {IPPROTO_TCP, TCP_LINGER2},
    {IPPROTO_TCP, TCP_NOTSENT_LOWAT},
    {IPPROTO_UDP, UDP_CORK},
    {IPPROTO_IP, IP_TTL},
    {IPPROTO_IP, IP_TOS},
    {IPPROTO_IP, IP_MTU_DISCOVER},
    {IPPROTO_IP, IP_MULTICAST_TTL},
    {IPPROTO_IP, IP_MULTICAST_IF},
    {IPPROTO_IP, IP_MULTICAST_LOOP},
    {IPPROTO_IP, IP_ADD_MEMBERSHIP},
    {IPPROTO_IP, IP_DROP_MEMBERSHIP},
    {IPPROTO_IP, IP_ADD_SOURCE_MEMBERSHIP},
    {IPPROTO_IP, IP_DROP_SOURCE_MEMBERSHIP},
    {IPPROTO_IP, IP_RECVERR},
    {IPPROTO_IP, IP_MTU},
    {IPPROTO_IPV6, IPV6_V6ONLY},
    {IPPROTO_IPV6, IPV6_UNICAST_HOPS},
    {IPPROTO_IPV6, IPV6_TCLASS},
    {IPPROTO_IPV6, IPV6_MULTICAST_HOPS},
    {IPPROTO_IPV6, IPV6_MULTICAST_IF},
    {IPPROTO_IPV6, IPV6_MULTICAST_LOOP},
    {IPPROTO_IP, MCAST_JOIN_GROUP},
    {IPPROTO_IP, MCAST_LEAVE_GROUP},
    {IPPROTO_IP, IP_MULTICAST_ALL},
    {IPPROTO_IPV6, MCAST_JOIN_GROUP},
    {IPPROTO_IPV6, MCAST_LEAVE_GROUP},
    {IPPROTO_IPV6, IPV6_MULTICAST_ALL},
    {IPPROTO_IPV6, IPV6_JOIN_GROUP},
    {IPPROTO_IPV6, IPV6_LEAVE_GROUP},
    {IPPROTO_IPV6, IPV6_MTU_DISCOVER},
    {IPPROTO_IP, IP_BLOCK_SOURCE},
    {IPPROTO_IP, IP_UNBLOCK_SOURCE},
    {IPPROTO_IP, IP_MSFILTER},
    {IPPROTO_IP, MCAST_JOIN_SOURCE_GROUP},
    {IPPROTO_IPV6, MCAST_JOIN_SOURCE_GROUP},
    {IPPROTO_IPV6, MCAST_LEAVE_SOURCE_GROUP},
    {IPPROTO_IPV6, MCAST_BLOCK_SOURCE},
    {IPPROTO_IPV6, MCAST_UNBLOCK_SOURCE},
    {IPPROTO_IPV6, MCAST_MSFILTER},
};

/* Values that chance would hardly make: names, and requests of each layout for groups. */
static uint32_t whole_value(uint8_t *value, uint8_t which)
{
    struct group_source_req request = {.gsr_interface = 2}; /* begins as struct group_req */
    struct sockaddr_in *four = (struct sockaddr_in *)&request.gsr_group;
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)&request.gsr_group;
    static const char names[3][6] = {"reno", "cubic", "bbr"};
    const uint8_t mreq[8] = {239, 1, 2, 3, 10, 0, 0, OURS}, source[4] = {10, 0, 0, which >> 4};
    struct ipv6_mreq mreq6 = {.ipv6mr_interface = which & 8 ? 2 : 0};

    switch (which & 7) {
    case 0:
    case 1:
        memcpy(value, names[(which >> 4) % 3], sizeof names[0]);
        return which & 8 ? 6 : 5;
    case 2:
        memcpy(value, mreq, sizeof mreq);
        memcpy(value + sizeof mreq, source, sizeof source);
        return sizeof mreq + (which & 8 ? sizeof source : 0);
    case 3:
        memcpy(&mreq6.ipv6mr_multiaddr, frame_group6(which >> 4).b, 16);
        memcpy(value, &mreq6, sizeof mreq6);
        return sizeof mreq6;
    case 4:
        four->sin_family = AF_INET;
        memcpy(&four->sin_addr, mreq, 4);
        request.gsr_source.ss_family = AF_INET;
        memcpy(&((struct sockaddr_in *)&request.gsr_source)->sin_addr, source, 4);
        memcpy(value, &request, sizeof request);
        return sizeof request;
    case 5:
        six->sin6_family = AF_INET6;
        memcpy(&six->sin6_addr, frame_group6(0x42).b, 16);
        request.gsr_source.ss_family = AF_INET6;
        memcpy(&((struct sockaddr_in6 *)&request.gsr_source)->sin6_addr, frame_global(which >> 4).b, 16);
        memcpy(value, &request, sizeof request);
        return sizeof request;
    default:
        memset(value, 0, 4);
        value[0] = which >> 4;
        return 4;
    }
}

static void call_option(struct gd_sock *sock, struct input *in, bool get)
{
    uint32_t row = input_below(in, sizeof options / sizeof options[0]);
    uint8_t how = input_8(in), bytes[512] = {0};
    uint32_t len = how >= 0x80 ? how & 63 : whole_value(bytes, input_8(in));
    uint8_t *value = block(len, 0);

    if (how >= 0x80)
        input_bytes(in, value, len);
    else
        memcpy(value, bytes, len);
    if (get)
        gd_sock_getsockopt(sock, options[row].level, options[row].name, value, &len);
    else
        gd_sock_setsockopt(sock, options[row].level, options[row].name, value, len);
    free(value);
}

static void call_send(struct gd_sock *sock, struct input *in, bool to)
{
    uint32_t len = input_16(in) % CALL_MAX;
    static const int choice[] = {MSG_MORE, MSG_DONTWAIT, 0, MSG_OOB};
    int flags = choice[input_below(in, 4)];
    uint8_t *data = block(len, 0x5a);

    if (to) {
        struct gd_addr addr = address(in);

        gd_sock_sendto(sock, data, len, flags, addr.b, port(in));
    } else {
        gd_sock_send(sock, data, len, flags);
    }
    free(data);
}

static void call_recv(struct gd_sock *sock, struct input *in, bool from)
{
    static const int flags[] = {0, MSG_PEEK, MSG_TRUNC, MSG_OOB};
    uint32_t len = input_16(in) % CALL_MAX;
    int flag = flags[input_below(in, 4)], msg_flags;
    uint8_t *data = block(len, 0), addr[16];
    uint16_t remote;

    if (from)
        gd_sock_recvfrom(sock, data, len, flag, addr, &remote, &msg_flags);
    else
        gd_sock_recv(sock, data, len, flag);
    free(data);
}

static void call_names(struct gd_sock *sock)
{
    uint8_t addr[16];
    uint16_t number;

    gd_sock_getsockname(sock, addr, &number);
    gd_sock_getpeername(sock, addr, &number);
    gd_sock_unread(sock);
    gd_sock_unacked(sock);
    gd_sock_ready(sock);
    gd_sock_state(sock);
}

static void new_socket(struct host *host, struct input *in)
{
    uint8_t kind = input_8(in);

    host_socket(host, kind & 1 ? AF_INET6 : AF_INET, kind & 2 ? SOCK_DGRAM : SOCK_STREAM);
}

static void take_events(struct host *host)
{
    uint32_t pairs[2 * 8];

    gd_stack_events(host->stack, pairs, 8);
}

/* The administrator's: addresses, routes, routers; never the ways that lead to the witness. */
static void administrate(struct host *host, struct input *in)
{
    struct gd_addr addr = address(in), gateway = frame_v4(OTHER);
    int bits = gd_addr_is_v4(&addr) ? 32 : input_8(in) % 130;
    bool ours = gd_addr_is_v4(&addr) && addr.b[15] == OURS;
    uint8_t out[16];

    switch (input_below(in, 11)) {
    case 0:
        gd_stack_add_address(host->stack, host->ifindex, addr.b, gd_addr_is_v4(&addr) ? 24 : bits);
        break;
    case 1:
        if (!ours)
            gd_stack_del_address(host->stack, host->ifindex, addr.b);
        break;
    case 2:
        gd_stack_add_route(host->stack, addr.b, bits, input_8(in) & 1 ? gateway.b : NULL, host->ifindex);
        break;
    case 3:
        gd_stack_del_route(host->stack, addr.b, bits, host->ifindex);
        break;
    case 4:
        gd_stack_autoconf(host->stack, host->ifindex);
        break;
    case 5:
        gd_dhcp_start(host->stack, host->ifindex, NULL);
        break;
    case 6:
        gd_dhcp_stop(host->stack, host->ifindex);
        break;
    case 7:
    case 8:
        host_plug(host);
        break;
    case 9:
        host->by_second = !host->by_second;
        break;
    default:
        gd_stack_route(host->stack, addr.b, out);
    }
}

void host_call(struct host *host, struct input *in)
{
    uint8_t what = input_8(in) % 20, which = input_8(in) % HOST_SOCKS;
    struct gd_sock *sock = host->socks[which], *accepted;
    struct gd_addr addr;

    if (what == 19) {
        if (!host->settled)
            administrate(host, in);
        return;
    }
    if (what == 0 || !sock) {
        new_socket(host, in);
        return;
    }
    switch (what) {
    case 1:
        addr = address(in);
        gd_sock_bind(sock, addr.b, port(in));
        break;
    case 2:
        addr = address(in);
        gd_sock_connect(sock, input_below(in, 8) == 0 ? NULL : addr.b, port(in));
        break;
    case 3:
        gd_sock_listen(sock, (int)(int8_t)input_8(in));
        break;
    case 4:
        if (gd_sock_accept(sock, &accepted) == 0)
            host_add(host, accepted);
        break;
    case 5:
    case 6:
        call_send(sock, in, what == 6);
        break;
    case 7:
    case 8:
        call_recv(sock, in, what == 8);
        break;
    case 9:
        gd_sock_shutdown(sock, (int)input_below(in, 4));
        break;
    case 10:
        host->socks[which] = NULL;
        gd_sock_close(sock);
        break;
    case 11:
    case 12:
        call_option(sock, in, what == 12);
        break;
    case 13:
        take_events(host);
        break;
    default:
        call_names(sock);
    }
}
