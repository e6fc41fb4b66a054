/* What 100,000 idle connections cost: bytes each, the work of a segment on the ten that are busy, that of the timers.
 * Called by test_idle.py (built to count basic blocks: the same on every machine) and by benchmarks/connections.py (to
 * measure time); calls the engine, box.c, peer.c, alloc.c. Prints JSON, judges nothing.
 *
 *     10 connections                    ─► echo on each in turn ─┬─ rounds, interleaved: two stacks, few and many
 *     10 connections and 99,990 idle    ─► the same             ─┘
 *     100,000 connections               ─► echo on any of them: what cold caches cost
 */
#include "alloc.h"
#include "box.h"
#include "core/tcp/tcp.h"
#include "frame.h"
#include "peer.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>

#define MS 1000000ull
#define PORT 80
#define BUSY 10
#define PORTS 20000u /* of each address */
#define CHECK(condition) ((condition) ? (void)0 : fail(#condition, __LINE__))

struct connection {
    struct peer peer;
    struct gd_sock *sock;
};

struct world {
    struct gd_stack *stack;
    struct box box;
    struct connection *connections, *active;
    uint32_t count;
    uint64_t now, bytes; /* held for the connections */
};

struct cost {
    uint64_t blocks, ns;
};

void __sanitizer_cov_trace_pc(void);

static uint64_t blocks;

/* The compiler's call at each basic block of the engine, if it is built so. */
void __sanitizer_cov_trace_pc(void)
{
    blocks++;
}

static _Noreturn void fail(const char *what, int line)
{
    fprintf(stderr, "idle.c:%d: %s\n", line, what);
    abort();
}

static struct cost look(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (struct cost){blocks, (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec};
}

static void add(struct cost *total, struct cost began)
{
    struct cost ended = look();

    total->blocks += ended.blocks - began.blocks;
    total->ns += ended.ns - began.ns;
}

static void on_sent(void *context, const uint8_t *data, uint32_t len)
{
    struct world *world = context;

    if (world->active)
        peer_hears(&world->active->peer, data, len);
}

static void poll_now(struct world *world)
{
    while (gd_stack_poll(world->stack, world->now) <= world->now)
        ;
}

static void say(struct world *world, struct connection *connection, uint8_t flags, uint32_t len)
{
    uint8_t frame[2048];

    world->active = connection;
    box_put(&world->box, frame, peer_next(&connection->peer, frame, flags, NULL, len), 0);
}

static void open_connections(struct world *world, struct gd_sock *listener)
{
    for (uint32_t i = 0; i < world->count; i++) {
        struct connection *one = &world->connections[i];

        peer_init(&one->peer, (uint8_t)(PEER + i / PORTS), false, (uint16_t)(1024 + i % PORTS), PORT);
        say(world, one, GD_TCP_SYN, 0);
        poll_now(world);
        say(world, one, GD_TCP_ACK, 0);
        poll_now(world);
        CHECK(gd_sock_accept(listener, &one->sock) == 0);
    }
}

static void open_world(struct world *world, uint32_t count)
{
    static const uint8_t any[16] = {[10] = 0xff, [11] = 0xff};
    struct gd_config config = {0};
    struct gd_addr own = frame_v4(OURS);
    struct gd_sock *listener;
    uint8_t mac[6];
    int ifindex;

    *world = (struct world){.count = count, .now = 1000 * GD_S};
    world->connections = calloc(count, sizeof world->connections[0]);
    CHECK(gd_stack_new(&config, world->now, &world->stack) == 0);
    frame_mac(mac, OURS);
    box_init(&world->box, mac, 1500, on_sent, world);
    ifindex = gd_stack_attach(world->stack, &world->box.port, "box0");
    CHECK(gd_stack_add_address(world->stack, ifindex, own.b, 24) == 0);
    for (uint32_t i = 0; i <= count / PORTS; i++) {
        struct gd_addr peer = frame_v4((uint8_t)(PEER + i));

        frame_mac(mac, (uint8_t)(PEER + i));
        CHECK(gd_stack_set_neighbour(world->stack, ifindex, peer.b, mac) == 0);
    }
    CHECK(gd_sock_new(world->stack, AF_INET, SOCK_STREAM, &listener) == 0);
    CHECK(gd_sock_bind(listener, any, PORT) == 0);
    CHECK(gd_sock_listen(listener, 10) == 0);
    world->bytes = alloc_bytes();
    open_connections(world, listener);
    world->bytes = alloc_bytes() - world->bytes;
}

/* A hundred bytes come, the application reads them and answers: one segment in, one out. Only the engine is counted. */
static void echo(struct world *world, struct connection *connection, struct cost *total)
{
    uint8_t data[100];
    struct cost began;

    world->now += MS / 100;
    say(world, connection, GD_TCP_ACK | GD_TCP_PSH, sizeof data);
    began = look();
    poll_now(world);
    CHECK(gd_sock_recv(connection->sock, data, sizeof data, 0) == sizeof data);
    CHECK(gd_sock_send(connection->sock, data, sizeof data, 0) == sizeof data);
    poll_now(world);
    add(total, began);
}

/* On any of the connections [first, first + among). */
static struct cost echoes(struct world *world, uint32_t first, uint32_t among, uint32_t count)
{
    struct cost total = {0};
    uint64_t state = 88172645463325252ull;

    for (uint32_t i = 0; i < count; i++) {
        state ^= state << 13, state ^= state >> 7, state ^= state << 17; /* xorshift64 */
        echo(world, &world->connections[first + state % among], &total);
    }
    return (struct cost){total.blocks / count, total.ns / count};
}

/* SO_KEEPALIVE on all of them: each arms its timer. */
static struct cost arm(struct world *world)
{
    struct cost total = {0};
    int on = 1;

    for (uint32_t i = 0; i < world->count; i++) {
        struct cost began = look();

        CHECK(gd_sock_setsockopt(world->connections[i].sock, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on) == 0);
        add(&total, began);
    }
    return (struct cost){total.blocks / world->count, total.ns / world->count};
}

/* A turn each ms for ten minutes, in which nothing is due. */
static struct cost ticks(struct world *world)
{
    struct cost total = {0}, began = look();
    uint32_t count = 600000;

    for (uint32_t i = 0; i < count; i++)
        gd_stack_poll(world->stack, world->now += MS);
    add(&total, began);
    return (struct cost){total.blocks / count, total.ns / count};
}

/* Two hours on: every connection's keepalive fires and sends its probe, which nobody hears. */
static struct cost fire(struct world *world)
{
    struct cost total = {0}, began;
    uint64_t end = world->now + 7200 * GD_S;

    world->active = NULL;
    began = look();
    while (world->now < end)
        gd_stack_poll(world->stack, world->now += 100 * MS);
    add(&total, began);
    return (struct cost){total.blocks / world->count, total.ns / world->count};
}

static void print(const char *name, struct cost cost)
{
    printf("\"%s\": {\"blocks\": %llu, \"ns\": %llu}, ", name, (unsigned long long)cost.blocks,
           (unsigned long long)cost.ns);
}

static void close_world(struct world *world)
{
    gd_stack_free(world->stack);
    free(world->connections);
}

/* words: connections, rounds, echoes in each */
int main(int argc, char **words)
{
    uint32_t count = argc > 1 ? (uint32_t)strtoul(words[1], NULL, 10) : 100000;
    uint32_t rounds = argc > 2 ? (uint32_t)strtoul(words[2], NULL, 10) : 3;
    uint32_t each = argc > 3 ? (uint32_t)strtoul(words[3], NULL, 10) : 20000;
    struct world few, many;

    open_world(&few, BUSY);
    open_world(&many, count);
    printf("{\"connections\": %u, \"bytes_each\": %.1f, \"tcb\": %zu, \"request\": %zu, \"time_wait\": %zu, ", count,
           (double)many.bytes / count, sizeof(struct gd_tcb), sizeof(struct gd_request), sizeof(struct gd_time_wait));
    printf("\"rounds\": [");
    for (uint32_t i = 0; i < rounds; i++) {
        printf("%s{", i ? ", " : "");
        print("few", echoes(&few, 0, BUSY, each));
        print("busy", echoes(&many, 0, BUSY, each));
        printf("\"round\": %u}", i);
    }
    printf("], ");
    print("arm", arm(&many));
    print("tick_few", ticks(&few));
    print("tick_many", ticks(&many));
    print("fire", fire(&many));
    /* Last, as what they leave unacknowledged ends their idleness; and the ten have died of that by now. */
    print("all", echoes(&many, BUSY, count - BUSY, count));
    close_world(&few);
    close_world(&many);
    printf("\"left\": %llu}\n", (unsigned long long)alloc_blocks());
    return 0;
}
