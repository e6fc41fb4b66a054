/* Which groups an interface listens to (RFC 1112 7.2, RFC 4862 5.4.2's solicited-node groups).
 * Called by net/ip4.c, sock/; calls nothing.
 */
#include "../stack.h"

#include <errno.h>
#include <netinet/in.h>

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

/* 224.0.0.1 (RFC 1112 4), ff01::1 and ff02::1 (RFC 4291 2.8). */
static bool is_everybody(const struct gd_addr *addr)
{
    static const uint8_t rest[13] = {[12] = 1};

    if (gd_addr_is_v4(addr))
        return gd_addr_u32(addr) == INADDR_ALLHOSTS_GROUP;
    return addr->b[0] == 0xff && (addr->b[1] == 1 || addr->b[1] == 2) && addr->b[2] == 0 &&
           memcmp(addr->b + 3, rest, sizeof rest) == 0;
}

bool gd_group_member(struct gd_netif *netif, const struct gd_addr *addr)
{
    return is_everybody(addr) || find(netif, addr) != NULL;
}
