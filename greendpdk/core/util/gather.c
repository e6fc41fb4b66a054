/* Several buffers as one run of bytes. Called by sock/, net/fragment.c; calls util/checksum.c. */
#include "gather.h"
#include "checksum.h"

#include <stdbool.h>
#include <string.h>

void gd_gather_read(const struct gd_gather *from, uint32_t at, void *to, uint32_t len)
{
    uint8_t *out = to;

    for (uint32_t i = 0; len > 0 && i < from->nparts; i++) {
        size_t size = from->parts[i].len;
        uint32_t count;

        if (at >= size) {
            at -= (uint32_t)size;
            continue;
        }
        count = len < size - at ? len : (uint32_t)(size - at);
        memcpy(out, (const uint8_t *)from->parts[i].base + at, count);
        out += count;
        len -= count;
        at = 0;
    }
}

uint64_t gd_gather_sum(uint64_t sum, const struct gd_gather *data)
{
    bool odd = false; /* so many bytes before this part, that its own words straddle the whole's */

    for (uint32_t i = 0; i < data->nparts; i++) {
        const struct gd_iovec *part = &data->parts[i];
        uint16_t folded;

        if (part->len == 0)
            continue;
        folded = gd_checksum_fold(gd_checksum_add(0, part->base, part->len));
        sum += odd ? (uint16_t)(folded << 8 | folded >> 8) : folded; /* RFC 1071 2 (B) */
        odd ^= part->len & 1;
    }
    return sum;
}
