/* One stack's life and its turn: receive, timers, output, transmit.
 * Called by Python through api.cdef.h, by port/live.c; calls net/, tcp/, util/timer.c.
 */
#include "stack.h"

#include "tcp/tcp.h"
#include "tcp/window.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void set_defaults(struct gd_config *config)
{
    if (config->buffer_cap == 0)
        config->buffer_cap = 256ull << 20;
    if (config->buffer_max == 0)
        config->buffer_max = 64u << 20;
    if (config->buffer_max > 1u << 29) /* a window is 30 bits (RFC 7323 2.3), and twice this is shown */
        config->buffer_max = 1u << 29;
    if (config->time_wait_cap == 0)
        config->time_wait_cap = 65536;
    if (config->syn_cap == 0)
        config->syn_cap = 4096;
    if (config->time_wait_ms == 0)
        config->time_wait_ms = 60000;
    if (config->delayed_ack_ms == 0)
        config->delayed_ack_ms = 40;
    if (config->burst_rounds == 0)
        config->burst_rounds = 8;
    if (config->orphan_cap == 0)
        config->orphan_cap = 65536;
    if (config->ecn == 0)
        config->ecn = GD_ECN_ANSWER;
}

/* Each use has a key of its own, drawn from the seed: what one gives away says nothing of the others. */
static void set_keys(struct gd_stack *stack)
{
    struct gd_key *keys[] = {&stack->hash_key, &stack->isn_key, &stack->port_key, &stack->random.key,
                             &stack->label_key, &stack->cookie_key, &stack->fragment_key};
    struct gd_key seed[2];

    memcpy(seed, stack->config.seed, sizeof(seed));
    for (uint64_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        keys[i]->k0 = gd_siphash(&seed[0], &i, sizeof(i));
        keys[i]->k1 = gd_siphash(&seed[1], &i, sizeof(i));
    }
}

static int init_tables(struct gd_stack *stack)
{
    int rc = gd_table_init(&stack->flows, 256);

    if (rc == 0)
        rc = gd_table_init(&stack->listeners, 64);
    if (rc == 0)
        rc = gd_table_init(&stack->ports, 256);
    if (rc == 0)
        rc = gd_table_init(&stack->ids, 256);
    return rc == 0 ? gd_net_init(stack) : rc;
}

static struct gd_port *new_loopback(const struct gd_config *config)
{
    struct gd_port *loopback = gd_loopback_new();
    struct gd_port *shaper;

    if (loopback == NULL || !config->shape_loopback)
        return loopback;
    shaper = gd_shaper_new(loopback);
    if (shaper == NULL)
        gd_port_close(loopback);
    return shaper;
}

int gd_stack_new(const struct gd_config *config, uint64_t now, struct gd_stack **out)
{
    struct gd_stack *stack = calloc(1, sizeof(*stack));
    struct gd_port *loopback;
    int rc;

    if (stack == NULL)
        return -ENOMEM;
    stack->config = *config;
    stack->now = now;
    stack->generation = 1;
    stack->cpu = -1;
    set_defaults(&stack->config);
    set_keys(stack);
    gd_wheel_init(&stack->wheel, now);
    gd_pool_init(&stack->pool, stack->config.buffer_cap);
    gd_list_init(&stack->socks);
    gd_list_init(&stack->dead);
    gd_list_init(&stack->ready);
    gd_list_init(&stack->output);
    gd_list_init(&stack->starved);
    gd_list_init(&stack->time_waits);
    rc = init_tables(stack);
    if (rc != 0)
        goto fail;
    loopback = new_loopback(&stack->config);
    rc = loopback == NULL ? -ENOMEM : gd_stack_attach(stack, loopback, "lo");
    if (rc < 0)
        goto fail;
    *out = stack;
    return 0;
fail:
    gd_stack_free(stack);
    return rc;
}

static void free_dead(struct gd_stack *stack)
{
    struct gd_list *link;

    while ((link = gd_list_pop(&stack->dead)) != NULL)
        free(GD_ENTRY(link, struct gd_sock, all_link));
}

static void free_socks(struct gd_stack *stack)
{
    while (!gd_list_empty(&stack->socks)) {
        struct gd_sock *sock = GD_ENTRY(stack->socks.next, struct gd_sock, all_link);

        if (sock->flow.proto != IPPROTO_TCP) {
            gd_udp_close(sock);
            continue;
        }
        if (gd_tcb(sock)->state == GD_LISTEN)
            gd_listener_free(gd_tcb(sock), stack->now);
        gd_tcb_free(gd_tcb(sock));
    }
    while (!gd_list_empty(&stack->time_waits))
        gd_time_wait_free(stack, GD_ENTRY(stack->time_waits.next, struct gd_time_wait, link));
    free_dead(stack);
}

static void free_netif(struct gd_netif *netif)
{
    gd_dhcp_free(netif);
    gd_nd_disable(netif);
    gd_group_free(netif);
    netif->port->ops->free(netif->port, netif->tx, netif->ntx);
    netif->port->ops->close(netif->port);
    free(netif);
}

void gd_stack_free(struct gd_stack *stack)
{
    if (stack == NULL)
        return;
    for (int i = 0; i < stack->netif_end; i++)
        if (stack->netifs[i] != NULL)
            gd_group_close(stack->netifs[i]);
    free_socks(stack);
    gd_net_free(stack);
    gd_capture_stop(stack);
    for (int i = 0; i < stack->netif_end; i++)
        if (stack->netifs[i] != NULL)
            free_netif(stack->netifs[i]);
    gd_table_free(&stack->flows);
    gd_table_free(&stack->listeners);
    gd_table_free(&stack->ports);
    gd_table_free(&stack->ids);
    gd_pool_free(&stack->pool);
    free(stack);
}

/* The next number whose slot is free, or -ENOSPC: what a socket or an address still names by the number of an interface
 * that is gone (SO_BINDTODEVICE, a scope, IP_MULTICAST_IF) names nothing, and not the next one that comes. */
static int next_index(const struct gd_stack *stack)
{
    int index = stack->last_index;

    for (int i = 0; i < 2 * GD_NETIFS; i++) { /* twice: where the numbers begin anew the slots do not go on */
        index = index < GD_INDEX_MAX ? index + 1 : 1;
        if (stack->netifs[gd_netif_slot(index)] == NULL)
            return index;
    }
    return -ENOSPC;
}

int gd_stack_attach(struct gd_stack *stack, struct gd_port *port, const char *name)
{
    int index = next_index(stack), slot = gd_netif_slot(index);
    struct gd_netif *netif = index > 0 ? calloc(1, sizeof(*netif)) : NULL;

    if (netif == NULL) {
        port->ops->close(port);
        return index < 0 ? index : -ENOMEM;
    }
    netif->stack = stack;
    netif->port = port;
    netif->index = stack->last_index = index;
    snprintf(netif->name, sizeof(netif->name), "%s", name);
    gd_group_init(netif);
    stack->netifs[slot] = netif;
    if (slot >= stack->netif_end)
        stack->netif_end = slot + 1;
    return index;
}

struct gd_port *gd_stack_port(struct gd_stack *stack, int ifindex)
{
    struct gd_netif *netif = gd_netif_find(stack, ifindex);

    return netif != NULL ? netif->port : NULL;
}

int gd_stack_detach(struct gd_stack *stack, int ifindex)
{
    struct gd_netif *netif = gd_netif_find(stack, ifindex);

    if (netif == NULL || ifindex == 1) /* the loopback stays */
        return -ENODEV;
    gd_group_close(netif);
    gd_route_forget(stack, netif);
    gd_neigh_forget(stack, netif);
    gd_reassembly_forget(stack, netif);
    gd_udp_forget(stack, netif);
    gd_net_changed(stack);
    stack->netifs[gd_netif_slot(ifindex)] = NULL;
    while (stack->netifs[stack->netif_end - 1] == NULL)
        stack->netif_end--;
    free_netif(netif);
    return 0;
}

/* Each tcb on the list says what it has to send; one that found no room stays for the next turn. */
static void run_output(struct gd_stack *stack, uint64_t now)
{
    struct gd_list again, batch, *link;

    gd_list_init(&again);
    gd_list_init(&batch);
    gd_list_splice(&batch, &stack->output);
    while ((link = gd_list_pop(&batch)) != NULL) {
        struct gd_tcb *tcb = GD_ENTRY(link, struct gd_tcb, output_link);
        int rc = gd_tcp_output(tcb, now);

        if (rc == -ENOBUFS && !gd_list_linked(link))
            gd_list_append(&again, link);
        else if (rc == -ENETUNREACH)
            gd_tcp_no_route(tcb, now);
    }
    gd_list_splice(&stack->output, &again);
}

static int receive_all(struct gd_stack *stack, uint64_t now)
{
    int frames = 0;

    for (int i = 0; i < stack->netif_end; i++)
        if (stack->netifs[i] != NULL)
            frames += gd_netif_receive(stack->netifs[i], 1, now);
    stack->frames += (uint64_t)frames;
    return frames;
}

static uint64_t next_deadline(const struct gd_stack *stack, uint64_t now)
{
    uint64_t next = gd_wheel_next(&stack->wheel);

    for (int i = 0; i < stack->netif_end; i++) {
        const struct gd_netif *netif = stack->netifs[i];
        uint64_t at = netif == NULL ? GD_NEVER : netif->port->ops->next(netif->port);

        if (at < next)
            next = at;
        if (netif != NULL && netif->ntx > 0 && now + GD_MS < next) /* the port was full: look again soon */
            next = now + GD_MS;
    }
    if ((!gd_list_empty(&stack->output) || stack->to_feed > 0) && now + GD_MS < next)
        next = now + GD_MS;
    return next;
}

/* What was sent to this host is received in the same poll: a peer in this process costs no turn of the loop. */
static bool loopback_is_due(const struct gd_stack *stack, uint64_t now)
{
    struct gd_port *port = stack->netifs[0]->port;

    return port->ops->next(port) <= now;
}

uint64_t gd_stack_poll(struct gd_stack *stack, uint64_t now)
{
    bool more = true;
    int frames = 0;

    stack->now = now;
    stack->calls = 0;
    gd_wheel_run(&stack->wheel, now);
    for (uint32_t round = 0; round < stack->config.burst_rounds && more; round++) {
        frames = receive_all(stack, now);
        run_output(stack, now);
        for (int i = 0; i < stack->netif_end; i++)
            if (stack->netifs[i] != NULL && stack->netifs[i]->ntx > 0)
                gd_netif_flush(stack->netifs[i], now);
        more = frames > 0 || loopback_is_due(stack, now);
    }
    gd_tcp_feed(stack);
    free_dead(stack);
    return frames > 0 ? now : next_deadline(stack, now);
}

int gd_stack_events(struct gd_stack *stack, uint32_t *pairs, int max)
{
    int count = 0;

    while (count < max && !gd_list_empty(&stack->ready)) {
        struct gd_sock *sock = GD_ENTRY(gd_list_pop(&stack->ready), struct gd_sock, ready_link);

        pairs[2 * count] = sock->id;
        pairs[2 * count + 1] = sock->posted;
        sock->posted = 0;
        count++;
    }
    return count;
}

int gd_stack_unsent(struct gd_stack *stack)
{
    int count = 0;

    for (struct gd_list *link = stack->socks.next; link != &stack->socks; link = link->next)
        if (gd_sock_unacked(GD_ENTRY(link, struct gd_sock, all_link)) > 0)
            count++;
    for (int i = 0; i < stack->netif_end; i++)
        if (stack->netifs[i] != NULL)
            count += stack->netifs[i]->ntx;
    return count + gd_neigh_waiting(stack);
}

void gd_stack_abort_all(struct gd_stack *stack, int error)
{
    struct gd_list *link = stack->socks.next;

    while (link != &stack->socks) {
        struct gd_sock *sock = GD_ENTRY(link, struct gd_sock, all_link);
        struct gd_list *next = link->next;

        if (sock->flow.proto == IPPROTO_TCP && (gd_tcb(sock)->state & (GD_CLOSED | GD_LISTEN)) == 0)
            gd_tcp_abort(gd_tcb(sock), error, stack->now);
        link = next;
    }
}

uint64_t gd_stack_counter(struct gd_stack *stack, int index)
{
    return index >= 0 && index < GD_STAT_COUNT ? stack->stats.value[index] : 0;
}

int gd_stack_port_counters(struct gd_stack *stack, int ifindex, uint64_t *four)
{
    const struct gd_netif *netif = gd_netif_find(stack, ifindex);

    if (netif == NULL)
        return -ENODEV;
    four[0] = netif->rx_frames;
    four[1] = netif->rx_bytes;
    four[2] = netif->tx_frames;
    four[3] = netif->tx_bytes;
    return 0;
}

uint64_t gd_stack_buffer_bytes(struct gd_stack *stack)
{
    return stack->pool.used;
}

int gd_stack_sockets(struct gd_stack *stack)
{
    return (int)(stack->nsocks + stack->nrequests + stack->ntime_waits);
}
