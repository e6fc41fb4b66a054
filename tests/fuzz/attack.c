/* What the frame targets share: an input is a scene, a mode, and steps: frames, calls, time, want of memory.
 * Called by net.c, tcp.c and storm.c; calls host.c and a scene.
 *
 *     byte 0: the scene    byte 1: the mode    then steps:   a frame of the scene, changed in places
 *                                                            │ the stack's last frame, sent back, changed
 *                                                            │ raw bytes │ a TCP segment by its fields
 *                                                            │ a thousand frames that differ in a number
 *                                                            │ a socket call │ time │ no frames, no memory
 */
#include "alloc.h"
#include "core/tcp/tcp.h"
#include "scene.h"

#include <errno.h>
#include <netinet/in.h>

enum {
    MODE_RAW = 4,   /* nothing is made right: lengths and checksums as they come */
    MODE_DRAIN = 8, /* the end comes by time, not by abort */
};
#define STEPS 64
#define DAY (86400 * HOST_S)
#define LATE 7 /* from this row of pass_time's steps on, the clock jumps */

/* A few bytes changed, maybe cut or made longer. */
static uint32_t mutate(uint8_t *frame, uint32_t len, struct input *in)
{
    uint8_t how = input_8(in);

    for (uint32_t i = 0; i < (how & 7u); i++) {
        uint32_t at = input_16(in) % (len ? len : 1);

        frame[at] = input_8(in);
    }
    if (how & 0x40) {
        uint32_t to = input_16(in) % (len + 64);

        if (to > len)
            to = len + input_bytes(in, frame + len, to - len);
        len = to < FRAME_MAX ? to : FRAME_MAX;
    }
    if (how & 0x80)
        frame_fix_lengths(frame, len);
    return len;
}

static void swap(uint8_t *a, uint8_t *b, uint32_t len)
{
    for (uint32_t i = 0; i < len; i++) {
        uint8_t keep = a[i];

        a[i] = b[i];
        b[i] = keep;
    }
}

/* The stack's last frame comes back to it, from where it went. */
static uint32_t reflect(const struct host *host, uint8_t *frame)
{
    uint8_t *ip = frame + FRAME_ETHER, proto;
    uint32_t at;
    bool whole;

    memcpy(frame, host->last, host->last_len);
    swap(frame, frame + 6, 6);
    at = frame_transport(frame, host->last_len, &proto, &whole);
    if (at == 0)
        return host->last_len;
    if (ip[0] >> 4 == 6)
        swap(ip + 8, ip + 24, 16);
    else
        swap(ip + 12, ip + 16, 4);
    if ((proto == IPPROTO_TCP || proto == IPPROTO_UDP) && at + 4 <= host->last_len)
        swap(frame + at, frame + at + 2, 2);
    return host->last_len;
}

/* Near is what is likely to matter; 127 says that any number follows. */
static uint32_t number_near(uint32_t base, struct input *in)
{
    int8_t step = (int8_t)input_8(in);

    if (step == 127)
        return input_32(in);
    return base + (uint32_t)(step > 64 || step < -64 ? step * 997 : step);
}

static uint32_t segment(struct host *host, uint8_t *frame, struct input *in)
{
    struct peer *peer = &host->peer;
    uint8_t raw[40] = {0}, how;
    struct peer_segment segment = {.flags = input_8(in) & 0xff};

    segment.seq = number_near(peer->snd_nxt, in);
    segment.ack = number_near(peer->rcv_nxt, in);
    segment.window = input_16(in);
    segment.len = input_16(in) % 1461;
    if (segment.flags & GD_TCP_URG)
        segment.urgent = input_16(in);
    how = input_8(in);
    if (how & 1) {
        segment.raw_options = raw;
        segment.raw_len = (how >> 1) % 11u * 4;
        input_bytes(in, raw, segment.raw_len);
    } else if (how & 2) {
        segment.options.has_ts = true;
        segment.options.tsval = peer->ts += how >> 6;
        segment.options.tsecr = number_near(peer->their_ts, in);
    }
    if ((how & 3) != 3 && (how & 4)) {
        segment.options.nsacks = (uint8_t)(1 + (how >> 4) % 3);
        for (int i = 0; i < segment.options.nsacks; i++) {
            segment.options.sacks[i].start = number_near(peer->rcv_nxt, in);
            segment.options.sacks[i].end = number_near(segment.options.sacks[i].start, in);
        }
    }
    if (how & 8) { /* it counts as said */
        peer->snd_nxt = segment.seq + segment.len + ((segment.flags & GD_TCP_FIN) ? 1 : 0);
    }
    return peer_write(peer, frame, &segment);
}

static void pass_time(struct host *host, struct input *in)
{
    static const struct {
        uint64_t time;
        bool stopped; /* without a turn on the way, as after SIGSTOP */
    } steps[] = {{HOST_MS, false},     {41 * HOST_MS, false}, {210 * HOST_MS, false}, {HOST_S, false},
                 {10 * HOST_S, false}, {130 * HOST_S, false}, {5 * HOST_MS, false},   {DAY, false},
                 {40 * DAY, true},     {2 * HOST_S, true}};
    uint32_t row = input_below(in, sizeof steps / sizeof steps[0]);

    if (host->settled) /* the storm: a million frames of 40 days each would wrap the clock, which has 64 bits of nanoseconds */
        row %= LATE;

    if (steps[row].time >= DAY) { /* a stack looks after a port that is stuck each millisecond */
        host->box.dry = host->box.stuck = false;
        alloc_refuse(0, 0);
    }
    if (steps[row].stopped)
        host->now += steps[row].time;
    host_advance(host, steps[row].stopped ? 0 : steps[row].time);
}

/* One of the resources is short from now on, or all are back. */
static void starve(struct host *host, struct input *in)
{
    uint8_t how = input_8(in);

    host->box.dry = how & 1;
    host->box.stuck = (how & 2) != 0;
    alloc_refuse(how >> 4, how & 4 ? 1 : how & 8 ? UINT32_MAX : 0);
}

/* Up to 1,275 frames that differ in one number: as many hosts, datagrams, ports. */
static void many(struct host *host, const struct scene *scene, struct input *in, bool fix)
{
    uint8_t frame[2 * FRAME_MAX] = {0}, variant = input_8(in);
    uint32_t count = input_8(in) * 5u / (host->settled ? 80 : 1), len = scene->write(host, frame, variant);
    uint32_t at = input_8(in) % (len - 1), number = gd_get16(frame + at);

    for (uint32_t i = 0; i < count; i++) {
        uint8_t copy[2 * FRAME_MAX];

        memcpy(copy, frame, len);
        gd_put16(copy + at, (uint16_t)(number + i));
        host_frame(host, copy, len, fix);
    }
}

void attack_step(struct host *host, const struct scene *scene, struct input *in, bool fix)
{
    uint8_t frame[2 * FRAME_MAX] = {0}, step = input_8(in);
    uint32_t len;

    switch (step % 16) {
    case 0:
        host_call(host, in);
        host_poll(host);
        return;
    case 1:
        pass_time(host, in);
        return;
    case 2:
        starve(host, in);
        return;
    case 3:
        if (step & 0x80) {
            many(host, scene, in, fix);
            return;
        }
        len = input_bytes(in, frame, input_16(in) % 1600);
        break;
    case 4:
    case 5:
        len = mutate(frame, reflect(host, frame), in);
        break;
    case 6:
    case 7:
    case 8:
    case 9:
        len = segment(host, frame, in);
        break;
    default:
        len = mutate(frame, scene->write(host, frame, input_8(in)), in);
    }
    host_frame(host, frame, len, fix);
}

void attack(const struct scene *scenes, uint32_t count, const uint8_t *data, size_t size)
{
    struct input in = {data, data + size};
    const struct scene *scene = &scenes[input_below(&in, count)];
    uint8_t mode = input_8(&in);
    struct host host;

    host_open(&host, mode);
    if (scene->set)
        scene->set(&host);
    host_poll(&host);
    for (int i = 0; i < STEPS && input_left(&in); i++) {
        attack_step(&host, scene, &in, (mode & MODE_RAW) == 0);
        host_check_caps(&host);
    }
    if ((mode & HOST_SMALL) == 0) { /* else its memory may be with those who do not read: host_close asks later */
        host_recover(&host);
        host_check_witness(&host);
    }
    host_close(&host, (mode & MODE_DRAIN) == 0);
}
