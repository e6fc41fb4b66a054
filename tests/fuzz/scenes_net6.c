/* IPv6 and what lives on it below TCP: ICMPv6, neighbour discovery, router advertisements, MLD, fragments, UDP.
 * Called by attack.c; calls host.c, frame.c.
 */
#include "scenes_net6.h"

#include <netinet/in.h>
#include <sys/socket.h>

#define ALL_NODES frame_group6(1)

enum { SOLICIT = 135, ADVERTISE = 136, ROUTER_SOLICIT = 133, ROUTER_ADVERTISE = 134, REDIRECT = 137 };

static struct gd_addr solicited_node(uint8_t number)
{
    return (struct gd_addr){.b = {0xff, 0x02, [11] = 1, [12] = 0xff, [15] = number}};
}

void set_sockets6(struct host *host)
{
    static const uint8_t any[16];
    struct gd_addr peer = frame_global(PEER);
    struct gd_sock *bound = host_socket(host, AF_INET6, SOCK_DGRAM);
    struct gd_sock *connected = host_socket(host, AF_INET6, SOCK_DGRAM);
    struct gd_sock *listener = host_socket(host, AF_INET6, SOCK_STREAM);

    HOST_CHECK(gd_sock_bind(bound, any, PORT_UDP) == 0);
    HOST_CHECK(gd_sock_bind(connected, any, 5001) == 0);
    gd_sock_connect(connected, peer.b, 5000);
    HOST_CHECK(gd_sock_bind(listener, any, PORT_OPEN) == 0);
    HOST_CHECK(gd_sock_listen(listener, 4) == 0);
}

/* What routers say is listened to. */
void set_autoconf(struct host *host)
{
    set_sockets6(host);
    HOST_CHECK(gd_stack_autoconf(host->stack, host->ifindex) == 0);
    host_advance(host, 3 * HOST_S);
}

/* Addresses that are still being asked for. */
void set_dad(struct host *host)
{
    struct gd_addr one = frame_link_local(3), two = frame_global(3);

    set_sockets6(host);
    gd_stack_add_address(host->stack, host->ifindex, one.b, 64);
    gd_stack_add_address(host->stack, host->ifindex, two.b, 64);
}

void set_group6(struct host *host)
{
    struct ipv6_mreq request = {.ipv6mr_interface = (unsigned)host->ifindex};
    struct gd_addr group = frame_group6(0x42);

    set_sockets6(host);
    memcpy(&request.ipv6mr_multiaddr, group.b, sizeof group.b);
    gd_sock_setsockopt(host->socks[0], IPPROTO_IPV6, IPV6_JOIN_GROUP, &request, sizeof request);
}

static uint32_t put_udp(uint8_t *udp, uint16_t to, uint32_t len)
{
    gd_put16(udp, 5000);
    gd_put16(udp + 2, to);
    gd_put16(udp + 4, (uint16_t)(8 + len));
    gd_put16(udp + 6, 0);
    memset(udp + 8, 0x2a, len);
    return 8 + len;
}

uint32_t write_udp6(struct host *host, uint8_t *frame, uint8_t variant)
{
    static const uint16_t ports[] = {PORT_UDP, 5001, 9, PORT_UDP};
    struct gd_addr src = variant & 4 ? frame_link_local(PEER) : frame_global(PEER);
    struct gd_addr to = variant & 8 ? ALL_NODES : variant & 4 ? frame_link_local(OURS) : frame_global(OURS);
    uint32_t at = frame_ip6(frame, PEER, src.b, to.b, IPPROTO_UDP, 64, 28);

    (void)host;
    return at + put_udp(frame + at, ports[variant % 4], 20);
}

/* UDP behind extension headers: options, routing, destination options, in chains, with each action for unknown ones. */
uint32_t write_extensions(struct host *host, uint8_t *frame, uint8_t variant)
{
    static const uint8_t kinds[] = {IPPROTO_HOPOPTS, IPPROTO_DSTOPTS, IPPROTO_ROUTING, 135};
    static const uint8_t options[] = {0x01, 0x05, 0x1e, 0x5e, 0x9e, 0xde, 0xc2, 0x00};
    struct gd_addr src = frame_global(PEER), to = frame_global(OURS);
    uint32_t headers = 1 + variant % 3u, at = frame_ip6(frame, PEER, src.b, to.b, 0, 64, headers * 8 + 28);

    (void)host;
    frame[FRAME_ETHER + 6] = kinds[variant / 2 % 4];
    for (uint32_t i = 0; i < headers; i++) {
        uint8_t *header = frame + at + i * 8;

        memset(header, 0, 8);
        header[0] = i + 1 < headers ? kinds[(variant / 2 + i + 1) % 4] : IPPROTO_UDP;
        header[2] = options[variant % 8];
        header[3] = 4;
    }
    at += headers * 8;
    return at + put_udp(frame + at, PORT_UDP, 20);
}

/* Echo and the errors, these about a datagram of the connected socket, or a segment. */
uint32_t write_icmp6(struct host *host, uint8_t *frame, uint8_t variant)
{
    static const uint8_t types[] = {128, 1, 2, 3, 4, 129, 100, 200};
    struct gd_addr src = frame_global(PEER), to = variant & 32 ? ALL_NODES : frame_global(OURS);
    uint32_t at = frame_ip6(frame, PEER, src.b, to.b, IPPROTO_ICMPV6, 64, 8 + 40 + 20);
    uint8_t *icmp = frame + at, *quote = icmp + 8;

    memset(icmp, 0, 8 + 40 + 20);
    icmp[0] = types[variant % 8];
    icmp[1] = variant >> 6;
    if (icmp[0] == 2)
        gd_put32(icmp + 4, 1300);
    quote[0] = 0x60;
    gd_put16(quote + 4, 28);
    quote[6] = variant & 16 ? IPPROTO_TCP : IPPROTO_UDP;
    memcpy(quote + 8, frame_global(OURS).b, 16);
    memcpy(quote + 24, frame_global(PEER).b, 16);
    gd_put16(quote + 40, variant & 16 ? host->peer.their_port : 5001);
    gd_put16(quote + 42, 5000);
    gd_put32(quote + 44, variant & 16 ? host->peer.rcv_nxt - 1000 : 28u << 16);
    return at + 68;
}

static uint8_t *put_link_option(uint8_t *option, uint8_t type, uint8_t number)
{
    option[0] = type;
    option[1] = 1;
    frame_mac(option + 2, number);
    return option + 8;
}

/* Questions and answers, for us, of us (duplicate address detection), unsolicited; and a redirect. */
uint32_t write_nd(struct host *host, uint8_t *frame, uint8_t variant)
{
    static const struct gd_addr unspecified;
    bool probe = variant % 8 == 2, answer = variant & 1, redirect = variant % 8 == 6;
    struct gd_addr src = probe ? unspecified : frame_link_local(redirect ? ROUTER : PEER);
    uint8_t whom = variant & 16 ? 3 : OURS, who = variant & 16 ? ROUTER : PEER;
    struct gd_addr to = answer || redirect ? frame_global(OURS) : solicited_node(whom);
    struct gd_addr target =
        variant & 8 ? frame_link_local(answer ? who : whom) : frame_global(variant & 5 ? who : whom);
    uint32_t at = frame_ip6(frame, PEER, src.b, to.b, IPPROTO_ICMPV6, 255, probe ? 24 : redirect ? 48 : 32);
    uint8_t *icmp = frame + at;

    (void)host;
    memset(icmp, 0, 64);
    icmp[0] = redirect ? REDIRECT : answer ? ADVERTISE : SOLICIT;
    icmp[4] = answer ? variant & 0xe0 : 0;
    memcpy(icmp + 8, target.b, 16);
    if (redirect)
        memcpy(icmp + 24, frame_global(PEER).b, 16);
    put_link_option(icmp + (redirect ? 40 : 24), answer || redirect ? 2 : 1, PEER);
    return at + (probe ? 24u : redirect ? 48u : 32u);
}

/* Router advertisements: lifetimes, prefixes with each flag, MTU, RDNSS, and their end. */
uint32_t write_ra(struct host *host, uint8_t *frame, uint8_t variant)
{
    struct gd_addr src = frame_link_local(variant & 8 ? PEER : ROUTER), to = ALL_NODES;
    uint32_t at = frame_ip6(frame, ROUTER, src.b, to.b, IPPROTO_ICMPV6, 255, 16 + 8 + 8 + 32 + 24);
    uint8_t *icmp = frame + at, *option = icmp + 16;

    (void)host;
    memset(icmp, 0, 96);
    icmp[0] = variant % 8 == 7 ? ROUTER_SOLICIT : ROUTER_ADVERTISE;
    icmp[4] = 64;
    gd_put16(icmp + 6, variant & 1 ? 0 : 1800);
    gd_put32(icmp + 8, variant & 2 ? 30000 : 0);
    gd_put32(icmp + 12, variant & 4 ? 1000 : 0);
    option = put_link_option(option, 1, ROUTER);
    option[0] = 5; /* MTU */
    option[1] = 1;
    gd_put32(option + 4, variant & 4 ? 1280 : 1500);
    option += 8;
    option[0] = 3; /* prefix 2001:db8:1::/64 */
    option[1] = 4;
    option[2] = 64;
    option[3] = variant & 16 ? 0x80 : 0xc0;
    gd_put32(option + 4, variant & 1 ? 0 : 7200);
    gd_put32(option + 8, variant & 2 ? 0 : 3600);
    gd_put32(option + 16, 0x20010db8u);
    gd_put16(option + 20, variant / 2 % 4);
    option += 32;
    option[0] = 25; /* RDNSS, RFC 8106 5.1 */
    option[1] = 3;
    gd_put32(option + 4, 1200);
    memcpy(option + 8, frame_global(ROUTER).b, 16);
    return at + 88;
}

/* MLD behind a router alert: queries of both versions, general and of a group, reports, done. */
uint32_t write_mld(struct host *host, uint8_t *frame, uint8_t variant)
{
    static const uint8_t types[] = {130, 130, 131, 132, 143, 130, 130, 130};
    struct gd_addr src = frame_link_local(PEER), group = frame_group6(variant & 4 ? 0x42 : 0);
    struct gd_addr to = variant & 4 ? group : ALL_NODES;
    uint32_t len = variant & 8 ? 28 : 24, at = frame_ip6(frame, PEER, src.b, to.b, IPPROTO_HOPOPTS, 1, 8 + len);
    static const uint8_t alert[8] = {IPPROTO_ICMPV6, 0, 5, 2, 0, 0, 1, 0};
    uint8_t *icmp = frame + at + 8;

    (void)host;
    memcpy(frame + at, alert, sizeof alert);
    memset(icmp, 0, len);
    icmp[0] = types[variant % 8];
    gd_put16(icmp + 4, variant & 1 ? 10000 : 100);
    if (variant & 4)
        memcpy(icmp + 8, group.b, 16);
    return at + 8 + len;
}

/* The parts of a datagram whose checksum is right only when they are together: first, middle, last; and wrong ones. */
uint32_t write_fragment6(struct host *host, uint8_t *frame, uint8_t variant)
{
    static const uint16_t offsets[] = {0, 64, 128, 192, 8, 56, 65528, 120};
    struct gd_addr src = frame_global(PEER), to = frame_global(OURS);
    uint8_t whole[FRAME_MAX];
    uint16_t offset = offsets[variant % 8];
    bool last = variant % 8 == 3 || variant % 8 == 6;
    uint32_t len = last ? 40 : 64, at = frame_ip6(whole, PEER, src.b, to.b, IPPROTO_UDP, 64, 232);

    (void)host;
    put_udp(whole + at, PORT_UDP, 224);
    frame_fix_checksums(whole, at + 232);
    at = frame_ip6(frame, PEER, src.b, to.b, IPPROTO_FRAGMENT, 64, 8 + len);
    frame[at] = IPPROTO_UDP;
    frame[at + 1] = 0;
    gd_put16(frame + at + 2, (uint16_t)(offset | (last ? 0 : 1)));
    gd_put32(frame + at + 4, variant & 8 ? 7 : 8);
    memcpy(frame + at + 8, whole + FRAME_ETHER + FRAME_IP6 + offset % 192, len);
    return at + 8 + len;
}

/* An echo that only fits into fragments, as does its answer: the parts of 2,208 bytes. */
uint32_t write_echo_parts6(struct host *host, uint8_t *frame, uint8_t variant)
{
    struct gd_addr src = frame_global(PEER), to = frame_global(OURS);
    uint8_t whole[FRAME_MAX];
    uint32_t offset = variant & 1 ? 1440 : 0, len = variant & 1 ? 768 : 1440;
    uint32_t at = frame_ip6(whole, PEER, src.b, to.b, IPPROTO_ICMPV6, 64, 2208);

    (void)host;
    memset(whole + at, variant >> 2, 2208);
    whole[at] = 128;
    whole[at + 1] = 0;
    frame_fix_checksums(whole, at + 2208);
    at = frame_ip6(frame, PEER, src.b, to.b, IPPROTO_FRAGMENT, 64, 8 + len);
    gd_put32(frame + at, (uint32_t)IPPROTO_ICMPV6 << 24 | offset | (variant & 1 ? 0 : 1));
    gd_put32(frame + at + 4, variant >> 2);
    memcpy(frame + at + 8, whole + FRAME_ETHER + FRAME_IP6 + offset, len);
    return at + 8 + len;
}
