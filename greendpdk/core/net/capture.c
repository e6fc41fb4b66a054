/* Captures frames as pcapng (draft-ietf-opsawg-pcapng): an enhanced packet block each, with its direction and, for one
 * that was dropped, the counter's name as its comment. Called by net/ether.c and, to start and read, by Python through
 * api.cdef.h; calls malloc at the start only.
 *
 *      frame ─► filter? ─► block ─► ring ─► gd_capture_take ─► who asked        full: counted, and left out
 *
 * What the work on a received frame sends at once waits in `stage`, so that the answer stands behind the question.
 */
#include "capture.h"
#include "../stack.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PACKET 6u /* block type */
#define OPT_COMMENT 1u
#define OPT_FLAGS 2u
#define INBOUND 1u
#define OUTBOUND 2u
#define HEAD 28u      /* bytes of a block before the frame */
#define TAIL 16u      /* flags, the end of the options and the length again */
#define STAGE 262144u /* bytes: more than one received frame makes us send */

struct gd_capture {
    gd_match *match; /* NULL: every frame */
    const void *program;
    int64_t to_realtime; /* ns from our clock's time to that since 1970 */
    uint32_t snaplen, size;
    uint64_t written, taken, frames, dropped;
    uint64_t before[GD_STAT_COUNT];
    bool staging;
    uint32_t staged;
    uint8_t stage[STAGE];
    uint8_t ring[];
};

static uint32_t pad(uint32_t len)
{
    return (len + 3) & ~3u;
}

static uint8_t *put(uint8_t *at, const void *from, uint32_t len)
{
    memcpy(at, from, len);
    memset(at + len, 0, pad(len) - len);
    return at + pad(len);
}

static uint8_t *put32(uint8_t *at, uint32_t value)
{
    return put(at, &value, sizeof(value));
}

static uint8_t *put_option(uint8_t *at, uint16_t code, const void *value, uint16_t len)
{
    uint16_t head[2] = {code, len};

    return put(put(at, head, sizeof(head)), value, len);
}

static void to_ring(struct gd_capture *capture, const uint8_t *block, uint32_t len)
{
    uint32_t at = (uint32_t)(capture->written % capture->size);
    uint32_t first = capture->size - at < len ? capture->size - at : len;

    if (capture->written - capture->taken + len > capture->size) {
        capture->dropped++;
        return;
    }
    memcpy(capture->ring + at, block, first);
    memcpy(capture->ring, block + first, len - first);
    capture->written += len;
    capture->frames++;
}

/* The block of a frame, at `out`, which has room; returns its length. */
static uint32_t make_block(const struct gd_capture *capture, const struct gd_netif *netif, const struct gd_frame *frame,
                           uint32_t direction, const char *comment, uint64_t now, uint8_t *out)
{
    uint32_t kept = frame->len < capture->snaplen ? frame->len : capture->snaplen;
    uint32_t text = comment != NULL ? (uint32_t)strlen(comment) : 0;
    uint32_t len = HEAD + pad(kept) + TAIL + (text > 0 ? 4 + pad(text) : 0);
    uint64_t time = now + (uint64_t)capture->to_realtime;
    uint8_t *at = put32(put32(out, PACKET), len);

    at = put32(at, (uint32_t)netif->index - 1);
    at = put32(put32(at, (uint32_t)(time >> 32)), (uint32_t)time);
    at = put32(put32(at, kept), frame->len);
    at = put(at, frame->data, kept);
    if (text > 0)
        at = put_option(at, OPT_COMMENT, comment, (uint16_t)text);
    at = put_option(at, OPT_FLAGS, &direction, sizeof(direction));
    put32(put32(at, 0), len);
    return len;
}

static bool wanted(const struct gd_capture *capture, const struct gd_frame *frame)
{
    return capture->match == NULL || capture->match(capture->program, frame->data, frame->len, frame->len) != 0;
}

static void capture_frame(struct gd_netif *netif, const struct gd_frame *frame, uint32_t direction, const char *comment,
                          uint64_t now)
{
    struct gd_capture *capture = netif->stack->capture;
    uint8_t block[HEAD + 65536 + 4 + 64 + TAIL];

    to_ring(capture, block, make_block(capture, netif, frame, direction, comment, now, block));
}

/* The name of the first counter of drops that has moved. */
static const char *what_dropped(const struct gd_capture *capture, const struct gd_stats *stats)
{
    for (int i = 0; i < GD_STAT_COUNT; i++)
        if (stats->value[i] != capture->before[i] && strstr(gd_stack_counter_name(i), "_drop_") != NULL)
            return gd_stack_counter_name(i);
    return NULL;
}

void gd_capture_begin(struct gd_netif *netif)
{
    struct gd_capture *capture = netif->stack->capture;

    memcpy(capture->before, netif->stack->stats.value, sizeof(capture->before));
    capture->staging = true;
    capture->staged = 0;
}

void gd_capture_end(struct gd_netif *netif, const struct gd_frame *frame, uint64_t now)
{
    struct gd_capture *capture = netif->stack->capture;
    uint32_t len;

    capture->staging = false;
    if (wanted(capture, frame))
        capture_frame(netif, frame, INBOUND, what_dropped(capture, &netif->stack->stats), now);
    for (uint32_t at = 0; at < capture->staged; at += len) {
        memcpy(&len, capture->stage + at + 4, sizeof(len));
        to_ring(capture, capture->stage + at, len);
    }
}

void gd_capture_out(struct gd_netif *netif, const struct gd_frame *frame, uint64_t now)
{
    struct gd_capture *capture = netif->stack->capture;

    if (netif->port->caps & GD_CAP_LOOPBACK || !wanted(capture, frame))
        return; /* of the loopback's each is seen once, when it has come */
    if (!capture->staging || STAGE - capture->staged < HEAD + frame->len + 4 + TAIL)
        capture_frame(netif, frame, OUTBOUND, NULL, now);
    else
        capture->staged += make_block(capture, netif, frame, OUTBOUND, NULL, now, capture->stage + capture->staged);
}

int gd_capture_start(struct gd_stack *stack, uint32_t bytes, uint32_t snaplen, int64_t to_realtime, gd_match *match,
                     const void *program)
{
    struct gd_capture *capture;

    if (stack->capture != NULL)
        return -EALREADY;
    capture = malloc(sizeof(*capture) + bytes);
    if (capture == NULL)
        return -ENOMEM;
    memset(capture, 0, sizeof(*capture));
    capture->size = bytes;
    capture->snaplen = snaplen == 0 || snaplen > 65536 ? 65536 : snaplen;
    capture->to_realtime = to_realtime;
    capture->match = match;
    capture->program = program;
    stack->capture = capture;
    return 0;
}

void gd_capture_stop(struct gd_stack *stack)
{
    free(stack->capture);
    stack->capture = NULL;
}

int64_t gd_capture_take(struct gd_stack *stack, void *out, uint32_t room)
{
    struct gd_capture *capture = stack->capture;
    uint64_t waiting = capture != NULL ? capture->written - capture->taken : 0;
    uint32_t len = waiting < room ? (uint32_t)waiting : room, at, first;

    if (len == 0)
        return 0;
    at = (uint32_t)(capture->taken % capture->size);
    first = capture->size - at < len ? capture->size - at : len;
    memcpy(out, capture->ring + at, first);
    memcpy((uint8_t *)out + first, capture->ring, len - first);
    capture->taken += len;
    return len;
}

void gd_capture_counts(struct gd_stack *stack, uint64_t *frames, uint64_t *dropped)
{
    *frames = stack->capture != NULL ? stack->capture->frames : 0;
    *dropped = stack->capture != NULL ? stack->capture->dropped : 0;
}
