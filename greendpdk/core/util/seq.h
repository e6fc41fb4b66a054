/* Compares sequence numbers and timestamps modulo 2^32 (RFC 9293 3.4, RFC 7323 5.2).
 * Called by tcp/; calls nothing.
 */
#ifndef GD_UTIL_SEQ_H
#define GD_UTIL_SEQ_H
#include <stdbool.h>
#include <stdint.h>

/* a - b as a signed distance: positive if a lies after b within half the space. */
static inline int32_t gd_seq_diff(uint32_t a, uint32_t b)
{
    return (int32_t)(a - b);
}

static inline bool gd_seq_lt(uint32_t a, uint32_t b)
{
    return gd_seq_diff(a, b) < 0;
}

static inline bool gd_seq_le(uint32_t a, uint32_t b)
{
    return gd_seq_diff(a, b) <= 0;
}

static inline bool gd_seq_gt(uint32_t a, uint32_t b)
{
    return gd_seq_diff(a, b) > 0;
}

static inline bool gd_seq_ge(uint32_t a, uint32_t b)
{
    return gd_seq_diff(a, b) >= 0;
}

static inline uint32_t gd_seq_max(uint32_t a, uint32_t b)
{
    return gd_seq_gt(a, b) ? a : b;
}

static inline uint32_t gd_seq_min(uint32_t a, uint32_t b)
{
    return gd_seq_lt(a, b) ? a : b;
}
#endif
