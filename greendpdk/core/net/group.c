/* Which groups an interface listens to, and when routers are told (RFC 3376 5, RFC 3810 6, and their older versions).
 * Called by net/ip4.c, ip6.c, dad.c, igmp.c, mld.c, sock/dgram_group.c and the wheel; calls net/igmp.c, mld.c.
 *
 *     first join, last leave ──► at once, and again within 1 s (robustness 2)      a change
 *     query ──► within the time that it gives, at random                           an answer
 *                                  │
 *     one timer each family: all that is due goes into one report (IGMPv3, MLDv2), or one message a group while a router
 *     of an older version is about
 *
 * Membership is of any source: filter mode EXCLUDE of nothing. A query about sources is answered by that, which is no
 * less true, as there is nothing that is not wanted.
 */
#include "../stack.h"

#include <errno.h>
#include <netinet/in.h>

#define ROBUSTNESS 2                 /* RFC 3376 8.1, RFC 3810 9.1 */
#define REPEAT_WITHIN 1000000000ull  /* unsolicited report interval: RFC 3376 8.11, RFC 3810 9.11 */
#define ANSWER_WAIT 10000000ull      /* at least, so that a flood of queries gets no flood of answers */

static struct gd_reporter *reporter_of(struct gd_netif *netif, bool v4)
{
    return &netif->reporters[v4 ? 0 : 1];
}

static struct gd_group *find(struct gd_netif *netif, const struct gd_addr *addr)
{
    for (int i = 0; i < netif->ngroups; i++)
        if (gd_addr_eq(&netif->groups[i].addr, addr))
            return &netif->groups[i];
    return NULL;
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

/* Never 224.0.0.1 (RFC 3376 6), nor ff02::1 and what is of the interface's scope or less (RFC 3810 6). */
static bool is_reported(const struct gd_netif *netif, const struct gd_addr *addr)
{
    if (netif->groups_closed || netif->port->caps & GD_CAP_LOOPBACK || is_everybody(addr))
        return false;
    return gd_addr_is_v4(addr) || (addr->b[1] & 15) >= 2;
}

/* The version that is spoken: of IGMP 1 to 3, of MLD 1 to 2. */
static int version_of(const struct gd_reporter *reporter, uint64_t now)
{
    if (now < reporter->older_until[0])
        return 1;
    return reporter->v4 && now >= reporter->older_until[1] ? 3 : 2;
}

static bool speaks_old(const struct gd_reporter *reporter, uint64_t now)
{
    return version_of(reporter, now) < (reporter->v4 ? 3 : 2);
}

static uint64_t at_random(struct gd_netif *netif, uint64_t now, uint64_t within)
{
    return now + gd_random_next(&netif->stack->random) % (within + 1);
}

/* To a query that wants its answers within that time. */
static uint64_t answer_time(struct gd_netif *netif, uint64_t now, uint64_t within)
{
    return at_random(netif, now + ANSWER_WAIT, within > 2 * ANSWER_WAIT ? within - ANSWER_WAIT : ANSWER_WAIT);
}

static void drop(struct gd_netif *netif, struct gd_group *group)
{
    *group = netif->groups[--netif->ngroups];
}

/* ---- what is due ---- */

/* True: the group has something to say now, and what. */
static bool take_due(struct gd_reporter *reporter, struct gd_group *group, bool all, uint64_t now,
                     enum gd_record_type *type)
{
    bool change = group->change_at <= now;
    bool answer = group->members > 0 && (group->answer_at <= now || all);

    if (group->answer_at <= now || all)
        group->answer_at = GD_NEVER;
    if (!change) {
        *type = GD_RECORD_IS_MEMBER;
        return answer;
    }
    *type = group->members > 0 ? GD_RECORD_JOINED : GD_RECORD_LEFT;
    group->changes--;
    group->change_at = group->changes > 0 ? at_random(reporter->netif, now, REPEAT_WITHIN) : GD_NEVER;
    return true;
}

static void say_old(struct gd_reporter *reporter, struct gd_group *group, enum gd_record_type type, uint64_t now)
{
    struct gd_group_record record = {type, group->addr};

    if (type != GD_RECORD_LEFT)
        group->told = true;
    if (reporter->v4)
        gd_igmp_report_old(reporter->netif, version_of(reporter, now), &record);
    else
        gd_mld_report_old(reporter->netif, &record);
}

static void arm(struct gd_reporter *reporter)
{
    struct gd_netif *netif = reporter->netif;
    uint64_t next = reporter->answer_at;

    for (int i = 0; i < netif->ngroups; i++) {
        const struct gd_group *group = &netif->groups[i];

        if (gd_addr_is_v4(&group->addr) != reporter->v4)
            continue;
        next = group->change_at < next ? group->change_at : next;
        next = group->answer_at < next ? group->answer_at : next;
    }
    gd_timer_set(&netif->stack->wheel, &reporter->timer, next);
}

static void run(struct gd_reporter *reporter, uint64_t now)
{
    struct gd_netif *netif = reporter->netif;
    bool all = reporter->answer_at <= now, old = speaks_old(reporter, now);
    struct gd_group_record records[GD_GROUPS];
    uint32_t count = 0;

    if (all)
        reporter->answer_at = GD_NEVER;
    for (int i = netif->ngroups - 1; i >= 0; i--) {
        struct gd_group *group = &netif->groups[i];
        enum gd_record_type type;

        if (gd_addr_is_v4(&group->addr) != reporter->v4 || !is_reported(netif, &group->addr))
            continue;
        if (take_due(reporter, group, all, now, &type)) {
            if (old)
                say_old(reporter, group, type, now);
            else
                records[count++] = (struct gd_group_record){type, group->addr};
        }
        if (group->members == 0 && group->changes == 0)
            drop(netif, group); /* the last takes its place, and has had its turn */
    }
    if (count > 0 && reporter->v4)
        gd_igmp_report(netif, records, count);
    else if (count > 0)
        gd_mld_report(netif, records, count);
    arm(reporter);
}

static void fire(struct gd_timer *timer, uint64_t now)
{
    run(GD_ENTRY(timer, struct gd_reporter, timer), now);
}

void gd_group_init(struct gd_netif *netif)
{
    for (int i = 0; i < 2; i++) {
        netif->reporters[i] = (struct gd_reporter){.netif = netif, .v4 = i == 0, .answer_at = GD_NEVER};
        gd_timer_init(&netif->reporters[i].timer, fire);
    }
}

void gd_group_close(struct gd_netif *netif)
{
    netif->groups_closed = true;
    for (int i = 0; i < 2; i++)
        gd_timer_cancel(&netif->stack->wheel, &netif->reporters[i].timer);
}

/* ---- changes ---- */

/* Of an old version a leave is said once, and only by who was the last to report (RFC 2236 3). */
static void change(struct gd_netif *netif, struct gd_group *group, uint64_t now)
{
    struct gd_reporter *reporter = reporter_of(netif, gd_addr_is_v4(&group->addr));
    bool left = group->members == 0, old = speaks_old(reporter, now);

    group->answer_at = left ? GD_NEVER : group->answer_at;
    group->changes = !left || !old ? ROBUSTNESS : group->told ? 1 : 0;
    group->change_at = group->changes > 0 ? now : GD_NEVER;
    run(reporter, now);
}

int gd_group_join(struct gd_netif *netif, const struct gd_addr *addr)
{
    struct gd_group *group = find(netif, addr);

    if (group == NULL && netif->ngroups == GD_GROUPS)
        return -ENOBUFS;
    if (group == NULL) {
        group = &netif->groups[netif->ngroups++];
        *group = (struct gd_group){.addr = *addr, .change_at = GD_NEVER, .answer_at = GD_NEVER};
    }
    if (group->members++ == 0 && is_reported(netif, addr))
        change(netif, group, netif->stack->now);
    return 0;
}

void gd_group_leave(struct gd_netif *netif, const struct gd_addr *addr)
{
    struct gd_group *group = find(netif, addr);

    if (group == NULL || group->members == 0 || --group->members > 0)
        return;
    if (is_reported(netif, addr))
        change(netif, group, netif->stack->now);
    else
        drop(netif, group);
}

bool gd_group_member(struct gd_netif *netif, const struct gd_addr *addr)
{
    const struct gd_group *group = find(netif, addr);

    return is_everybody(addr) || (group != NULL && group->members > 0);
}

/* ---- routers and other hosts ---- */

/* RFC 3376 7.2.1: whatever is pending is of the other version. */
static void forget_pending(struct gd_reporter *reporter)
{
    struct gd_netif *netif = reporter->netif;

    reporter->answer_at = GD_NEVER;
    for (int i = netif->ngroups - 1; i >= 0; i--) {
        struct gd_group *group = &netif->groups[i];

        if (gd_addr_is_v4(&group->addr) != reporter->v4)
            continue;
        group->changes = 0;
        group->change_at = group->answer_at = GD_NEVER;
        if (group->members == 0)
            drop(netif, group);
    }
}

/* Sooner than what is pending, or not at all (RFC 3376 5.2, RFC 2236 3). */
static void answer_by(uint64_t *pending, uint64_t at)
{
    if (at < *pending)
        *pending = at;
}

void gd_group_query(struct gd_netif *netif, bool v4, const struct gd_query *query, uint64_t now)
{
    struct gd_reporter *reporter = reporter_of(netif, v4);
    int before = version_of(reporter, now);

    if (query->version < (v4 ? 3 : 2))
        reporter->older_until[query->version - 1] = now + query->older_timeout;
    if (version_of(reporter, now) != before)
        forget_pending(reporter);
    if (query->general && !speaks_old(reporter, now))
        answer_by(&reporter->answer_at, answer_time(netif, now, query->within));
    for (int i = 0; i < netif->ngroups; i++) {
        struct gd_group *group = &netif->groups[i];

        if (group->members == 0 || gd_addr_is_v4(&group->addr) != v4 || !is_reported(netif, &group->addr))
            continue;
        if (query->general ? speaks_old(reporter, now) : gd_addr_eq(&group->addr, &query->group))
            answer_by(&group->answer_at, answer_time(netif, now, query->within));
    }
    arm(reporter);
}

void gd_group_heard(struct gd_netif *netif, const struct gd_addr *addr, uint64_t now)
{
    struct gd_group *group = find(netif, addr);
    struct gd_reporter *reporter = reporter_of(netif, gd_addr_is_v4(addr));

    if (group == NULL || !speaks_old(reporter, now))
        return;
    group->answer_at = GD_NEVER;
    group->told = false;
    arm(reporter);
}
