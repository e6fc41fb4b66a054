/* IPv6's extension headers, one after the other, up to whom the packet is for (RFC 8200 4).
 * Called by net/ip6.c, ip6_fragment.c; calls net/ip6_fragment.c, icmp6.c, sock/dgram.c, tcp/input.c.
 *
 *     [IPv6][hop-by-hop][routing][fragment][destination] … [TCP]
 *      ip ──────────────────────────────► ip_len        l4
 *         next_at: where the byte stands that says what comes at l4
 */
#include "../stack.h"
#include "../wire/icmp6.h"
#include "../wire/ip6.h"

#include <netinet/in.h>

/* More than any honest sender has use for (RFC 8504 5.3, RFC 8883 1): parsing costs us more than making them costs. */
#define HEADERS_MAX 8u
#define OPTIONS_MAX 8u

#define OPTION_PAD1 0
#define OPTION_PADN 1
#define OPTION_ROUTER_ALERT 5 /* RFC 2711: for routers; a host has nothing to do */

/* RFC 8200 4.2: the two high bits of an option that is unknown. */
enum { SKIP = 0, DISCARD = 1, DISCARD_AND_TELL = 2, DISCARD_AND_TELL_UNLESS_GROUP = 3 };

static bool is_extension(uint8_t proto)
{
    return proto == GD_IP6_HOP_BY_HOP || proto == GD_IP6_ROUTING || proto == GD_IP6_FRAGMENT ||
           proto == GD_IP6_DESTINATION;
}

/* The length of an extension header of which eight bytes are there; 0: a later fragment, which has nothing behind it.
 */
static uint32_t length_of(uint8_t proto, const uint8_t *data)
{
    if (proto != GD_IP6_FRAGMENT)
        return 8u + data[1] * 8u;
    return gd_get16(data + 2) & ~7u ? 0 : GD_IP6_FRAGMENT_HEADER;
}

uint32_t gd_ip6_skip(const uint8_t *data, uint32_t len, uint8_t *proto)
{
    uint32_t at = GD_IP6_HEADER;

    *proto = data[GD_IP6_NEXT_AT];
    for (uint32_t headers = 0; is_extension(*proto); headers++) {
        uint32_t skip = headers < HEADERS_MAX && len - at >= 8 ? length_of(*proto, data + at) : 0;

        if (skip == 0 || skip > len - at)
            return 0;
        *proto = data[at];
        at += skip;
    }
    return at;
}

/* An unknown option at that offset of the packet. True: go on. */
static bool unknown_option(struct gd_stack *stack, const struct gd_packet *packet, uint32_t at, uint64_t now)
{
    uint8_t action = packet->ip[at] >> 6;

    if (action == SKIP)
        return true;
    gd_count(&stack->stats, GD_STAT_ip6_drop_options);
    if (action == DISCARD_AND_TELL || (action == DISCARD_AND_TELL_UNLESS_GROUP && !packet->to_group))
        gd_icmp6_parameter(stack, packet, GD_PARAMETER_OPTION, at, action == DISCARD_AND_TELL, now);
    return false;
}

/* The options between two offsets of the packet. False: dropped, counted. */
static bool take_options(struct gd_stack *stack, const struct gd_packet *packet, uint32_t at, uint32_t end,
                         uint64_t now)
{
    uint32_t count = 0;

    while (at < end) {
        uint8_t type = packet->ip[at];

        if (type == OPTION_PAD1) {
            at++;
            continue;
        }
        if (end - at < 2 || packet->ip[at + 1] > end - at - 2 || (type != OPTION_PADN && ++count > OPTIONS_MAX)) {
            gd_count(&stack->stats, GD_STAT_ip6_drop_options);
            return false;
        }
        if (type != OPTION_PADN && type != OPTION_ROUTER_ALERT && !unknown_option(stack, packet, at, now))
            return false;
        at += 2u + packet->ip[at + 1];
    }
    return true;
}

/* Past a header that is len bytes long. */
static void advance(struct gd_packet *packet, uint32_t len)
{
    packet->next_at = packet->ip_len;
    packet->proto = packet->l4[0];
    packet->ip_len += len;
    packet->l4 += len;
    packet->l4_len -= len;
}

static bool malformed(struct gd_stack *stack)
{
    gd_count(&stack->stats, GD_STAT_ip6_drop_malformed);
    return false;
}

/* Hop-by-hop, destination options and routing have their length in one place. True: go on behind it. */
static bool take_header(struct gd_stack *stack, struct gd_packet *packet, uint64_t now)
{
    uint32_t len;

    if (packet->l4_len < 8)
        return malformed(stack);
    len = 8u + packet->l4[1] * 8u;
    if (len > packet->l4_len)
        return malformed(stack);
    if (packet->proto != GD_IP6_ROUTING) {
        if (!take_options(stack, packet, packet->ip_len + 2, packet->ip_len + len, now))
            return false;
    } else if (packet->l4[3] != 0) { /* segments left: no type is known here, 0 least of all (RFC 5095 3) */
        gd_count(&stack->stats, GD_STAT_ip6_drop_routing);
        gd_icmp6_parameter(stack, packet, GD_PARAMETER_HEADER, packet->ip_len + 2, false, now);
        return false;
    }
    advance(packet, len);
    return true;
}

/* A fragment that is all of its packet goes on by itself, whatever others have its identification (RFC 6946 4). */
static bool take_fragment(struct gd_stack *stack, struct gd_packet *packet, uint64_t now)
{
    if (packet->l4_len < GD_IP6_FRAGMENT_HEADER)
        return malformed(stack);
    if ((gd_get16(packet->l4 + 2) & ~GD_IP6_RESERVED) != 0) {
        gd_ip6_fragment_input(stack, packet, now);
        return false;
    }
    packet->whole = true;
    advance(packet, GD_IP6_FRAGMENT_HEADER);
    return true;
}

static void to_transport(struct gd_stack *stack, const struct gd_packet *packet, uint64_t now)
{
    if (gd_addr_is_any(&packet->src) &&
        packet->proto != IPPROTO_ICMPV6) { /* who has no address yet says nothing else */
        gd_count(&stack->stats, GD_STAT_ip6_drop_source);
        return;
    }
    switch (packet->proto) {
    case IPPROTO_TCP:
        gd_tcp_input(stack, packet, now);
        return;
    case IPPROTO_UDP:
        gd_udp_input(stack, packet, now);
        return;
    case IPPROTO_ICMPV6:
        gd_icmp6_input(stack, packet, now);
        return;
    case GD_IP6_NONE: /* RFC 8200 4.7: nothing, and whatever follows is not looked at */
        gd_count(&stack->stats, GD_STAT_ip6_drop_empty);
        return;
    default:
        gd_count(&stack->stats, GD_STAT_ip6_drop_protocol);
        gd_icmp6_parameter(stack, packet, GD_PARAMETER_NEXT, packet->next_at, false, now);
    }
}

void gd_ip6_deliver(struct gd_stack *stack, struct gd_packet *packet, uint64_t now)
{
    for (uint32_t headers = 0;; headers++) {
        /* Hop-by-hop comes first or not at all; elsewhere it is an unknown next header (RFC 8200 4). */
        bool first = packet->next_at == GD_IP6_NEXT_AT;
        bool options = packet->proto == GD_IP6_DESTINATION || (packet->proto == GD_IP6_HOP_BY_HOP && first);

        if (headers == HEADERS_MAX) {
            gd_count(&stack->stats, GD_STAT_ip6_drop_headers);
            return;
        }
        if (options || packet->proto == GD_IP6_ROUTING) {
            if (!take_header(stack, packet, now))
                return;
        } else if (packet->proto == GD_IP6_FRAGMENT) {
            if (!take_fragment(stack, packet, now))
                return;
        } else {
            to_transport(stack, packet, now);
            return;
        }
    }
}
