/* Initial sequence numbers (RFC 6528 3) and timestamp offsets (RFC 7323 5.4), from keyed hashes.
 * Called by tcp/open.c, tcp/listen.c; calls util/siphash.c.
 */
#include "tcp.h"

#define GD_ISN_TICK 4096ull /* ns: RFC 9293 3.4.1 asks for a clock of about 4 us */

static uint64_t hash_flow(const struct gd_key *key, const struct gd_flow *flow, uint8_t use)
{
    uint8_t bytes[37];

    memcpy(bytes, flow->local.addr.b, 16);
    memcpy(bytes + 16, flow->remote.addr.b, 16);
    gd_put16(bytes + 32, flow->local.port);
    gd_put16(bytes + 34, flow->remote.port);
    bytes[36] = use;
    return gd_siphash(key, bytes, sizeof(bytes));
}

uint32_t gd_tcp_isn(struct gd_stack *stack, const struct gd_flow *flow, uint64_t now)
{
    return (uint32_t)(now / GD_ISN_TICK) + (uint32_t)hash_flow(&stack->isn_key, flow, 0);
}

/* The same for all connections of a pair of endpoints, so that RFC 6191 and PAWS can compare across them. */
uint32_t gd_tcp_ts_offset(struct gd_stack *stack, const struct gd_flow *flow)
{
    return (uint32_t)hash_flow(&stack->isn_key, flow, 1);
}
