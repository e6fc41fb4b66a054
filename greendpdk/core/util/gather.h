/* Several buffers as one run of bytes, in order: what sendmsg(2) sends and recvmsg(2) fills.
 * Called by sock/, net/fragment.c; calls util/checksum.c.
 */
#ifndef GD_UTIL_GATHER_H
#define GD_UTIL_GATHER_H
#include "../api.h"

struct gd_gather {
    const struct gd_iovec *parts; /* a part of no bytes may have any base */
    uint32_t nparts;
    uint32_t len; /* of all together */
};

/* Copies out [at, at + len), which must be there. */
void gd_gather_read(const struct gd_gather *from, uint32_t at, void *to, uint32_t len);
/* gd_checksum_add over all of it, whatever the lengths of its parts. */
uint64_t gd_gather_sum(uint64_t sum, const struct gd_gather *data);
#endif
