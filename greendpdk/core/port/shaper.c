/* A port between the stack and another port that does to frames what a bad wire does, each way by faults of its own:
 * what netem is to Linux. Called through port.h by net/ether.c, and by greendpdk.testing through api.cdef.h; calls
 * port/fault.c, streams.c, lane.c, the inner port and, when its MTU is set, net/config.c.
 *
 *      stack ── tx ──► faults out ──► lane by time due ──► inner tx ──► wire
 *      stack ◄── rx ◄── lane by time due ◄── faults in ◄── inner rx ◄── wire
 *
 * Frames are copied, so that no buffer of the inner port waits here. It is for tests: without one the stack is on its
 * port as ever. Checksums are made and looked at in software, as damage must show.
 *
 * What keeps a link going (ARP, neighbour discovery, group reports) suffers nothing but a partition. It comes when
 * neighbours' timers say so, and a test that is about something else would wait for its seconds.
 */
#include "../stack.h"
#include "../util/bytes.h"
#include "fault.h"
#include "lane.h"
#include "port.h"
#include "streams.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ETHER_LEN 14u
#define ETHER_IP4 0x0800u
#define ETHER_IP6 0x86ddu
#define IP4_LEN 20u
#define IP6_LEN 40u
#define MTU_MIN 576u /* RFC 791: every host takes so much */
#define BURSTS 8 /* of the inner port's in one rx: what has come is aged from now, not from when it is asked for */

struct held {
    struct gd_frame frame; /* first: the engine's pointer is ours */
    struct held *next_free;
    uint8_t bytes[];
};

struct way {
    struct gd_faults faults;
    struct gd_streams streams;
    struct gd_lane lane;
    struct gd_shaped shaped;
    bool down;
};

struct shaper {
    struct gd_port port;   /* first: ops get a pointer to it */
    struct gd_port *inner; /* owned */
    uint32_t room;         /* bytes of a frame: the inner port's MTU, whatever ours was set to */
    struct way in, out;
    struct held *free_frames;
};

static struct shaper *shaper_of(struct gd_port *port)
{
    return (struct shaper *)(void *)port;
}

static void held_free(struct shaper *shaper, struct held *held)
{
    held->next_free = shaper->free_frames;
    shaper->free_frames = held;
}

/* NULL: out of memory. */
static struct held *held_new(struct shaper *shaper)
{
    struct held *held = shaper->free_frames;
    uint32_t room = shaper->room;

    if (held)
        shaper->free_frames = held->next_free;
    else
        held = malloc(sizeof *held + room);
    if (held)
        held->frame = (struct gd_frame){.data = held->bytes, .room = room};
    return held;
}

/* NULL: no memory, or longer than the MTU allows. */
static struct held *held_copy(struct shaper *shaper, const struct gd_frame *frame)
{
    struct held *held = frame->len <= shaper->port.mtu + ETHER_LEN ? held_new(shaper) : NULL;

    if (!held)
        return NULL;
    memcpy(held->bytes, frame->data, frame->len);
    held->frame.len = frame->len;
    held->frame.flags = frame->flags;
    return held;
}

/* MLD (RFC 3810) and neighbour discovery (RFC 4861); reports of groups stand behind a hop-by-hop header of 8 bytes. */
static bool keeps_ip6_link(const uint8_t *ip, uint32_t len)
{
    const uint8_t *icmp = ip + IP6_LEN;
    uint8_t next;

    if (len < IP6_LEN + 9)
        return false;
    next = ip[6];
    if (next == 0) {
        next = icmp[0];
        icmp += 8;
    }
    return next == 58 && ((icmp[0] >= 130 && icmp[0] <= 137) || icmp[0] == 143);
}

static bool keeps_link(const uint8_t *frame, uint32_t len)
{
    uint16_t type = len >= ETHER_LEN ? gd_get16(frame + 12) : 0;

    if (type == ETHER_IP4)
        return len >= ETHER_LEN + IP4_LEN && frame[ETHER_LEN + 9] == 2; /* IGMP */
    return type != ETHER_IP6 || keeps_ip6_link(frame + ETHER_LEN, len - ETHER_LEN);
}

static struct gd_fate draw(struct shaper *shaper, struct way *way, const struct gd_frame *frame, uint64_t now)
{
    struct gd_shaped *shaped = &way->shaped;
    struct gd_fate fate = {.lost = way->down, .due = now};

    if (keeps_link(frame->data, frame->len))
        return fate;
    way->faults.random = gd_streams_next(&way->streams, way->faults.fault.seed, frame->data, frame->len);
    if (!way->down)
        fate = gd_faults_draw(&way->faults, frame->data, frame->len, now);
    if (fate.flip && (shaper->port.caps & GD_CAP_LOOPBACK)) /* it carries no checksum that would tell */
        fate.lost = true;
    shaped->frames++;
    shaped->lost += fate.lost;
    shaped->late += fate.late && !fate.lost;
    shaped->twice += fate.twice && !fate.lost;
    shaped->damaged += fate.flip && !fate.lost;
    return fate;
}

/* Takes the frame: to its lane, perhaps twice, or nowhere. -ENOBUFS: not taken. */
static int pass(struct shaper *shaper, struct way *way, struct held *held, uint64_t now)
{
    struct gd_fate fate;
    struct held *twin;

    if (gd_lane_reserve(&way->lane) < 0)
        return -ENOBUFS;
    fate = draw(shaper, way, &held->frame, now);
    if (fate.lost) {
        held_free(shaper, held);
        return 0;
    }
    if (fate.flip) {
        held->frame.data[fate.flip_at] ^= fate.flip;
        held->frame.flags = 0; /* what hardware has checked was before the damage */
    }
    gd_lane_push(&way->lane, fate.due, held);
    if (fate.twice && gd_lane_reserve(&way->lane) == 0 && (twin = held_copy(shaper, &held->frame)) != NULL)
        gd_lane_push(&way->lane, fate.due, twin);
    return 0;
}

/* To the inner port what is due; what that does not take now stays at the lane's head. */
static void let_out(struct shaper *shaper, uint64_t now)
{
    struct gd_lane *lane = &shaper->out.lane;
    struct gd_port *inner = shaper->inner;

    while (lane->count && lane->heap[0].due <= now) {
        struct held *held = lane->heap[0].item;
        struct gd_frame *frame = inner->ops->alloc(inner);

        if (!frame)
            return;
        memcpy(frame->data, held->frame.data, held->frame.len);
        frame->len = held->frame.len;
        if (inner->ops->tx(inner, &frame, 1, now) < 1) {
            inner->ops->free(inner, &frame, 1);
            return;
        }
        held_free(shaper, gd_lane_pop(lane));
    }
}

static void take_in(struct shaper *shaper, uint64_t now)
{
    struct gd_port *inner = shaper->inner;
    struct gd_frame *frames[GD_BURST];

    for (int burst = 0; burst < BURSTS; burst++) {
        int count = inner->ops->rx(inner, frames, GD_BURST, now);

        for (int i = 0; i < count; i++) {
            struct held *held = held_copy(shaper, frames[i]);

            if (held && pass(shaper, &shaper->in, held, now) == 0)
                continue;
            shaper->in.shaped.frames++; /* too long, or nowhere to keep it */
            shaper->in.shaped.lost++;
            if (held)
                held_free(shaper, held);
        }
        inner->ops->free(inner, frames, count);
        if (count < GD_BURST)
            return;
    }
}

static int shaper_rx(struct gd_port *port, struct gd_frame **frames, int max, uint64_t now)
{
    struct shaper *shaper = shaper_of(port);
    struct gd_lane *lane = &shaper->in.lane;
    int count = 0;

    let_out(shaper, now);
    take_in(shaper, now);
    while (count < max && lane->count && lane->heap[0].due <= now)
        frames[count++] = gd_lane_pop(lane); /* its first member */
    return count;
}

static struct gd_frame *shaper_alloc(struct gd_port *port)
{
    struct held *held = held_new(shaper_of(port));

    return held ? &held->frame : NULL;
}

static int shaper_tx(struct gd_port *port, struct gd_frame **frames, int n, uint64_t now)
{
    struct shaper *shaper = shaper_of(port);
    int count = 0;

    while (count < n && pass(shaper, &shaper->out, (struct held *)(void *)frames[count], now) == 0)
        count++;
    let_out(shaper, now);
    return count;
}

static void shaper_free(struct gd_port *port, struct gd_frame **frames, int n)
{
    for (int i = 0; i < n; i++)
        held_free(shaper_of(port), (struct held *)(void *)frames[i]);
}

static uint64_t shaper_next(struct gd_port *port)
{
    struct shaper *shaper = shaper_of(port);
    uint64_t next = shaper->inner->ops->next(shaper->inner);

    if (shaper->in.lane.count && shaper->in.lane.heap[0].due < next)
        next = shaper->in.lane.heap[0].due;
    if (shaper->out.lane.count && shaper->out.lane.heap[0].due < next)
        next = shaper->out.lane.heap[0].due;
    return next;
}

static int shaper_rx_fd(struct gd_port *port)
{
    return gd_port_rx_fd(shaper_of(port)->inner);
}

static void way_free(struct shaper *shaper, struct way *way)
{
    while (way->lane.count)
        held_free(shaper, gd_lane_pop(&way->lane));
    free(way->lane.heap);
    gd_faults_free(&way->faults);
}

static void shaper_close(struct gd_port *port)
{
    struct shaper *shaper = shaper_of(port);
    struct held *held;

    way_free(shaper, &shaper->in);
    way_free(shaper, &shaper->out);
    while ((held = shaper->free_frames)) {
        shaper->free_frames = held->next_free;
        free(held);
    }
    gd_port_close(shaper->inner);
    free(shaper);
}

static const struct gd_port_ops shaper_ops = {
    .rx = shaper_rx,
    .alloc = shaper_alloc,
    .tx = shaper_tx,
    .free = shaper_free,
    .next = shaper_next,
    .rx_fd = shaper_rx_fd,
    .close = shaper_close,
};

struct gd_port *gd_shaper_new(struct gd_port *inner)
{
    struct shaper *shaper = calloc(1, sizeof *shaper);

    if (!shaper)
        return NULL;
    if (gd_faults_init(&shaper->in.faults) < 0 || gd_faults_init(&shaper->out.faults) < 0) {
        gd_faults_free(&shaper->in.faults);
        free(shaper);
        return NULL;
    }
    shaper->inner = inner;
    shaper->port = (struct gd_port){.ops = &shaper_ops, .mtu = inner->mtu};
    shaper->room = inner->mtu + ETHER_LEN;
    shaper->port.caps = inner->caps & (GD_CAP_LOOPBACK | GD_CAP_RX_CSUM);
    memcpy(shaper->port.mac, inner->mac, sizeof shaper->port.mac);
    return &shaper->port;
}

static struct way *way_of(struct gd_port *port, int out)
{
    return out ? &shaper_of(port)->out : &shaper_of(port)->in;
}

void gd_shaper_fault(struct gd_port *port, int out, const struct gd_fault *fault)
{
    struct gd_faults *faults = &way_of(port, out)->faults;

    gd_faults_set(faults, fault);
    gd_streams_reset(&way_of(port, out)->streams);
    faults->in_order = faults->idle_at = 0; /* frames to come do not queue behind those under way */
    if (fault->rate_bps)
        memset(faults->departs, 0, GD_FAULT_QUEUE * sizeof *faults->departs);
}

void gd_shaper_down(struct gd_port *port, int out, int down)
{
    way_of(port, out)->down = down != 0;
}

void gd_shaper_shaped(struct gd_port *port, int out, struct gd_shaped *shaped)
{
    *shaped = way_of(port, out)->shaped;
}

int gd_shaper_mtu(struct gd_stack *stack, int ifindex, uint32_t mtu)
{
    struct gd_port *port = gd_stack_port(stack, ifindex);

    if (!port || port->ops != &shaper_ops)
        return -ENODEV;
    if (mtu == 0)
        mtu = shaper_of(port)->inner->mtu;
    if (mtu < MTU_MIN || mtu > shaper_of(port)->inner->mtu)
        return -EINVAL;
    port->mtu = mtu;
    gd_net_changed(stack); /* flows remember it */
    return 0;
}
