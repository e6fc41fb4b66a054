/* The neighbours of all interfaces, by interface and address, in order of use.
 * Called by net/neighbour.c, net/config.c, stack.c; calls util/table.c, util/siphash.c.
 *
 *     neigh_all:     oldest use ... youngest     a new one takes the place of the oldest that nothing waits for
 *     neigh_asking:  of these, whose MAC is not known; beyond GD_NEIGH_ASKING a new one takes the oldest's place
 *
 * A peer can make us ask for as many neighbours as an IPv6 subnet has addresses (RFC 6583): those push out each other, and
 * nobody who has answered.
 */
#include "../stack.h"
#include "neigh.h"

#include <stdlib.h>

static uint64_t hash_of(const struct gd_stack *stack, const struct gd_netif *netif, const struct gd_addr *addr)
{
    uint8_t key[20];

    gd_put32(key, (uint32_t)netif->index);
    memcpy(key + 4, addr->b, 16);
    return gd_siphash(&stack->hash_key, key, sizeof key);
}

struct gd_neigh *gd_neigh_find(const struct gd_netif *netif, const struct gd_addr *addr)
{
    uint64_t hash = hash_of(netif->stack, netif, addr);
    struct gd_node *node = gd_table_first(&netif->stack->neighs, hash);

    for (; node; node = node->next) {
        struct gd_neigh *neigh = GD_ENTRY(node, struct gd_neigh, node);

        if (node->hash == hash && neigh->netif == netif && gd_addr_eq(&neigh->addr, addr))
            return neigh;
    }
    return NULL;
}

void gd_neigh_settle(struct gd_neigh *neigh)
{
    if (!gd_list_linked(&neigh->asking))
        return;
    gd_list_remove(&neigh->asking);
    neigh->netif->stack->neigh_asking_count--;
}

void gd_neigh_release(struct gd_neigh *neigh)
{
    struct gd_stack *stack = neigh->netif->stack;

    gd_timer_cancel(&stack->wheel, &neigh->timer);
    gd_table_remove(&stack->neighs, &neigh->node);
    gd_list_remove(&neigh->link);
    gd_neigh_settle(neigh);
    stack->neigh_count--;
    for (int i = 0; i < neigh->nwaiting; i++)
        gd_netif_give(neigh->netif, neigh->waiting[i]);
    free(neigh);
    gd_net_changed(stack);
}

/* The one that has been asked for longest, whatever waits for it. */
static bool give_up(struct gd_stack *stack)
{
    struct gd_list *link = stack->neigh_asking.next;

    for (; link != &stack->neigh_asking; link = link->next) {
        struct gd_neigh *neigh = GD_ENTRY(link, struct gd_neigh, asking);

        if (neigh->pinned)
            continue;
        gd_count(&stack->stats, GD_STAT_neigh_drop_asking);
        gd_neigh_release(neigh);
        return true;
    }
    return false;
}

/* The oldest that nothing waits for makes room. */
static bool evict(struct gd_stack *stack)
{
    struct gd_list *link = stack->neigh_all.next;

    for (; link != &stack->neigh_all; link = link->next) {
        struct gd_neigh *neigh = GD_ENTRY(link, struct gd_neigh, link);

        if (neigh->pinned || neigh->nwaiting > 0)
            continue;
        gd_neigh_release(neigh);
        return true;
    }
    return false;
}

struct gd_neigh *gd_neigh_make(struct gd_netif *netif, const struct gd_addr *addr, gd_timer_fn *fire)
{
    struct gd_stack *stack = netif->stack;
    struct gd_neigh *neigh = NULL;

    if (stack->neigh_asking_count >= GD_NEIGH_ASKING)
        give_up(stack);
    if (stack->neigh_count < GD_NEIGHS || evict(stack))
        neigh = calloc(1, sizeof *neigh);
    if (!neigh) {
        gd_count(&stack->stats, GD_STAT_neigh_drop_table_full);
        return NULL;
    }
    neigh->netif = netif;
    neigh->addr = *addr;
    gd_timer_init(&neigh->timer, fire);
    gd_table_insert(&stack->neighs, &neigh->node, hash_of(stack, netif, addr));
    gd_list_append(&stack->neigh_all, &neigh->link);
    gd_list_append(&stack->neigh_asking, &neigh->asking);
    stack->neigh_asking_count++;
    stack->neigh_count++;
    return neigh;
}

int gd_neigh_waiting(const struct gd_stack *stack)
{
    int count = 0;

    for (const struct gd_list *link = stack->neigh_all.next; link != &stack->neigh_all; link = link->next)
        count += GD_ENTRY(link, const struct gd_neigh, link)->nwaiting;
    return count;
}

void gd_neigh_forget(struct gd_stack *stack, const struct gd_netif *netif)
{
    struct gd_list *link = stack->neigh_all.next, *next;

    for (; link != &stack->neigh_all; link = next) {
        struct gd_neigh *neigh = GD_ENTRY(link, struct gd_neigh, link);

        next = link->next;
        if (!netif || neigh->netif == netif)
            gd_neigh_release(neigh);
    }
}
