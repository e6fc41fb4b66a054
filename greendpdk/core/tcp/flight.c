/* The queue of segments in flight (flight.h). Called by tcp/output.c, ack.c, sack.c, rack.c, recover.c; calls malloc as
 * the ring grows to what the window needs, and gives it back when nothing is in flight.
 */
#include "flight.h"

#include "../util/seq.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_SLOTS 4 /* a request or an answer, which malloc has at hand */

void gd_flight_init(struct gd_flight *flight)
{
    *flight = (struct gd_flight){.oldest = GD_NO_ENTRY, .newest = GD_NO_ENTRY};
}

void gd_flight_clear(struct gd_flight *flight)
{
    uint64_t ever_lost = flight->ever_lost;
    uint32_t serial = flight->serial;

    free(flight->ring);
    gd_flight_init(flight);
    flight->ever_lost = ever_lost;
    flight->serial = serial;
}

int gd_flight_reserve(struct gd_flight *flight)
{
    uint32_t slots = flight->slots > 0 ? 2 * flight->slots : FIRST_SLOTS;
    struct gd_sent *ring;

    if (flight->count < flight->slots)
        return 0;
    ring = malloc(slots * sizeof(*ring));
    if (ring == NULL)
        return -ENOBUFS;
    for (uint32_t i = 0; i < flight->count; i++) /* positions stay what they are, only the mask changes */
        ring[(flight->first + i) & (slots - 1)] = *gd_flight_at(flight, flight->first + i);
    free(flight->ring);
    flight->ring = ring;
    flight->slots = slots;
    return 0;
}

static void append_by_time(struct gd_flight *flight, uint64_t position)
{
    struct gd_sent *sent = gd_flight_at(flight, position);

    sent->serial = ++flight->serial;
    sent->older = flight->newest;
    sent->newer = GD_NO_ENTRY;
    if (flight->newest != GD_NO_ENTRY)
        gd_flight_at(flight, flight->newest)->newer = position;
    else
        flight->oldest = position;
    flight->newest = position;
}

static void unlink_by_time(struct gd_flight *flight, uint64_t position)
{
    struct gd_sent *sent = gd_flight_at(flight, position);

    if (sent->older != GD_NO_ENTRY)
        gd_flight_at(flight, sent->older)->newer = sent->newer;
    else
        flight->oldest = sent->newer;
    if (sent->newer != GD_NO_ENTRY)
        gd_flight_at(flight, sent->newer)->older = sent->older;
    else
        flight->newest = sent->older;
}

void gd_flight_push(struct gd_flight *flight, uint32_t seq, uint32_t end, uint64_t now)
{
    uint64_t position = gd_flight_end(flight);

    flight->count++;
    *gd_flight_at(flight, position) = (struct gd_sent){.seq = seq, .end = end, .at = now, .fate = GD_SENT_OUT};
    append_by_time(flight, position);
    flight->pipe += end - seq;
}

/* Out of whatever it counts in now. */
static void uncount(struct gd_flight *flight, struct gd_sent *sent, uint64_t position)
{
    uint32_t len = sent->end - sent->seq;

    if (sent->fate == GD_SENT_OUT) {
        unlink_by_time(flight, position);
        flight->pipe -= len;
    } else if (sent->fate == GD_SENT_LOST) {
        flight->nlost--;
    } else {
        flight->sacked -= len;
    }
}

void gd_flight_resent(struct gd_flight *flight, struct gd_sent *sent, uint64_t position, uint64_t now)
{
    uncount(flight, sent, position);
    sent->fate = GD_SENT_OUT;
    sent->resent = true;
    sent->at = now;
    append_by_time(flight, position);
    flight->pipe += sent->end - sent->seq;
}

void gd_flight_lost(struct gd_flight *flight, uint64_t position)
{
    struct gd_sent *sent = gd_flight_at(flight, position);

    uncount(flight, sent, position);
    sent->fate = GD_SENT_LOST;
    flight->ever_lost += sent->end - sent->seq;
    if (flight->nlost == 0 || position < flight->next_lost)
        flight->next_lost = position;
    flight->nlost++;
}

void gd_flight_sacked(struct gd_flight *flight, uint64_t position)
{
    struct gd_sent *sent = gd_flight_at(flight, position);

    uncount(flight, sent, position);
    sent->fate = GD_SENT_SACKED;
    flight->sacked += sent->end - sent->seq;
}

void gd_flight_not_lost(struct gd_flight *flight, uint64_t position)
{
    struct gd_sent *sent = gd_flight_at(flight, position);

    uncount(flight, sent, position);
    sent->fate = GD_SENT_OUT;
    append_by_time(flight, position); /* a little younger than it is: RACK only gets more patient */
    flight->pipe += sent->end - sent->seq;
}

void gd_flight_pop(struct gd_flight *flight)
{
    uncount(flight, gd_flight_at(flight, flight->first), flight->first);
    flight->first++;
    flight->count--;
    if (flight->count == 0)
        gd_flight_clear(flight);
    else if (flight->next_lost < flight->first)
        flight->next_lost = flight->first;
}

void gd_flight_trim(struct gd_flight *flight, uint32_t una)
{
    struct gd_sent *sent = gd_flight_at(flight, flight->first);
    uint32_t len = una - sent->seq;

    if (sent->fate == GD_SENT_OUT)
        flight->pipe -= len;
    else if (sent->fate == GD_SENT_SACKED)
        flight->sacked -= len;
    sent->seq = una;
}

uint64_t gd_flight_next_lost(struct gd_flight *flight)
{
    if (flight->nlost == 0)
        return GD_NO_ENTRY;
    while (gd_flight_at(flight, flight->next_lost)->fate != GD_SENT_LOST)
        flight->next_lost++;
    return flight->next_lost;
}

uint64_t gd_flight_search(const struct gd_flight *flight, uint32_t seq)
{
    uint32_t low = 0, high = flight->count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (gd_seq_lt(gd_flight_at(flight, flight->first + middle)->seq, seq))
            low = middle + 1;
        else
            high = middle;
    }
    return flight->first + low;
}
