/* Reads and writes big-endian numbers at any alignment: the only way to the wire's bytes.
 * Called by wire/ and everything that builds or takes frames apart; calls nothing.
 */
#ifndef GD_UTIL_BYTES_H
#define GD_UTIL_BYTES_H
#include <stdint.h>
#include <string.h>

static inline uint16_t gd_get16(const uint8_t *p)
{
    return (uint16_t)((uint16_t)p[0] << 8 | p[1]);
}

static inline uint32_t gd_get32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static inline void gd_put16(uint8_t *p, uint16_t value)
{
    p[0] = (uint8_t)(value >> 8);
    p[1] = (uint8_t)value;
}

static inline void gd_put32(uint8_t *p, uint32_t value)
{
    p[0] = (uint8_t)(value >> 24);
    p[1] = (uint8_t)(value >> 16);
    p[2] = (uint8_t)(value >> 8);
    p[3] = (uint8_t)value;
}
#endif
