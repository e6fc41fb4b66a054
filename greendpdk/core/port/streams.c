/* Flows of a shaper, and the random numbers of their packets. Called by port/shaper.c; calls util/siphash.c. */
#include "streams.h"

#include "../util/bytes.h"
#include "../wire/tcp.h"

#include <stdbool.h>
#include <string.h>

#define ETHER_LEN 14u
#define ETHER_IP4 0x0800u
#define ETHER_IP6 0x86ddu
#define IP4_LEN 20u
#define IP6_LEN 40u
#define TCP 6u
#define UDP 17u
#define OLDER 0x80000000u /* where the numbers of connections begin that were there before */
#define OTHERS 0x40000000u /* and those of flows that are no connections */
#define PROBES 16u

struct look {
    uint8_t who[37]; /* addresses, ports and protocol: what makes the flow */
    bool carries;    /* data, SYN or FIN: it is sent again until it arrives */
    bool midway;     /* of a TCP connection, and not its first packet */
};

static void look_at_transport(struct look *look, uint8_t proto, const uint8_t *l4, uint32_t len)
{
    uint32_t head;

    look->who[36] = proto;
    look->carries = true;
    if ((proto != TCP || len < GD_TCP_HEADER) && (proto != UDP || len < 8))
        return;
    memcpy(look->who + 32, l4, 4);
    if (proto == UDP)
        return;
    head = (l4[12] >> 4) * 4u;
    look->midway = (l4[13] & GD_TCP_SYN) == 0;
    look->carries = len > head || (l4[13] & (GD_TCP_SYN | GD_TCP_FIN)) != 0;
}

static void look_at(struct look *look, const uint8_t *frame, uint32_t len)
{
    uint16_t type = len >= ETHER_LEN ? gd_get16(frame + 12) : 0;
    const uint8_t *ip = frame + ETHER_LEN;
    uint32_t head, whole;

    memset(look, 0, sizeof *look);
    len = len >= ETHER_LEN ? len - ETHER_LEN : 0;
    if (type == ETHER_IP4 && len >= IP4_LEN) {
        head = (ip[0] & 15) * 4u;
        whole = gd_get16(ip + 2) < len ? gd_get16(ip + 2) : len; /* short frames are padded */
        memcpy(look->who, ip + 12, 8);
        if (head >= IP4_LEN && head <= whole && (gd_get16(ip + 6) & 0x1fffu) == 0)
            look_at_transport(look, ip[9], ip + head, whole - head);
    } else if (type == ETHER_IP6 && len >= IP6_LEN) {
        whole = IP6_LEN + gd_get16(ip + 4) < len ? IP6_LEN + gd_get16(ip + 4) : len;
        memcpy(look->who, ip + 8, 32);
        look_at_transport(look, ip[6], ip + IP6_LEN, whole - IP6_LEN);
    }
}

static struct gd_stream *stream_of(struct gd_streams *streams, const struct look *look)
{
    static const struct gd_key key = {1, 2}; /* nobody attacks a test */
    uint64_t flow = gd_siphash(&key, look->who, sizeof look->who) | 1;
    struct gd_stream *stream;

    for (uint32_t i = 0; i < PROBES; i++) {
        stream = &streams->stream[(flow + i) & (GD_STREAMS - 1)];
        if (stream->flow == flow)
            return stream;
        if (stream->flow == 0) {
            stream->flow = flow;
            stream->number = look->midway            ? OLDER + streams->older++
                             : look->who[36] != TCP ? OTHERS + streams->others++
                                                    : streams->connections++;
            return stream;
        }
    }
    return &streams->stream[GD_STREAMS];
}

void gd_streams_reset(struct gd_streams *streams)
{
    memset(streams, 0, sizeof *streams);
    streams->stream[GD_STREAMS].number = UINT32_MAX;
}

struct gd_random gd_streams_next(struct gd_streams *streams, uint64_t seed, const uint8_t *frame, uint32_t len)
{
    struct look look;
    struct gd_stream *stream;

    look_at(&look, frame, len);
    stream = stream_of(streams, &look);
    return (struct gd_random){
        .key = {.k0 = seed, .k1 = (uint64_t)stream->number << 32 | stream->count[look.carries]++ << 1 | look.carries},
    };
}
