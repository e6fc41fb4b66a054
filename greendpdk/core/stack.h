/* One stack: everything that would be a global elsewhere. Included by net/, sock/, tcp/ and stack.c. */
#ifndef GD_STACK_H
#define GD_STACK_H
#include "api.h"
#include "net/net.h"
#include "net/reassembly.h"
#include "sock/sock.h"
#include "util/random.h"
#include "util/siphash.h"
#include "util/stats.h"

#define GD_NETIFS 16
#define GD_INDEX_MAX UINT16_MAX /* what the scope of an address holds (util/addr.h) */
#define GD_ROUTES 64
#define GD_ICMP_HOSTS 256u
#define GD_PMTUS 256u
#define GD_FRAGMENT_IDS 256u
#define GD_NEIGHS 1024 /* entries; the oldest that nothing waits for gives way */

struct gd_stack {
    struct gd_config config; /* defaults filled in */
    uint64_t now;            /* the last poll's; coarse, for timers set by calls between polls */
    struct gd_random random;
    struct gd_key hash_key, isn_key, cookie_key, port_key, label_key, fragment_key;
    struct gd_wheel wheel;
    struct gd_stats stats;
    struct gd_chunk_pool pool;
    uint32_t calls; /* live calls since the last poll (port/live.c) */
    uint64_t frames; /* received in all */
    struct gd_capture *capture; /* net/capture.c; NULL: nobody watches */
    int cpu;         /* that received the last of them; -1: none has, or nobody says (port/live.c) */
    struct gd_loop loop;     /* port/live.c's */
    struct gd_watch *watch;  /* port/watch.c's; NULL: nobody watches */

    struct gd_netif *netifs[GD_NETIFS]; /* by gd_netif_slot(); [0] is the loopback; NULL: that slot is free */
    int last_index;                     /* the last number that an interface was given */
    int netif_end;                      /* no slot from here on is in use: loops end here */
    int nroutes;
    struct gd_route routes[GD_ROUTES]; /* longest prefix first */
    uint64_t generation;               /* moves when a route, address or neighbour goes; never 0 */
    struct gd_table neighs;            /* struct gd_neigh by (interface, address) */
    struct gd_list neigh_all;          /* oldest use first */
    struct gd_list neigh_asking;       /* asked for longest first */
    uint32_t neigh_count, neigh_asking_count;
    uint64_t icmp_hosts[GD_ICMP_HOSTS]; /* net/icmp_limit.c's, by hash of the address */
    uint32_t icmp_spent;               /* tokens out of the error rate limit's bucket, ... */
    uint64_t icmp_spent_at;            /* ... and when they were last counted */
    struct gd_reassembly reassembly;
    uint32_t fragment_ids[GD_FRAGMENT_IDS]; /* counters that next_id in net/fragment.c hides */
    struct gd_pmtu pmtus[GD_PMTUS];         /* sets of 4 by hash of the address */
    uint64_t pmtus_until;                   /* none of them counts later */

    struct gd_table flows; /* struct gd_flow by 4-tuple */
    struct gd_table listeners; /* struct gd_sock by (protocol, local port) */
    struct gd_table ports;     /* struct gd_port_holders by (protocol, local port) */
    struct gd_table ids;   /* struct gd_sock by id */
    uint32_t next_id;
    struct gd_list socks;  /* every gd_sock */
    struct gd_list dead;   /* gd_socks that are through: freed when the poll or the call ends */
    uint32_t nsocks;
    struct gd_list ready;  /* with bits posted */
    struct gd_list output; /* struct gd_tcb with something to send */
    struct gd_list starved; /* struct gd_tcb that wait for memory (tcp/memory.c), the longest first */
    uint32_t nstarved, to_feed; /* to_feed: left of this pass */
    uint64_t fed;          /* pool.given when the pass began */
    uint32_t nrequests;    /* half-open */
    uint32_t norphans;     /* closed by their users, and not yet through */
    struct gd_list time_waits; /* oldest first */
    uint32_t ntime_waits;
};

static inline int gd_netif_slot(int ifindex)
{
    return (int)(((unsigned)ifindex - 1u) % GD_NETIFS);
}
#endif
