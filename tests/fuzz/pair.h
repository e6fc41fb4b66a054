/* Two stacks and the wire between them, which does to each frame what the input says.
 * Called by fuzz_wire.c; calls the engine, box.c, alloc.c.
 *
 *     stack 0 ─► box ─► queue 0 ─► pair_deliver: pass, lose, double, hold back, cut, flip, mark ─► box ─► stack 1
 *     stack 1 ─► box ─► queue 1 ─► ...                                                                 └► stack 0
 *
 * Stream bytes are those of pattern(): each received byte is compared with its place in what the other end sent.
 */
#ifndef FUZZ_PAIR_H
#define FUZZ_PAIR_H
#include "host.h"

#define PAIR_QUEUE 64 /* frames that wait for their fate; more pass untouched */
#define PAIR_SOCKS 8

struct pair_frame {
    uint8_t *data; /* owned */
    uint32_t len;
};

struct pair_sock {
    struct gd_sock *sock; /* NULL: none */
    uint64_t sent, received; /* bytes of the stream */
    bool stream;
};

struct pair_side {
    struct gd_stack *stack;
    struct box box;
    struct pair_frame queue[PAIR_QUEUE]; /* sent by this side */
    uint32_t count;
    struct pair_sock socks[PAIR_SOCKS];
    struct gd_sock *witness;
    struct pair *pair;
};

struct pair {
    struct pair_side sides[2];
    uint64_t now;
    bool v6;
    bool forge; /* changed frames get right checksums: streams are not compared */
};

/* mode: HOST_SMALL, HOST_ECN, HOST_COOKIES of both sides, and these */
enum {
    PAIR_FORGE = 4,
    PAIR_V6 = 64, /* the connections are IPv6's */
};
void pair_open(struct pair *pair, uint8_t mode);
/* The address of that side, of the family that the input connects by. */
struct gd_addr pair_addr(const struct pair *pair, int side);
void pair_close(struct pair *pair, bool abort_all);
void pair_call(struct pair *pair, int side, struct input *in);
/* What becomes of the next frame of that side's queue. */
void pair_deliver(struct pair *pair, int side, struct input *in);
void pair_advance(struct pair *pair, uint64_t ns);
void pair_starve(struct pair *pair, int side, struct input *in);
#endif
