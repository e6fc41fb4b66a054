/* Which groups an interface listens to, and when routers are told (RFC 3376 5, RFC 3810 6, and their older versions).
 * Called by net/ip4.c, ip6.c, dad.c, igmp.c, mld.c, sock/dgram_group.c and the wheel; calls net/igmp.c, mld.c.
 *
 *     first join, last leave ──► at once, and again within 1 s (robustness 2)      a change
 *     query ──► within the time that it gives, at random                           an answer
 *                                  │
 *     one timer each family: all that is due goes into one report (IGMPv3, MLDv2), or one message a group while a router
 *     of an older version is about
 *
 * Which sources of a group are wanted is group_source.c's. A query about some of them is answered by the whole filter, if
 * it wants any of them: that is no less true, and nothing needs to be kept of the query.
 */
#include "../stack.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>

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

static bool is_wanted(const struct gd_group *group)
{
    return !gd_filter_is_nobody(gd_group_filter_of(group));
}

static bool is_told(const struct gd_group *group)
{
    return group->changes == 0 && (group->narrowed == NULL || group->narrowed->npending == 0);
}

static void drop(struct gd_netif *netif, struct gd_group *group)
{
    free(group->narrowed);
    *group = netif->groups[--netif->ngroups];
}

/* ---- what is due ---- */

/* Records of what the group has to say now, two at most. */
static uint32_t take_due(struct gd_reporter *reporter, struct gd_group *group, bool all, uint64_t now,
                         struct gd_group_record *records, struct gd_addr *sources)
{
    const struct gd_filter *filter = gd_group_filter_of(group);
    bool change = group->change_at <= now;
    bool answer = !gd_filter_is_nobody(filter) && (group->answer_at <= now || all);
    enum gd_record_type type = filter->exclude ? GD_RECORD_IS_EX : GD_RECORD_IS_IN;
    uint32_t count;

    if (group->answer_at <= now || all)
        group->answer_at = GD_NEVER;
    if (!change && !answer)
        return 0;
    *records = (struct gd_group_record){type, group->addr, filter->sources, filter->count};
    if (!change)
        return 1;
    if (group->changes > 0) {
        records->type = filter->exclude ? GD_RECORD_TO_EX : GD_RECORD_TO_IN;
        group->changes--;
        count = 1;
    } else {
        count = gd_group_take_pending(group, records, sources);
    }
    group->change_at = is_told(group) ? GD_NEVER : at_random(reporter->netif, now, REPEAT_WITHIN);
    return count;
}

static void say(struct gd_reporter *reporter, const struct gd_group_record *records, uint32_t count)
{
    if (count > 0 && reporter->v4)
        gd_igmp_report(reporter->netif, records, count);
    else if (count > 0)
        gd_mld_report(reporter->netif, records, count);
}

/* The old versions know members, and no sources. */
static void say_old(struct gd_reporter *reporter, struct gd_group *group, uint64_t now)
{
    struct gd_group_record record = {is_wanted(group) ? GD_RECORD_IS_EX : GD_RECORD_TO_IN, group->addr, NULL, 0};

    if (is_wanted(group))
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

/* What a group without sources has to say goes into one report with that of the others. */
static void run(struct gd_reporter *reporter, uint64_t now)
{
    struct gd_netif *netif = reporter->netif;
    bool all = reporter->answer_at <= now, old = speaks_old(reporter, now);
    struct gd_group_record plain[GD_GROUPS], own[2];
    struct gd_addr sources[2 * GD_SOURCES];
    uint32_t nplain = 0;

    if (all)
        reporter->answer_at = GD_NEVER;
    for (int i = netif->ngroups - 1; i >= 0; i--) {
        struct gd_group *group = &netif->groups[i];
        uint32_t count;

        if (gd_addr_is_v4(&group->addr) != reporter->v4 || !is_reported(netif, &group->addr))
            continue;
        count = take_due(reporter, group, all, now, own, sources);
        if (count > 0 && old)
            say_old(reporter, group, now);
        else if (count == 1 && own[0].count == 0)
            plain[nplain++] = own[0];
        else
            say(reporter, own, count);
        if (!is_wanted(group) && is_told(group))
            drop(netif, group); /* the last takes its place, and has had its turn */
    }
    say(reporter, plain, nplain);
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

void gd_group_free(struct gd_netif *netif)
{
    while (netif->ngroups > 0)
        drop(netif, netif->groups);
}

/* ---- changes ---- */

/* Of an old version a leave is said once, and only by who was the last to report (RFC 2236 3). */
static bool note_old(struct gd_group *group, const struct gd_filter *before)
{
    bool wanted = is_wanted(group);

    if (wanted == !gd_filter_is_nobody(before))
        return false;
    group->changes = wanted ? ROBUSTNESS : group->told ? 1 : 0;
    return group->changes > 0;
}

/* After the group's filter was that, and is another. */
static void changed(struct gd_netif *netif, struct gd_group *group, const struct gd_filter *before)
{
    struct gd_reporter *reporter = reporter_of(netif, gd_addr_is_v4(&group->addr));
    uint64_t now = netif->stack->now;

    if (!is_wanted(group))
        group->answer_at = GD_NEVER;
    if (!is_reported(netif, &group->addr)) {
        if (!is_wanted(group))
            drop(netif, group);
        return;
    }
    if (speaks_old(reporter, now) ? note_old(group, before) : gd_group_note(group, before, ROBUSTNESS))
        group->change_at = now;
    run(reporter, now);
}

/* A new one is nobody's yet, until something is done with it. */
static struct gd_group *find_or_make(struct gd_netif *netif, const struct gd_addr *addr)
{
    struct gd_group *group = find(netif, addr);

    if (group != NULL || netif->ngroups == GD_GROUPS)
        return group;
    group = &netif->groups[netif->ngroups++];
    *group = (struct gd_group){.addr = *addr, .change_at = GD_NEVER, .answer_at = GD_NEVER};
    return group;
}

int gd_group_join(struct gd_netif *netif, const struct gd_addr *addr)
{
    struct gd_group *group = find_or_make(netif, addr);
    struct gd_filter before;

    if (group == NULL)
        return -ENOBUFS;
    if (group->members > 0) {
        group->members++;
        return 0;
    }
    before = *gd_group_filter_of(group);
    group->members++;
    changed(netif, group, &before);
    return 0;
}

void gd_group_leave(struct gd_netif *netif, const struct gd_addr *addr)
{
    struct gd_group *group = find(netif, addr);
    const struct gd_filter *before;

    if (group == NULL || group->members == 0)
        return;
    before = gd_group_filter_of(group); /* everybody's, which stays where it is */
    if (--group->members == 0)
        changed(netif, group, before);
}

int gd_group_narrow(struct gd_netif *netif, const struct gd_addr *addr, const struct gd_filter *filter)
{
    struct gd_group *group = gd_filter_is_nobody(filter) ? find(netif, addr) : find_or_make(netif, addr);
    struct gd_filter before;

    if (group == NULL)
        return gd_filter_is_nobody(filter) ? 0 : -ENOBUFS;
    before = *gd_group_filter_of(group);
    if (group->narrowed == NULL)
        group->narrowed = calloc(1, sizeof *group->narrowed);
    if (group->narrowed == NULL) {
        if (!is_wanted(group) && is_told(group))
            drop(netif, group);
        return -ENOMEM;
    }
    group->narrowed->filter = *filter;
    changed(netif, group, &before);
    return 0;
}

bool gd_group_member(struct gd_netif *netif, const struct gd_addr *addr)
{
    const struct gd_group *group = find(netif, addr);

    return is_everybody(addr) || (group != NULL && is_wanted(group));
}

bool gd_group_wants(struct gd_netif *netif, const struct gd_addr *addr, const struct gd_addr *source)
{
    const struct gd_group *group = find(netif, addr);

    return is_everybody(addr) || (group != NULL && gd_filter_wants(gd_group_filter_of(group), source));
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
        if (group->narrowed != NULL)
            group->narrowed->npending = 0;
        group->change_at = group->answer_at = GD_NEVER;
        if (!is_wanted(group))
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

        if (!is_wanted(group) || gd_addr_is_v4(&group->addr) != v4 || !is_reported(netif, &group->addr))
            continue;
        if (query->general ? speaks_old(reporter, now)
                           : gd_addr_eq(&group->addr, &query->group) &&
                                 gd_filter_meets(gd_group_filter_of(group), query, v4))
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
