/* The timing wheel of timer.h. Called by tcp/, net/, sock/dgram.c and stack.c; calls the timers' own functions.
 *
 * A timer's tick and the wheel's are compared as numbers of base 64. The highest digit in which they differ is the
 * timer's level, that digit of the timer's tick its slot:
 *
 *     wheel  ... 3 07 41 12        level 2 holds what shares digit 3 and up, level 1 what shares 2 and up, ...
 *     timer  ... 3 07 55 02  ──►   level 1, slot 55
 *
 * So everything on a level comes before anything on the level above, and the lowest bit set on the lowest level in use
 * is what comes next: empty time is jumped over, however long. When the wheel reaches a slot above level 0, its timers
 * move to lower levels, at most once a level in a timer's life. (Varghese, Lauck: "Hashed and Hierarchical Timing
 * Wheels", 1987, scheme 6; the digits by exclusive or, so that no slot is ever looked at twice.)
 */
#include "timer.h"

#define SLOT_MASK ((uint64_t)GD_WHEEL_SLOTS - 1)
#define LAST_TICK (UINT64_MAX >> GD_WHEEL_TICK_SHIFT)

/* Rounded up: a tick is over when its first nanosecond is there, and no timer may fire early. */
static uint64_t tick_of(uint64_t at)
{
    uint64_t tick = at >> GD_WHEEL_TICK_SHIFT;

    if ((at & ((1u << GD_WHEEL_TICK_SHIFT) - 1)) && tick < LAST_TICK)
        tick++;
    return tick;
}

/* The first tick of a slot, as seen from where the wheel stands. */
static uint64_t slot_tick(const struct gd_wheel *wheel, int level, int slot)
{
    int shift = level * GD_WHEEL_BITS;
    uint64_t above = wheel->tick >> shift >> GD_WHEEL_BITS << GD_WHEEL_BITS;

    return (above | (uint64_t)slot) << shift;
}

/* The slot whose timers come first; false: there is none. */
static bool first_slot(const struct gd_wheel *wheel, int *level, int *slot)
{
    for (int i = 0; i < GD_WHEEL_LEVELS; i++) {
        if (!wheel->occupied[i])
            continue;
        *level = i;
        *slot = __builtin_ctzll(wheel->occupied[i]);
        return true;
    }
    return false;
}

/* tick >= wheel->tick */
static void place(struct gd_wheel *wheel, struct gd_timer *timer, uint64_t tick)
{
    uint64_t differ = tick ^ wheel->tick;
    int level = differ ? (63 - __builtin_clzll(differ)) / GD_WHEEL_BITS : 0;
    uint64_t slot = tick >> (level * GD_WHEEL_BITS) & SLOT_MASK;

    wheel->occupied[level] |= 1ull << slot;
    gd_list_append(&wheel->slots[level][slot], &timer->link);
}

void gd_wheel_init(struct gd_wheel *wheel, uint64_t now)
{
    wheel->tick = now >> GD_WHEEL_TICK_SHIFT;
    gd_list_init(&wheel->due);
    for (int level = 0; level < GD_WHEEL_LEVELS; level++) {
        wheel->occupied[level] = 0;
        for (int slot = 0; slot < GD_WHEEL_SLOTS; slot++)
            gd_list_init(&wheel->slots[level][slot]);
    }
}

void gd_timer_init(struct gd_timer *timer, gd_timer_fn *fire)
{
    gd_list_init(&timer->link);
    timer->at = GD_NEVER;
    timer->fire = fire;
}

void gd_timer_set(struct gd_wheel *wheel, struct gd_timer *timer, uint64_t at)
{
    uint64_t tick = tick_of(at);

    gd_timer_cancel(wheel, timer);
    if (at == GD_NEVER)
        return;
    timer->at = at;
    if (tick <= wheel->tick)
        gd_list_append(&wheel->due, &timer->link);
    else
        place(wheel, timer, tick);
}

void gd_timer_cancel(struct gd_wheel *wheel, struct gd_timer *timer)
{
    struct gd_list *head = timer->link.next;
    struct gd_list *slots = &wheel->slots[0][0];

    timer->at = GD_NEVER;
    gd_list_remove(&timer->link);
    /* The last of its list had the list's head on both sides; only a slot's head has a bit to clear. */
    if (!gd_list_empty(head) || head < slots || head >= slots + GD_WHEEL_LEVELS * GD_WHEEL_SLOTS)
        return;
    wheel->occupied[(head - slots) / GD_WHEEL_SLOTS] &= ~(1ull << (head - slots) % GD_WHEEL_SLOTS);
}

/* Moves the wheel on to that tick, and everything due until then to the list. */
static void advance(struct gd_wheel *wheel, uint64_t target, struct gd_list *firing)
{
    int level, slot;

    while (first_slot(wheel, &level, &slot)) {
        uint64_t tick = slot_tick(wheel, level, slot);
        struct gd_list moving, *link;

        if (tick > target)
            break;
        wheel->tick = tick;
        wheel->occupied[level] &= ~(1ull << slot);
        if (level == 0) {
            gd_list_splice(firing, &wheel->slots[level][slot]);
            continue;
        }
        gd_list_init(&moving);
        gd_list_splice(&moving, &wheel->slots[level][slot]);
        while ((link = gd_list_pop(&moving)) != NULL) {
            struct gd_timer *timer = GD_ENTRY(link, struct gd_timer, link);

            place(wheel, timer, tick_of(timer->at));
        }
    }
    wheel->tick = target;
}

void gd_wheel_run(struct gd_wheel *wheel, uint64_t now)
{
    uint64_t target = now >> GD_WHEEL_TICK_SHIFT;
    struct gd_list firing, *link;

    gd_list_init(&firing);
    gd_list_splice(&firing, &wheel->due);
    if (target > wheel->tick)
        advance(wheel, target, &firing);
    /* A timer that fires may cancel, move or free any other of this list, which is linked both ways for that. */
    while ((link = gd_list_pop(&firing)) != NULL) {
        struct gd_timer *timer = GD_ENTRY(link, struct gd_timer, link);

        timer->at = GD_NEVER;
        timer->fire(timer, now);
    }
}

uint64_t gd_wheel_next(const struct gd_wheel *wheel)
{
    int level, slot;

    if (!gd_list_empty(&wheel->due))
        return wheel->tick << GD_WHEEL_TICK_SHIFT;
    if (!first_slot(wheel, &level, &slot))
        return GD_NEVER;
    return slot_tick(wheel, level, slot) << GD_WHEEL_TICK_SHIFT;
}
