/* Which groups an interface listens to (RFC 1112 7.2, RFC 4862 5.4.2's solicited-node groups).
 * Called by net/ip4.c, sock/; calls nothing.
 */
#include "../stack.h"

#include <errno.h>

static struct gd_group *find(struct gd_netif *netif, const struct gd_addr *addr)
{
    for (int i = 0; i < netif->ngroups; i++)
        if (gd_addr_eq(&netif->groups[i].addr, addr))
            return &netif->groups[i];
    return NULL;
}

int gd_group_join(struct gd_netif *netif, const struct gd_addr *addr)
{
    struct gd_group *group = find(netif, addr);

    if (group == NULL && netif->ngroups == GD_GROUPS)
        return -ENOBUFS;
    if (group == NULL) {
        group = &netif->groups[netif->ngroups++];
        *group = (struct gd_group){.addr = *addr};
    }
    group->members++;
    return 0;
}

void gd_group_leave(struct gd_netif *netif, const struct gd_addr *addr)
{
    struct gd_group *group = find(netif, addr);

    if (group != NULL && --group->members == 0)
        *group = netif->groups[--netif->ngroups];
}

bool gd_group_member(struct gd_netif *netif, const struct gd_addr *addr)
{
    return find(netif, addr) != NULL;
}
