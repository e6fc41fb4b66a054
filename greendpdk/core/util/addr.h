/* One address type for IPv4 (as v4-mapped, RFC 4291 2.5.5.2) and IPv6.
 * Called by everything above port/; calls nothing.
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
