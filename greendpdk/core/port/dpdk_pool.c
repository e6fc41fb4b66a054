/* The pool that a DPDK port's frames come from. Called by dpdk_open.c; calls DPDK's mempool.
 *
 * DPDK lets no mbuf cross a page of its memory. Without huge pages that is one mbuf a page, and the rest of the page is
 * left out:
 *
 *   page   │ mbuf       ......│ mbuf       ......│ mbuf       ......│
 *          └──── net_af_xdp hands the kernel mbufs × size ────┘
 *
 * net_af_xdp (up to DPDK 24.03) reckons without the gaps: what lies behind its end the kernel takes for a wrong
 * address, and what is sent or lent in such an mbuf never comes back. So the mbufs fill their pages: the gap is room
 * for data.
 */
#include "dpdk.h"

#include <rte_eal.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>
#include <rte_memzone.h>

#include <unistd.h>

#define CACHE 64u /* mbufs, for the polling thread: two bursts */
#define PRIVATE RTE_ALIGN_CEIL(sizeof(struct gd_frame), RTE_MBUF_PRIV_ALIGN)

static void free_zone(struct rte_mempool_memhdr *chunk, void *zone)
{
    (void)chunk;
    rte_memzone_free(zone);
}

/* A pool in one piece, mbuf after mbuf, each of `size` bytes with all that belongs to it. */
static struct rte_mempool *gapless(const char *name, uint32_t frames, uint32_t size, uint32_t element)
{
    struct rte_pktmbuf_pool_private about = {
        .mbuf_data_room_size = (uint16_t)(element - sizeof(struct rte_mbuf) - PRIVATE),
        .mbuf_priv_size = PRIVATE,
    };
    struct rte_mempool *pool = rte_mempool_create_empty(name, frames, element, CACHE, sizeof about, SOCKET_ID_ANY,
                                                        RTE_MEMPOOL_F_NO_SPREAD);
    const struct rte_memzone *zone = NULL;

    if (!pool)
        return NULL;
    rte_pktmbuf_pool_init(pool, &about);
    zone = rte_memzone_reserve_aligned(name, (size_t)frames * size, SOCKET_ID_ANY, RTE_MEMZONE_IOVA_CONTIG, size);
    if (!zone)
        goto fail;
    if (rte_mempool_populate_iova(pool, zone->addr, zone->iova, zone->len, free_zone, (void *)(uintptr_t)zone) !=
        (int)frames)
        goto fail;
    rte_mempool_obj_iter(pool, rte_pktmbuf_init, NULL);
    return pool;
fail:
    if (pool->populated_size == 0)
        rte_memzone_free(zone);
    rte_mempool_free(pool);
    return NULL;
}

struct rte_mempool *gd_dpdk_pool(const char *name, uint32_t frames, uint16_t room)
{
    struct rte_mempool_objsz size;
    uint32_t page = (uint32_t)sysconf(_SC_PAGESIZE);
    uint32_t least = rte_mempool_calc_obj_size((uint32_t)(sizeof(struct rte_mbuf) + PRIVATE + room),
                                               RTE_MEMPOOL_F_NO_SPREAD, &size);

    if (rte_eal_has_hugepages() || least > page) /* few gaps; none */
        return rte_pktmbuf_pool_create(name, frames, CACHE, PRIVATE, room, SOCKET_ID_ANY);
    least = rte_align32pow2(least); /* divides a page */
    return gapless(name, frames, least, least - size.header_size - size.trailer_size);
}
