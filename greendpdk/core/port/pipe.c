/* A wire in memory between two ends, with faults in each direction. Called through port.h by net/ether.c, and by
 * greendpdk.testing through api.cdef.h; calls port/fault.c and lane.c.
 *
 *      end 0 ── tx ──► faults of 0 ──► heap by time due ──► rx ── end 1
 *      end 0 ◄── rx ── heap by time due ◄── faults of 1 ◄── tx ── end 1
 *
 * Frames are malloc'd once and go round through one free list. The pipe lives until both ends are closed; what is on
 * its way to a closed end is lost.
 */
#include "fault.h"
#include "lane.h"
#include "port.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ETHER_LEN 14u
#define NEVER UINT64_MAX

struct pipe_frame {
    struct gd_frame frame; /* first: the engine's pointer is ours */
    struct pipe_frame *next_free;
    uint8_t bytes[];
};

struct pipe_end {
    struct gd_port port; /* first: ops get a pointer to it */
    struct pipe *pipe;
    struct pipe_end *peer;
    struct gd_lane arriving;
    struct gd_faults faults; /* of what this end sends */
    bool down, closed;
};

struct pipe {
    struct pipe_end ends[2];
    struct pipe_frame *free_frames;
};

static struct pipe_end *end_of(struct gd_port *port)
{
    return (struct pipe_end *)(void *)port;
}

static void frame_free(struct pipe *pipe, struct pipe_frame *frame)
{
    frame->next_free = pipe->free_frames;
    pipe->free_frames = frame;
}

/* NULL: out of memory. */
static struct pipe_frame *frame_new(struct pipe_end *end)
{
    struct pipe_frame *frame = end->pipe->free_frames;
    uint32_t room = end->port.mtu + ETHER_LEN;

    if (frame)
        end->pipe->free_frames = frame->next_free;
    else
        frame = malloc(sizeof *frame + room);
    if (frame)
        frame->frame = (struct gd_frame){.data = frame->bytes, .room = room};
    return frame;
}

static void send_twin(struct pipe_end *end, const struct pipe_frame *frame, uint64_t due)
{
    struct pipe_frame *twin;

    if (gd_lane_reserve(&end->peer->arriving) < 0)
        return;
    twin = frame_new(end);
    if (!twin)
        return;
    memcpy(twin->bytes, frame->frame.data, frame->frame.len);
    twin->frame.len = frame->frame.len;
    gd_lane_push(&end->peer->arriving, due, twin);
}

/* Takes the frame unless it returns -ENOBUFS. */
static int send_frame(struct pipe_end *end, struct pipe_frame *frame, uint64_t now)
{
    struct gd_fate fate = {.lost = true};

    if (!end->down && !end->peer->closed) {
        if (gd_lane_reserve(&end->peer->arriving) < 0)
            return -ENOBUFS;
        fate = gd_faults_draw(&end->faults, frame->frame.data, frame->frame.len, now);
    }
    if (fate.lost) {
        frame_free(end->pipe, frame);
        return 0;
    }
    frame->frame.data[fate.flip_at] ^= fate.flip;
    frame->frame.flags = 0;
    gd_lane_push(&end->peer->arriving, fate.due, frame);
    if (fate.twice)
        send_twin(end, frame, fate.due);
    return 0;
}

static int pipe_rx(struct gd_port *port, struct gd_frame **frames, int max, uint64_t now)
{
    struct gd_lane *lane = &end_of(port)->arriving;
    int count = 0;

    while (count < max && lane->count && lane->heap[0].due <= now)
        frames[count++] = gd_lane_pop(lane); /* its first member */
    return count;
}

static struct gd_frame *pipe_alloc(struct gd_port *port)
{
    struct pipe_frame *frame = frame_new(end_of(port));

    return frame ? &frame->frame : NULL;
}

static int pipe_tx(struct gd_port *port, struct gd_frame **frames, int n, uint64_t now)
{
    for (int i = 0; i < n; i++)
        if (send_frame(end_of(port), (struct pipe_frame *)(void *)frames[i], now) < 0)
            return i;
    return n;
}

static void pipe_free(struct gd_port *port, struct gd_frame **frames, int n)
{
    for (int i = 0; i < n; i++)
        frame_free(end_of(port)->pipe, (struct pipe_frame *)(void *)frames[i]);
}

static uint64_t pipe_next(struct gd_port *port)
{
    const struct gd_lane *lane = &end_of(port)->arriving;

    return lane->count ? lane->heap[0].due : NEVER;
}

static int pipe_rx_fd(struct gd_port *port)
{
    (void)port;
    return -1;
}

static void pipe_free_all(struct pipe *pipe)
{
    struct pipe_frame *frame;

    while ((frame = pipe->free_frames)) {
        pipe->free_frames = frame->next_free;
        free(frame);
    }
    gd_faults_free(&pipe->ends[0].faults);
    gd_faults_free(&pipe->ends[1].faults);
    free(pipe);
}

static void pipe_close(struct gd_port *port)
{
    struct pipe_end *end = end_of(port);

    while (end->arriving.count)
        frame_free(end->pipe, gd_lane_pop(&end->arriving));
    free(end->arriving.heap);
    end->arriving = (struct gd_lane){0};
    end->closed = true;
    if (end->peer->closed)
        pipe_free_all(end->pipe);
}

static const struct gd_port_ops pipe_ops = {
    .rx = pipe_rx,
    .alloc = pipe_alloc,
    .tx = pipe_tx,
    .free = pipe_free,
    .next = pipe_next,
    .rx_fd = pipe_rx_fd,
    .close = pipe_close,
};

int gd_pipe_pair(uint32_t mtu, const uint8_t *mac_a, const uint8_t *mac_b, struct gd_port **a, struct gd_port **b)
{
    struct pipe *pipe = calloc(1, sizeof *pipe);

    if (!pipe)
        return -ENOMEM;
    for (int i = 0; i < 2; i++) {
        struct pipe_end *end = &pipe->ends[i];

        end->port = (struct gd_port){.ops = &pipe_ops, .mtu = mtu};
        memcpy(end->port.mac, i ? mac_b : mac_a, 6);
        end->pipe = pipe;
        end->peer = &pipe->ends[!i];
        if (gd_faults_init(&end->faults) < 0) {
            pipe_free_all(pipe);
            return -ENOMEM;
        }
    }
    *a = &pipe->ends[0].port;
    *b = &pipe->ends[1].port;
    return 0;
}

void gd_pipe_fault(struct gd_port *end, const struct gd_fault *fault)
{
    gd_faults_set(&end_of(end)->faults, fault);
}

void gd_pipe_down(struct gd_port *end, int down)
{
    end_of(end)->down = down != 0;
}

int gd_pipe_inject(struct gd_port *end, const void *frame, uint32_t len, uint64_t now)
{
    struct pipe_frame *copy;
    int result;

    if (len > end->mtu + ETHER_LEN)
        return -EMSGSIZE;
    copy = frame_new(end_of(end));
    if (!copy)
        return -ENOMEM;
    memcpy(copy->bytes, frame, len);
    copy->frame.len = len;
    result = send_frame(end_of(end), copy, now);
    if (result < 0)
        frame_free(end_of(end)->pipe, copy);
    return result;
}

int gd_pipe_take(struct gd_port *end, void *frame, uint32_t room, uint64_t now)
{
    struct gd_lane *lane = &end_of(end)->arriving;
    struct pipe_frame *first;
    uint32_t len;

    if (!lane->count || lane->heap[0].due > now)
        return -EAGAIN;
    first = lane->heap[0].item;
    len = first->frame.len;
    if (len > room)
        return -EMSGSIZE; /* it stays */
    first = gd_lane_pop(lane);
    memcpy(frame, first->frame.data, len);
    frame_free(end_of(end)->pipe, first);
    return (int)len;
}

uint64_t gd_pipe_next(struct gd_port *end)
{
    return pipe_next(end);
}
