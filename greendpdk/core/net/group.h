/* The multicast groups of an interface, and what it tells multicast routers of them: net/group.c keeps them, igmp.c and
 * mld.c speak. Included by net.h.
 */
#ifndef GD_NET_GROUP_H
#define GD_NET_GROUP_H
#include "../util/addr.h"
#include "../util/timer.h"

#define GD_GROUPS 64  /* of one interface, the solicited-node ones too */
#define GD_SOURCES 64 /* in one filter: Linux's mld_max_msf */

struct gd_netif;
struct gd_packet;

/* Whose datagrams to a group are wanted (RFC 3376 3, RFC 3810 4): all but these, or these alone; of nobody: no member. */
struct gd_filter {
    bool exclude;
    uint32_t count;
    struct gd_addr sources[GD_SOURCES];
};

/* What a group has only once a socket wanted some sources and not others. */
struct gd_narrowed {
    struct gd_filter filter; /* of all sockets with a filter, merged */
    uint32_t npending;
    struct {
        struct gd_addr source;
        uint8_t left; /* reports of its change that are still to be sent */
    } pending[2 * GD_SOURCES];
};

struct gd_group {
    struct gd_addr addr;
    uint32_t members;   /* sockets without a filter, and addresses, that want it */
    struct gd_narrowed *narrowed; /* owned, or NULL */
    uint8_t changes;    /* reports of the last change of mode that are still to be sent: the group may be gone already */
    bool told;          /* by us, and by nobody later: who leaves has to say so (RFC 2236 3, RFC 2710 4) */
    uint64_t change_at; /* the next of them; GD_NEVER: none */
    uint64_t answer_at; /* to a query about this group */
};

/* One for each family of an interface. */
struct gd_reporter {
    struct gd_netif *netif;
    struct gd_timer timer;
    bool v4;
    uint64_t answer_at;       /* to a query about all groups; GD_NEVER: none */
    uint64_t older_until[2];  /* a router of version 1, 2 is about until then (RFC 3376 7.2.1, RFC 3810 8.2.1) */
};

/* What a report says of a group: IGMPv3's and MLDv2's record types (RFC 3376 4.2.12, RFC 3810 5.2.12). */
enum gd_record_type {
    GD_RECORD_IS_IN = 1, /* this is the filter */
    GD_RECORD_IS_EX = 2,
    GD_RECORD_TO_IN = 3, /* its mode has become that; to nobody: left */
    GD_RECORD_TO_EX = 4, /* all but nobody: joined */
    GD_RECORD_ALLOW = 5, /* sources that are wanted now, and that are no more */
    GD_RECORD_BLOCK = 6,
};

struct gd_group_record {
    enum gd_record_type type;
    struct gd_addr group;
    const struct gd_addr *sources;
    uint32_t count; /* of sources */
};

struct gd_query {
    int version;            /* of IGMP 1 to 3, of MLD 1 to 2 */
    bool general;           /* about all groups, else about this one */
    struct gd_addr group;
    const uint8_t *sources; /* in the frame: about these of it alone, if nsources > 0; 4 or 16 bytes each */
    uint32_t nsources;
    uint64_t within;        /* the answers shall come, in ns */
    uint64_t older_timeout; /* so long a router of an old version counts */
};

/* group.c. In and out of the life of an interface. */
void gd_group_init(struct gd_netif *netif);
/* From here on nothing is said any more: before its neighbours go, which reports would make anew. */
void gd_group_close(struct gd_netif *netif);
/* Their memory; nothing is said. */
void gd_group_free(struct gd_netif *netif);
/* A router asks. */
void gd_group_query(struct gd_netif *netif, bool v4, const struct gd_query *query, uint64_t now);
/* Another host has reported a group: in the old versions one report is enough. */
void gd_group_heard(struct gd_netif *netif, const struct gd_addr *group, uint64_t now);

/* group_source.c. What the group's members want of it, all together. */
const struct gd_filter *gd_group_filter_of(const struct gd_group *group);
static inline bool gd_filter_is_nobody(const struct gd_filter *filter)
{
    return !filter->exclude && filter->count == 0;
}
bool gd_filter_has(const struct gd_filter *filter, const struct gd_addr *source);
/* Is the source's traffic wanted? */
static inline bool gd_filter_wants(const struct gd_filter *filter, const struct gd_addr *source)
{
    return gd_filter_has(filter, source) != filter->exclude;
}
/* Of the sources that a query is about, does it want any? */
bool gd_filter_meets(const struct gd_filter *filter, const struct gd_query *query, bool v4);
/* What is to be told of a change from that to what the group has now; false: nothing. */
bool gd_group_note(struct gd_group *group, const struct gd_filter *before, uint8_t times);
/* The changes of sources that are due: two records at most, and one less to be sent of each. sources has room for
 * 2 * GD_SOURCES of them. */
uint32_t gd_group_take_pending(struct gd_group *group, struct gd_group_record *records, struct gd_addr *sources);

/* How many of count sources, size bytes each, go into a report's next record, of which room bytes are left. 0: none do. */
uint32_t gd_group_record_part(uint32_t room, uint32_t record, uint32_t size, uint32_t count);

/* igmp.c (RFC 3376, RFC 2236, RFC 1112) */
void gd_igmp_input(const struct gd_packet *packet, uint64_t now);
void gd_igmp_report(struct gd_netif *netif, const struct gd_group_record *records, uint32_t count);
/* In version 1 or 2, of one group: a report, or (in 2) a leave. */
void gd_igmp_report_old(struct gd_netif *netif, int version, const struct gd_group_record *record);

/* mld.c (RFC 3810, RFC 2710) */
void gd_mld_input(const struct gd_packet *packet, uint64_t now);
void gd_mld_report(struct gd_netif *netif, const struct gd_group_record *records, uint32_t count);
void gd_mld_report_old(struct gd_netif *netif, const struct gd_group_record *record);
#endif
