/* A datagram socket's multicast groups: what it joined, and by which interface it sends (RFC 1112, RFC 3493 5.2).
 * Called by sock/option_group.c, dgram*.c, stack.c; calls sock/dgram_source.c, net/group.c, ip.c, source.c,
 * neighbour.c.
 *
 *     struct gd_udp.memberships  [group, interface, filter]   20 at most; without a filter each is one of the interface's
 *                                                             joins (net/group.c), with one dgram_source.c merges it
 */
#include "dgram.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>

struct gd_membership *gd_udp_membership(const struct gd_udp *udp, const struct gd_addr *group, int ifindex)
{
    for (int i = 0; i < udp->nmemberships; i++)
        if (udp->memberships[i].ifindex == ifindex && gd_addr_eq(&udp->memberships[i].group, group))
            return &udp->memberships[i];
    return NULL;
}

int gd_udp_new_membership(struct gd_udp *udp, const struct gd_addr *group, int ifindex, struct gd_membership **out)
{
    if (udp->nmemberships == GD_MEMBERSHIPS)
        return -ENOBUFS;
    if (!udp->memberships)
        udp->memberships = calloc(GD_MEMBERSHIPS, sizeof *udp->memberships);
    if (!udp->memberships)
        return -ENOMEM;
    *out = &udp->memberships[udp->nmemberships++];
    **out = (struct gd_membership){.group = *group, .ifindex = ifindex, .include = true};
    return 0;
}

int gd_udp_join(struct gd_udp *udp, const struct gd_addr *group, struct gd_netif *netif)
{
    struct gd_membership *membership;
    int rc;

    if (gd_udp_membership(udp, group, netif->index))
        return -EADDRINUSE;
    rc = gd_udp_new_membership(udp, group, netif->index, &membership);
    if (rc < 0)
        return rc;
    rc = gd_group_join(netif, group);
    if (rc < 0)
        udp->nmemberships--;
    else
        membership->include = false;
    return rc;
}

int gd_udp_leave(struct gd_udp *udp, const struct gd_addr *group, const struct gd_netif *netif)
{
    struct gd_membership *membership = gd_udp_membership(udp, group, netif->index);

    if (!membership)
        return -EADDRNOTAVAIL;
    gd_udp_end_membership(udp, membership);
    return 0;
}

void gd_udp_leave_all(struct gd_udp *udp)
{
    while (udp->nmemberships > 0)
        gd_udp_end_membership(udp, &udp->memberships[0]);
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
                gd_udp_end_membership(udp, &udp->memberships[i--]);
    }
}

/* Linux's ip_mc_sf_allow: one who did not join hears what others have, unless he said that he does not want to; of IPv4
 * no more than they want of it. */
bool gd_udp_hears(const struct gd_udp *udp, const struct gd_udp_datagram *datagram)
{
    struct gd_addr source = gd_addr_on(&datagram->remote.addr, 0); /* filters know no link beside the group's own */
    const struct gd_addr *group = &datagram->local.addr;
    const struct gd_membership *membership;
    bool v4 = gd_addr_is_v4(group);

    if (!gd_addr_is_multicast(group))
        return true;
    membership = gd_udp_membership(udp, group, datagram->netif->index);
    if (membership)
        return gd_membership_wants(membership, &source);
    return udp->multicast[v4 ? 0 : 1].all && (!v4 || gd_group_wants(datagram->netif, group, &source));
}

int gd_udp_aim_group(struct gd_udp *udp, const struct gd_addr *to)
{
    const struct gd_multicast *multicast = &udp->multicast[gd_addr_is_v4(to) ? 0 : 1];
    struct gd_netif *netif = gd_netif_find(udp->sock.stack, multicast->ifindex);
    const struct gd_addr *own;

    if (!netif) /* gone; as Linux says */
        return gd_addr_is_v4(to) ? -ENODEV : -ENETUNREACH;
    own = gd_ip_own(netif, to);
    if (!gd_addr_is_any(&multicast->source))
        udp->src = multicast->source;
    else if (own)
        udp->src = *own;
    else
        return -EADDRNOTAVAIL;
    return gd_dst_by(&udp->sock.dst, netif, to);
}
