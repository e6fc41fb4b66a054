/* The segments that a connection has in the network: one entry each, in two orders.
 * Included by tcp/tcp.h; flight.c is called by tcp/output.c, sack.c, rack.c, recover.c, ack.c.
 *
 *   by sequence number (the ring):    snd_una │ SACKED │ LOST │ OUT │ SACKED │ OUT │ snd_nxt
 *   by time of sending (the list):    oldest ──► ... ──► newest         OUT entries only
 *
 * pipe (RFC 6675 4) is the sum of the OUT ones' bytes, kept as they change: nothing here walks the ring per ACK.
 */
#ifndef GD_TCP_FLIGHT_H
#define GD_TCP_FLIGHT_H
#include <stdbool.h>
#include <stdint.h>

#define GD_NO_ENTRY UINT64_MAX

enum gd_sent_fate {
    GD_SENT_OUT,    /* in the network, as far as we know */
    GD_SENT_SACKED, /* arrived, but not acknowledged in sequence */
    GD_SENT_LOST,   /* to be sent again */
};

struct gd_sent {
    uint64_t at;           /* of the last sending */
    uint32_t seq, end;     /* a FIN counts in end */
    uint64_t older, newer; /* positions in the ring, or GD_NO_ENTRY; OUT only */
    uint32_t serial;       /* of the sending: many have one time */
    uint8_t fate;          /* enum gd_sent_fate */
    bool resent;           /* more than once in the network */
    bool limited;          /* rate.h: the application set the pace */
    uint64_t first_at, delivered_at, delivered; /* rate.h: what was known at the last sending */
};

struct gd_flight {
    struct gd_sent *ring;    /* NULL while nothing is in flight */
    uint32_t slots;          /* a power of two, or 0 */
    uint32_t count;
    uint64_t first;          /* position of the first entry; positions run on and are masked */
    uint64_t oldest, newest; /* positions, GD_NO_ENTRY: none */
    uint64_t next_lost;      /* no LOST entry stands before this position */
    uint32_t nlost;
    uint32_t pipe, sacked;   /* bytes */
    uint32_t serial;         /* of the last sending; runs on when the flight is empty */
    uint64_t ever_lost;      /* bytes that were marked LOST since the connection began */
};

static inline struct gd_sent *gd_flight_at(const struct gd_flight *flight, uint64_t position)
{
    return &flight->ring[position & (flight->slots - 1)];
}

/* The first entry's position is ->first, the last's gd_flight_end() - 1. */
static inline uint64_t gd_flight_end(const struct gd_flight *flight)
{
    return flight->first + flight->count;
}

void gd_flight_init(struct gd_flight *flight);
void gd_flight_clear(struct gd_flight *flight);
/* Room for one more. 0, -ENOBUFS. */
int gd_flight_reserve(struct gd_flight *flight);
/* The segment after the last, sent now. After a reserve. */
void gd_flight_push(struct gd_flight *flight, uint32_t seq, uint32_t end, uint64_t now);
/* Sent again: OUT, and the newest. */
void gd_flight_resent(struct gd_flight *flight, struct gd_sent *sent, uint64_t position, uint64_t now);
/* OUT to LOST, OUT or LOST to SACKED, LOST back to OUT (an undo). */
void gd_flight_lost(struct gd_flight *flight, uint64_t position);
void gd_flight_sacked(struct gd_flight *flight, uint64_t position);
void gd_flight_not_lost(struct gd_flight *flight, uint64_t position);
/* Takes the first entry off; pipe and sacked follow. */
void gd_flight_pop(struct gd_flight *flight);
/* The first bytes of the first entry are acknowledged. */
void gd_flight_trim(struct gd_flight *flight, uint32_t una);
/* The position of the first LOST entry, GD_NO_ENTRY if there is none. */
uint64_t gd_flight_next_lost(struct gd_flight *flight);
/* The first position whose entry begins at seq or later; gd_flight_end if none. O(log n). */
uint64_t gd_flight_search(const struct gd_flight *flight, uint32_t seq);
#endif
