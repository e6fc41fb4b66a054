/* IPv6: its header out, and the flow label in it (RFC 8200 3, RFC 6437).
 * Called by net/ip.c; calls util/siphash.c.
 */
#include "../wire/ip6.h"
#include "../stack.h"
#include "../wire/ether.h"

#include <netinet/in.h>

/* RFC 6437 3: the same for all packets of a flow, from a hash that says nothing of other flows; never 0. */
uint32_t gd_ip6_label(struct gd_stack *stack, struct gd_dst *dst, const struct gd_ip_fields *fields, const uint8_t *l4)
{
    bool has_ports = fields->proto == IPPROTO_TCP || fields->proto == IPPROTO_UDP;
    uint32_t ports = has_ports ? gd_get32(l4) : 0;
    uint8_t key[37];

    if (dst->label != 0 && dst->label_ports == ports)
        return dst->label;
    memcpy(key, fields->src->b, 16);
    memcpy(key + 16, fields->dst->b, 16);
    gd_put32(key + 32, ports);
    key[36] = fields->proto;
    dst->label_ports = ports;
    dst->label = (uint32_t)(gd_siphash(&stack->label_key, key, sizeof key) % GD_IP6_LABEL) + 1;
    return dst->label;
}

void gd_ip6_header(struct gd_frame *frame, const struct gd_ip_fields *fields, uint32_t payload_len, uint32_t label)
{
    struct gd_ip6 ip = {.payload_len = payload_len,
                        .label = label,
                        .tclass = fields->tos,
                        .next = fields->proto,
                        .hops = (uint8_t)(fields->ttl < 0 ? GD_TTL : fields->ttl),
                        .src = gd_addr_on(fields->src, 0),
                        .dst = gd_addr_on(fields->dst, 0)};

    gd_ip6_write(frame->data + GD_ETHER_HEADER, &ip);
}
