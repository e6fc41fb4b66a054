/* Local addresses and ports: bind(2), ephemeral ports (RFC 6056), who may share a port.
 * Called by sock/sock.c, dgram.c, tcp/open.c, listen.c, time_wait.c; calls sock/demux.c, net/ip.c.
 */
#include "../stack.h"
#include "../tcp/tcp.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define GD_PORT_FIRST 32768u /* Linux's net.ipv4.ip_local_port_range */
#define GD_PORT_COUNT (61000u - GD_PORT_FIRST)

static uint64_t hash_port(struct gd_stack *stack, uint8_t proto, uint16_t port)
{
    uint8_t key[3] = {(uint8_t)(port >> 8), (uint8_t)port, proto};

    return gd_siphash(&stack->hash_key, key, sizeof(key));
}

static struct gd_port_holders *find_holders(struct gd_stack *stack, uint8_t proto, uint16_t port)
{
    uint64_t hash = hash_port(stack, proto, port);

    for (struct gd_node *node = gd_table_first(&stack->ports, hash); node != NULL; node = node->next) {
        struct gd_port_holders *holders = GD_ENTRY(node, struct gd_port_holders, node);

        if (holders->proto == proto && holders->port == port)
            return holders;
    }
    return NULL;
}

static int hold(struct gd_sock *sock, uint16_t port)
{
    struct gd_port_holders *holders = find_holders(sock->stack, sock->flow.proto, port);

    if (holders == NULL) {
        holders = calloc(1, sizeof(*holders));
        if (holders == NULL)
            return -ENOMEM;
        holders->proto = sock->flow.proto;
        holders->port = port;
        gd_list_init(&holders->binders);
        gd_table_insert(&sock->stack->ports, &holders->node, hash_port(sock->stack, sock->flow.proto, port));
    }
    gd_list_append(&holders->binders, &sock->holder_link);
    sock->flow.holders = holders;
    sock->flow.local.port = port;
    return 0;
}

static void free_if_unused(struct gd_stack *stack, struct gd_port_holders *holders)
{
    if (!gd_list_empty(&holders->binders) || holders->heirs_reuse > 0 || holders->heirs_plain > 0)
        return;
    gd_table_remove(&stack->ports, &holders->node);
    free(holders);
}

void gd_bind_inherit(struct gd_flow *flow, struct gd_port_holders *holders, bool reuse)
{
    flow->holders = holders;
    flow->heir_reuse = reuse;
    if (reuse)
        holders->heirs_reuse++;
    else
        holders->heirs_plain++;
}

void gd_bind_release(struct gd_stack *stack, struct gd_flow *flow)
{
    struct gd_port_holders *holders = flow->holders;

    if (holders == NULL)
        return;
    flow->holders = NULL;
    if (flow->kind == GD_FLOW_SOCK && gd_list_linked(&GD_ENTRY(flow, struct gd_sock, flow)->holder_link))
        gd_list_remove(&GD_ENTRY(flow, struct gd_sock, flow)->holder_link);
    else if (flow->heir_reuse)
        holders->heirs_reuse--;
    else
        holders->heirs_plain--;
    free_if_unused(stack, holders);
}

/* Could one packet be for both, with their addresses and devices? */
static bool overlap(const struct gd_sock *a, const struct gd_addr *a_addr, const struct gd_sock *b)
{
    const struct gd_addr *b_addr = &b->flow.local.addr;
    bool a_any = gd_addr_is_any(a_addr), b_any = gd_addr_is_any(b_addr);

    if (a->options.device != 0 && b->options.device != 0 && a->options.device != b->options.device)
        return false;
    if (gd_addr_is_v4(a_addr) == gd_addr_is_v4(b_addr))
        return a_any || b_any || gd_addr_eq(a_addr, b_addr);
    if (gd_addr_is_v4(a_addr)) /* b is IPv6: only its wildcard takes IPv4 in */
        return b_any && !b->options.v6only;
    return a_any && !a->options.v6only;
}

static bool listens(const struct gd_sock *sock)
{
    return sock->type == SOCK_STREAM && gd_tcb((struct gd_sock *)(uintptr_t)sock)->state == GD_LISTEN;
}

/* Linux's inet_csk_bind_conflict: SO_REUSEADDR on both lets share unless one listens; SO_REUSEPORT on both always. */
static bool conflicts(const struct gd_sock *sock, const struct gd_addr *addr, struct gd_port_holders *holders)
{
    if (holders->heirs_plain > 0 || (holders->heirs_reuse > 0 && !sock->options.reuseaddr))
        return true;
    for (struct gd_list *link = holders->binders.next; link != &holders->binders; link = link->next) {
        const struct gd_sock *other = GD_ENTRY(link, struct gd_sock, holder_link);
        bool reuse = sock->options.reuseaddr && other->options.reuseaddr && !listens(other);
        bool reuseport = sock->options.reuseport && other->options.reuseport;

        if (other != sock && !reuse && !reuseport && overlap(sock, addr, other))
            return true;
    }
    return false;
}

/* May connect share the port? Yes with others that only connected: the 4-tuple tells them apart. */
static bool usable(struct gd_sock *sock, uint16_t port, const struct gd_endpoint *remote)
{
    struct gd_port_holders *holders = find_holders(sock->stack, sock->flow.proto, port);
    struct gd_endpoint local = {sock->flow.local.addr, port};

    if (holders == NULL)
        return true;
    if (remote == NULL || sock->type != SOCK_STREAM)
        return false;
    for (struct gd_list *link = holders->binders.next; link != &holders->binders; link = link->next)
        if (GD_ENTRY(link, struct gd_sock, holder_link)->bound_port || listens(GD_ENTRY(link, struct gd_sock, holder_link)))
            return false;
    return gd_flow_find(sock->stack, sock->flow.proto, &local, remote) == NULL;
}

/* RFC 6056 3.3.3: an offset per destination, so that the ports of one tell nothing of another's. */
static uint32_t first_port(struct gd_sock *sock, const struct gd_endpoint *remote)
{
    uint8_t key[34] = {0};

    if (remote == NULL)
        return gd_random_below(&sock->stack->random, GD_PORT_COUNT);
    memcpy(key, sock->flow.local.addr.b, 16);
    memcpy(key + 16, remote->addr.b, 16);
    gd_put16(key + 32, remote->port);
    return (uint32_t)(gd_siphash(&sock->stack->port_key, key, sizeof(key)) % GD_PORT_COUNT) +
           gd_random_below(&sock->stack->random, 512);
}

/* IP_LOCAL_PORT_RANGE: each of its ends counts where it lies within the stack's range (Linux's inet_sk_get_local_port_range). */
static void narrow(const struct gd_options *options, uint32_t *low, uint32_t *count)
{
    uint32_t end = *low + *count - 1, first = *low;

    if (options->port_low >= first && options->port_low <= end)
        *low = options->port_low;
    if (options->port_high >= first && options->port_high <= end)
        end = options->port_high;
    if (*low > end)
        *low = first;
    *count = end - *low + 1;
}

static int hold_ephemeral(struct gd_sock *sock, const struct gd_endpoint *remote)
{
    uint32_t offset = first_port(sock, remote);
    uint32_t low = GD_PORT_FIRST, count = GD_PORT_COUNT;

    narrow(&sock->options, &low, &count);
    for (uint32_t i = 0; i < count; i++) {
        uint16_t port = (uint16_t)(low + (offset + i) % count);

        if (usable(sock, port, remote))
            return hold(sock, port);
    }
    return remote != NULL ? -EADDRNOTAVAIL : -EADDRINUSE;
}

int gd_bind_family(const struct gd_sock *sock, const struct gd_addr *to)
{
    const struct gd_addr *bound = &sock->flow.local.addr;

    if (!sock->bound_addr || gd_addr_is_any(bound) || gd_addr_is_v4(bound) == gd_addr_is_v4(to))
        return 0;
    return gd_addr_is_v4(bound) ? -EAFNOSUPPORT : -ENETUNREACH;
}

int gd_bind_implicit(struct gd_sock *sock, const struct gd_endpoint *remote)
{
    if (remote != NULL && !sock->bound_addr) {
        int rc = gd_ip_source(sock->stack, &remote->addr, sock->dst.only, &sock->flow.local.addr);

        if (rc != 0)
            return rc;
    }
    if (sock->flow.holders != NULL)
        return 0;
    return hold_ephemeral(sock, remote);
}

static bool may_bind(struct gd_sock *sock, const struct gd_addr *addr)
{
    if (gd_addr_is_any(addr) || gd_ip_local(sock->stack, addr) != NULL || sock->options.freebind)
        return true;
    return sock->type == SOCK_DGRAM && (gd_addr_is_multicast(addr) || gd_ip4_any_broadcast(sock->stack, addr));
}

int gd_bind(struct gd_sock *sock, const struct gd_endpoint *local)
{
    struct gd_port_holders *holders;
    int rc;

    if (sock->flow.holders != NULL)
        return -EINVAL;
    if (!may_bind(sock, &local->addr))
        return -EADDRNOTAVAIL;
    holders = local->port != 0 ? find_holders(sock->stack, sock->flow.proto, local->port) : NULL;
    if (holders != NULL && conflicts(sock, &local->addr, holders))
        return -EADDRINUSE;
    /* A group is the same by whatever interface it comes. */
    sock->flow.local.addr = gd_addr_is_multicast(&local->addr) ? gd_addr_on(&local->addr, 0) : local->addr;
    /* Linux counts a port of the kernel's choosing as bound as well: connect does not share it. */
    if (local->port == 0 && sock->options.bind_no_port) { /* connect, listen or the first datagram take one */
        sock->bound_addr = !gd_addr_is_any(&local->addr);
        return 0;
    }
    rc = local->port != 0 ? hold(sock, local->port) : hold_ephemeral(sock, NULL);
    if (rc != 0)
        return rc;
    sock->bound_addr = !gd_addr_is_any(&local->addr);
    sock->bound_port = true;
    if (sock->type == SOCK_DGRAM)
        gd_bound_insert(sock);
    return 0;
}
