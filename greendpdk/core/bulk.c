/* Streams of bytes between two stacks on one wire, in virtual time: what a simulation would else do by a million calls.
 * Called by greendpdk.testing through api.cdef.h; calls stack.c, sock/, port/pipe.c.
 */
#include "api.h"

#include <stdbool.h>
#include <sys/socket.h>

#define PIECE 65536u
#define TURNS 20000 /* at one moment; more is a livelock */

static uint64_t earliest(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* Both stacks, until nothing is left to do at this moment. When there will be; now: it never ended. */
static uint64_t turn(const struct gd_bulk_wire *wire, uint64_t now)
{
    for (int i = 0; i < TURNS; i++) {
        uint64_t stacks = earliest(gd_stack_poll(wire->a, now), gd_stack_poll(wire->b, now));
        uint64_t frames = earliest(gd_pipe_next(wire->end_a), gd_pipe_next(wire->end_b));

        if (earliest(stacks, frames) > now)
            return earliest(stacks, frames);
    }
    return now;
}

/* As an application that writes when it is told that it can. The bytes are zeros. */
static bool feed(struct gd_bulk *bulk)
{
    static const uint8_t zeros[PIECE];
    bool moved = false;

    while (bulk->unsent > 0 && (gd_sock_ready(bulk->source) & GD_WRITE)) {
        int64_t sent = gd_sock_send(bulk->source, zeros, bulk->unsent < PIECE ? (size_t)bulk->unsent : PIECE, 0);

        if (sent <= 0)
            break;
        bulk->unsent -= (uint64_t)sent;
        moved = true;
    }
    return moved;
}

static bool drain(struct gd_bulk *bulk, uint64_t now)
{
    bool moved = false;
    int64_t count;

    while ((count = gd_sock_recv(bulk->sink, NULL, INT32_MAX, MSG_TRUNC)) > 0) {
        bulk->received += (uint64_t)count;
        moved = true;
    }
    if (!moved)
        return false;
    if (bulk->last_at != 0 && now - bulk->last_at > bulk->longest_pause)
        bulk->longest_pause = now - bulk->last_at;
    bulk->last_at = now;
    return true;
}

uint64_t gd_bulk_run(const struct gd_bulk_wire *wire, struct gd_bulk *bulks, int n, uint64_t now, uint64_t until)
{
    for (;;) {
        uint64_t next = turn(wire, now);
        bool moved = false, wanted = false;

        if (next <= now)
            return now;
        for (int i = 0; i < n; i++) {
            bool drained = drain(&bulks[i], now);

            moved = feed(&bulks[i]) || drained || moved;
            wanted = wanted || bulks[i].received < bulks[i].total;
        }
        if (!wanted)
            return now;
        if (moved) /* a window may have opened, bytes wait to leave */
            continue;
        if (next > until)
            return until;
        now = next;
    }
}
