/* Which sources of a group an interface wants, and what routers are told when that changes (RFC 3376 3.2 and 5.1,
 * RFC 3810 4.2 and 6.1). Called by net/group.c, igmp.c, mld.c; calls nothing.
 *
 *     members (want all) ─┬─► the interface's filter ──► mode changed:   TO_IN or TO_EX with the list, twice
 *     sockets with filters ┘                              list changed:   ALLOW and BLOCK of the difference, twice
 */
#include "../stack.h"

#define QUERY_SOURCES 366u

static const struct gd_filter everybody = {.exclude = true}, nobody = {.exclude = false};

const struct gd_filter *gd_group_filter_of(const struct gd_group *group)
{
    if (group->members > 0) /* who wants all gets all, whatever others do not want */
        return &everybody;
    return group->narrowed != NULL ? &group->narrowed->filter : &nobody;
}

bool gd_filter_has(const struct gd_filter *filter, const struct gd_addr *source)
{
    for (uint32_t i = 0; i < filter->count; i++)
        if (gd_addr_eq(&filter->sources[i], source))
            return true;
    return false;
}

/* A query of more than one frame holds (RFC 3376 4.1.8) is answered as one about all: no peer shall have us compare more. */
bool gd_filter_meets(const struct gd_filter *filter, const struct gd_query *query, bool v4)
{
    if (query->nsources > QUERY_SOURCES)
        return true;
    for (uint32_t i = 0; i < query->nsources; i++) {
        const uint8_t *at = query->sources + i * (v4 ? 4 : 16);
        struct gd_addr source;

        if (v4)
            source = gd_addr_v4(at);
        else
            memcpy(source.b, at, sizeof source.b);
        if (gd_filter_wants(filter, &source))
            return true;
    }
    return query->nsources == 0;
}

static bool pend(struct gd_narrowed *narrowed, const struct gd_addr *source, uint8_t times)
{
    uint32_t i = 0;

    while (i < narrowed->npending && !gd_addr_eq(&narrowed->pending[i].source, source))
        i++;
    if (i == 2 * GD_SOURCES)
        return false;
    if (i == narrowed->npending)
        narrowed->pending[narrowed->npending++].source = *source;
    narrowed->pending[i].left = times;
    return true;
}

/* The sources of one list that are not in the other; false: too many to be told one by one. */
static bool pend_difference(struct gd_narrowed *narrowed, const struct gd_filter *list, const struct gd_filter *other,
                            uint8_t times)
{
    for (uint32_t i = 0; i < list->count; i++)
        if (!gd_filter_has(other, &list->sources[i]) && !pend(narrowed, &list->sources[i], times))
            return false;
    return true;
}

static bool is_same(const struct gd_filter *a, const struct gd_filter *b)
{
    if (a->exclude != b->exclude || a->count != b->count)
        return false;
    for (uint32_t i = 0; i < a->count; i++)
        if (!gd_filter_has(b, &a->sources[i]))
            return false;
    return true;
}

/* While a change of mode is still being told, with the list as it is by then, a change of the list makes that begin anew. */
bool gd_group_note(struct gd_group *group, const struct gd_filter *before, uint8_t times)
{
    const struct gd_filter *after = gd_group_filter_of(group);
    struct gd_narrowed *narrowed = group->narrowed;

    if (is_same(before, after))
        return false;
    if (before->exclude == after->exclude && group->changes == 0 && narrowed != NULL &&
        pend_difference(narrowed, before, after, times) && pend_difference(narrowed, after, before, times))
        return true;
    group->changes = times;
    if (narrowed != NULL)
        narrowed->npending = 0;
    return true;
}

uint32_t gd_group_take_pending(struct gd_group *group, struct gd_group_record *records, struct gd_addr *sources)
{
    const struct gd_filter *filter = gd_group_filter_of(group);
    struct gd_narrowed *narrowed = group->narrowed;
    uint32_t allowed = 0, blocked = 0, kept = 0, count = 0;

    if (narrowed == NULL)
        return 0;
    for (uint32_t i = 0; i < narrowed->npending; i++) { /* the wanted from the front, the others from the back */
        if (gd_filter_wants(filter, &narrowed->pending[i].source))
            sources[allowed++] = narrowed->pending[i].source;
        else
            sources[2 * GD_SOURCES - ++blocked] = narrowed->pending[i].source;
        if (--narrowed->pending[i].left > 0)
            narrowed->pending[kept++] = narrowed->pending[i];
    }
    narrowed->npending = kept;
    if (allowed > 0)
        records[count++] = (struct gd_group_record){GD_RECORD_ALLOW, group->addr, sources, allowed};
    if (blocked > 0)
        records[count++] =
            (struct gd_group_record){GD_RECORD_BLOCK, group->addr, sources + 2 * GD_SOURCES - blocked, blocked};
    return count;
}

uint32_t gd_group_record_part(uint32_t room, uint32_t record, uint32_t size, uint32_t count)
{
    uint32_t fit = room < record ? 0 : (room - record) / size;

    return fit < count ? fit : count;
}
