/* The stack's own loopback: what is sent comes back at the next receive, in order, unharmed. Called through port.h by
 * net/ether.c; calls malloc, whose frames it keeps for the next ones.
 */
#include "port.h"

#include <errno.h>
#include <stdlib.h>

#define LOOPBACK_MTU 65535u /* the longest IPv4 packet, as Linux's lo (65,536) allows too */
#define ETHER_LEN 14u
#define NEVER UINT64_MAX
#define QUEUE 1024u     /* frames sent and not yet received; then tx refuses. A power of two */
#define KEEP 64u        /* free frames kept: 4 MiB if all of them were once filled */

struct loop_frame {
    struct gd_frame frame; /* first: the engine's pointer is ours */
    struct loop_frame *next_free;
    uint8_t bytes[ETHER_LEN + LOOPBACK_MTU];
};

struct loopback {
    struct gd_port port; /* first: ops get a pointer to it */
    struct loop_frame *free_frames;
    uint32_t kept;       /* free frames */
    uint32_t head, tail; /* of the queue: received, sent */
    struct gd_frame *queue[QUEUE];
};

static struct loopback *loopback_of(struct gd_port *port)
{
    return (struct loopback *)(void *)port;
}

static int loop_rx(struct gd_port *port, struct gd_frame **frames, int max, uint64_t now)
{
    struct loopback *loop = loopback_of(port);
    int count = 0;

    (void)now;
    while (count < max && loop->head != loop->tail) {
        frames[count] = loop->queue[loop->head++ % QUEUE];
        frames[count++]->flags = GD_RX_IP_CSUM_OK | GD_RX_L4_CSUM_OK; /* it never left this memory */
    }
    return count;
}

static struct gd_frame *loop_alloc(struct gd_port *port)
{
    struct loopback *loop = loopback_of(port);
    struct loop_frame *frame = loop->free_frames;

    if (frame) {
        loop->free_frames = frame->next_free;
        loop->kept--;
    } else {
        frame = malloc(sizeof *frame);
        if (!frame)
            return NULL;
    }
    frame->frame = (struct gd_frame){.data = frame->bytes, .room = sizeof frame->bytes};
    return &frame->frame;
}

static int loop_tx(struct gd_port *port, struct gd_frame **frames, int n, uint64_t now)
{
    struct loopback *loop = loopback_of(port);
    int count = 0;

    (void)now;
    while (count < n && loop->tail - loop->head < QUEUE)
        loop->queue[loop->tail++ % QUEUE] = frames[count++];
    return count;
}

static void loop_free(struct gd_port *port, struct gd_frame **frames, int n)
{
    struct loopback *loop = loopback_of(port);

    for (int i = 0; i < n; i++) {
        struct loop_frame *frame = (struct loop_frame *)(void *)frames[i];

        if (loop->kept >= KEEP) {
            free(frame);
            continue;
        }
        frame->next_free = loop->free_frames;
        loop->free_frames = frame;
        loop->kept++;
    }
}

/* 0: now. What was sent is received at once, in the same poll. */
static uint64_t loop_next(struct gd_port *port)
{
    const struct loopback *loop = loopback_of(port);

    return loop->head == loop->tail ? NEVER : 0;
}

static int loop_rx_fd(struct gd_port *port)
{
    (void)port;
    return -1;
}

static void loop_close(struct gd_port *port)
{
    struct loopback *loop = loopback_of(port);
    struct loop_frame *frame;

    while (loop->head != loop->tail)
        free(loop->queue[loop->head++ % QUEUE]);
    while ((frame = loop->free_frames)) {
        loop->free_frames = frame->next_free;
        free(frame);
    }
    free(loop);
}

static const struct gd_port_ops loop_ops = {
    .rx = loop_rx,
    .alloc = loop_alloc,
    .tx = loop_tx,
    .free = loop_free,
    .next = loop_next,
    .rx_fd = loop_rx_fd,
    .close = loop_close,
};

struct gd_port *gd_loopback_new(void)
{
    struct loopback *loop = calloc(1, sizeof *loop);

    if (!loop)
        return NULL;
    loop->port = (struct gd_port){
        .ops = &loop_ops,
        .mtu = LOOPBACK_MTU,
        .caps = GD_CAP_LOOPBACK | GD_CAP_RX_CSUM | GD_CAP_TX_IP_CSUM | GD_CAP_TX_L4_CSUM,
    };
    return &loop->port;
}
