/* DHCP's messages out (RFC 2131 4.4.1, table 5). While there is no address the packet is made here, from 0.0.0.0 to
 * everybody, past routes and neighbours; afterwards it goes as any datagram does.
 * Called by net/dhcp.c; calls net/ip.c, net/ether.c, wire/dhcp.h.
 */
#include "../stack.h"
#include "../util/checksum.h"
#include "../wire/ether.h"
#include "../wire/ip4.h"
#include "../wire/udp.h"
#include "dhcp.h"

#include <netinet/in.h>

#define MESSAGE_MAX (GD_DHCP_HEADER + 64u + 2u + GD_DHCP_HOSTNAME) /* the options below, counted generously */
#define HEADERS (GD_ETHER_HEADER + GD_IP4_HEADER + GD_UDP_HEADER)
#define AT_SECS 8u
#define AT_FLAGS 10u
#define AT_CIADDR 12u
#define AT_CHADDR 28u
#define AT_COOKIE 236u

/* Classless routes stand before the router (RFC 3442): some servers send in the order asked, and cut off the end. */
static const uint8_t wanted[] = {GD_DHCP_OPT_MASK,  GD_DHCP_OPT_ROUTES, GD_DHCP_OPT_ROUTER,
                                 GD_DHCP_OPT_DNS,   GD_DHCP_OPT_DOMAIN, GD_DHCP_OPT_MTU,
                                 GD_DHCP_OPT_LEASE, GD_DHCP_OPT_T1,     GD_DHCP_OPT_T2};

static uint8_t *put(uint8_t *at, uint8_t code, const void *data, uint32_t len)
{
    at[0] = code;
    at[1] = (uint8_t)len;
    memcpy(at + 2, data, len);
    return at + 2 + len;
}

static uint8_t *put_addr(uint8_t *at, uint8_t code, const struct gd_addr *addr)
{
    return put(at, code, addr->b + 12, 4);
}

/* Which of the two names an address, and the server: RFC 2131 table 4. */
static bool is_for_offer(const struct gd_dhcp *dhcp, enum gd_dhcp_type type)
{
    return type == GD_DHCP_DECLINE || (type == GD_DHCP_REQUEST && dhcp->state == GD_DHCP_REQUESTING);
}

static uint8_t *put_options(const struct gd_dhcp *dhcp, enum gd_dhcp_type type, uint8_t *at)
{
    uint8_t code = (uint8_t)type, client[7] = {1}, size[2]; /* RFC 2132 9.14: the hardware's type and address */
    uint32_t largest = dhcp->netif->port->mtu < 1500 ? dhcp->netif->port->mtu : 1500;

    memcpy(client + 1, dhcp->netif->port->mac, GD_ETHER_MAC);
    at = put(at, GD_DHCP_OPT_TYPE, &code, 1);
    at = put(at, GD_DHCP_OPT_CLIENT, client, sizeof client);
    if (is_for_offer(dhcp, type)) {
        at = put_addr(at, GD_DHCP_OPT_REQUESTED, &dhcp->offer.address);
        at = put_addr(at, GD_DHCP_OPT_SERVER, &dhcp->offer.server);
    }
    if (type == GD_DHCP_RELEASE)
        at = put_addr(at, GD_DHCP_OPT_SERVER, &dhcp->lease.server);
    if (type == GD_DHCP_DISCOVER || type == GD_DHCP_REQUEST) {
        gd_put16(size, (uint16_t)(largest < 576 ? 576 : largest)); /* RFC 2132 9.10 */
        at = put(at, GD_DHCP_OPT_MAX_SIZE, size, sizeof size);
        at = put(at, GD_DHCP_OPT_WANTED, wanted, sizeof wanted);
        if (dhcp->hostname[0])
            at = put(at, GD_DHCP_OPT_HOSTNAME, dhcp->hostname, (uint32_t)strlen(dhcp->hostname));
    }
    *at++ = GD_DHCP_OPT_END;
    return at;
}

/* At `out` there is room for MESSAGE_MAX. Returns the length. */
static uint32_t write_message(const struct gd_dhcp *dhcp, enum gd_dhcp_type type, uint8_t *out, uint64_t now)
{
    static const uint8_t request_over_ethernet[4] = {1, 1, 6, 0};
    uint64_t secs = type == GD_DHCP_RELEASE || type == GD_DHCP_DECLINE ? 0 : (now - dhcp->begun_at) / 1000000000u;
    uint32_t len;

    memset(out, 0, MESSAGE_MAX);
    memcpy(out, request_over_ethernet, sizeof request_over_ethernet);
    gd_put32(out + 4, dhcp->xid);
    gd_put16(out + AT_SECS, (uint16_t)(secs < UINT16_MAX ? secs : UINT16_MAX));
    if (dhcp->bound)
        memcpy(out + AT_CIADDR, dhcp->lease.address.b + 12, 4);
    else if (type != GD_DHCP_DECLINE) /* IP takes nothing for an address that it does not have yet */
        gd_put16(out + AT_FLAGS, GD_DHCP_BROADCAST);
    memcpy(out + AT_CHADDR, dhcp->netif->port->mac, GD_ETHER_MAC);
    gd_put32(out + AT_COOKIE, GD_DHCP_COOKIE);
    len = (uint32_t)(put_options(dhcp, type, out + GD_DHCP_HEADER) - out);
    return len < GD_DHCP_MIN ? GD_DHCP_MIN : len;
}

static void write_udp(uint8_t *l4, uint32_t message_len)
{
    struct gd_udp_header header = {GD_DHCP_CLIENT, GD_DHCP_SERVER, GD_UDP_HEADER + message_len, 0};

    gd_udp_write(l4, &header);
}

/* From src to everybody on the link. */
static void send_to_all(struct gd_dhcp *dhcp, enum gd_dhcp_type type, const struct gd_addr *src, uint64_t now)
{
    static const uint8_t everybody[GD_ETHER_MAC] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    struct gd_netif *netif = dhcp->netif;
    struct gd_ip4 ip = {.ttl = GD_TTL, .proto = IPPROTO_UDP, .src = *src, .dst = gd_addr_v4(everybody)};
    struct gd_frame *frame = gd_netif_alloc(netif);
    uint8_t *l3, *l4;
    uint32_t len;
    uint16_t sum;

    if (!frame)
        return; /* counted; the next try has another */
    if (frame->room < HEADERS + MESSAGE_MAX) {
        gd_count(&netif->stack->stats, GD_STAT_dhcp_drop_no_room);
        gd_netif_give(netif, frame);
        return;
    }
    l3 = frame->data + GD_ETHER_HEADER;
    l4 = l3 + GD_IP4_HEADER;
    len = GD_UDP_HEADER + write_message(dhcp, type, l4 + GD_UDP_HEADER, now);
    write_udp(l4, len - GD_UDP_HEADER);
    sum = gd_checksum_finish(gd_checksum_add(gd_ip_pseudo(&ip.src, &ip.dst, IPPROTO_UDP, len), l4, len));
    gd_put16(l4 + 6, sum == 0 ? 0xffff : sum); /* 0 would say "none" (RFC 768) */
    ip.total_len = GD_IP4_HEADER + len;
    gd_ip4_write(l3, &ip, (uint16_t)gd_random_next(&netif->stack->random));
    gd_put16(l3 + 10, gd_checksum_finish(gd_checksum_add(0, l3, GD_IP4_HEADER)));
    gd_ether_write(frame->data, everybody, netif->port->mac, GD_ETHER_IP4);
    frame->len = GD_ETHER_HEADER + ip.total_len;
    frame->flags = 0;
    gd_netif_queue(netif, frame);
    gd_count(&netif->stack->stats, GD_STAT_dhcp_out);
}

static void send_to_server(struct gd_dhcp *dhcp, enum gd_dhcp_type type, uint64_t now)
{
    struct gd_stack *stack = dhcp->netif->stack;
    struct gd_ip_fields fields = {
        .src = &dhcp->lease.address, .dst = &dhcp->lease.server, .proto = IPPROTO_UDP, .ttl = GD_TTL};
    struct gd_dst dst = {0};
    struct gd_out out;
    uint32_t len;

    if (gd_ip_begin(stack, &dst, &fields, &out) < 0) {
        gd_count(&stack->stats, GD_STAT_dhcp_drop_no_room);
        return;
    }
    if (out.room < GD_UDP_HEADER + MESSAGE_MAX) {
        gd_count(&stack->stats, GD_STAT_dhcp_drop_no_room);
        gd_ip_cancel(&out);
        return;
    }
    len = write_message(dhcp, type, out.l4 + GD_UDP_HEADER, now);
    write_udp(out.l4, len);
    gd_ip_end(stack, &fields, &out, GD_UDP_HEADER + len);
    gd_count(&stack->stats, GD_STAT_dhcp_out);
}

void gd_dhcp_send(struct gd_dhcp *dhcp, enum gd_dhcp_type type, uint64_t now)
{
    static const uint8_t any[4] = {0};
    struct gd_addr nobody = gd_addr_v4(any);

    if (type == GD_DHCP_DISCOVER)
        dhcp->seen.discovers++;
    if (type == GD_DHCP_RELEASE || dhcp->state == GD_DHCP_RENEWING)
        send_to_server(dhcp, type, now);
    else
        send_to_all(dhcp, type, dhcp->bound ? &dhcp->lease.address : &nobody, now);
}
