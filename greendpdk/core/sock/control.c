/* Control messages in and out (cmsg(3), ip(7), ipv6(7), RFC 3542), in the order and the layouts that Linux has them.
 * Called by sock/message.c, dgram.c, errors.c; calls net/source.c.
 *
 *     [cmsg_len|level|type|data…|padding][cmsg_len|level|type|…]      all aligned to 8 bytes
 *
 * A buffer comes from the application, aligned to nothing: everything in it is copied.
 */
#include "control.h"
#include "../stack.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

/* struct in6_pktinfo and SCM_CREDENTIALS, which glibc has under _GNU_SOURCE only. */
struct info6 {
    struct in6_addr addr;
    int ifindex;
};
#define CREDENTIALS 2

#define HEADER ((uint32_t)sizeof(struct cmsghdr))
#define STAMP_NEW 63 /* SO_TIMESTAMP_NEW of <asm-generic/socket.h> */

/* ---- interfaces as applications number them ---- */

int gd_ifindex_shown(const struct gd_stack *stack, int ifindex)
{
    return ifindex == 0 || ifindex == stack->netifs[0]->index ? ifindex : GD_SCOPE_BASE + ifindex;
}

struct gd_netif *gd_netif_shown(struct gd_stack *stack, int shown)
{
    return gd_netif_find(stack, shown > GD_SCOPE_BASE ? shown - GD_SCOPE_BASE : shown);
}

/* ---- to the application ---- */

void gd_control_put(struct gd_control *control, int level, int type, const void *data, uint32_t len)
{
    uint32_t left = control->size - control->used;
    struct cmsghdr header = {.cmsg_level = level, .cmsg_type = type};
    uint8_t *at = control->base + control->used;

    if (left < HEADER) {
        *control->flags |= MSG_CTRUNC;
        return;
    }
    if (left - HEADER < len) {
        *control->flags |= MSG_CTRUNC;
        len = left - HEADER;
    }
    header.cmsg_len = CMSG_LEN(len);
    memcpy(at, &header, sizeof header);
    memcpy(at + HEADER, data, len);
    if (left > CMSG_SPACE(len))
        left = (uint32_t)CMSG_SPACE(len);
    memset(at + HEADER + len, 0, left - HEADER - len);
    control->used += left;
}

static void put_int(struct gd_control *control, int level, int type, int value)
{
    gd_control_put(control, level, type, &value, sizeof value);
}

void gd_control_put_stamp(struct gd_control *control, const struct gd_sock *sock, uint64_t at, int64_t epoch_ns)
{
    int name = sock->options.stamps; /* Linux has SCM_TIMESTAMP... the same as SO_TIMESTAMP... */
    int64_t ns = (int64_t)at + epoch_ns;
    struct timespec exact = {ns / 1000000000, ns % 1000000000};
    struct timeval coarse = {exact.tv_sec, exact.tv_nsec / 1000};

    if (name == 0 || at == 0)
        return;
    if (name == SO_TIMESTAMP || name == STAMP_NEW)
        gd_control_put(control, SOL_SOCKET, name, &coarse, sizeof coarse);
    else
        gd_control_put(control, SOL_SOCKET, name, &exact, sizeof exact);
}

/* The address to answer from: the one that was asked, or of its interface if that was a group's or everybody's. */
static struct in_addr answer_from(struct gd_sock *sock, const struct gd_facts *facts, const struct gd_addr *from)
{
    const struct gd_netif *netif = gd_netif_find(sock->stack, facts->ifindex);
    const struct gd_addr *own = &facts->to;
    struct in_addr answer = {0};

    if (!gd_ip_local(sock->stack, own))
        own = netif ? gd_ip_own(netif, from) : NULL;
    if (own)
        memcpy(&answer, own->b + 12, sizeof answer);
    return answer;
}

static void put_ip4(struct gd_control *control, struct gd_sock *sock, const struct gd_facts *facts,
                    const struct gd_addr *from)
{
    struct in_pktinfo info = {.ipi_ifindex = gd_ifindex_shown(sock->stack, facts->ifindex)};
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(sock->flow.local.port)};
    uint32_t tell = sock->options.control;

    memcpy(&info.ipi_addr, facts->to.b + 12, sizeof info.ipi_addr);
    to.sin_addr = info.ipi_addr;
    if (tell & GD_TELL_PKTINFO) {
        info.ipi_spec_dst = answer_from(sock, facts, from);
        gd_control_put(control, IPPROTO_IP, IP_PKTINFO, &info, sizeof info);
    }
    if (tell & GD_TELL_TTL)
        put_int(control, IPPROTO_IP, IP_TTL, facts->ttl);
    if (tell & GD_TELL_TOS) /* one byte */
        gd_control_put(control, IPPROTO_IP, IP_TOS, &facts->tos, sizeof facts->tos);
    if (tell & GD_TELL_ORIGDST)
        gd_control_put(control, IPPROTO_IP, IP_ORIGDSTADDR, &to, sizeof to);
}

static void put_info6(struct gd_control *control, const struct gd_sock *sock, const struct gd_facts *facts)
{
    struct info6 info = {.ifindex = gd_ifindex_shown(sock->stack, facts->ifindex)};
    struct gd_addr to = gd_addr_on(&facts->to, 0);

    memcpy(&info.addr, to.b, sizeof info.addr);
    gd_control_put(control, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof info);
}

static void put_ip6(struct gd_control *control, const struct gd_sock *sock, const struct gd_facts *facts)
{
    struct sockaddr_in6 to = {.sin6_family = AF_INET6, .sin6_port = htons(sock->flow.local.port)};
    struct gd_addr plain = gd_addr_on(&facts->to, 0);
    uint32_t tell = sock->options.control;

    if (tell & GD_TELL_HOPLIMIT)
        put_int(control, IPPROTO_IPV6, IPV6_HOPLIMIT, facts->ttl);
    if (tell & GD_TELL_TCLASS)
        put_int(control, IPPROTO_IPV6, IPV6_TCLASS, facts->tos);
    if (tell & GD_TELL_ORIGDST6) {
        memcpy(&to.sin6_addr, plain.b, sizeof to.sin6_addr);
        if (gd_addr_is_scoped(&facts->to))
            to.sin6_scope_id = (uint32_t)gd_ifindex_shown(sock->stack, facts->ifindex);
        gd_control_put(control, IPPROTO_IPV6, IPV6_ORIGDSTADDR, &to, sizeof to);
    }
}

void gd_control_put_facts(struct gd_control *control, struct gd_sock *sock, const struct gd_facts *facts,
                          const struct gd_addr *from)
{
    if (sock->options.control == 0)
        return;
    if (sock->domain == AF_INET6 && sock->options.control & GD_TELL_PKTINFO6) /* of v4-mapped addresses too */
        put_info6(control, sock, facts);
    if (gd_addr_is_v4(&facts->to))
        put_ip4(control, sock, facts, from);
    else
        put_ip6(control, sock, facts);
}

/* ---- from the application ---- */

static int take_int(const uint8_t *data, uint32_t len, int min, int max, int *out)
{
    if (len != sizeof *out)
        return -EINVAL;
    memcpy(out, data, sizeof *out);
    return *out < min || *out > max ? -EINVAL : 0;
}

/* Linux's __sock_cmsg_send. What belongs to AF_UNIX (SCM_RIGHTS, SCM_CREDENTIALS) is passed over there too. */
static int parse_socket(int type, uint32_t len)
{
    switch (type) {
    case SCM_RIGHTS:
    case CREDENTIALS:
        return 0;
    case SO_MARK:
        return len == sizeof(uint32_t) ? -EPERM : -EINVAL;
    default: /* SCM_TXTIME among them, as there is no SO_TXTIME */
        return -EINVAL;
    }
}

static int parse_info4(struct gd_sock *sock, const uint8_t *data, uint32_t len, struct gd_wishes *out)
{
    struct in_pktinfo info;

    if (len != sizeof info)
        return -EINVAL;
    memcpy(&info, data, sizeof info);
    if (info.ipi_ifindex != 0) {
        const struct gd_netif *netif = gd_netif_shown(sock->stack, info.ipi_ifindex);

        if (!netif)
            return -ENODEV;
        out->ifindex = netif->index;
    }
    out->source = info.ipi_spec_dst.s_addr ? gd_addr_v4((const uint8_t *)&info.ipi_spec_dst) : (struct gd_addr){0};
    return 0;
}

/* Linux's ip_cmsg_send. */
static int parse_ip4(struct gd_sock *sock, int type, const uint8_t *data, uint32_t len, struct gd_wishes *out)
{
    int value, rc;

    switch (type) {
    case IP_PKTINFO:
        return parse_info4(sock, data, len, out);
    case IP_TTL:
        rc = take_int(data, len, 1, 255, &value);
        if (rc == 0)
            out->ttl = (int16_t)value;
        return rc;
    case IP_TOS:
        value = len == 1 ? data[0] : -1;
        rc = len == 1 ? 0 : take_int(data, len, 0, 255, &value);
        if (rc == 0)
            out->tos = (int16_t)value;
        return rc;
    default:
        return -EINVAL;
    }
}

/* An interface, and an address of ours to send from; one of link scope wants the interface named (RFC 3542 6.2). */
static int parse_info6(struct gd_sock *sock, const uint8_t *data, uint32_t len, bool v4, struct gd_wishes *out)
{
    const struct gd_netif *netif = NULL;
    struct info6 info;
    struct gd_addr source;

    if (len < sizeof info)
        return -EINVAL;
    memcpy(&info, data, sizeof info);
    memcpy(source.b, &info.addr, sizeof source.b);
    if (info.ifindex != 0) {
        netif = gd_netif_shown(sock->stack, info.ifindex);
        if (!netif)
            return -ENODEV;
        if (sock->options.device != 0 && sock->options.device != netif->index)
            return -EINVAL;
        out->ifindex = netif->index;
    }
    if (v4 && !gd_addr_is_v4(&source)) /* also where it is :: */
        return -EINVAL;
    if (gd_addr_is_any(&source)) {
        out->source = (struct gd_addr){0};
        return 0;
    }
    if (gd_addr_is_link_local(&source)) {
        if (!netif)
            return -EINVAL;
        source = gd_addr_on(&source, netif->index);
    }
    out->source = source;
    return gd_addr_is_v4(&source) == v4 && gd_ip_local(sock->stack, &source) ? 0 : -EINVAL;
}

/* Linux's ip6_datagram_send_ctl. */
static int parse_ip6(struct gd_sock *sock, int type, const uint8_t *data, uint32_t len, struct gd_wishes *out)
{
    int value, rc;

    switch (type) {
    case IPV6_PKTINFO:
        return parse_info6(sock, data, len, false, out);
    case IPV6_HOPLIMIT:
        rc = take_int(data, len, -1, 255, &value);
        if (rc == 0)
            out->ttl = (int16_t)value;
        return rc;
    case IPV6_TCLASS:
        rc = take_int(data, len, -1, 255, &value);
        if (rc == 0)
            out->tos = (int16_t)value;
        return rc;
    case IPV6_DONTFRAG:
        rc = take_int(data, len, 0, 1, &value);
        if (rc == 0)
            out->dontfrag = (int8_t)value;
        return rc;
    case IPV6_HOPOPTS: /* extension headers: Linux wants CAP_NET_RAW for them, and here nobody has it */
    case IPV6_DSTOPTS:
    case IPV6_RTHDRDSTOPTS:
        return -EPERM;
    default:
        return -EINVAL;
    }
}

static int parse_one(struct gd_sock *sock, const struct cmsghdr *header, const uint8_t *data, bool v4,
                     struct gd_wishes *out)
{
    uint32_t len = (uint32_t)header->cmsg_len - HEADER;

    if (header->cmsg_level == SOL_SOCKET)
        return parse_socket(header->cmsg_type, len);
    if (sock->type == SOCK_STREAM)
        return 0;
    if (header->cmsg_level == IPPROTO_UDP) /* UDP_SEGMENT: not offered */
        return -EINVAL;
    if (v4 && header->cmsg_level == IPPROTO_IP)
        return parse_ip4(sock, header->cmsg_type, data, len, out);
    if (header->cmsg_level != IPPROTO_IPV6)
        return 0;
    if (!v4)
        return parse_ip6(sock, header->cmsg_type, data, len, out);
    /* Linux: to a v4-mapped address the one of IPv6's that counts is this. */
    return sock->domain == AF_INET6 && header->cmsg_type == IPV6_PKTINFO ? parse_info6(sock, data, len, true, out) : 0;
}

int gd_control_parse(struct gd_sock *sock, const void *control, uint32_t len, bool v4, struct gd_wishes *out)
{
    const uint8_t *data = control;
    uint32_t at = 0;

    while (len - at >= HEADER) {
        struct cmsghdr header;
        int rc;

        memcpy(&header, data + at, sizeof header);
        if (header.cmsg_len < HEADER || header.cmsg_len > len - at)
            return -EINVAL;
        rc = parse_one(sock, &header, data + at + HEADER, v4, out);
        if (rc < 0)
            return rc;
        if (CMSG_ALIGN(header.cmsg_len) > len - at)
            break;
        at += (uint32_t)CMSG_ALIGN(header.cmsg_len);
    }
    return 0;
}
