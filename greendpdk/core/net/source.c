/* Which address of ours a packet comes from, when nobody has bound one.
 * Called by net/ip.c, net/arp.c, net/config.c, sock/bind.c, sock/dgram.c; calls net/ip.c, net/route.c.
 *
 *     IPv4   as Linux: of the interface that it leaves by, the one whose subnet holds the next hop, else the first
 *            that means something beyond the link, else the first
 *     IPv6   RFC 6724 5, rule by rule, over all interfaces as Linux does it, and of equals the youngest; to a
 *            destination of link scope, or a group, from its own interface's addresses only (RFC 6724 4)
 *
 * Rules 4 (home addresses) and 7 (temporary ones) are left out, as there are neither here, and 5.5 (the prefix that
 * the next hop advertised) is optional and not Linux's. Asked once a connection, or once a destination and generation.
 */
#include "../stack.h"

#include <errno.h>
#include <netinet/in.h>

enum { SCOPE_LINK = 2, SCOPE_SITE = 5, SCOPE_GLOBAL = 14 }; /* RFC 4291 2.7 */

struct candidate {
    const struct gd_ifaddr *own;
    const struct gd_netif *netif;
};

struct choice {
    const struct gd_addr *to;
    const struct gd_netif *out;
    bool only_out; /* the addresses of out, and no others */
};

/* Above 0: a is better; below 0: b is. */
typedef int rule_fn(const struct choice *choice, const struct candidate *a, const struct candidate *b);

/* ---- IPv6 ---- */

static int scope_of(const struct gd_addr *addr)
{
    if (gd_addr_is_multicast(addr))
        return addr->b[1] & 15;
    if (gd_addr_is_loopback(addr) || gd_addr_is_link_local(addr))
        return SCOPE_LINK;
    return addr->b[0] == 0xfe && (addr->b[1] & 0xc0) == 0xc0 ? SCOPE_SITE : SCOPE_GLOBAL;
}

/* The default policy table of RFC 6724 2.1; the longest prefix stands first, ::/0 (label 1) is what is left. */
static int label_of(const struct gd_addr *addr)
{
    static const struct {
        struct gd_addr prefix;
        uint8_t bits, label;
    } policy[] = {
        {{{[15] = 1}}, 128, 0},                /* ::1 */
        {{{[10] = 0xff, [11] = 0xff}}, 96, 4}, /* v4-mapped */
        {{{0}}, 96, 3},                        /* v4-compatible */
        {{{0x20, 0x01}}, 32, 5},               /* Teredo */
        {{{0x20, 0x02}}, 16, 2},               /* 6to4 */
        {{{0x3f, 0xfe}}, 16, 12},              /* 6bone */
        {{{0xfe, 0xc0}}, 10, 11},              /* site-local */
        {{{0xfc}}, 7, 13},                     /* unique local */
    };

    for (size_t i = 0; i < sizeof policy / sizeof policy[0]; i++)
        if (gd_ip_within(addr, &policy[i].prefix, policy[i].bits))
            return policy[i].label;
    return 1;
}

/* RFC 6724 2.2: no further than the prefix of the source address. */
static int common_bits(const struct gd_ifaddr *own, const struct gd_addr *to)
{
    int bits = 0;

    while (bits < own->prefix_length && ((own->addr.b[bits / 8] ^ to->b[bits / 8]) & (0x80 >> bits % 8)) == 0)
        bits++;
    return bits;
}

static int rule_1_same_address(const struct choice *choice, const struct candidate *a, const struct candidate *b)
{
    return gd_addr_eq(&a->own->addr, choice->to) - gd_addr_eq(&b->own->addr, choice->to);
}

static int rule_2_scope(const struct choice *choice, const struct candidate *a, const struct candidate *b)
{
    int of_a = scope_of(&a->own->addr), of_b = scope_of(&b->own->addr), wanted = scope_of(choice->to);

    if (of_a == of_b)
        return 0;
    if (of_a < of_b)
        return of_a < wanted ? -1 : 1;
    return of_b < wanted ? 1 : -1;
}

static int rule_3_deprecated(const struct choice *choice, const struct candidate *a, const struct candidate *b)
{
    (void)choice;
    return b->own->deprecated - a->own->deprecated;
}

static int rule_5_interface(const struct choice *choice, const struct candidate *a, const struct candidate *b)
{
    return (a->netif == choice->out) - (b->netif == choice->out);
}

static int rule_6_label(const struct choice *choice, const struct candidate *a, const struct candidate *b)
{
    int wanted = label_of(choice->to);

    return (label_of(&a->own->addr) == wanted) - (label_of(&b->own->addr) == wanted);
}

static int rule_8_prefix(const struct choice *choice, const struct candidate *a, const struct candidate *b)
{
    return common_bits(a->own, choice->to) - common_bits(b->own, choice->to);
}

static bool is_better(const struct choice *choice, const struct candidate *a, const struct candidate *b)
{
    static rule_fn *const rules[] = {rule_1_same_address, rule_2_scope, rule_3_deprecated,
                                     rule_5_interface,    rule_6_label, rule_8_prefix};

    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        int result = rules[i](choice, a, b);

        if (result != 0)
            return result > 0;
    }
    return false; /* the first of equals that was looked at stays */
}

static const struct gd_addr *source6(const struct gd_stack *stack, const struct choice *choice)
{
    struct candidate best = {0};

    for (int i = 0; i < stack->netif_end; i++) {
        struct candidate next = {.netif = stack->netifs[i]};

        if (!next.netif || (choice->only_out && next.netif != choice->out))
            continue;
        for (int j = next.netif->naddrs - 1; j >= 0; j--) { /* the youngest of equals, as Linux has them in its list */
            next.own = &next.netif->addrs[j];
            if (next.own->tentative || gd_addr_is_v4(&next.own->addr) || gd_addr_is_loopback(&next.own->addr))
                continue;
            if (!best.own || is_better(choice, &next, &best))
                best = next;
        }
    }
    return best.own ? &best.own->addr : NULL;
}

/* ---- IPv4 ---- */

/* RFC 3927 1.9: an address of 169.254/16 is not for who is behind a router. */
static bool is_link_only(const struct gd_addr *addr)
{
    return addr->b[12] == 169 && addr->b[13] == 254;
}

/* nearest: of the subnets that hold `on` the smallest, as a neighbour's route is its subnet's; else the first. */
static const struct gd_addr *source4(const struct gd_netif *netif, const struct gd_addr *on, bool nearest)
{
    const struct gd_addr *wide = NULL, *first = NULL;
    const struct gd_ifaddr *holds = NULL;

    for (int i = 0; i < netif->naddrs; i++) {
        const struct gd_ifaddr *own = &netif->addrs[i];

        if (!gd_addr_is_v4(&own->addr))
            continue;
        if (gd_ip_within(on, &own->addr, 96u + own->prefix_length) &&
            (!holds || (nearest && own->prefix_length > holds->prefix_length)))
            holds = own;
        if (!wide && !is_link_only(&own->addr))
            wide = &own->addr;
        if (!first)
            first = &own->addr;
    }
    if (holds)
        return &holds->addr;
    return wide ? wide : first;
}

/* ---- either ---- */

const struct gd_addr *gd_ip_own(const struct gd_netif *netif, const struct gd_addr *on)
{
    struct choice choice = {on, netif, true};

    return gd_addr_is_v4(on) ? source4(netif, on, false) : source6(netif->stack, &choice);
}

/* The one that the route names, as Linux's `ip route ... src`. */
static bool preferred(struct gd_stack *stack, const struct gd_addr *to, const struct gd_netif *only,
                      struct gd_addr *src)
{
    const struct gd_route *route = gd_route_find(stack, to, only);

    if (!route || gd_addr_is_any(&route->source) || !gd_ip_local(stack, &route->source))
        return false;
    *src = route->source;
    return true;
}

int gd_ip_source(struct gd_stack *stack, const struct gd_addr *to, int only, struct gd_addr *src)
{
    static const uint8_t localhost[4] = {127, 0, 0, 1}, nobody[4];
    struct choice choice = {.to = to};
    const struct gd_addr *own;
    struct gd_netif *netif;
    struct gd_addr next_hop;
    int rc;

    if (gd_ip_local(stack, to)) { /* to ourselves: from the same address, as Linux */
        *src = gd_addr_is_v4(to) && gd_addr_is_loopback(to) ? gd_addr_v4(localhost) : *to;
        return 0;
    }
    rc = gd_ip_path(stack, to, only, &netif, &next_hop);
    if (rc < 0)
        return rc;
    choice.out = netif;
    choice.only_out = gd_addr_is_multicast(to) || scope_of(to) == SCOPE_LINK;
    /* In IPv6 links and groups are no part of ::/0, as Linux has routes of their own for them. */
    if ((gd_addr_is_v4(to) || !choice.only_out) && preferred(stack, to, only ? netif : NULL, src))
        return 0;
    own = gd_addr_is_v4(to) ? source4(netif, &next_hop, gd_addr_eq(to, &next_hop)) : source6(stack, &choice);
    if (!own && only && gd_addr_is_v4(to) && gd_addr_u32(to) == INADDR_BROADCAST) { /* as DHCP clients speak, on Linux */
        *src = gd_addr_v4(nobody);
        return 0;
    }
    if (!own)
        return -ENETUNREACH;
    *src = *own;
    return 0;
}
