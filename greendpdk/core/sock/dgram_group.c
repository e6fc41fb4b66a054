/* A datagram socket's multicast groups: what it joined, and by which interface it sends (RFC 1112, RFC 3493 5.2).
 * Called by sock/option_group.c, dgram*.c, stack.c; calls net/group.c, ip.c, source.c, neighbour.c.
 *
 *     struct gd_udp.memberships  [group, interface]   20 at most; as many joins of the interface's groups (net/group.c)
 */
#include "dgram.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>

static struct gd_membership *find(const struct gd_udp *udp, const struct gd_addr *group, int ifindex)
{
    for (int i = 0; i < udp->nmemberships; i++)
        if (udp->memberships[i].ifindex == ifindex && gd_addr_eq(&udp->memberships[i].group, group))
            return &udp->memberships[i];
    return NULL;
}

int gd_udp_join(struct gd_udp *udp, const struct gd_addr *group, struct gd_netif *netif)
{
    int rc;

    if (find(udp, group, netif->index))
        return -EADDRINUSE;
    if (udp->nmemberships == GD_MEMBERSHIPS)
        return -ENOBUFS;
    if (!udp->memberships)
        udp->memberships = calloc(GD_MEMBERSHIPS, sizeof *udp->memberships);
    if (!udp->memberships)
        return -ENOMEM;
    rc = gd_group_join(netif, group);
    if (rc == 0)
        udp->memberships[udp->nmemberships++] = (struct gd_membership){*group, netif->index};
    return rc;
}

static void leave(struct gd_udp *udp, struct gd_membership *membership)
{
    struct gd_netif *netif = gd_netif_find(udp->sock.stack, membership->ifindex);

    if (netif)
        gd_group_leave(netif, &membership->group);
    *membership = udp->memberships[--udp->nmemberships];
}

int gd_udp_leave(struct gd_udp *udp, const struct gd_addr *group, const struct gd_netif *netif)
{
    struct gd_membership *membership = find(udp, group, netif->index);

    if (!membership)
        return -EADDRNOTAVAIL;
    leave(udp, membership);
    return 0;
}

void gd_udp_leave_all(struct gd_udp *udp)
{
    while (udp->nmemberships > 0)
        leave(udp, &udp->memberships[0]);
    free(udp->memberships);
    udp->memberships = NULL;
}

void gd_udp_forget(struct gd_stack *stack, const struct gd_netif *netif)
{
    for (struct gd_list *link = stack->socks.next; link != &stack->socks; link = link->next) {
        struct gd_sock *sock = GD_ENTRY(link, struct gd_sock, all_link);
        struct gd_udp *udp = gd_udp_of(sock);

        for (int i = 0; sock->flow.proto == IPPROTO_UDP && i < udp->nmemberships; i++)
            if (udp->memberships[i].ifindex == netif->index)
                leave(udp, &udp->memberships[i--]);
    }
}

/* Linux's ip_mc_sf_allow: one who did not join hears what others have, unless he said that he does not want to. */
bool gd_udp_hears(const struct gd_udp *udp, const struct gd_addr *group, int ifindex)
{
    return !gd_addr_is_multicast(group) || udp->multicast[gd_addr_is_v4(group) ? 0 : 1].all ||
           find(udp, group, ifindex);
}

int gd_udp_aim_group(struct gd_udp *udp, const struct gd_addr *to)
{
    const struct gd_multicast *multicast = &udp->multicast[gd_addr_is_v4(to) ? 0 : 1];
    struct gd_netif *netif = gd_netif_find(udp->sock.stack, multicast->ifindex);
    const struct gd_addr *own;

    if (!netif)
        return -ENETUNREACH;
    own = gd_ip_own(netif, to);
    if (!gd_addr_is_any(&multicast->source))
        udp->src = multicast->source;
    else if (own)
        udp->src = *own;
    else
        return -EADDRNOTAVAIL;
    return gd_dst_by(&udp->sock.dst, netif, to);
}
