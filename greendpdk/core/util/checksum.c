/* The internet checksum, eight bytes at a time. Called by net/, sock/dgram.c, tcp/; calls nothing.
 *
 * Ones' complement addition does not care how wide the words are nor in which byte order they are added (RFC 1071 2),
 * so 64-bit words are split into halves that sum without a carry, and the bytes are swapped once at the end.
 */
#include "checksum.h"

#include <endian.h>
#include <string.h>

static inline uint64_t load(const uint8_t *p)
{
    uint64_t word;

    memcpy(&word, p, 8);
    return word;
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
    /* Four sums that do not wait for each other; 2^32 words fit before one of them could wrap. */
    uint64_t low0 = 0, low1 = 0, high0 = 0, high1 = 0;
    uint8_t rest[8] = {0};

    for (; len >= 32; len -= 32, data += 32) {
        uint64_t a = load(data), b = load(data + 8), c = load(data + 16), d = load(data + 24);

        low0 += (uint32_t)a;
        high0 += a >> 32;
        low1 += (uint32_t)b;
        high1 += b >> 32;
        low0 += (uint32_t)c;
        high0 += c >> 32;
        low1 += (uint32_t)d;
        high1 += d >> 32;
    }
    for (; len >= 8; len -= 8, data += 8) {
        low0 += (uint32_t)load(data);
        high0 += load(data) >> 32;
    }
    if (len) {
        memcpy(rest, data, len); /* an odd byte is a word's first (RFC 1071 1) */
        low0 += (uint32_t)load(rest);
        high0 += load(rest) >> 32;
    }
    return sum + be16toh(gd_checksum_fold(low0 + low1 + high0 + high1));
}

uint16_t gd_checksum_finish(uint64_t sum)
{
    return (uint16_t)~gd_checksum_fold(sum);
}
