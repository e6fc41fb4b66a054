/* Takes a DHCP server's message apart. The options stand in up to three places (RFC 2131 4.1, option 52), and one that
 * is longer than 255 bytes comes in pieces (RFC 3396), so each is gathered by a walk over all of them.
 * Called by net/dhcp.c; calls util/bytes.h.
 */
#include "dhcp.h"

#define AT_YIADDR 16u
#define AT_CHADDR 28u
#define AT_SNAME 44u
#define SNAME_LEN 64u
#define AT_FILE 108u
#define FILE_LEN 128u
#define AT_COOKIE 236u
#define MTU_MIN 576u /* RFC 791: what every host takes; less is a mistake or an attack (RFC 2132 5.1 allows 68) */

struct field {
    const uint8_t *data;
    uint32_t len;
};

/* Moves *at past one option; false: the end. The caller has checked the field (is_sound). */
static bool next_option(struct field field, uint32_t *at, uint8_t *code, struct field *data)
{
    while (*at < field.len && field.data[*at] == GD_DHCP_OPT_PAD)
        (*at)++;
    if (*at >= field.len || field.data[*at] == GD_DHCP_OPT_END)
        return false;
    *code = field.data[*at];
    data->len = field.data[*at + 1];
    data->data = field.data + *at + 2;
    *at += 2 + data->len;
    return true;
}

/* Does every option lie within its field? A missing END is forgiven, as Linux's clients do. */
static bool is_sound(struct field field)
{
    uint32_t at = 0;

    while (at < field.len && field.data[at] != GD_DHCP_OPT_END) {
        if (field.data[at] == GD_DHCP_OPT_PAD) {
            at++;
            continue;
        }
        if (at + 1 >= field.len)
            return false;
        at += 2u + field.data[at + 1];
    }
    return at <= field.len;
}

/* Appends every piece of an option in that field; what does not fit is left out. */
static uint32_t gather_from(struct field field, uint8_t wanted, uint8_t *out, uint32_t have, uint32_t room)
{
    struct field data;
    uint32_t at = 0;
    uint8_t code;

    while (next_option(field, &at, &code, &data)) {
        if (code != wanted || data.len > room - have)
            continue;
        memcpy(out + have, data.data, data.len);
        have += data.len;
    }
    return have;
}

static struct field options_of(const uint8_t *bytes, uint32_t len)
{
    return (struct field){bytes + GD_DHCP_HEADER, len - GD_DHCP_HEADER};
}

/* Where options stand besides: in file, then in sname (RFC 3396 5). */
static uint32_t places(const uint8_t *bytes, uint32_t len, struct field *fields)
{
    uint32_t count = 1;
    uint8_t overload = 0;

    fields[0] = options_of(bytes, len);
    gather_from(fields[0], GD_DHCP_OPT_OVERLOAD, &overload, 0, 1);
    if (overload & 1)
        fields[count++] = (struct field){bytes + AT_FILE, FILE_LEN};
    if (overload & 2)
        fields[count++] = (struct field){bytes + AT_SNAME, SNAME_LEN};
    return count;
}

/* The length of an option put together; 0: it is not there. */
static uint32_t gather(const struct gd_dhcp_message *message, uint8_t wanted, uint8_t *out, uint32_t room)
{
    struct field fields[3];
    uint32_t count = places(message->bytes, message->len, fields), have = 0;

    for (uint32_t i = 0; i < count; i++)
        have = gather_from(fields[i], wanted, out, have, room);
    return have;
}

static uint32_t number(const struct gd_dhcp_message *message, uint8_t wanted)
{
    uint8_t four[4];

    return gather(message, wanted, four, sizeof four) == 4 ? gd_get32(four) : 0;
}

bool gd_dhcp_parse(const uint8_t *bytes, uint32_t len, struct gd_dhcp_message *message)
{
    static const uint8_t reply_over_ethernet[3] = {2, 1, 6}; /* BOOTREPLY, hardware type, address length */
    struct field fields[3];
    uint32_t count;
    uint8_t four[4];

    if (len < GD_DHCP_HEADER || memcmp(bytes, reply_over_ethernet, 3) != 0 ||
        gd_get32(bytes + AT_COOKIE) != GD_DHCP_COOKIE || !is_sound(options_of(bytes, len)))
        return false;
    count = places(bytes, len, fields);
    for (uint32_t i = 1; i < count; i++)
        if (!is_sound(fields[i]))
            return false;
    *message =
        (struct gd_dhcp_message){.xid = gd_get32(bytes + 4), .mac = bytes + AT_CHADDR, .bytes = bytes, .len = len};
    if (gather(message, GD_DHCP_OPT_TYPE, &message->type, 1) != 1)
        return false;
    message->has_server = gather(message, GD_DHCP_OPT_SERVER, four, sizeof four) == sizeof four;
    if (message->has_server)
        message->server = gd_addr_v4(four);
    return true;
}

/* ---- the lease ---- */

static bool is_host(const struct gd_addr *addr)
{
    return addr->b[12] != 0 && !gd_addr_is_loopback(addr) && addr->b[12] < 224;
}

/* 33: the ones of the mask are not all in front. */
static uint8_t prefix_of(uint32_t mask)
{
    uint8_t bits = 0;

    while (mask & 0x80000000u) {
        mask <<= 1;
        bits++;
    }
    return mask ? 33 : bits;
}

/* Of a server that names no mask (RFC 2131 4.4.1 asks for one): the class of the address, as other clients do. */
static uint8_t class_prefix(const struct gd_addr *addr)
{
    return addr->b[12] < 128 ? 8 : addr->b[12] < 192 ? 16 : 24;
}

static bool parse_address(const struct gd_dhcp_message *message, struct gd_dhcp_lease *lease)
{
    uint32_t host_bits, host;
    uint8_t four[4];

    lease->address = gd_addr_v4(message->bytes + AT_YIADDR);
    if (!is_host(&lease->address))
        return false;
    lease->prefix_length = class_prefix(&lease->address);
    if (gather(message, GD_DHCP_OPT_MASK, four, sizeof four) == sizeof four)
        lease->prefix_length = prefix_of(gd_get32(four));
    if (lease->prefix_length == 0 || lease->prefix_length > 32)
        return false;
    host_bits = (uint32_t)(UINT64_C(0xffffffff) >> lease->prefix_length);
    host = gd_addr_u32(&lease->address) & host_bits;
    return lease->prefix_length > 30 || (host != 0 && host != host_bits); /* not the network, not everybody */
}

/* RFC 3442: a width, as many bytes of the prefix as that needs, a router. False: it ends within one. */
static bool parse_routes(const uint8_t *data, uint32_t len, struct gd_dhcp_lease *lease)
{
    uint32_t at = 0;

    while (at < len) {
        uint32_t bits = data[at], bytes = (bits + 7) / 8;
        struct gd_dhcp_route route;
        uint8_t prefix[4] = {0};

        if (bits > 32 || len - at < 1 + bytes + 4)
            return false;
        memcpy(prefix, data + at + 1, bytes);
        memset(&route, 0, sizeof route);
        route.bits = (uint8_t)bits;
        route.prefix = gd_addr_v4(prefix);
        route.gateway = gd_addr_v4(data + at + 1 + bytes);
        at += 1 + bytes + 4;
        if ((gd_addr_is_any(&route.gateway) || is_host(&route.gateway)) && lease->nroutes < GD_DHCP_ROUTES)
            lease->routes[lease->nroutes++] = route;
    }
    return true;
}

/* The classless routes, and only without those the routers' option, whose first is the preferred one (RFC 3442). */
static bool parse_ways(const struct gd_dhcp_message *message, struct gd_dhcp_lease *lease)
{
    static const uint8_t any[4] = {0};
    uint8_t data[GD_DHCP_GATHERED];
    uint32_t len = gather(message, GD_DHCP_OPT_ROUTES, data, sizeof data);
    struct gd_dhcp_route *route = &lease->routes[0];

    if (len > 0)
        return parse_routes(data, len, lease);
    if (gather(message, GD_DHCP_OPT_ROUTER, data, sizeof data) < 4)
        return true;
    route->prefix = gd_addr_v4(any);
    route->gateway = gd_addr_v4(data);
    lease->nroutes = is_host(&route->gateway) ? 1 : 0;
    return true;
}

static void parse_dns(const struct gd_dhcp_message *message, struct gd_dhcp_lease *lease)
{
    uint8_t data[GD_DHCP_GATHERED];
    uint32_t len = gather(message, GD_DHCP_OPT_DNS, data, sizeof data);

    for (uint32_t at = 0; at + 4 <= len && lease->ndns < GD_DHCP_DNS; at += 4) {
        struct gd_addr server = gd_addr_v4(data + at);

        if (is_host(&server))
            lease->dns[lease->ndns++] = server;
    }
}

static bool in_name(uint8_t byte)
{
    return (byte >= '0' && byte <= '9') || (byte >= 'A' && byte <= 'Z') || (byte >= 'a' && byte <= 'z') ||
           byte == '-' || byte == '_' || byte == '.';
}

/* RFC 2132 3.17. It ends up in questions and logs, so what is no name at all is not taken. */
static void parse_domain(const struct gd_dhcp_message *message, struct gd_dhcp_lease *lease)
{
    uint8_t data[GD_DHCP_GATHERED];
    uint32_t len = gather(message, GD_DHCP_OPT_DOMAIN, data, sizeof data);

    while (len > 0 && data[len - 1] == 0) /* RFC 2132 2 */
        len--;
    if (len >= sizeof lease->domain)
        return;
    for (uint32_t i = 0; i < len; i++)
        if (!in_name(data[i]))
            return;
    memcpy(lease->domain, data, len);
}

/* RFC 2131 4.4.5: half and seven eighths of the lease, unless the server says better. */
static void parse_times(const struct gd_dhcp_message *message, struct gd_dhcp_lease *lease)
{
    lease->renew = number(message, GD_DHCP_OPT_T1);
    lease->rebind = number(message, GD_DHCP_OPT_T2);
    if (lease->rebind == 0 || lease->rebind >= lease->seconds)
        lease->rebind = (uint32_t)((uint64_t)lease->seconds * 7 / 8);
    if (lease->renew == 0 || lease->renew >= lease->rebind)
        lease->renew = lease->seconds / 2 < lease->rebind ? lease->seconds / 2 : lease->rebind;
    if (lease->renew == 0) /* of a lease of a second: or we would ask for ever, at the speed of the wire */
        lease->renew = 1;
}

bool gd_dhcp_parse_lease(const struct gd_dhcp_message *message, struct gd_dhcp_lease *lease)
{
    uint8_t two[2];

    memset(lease, 0, sizeof *lease);
    if (!message->has_server || !is_host(&message->server) || !parse_address(message, lease) ||
        !parse_ways(message, lease))
        return false;
    lease->server = message->server;
    lease->seconds = number(message, GD_DHCP_OPT_LEASE);
    if (lease->seconds == 0)
        return false;
    parse_times(message, lease);
    parse_dns(message, lease);
    parse_domain(message, lease);
    if (gather(message, GD_DHCP_OPT_MTU, two, sizeof two) == sizeof two && gd_get16(two) >= MTU_MIN)
        lease->mtu = gd_get16(two);
    return true;
}
