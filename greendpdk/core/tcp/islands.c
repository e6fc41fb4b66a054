/* Ranges that have arrived out of order (islands.h). Called by tcp/text.c, sack.c, input.c; calls malloc as their number
 * grows, and gives it back with the last.
 *
 * A window of thousands of segments of which each fifth is lost has hundreds of islands. One that is not remembered is
 * lost a second time, so the bound is in bytes, as Linux's: a range costs 8 bytes, and there may be one for each 256
 * bytes that wait, which are under the stack's cap. Sixteen are free, for those who send crumbs.
 */
#include "islands.h"

#include "../util/seq.h"

#include <stdlib.h>
#include <string.h>

#define FREE_ISLANDS 16u
#define BYTES_EACH 256u

/* The first that ends at seq or later; count if none. Most often it is the last or none: looked at first. */
static uint32_t find(const struct gd_islands *islands, uint32_t seq)
{
    uint32_t low = 0, high = islands->count;

    if (high > 0 && gd_seq_lt(islands->at[high - 1].end, seq))
        return high;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (gd_seq_lt(islands->at[middle].end, seq))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool reserve(struct gd_islands *islands)
{
    uint32_t room = islands->room > 0 ? 2 * islands->room : FREE_ISLANDS;
    struct gd_range *at;

    if (islands->count < islands->room)
        return true;
    if (islands->count >= FREE_ISLANDS + islands->bytes / BYTES_EACH)
        return false;
    at = realloc(islands->at, room * sizeof(*at));
    if (at == NULL)
        return false;
    islands->at = at;
    islands->room = room;
    return true;
}

/* [start, end) is reported first; what was known of its parts is forgotten. */
static void remember(struct gd_islands *islands, uint32_t start, uint32_t end)
{
    int kept = 0;

    for (int i = 0; i < islands->nrecent && kept < GD_TCP_SACKS - 1; i++) {
        uint32_t other = islands->recent[i];

        if (gd_seq_lt(other, start) || gd_seq_ge(other, end))
            islands->recent[kept++] = other;
    }
    memmove(&islands->recent[1], &islands->recent[0], (size_t)kept * sizeof(islands->recent[0]));
    islands->recent[0] = start;
    islands->nrecent = kept + 1;
}

bool gd_islands_add(struct gd_islands *islands, uint32_t start, uint32_t end)
{
    uint32_t first = find(islands, start), last = first; /* [first, last) touch the new one */
    struct gd_range *at;

    if (!reserve(islands) && (first == islands->count || gd_seq_gt(islands->at[first].start, end)))
        return false;
    at = islands->at;
    for (; last < islands->count && gd_seq_le(at[last].start, end); last++) {
        start = gd_seq_min(start, at[last].start);
        end = gd_seq_max(end, at[last].end);
        islands->bytes -= at[last].end - at[last].start;
    }
    if (last != first + 1)
        memmove(&at[first + 1], &at[last], (islands->count - last) * sizeof(*at));
    islands->count += 1 + first - last;
    islands->bytes += end - start;
    at[first] = (struct gd_range){start, end};
    remember(islands, start, end);
    return true;
}

bool gd_islands_have(const struct gd_islands *islands, uint32_t start, uint32_t end)
{
    uint32_t i = find(islands, end);

    return i < islands->count && gd_seq_le(islands->at[i].start, start);
}

bool gd_islands_goes_on(const struct gd_islands *islands, uint32_t seq)
{
    uint32_t i = find(islands, seq);

    return islands->nrecent > 0 && i < islands->count && islands->at[i].end == seq &&
           islands->at[i].start == islands->recent[0];
}

void gd_islands_touch(struct gd_islands *islands, uint32_t seq)
{
    uint32_t i = find(islands, seq + 1);

    if (i < islands->count && gd_seq_le(islands->at[i].start, seq))
        remember(islands, islands->at[i].start, islands->at[i].end);
}

uint32_t gd_islands_join(struct gd_islands *islands, uint32_t seq)
{
    uint32_t joined = 0;

    while (joined < islands->count && gd_seq_le(islands->at[joined].start, seq)) {
        seq = gd_seq_max(seq, islands->at[joined].end);
        islands->bytes -= islands->at[joined].end - islands->at[joined].start;
        joined++;
    }
    if (joined == 0)
        return seq;
    islands->count -= joined;
    if (islands->count == 0)
        gd_islands_clear(islands);
    else
        memmove(&islands->at[0], &islands->at[joined], islands->count * sizeof(islands->at[0]));
    return seq;
}

static bool is_among(const struct gd_range *blocks, int count, const struct gd_range *block)
{
    for (int i = 0; i < count; i++)
        if (blocks[i].start == block->start)
            return true;
    return false;
}

int gd_islands_report(const struct gd_islands *islands, struct gd_range *blocks, int max)
{
    int count = 0;

    for (int i = 0; i < islands->nrecent && count < max; i++) {
        uint32_t found = find(islands, islands->recent[i] + 1);

        if (found < islands->count && gd_seq_le(islands->at[found].start, islands->recent[i]))
            blocks[count++] = islands->at[found];
    }
    /* Room that is left goes to the rightmost, whose news the fewest ACKs have carried. */
    for (uint32_t i = islands->count; i > 0 && count < max; i--)
        if (!is_among(blocks, count, &islands->at[i - 1]))
            blocks[count++] = islands->at[i - 1];
    return count;
}

void gd_islands_clear(struct gd_islands *islands)
{
    free(islands->at);
    *islands = (struct gd_islands){0};
}
