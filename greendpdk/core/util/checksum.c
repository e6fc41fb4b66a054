/* The internet checksum, 32 bytes at a time. Called by net/, sock/dgram.c, tcp/; calls nothing.
 *
 * Ones' complement addition does not care how wide the words are nor in which byte order they are added (RFC 1071 2),
 * so 64-bit words are split into halves that sum without a carry, and the bytes are swapped once at the end.
 */
#include "checksum.h"

#include <endian.h>
#include <string.h>

/* Two words as the compiler's vector type, which is two instructions where there is SIMD (SSE2, NEON). */
struct pair {
    uint64_t v __attribute__((vector_size(16)));
};

static inline uint64_t halves_of(const uint8_t *p)
{
    uint64_t word;

    memcpy(&word, p, 8);
    return (word & UINT32_MAX) + (word >> 32);
}

uint16_t gd_checksum_fold(uint64_t sum)
{
    sum = (sum >> 32) + (sum & UINT32_MAX);
    sum = (sum >> 16) + (sum & 0xffff);
    sum = (sum >> 16) + (sum & 0xffff);
    sum = (sum >> 16) + (sum & 0xffff);
    return (uint16_t)sum;
}

uint64_t gd_checksum_add(uint64_t sum, const uint8_t *data, size_t len)
{
    const struct pair halves = {{UINT32_MAX, UINT32_MAX}};
    /* Four pairs of sums that do not wait for each other; none could wrap before 2^32 words. */
    struct pair low0 = {{0}}, low1 = {{0}}, high0 = {{0}}, high1 = {{0}};
    uint8_t rest[8] = {0};
    uint64_t total;

    for (; len >= 32; len -= 32, data += 32) {
        struct pair a, b;

        memcpy(&a, data, sizeof a);
        memcpy(&b, data + 16, sizeof b);
        low0.v += a.v & halves.v;
        high0.v += a.v >> 32;
        low1.v += b.v & halves.v;
        high1.v += b.v >> 32;
    }
    low0.v += low1.v + high0.v + high1.v;
    total = low0.v[0] + low0.v[1];
    for (; len >= 8; len -= 8, data += 8)
        total += halves_of(data);
    memcpy(rest, data, len); /* an odd byte is a word's first (RFC 1071 1) */
    total += halves_of(rest);
    return sum + be16toh(gd_checksum_fold(total));
}

uint16_t gd_checksum_finish(uint64_t sum)
{
    return (uint16_t)~gd_checksum_fold(sum);
}
