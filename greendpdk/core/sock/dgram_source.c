/* Source filters of a datagram socket's memberships, and what those of all sockets come to (RFC 3376 3, RFC 3810 4).
 * Called by sock/option_source.c, dgram_group.c; calls net/group.c.
 *
 *     of each socket                all but none ──► counted as a join (net/group.c)
 *                                   these alone, or all but these ──► merged here, told by gd_group_narrow
 *     merged: all but what every one of the latter kind leaves out and none of the former wants; or these of all, if
 *     there is no other kind
 *
 * Only who sets a filter pays for it: the sockets of the stack are gone through then.
 */
#include "dgram.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>

#define SOURCES4 10u /* Linux's igmp_max_msf; of IPv6 it is GD_SOURCES */

static bool has(const struct gd_source_list *list, const struct gd_addr *source)
{
    for (uint32_t i = 0; list && i < list->count; i++)
        if (gd_addr_eq(&list->at[i], source))
            return true;
    return false;
}

bool gd_membership_wants(const struct gd_membership *membership, const struct gd_addr *source)
{
    return has(membership->list, source) == membership->include;
}

/* Everything is wanted: no filter. */
static bool is_plain(const struct gd_membership *membership)
{
    return !membership->include && (!membership->list || membership->list->count == 0);
}

/* Keeps of the filter's list what is, or is not, in the other. */
static void keep(struct gd_filter *filter, const struct gd_source_list *list, bool if_there)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < filter->count; i++)
        if (has(list, &filter->sources[i]) == if_there)
            filter->sources[kept++] = filter->sources[i];
    filter->count = kept;
}

static void merge(struct gd_filter *filter, const struct gd_membership *membership)
{
    const struct gd_source_list *list = membership->list;
    struct gd_filter mine = {.exclude = true};

    if (membership->include && filter->exclude) {
        keep(filter, list, false);
    } else if (membership->include) {
        for (uint32_t i = 0; list && i < list->count; i++) {
            if (gd_filter_has(filter, &list->at[i]))
                continue;
            if (filter->count == GD_SOURCES) { /* too many to name: all, and each socket takes its own */
                *filter = mine;
                return;
            }
            filter->sources[filter->count++] = list->at[i];
        }
    } else if (filter->exclude) {
        keep(filter, list, true);
    } else {
        for (uint32_t i = 0; i < list->count; i++)
            if (!gd_filter_has(filter, &list->at[i]))
                mine.sources[mine.count++] = list->at[i];
        *filter = mine;
    }
}

/* Tells the interface what all sockets with a filter want of the group. */
static int tell(struct gd_stack *stack, struct gd_netif *netif, const struct gd_addr *group)
{
    struct gd_filter filter = {.exclude = false};

    for (struct gd_list *link = stack->socks.next; link != &stack->socks; link = link->next) {
        const struct gd_sock *sock = GD_ENTRY(link, struct gd_sock, all_link);
        const struct gd_membership *membership;

        if (sock->flow.proto != IPPROTO_UDP)
            continue;
        membership = gd_udp_membership((const struct gd_udp *)(const void *)sock, group, netif->index);
        if (membership && !is_plain(membership))
            merge(&filter, membership);
    }
    return gd_group_narrow(netif, group, &filter);
}

/* After a membership has changed: in such an order that nothing is told which holds for a moment only. */
static int settle(struct gd_stack *stack, struct gd_netif *netif, const struct gd_addr *group, bool was_plain, bool plain)
{
    int rc = 0;

    if (plain && !was_plain)
        rc = gd_group_join(netif, group);
    if (rc == 0 && (!plain || !was_plain))
        rc = tell(stack, netif, group);
    if (rc == 0 && was_plain && !plain)
        gd_group_leave(netif, group);
    return rc;
}

void gd_udp_end_membership(struct gd_udp *udp, struct gd_membership *membership)
{
    struct gd_netif *netif = gd_netif_find(udp->sock.stack, membership->ifindex);
    struct gd_addr group = membership->group;
    bool plain = is_plain(membership);

    free(membership->list);
    *membership = udp->memberships[--udp->nmemberships];
    if (netif && plain)
        gd_group_leave(netif, &group);
    else if (netif)
        tell(udp->sock.stack, netif, &group); /* to want less takes no memory */
}

/* With another list, or as before. */
static int replace(struct gd_udp *udp, struct gd_membership *membership, struct gd_netif *netif, bool include,
                   struct gd_source_list *list)
{
    struct gd_membership before = *membership;
    bool was_plain = is_plain(membership);
    int rc;

    membership->include = include;
    membership->list = list;
    rc = settle(udp->sock.stack, netif, &before.group, was_plain, is_plain(membership));
    free(rc < 0 ? list : before.list);
    if (rc < 0)
        *membership = before;
    return rc;
}

static int add_source(struct gd_source_list *list, const struct gd_addr *source, bool v4)
{
    if (list->count >= (v4 ? SOURCES4 : GD_SOURCES))
        return -ENOBUFS;
    if (has(list, source))
        return -EADDRNOTAVAIL;
    list->at[list->count++] = *source;
    return 0;
}

static int drop_source(struct gd_source_list *list, const struct gd_addr *source)
{
    for (uint32_t i = 0; i < list->count; i++) {
        if (!gd_addr_eq(&list->at[i], source))
            continue;
        list->at[i] = list->at[--list->count];
        return 0;
    }
    return -EADDRNOTAVAIL;
}

int gd_udp_source(struct gd_udp *udp, const struct gd_addr *group, struct gd_netif *netif, const struct gd_addr *source,
                  bool include, bool add)
{
    struct gd_membership *membership = gd_udp_membership(udp, group, netif->index);
    struct gd_source_list *list;
    int rc;

    if (!membership || (membership->list && membership->include != include))
        return -EINVAL; /* the mode changes only while nothing was ever listed */
    list = calloc(1, sizeof *list);
    if (!list)
        return -ENOMEM;
    if (membership->list)
        *list = *membership->list;
    rc = add ? add_source(list, source, gd_addr_is_v4(group)) : drop_source(list, source);
    if (rc < 0) {
        free(list);
        return rc;
    }
    if (include && list->count == 0) {
        free(list);
        gd_udp_end_membership(udp, membership);
        return 0;
    }
    return replace(udp, membership, netif, include, list);
}

int gd_udp_join_source(struct gd_udp *udp, const struct gd_addr *group, struct gd_netif *netif,
                       const struct gd_addr *source)
{
    bool fresh = !gd_udp_membership(udp, group, netif->index);
    struct gd_membership *membership;
    int rc = fresh ? gd_udp_new_membership(udp, group, netif->index, &membership) : 0;

    if (rc < 0)
        return rc;
    rc = gd_udp_source(udp, group, netif, source, true, true);
    if (rc < 0 && fresh)
        udp->nmemberships--;
    return rc;
}

int gd_udp_filter(struct gd_udp *udp, const struct gd_addr *group, struct gd_netif *netif,
                  const struct gd_source_list *list, bool include)
{
    struct gd_membership *membership = gd_udp_membership(udp, group, netif->index);
    struct gd_source_list *copy;

    if (include && list->count == 0)
        return gd_udp_leave(udp, group, netif);
    if (!membership)
        return -EINVAL;
    copy = malloc(sizeof *copy);
    if (!copy)
        return -ENOMEM;
    *copy = *list;
    return replace(udp, membership, netif, include, copy);
}
