/* Frames under way, by the time when they arrive. Called by pipe.c and shaper.c; calls malloc when it grows. */
#include "lane.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

static bool earlier(const struct gd_lane_entry *a, const struct gd_lane_entry *b)
{
    return a->due != b->due ? a->due < b->due : a->order < b->order;
}

int gd_lane_reserve(struct gd_lane *lane)
{
    uint32_t room = lane->room ? lane->room * 2 : 64;
    struct gd_lane_entry *heap;

    if (lane->count < lane->room)
        return 0;
    if (lane->count >= GD_LANE_FRAMES)
        return -ENOBUFS;
    heap = realloc(lane->heap, room * sizeof *heap);
    if (!heap)
        return -ENOBUFS;
    lane->heap = heap;
    lane->room = room;
    return 0;
}

void gd_lane_push(struct gd_lane *lane, uint64_t due, void *item)
{
    struct gd_lane_entry new = {due, lane->order++, item};
    uint32_t at = lane->count++;

    while (at > 0 && earlier(&new, &lane->heap[(at - 1) / 2])) {
        lane->heap[at] = lane->heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    lane->heap[at] = new;
}

void *gd_lane_pop(struct gd_lane *lane)
{
    void *first = lane->heap[0].item;
    struct gd_lane_entry last = lane->heap[--lane->count];
    uint32_t at = 0, child;

    while ((child = 2 * at + 1) < lane->count) {
        if (child + 1 < lane->count && earlier(&lane->heap[child + 1], &lane->heap[child]))
            child++;
        if (!earlier(&lane->heap[child], &last))
            break;
        lane->heap[at] = lane->heap[child];
        at = child;
    }
    lane->heap[at] = last;
    return first;
}
