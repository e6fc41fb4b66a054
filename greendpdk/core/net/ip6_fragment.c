/* IPv6's fragments, on their way into reassembly and, as a whole packet, out of it (RFC 8200 4.5).
 * Called by net/ip6_ext.c; calls net/reassembly.c, net/ip6_ext.c, net/icmp6.c.
 */
#include "../stack.h"
#include "../wire/icmp6.h"
#include "../wire/ip6.h"

#define LENGTH_AT 4u /* of the payload length in the header */
#define OFFSET_AT 2u /* of the offset in the fragment header */
#define MORE 1u

/* The cases in which RFC 8200 4.5 and RFC 7112 5 say that the sender be told; gd_reassemble drops and counts. */
static void tell_sender(struct gd_stack *stack, const struct gd_packet *packet, const struct gd_fragment *fragment,
                        uint64_t now)
{
    uint32_t len = packet->l4_len - GD_IP6_FRAGMENT_HEADER;
    uint8_t proto;

    if (fragment->more && len % 8 != 0)
        gd_icmp6_parameter(stack, packet, GD_PARAMETER_HEADER, LENGTH_AT, false, now);
    else if (packet->ip_len - GD_IP6_HEADER + fragment->offset + len > GD_REASSEMBLY_LEN)
        gd_icmp6_parameter(stack, packet, GD_PARAMETER_HEADER, packet->ip_len + OFFSET_AT, false, now);
    else if (fragment->offset == 0 && gd_ip6_skip(packet->ip, packet->ip_len + packet->l4_len, &proto) == 0)
        gd_icmp6_parameter(stack, packet, GD_PARAMETER_CHAIN, 0, false, now);
}

void gd_ip6_fragment_input(struct gd_stack *stack, const struct gd_packet *packet, uint64_t now)
{
    uint16_t field = gd_get16(packet->l4 + OFFSET_AT);
    struct gd_fragment fragment = {
        .id = gd_get32(packet->l4 + 4), .offset = field & ~7u, .more = (field & MORE) != 0};
    struct gd_packet data = *packet;

    tell_sender(stack, packet, &fragment, now);
    data.proto = packet->l4[0];
    data.l4 += GD_IP6_FRAGMENT_HEADER;
    data.l4_len -= GD_IP6_FRAGMENT_HEADER;
    if (gd_reassemble(stack, &data, &fragment, now))
        gd_ip6_deliver(stack, &data, now);
}
