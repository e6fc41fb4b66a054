/* ICMPv6: echo, errors in, errors out (RFC 4443); its other messages go to who speaks their protocol.
 * Called by net/ip6_ext.c, net/icmp4.c; calls net/ip.c, net/nd.c, net/report.c.
 */
#include "../wire/icmp6.h"
#include "../stack.h"
#include "../util/checksum.h"
#include "../wire/igmp.h"
#include "../wire/ip6.h"

#include <errno.h>
#include <netinet/in.h>

/* What a code of destination unreachable means to a socket, as Linux's icmpv6_err_convert has it. */
static const struct {
    int error;
    bool hard;
} unreachable[] = {
    {ENETUNREACH, false},  /* 0 no route */
    {EACCES, true},        /* 1 prohibited */
    {EHOSTUNREACH, false}, /* 2 beyond the scope of the source */
    {EHOSTUNREACH, false}, /* 3 address */
    {ECONNREFUSED, true},  /* 4 port */
    {EACCES, true},        /* 5 source address failed a policy */
    {EACCES, true},        /* 6 reject route */
};

/* False: not to be believed. */
static bool translate(const struct gd_packet *packet, struct gd_icmp_error *error)
{
    uint8_t type = packet->l4[0], code = packet->l4[1];

    switch (type) {
    case GD_ICMP6_UNREACHABLE:
        *error = (struct gd_icmp_error){.error = EPROTO, .hard = true};
        if (code < sizeof unreachable / sizeof unreachable[0])
            *error = (struct gd_icmp_error){.error = unreachable[code].error, .hard = unreachable[code].hard};
        return true;
    case GD_ICMP6_TOO_BIG: /* less than every link carries is a lie (RFC 8201 4) */
        *error = (struct gd_icmp_error){.error = EMSGSIZE, .mtu = gd_get32(packet->l4 + 4)};
        return error->mtu >= GD_IP6_MTU_MIN;
    case GD_ICMP6_TIME_EXCEEDED:
        *error = (struct gd_icmp_error){.error = EHOSTUNREACH};
        return true;
    case GD_ICMP6_PARAMETER:
        *error = (struct gd_icmp_error){.error = EPROTO, .hard = true};
        return true;
    default: /* RFC 4443 2.4 (a): the transport's all the same */
        *error = (struct gd_icmp_error){.error = EPROTO};
        return true;
    }
}

static void error_input(struct gd_stack *stack, const struct gd_packet *packet, uint64_t now)
{
    const uint8_t *quote = packet->l4 + GD_ICMP6_HEADER;
    uint32_t len = packet->l4_len - GD_ICMP6_HEADER;
    struct gd_icmp_error error;
    int rc = -EINVAL;

    if (packet->to_group || !translate(packet, &error)) {
        gd_count(&stack->stats, GD_STAT_icmp_drop_unknown);
        return;
    }
    error.packet = packet;
    if (len > 0 && quote[0] >> 4 == 6) /* not what IPv4 sent, which this router never saw */
        rc = gd_ip_report(stack, packet->netif, quote, len, &error, now);
    if (rc < 0)
        gd_count(&stack->stats, rc == -ENOENT ? GD_STAT_icmp_drop_no_socket : GD_STAT_icmp_drop_malformed);
}

static uint16_t checksum(const struct gd_addr *src, const struct gd_addr *dst, const uint8_t *l4, uint32_t len)
{
    return gd_checksum_finish(gd_checksum_add(gd_ip_pseudo(src, dst, IPPROTO_ICMPV6, len), l4, len));
}

static void transmit(struct gd_stack *stack, const struct gd_ip_fields *fields, struct gd_out *out, uint32_t len)
{
    gd_put16(out->l4 + 2, checksum(fields->src, fields->dst, out->l4, len));
    gd_ip_end(stack, fields, out, len);
    gd_count(&stack->stats, GD_STAT_icmp_out);
}

/* The address that was asked, or the best of ours when it was a group (RFC 4443 2.2). */
static bool answer_from(struct gd_stack *stack, const struct gd_packet *packet, struct gd_addr *src)
{
    *src = packet->dst;
    return !gd_addr_is_multicast(src) || gd_ip_source(stack, &packet->src, 0, src) == 0;
}

/* It came in fragments, and goes so. */
static void echo_in_parts(struct gd_stack *stack, const struct gd_packet *packet, const struct gd_ip_fields *fields,
                          struct gd_dst *dst)
{
    struct gd_iovec part = {(void *)(uintptr_t)(packet->l4 + GD_ICMP6_HEADER), packet->l4_len - GD_ICMP6_HEADER};
    struct gd_gather data = {&part, 1, (uint32_t)part.len};
    uint64_t sum = gd_ip_pseudo(fields->src, fields->dst, IPPROTO_ICMPV6, packet->l4_len);
    uint8_t head[GD_ICMP6_HEADER];

    gd_icmp6_write(head, GD_ICMP6_ECHO_REPLY, 0, gd_get32(packet->l4 + 4));
    gd_put16(head + 2, gd_checksum_finish(gd_checksum_add(gd_checksum_add(sum, head, sizeof head), part.base, part.len)));
    if (gd_ip_fragment(stack, dst, fields, gd_path_mtu(stack, dst, fields->dst), head, &data) < 0)
        gd_count(&stack->stats, GD_STAT_icmp_drop_output);
    else
        gd_count(&stack->stats, GD_STAT_icmp_out);
}

/* RFC 4443 4.2: the data comes back. An echo to a group is answered too, as Linux does, under the limit of errors: it
 * is as good a reflector. */
static void echo(struct gd_stack *stack, const struct gd_packet *packet, uint64_t now)
{
    struct gd_addr src;
    struct gd_ip_fields fields = {
        .src = &src, .dst = &packet->src, .proto = IPPROTO_ICMPV6, .ttl = GD_TTL_DEFAULT, .tos = packet->tos};
    struct gd_dst dst = {0};
    struct gd_out out;

    if (gd_addr_is_any(&packet->src)) {
        gd_count(&stack->stats, GD_STAT_icmp_drop_malformed);
        return;
    }
    if (packet->to_group && !gd_icmp_may_send(stack, packet->netif, &packet->src, now))
        return;
    if (!answer_from(stack, packet, &src) || gd_ip_begin(stack, &dst, &fields, &out) < 0) {
        gd_count(&stack->stats, GD_STAT_ip6_drop_no_route);
        return;
    }
    if (packet->l4_len > out.room || GD_IP6_HEADER + packet->l4_len > gd_path_mtu(stack, &dst, &packet->src)) {
        gd_ip_cancel(&out);
        echo_in_parts(stack, packet, &fields, &dst);
        return;
    }
    memcpy(out.l4, packet->l4, packet->l4_len);
    gd_icmp6_write(out.l4, GD_ICMP6_ECHO_REPLY, 0, gd_get32(packet->l4 + 4));
    transmit(stack, &fields, &out, packet->l4_len);
}

void gd_icmp6_input(struct gd_stack *stack, const struct gd_packet *packet, uint64_t now)
{
    gd_count(&stack->stats, GD_STAT_icmp_in);
    if (packet->l4_len < GD_ICMP6_HEADER) {
        gd_count(&stack->stats, GD_STAT_icmp_drop_malformed);
        return;
    }
    if (!(packet->netif->port->caps & GD_CAP_LOOPBACK) &&
        checksum(&packet->src, &packet->dst, packet->l4, packet->l4_len) != 0) {
        gd_count(&stack->stats, GD_STAT_icmp_drop_checksum);
        return;
    }
    if (packet->l4[0] < GD_ICMP6_ERRORS) {
        error_input(stack, packet, now);
        return;
    }
    switch (packet->l4[0]) {
    case GD_ICMP6_ECHO:
        echo(stack, packet, now);
        return;
    case GD_ICMP6_MLD_QUERY:
    case GD_MLD_REPORT1:
        gd_mld_input(packet, now);
        return;
    case GD_ICMP6_ROUTER_SOLICIT:
    case GD_ICMP6_ROUTER_ADVERT:
    case GD_ICMP6_NEIGHBOUR_SOLICIT:
    case GD_ICMP6_NEIGHBOUR_ADVERT:
    case GD_ICMP6_REDIRECT:
        if (packet->whole) { /* RFC 6980 5: what hides from the link's guards */
            gd_count(&stack->stats, GD_STAT_nd_drop_fragmented);
            return;
        }
        gd_nd_input(packet->netif, packet, now);
        return;
    default:
        gd_count(&stack->stats, GD_STAT_icmp_drop_unknown);
    }
}

/* RFC 4443 2.4 (e): never about an error or a redirect, to a group, or to nobody. */
static bool may_speak_of(const struct gd_packet *packet, bool even_group)
{
    uint32_t len = packet->ip_len + packet->l4_len;
    uint8_t proto;
    uint32_t at = gd_ip6_skip(packet->ip, len, &proto); /* what is wrong may be a header before it */

    if ((packet->to_group && !even_group) || gd_addr_is_any(&packet->src))
        return false;
    if (at == 0 || proto != IPPROTO_ICMPV6)
        return true;
    return at < len && packet->ip[at] >= GD_ICMP6_ERRORS && packet->ip[at] != GD_ICMP6_REDIRECT;
}

/* RFC 4443 2.4 (c): quotes as much as keeps the error within what every link carries. */
static void send_error(struct gd_stack *stack, const struct gd_packet *packet, uint8_t type, uint8_t code,
                       uint32_t rest, uint64_t now)
{
    struct gd_addr src;
    struct gd_ip_fields fields = {.src = &src, .dst = &packet->src, .proto = IPPROTO_ICMPV6, .ttl = GD_TTL_DEFAULT};
    uint32_t quote = packet->ip_len + packet->l4_len, most = GD_IP6_MTU_MIN - GD_IP6_HEADER - GD_ICMP6_HEADER;
    struct gd_dst dst = {0};
    struct gd_out out;

    if (!gd_icmp_may_send(stack, packet->netif, &packet->src, now))
        return;
    if (!answer_from(stack, packet, &src) || gd_ip_begin(stack, &dst, &fields, &out) < 0) {
        gd_count(&stack->stats, GD_STAT_ip6_drop_no_route);
        return;
    }
    if (most > out.room - GD_ICMP6_HEADER)
        most = out.room - GD_ICMP6_HEADER;
    if (quote > most)
        quote = most;
    gd_icmp6_write(out.l4, type, code, rest);
    memcpy(out.l4 + GD_ICMP6_HEADER, packet->ip, quote);
    transmit(stack, &fields, &out, GD_ICMP6_HEADER + quote);
}

void gd_icmp6_parameter(struct gd_stack *stack, const struct gd_packet *packet, uint8_t code, uint32_t at,
                        bool even_group, uint64_t now)
{
    if (may_speak_of(packet, even_group))
        send_error(stack, packet, GD_ICMP6_PARAMETER, code, at, now);
}

void gd_icmp6_unreachable(struct gd_stack *stack, const struct gd_packet *packet, uint8_t code, uint64_t now)
{
    if (may_speak_of(packet, false))
        send_error(stack, packet, GD_ICMP6_UNREACHABLE, code, 0, now);
}

void gd_icmp6_time_exceeded(struct gd_stack *stack, const struct gd_packet *packet, uint8_t code, uint64_t now)
{
    if (may_speak_of(packet, false))
        send_error(stack, packet, GD_ICMP6_TIME_EXCEEDED, code, 0, now);
}
