/* What is known of path MTUs: learnt from ICMP, forgotten after ten minutes (RFC 1191 6.3, RFC 8201 5.2). For datagrams,
 * and where a connection begins; then TCP goes by its own, as its sequence numbers let it check who speaks (tcp/mtu.c).
 * Called by net/fragment.c, sock/dgram*.c, option_ip.c, tcp/mtu.c; calls nothing.
 *
 * A hash table of sets of 4, the one that ends first gives way: whoever could forge ICMP errors fills this much and no
 * more, and makes packets no smaller than Linux lets him.
 */
#include "../stack.h"
#include "../wire/ip6.h"

#define WAYS 4
#define LIFETIME 600000000000ull /* RFC 1191 6.3; Linux's mtu_expires */
#define MTU4_MIN 552u            /* Linux's min_pmtu: smaller ones are an attacker's */

static struct gd_pmtu *set_of(struct gd_stack *stack, const struct gd_addr *to)
{
    return stack->pmtus + gd_siphash(&stack->hash_key, to->b, sizeof to->b) % (GD_PMTUS / WAYS) * WAYS;
}

static struct gd_pmtu *find(struct gd_stack *stack, const struct gd_addr *to)
{
    struct gd_pmtu *set;

    if (stack->pmtus_until <= stack->now) /* which is how it is nearly always */
        return NULL;
    set = set_of(stack, to);
    for (int i = 0; i < WAYS; i++)
        if (set[i].until > stack->now && gd_addr_eq(&set[i].addr, to))
            return &set[i];
    return NULL;
}

void gd_pmtu_learn(struct gd_stack *stack, const struct gd_addr *to, uint32_t mtu)
{
    uint32_t least = gd_addr_is_v4(to) ? MTU4_MIN : GD_IP6_MTU_MIN;
    struct gd_pmtu *entry = find(stack, to), *set = set_of(stack, to);

    mtu = mtu < least ? least : mtu;
    if (entry && entry->mtu <= mtu) /* no error makes it larger (RFC 1191 3) */
        return;
    if (!entry) { /* one that has ended, or the next to end */
        entry = set;
        for (int i = 1; i < WAYS; i++)
            if (set[i].until < entry->until)
                entry = &set[i];
    }
    stack->pmtus_until = stack->now + LIFETIME;
    *entry = (struct gd_pmtu){*to, mtu, stack->pmtus_until};
}

uint32_t gd_path_mtu(struct gd_stack *stack, const struct gd_dst *dst, const struct gd_addr *to)
{
    const struct gd_pmtu *entry = find(stack, to);

    return entry && entry->mtu < dst->mtu ? entry->mtu : dst->mtu;
}
