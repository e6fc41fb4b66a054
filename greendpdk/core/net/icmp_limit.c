/* How many ICMP errors are sent: so many in all, and so many to one host (RFC 1812 4.3.2.8, RFC 4443 2.4 f).
 * Called by net/icmp4.c, icmp6.c; calls nothing.
 *
 * All share one bucket of tokens, so that nobody makes us a reflector. And each host has one of its own, as Linux has
 * them, so that one that is a nuisance does not use up what the others' errors need. A host is told by a keyed hash: two
 * may share a bucket, and whoever forges a million sources makes no more of them.
 */
#include "../stack.h"

#define TOKENS 50u                 /* Linux's icmp_msgs_burst ... */
#define TOKEN_EVERY 1000000ull     /* ... and icmp_msgs_per_sec, 1,000 */
#define HOST_EVERY 1000000000ull   /* Linux's icmp_ratelimit ... */
#define HOST_BURST 6u              /* ... and XRLIM_BURST_FACTOR */

/* When the host will have earned what it was sent already; in IPv6 its /64. */
static uint64_t *paid_at(struct gd_stack *stack, const struct gd_addr *to)
{
    uint32_t len = gd_addr_is_v4(to) ? 16 : 8;

    return &stack->icmp_hosts[gd_siphash(&stack->hash_key, to->b, len) % GD_ICMP_HOSTS];
}

static bool has_token(struct gd_stack *stack, uint64_t now)
{
    uint64_t earned = (now - stack->icmp_spent_at) / TOKEN_EVERY;

    stack->icmp_spent -= (uint32_t)(earned < stack->icmp_spent ? earned : stack->icmp_spent);
    stack->icmp_spent_at = stack->icmp_spent ? stack->icmp_spent_at + earned * TOKEN_EVERY : now;
    return stack->icmp_spent < TOKENS;
}

bool gd_icmp_may_send(struct gd_stack *stack, const struct gd_netif *netif, const struct gd_addr *to, uint64_t now)
{
    uint64_t *paid = paid_at(stack, to);

    if (netif->port->caps & GD_CAP_LOOPBACK)
        return true;
    if (*paid > now + (HOST_BURST - 1) * HOST_EVERY) {
        gd_count(&stack->stats, GD_STAT_icmp_drop_host_limit);
        return false;
    }
    if (!has_token(stack, now)) {
        gd_count(&stack->stats, GD_STAT_icmp_drop_rate_limit);
        return false;
    }
    *paid = (*paid > now ? *paid : now) + HOST_EVERY;
    stack->icmp_spent++;
    return true;
}
