/* ICMP for IPv4: echo, errors in, errors out (RFC 792, RFC 1122 3.2.2, RFC 1812 4.3.2).
 * Called by net/ip4.c, net/reassembly_table.c, sock/dgram_input.c; calls net/ip.c, fragment.c, pmtu.c, report.c,
 * icmp_limit.c.
 */
#include "../wire/icmp4.h"
#include "../stack.h"
#include "../util/checksum.h"
#include "../wire/icmp6.h"
#include "../wire/ip4.h"

#include <errno.h>
#include <netinet/in.h>

#define TOS_ERROR 0xc0         /* internetwork control (RFC 1812 4.3.2.5) */
#define ERROR_MAX 576u         /* RFC 1812 4.3.2.3: quote as much as keeps the error within this */
#define MTU_MIN 68u            /* RFC 791: every link carries this */

/* What a code of destination unreachable means to a socket, as Linux's icmp_err_convert has it. */
static const struct {
    int error;
    bool hard;
} unreachable[] = {
    {ENETUNREACH, false},  /* 0 net */
    {EHOSTUNREACH, false}, /* 1 host */
    {ENOPROTOOPT, true},   /* 2 protocol */
    {ECONNREFUSED, true},  /* 3 port */
    {EMSGSIZE, false},     /* 4 fragmentation needed */
    {EOPNOTSUPP, false},   /* 5 source route failed */
    {ENETUNREACH, true},   /* 6 net unknown */
    {EHOSTDOWN, true},     /* 7 host unknown */
    {ENONET, true},        /* 8 host isolated */
    {ENETUNREACH, true},   /* 9 net prohibited */
    {EHOSTUNREACH, true},  /* 10 host prohibited */
    {ENETUNREACH, false},  /* 11 net, for this type of service */
    {EHOSTUNREACH, false}, /* 12 host, for this type of service */
    {EHOSTUNREACH, true},  /* 13 filtered */
    {EHOSTUNREACH, true},  /* 14 precedence violation */
    {EHOSTUNREACH, true},  /* 15 precedence cut off */
};

/* The next lower of RFC 1191 7.1, for routers that do not say. */
static uint32_t plateau(uint32_t len)
{
    static const uint16_t plateaus[] = {32000, 17914, 8166, 4352, 2002, 1492, 1006, 508, 296};

    for (size_t i = 0; i < sizeof plateaus / sizeof plateaus[0]; i++)
        if (plateaus[i] < len)
            return plateaus[i];
    return MTU_MIN;
}

static uint32_t next_hop_mtu(const struct gd_packet *packet)
{
    uint32_t mtu = gd_icmp4_mtu(packet->l4);

    if (mtu == 0 && packet->l4_len >= GD_ICMP4_HEADER + 4)
        mtu = plateau(gd_get16(packet->l4 + GD_ICMP4_HEADER + 2)); /* the quoted packet's length */
    return mtu > MTU_MIN ? mtu : MTU_MIN;
}

/* False: a code that nobody has defined. */
static bool translate(const struct gd_packet *packet, struct gd_icmp_error *error)
{
    uint8_t type = packet->l4[0], code = packet->l4[1];

    if (type == GD_ICMP4_TIME_EXCEEDED) {
        error->error = EHOSTUNREACH;
        return true;
    }
    if (type == GD_ICMP4_PARAMETER) {
        error->error = EPROTO;
        error->hard = true;
        return true;
    }
    if (code >= sizeof unreachable / sizeof unreachable[0])
        return false;
    error->error = unreachable[code].error;
    error->hard = unreachable[code].hard;
    if (code == GD_UNREACH_TOO_BIG)
        error->mtu = next_hop_mtu(packet);
    return true;
}

static void error_input(struct gd_stack *stack, const struct gd_packet *packet, uint64_t now)
{
    const uint8_t *quote = packet->l4 + GD_ICMP4_HEADER;
    uint32_t len = packet->l4_len - GD_ICMP4_HEADER;
    struct gd_icmp_error error = {0};
    int rc = -EINVAL;

    if (packet->to_group || !translate(packet, &error)) {
        gd_count(&stack->stats, GD_STAT_icmp_drop_unknown);
        return;
    }
    error.packet = packet;
    if (len > 0 && quote[0] >> 4 == 4) /* not what IPv6 sent, which this router never saw */
        rc = gd_ip_report(stack, packet->netif, quote, len, &error, now);
    if (rc < 0)
        gd_count(&stack->stats, rc == -ENOENT ? GD_STAT_icmp_drop_no_socket : GD_STAT_icmp_drop_malformed);
}

static void checksum(uint8_t *l4, uint32_t len)
{
    gd_put16(l4 + 2, gd_checksum_finish(gd_checksum_add(0, l4, len)));
}

/* It came in fragments, and goes so. */
static void echo_in_parts(struct gd_stack *stack, const struct gd_packet *packet, const struct gd_ip_fields *fields,
                          struct gd_dst *dst)
{
    struct gd_iovec part = {(void *)(uintptr_t)(packet->l4 + GD_ICMP4_HEADER), packet->l4_len - GD_ICMP4_HEADER};
    struct gd_gather data = {&part, 1, (uint32_t)part.len};
    uint8_t head[GD_ICMP4_HEADER];

    gd_icmp4_write(head, GD_ICMP4_ECHO_REPLY, 0, gd_get32(packet->l4 + 4));
    gd_put16(head + 2, gd_checksum_finish(gd_checksum_add(gd_checksum_add(0, head, sizeof head), part.base, part.len)));
    if (gd_ip_fragment(stack, dst, fields, gd_path_mtu(stack, dst, fields->dst), head, &data) < 0)
        gd_count(&stack->stats, GD_STAT_icmp_drop_output);
    else
        gd_count(&stack->stats, GD_STAT_icmp_out);
}

/* RFC 1122 3.2.2.6: the data comes back, from the address that was asked. */
static void echo(struct gd_stack *stack, const struct gd_packet *packet)
{
    struct gd_ip_fields fields = {
        .src = &packet->dst, .dst = &packet->src, .proto = IPPROTO_ICMP, .ttl = GD_TTL, .tos = packet->tos};
    struct gd_dst dst = {0};
    struct gd_out out;

    if (packet->to_group) {
        gd_count(&stack->stats, GD_STAT_icmp_drop_group);
        return;
    }
    if (gd_ip_begin(stack, &dst, &fields, &out) < 0) {
        gd_count(&stack->stats, GD_STAT_ip4_drop_no_route);
        return;
    }
    if (packet->l4_len > out.room || GD_IP4_HEADER + packet->l4_len > gd_path_mtu(stack, &dst, &packet->src)) {
        gd_ip_cancel(&out);
        echo_in_parts(stack, packet, &fields, &dst);
        return;
    }
    memcpy(out.l4, packet->l4, packet->l4_len);
    gd_icmp4_write(out.l4, GD_ICMP4_ECHO_REPLY, 0, gd_get32(packet->l4 + 4));
    checksum(out.l4, packet->l4_len);
    gd_ip_end(stack, &fields, &out, packet->l4_len);
    gd_count(&stack->stats, GD_STAT_icmp_out);
}

void gd_icmp4_input(struct gd_stack *stack, const struct gd_packet *packet, uint64_t now)
{
    gd_count(&stack->stats, GD_STAT_icmp_in);
    if (packet->l4_len < GD_ICMP4_HEADER) {
        gd_count(&stack->stats, GD_STAT_icmp_drop_malformed);
        return;
    }
    if (!(packet->netif->port->caps & GD_CAP_LOOPBACK) &&
        gd_checksum_finish(gd_checksum_add(0, packet->l4, packet->l4_len)) != 0) {
        gd_count(&stack->stats, GD_STAT_icmp_drop_checksum);
        return;
    }
    switch (packet->l4[0]) {
    case GD_ICMP4_ECHO:
        echo(stack, packet);
        return;
    case GD_ICMP4_UNREACHABLE:
    case GD_ICMP4_TIME_EXCEEDED:
    case GD_ICMP4_PARAMETER:
        error_input(stack, packet, now);
        return;
    default: /* source quench (RFC 6633) and redirects (RFC 1122 3.2.2.2: a host may) among them */
        gd_count(&stack->stats, GD_STAT_icmp_drop_unknown);
    }
}

/* RFC 1122 3.2.2: never about an ICMP error (nor any ICMP here), a group's packet, a later fragment (which get nowhere
 * near), or a source that is not one host (which gd_ip4_input has dropped). */
static void send_error(struct gd_stack *stack, const struct gd_packet *packet, uint8_t type, uint8_t code, uint64_t now)
{
    struct gd_ip_fields fields = {
        .src = &packet->dst, .dst = &packet->src, .proto = IPPROTO_ICMP, .ttl = GD_TTL, .tos = TOS_ERROR};
    uint32_t quote = packet->ip_len + packet->l4_len;
    struct gd_dst dst = {0};
    struct gd_out out;

    if (packet->to_group || packet->proto == IPPROTO_ICMP)
        return;
    if (!gd_icmp_may_send(stack, packet->netif, &packet->src, now))
        return;
    if (gd_ip_begin(stack, &dst, &fields, &out) < 0) {
        gd_count(&stack->stats, GD_STAT_ip4_drop_no_route);
        return;
    }
    if (quote > ERROR_MAX - GD_IP4_HEADER - GD_ICMP4_HEADER)
        quote = ERROR_MAX - GD_IP4_HEADER - GD_ICMP4_HEADER;
    if (quote > out.room - GD_ICMP4_HEADER)
        quote = out.room - GD_ICMP4_HEADER;
    gd_icmp4_write(out.l4, type, code, 0);
    memcpy(out.l4 + GD_ICMP4_HEADER, packet->ip, quote);
    checksum(out.l4, GD_ICMP4_HEADER + quote);
    gd_ip_end(stack, &fields, &out, GD_ICMP4_HEADER + quote);
    gd_count(&stack->stats, GD_STAT_icmp_out);
}

void gd_icmp_unreachable(struct gd_stack *stack, const struct gd_packet *packet, uint8_t code, uint64_t now)
{
    if (gd_addr_is_v4(&packet->src))
        send_error(stack, packet, GD_ICMP4_UNREACHABLE, code, now);
    else /* transports know no families: a port is what both can miss */
        gd_icmp6_unreachable(stack, packet, GD_UNREACH6_PORT, now);
}

void gd_icmp_reassembly_timeout(struct gd_stack *stack, const struct gd_packet *packet, uint64_t now)
{
    if (gd_addr_is_v4(&packet->src))
        send_error(stack, packet, GD_ICMP4_TIME_EXCEEDED, GD_EXCEEDED_REASSEMBLY, now);
    else
        gd_icmp6_time_exceeded(stack, packet, GD_EXCEEDED_REASSEMBLY, now);
}
