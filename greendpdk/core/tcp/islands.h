/* What has arrived out of order: sorted ranges of sequence numbers that do not touch. The bytes are in the receive
 * buffer; this says where. Included by tcp/tcp.h; islands.c is called by tcp/text.c, sack.c.
 *
 *     rcv_nxt        at[0]      at[1]          at[count - 1]
 *        │    gap   ▓▓▓▓▓  gap  ▓▓      ...      ▓▓▓▓
 */
#ifndef GD_TCP_ISLANDS_H
#define GD_TCP_ISLANDS_H
#include "../wire/tcp.h"

#include <stdbool.h>

struct gd_islands {
    struct gd_range *at; /* NULL: none; owned */
    uint32_t count, room;
    uint32_t bytes;      /* of all of them */
    uint32_t recent[GD_TCP_SACKS]; /* a number in each of those that changed last, the newest first */
    int nrecent;
};

/* Adds [start, end), which joins what it touches, and will be reported first. False: no room for one more. */
bool gd_islands_add(struct gd_islands *islands, uint32_t start, uint32_t end);
/* The whole of [start, end) is there already. */
bool gd_islands_have(const struct gd_islands *islands, uint32_t start, uint32_t end);
/* seq goes on where the island ends that changed last. */
bool gd_islands_goes_on(const struct gd_islands *islands, uint32_t seq);
/* The one with seq in it is to be reported first (RFC 2883 4: next to the duplicate). */
void gd_islands_touch(struct gd_islands *islands, uint32_t seq);
/* Everything up to seq is in order: takes off those that it reaches, and returns where the last of them ends. */
uint32_t gd_islands_join(struct gd_islands *islands, uint32_t seq);
/* Up to max of them as SACK blocks, in RFC 2018 4's order. Returns how many. */
int gd_islands_report(const struct gd_islands *islands, struct gd_range *blocks, int max);
void gd_islands_clear(struct gd_islands *islands);
#endif
