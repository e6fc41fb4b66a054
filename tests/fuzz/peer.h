/* The far end of one TCP connection, in the harness's hand: says what it is told to say, and follows what it hears.
 * Called by host.c and the scenes; calls frame.c and wire/tcp.c.
 */
#ifndef FUZZ_PEER_H
#define FUZZ_PEER_H
#include "core/util/addr.h"
#include "core/wire/tcp.h"

#define PEER_WINDOW 65535
#define PEER_TIME_STEP 7 /* of the timestamps, a segment */

struct peer {
    uint8_t number;          /* of the cast */
    bool v6;
    uint16_t port, their_port;
    uint32_t iss, snd_nxt;
    uint32_t rcv_nxt;        /* in order so far, their SYN and FIN too */
    bool heard_syn, heard_fin, heard_rst;
    bool use_ts;             /* timestamps on every segment */
    bool use_sack, ecn;      /* said in its SYN */
    uint16_t mss;
    uint8_t wscale;
    uint32_t una;            /* what it has acknowledged so far */
    uint32_t ts, their_ts;
    uint32_t received;       /* bytes of data, in order */
    uint32_t unacked;        /* segments that took a number, since our last ACK */
};

void peer_init(struct peer *peer, uint8_t number, bool v6, uint16_t port, uint16_t their_port);
/* A segment from this peer, into frame; returns its length. data NULL: zeros. */
struct peer_segment {
    uint8_t flags;
    uint32_t seq, ack;
    uint16_t window, urgent;
    struct gd_tcp_options options;
    const uint8_t *raw_options; /* instead, raw_len bytes, a multiple of 4 */
    uint32_t raw_len;
    const uint8_t *data;
    uint32_t len;
};
uint32_t peer_write(const struct peer *peer, uint8_t *frame, const struct peer_segment *segment);
/* The next in order with those flags: the peer's own numbers move on. */
uint32_t peer_next(struct peer *peer, uint8_t *frame, uint8_t flags, const uint8_t *data, uint32_t len);
/* A frame that the stack has sent: true if it is of this connection. */
bool peer_hears(struct peer *peer, const uint8_t *frame, uint32_t len);
#endif
