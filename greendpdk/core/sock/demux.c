/* Whom a packet is for: connections by their 4-tuple, listeners and unconnected datagram sockets by local port.
 * Called by tcp/, sock/; calls util/table.c, siphash.c.
 */
#include "../stack.h"

#include <netinet/in.h>
#include <string.h>

static uint64_t hash_flow(struct gd_stack *stack, uint8_t proto, const struct gd_endpoint *local,
                          const struct gd_endpoint *remote)
{
    uint8_t key[37];

    memcpy(key, local->addr.b, 16);
    memcpy(key + 16, remote->addr.b, 16);
    gd_put16(key + 32, local->port);
    gd_put16(key + 34, remote->port);
    key[36] = proto;
    return gd_siphash(&stack->hash_key, key, sizeof(key));
}

static uint64_t hash_port(struct gd_stack *stack, uint8_t proto, uint16_t port)
{
    uint8_t key[3] = {(uint8_t)(port >> 8), (uint8_t)port, proto};

    return gd_siphash(&stack->hash_key, key, sizeof(key));
}

void gd_flow_insert(struct gd_stack *stack, struct gd_flow *flow)
{
    gd_table_insert(&stack->flows, &flow->node, hash_flow(stack, flow->proto, &flow->local, &flow->remote));
}

void gd_flow_remove(struct gd_stack *stack, struct gd_flow *flow)
{
    gd_table_remove(&stack->flows, &flow->node);
}

struct gd_flow *gd_flow_find(struct gd_stack *stack, uint8_t proto, const struct gd_endpoint *local,
                             const struct gd_endpoint *remote)
{
    uint64_t hash = hash_flow(stack, proto, local, remote);

    for (struct gd_node *node = gd_table_first(&stack->flows, hash); node != NULL; node = node->next) {
        struct gd_flow *flow = GD_ENTRY(node, struct gd_flow, node);

        if (node->hash == hash && flow->proto == proto && gd_endpoint_eq(&flow->remote, remote) &&
            gd_endpoint_eq(&flow->local, local))
            return flow;
    }
    return NULL;
}

void gd_bound_insert(struct gd_sock *sock)
{
    gd_table_insert(&sock->stack->listeners, &sock->listen_node,
                    hash_port(sock->stack, sock->flow.proto, sock->flow.local.port));
}

void gd_bound_remove(struct gd_sock *sock)
{
    gd_table_remove(&sock->stack->listeners, &sock->listen_node);
}

/* How well a socket's address fits: 0 not at all, a wildcard of both families 1, of its own 2, the exact address 3. */
static int fits_address(const struct gd_sock *sock, const struct gd_addr *local)
{
    const struct gd_addr *bound = &sock->flow.local.addr;

    if (gd_addr_eq(bound, local))
        return 3;
    if (!gd_addr_is_any(bound))
        return 0;
    if (gd_addr_is_v4(bound) == gd_addr_is_v4(local))
        return 2;
    return !gd_addr_is_v4(bound) && !sock->options.v6only ? 1 : 0; /* RFC 3493 5.3 */
}

/* With its device; to be bound to one counts as much as an address does (Linux's compute_score). */
static int fits(const struct gd_sock *sock, const struct gd_addr *local, int ifindex)
{
    int fit = gd_device_fits(&sock->options, ifindex) ? fits_address(sock, local) : 0;

    return fit > 0 && sock->options.device != 0 ? fit + 3 : fit;
}

struct gd_sock *gd_bound_find(struct gd_stack *stack, uint8_t proto, const struct gd_endpoint *local,
                              const struct gd_endpoint *remote, int ifindex)
{
    uint64_t hash = hash_port(stack, proto, local->port);
    uint64_t spread = hash_flow(stack, proto, local, remote);
    struct gd_sock *best = NULL;
    uint64_t best_weight = 0;
    int best_fit = 0;

    for (struct gd_node *node = gd_table_first(&stack->listeners, hash); node != NULL; node = node->next) {
        struct gd_sock *sock = GD_ENTRY(node, struct gd_sock, listen_node);
        uint64_t weight = (spread ^ sock->id) * 0x9e3779b97f4a7c15ull; /* 2^64 / golden ratio (Knuth 6.4) */
        int fit;

        if (node->hash != hash || sock->flow.proto != proto || sock->flow.local.port != local->port)
            continue;
        fit = fits(sock, &local->addr, ifindex);
        /* Among equals the highest random weight: one leaves, and only its own connections move. */
        if (fit > best_fit || (fit > 0 && fit == best_fit && weight > best_weight)) {
            best = sock;
            best_fit = fit;
            best_weight = weight;
        }
    }
    return best;
}

bool gd_bound_fits(const struct gd_sock *sock, const struct gd_addr *local, int ifindex)
{
    return fits(sock, local, ifindex) > 0;
}

struct gd_sock *gd_bound_next(struct gd_stack *stack, uint8_t proto, uint16_t port, struct gd_sock *after)
{
    uint64_t hash = hash_port(stack, proto, port);
    struct gd_node *node = after ? after->listen_node.next : gd_table_first(&stack->listeners, hash);

    for (; node != NULL; node = node->next) {
        struct gd_sock *sock = GD_ENTRY(node, struct gd_sock, listen_node);

        if (node->hash == hash && sock->flow.proto == proto && sock->flow.local.port == port)
            return sock;
    }
    return NULL;
}
