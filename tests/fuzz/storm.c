/* Invariant: one stack takes a million frames, of good will and spoilt, over all protocols and TCP states, while its
 * sockets are used at random and its memory fails now and then: nothing crashes, leaks or spins, memory and tables stay
 * within their caps, and a connection that no frame names moves data all the while. At the end all is given back.
 * Called by test_storm.py with frames and seed; calls attack.c and every scene.
 */
#include "alloc.h"
#include "scene.h"

#include <stdio.h>
#include <stdlib.h>

#define INPUT 64       /* bytes of chance for one step: what a step takes at most, but for raw frames */
#define SCENE_STEPS 64 /* steps until another scene is set up */
#define CHECK_STEPS 2048

/* xorshift64* (Vigna 2016): the same numbers on every machine. */
static uint64_t chance(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * 2685821657736338717ull;
}

static void fill(uint8_t *bytes, size_t len, uint64_t *state)
{
    for (size_t i = 0; i < len; i += 8) {
        uint64_t number = chance(state);

        memcpy(bytes + i, &number, 8);
    }
}

static const struct scene *draw_scene(uint64_t *state)
{
    uint32_t number = (uint32_t)(chance(state) >> 32) % (scenes_net_count + scenes_tcp_count);

    return number < scenes_net_count ? &scenes_net[number] : &scenes_tcp[number - scenes_net_count];
}

/* The world is whole again: what the last scene left is closed and over, nothing of it is kept; then the next is set.
 */
static void change_scene(struct host *host, const struct scene *scene)
{
    host_recover(host);
    host_close_socks(host);
    HOST_CHECK(gd_stack_sockets(host->stack) == 1); /* the witness */
    if (scene->set)
        scene->set(host);
    host_poll(host);
}

static void step(struct host *host, const struct scene *scene, uint64_t *state)
{
    uint8_t bytes[INPUT + 8];
    struct input in = {bytes, bytes + INPUT};

    fill(bytes, INPUT, state);
    if (bytes[INPUT - 1] < 32) /* want passes: else it would be all that is tested */
        host_recover(host);
    host->burst = bytes[INPUT - 2] < 128 ? 0 : bytes[INPUT - 2] & 63u;
    attack_step(host, scene, &in, bytes[INPUT - 3] >= 16);
    host_check_caps(host);
}

int main(int count, char **words)
{
    uint64_t frames = count > 1 ? strtoull(words[1], NULL, 10) : 1000000;
    uint64_t seed = count > 2 ? strtoull(words[2], NULL, 10) : 1, state = seed * 2 + 1, steps = 0;
    const struct scene *scene = NULL;
    struct host host;

    printf("seed %llu\n", (unsigned long long)seed);
    fflush(stdout);
    host_open(&host, 0);
    host.settled = true;
    for (; host.asked < frames; steps++) {
        if (steps % SCENE_STEPS == 0) {
            scene = draw_scene(&state);
            change_scene(&host, scene);
        }
        if (steps % CHECK_STEPS == CHECK_STEPS - 1) {
            host_recover(&host);
            host_check_witness(&host);
        }
        step(&host, scene, &state);
    }
    printf("%llu frames in, %u out, %llu polls, at most %llu bytes held\n", (unsigned long long)host.asked, host.sent,
           (unsigned long long)host.polls, (unsigned long long)alloc_peak());
    host_recover(&host);
    host_close_socks(&host);
    host_close(&host, false);
    return 0;
}
