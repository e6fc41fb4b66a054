/* Frames of frame.h, and their judge, which knows the RFCs' layouts by itself and none of the engine's code.
 * Called by the scenes and targets; calls util/bytes.h.
 */
#include "frame.h"

#include <netinet/in.h>

#define ETHER_ARP 0x0806u
#define ETHER_IP4 0x0800u
#define ETHER_IP6 0x86ddu

void frame_mac(uint8_t *mac, uint8_t number)
{
    const uint8_t made[6] = {2, 0, 0, 0, 0, number};

    memcpy(mac, made, sizeof made);
}

struct gd_addr frame_link_local(uint8_t number)
{
    return (struct gd_addr){.b = {0xfe, 0x80, [15] = number}};
}

struct gd_addr frame_global(uint8_t number)
{
    return (struct gd_addr){.b = {0x20, 0x01, 0x0d, 0xb8, [15] = number}};
}

struct gd_addr frame_v4(uint8_t number)
{
    const uint8_t four[4] = {10, 0, 0, number};

    return gd_addr_v4(four);
}

struct gd_addr frame_group6(uint8_t number)
{
    return (struct gd_addr){.b = {0xff, 0x02, [15] = number}};
}

uint32_t frame_ether(uint8_t *frame, const uint8_t *to, uint8_t from, uint16_t type)
{
    memcpy(frame, to, 6);
    frame_mac(frame + 6, from);
    gd_put16(frame + 12, type);
    return FRAME_ETHER;
}

uint32_t frame_ether_ours(uint8_t *frame, uint8_t from, uint16_t type)
{
    uint8_t to[6];

    frame_mac(to, OURS);
    return frame_ether(frame, to, from, type);
}

uint32_t frame_ip4(uint8_t *frame, uint8_t from, uint32_t to, uint8_t proto, uint32_t l4_len)
{
    uint8_t *ip = frame + frame_ether_ours(frame, from, ETHER_IP4);

    if (to == UINT32_MAX)
        memset(frame, 0xff, 6);
    if (to >> 28 == 14) { /* RFC 1112 6.4 */
        gd_put16(frame, 0x0100);
        gd_put32(frame + 2, 0x5e000000u | (to & 0x7fffff));
    }
    memset(ip, 0, FRAME_IP4);
    ip[0] = 0x45;
    gd_put16(ip + 2, (uint16_t)(FRAME_IP4 + l4_len));
    ip[8] = 64;
    ip[9] = proto;
    gd_put32(ip + 12, 0x0a000000u | from);
    gd_put32(ip + 16, to);
    return FRAME_ETHER + FRAME_IP4;
}

uint32_t frame_ip4_ours(uint8_t *frame, uint8_t from, uint8_t proto, uint32_t l4_len)
{
    return frame_ip4(frame, from, 0x0a000000u | OURS, proto, l4_len);
}

uint32_t frame_ip6(uint8_t *frame, uint8_t from, const uint8_t *src, const uint8_t *to, uint8_t next, uint8_t hops,
                   uint32_t l4_len)
{
    uint8_t *ip = frame + frame_ether_ours(frame, from, ETHER_IP6);

    if (to[0] == 0xff) { /* RFC 2464 7 */
        gd_put16(frame, 0x3333);
        memcpy(frame + 2, to + 12, 4);
    }
    gd_put32(ip, 0x60000000u);
    gd_put16(ip + 4, (uint16_t)l4_len);
    ip[6] = next;
    ip[7] = hops;
    memcpy(ip + 8, src, 16);
    memcpy(ip + 24, to, 16);
    return FRAME_ETHER + FRAME_IP6;
}

static uint32_t sum(uint32_t so_far, const uint8_t *data, uint32_t len)
{
    for (uint32_t i = 0; i + 1 < len; i += 2)
        so_far += gd_get16(data + i);
    if (len & 1)
        so_far += (uint32_t)data[len - 1] << 8;
    return so_far;
}

static uint16_t finish(uint32_t total)
{
    while (total >> 16)
        total = (total & 0xffff) + (total >> 16);
    return (uint16_t)~total;
}

/* Skips the extension headers of RFC 8200 4. */
static uint32_t transport6(const uint8_t *ip, uint32_t len, uint8_t *proto, bool *whole)
{
    uint32_t at = FRAME_IP6;

    if (len < FRAME_IP6)
        return 0;
    *proto = ip[6];
    while (*proto == IPPROTO_HOPOPTS || *proto == IPPROTO_ROUTING || *proto == IPPROTO_DSTOPTS ||
           *proto == IPPROTO_FRAGMENT) {
        if (at + 8 > len)
            return 0;
        if (*proto == IPPROTO_FRAGMENT && (gd_get16(ip + at + 2) & 0xfff9) != 0)
            *whole = false;
        *proto = ip[at];
        at += ip[at] == IPPROTO_FRAGMENT || !*whole ? 8u : 8u + ip[at + 1] * 8u;
        if (!*whole)
            break;
    }
    return at <= len ? at : 0;
}

uint32_t frame_transport(const uint8_t *frame, uint32_t len, uint8_t *proto, bool *whole)
{
    const uint8_t *ip = frame + FRAME_ETHER;
    uint32_t header, at;

    *whole = true;
    if (len < FRAME_ETHER + FRAME_IP4)
        return 0;
    if (gd_get16(frame + 12) == ETHER_IP6) {
        at = transport6(ip, len - FRAME_ETHER, proto, whole);
        return at ? FRAME_ETHER + at : 0;
    }
    header = (ip[0] & 15u) * 4;
    if (gd_get16(frame + 12) != ETHER_IP4 || header < FRAME_IP4 || FRAME_ETHER + header > len)
        return 0;
    *proto = ip[9];
    *whole = (gd_get16(ip + 6) & 0x3fff) == 0;
    return FRAME_ETHER + header;
}

/* The sum of the pseudo header. */
static uint32_t pseudo(const uint8_t *frame, uint8_t proto, uint32_t l4_len)
{
    const uint8_t *ip = frame + FRAME_ETHER;
    bool v6 = gd_get16(frame + 12) == ETHER_IP6;

    return sum(proto + (l4_len >> 16) + (l4_len & 0xffff), v6 ? ip + 8 : ip + 12, v6 ? 32 : 8);
}

/* Where in the transport header its checksum stands; 0: it has none that we know of. */
static uint32_t checksum_at(const uint8_t *frame, uint8_t proto)
{
    bool v6 = gd_get16(frame + 12) == ETHER_IP6;

    if (proto == IPPROTO_TCP)
        return 16;
    if (proto == IPPROTO_UDP)
        return 6;
    if (proto == IPPROTO_ICMPV6 && v6)
        return 2;
    return (proto == IPPROTO_ICMP || proto == IPPROTO_IGMP) && !v6 ? 2 : 0;
}

static bool has_pseudo(uint8_t proto)
{
    return proto != IPPROTO_ICMP && proto != IPPROTO_IGMP;
}

/* What IP says its payload ends at, within the frame. */
static uint32_t end_of(const uint8_t *frame, uint32_t len)
{
    const uint8_t *ip = frame + FRAME_ETHER;
    bool v6 = gd_get16(frame + 12) == ETHER_IP6;
    uint32_t end = FRAME_ETHER + (v6 ? FRAME_IP6 + gd_get16(ip + 4) : gd_get16(ip + 2));

    return end < len ? end : len;
}

void frame_fix_lengths(uint8_t *frame, uint32_t len)
{
    uint8_t *ip = frame + FRAME_ETHER, proto;
    bool whole;
    uint32_t at = frame_transport(frame, len, &proto, &whole);

    if (at == 0)
        return;
    if (gd_get16(frame + 12) == ETHER_IP6)
        gd_put16(ip + 4, (uint16_t)(len - FRAME_ETHER - FRAME_IP6));
    else
        gd_put16(ip + 2, (uint16_t)(len - FRAME_ETHER));
    if (proto == IPPROTO_UDP && whole && at + 8 <= len)
        gd_put16(frame + at + 4, (uint16_t)(len - at));
}

void frame_fix_checksums(uint8_t *frame, uint32_t len)
{
    uint8_t *ip = frame + FRAME_ETHER, proto;
    bool whole;
    uint32_t at = frame_transport(frame, len, &proto, &whole), field, end;

    if (at == 0)
        return;
    if (gd_get16(frame + 12) == ETHER_IP4) {
        gd_put16(ip + 10, 0);
        gd_put16(ip + 10, finish(sum(0, ip, (ip[0] & 15u) * 4)));
    }
    field = checksum_at(frame, proto);
    end = end_of(frame, len);
    if (field == 0 || !whole || at + field + 2 > end)
        return;
    gd_put16(frame + at + field, 0);
    gd_put16(frame + at + field,
             finish(sum(has_pseudo(proto) ? pseudo(frame, proto, end - at) : 0, frame + at, end - at)));
}

static const char *transport_fault(const uint8_t *frame, uint32_t at, uint32_t end, uint8_t proto)
{
    const uint8_t *l4 = frame + at;
    uint32_t field = checksum_at(frame, proto), len = end - at;

    if (field == 0)
        return "a protocol that the stack does not speak";
    if (len < field + 2 || (proto == IPPROTO_TCP && (len < 20 || (l4[12] >> 4) * 4u < 20 || (l4[12] >> 4) * 4u > len)))
        return "a transport header that is cut short";
    if (proto == IPPROTO_UDP && gd_get16(l4 + 4) != len)
        return "UDP's length";
    if (proto == IPPROTO_UDP && gd_get16(l4 + 6) == 0)
        return "UDP without a checksum";
    if (finish(sum(has_pseudo(proto) ? pseudo(frame, proto, len) : 0, l4, len)) != 0)
        return "the transport checksum";
    return NULL;
}

const char *frame_fault(const uint8_t *frame, uint32_t len, uint32_t mtu)
{
    const uint8_t *ip = frame + FRAME_ETHER;
    uint8_t ours[6], proto = 0;
    uint32_t at;
    bool whole;

    frame_mac(ours, OURS);
    if (len < FRAME_ETHER || len > mtu + FRAME_ETHER)
        return "the frame's length";
    if (memcmp(frame + 6, ours, 6) != 0)
        return "the source MAC address";
    if (gd_get16(frame + 12) == ETHER_ARP)
        return len >= FRAME_ETHER + 28 ? NULL : "a short ARP packet";
    at = frame_transport(frame, len, &proto, &whole);
    if (at == 0)
        return "neither ARP nor IP";
    if (gd_get16(frame + 12) == ETHER_IP6) {
        if (ip[0] >> 4 != 6 || FRAME_ETHER + FRAME_IP6 + gd_get16(ip + 4) != len)
            return "IPv6's version or length";
        if (ip[8] == 0xff)
            return "a group as IPv6 source";
    } else {
        if (ip[0] >> 4 != 4 || gd_get16(ip + 2) + FRAME_ETHER != len)
            return "IPv4's version or length";
        if (finish(sum(0, ip, (ip[0] & 15u) * 4)) != 0)
            return "IPv4's checksum";
        if (ip[12] >= 224)
            return "a group as IPv4 source";
    }
    return whole ? transport_fault(frame, at, len, proto) : NULL;
}

bool frame_names(const uint8_t *frame, uint32_t len, uint8_t number)
{
    const uint8_t four[3] = {10, 0, 0}, tail[7] = {0};

    for (uint32_t i = FRAME_ETHER + 3; i < len; i++) {
        if (frame[i] != number)
            continue;
        if (memcmp(frame + i - 3, four, 3) == 0 || memcmp(frame + i - 7, tail, 7) == 0)
            return true;
    }
    return false;
}
