/* What a bad wire does to a frame. Called by port/pipe.c and shaper.c; calls util/random.c. */
#include "fault.h"

#include "../util/bytes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ETHER_LEN 14u
#define ETHER_IP4 0x0800u
#define ETHER_IP6 0x86ddu

int gd_faults_init(struct gd_faults *faults)
{
    memset(faults, 0, sizeof *faults);
    faults->departs = calloc(GD_FAULT_QUEUE, sizeof *faults->departs);
    return faults->departs ? 0 : -ENOMEM;
}

void gd_faults_free(struct gd_faults *faults)
{
    free(faults->departs);
    faults->departs = NULL;
}

void gd_faults_set(struct gd_faults *faults, const struct gd_fault *fault)
{
    faults->fault = *fault;
    if (faults->fault.queue_frames > GD_FAULT_QUEUE)
        faults->fault.queue_frames = GD_FAULT_QUEUE;
    faults->random = (struct gd_random){.key = {.k0 = fault->seed, .k1 = 0x6661756c74ull}};
}

/* 53 random bits, as many as a double holds: uniform in [0, 1). A chance of 0 draws nothing. */
static bool happens(struct gd_faults *faults, double chance)
{
    return chance > 0 && (double)(gd_random_next(&faults->random) >> 11) * 0x1p-53 < chance;
}

/* The time when the frame has left for the wire, or false: the queue before it is full. */
static bool serialise(struct gd_faults *faults, uint32_t len, uint64_t now, uint64_t *left)
{
    const struct gd_fault *fault = &faults->fault;
    uint64_t start = faults->idle_at > now ? faults->idle_at : now;
    /* A frame that was given queue_frames ago and still waits: the queue holds that many. */
    uint64_t oldest = faults->departs[(faults->count - fault->queue_frames) % GD_FAULT_QUEUE];

    *left = now;
    if (!fault->rate_bps)
        return true;
    if (fault->queue_frames && oldest > now)
        return false;
    *left = start + (uint64_t)((double)len * 8e9 / (double)fault->rate_bps);
    faults->idle_at = *left;
    faults->departs[faults->count++ % GD_FAULT_QUEUE] = *left;
    return true;
}

/* Ethernet's own checksum would catch most damage. What this is for is damage that it did not see, so it falls on
 * packets that have a checksum of their own; an ARP message has none, so a damaged one is lost, as on real Ethernet. */
static void corrupt(struct gd_faults *faults, const uint8_t *frame, uint32_t len, struct gd_fate *fate)
{
    uint16_t type = len > ETHER_LEN ? gd_get16(frame + 12) : 0;

    if (type != ETHER_IP4 && type != ETHER_IP6) {
        fate->lost = true;
        return;
    }
    fate->flip_at = ETHER_LEN + gd_random_below(&faults->random, len - ETHER_LEN);
    fate->flip = (uint8_t)(1 + gd_random_below(&faults->random, 255));
}

struct gd_fate gd_faults_draw(struct gd_faults *faults, const uint8_t *frame, uint32_t len, uint64_t now)
{
    const struct gd_fault *fault = &faults->fault;
    struct gd_fate fate = {0};
    uint64_t left;

    if (happens(faults, fault->loss) || !serialise(faults, len, now, &left)) {
        fate.lost = true;
        return fate;
    }
    fate.due = left + fault->delay_ns;
    if (fault->jitter_ns)
        fate.due += gd_random_next(&faults->random) % fault->jitter_ns;
    if (happens(faults, fault->reorder)) {
        fate.due += fault->reorder_ns;
        fate.late = true;
    } else {
        /* Jitter alone does not reorder: a queue on the way, not several ways. */
        fate.due = fate.due > faults->in_order ? fate.due : faults->in_order;
        faults->in_order = fate.due;
    }
    fate.twice = happens(faults, fault->duplicate);
    if (happens(faults, fault->corrupt))
        corrupt(faults, frame, len, &fate);
    return fate;
}
