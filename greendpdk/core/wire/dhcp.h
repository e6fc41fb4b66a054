/* DHCP's messages (RFC 2131 2) and options (RFC 2132, 3396, 3442): BOOTP's 236 bytes, a cookie, options.
 * Called by net/dhcp*.c; calls util/bytes.h.
 *
 *     0 op | 1 htype | 2 hlen | 3 hops | 4 xid | 8 secs | 10 flags | 12 ciaddr | 16 yiaddr | 20 siaddr | 24 giaddr
 *     28 chaddr, 16 | 44 sname, 64 | 108 file, 128 | 236 cookie | 240 options: code, length, data
 */
#ifndef GD_WIRE_DHCP_H
#define GD_WIRE_DHCP_H
#include "../util/addr.h"

#define GD_DHCP_HEADER 240u /* with the cookie */
#define GD_DHCP_MIN 300u    /* RFC 1542 2.1: relays may drop what is shorter */
#define GD_DHCP_COOKIE 0x63825363u
#define GD_DHCP_BROADCAST 0x8000u /* flags: answer by broadcast, as no address of ours is configured yet */
#define GD_DHCP_FOREVER UINT32_MAX
#define GD_DHCP_SERVER 67u
#define GD_DHCP_DNS 4u
#define GD_DHCP_DOMAIN 254u /* a name of 253 bytes at most (RFC 1035 2.3.4), and the NUL */
#define GD_DHCP_ROUTES 16u
#define GD_DHCP_GATHERED 512u /* of one option, put together: 16 routes take 144 */

enum gd_dhcp_type { /* RFC 2132 9.6 */
                    GD_DHCP_DISCOVER = 1,
                    GD_DHCP_OFFER,
                    GD_DHCP_REQUEST,
                    GD_DHCP_DECLINE,
                    GD_DHCP_ACK,
                    GD_DHCP_NAK,
                    GD_DHCP_RELEASE,
};

enum gd_dhcp_option {
    GD_DHCP_OPT_PAD = 0,
    GD_DHCP_OPT_MASK = 1,
    GD_DHCP_OPT_ROUTER = 3,
    GD_DHCP_OPT_DNS = 6,
    GD_DHCP_OPT_HOSTNAME = 12,
    GD_DHCP_OPT_DOMAIN = 15,
    GD_DHCP_OPT_MTU = 26,
    GD_DHCP_OPT_REQUESTED = 50,
    GD_DHCP_OPT_LEASE = 51,
    GD_DHCP_OPT_OVERLOAD = 52,
    GD_DHCP_OPT_TYPE = 53,
    GD_DHCP_OPT_SERVER = 54,
    GD_DHCP_OPT_WANTED = 55,
    GD_DHCP_OPT_MAX_SIZE = 57,
    GD_DHCP_OPT_T1 = 58,
    GD_DHCP_OPT_T2 = 59,
    GD_DHCP_OPT_CLIENT = 61,
    GD_DHCP_OPT_ROUTES = 121,
    GD_DHCP_OPT_END = 255,
};

struct gd_dhcp_route {
    struct gd_addr prefix, gateway; /* gateway 0.0.0.0: on the link */
    uint8_t bits;                   /* 0..32 */
};

/* What a server offers or grants. Every byte is set, so that memcmp tells whether a renewal changed anything. */
struct gd_dhcp_lease {
    struct gd_addr address, server;
    struct gd_addr dns[GD_DHCP_DNS];
    struct gd_dhcp_route routes[GD_DHCP_ROUTES];
    char domain[GD_DHCP_DOMAIN]; /* where names are searched, with a NUL behind it; empty: not said */
    uint8_t prefix_length, ndns, nroutes;
    uint16_t mtu;           /* 0: not said, or not to be believed */
    uint32_t seconds;       /* GD_DHCP_FOREVER */
    uint32_t renew, rebind; /* T1 and T2, 0 < renew; without meaning if it lasts for ever */
};

struct gd_dhcp_message {
    uint32_t xid;
    const uint8_t *mac; /* six bytes of chaddr */
    uint8_t type;       /* enum gd_dhcp_type */
    bool has_server;
    struct gd_addr server;
    const uint8_t *bytes; /* all of it, len bytes long */
    uint32_t len;
};

/* False: not a server's message of DHCP over Ethernet, or an option runs past its end. */
bool gd_dhcp_parse(const uint8_t *bytes, uint32_t len, struct gd_dhcp_message *message);
/* What an OFFER or ACK grants. False: it lacks what a lease needs, or says what cannot be. */
bool gd_dhcp_parse_lease(const struct gd_dhcp_message *message, struct gd_dhcp_lease *lease);
#endif
