/* A port for harnesses: each frame lives in a block of exactly its own length, so that a read past its end or after its
 * burst is seen by AddressSanitizer. Called by the engine through port.h; calls the harness for each frame sent.
 */
#ifndef FUZZ_BOX_H
#define FUZZ_BOX_H
#include "core/port/port.h"

#include <stdint.h>

struct box_frame;

/* A frame that the stack has sent; the bytes are the caller's. */
typedef void box_sent_fn(void *context, const uint8_t *data, uint32_t len);

struct box {
    struct gd_port port; /* first: ops get a pointer to it */
    struct box_frame *head, **tail; /* arriving */
    uint32_t out; /* frames that the stack holds: lent, or being filled, or queued */
    bool dry;     /* alloc has none */
    bool stuck;   /* tx takes none */
    box_sent_fn *sent;
    void *context;
};

/* The caller frees nothing: the stack that it is attached to closes it. */
void box_init(struct box *box, const uint8_t *mac, uint32_t mtu, box_sent_fn *sent, void *context);
/* The frame arrives with the next poll. flags: GD_RX_. */
void box_put(struct box *box, const void *data, uint32_t len, uint32_t flags);
#endif
