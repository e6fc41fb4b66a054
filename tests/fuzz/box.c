/* The port of box.h. Called by the engine; calls malloc and the harness. */
#include "box.h"

#include <stdlib.h>
#include <string.h>

#define ETHER_LEN 14u

struct box_frame {
    struct gd_frame frame; /* first: the engine's pointer is ours */
    struct box_frame *next;
};

static struct box *box_of(struct gd_port *port)
{
    return (struct box *)(void *)port;
}

static struct box_frame *new_frame(uint32_t room)
{
    struct box_frame *made = malloc(sizeof *made);
    uint8_t *data = malloc(room);

    if (!made || !data)
        abort();
    *made = (struct box_frame){.frame = {.data = data, .room = room}};
    return made;
}

static void free_frame(struct box_frame *frame)
{
    free(frame->frame.data);
    free(frame);
}

static int box_rx(struct gd_port *port, struct gd_frame **frames, int max, uint64_t now)
{
    struct box *box = box_of(port);
    int count = 0;

    (void)now;
    while (count < max && box->head) {
        struct box_frame *frame = box->head;

        box->head = frame->next;
        if (!box->head)
            box->tail = &box->head;
        frames[count++] = &frame->frame;
    }
    box->out += (uint32_t)count;
    return count;
}

static struct gd_frame *box_alloc(struct gd_port *port)
{
    struct box *box = box_of(port);

    if (box->dry)
        return NULL;
    box->out++;
    return &new_frame(port->mtu + ETHER_LEN)->frame;
}

static int box_tx(struct gd_port *port, struct gd_frame **frames, int n, uint64_t now)
{
    struct box *box = box_of(port);

    (void)now;
    if (box->stuck)
        return 0;
    for (int i = 0; i < n; i++) {
        box->sent(box->context, frames[i]->data, frames[i]->len);
        free_frame((struct box_frame *)(void *)frames[i]);
    }
    box->out -= (uint32_t)n;
    return n;
}

static void box_free(struct gd_port *port, struct gd_frame **frames, int n)
{
    for (int i = 0; i < n; i++)
        free_frame((struct box_frame *)(void *)frames[i]);
    box_of(port)->out -= (uint32_t)n;
}

static uint64_t box_next(struct gd_port *port)
{
    return box_of(port)->head ? 0 : UINT64_MAX;
}

static int box_rx_fd(struct gd_port *port)
{
    (void)port;
    return -1;
}

static void box_close(struct gd_port *port)
{
    struct box *box = box_of(port);

    while (box->head) {
        struct box_frame *frame = box->head;

        box->head = frame->next;
        free_frame(frame);
    }
    box->tail = &box->head;
}

static const struct gd_port_ops ops = {
    .rx = box_rx,
    .alloc = box_alloc,
    .tx = box_tx,
    .free = box_free,
    .next = box_next,
    .rx_fd = box_rx_fd,
    .close = box_close,
};

void box_init(struct box *box, const uint8_t *mac, uint32_t mtu, box_sent_fn *sent, void *context)
{
    *box = (struct box){.port = {.ops = &ops, .mtu = mtu}, .sent = sent, .context = context};
    memcpy(box->port.mac, mac, sizeof box->port.mac);
    box->tail = &box->head;
}

void box_put(struct box *box, const void *data, uint32_t len, uint32_t flags)
{
    struct box_frame *frame = new_frame(len);

    memcpy(frame->frame.data, data, len);
    frame->frame.len = len;
    frame->frame.flags = flags;
    *box->tail = frame;
    box->tail = &frame->next;
}
