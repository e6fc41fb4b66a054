/* Sockets as Python sees them: each call goes to the stream's or the datagram's own; readiness and errors.
 * Called by Python through api.cdef.h, by tcp/ and dgram.c; calls tcp/open.c, close.c, sock/stream.c, dgram.c.
 */
#include "../tcp/urgent.h"
#include "stream.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>

static bool is_stream(const struct gd_sock *sock)
{
    return sock->type == SOCK_STREAM;
}

static uint32_t fresh_id(struct gd_stack *stack)
{
    for (;;) {
        uint32_t id = ++stack->next_id;
        struct gd_node *node = gd_table_first(&stack->ids, id);

        while (node != NULL && node->hash != id)
            node = node->next;
        if (id != 0 && node == NULL)
            return id;
    }
}

void gd_sock_init(struct gd_sock *sock, struct gd_stack *stack, int domain, int type)
{
    static const uint8_t any[4] = {0};

    sock->stack = stack;
    sock->domain = domain;
    sock->type = type;
    sock->id = fresh_id(stack);
    sock->flow.kind = GD_FLOW_SOCK;
    if (domain == AF_INET)
        sock->flow.local.addr = sock->flow.remote.addr = gd_addr_v4(any);
    sock->options.ttl = sock->options.hops = GD_TTL_DEFAULT;
    sock->options.pmtudisc[0] = sock->options.pmtudisc[1] = IP_PMTUDISC_WANT; /* Linux's ip_no_pmtu_disc = 0 */
    sock->options.keepidle_s = 7200; /* RFC 9293 3.8.4; the others are Linux's */
    sock->options.keepintvl_s = 75;
    sock->options.keepcnt = 9;
    sock->options.max_pacing = UINT64_MAX;
    gd_list_init(&sock->ready_link);
    gd_list_init(&sock->holder_link);
    gd_list_append(&stack->socks, &sock->all_link);
    gd_table_insert(&stack->ids, &sock->id_node, sock->id);
    stack->nsocks++;
}

void gd_sock_bury(struct gd_sock *sock)
{
    struct gd_stack *stack = sock->stack;

    gd_buffer_clear(&stack->pool, &sock->errors);
    gd_flow_remove(stack, &sock->flow);
    gd_bound_remove(sock);
    gd_bind_release(stack, &sock->flow);
    gd_table_remove(&stack->ids, &sock->id_node);
    gd_list_remove(&sock->ready_link);
    gd_list_remove(&sock->all_link);
    gd_list_append(&stack->dead, &sock->all_link);
    stack->nsocks--;
}

void gd_sock_wake(struct gd_sock *sock, uint32_t bits)
{
    if (sock->orphan)
        return;
    sock->posted |= bits;
    if (!gd_list_linked(&sock->ready_link))
        gd_list_append(&sock->stack->ready, &sock->ready_link);
}

void gd_sock_fail(struct gd_sock *sock, int error)
{
    if (sock->error == 0)
        sock->error = error;
    gd_sock_wake(sock, GD_READ | GD_WRITE | GD_ERR);
}

int gd_sock_take_error(struct gd_sock *sock)
{
    int error = sock->error;

    sock->error = 0;
    return -error;
}

int gd_sock_new(struct gd_stack *stack, int domain, int type, struct gd_sock **out)
{
    if (domain != AF_INET && domain != AF_INET6)
        return -EAFNOSUPPORT;
    if (type == SOCK_STREAM)
        return gd_tcp_new(stack, domain, out);
    return type == SOCK_DGRAM ? gd_udp_new(stack, domain, out) : -ESOCKTNOSUPPORT;
}

void gd_sock_close(struct gd_sock *sock)
{
    if (is_stream(sock))
        gd_tcp_close(sock);
    else
        gd_udp_close(sock);
}

uint32_t gd_sock_id(const struct gd_sock *sock)
{
    return sock->id;
}

uint32_t gd_sock_ready(struct gd_sock *sock)
{
    return is_stream(sock) ? gd_tcp_ready(sock) : gd_udp_ready(sock);
}

int gd_sock_endpoint(const struct gd_sock *sock, const uint8_t *addr, uint16_t port, struct gd_endpoint *out)
{
    memcpy(out->addr.b, addr, 16);
    out->port = port;
    if (sock->domain == AF_INET && !gd_addr_is_v4(&out->addr))
        return -EAFNOSUPPORT;
    if (sock->domain == AF_INET6 && gd_addr_is_v4(&out->addr) && sock->options.v6only)
        return -ENETUNREACH;
    return 0;
}

static bool lacks_link(const struct gd_addr *addr)
{
    return gd_addr_is_link_local(addr) && gd_addr_scope(addr) == 0;
}

/* Who is bound to one device, or one link's address, speaks on that link (Linux's sk_bound_dev_if). */
void gd_sock_take_link(const struct gd_sock *sock, struct gd_addr *to)
{
    if (lacks_link(to))
        *to = gd_addr_on(to, sock->options.device ? sock->options.device : gd_addr_scope(&sock->flow.local.addr));
}

int gd_sock_bind(struct gd_sock *sock, const uint8_t *addr, uint16_t port)
{
    struct gd_endpoint local;
    int rc = gd_sock_endpoint(sock, addr, port, &local);

    if (rc == 0 && lacks_link(&local.addr))
        return -EINVAL;
    if (rc == 0 && is_stream(sock) && gd_tcb(sock)->state != GD_CLOSED)
        rc = -EINVAL;
    return rc != 0 ? rc : gd_bind(sock, &local);
}

int gd_sock_connect(struct gd_sock *sock, const uint8_t *addr, uint16_t port)
{
    struct gd_endpoint remote;
    int rc;

    if (addr == NULL)
        return is_stream(sock) ? gd_tcp_connect(sock, NULL) : gd_udp_connect(sock, NULL);
    rc = gd_sock_endpoint(sock, addr, port, &remote);
    if (rc != 0)
        return rc;
    gd_sock_take_link(sock, &remote.addr);
    if (lacks_link(&remote.addr))
        return -EINVAL;
    if (gd_addr_is_any(&remote.addr)) { /* Linux: the wildcard means this host */
        static const uint8_t four[4] = {127, 0, 0, 1};
        static const struct gd_addr six = {.b = {[15] = 1}};

        remote.addr = gd_addr_is_v4(&remote.addr) ? gd_addr_v4(four) : six;
    }
    return is_stream(sock) ? gd_tcp_connect(sock, &remote) : gd_udp_connect(sock, &remote);
}

int gd_sock_listen(struct gd_sock *sock, int backlog)
{
    return is_stream(sock) ? gd_tcp_listen(sock, backlog) : -EOPNOTSUPP;
}

int gd_sock_accept(struct gd_sock *listener, struct gd_sock **out)
{
    return is_stream(listener) ? gd_tcp_accept(listener, out) : -EOPNOTSUPP;
}

int64_t gd_sock_send(struct gd_sock *sock, const void *data, size_t len, int flags)
{
    return is_stream(sock) ? gd_tcp_send(sock, data, len, flags) : gd_udp_sendto(sock, data, len, flags, NULL);
}

int64_t gd_sock_recv(struct gd_sock *sock, void *data, size_t len, int flags)
{
    return is_stream(sock) ? gd_tcp_recv(sock, data, len, flags)
                           : gd_udp_recvfrom(sock, data, len, flags, NULL, NULL);
}

int64_t gd_sock_sendto(struct gd_sock *sock, const void *data, size_t len, int flags, const uint8_t *addr,
                       uint16_t port)
{
    struct gd_endpoint to;
    int rc;

    if (addr == NULL)
        return gd_sock_send(sock, data, len, flags);
    if (is_stream(sock)) /* Linux ignores the address on a connection */
        return gd_tcp_send(sock, data, len, flags);
    rc = gd_sock_endpoint(sock, addr, port, &to);
    gd_sock_take_link(sock, &to.addr);
    return rc != 0 ? rc : gd_udp_sendto(sock, data, len, flags, &to);
}

int64_t gd_sock_recvfrom(struct gd_sock *sock, void *data, size_t len, int flags, uint8_t *addr, uint16_t *port,
                         int *msg_flags)
{
    struct gd_endpoint from = {0};
    int64_t rc;

    *msg_flags = 0;
    rc = is_stream(sock) ? gd_tcp_recv(sock, data, len, flags)
                         : gd_udp_recvfrom(sock, data, len, flags, &from, msg_flags);
    if (is_stream(sock) && (flags & MSG_OOB) && rc > 0)
        *msg_flags = MSG_OOB;
    if (addr != NULL)
        memcpy(addr, from.addr.b, 16);
    if (port != NULL)
        *port = from.port;
    return rc;
}

int gd_sock_shutdown(struct gd_sock *sock, int how)
{
    return is_stream(sock) ? gd_tcp_shutdown(sock, how) : gd_udp_shutdown(sock, how);
}

uint16_t gd_sock_port(const struct gd_sock *sock)
{
    return sock->flow.local.port;
}

int gd_sock_getsockname(struct gd_sock *sock, uint8_t *addr, uint16_t *port)
{
    memcpy(addr, sock->flow.local.addr.b, 16);
    *port = sock->flow.local.port;
    return 0;
}

int gd_sock_getpeername(struct gd_sock *sock, uint8_t *addr, uint16_t *port)
{
    bool connected = is_stream(sock) ? (gd_tcb(sock)->state & (GD_CLOSED | GD_LISTEN | GD_SYN_SENT)) == 0
                                     : sock->flow.node.slot != NULL;

    if (!connected)
        return -ENOTCONN;
    memcpy(addr, sock->flow.remote.addr.b, 16);
    *port = sock->flow.remote.port;
    return 0;
}

int gd_sock_unread(struct gd_sock *sock)
{
    return is_stream(sock) ? (int)gd_urgent_unread(gd_tcb(sock)) : gd_udp_unread(sock);
}

int gd_sock_linger(struct gd_sock *sock)
{
    return sock->options.linger_on && is_stream(sock) && gd_sock_unread(sock) == 0 ? (int)sock->options.linger_s : 0;
}

int gd_sock_awaits(struct gd_sock *sock, uint32_t want)
{
    return is_stream(sock) && gd_tcb(sock)->rcv.len < want && gd_tcb(sock)->urgent_in == GD_URGENT_NONE &&
           (gd_tcp_ready(sock) & (GD_RDHUP | GD_HUP | GD_ERR)) == 0;
}

/* Bytes, and one for a FIN that is not acknowledged. */
int gd_sock_unacked(struct gd_sock *sock)
{
    struct gd_tcb *tcb = gd_tcb(sock);

    if (!is_stream(sock))
        return 0;
    return (int)tcb->snd.len + ((tcb->state & (GD_FIN_WAIT_1 | GD_CLOSING | GD_LAST_ACK)) != 0 ? 1 : 0);
}

const char *gd_sock_state(struct gd_sock *sock)
{
    return is_stream(sock) ? gd_tcp_state_name(gd_tcb(sock)->state) : "DATAGRAM";
}
