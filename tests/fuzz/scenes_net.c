/* The protocols below TCP over IPv4, and UDP and DHCP: frames of good will of each, for attack.c to spoil.
 * Called by attack.c; calls host.c, frame.c, scenes_net6.c.
 */
#include "scene.h"

#include "scenes_net6.h"

#include <netinet/in.h>
#include <sys/socket.h>

#define ETHER_ARP 0x0806
#define GROUP 0xef010203u /* 239.1.2.3 */

/* A bound socket, a connected one, and a listener: something for each to find. */
static void set_sockets(struct host *host)
{
    static const uint8_t any[16] = {[10] = 0xff, [11] = 0xff};
    struct gd_addr peer = frame_v4(PEER);
    struct gd_sock *bound = host_socket(host, AF_INET, SOCK_DGRAM);
    struct gd_sock *connected = host_socket(host, AF_INET, SOCK_DGRAM);
    struct gd_sock *listener = host_socket(host, AF_INET, SOCK_STREAM);

    HOST_CHECK(gd_sock_bind(bound, any, PORT_UDP) == 0);
    HOST_CHECK(gd_sock_bind(connected, any, 5001) == 0);
    HOST_CHECK(gd_sock_connect(connected, peer.b, 5000) == 0);
    HOST_CHECK(gd_sock_bind(listener, any, PORT_OPEN) == 0);
    HOST_CHECK(gd_sock_listen(listener, 4) == 0);
}

static void set_group(struct host *host)
{
    const uint8_t request[8] = {GROUP >> 24, GROUP >> 16 & 255, GROUP >> 8 & 255, GROUP & 255, 10, 0, 0, OURS};

    set_sockets(host);
    HOST_CHECK(gd_sock_setsockopt(host->socks[0], IPPROTO_IP, IP_ADD_MEMBERSHIP, request, sizeof request) == 0);
}

static uint32_t write_ether(struct host *host, uint8_t *frame, uint8_t variant)
{
    static const uint16_t types[] = {0x0800, 0x0806, 0x86dd, 0x8100, 0x88cc, 0x0026};

    (void)host;
    return frame_ether_ours(frame, PEER, types[variant % 6]) + variant;
}

/* A question, an answer, a gratuitous one, one that claims our address. */
static uint32_t write_arp(struct host *host, uint8_t *frame, uint8_t variant)
{
    uint32_t at = frame_ether_ours(frame, PEER, ETHER_ARP);
    uint8_t *arp = frame + at, sender = variant & 2 ? OURS : variant & 4 ? OTHER : PEER;

    (void)host;
    if (variant & 8)
        memset(frame, 0xff, 6);
    gd_put16(arp, 1);
    gd_put16(arp + 2, 0x0800);
    arp[4] = 6;
    arp[5] = 4;
    gd_put16(arp + 6, variant & 1 ? 2 : 1);
    frame_mac(arp + 8, sender == OURS ? PEER : sender);
    gd_put32(arp + 14, 0x0a000000u | sender);
    memset(arp + 18, 0, 6);
    gd_put32(arp + 24, 0x0a000000u | OURS);
    return at + 28;
}

static uint32_t put_udp(uint8_t *udp, uint16_t from, uint16_t to, uint32_t len)
{
    gd_put16(udp, from);
    gd_put16(udp + 2, to);
    gd_put16(udp + 4, (uint16_t)(8 + len));
    gd_put16(udp + 6, 0);
    memset(udp + 8, 0x2a, len);
    return 8 + len;
}

/* To the bound socket, the connected one, nobody; to us, to everybody, to a group. */
static uint32_t write_udp(struct host *host, uint8_t *frame, uint8_t variant)
{
    static const uint16_t ports[] = {PORT_UDP, 5001, 9, PORT_UDP};
    static const uint32_t to[] = {0x0a000000u | OURS, UINT32_MAX, GROUP, 0x0a0000ffu};
    uint32_t len = variant & 8 ? 1472 : 20;
    uint32_t at = frame_ip4(frame, PEER, to[variant / 4 % 4], IPPROTO_UDP, 8 + len);

    (void)host;
    return at + put_udp(frame + at, 5000, ports[variant % 4], len);
}

/* IPv4 with options: record route, timestamps, source routes, router alert, rubbish. */
static uint32_t write_ip4(struct host *host, uint8_t *frame, uint8_t variant)
{
    static const uint8_t kinds[] = {7, 68, 131, 137, 148, 1, 0, 200};
    uint8_t options = (uint8_t)(4 + variant % 4 * 12);
    uint32_t at = frame_ip4_ours(frame, PEER, variant & 8 ? IPPROTO_UDP : 99, options + 8u + 20);
    uint8_t *ip = frame + FRAME_ETHER;

    (void)host;
    ip[0] = (uint8_t)(0x45 + options / 4);
    memset(ip + 20, 1, options);
    ip[20] = kinds[variant % 8];
    ip[21] = options;
    ip[22] = 4;
    return at + options + put_udp(frame + at + options, 5000, PORT_UDP, 20);
}

/* Echo and the errors, these about a datagram of the connected socket, or a segment of a connection. */
uint32_t write_icmp(struct host *host, uint8_t *frame, uint8_t variant)
{
    static const uint8_t types[] = {8, 3, 11, 12, 0, 13, 5, 4};
    static const uint8_t codes[] = {0, 1, 3, 4, 2, 9, 13, 15};
    uint8_t type = types[variant % 8];
    uint32_t at = frame_ip4_ours(frame, PEER, IPPROTO_ICMP, 8 + 20 + 8 + 20);
    uint8_t *icmp = frame + at, *quote = icmp + 8;

    memset(icmp, 0, 8 + 20 + 8 + 20);
    icmp[0] = type;
    icmp[1] = type == 3 ? codes[(variant >> 5) % 8] : 0;
    if (icmp[1] == 4)
        gd_put16(icmp + 6, 576);
    quote[0] = 0x45;
    gd_put16(quote + 2, 48);
    quote[8] = 60;
    quote[9] = variant & 16 ? IPPROTO_TCP : IPPROTO_UDP;
    gd_put32(quote + 12, 0x0a000000u | OURS);
    gd_put32(quote + 16, 0x0a000000u | PEER);
    gd_put16(quote + 20, variant & 16 ? host->peer.their_port : 5001);
    gd_put16(quote + 22, 5000);
    gd_put32(quote + 24, variant & 16 ? host->peer.rcv_nxt - 1000 : 28u << 16);
    return at + 56;
}

/* Queries of versions 1, 2 and 3, general and of a group, reports, leaves. */
static uint32_t write_igmp(struct host *host, uint8_t *frame, uint8_t variant)
{
    static const uint8_t types[] = {0x11, 0x12, 0x16, 0x17, 0x22, 0x11, 0x11, 0x11};
    static const uint32_t to[] = {0xe0000001u, GROUP, 0xe0000016u, 0xe0000002u};
    uint32_t len = variant & 8 ? 20 : 8;
    uint32_t at = frame_ip4(frame, PEER, to[variant % 4], IPPROTO_IGMP, len);
    uint8_t *igmp = frame + at;

    (void)host;
    frame[FRAME_ETHER + 8] = 1;
    memset(igmp, 0, len);
    igmp[0] = types[variant % 8];
    igmp[1] = variant & 1 ? 10 : 0;
    gd_put32(igmp + 4, variant & 4 ? GROUP : 0);
    if (len > 8) {
        igmp[9] = 20;
        gd_put16(igmp + 10, 2);
        gd_put32(igmp + 12, 0x0a000000u | PEER);
        gd_put32(igmp + 16, 0x0a000000u | OTHER);
    }
    return at + len;
}

/* The parts of a datagram without a checksum: first, middle and last; small, overlapping, of another packet. */
static uint32_t write_fragment(struct host *host, uint8_t *frame, uint8_t variant)
{
    static const uint16_t offsets[] = {0, 64, 128, 192, 8, 56, 65528, 120};
    uint16_t offset = offsets[variant % 8];
    uint32_t len = variant % 8 == 3 ? 40 : variant % 8 == 6 ? 8 : 64;
    uint32_t at = frame_ip4_ours(frame, PEER, IPPROTO_UDP, len);
    bool last = variant % 8 == 3 || variant % 8 == 6;

    (void)host;
    gd_put16(frame + FRAME_ETHER + 4, variant & 8 ? 7 : 8);
    gd_put16(frame + FRAME_ETHER + 6, (uint16_t)((last ? 0 : 0x2000) | offset / 8));
    put_udp(frame + at, 5000, PORT_UDP, len - 8);
    gd_put16(frame + at + 4, 232);
    return at + len;
}

/* The parts of an echo of 2,208 bytes, whose answer leaves in parts too. */
static uint32_t write_echo_parts(struct host *host, uint8_t *frame, uint8_t variant)
{
    uint32_t offset = variant & 1 ? 1480 : 0, len = variant & 1 ? 728 : 1480;
    uint32_t at = frame_ip4_ours(frame, PEER, IPPROTO_ICMP, 2208);
    uint8_t whole[FRAME_MAX];

    (void)host;
    memcpy(whole, frame, at);
    memset(whole + at, variant >> 2, 2208);
    whole[at] = 8;
    whole[at + 1] = 0;
    frame_fix_checksums(whole, at + 2208);
    frame_ip4_ours(frame, PEER, IPPROTO_ICMP, len);
    gd_put16(frame + FRAME_ETHER + 4, variant >> 2);
    gd_put16(frame + FRAME_ETHER + 6, (uint16_t)(offset / 8 | (variant & 1 ? 0 : 0x2000)));
    memcpy(frame + at, whole + at + offset, len);
    return at + len;
}

static void set_dhcp(struct host *host)
{
    set_sockets(host);
    gd_dhcp_stop(host->stack, host->ifindex); /* of the storm's last scene */
    HOST_CHECK(gd_dhcp_start(host->stack, host->ifindex, "fuzz") == 0);
    host_poll(host);
}

static uint8_t *put_option(uint8_t *at, uint8_t code, uint32_t value, uint8_t len)
{
    at[0] = code;
    at[1] = len;
    if (len == 4)
        gd_put32(at + 2, value);
    else if (len == 2)
        gd_put16(at + 2, (uint16_t)value);
    else
        at[2] = (uint8_t)value;
    return at + 2 + len;
}

/* An answer to the client's last message: an offer, a grant, a refusal; of an address, of ours; short, long, for ever.
 */
static uint32_t write_dhcp(struct host *host, uint8_t *frame, uint8_t variant)
{
    static const uint8_t types[] = {2, 5, 6, 5};
    static const uint32_t leases[] = {3600, 60, UINT32_MAX, 0};
    uint32_t at = frame_ip4(frame, PEER, UINT32_MAX, IPPROTO_UDP, 8 + 300);
    uint8_t *message = frame + at + 8, *option = message + 240;

    put_udp(frame + at, 67, 68, 300);
    memset(message, 0, 300);
    message[0] = 2;
    message[1] = 1;
    message[2] = 6;
    gd_put32(message + 4, host->dhcp_xid);
    gd_put32(message + 16, 0x0a000000u | (variant & 8 ? OURS : 77));
    frame_mac(message + 28, OURS);
    gd_put32(message + 236, 0x63825363u);
    option = put_option(option, 53, types[variant % 4], 1);
    option = put_option(option, 54, 0x0a000000u | PEER, 4);
    option = put_option(option, 51, leases[variant / 4 % 4], 4);
    option = put_option(option, 1, variant & 4 ? 0xffffff00u : 0xffff0000u, 4);
    option = put_option(option, 3, 0x0a000000u | ROUTER, 4);
    option = put_option(option, 6, 0x0a000000u | PEER, 4);
    option = put_option(option, 26, 1400, 2);
    if (variant & 16)
        option = put_option(option, 52, variant >> 6, 1); /* options in `file` and `sname` too */
    if (variant & 32) {
        static const uint8_t routes[] = {121, 14, 0, 10, 0, 0, ROUTER, 24, 192, 0, 2, 10, 0, 0, OTHER, 0};

        memcpy(option, routes, sizeof routes);
        option += sizeof routes;
    }
    *option = 255;
    return at + 308;
}

const struct scene scenes_net[] = {
    {"ether", set_sockets, write_ether},
    {"arp", set_sockets, write_arp},
    {"ip4", set_sockets, write_ip4},
    {"udp", set_sockets, write_udp},
    {"icmp", set_sockets, write_icmp},
    {"igmp", set_group, write_igmp},
    {"fragment", set_sockets, write_fragment},
    {"dhcp", set_dhcp, write_dhcp},
    {"udp6", set_sockets6, write_udp6},
    {"extensions", set_sockets6, write_extensions},
    {"icmp6", set_sockets6, write_icmp6},
    {"nd", set_sockets6, write_nd},
    {"ra", set_autoconf, write_ra},
    {"mld", set_group6, write_mld},
    {"fragment6", set_sockets6, write_fragment6},
    {"echo-parts", set_sockets, write_echo_parts},
    {"echo-parts6", set_sockets6, write_echo_parts6},
    {"dad", set_dad, write_nd},
};
const uint32_t scenes_net_count = sizeof scenes_net / sizeof scenes_net[0];
