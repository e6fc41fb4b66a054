/* One address type for IPv4 (as v4-mapped, RFC 4291 2.5.5.2) and IPv6.
 * Called by everything above port/; calls nothing.
 *
 * An IPv6 address of link scope means something on its own link only (RFC 4007), so it carries the index of its
 * interface in its bytes 2 and 3, which are zero on the wire: what looks addresses up needs no second key.
 *
 *     fe80:0003::1      fe80::1 on interface 3          ff02:0003::fb      that group there
 */
#ifndef GD_UTIL_ADDR_H
#define GD_UTIL_ADDR_H
#include "bytes.h"

#include <stdbool.h>

struct gd_addr {
    uint8_t b[16];
};

struct gd_endpoint {
    struct gd_addr addr;
    uint16_t port; /* host byte order */
};

static inline struct gd_addr gd_addr_v4(const uint8_t *four)
{
    struct gd_addr addr = {.b = {[10] = 0xff, [11] = 0xff}};

    memcpy(addr.b + 12, four, 4);
    return addr;
}

static inline bool gd_addr_is_v4(const struct gd_addr *addr)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

    return memcmp(addr->b, mapped, 12) == 0;
}

/* The four bytes of a v4 address as a number. */
static inline uint32_t gd_addr_u32(const struct gd_addr *addr)
{
    return gd_get32(addr->b + 12);
}

static inline bool gd_addr_eq(const struct gd_addr *a, const struct gd_addr *b)
{
    return memcmp(a->b, b->b, 16) == 0;
}

/* 0.0.0.0 or :: */
static inline bool gd_addr_is_any(const struct gd_addr *addr)
{
    static const uint8_t zero[16] = {0};

    return memcmp(addr->b, zero, 16) == 0 || (gd_addr_is_v4(addr) && gd_addr_u32(addr) == 0);
}

/* 127.0.0.0/8 or ::1 */
static inline bool gd_addr_is_loopback(const struct gd_addr *addr)
{
    static const uint8_t one[16] = {[15] = 1};

    return gd_addr_is_v4(addr) ? addr->b[12] == 127 : memcmp(addr->b, one, 16) == 0;
}

/* fe80::/10, in either form */
static inline bool gd_addr_is_link_local(const struct gd_addr *addr)
{
    return addr->b[0] == 0xfe && (addr->b[1] & 0xc0) == 0x80;
}

/* Of link scope or less: fe80::/10, ff01::/16, ff02::/16 (with any flags, RFC 4291 2.7). */
static inline bool gd_addr_is_scoped(const struct gd_addr *addr)
{
    return gd_addr_is_link_local(addr) || (addr->b[0] == 0xff && ((addr->b[1] & 15) == 1 || (addr->b[1] & 15) == 2));
}

/* The index of the interface whose link it is; 0: none is given, or it needs none. */
static inline int gd_addr_scope(const struct gd_addr *addr)
{
    return gd_addr_is_scoped(addr) ? gd_get16(addr->b + 2) : 0;
}

/* The same on the link of that interface; index 0: as it is on the wire. */
static inline struct gd_addr gd_addr_on(const struct gd_addr *addr, int index)
{
    struct gd_addr scoped = *addr;

    if (gd_addr_is_scoped(addr))
        gd_put16(scoped.b + 2, (uint16_t)index);
    return scoped;
}

/* 224.0.0.0/4 or ff00::/8 */
static inline bool gd_addr_is_multicast(const struct gd_addr *addr)
{
    return gd_addr_is_v4(addr) ? (addr->b[12] & 0xf0) == 0xe0 : addr->b[0] == 0xff;
}

static inline bool gd_endpoint_eq(const struct gd_endpoint *a, const struct gd_endpoint *b)
{
    return a->port == b->port && gd_addr_eq(&a->addr, &b->addr);
}
#endif
