/* The datagrams that are being put together: memory, limits, timeouts.
 * Called by net/reassembly.c, stack.c and the wheel; calls sock/buffer.c, net/icmp4.c.
 *
 * Why limits of three kinds. Whoever sends first fragments only can fill any memory (RFC 8900 3.7): so there is a cap on
 * the bytes and on the datagrams. The oldest gives way, as a datagram that is not whole after a burst rarely becomes so.
 * But then one flooder could push out everybody's: so a source, as told by a keyed hash, may hold a quarter at most,
 * and beyond it pushes out its own. Who forges sources can still fill it all, and has then to do so 256 times between
 * the first and the last fragment of an honest datagram, which come within microseconds.
 */
#include "reassembly.h"
#include "../stack.h"
#include "../wire/ip6.h"

#include <stdlib.h>

#define TIMEOUT4 30000000000ull /* Linux's ipfrag_time; RFC 1122 3.3.2 says 60 to 120 s, of slower networks */
#define TIMEOUT6 60000000000ull /* RFC 8200 4.5 */
#define PART 4                  /* one source has this part of each limit at most */

static int setup(struct gd_reassembly *all)
{
    if (all->slots)
        return 0;
    if (gd_table_init(&all->table, GD_DATAGRAMS) < 0)
        return -1;
    all->slots = calloc(GD_DATAGRAMS, sizeof *all->slots);
    all->whole = malloc(GD_REASSEMBLY_HEADER + GD_REASSEMBLY_LEN);
    if (!all->slots || !all->whole) {
        free(all->slots);
        free(all->whole);
        gd_table_free(&all->table);
        all->slots = NULL;
        all->whole = NULL;
        return -1;
    }
    gd_list_init(&all->ages);
    gd_list_init(&all->free);
    for (int i = 0; i < GD_DATAGRAMS; i++)
        gd_list_append(&all->free, &all->slots[i].age_link);
    for (int i = 0; i < GD_REASSEMBLY_SHARES; i++)
        gd_list_init(&all->shares[i].datagrams);
    return 0;
}

static uint64_t hash_key(struct gd_stack *stack, const struct gd_packet *packet, uint32_t id)
{
    uint8_t key[37];

    memcpy(key, packet->src.b, 16);
    memcpy(key + 16, packet->dst.b, 16);
    gd_put32(key + 32, id);
    key[36] = packet->proto;
    return gd_siphash(&stack->hash_key, key, sizeof key);
}

/* A host; of IPv6 its /64, as any number of addresses is to be had there. */
static uint16_t share_of(struct gd_stack *stack, const struct gd_addr *src)
{
    uint32_t len = gd_addr_is_v4(src) ? 16 : 8;

    return (uint16_t)(gd_siphash(&stack->hash_key, src->b, len) % GD_REASSEMBLY_SHARES);
}

void gd_datagram_clear(struct gd_stack *stack, struct gd_datagram *datagram)
{
    struct gd_reassembly *all = &stack->reassembly;

    gd_buffer_clear(&stack->pool, &datagram->data);
    all->bytes -= datagram->bytes;
    all->shares[datagram->share].bytes -= datagram->bytes;
    datagram->bytes = 0;
}

void gd_datagram_release(struct gd_stack *stack, struct gd_datagram *datagram)
{
    struct gd_reassembly *all = &stack->reassembly;

    gd_datagram_clear(stack, datagram);
    gd_timer_cancel(&stack->wheel, &datagram->timer);
    gd_table_remove(&all->table, &datagram->node);
    gd_list_remove(&datagram->share_link);
    all->shares[datagram->share].count--;
    gd_list_remove(&datagram->age_link);
    gd_list_append(&all->free, &datagram->age_link);
}

/* The oldest of a list makes way, unless that is `but`. */
static bool evict(struct gd_stack *stack, struct gd_datagram *oldest, const struct gd_datagram *but)
{
    if (oldest == but)
        return false;
    gd_count(&stack->stats, GD_STAT_fragment_drop_evicted);
    gd_datagram_release(stack, oldest);
    return true;
}

static bool evict_from_share(struct gd_stack *stack, struct gd_share *share, const struct gd_datagram *but)
{
    return evict(stack, GD_ENTRY(share->datagrams.next, struct gd_datagram, share_link), but);
}

static bool evict_from_all(struct gd_stack *stack, const struct gd_datagram *but)
{
    return evict(stack, GD_ENTRY(stack->reassembly.ages.next, struct gd_datagram, age_link), but);
}

bool gd_datagram_room(struct gd_stack *stack, const struct gd_datagram *datagram, uint32_t bytes)
{
    struct gd_reassembly *all = &stack->reassembly;
    struct gd_share *share = &all->shares[datagram->share];
    uint64_t cap = stack->pool.cap / PART < GD_REASSEMBLY_BYTES ? stack->pool.cap / PART : GD_REASSEMBLY_BYTES;

    while (share->bytes + bytes > cap / PART)
        if (!evict_from_share(stack, share, datagram))
            return false;
    while (all->bytes + bytes > cap)
        if (!evict_from_all(stack, datagram))
            return false;
    return true;
}

/* RFC 792: time exceeded, code 1; only if the first fragment came, which alone tells the sender what it is about. */
static void tell_timeout(struct gd_stack *stack, struct gd_datagram *datagram, uint64_t now)
{
    bool v4 = gd_addr_is_v4(&datagram->src);
    uint32_t header_len = datagram->header_len + (v4 ? 0 : GD_IP6_FRAGMENT_HEADER);
    uint8_t *ip = stack->reassembly.whole;
    struct gd_packet packet = {.netif = datagram->netif,
                               .src = datagram->src,
                               .dst = datagram->dst,
                               .ip = ip,
                               .ip_len = header_len,
                               .l4 = ip + header_len,
                               .l4_len = datagram->first_len,
                               .proto = datagram->proto,
                               .ttl = datagram->ttl,
                               .tos = datagram->tos,
                               .to_group = datagram->to_group};

    memcpy(ip, datagram->header, header_len);
    gd_buffer_read(&datagram->data, 0, ip + header_len, datagram->first_len);
    gd_icmp_reassembly_timeout(stack, &packet, now);
}

static void expire(struct gd_timer *timer, uint64_t now)
{
    struct gd_datagram *datagram = GD_ENTRY(timer, struct gd_datagram, timer);
    struct gd_stack *stack = datagram->netif->stack;

    if (!datagram->dead) {
        gd_count(&stack->stats, GD_STAT_fragment_drop_timeout);
        if (datagram->first_len > 0)
            tell_timeout(stack, datagram, now);
    }
    gd_datagram_release(stack, datagram);
}

static struct gd_datagram *find(const struct gd_reassembly *all, const struct gd_packet *packet, uint32_t id,
                                uint64_t hash)
{
    for (struct gd_node *node = gd_table_first(&all->table, hash); node; node = node->next) {
        struct gd_datagram *datagram = GD_ENTRY(node, struct gd_datagram, node);

        if (node->hash == hash && datagram->id == id && datagram->proto == packet->proto &&
            gd_addr_eq(&datagram->src, &packet->src) && gd_addr_eq(&datagram->dst, &packet->dst))
            return datagram;
    }
    return NULL;
}

static struct gd_datagram *make(struct gd_stack *stack, const struct gd_packet *packet, uint32_t id, uint64_t hash,
                                uint64_t now)
{
    struct gd_reassembly *all = &stack->reassembly;
    uint16_t number = share_of(stack, &packet->src);
    struct gd_share *share = &all->shares[number];
    struct gd_datagram *datagram;

    if (share->count == GD_DATAGRAMS / PART)
        evict_from_share(stack, share, NULL);
    if (gd_list_empty(&all->free))
        evict_from_all(stack, NULL);
    datagram = GD_ENTRY(gd_list_pop(&all->free), struct gd_datagram, age_link);
    *datagram = (struct gd_datagram){.netif = packet->netif,
                                     .src = packet->src,
                                     .dst = packet->dst,
                                     .id = id,
                                     .proto = packet->proto,
                                     .share = number};
    gd_list_init(&datagram->age_link);
    gd_list_init(&datagram->share_link);
    gd_list_append(&all->ages, &datagram->age_link);
    gd_list_append(&share->datagrams, &datagram->share_link);
    share->count++;
    gd_table_insert(&all->table, &datagram->node, hash);
    gd_timer_init(&datagram->timer, expire);
    gd_timer_set(&stack->wheel, &datagram->timer, now + (gd_addr_is_v4(&packet->src) ? TIMEOUT4 : TIMEOUT6));
    return datagram;
}

struct gd_datagram *gd_datagram_get(struct gd_stack *stack, const struct gd_packet *packet, uint32_t id, uint64_t now)
{
    uint64_t hash = hash_key(stack, packet, id);
    struct gd_datagram *datagram;

    if (setup(&stack->reassembly) < 0)
        return NULL;
    datagram = find(&stack->reassembly, packet, id, hash);
    return datagram ? datagram : make(stack, packet, id, hash, now);
}

void gd_reassembly_forget(struct gd_stack *stack, const struct gd_netif *netif)
{
    struct gd_reassembly *all = &stack->reassembly;

    for (int i = 0; all->slots && i < GD_DATAGRAMS; i++)
        if (all->slots[i].node.slot && (!netif || all->slots[i].netif == netif))
            gd_datagram_release(stack, &all->slots[i]);
}

void gd_reassembly_free(struct gd_stack *stack)
{
    struct gd_reassembly *all = &stack->reassembly;

    gd_reassembly_forget(stack, NULL);
    if (!all->slots)
        return;
    free(all->slots);
    free(all->whole);
    gd_table_free(&all->table);
    all->slots = NULL;
    all->whole = NULL;
}
