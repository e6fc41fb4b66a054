/* What the frame targets attack: a scene is a state of the host, and frames that belong there.
 * Included by scenes_net.c, scenes_tcp.c and the targets. A new protocol is one more row at a
 * table's end: the inputs of the corpus name rows by number.
 */
#ifndef FUZZ_SCENE_H
#define FUZZ_SCENE_H
#include "host.h"

struct scene {
    const char *name;
    /* Brings the host into it; NULL: nothing to do. */
    void (*set)(struct host *host);
    /* Writes a frame of good will, of up to `variants` kinds; returns its length. */
    uint32_t (*write)(struct host *host, uint8_t *frame, uint8_t variant);
};

extern const struct scene scenes_net[], scenes_tcp[];
extern const uint32_t scenes_net_count, scenes_tcp_count;

/* Of scenes_net*.c, for TCP's scenes: errors about its segments. */
uint32_t write_icmp(struct host *host, uint8_t *frame, uint8_t variant);
uint32_t write_icmp6(struct host *host, uint8_t *frame, uint8_t variant);

/* Of scenes_tcp.c, for scenes_loss.c. */
void scene_listen(struct host *host, bool v6);
void scene_say(struct host *host, uint8_t flags, uint32_t len);
/* The peer connects, as it is set up, that far away; socks[0] is the connection, and no listener stays. */
void scene_establish(struct host *host, uint64_t rtt);
void scene_syn_sent(struct host *host);

/* Of scenes_loss.c, rows of scenes_tcp. */
void set_loss(struct host *host);
void set_loss6(struct host *host);
void set_loss_reno(struct host *host);
void set_loss_bbr(struct host *host);
void set_newreno(struct host *host);
void set_tiny(struct host *host);
void set_probe(struct host *host);
void set_large(struct host *host);
void set_deferred(struct host *host);
void set_queued(struct host *host);
void set_reused(struct host *host);
/* What a receiver says of a flight with holes; by variant: */
uint32_t write_acks(struct host *host, uint8_t *frame, uint8_t variant);

/* Runs one input against the scenes of a table (attack.c): its first byte is the scene, its second the mode. */
void attack(const struct scene *scenes, uint32_t count, const uint8_t *data, size_t size);
/* One step of it, for the storm, whose host lives on. */
void attack_step(struct host *host, const struct scene *scene, struct input *in, bool fix);
#endif
