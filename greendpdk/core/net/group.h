/* The multicast groups of an interface, and what it tells multicast routers of them: net/group.c keeps them, igmp.c and
 * mld.c speak. Included by net.h.
 */
#ifndef GD_NET_GROUP_H
#define GD_NET_GROUP_H
#include "../util/addr.h"
#include "../util/timer.h"

#define GD_GROUPS 64 /* of one interface, the solicited-node ones too */

struct gd_netif;
struct gd_packet;

struct gd_group {
    struct gd_addr addr;
    uint32_t members;   /* sockets and addresses that want it; 0: gone, but routers have not heard it often enough */
    uint8_t changes;    /* reports of the last change that are still to be sent */
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
enum gd_record_type { GD_RECORD_IS_MEMBER = 2, GD_RECORD_LEFT = 3, GD_RECORD_JOINED = 4 };

struct gd_group_record {
    enum gd_record_type type;
    struct gd_addr group;
};

struct gd_query {
    int version;            /* of IGMP 1 to 3, of MLD 1 to 2 */
    bool general;           /* about all groups, else about this one */
    struct gd_addr group;
    uint64_t within;        /* the answers shall come, in ns */
    uint64_t older_timeout; /* so long a router of an old version counts */
};

/* group.c. In and out of the life of an interface. */
void gd_group_init(struct gd_netif *netif);
/* From here on nothing is said any more: before its neighbours go, which reports would make anew. */
void gd_group_close(struct gd_netif *netif);
/* A router asks. */
void gd_group_query(struct gd_netif *netif, bool v4, const struct gd_query *query, uint64_t now);
/* Another host has reported a group: in the old versions one report is enough. */
void gd_group_heard(struct gd_netif *netif, const struct gd_addr *group, uint64_t now);

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
