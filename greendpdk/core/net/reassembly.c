/* Fragments put together (RFC 791 3.2, RFC 8200 4.5), whatever a peer makes of them.
 * Called by net/ip4.c, net/ip6_fragment.c; calls net/reassembly_table.c, sock/buffer.c.
 *
 *     fragment ──► sane? ──► datagram (src, dst, protocol, id) ──► all its units new? ──► copied ──► all there? ──► whole
 *                                                            └──► an exact duplicate: ignored
 *                                                            └──► any other overlap: the datagram dies (RFC 5722)
 *     have    1 1 1 1 1 1 0 0 0 0 1 1 1 1      a bit for each 8 bytes: found and compared in 128 words at most,
 *     starts  1 0 0 1 0 0 0 0 0 0 1 0 0 0      however a peer cuts its datagrams
 */
#include "reassembly.h"
#include "../stack.h"
#include "../util/checksum.h"
#include "../wire/ip6.h"

#include <netinet/in.h>

enum { ECN_NONE = 1 << 0, ECN_CE = 1 << 3 }; /* of gd_datagram.ecn: 1 << the code (RFC 3168 5) */

/* Of a first fragment: RFC 1858 3, what would hide the ports and flags from a filter on the way. */
static bool hides_transport(uint8_t proto, const uint8_t *l4, uint32_t len)
{
    if (proto == IPPROTO_TCP)
        return len < 20 || len < (l4[12] >> 4) * 4u;
    return (proto == IPPROTO_UDP || proto == IPPROTO_ICMP || proto == IPPROTO_ICMPV6) && len < 8;
}

static bool is_tiny(const struct gd_packet *packet, const struct gd_fragment *fragment)
{
    uint32_t at, len = packet->ip_len + GD_IP6_FRAGMENT_HEADER + packet->l4_len;
    uint8_t proto;

    if (fragment->offset > 0) /* RFC 3128: would write over TCP's flags */
        return packet->proto == IPPROTO_TCP && fragment->offset < 20;
    if (gd_addr_is_v4(&packet->src))
        return hides_transport(packet->proto, packet->l4, packet->l4_len);
    at = gd_ip6_skip(packet->ip, len, &proto);
    return at == 0 || hides_transport(proto, packet->ip + at, len - at); /* RFC 7112 */
}

static bool is_sane(struct gd_stack *stack, const struct gd_packet *packet, const struct gd_fragment *fragment)
{
    bool v4 = gd_addr_is_v4(&packet->src);
    uint32_t before = packet->ip_len - (v4 ? 0 : GD_IP6_HEADER); /* that the length field counts */
    uint32_t kept = packet->ip_len + (v4 ? 0 : GD_IP6_FRAGMENT_HEADER);

    if (packet->whole || packet->l4_len == 0 || (fragment->more && packet->l4_len % 8 != 0) || kept > GD_REASSEMBLY_HEADER)
        gd_count(&stack->stats, GD_STAT_fragment_drop_malformed);
    else if (before + fragment->offset + packet->l4_len > GD_REASSEMBLY_LEN) /* the ping of death */
        gd_count(&stack->stats, GD_STAT_fragment_drop_oversize);
    else if (is_tiny(packet, fragment))
        gd_count(&stack->stats, GD_STAT_fragment_drop_tiny);
    else
        return true;
    return false;
}

static bool has(const uint64_t *bits, uint32_t at)
{
    return (bits[at / 64] >> at % 64 & 1) != 0;
}

/* The bits of word number `word` that stand in [from, to). */
static uint64_t mask_of(uint32_t word, uint32_t from, uint32_t to)
{
    uint64_t mask = UINT64_MAX;

    if (from > word * 64)
        mask &= UINT64_MAX << (from - word * 64);
    if (to < word * 64 + 64)
        mask &= UINT64_MAX >> (word * 64 + 64 - to);
    return mask;
}

static uint32_t count_bits(const uint64_t *bits, uint32_t from, uint32_t to)
{
    uint32_t count = 0;

    for (uint32_t word = from / 64; word * 64 < to; word++)
        count += (uint32_t)__builtin_popcountll(bits[word] & mask_of(word, from, to));
    return count;
}

static void set_bits(uint64_t *bits, uint32_t from, uint32_t to)
{
    for (uint32_t word = from / 64; word * 64 < to; word++)
        bits[word] |= mask_of(word, from, to);
}

/* The same range as one that came, and the same bytes. */
static bool is_duplicate(struct gd_stack *stack, const struct gd_datagram *datagram, const struct gd_packet *packet,
                         uint32_t offset)
{
    uint32_t from = offset / 8, to = (offset + packet->l4_len + 7) / 8;
    bool ends = to == GD_REASSEMBLY_UNITS || !has(datagram->have, to) || has(datagram->starts, to);

    if (count_bits(datagram->have, from, to) < to - from || !has(datagram->starts, from) || !ends ||
        count_bits(datagram->starts, from, to) != 1)
        return false;
    gd_buffer_read(&datagram->data, offset, stack->reassembly.whole, packet->l4_len);
    return memcmp(stack->reassembly.whole, packet->l4, packet->l4_len) == 0;
}

/* IPv6: what is still to come of it dies too (RFC 5722 4). In IPv4, whose 16-bit identifications come again soon, a
 * datagram that begins anew has its chance, as on Linux. */
static void kill(struct gd_stack *stack, struct gd_datagram *datagram)
{
    if (gd_addr_is_v4(&datagram->src)) {
        gd_datagram_release(stack, datagram);
        return;
    }
    gd_datagram_clear(stack, datagram);
    datagram->dead = true;
}

static bool lengths_agree(struct gd_datagram *datagram, uint32_t end, bool more)
{
    if (more ? datagram->total && end > datagram->total
             : (datagram->total && end != datagram->total) || end < datagram->end)
        return false;
    if (!more)
        datagram->total = end;
    if (end > datagram->end)
        datagram->end = end;
    return true;
}

static bool copy(struct gd_stack *stack, struct gd_datagram *datagram, const struct gd_packet *packet, uint32_t offset)
{
    uint64_t before = stack->pool.used;
    uint32_t grown;

    if (!gd_datagram_room(stack, datagram, (packet->l4_len / GD_CHUNK + 2) * GD_CHUNK))
        return false;
    before = stack->pool.used;
    if (gd_buffer_write(&stack->pool, &datagram->data, offset, packet->l4, packet->l4_len) < 0)
        return false;
    grown = (uint32_t)(stack->pool.used - before);
    datagram->bytes += grown;
    stack->reassembly.bytes += grown;
    stack->reassembly.shares[datagram->share].bytes += grown;
    return true;
}

/* Of the first fragment: these headers are the datagram's (RFC 8200 4.5). */
static void keep_headers(struct gd_datagram *datagram, const struct gd_packet *packet)
{
    uint32_t kept = packet->ip_len + (gd_addr_is_v4(&packet->src) ? 0 : GD_IP6_FRAGMENT_HEADER);

    memcpy(datagram->header, packet->ip, kept);
    datagram->header_len = packet->ip_len;
    datagram->next_at = packet->next_at;
    datagram->first_len = packet->l4_len;
    datagram->tos = packet->tos;
    datagram->ttl = packet->ttl;
}

/* True: it was new and is in place. */
static bool place(struct gd_stack *stack, struct gd_datagram *datagram, const struct gd_packet *packet,
                  const struct gd_fragment *fragment)
{
    uint32_t from = fragment->offset / 8, to = (fragment->offset + packet->l4_len + 7) / 8;

    if (!lengths_agree(datagram, fragment->offset + packet->l4_len, fragment->more)) {
        gd_count(&stack->stats, GD_STAT_fragment_drop_length);
        kill(stack, datagram);
        return false;
    }
    if (count_bits(datagram->have, from, to) > 0) {
        bool duplicate = is_duplicate(stack, datagram, packet, fragment->offset);

        gd_count(&stack->stats, duplicate ? GD_STAT_fragment_drop_duplicate : GD_STAT_fragment_drop_overlap);
        if (!duplicate)
            kill(stack, datagram);
        return false;
    }
    if (!copy(stack, datagram, packet, fragment->offset)) {
        gd_count(&stack->stats, GD_STAT_fragment_drop_memory);
        gd_datagram_release(stack, datagram);
        return false;
    }
    set_bits(datagram->have, from, to);
    set_bits(datagram->starts, from, from + 1);
    datagram->units += to - from;
    datagram->ecn |= (uint8_t)(1 << (packet->tos & 3));
    datagram->to_group = datagram->to_group || packet->to_group;
    if (fragment->offset == 0)
        keep_headers(datagram, packet);
    return true;
}

/* RFC 3168 5.3: congestion that one fragment met is the datagram's; a mix with those that cannot tell is none at all. */
static bool join_ecn(struct gd_datagram *datagram)
{
    if (datagram->ecn & ECN_NONE && datagram->ecn != ECN_NONE)
        return false;
    if (datagram->ecn & ECN_CE)
        datagram->tos |= 3;
    return true;
}

/* What the whole's length field counts, of which its first fragment's headers are a part. */
static uint32_t length_of(const struct gd_datagram *datagram)
{
    return datagram->header_len - (gd_addr_is_v4(&datagram->src) ? 0 : GD_IP6_HEADER) + datagram->total;
}

/* Its headers say what the whole would have said. */
static void write_headers(uint8_t *ip, const struct gd_datagram *datagram)
{
    memcpy(ip, datagram->header, datagram->header_len);
    if (!gd_addr_is_v4(&datagram->src)) {
        ip[0] = (uint8_t)(6 << 4 | datagram->tos >> 4);
        ip[1] = (uint8_t)(datagram->tos << 4 | (ip[1] & 15));
        ip[datagram->next_at] = datagram->proto;
        gd_put16(ip + 4, (uint16_t)length_of(datagram));
        return;
    }
    ip[1] = datagram->tos;
    gd_put16(ip + 2, (uint16_t)length_of(datagram));
    gd_put16(ip + 6, 0);
    gd_put16(ip + 10, 0);
    gd_put16(ip + 10, gd_checksum_finish(gd_checksum_add(0, ip, datagram->header_len)));
}

static bool finish(struct gd_stack *stack, struct gd_datagram *datagram, struct gd_packet *packet)
{
    uint8_t *l4 = stack->reassembly.whole + GD_REASSEMBLY_HEADER;
    enum gd_counter result = GD_STAT_fragment_whole;

    if (length_of(datagram) > GD_REASSEMBLY_LEN)
        result = GD_STAT_fragment_drop_oversize;
    else if (!join_ecn(datagram))
        result = GD_STAT_fragment_drop_ecn;
    if (result == GD_STAT_fragment_whole) {
        write_headers(l4 - datagram->header_len, datagram);
        gd_buffer_read(&datagram->data, 0, l4, datagram->total);
        packet->ip = l4 - datagram->header_len;
        packet->ip_len = datagram->header_len;
        packet->l4 = l4;
        packet->l4_len = datagram->total;
        packet->next_at = datagram->next_at;
        packet->whole = true;
        packet->tos = datagram->tos;
        packet->ttl = datagram->ttl;
        packet->to_group = datagram->to_group;
        packet->l4_csum_ok = packet->l4_csum_doubt = false; /* the port saw fragments only */
    }
    gd_count(&stack->stats, result);
    gd_datagram_release(stack, datagram);
    return result == GD_STAT_fragment_whole;
}

bool gd_reassemble(struct gd_stack *stack, struct gd_packet *packet, const struct gd_fragment *fragment, uint64_t now)
{
    struct gd_datagram *datagram;

    gd_count(&stack->stats, GD_STAT_fragment_in);
    if (!is_sane(stack, packet, fragment))
        return false;
    datagram = gd_datagram_get(stack, packet, fragment->id, now);
    if (!datagram) {
        gd_count(&stack->stats, GD_STAT_fragment_drop_memory);
        return false;
    }
    if (datagram->dead) {
        gd_count(&stack->stats, GD_STAT_fragment_drop_overlap);
        return false;
    }
    return place(stack, datagram, packet, fragment) && datagram->total &&
           datagram->units == (datagram->total + 7) / 8 && finish(stack, datagram, packet);
}
