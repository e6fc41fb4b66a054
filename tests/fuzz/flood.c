/* Claim: while a million SYNs from as many spoofed sources share its wire, a server's 100 established connections all
 * live on, at half of their goodput or more; memory for half-open ones has a bound; and newcomers get in (by cookies).
 * Called by test_flood.py with the figures below; calls the engine. Words: ms, SYNs a ms, GD_COOKIES_. Prints what it
 * saw as JSON, judges nothing.
 *
 *     client stack ═╦═ 500 Mbit/s, 1 ms, FIFO ═► server stack      50 connections upload, 50 download
 *     spoofed SYNs ─╝  (200,000 a second: 96 Mbit/s)               SYN-ACKs take the way back, to nobody
 */
#include "alloc.h"
#include "core/tcp/tcp.h"
#include "frame.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>

#define STREAMS 100
#define NEWCOMERS 100
#define MS 1000000ull
#define RATE 500000000ull
#define QUEUE 2000 /* frames: 48 ms of full ones */
#define SERVER_PORT 80
#define CHUNK 65536u
#define PATIENCE 20 /* seconds: a lost SYN, and then a lost hello, which waits 3 s (RFC 6298 5.7), and 6 */

#define CHECK(condition) ((condition) ? (void)0 : fail(#condition, __LINE__))

struct stream {
    struct gd_sock *source, *sink;
    uint64_t received;
};

struct world {
    struct gd_stack *server, *client;
    struct gd_port *far;  /* the server's end */
    struct gd_port *wire; /* the client's end: what is injected shares its rate */
    uint64_t now;
    struct gd_sock *listener;
    struct stream streams[STREAMS];
    struct gd_sock *newcomers[NEWCOMERS], *accepted[NEWCOMERS];
    bool spoken[NEWCOMERS];
    uint32_t asked, naccepted, spoofed, most_requests;
};

static uint8_t bytes[CHUNK];

static _Noreturn void fail(const char *what, int line)
{
    fprintf(stderr, "flood.c:%d: %s\n", line, what);
    abort();
}

static struct gd_stack *new_stack(struct gd_port *port, uint8_t number, uint8_t peer, uint64_t now, uint32_t cookies)
{
    struct gd_config config = {.seed = {number}, .syn_cookies = cookies};
    struct gd_addr own = frame_v4(number), other = frame_v4(peer), router = frame_v4(ROUTER);
    static const struct gd_addr everything = {.b = {[10] = 0xff, [11] = 0xff}};
    struct gd_stack *stack;
    uint8_t mac[6];
    int ifindex;

    CHECK(gd_stack_new(&config, now, &stack) == 0);
    ifindex = gd_stack_attach(stack, port, "wire0");
    CHECK(gd_stack_add_address(stack, ifindex, own.b, 24) == 0);
    CHECK(gd_stack_add_route(stack, everything.b, 0, router.b, ifindex) == 0);
    frame_mac(mac, peer);
    CHECK(gd_stack_set_neighbour(stack, ifindex, other.b, mac) == 0);
    frame_mac(mac, ROUTER); /* where answers to the spoofed go, and end */
    CHECK(gd_stack_set_neighbour(stack, ifindex, router.b, mac) == 0);
    return stack;
}

static void open_world(struct world *world, uint32_t cookies)
{
    struct gd_fault fault = {.rate_bps = RATE, .delay_ns = MS, .queue_frames = QUEUE};
    struct gd_port *ends[2];
    uint8_t macs[2][6];

    *world = (struct world){.now = 1000 * GD_S};
    frame_mac(macs[0], OURS);
    frame_mac(macs[1], PEER);
    CHECK(gd_pipe_pair(1500, macs[0], macs[1], &ends[0], &ends[1]) == 0);
    gd_pipe_fault(ends[0], &fault);
    gd_pipe_fault(ends[1], &fault);
    world->far = ends[0];
    world->wire = ends[1];
    world->server = new_stack(ends[0], OURS, PEER, world->now, cookies);
    world->client = new_stack(ends[1], PEER, OURS, world->now, cookies);
}

static void move_streams(struct world *world)
{
    for (int i = 0; i < STREAMS; i++) {
        struct stream *stream = &world->streams[i];
        int64_t got;

        while ((got = gd_sock_recv(stream->sink, bytes, CHUNK, 0)) > 0)
            stream->received += (uint64_t)got;
        CHECK(got == -EAGAIN);
        while ((got = gd_sock_send(stream->source, bytes, CHUNK, 0)) > 0)
            ;
        CHECK(got == -EAGAIN || got == -ENOBUFS);
    }
}

/* Both stacks until then, each turn at the first deadline of the two. */
static void advance(struct world *world, uint64_t target)
{
    for (;;) {
        uint64_t first = gd_stack_poll(world->server, world->now), second = gd_stack_poll(world->client, world->now);
        uint64_t next = first < second ? first : second, arrival = gd_pipe_next(world->far);

        if (arrival < next) /* what the client has just sent */
            next = arrival;
        if (world->server->nrequests > world->most_requests)
            world->most_requests = world->server->nrequests;
        if (next > target)
            break;
        world->now = next > world->now ? next : world->now;
    }
    world->now = target;
}

static struct gd_sock *begin_connect(struct world *world)
{
    struct gd_addr server = frame_v4(OURS);
    struct gd_sock *sock;

    CHECK(gd_sock_new(world->client, AF_INET, SOCK_STREAM, &sock) == 0);
    CHECK(gd_sock_connect(sock, server.b, SERVER_PORT) == -EINPROGRESS);
    return sock;
}

static void open_streams(struct world *world)
{
    static const uint8_t any[16] = {[10] = 0xff, [11] = 0xff};

    CHECK(gd_sock_new(world->server, AF_INET, SOCK_STREAM, &world->listener) == 0);
    CHECK(gd_sock_bind(world->listener, any, SERVER_PORT) == 0);
    CHECK(gd_sock_listen(world->listener, 1024) == 0);
    for (int i = 0; i < STREAMS; i++) {
        struct gd_sock *client = begin_connect(world), *server;

        advance(world, world->now + 10 * MS);
        CHECK(gd_sock_accept(world->listener, &server) == 0);
        world->streams[i] = i & 1 ? (struct stream){client, server, 0} : (struct stream){server, client, 0};
    }
}

/* The frame of the next spoofed host: its address and port are nobody else's. */
static void spoof(struct world *world)
{
    static const uint8_t mss[4] = {2, 4, 0x05, 0xb4};
    uint32_t n = world->spoofed++;
    uint8_t frame[128], *ip = frame + FRAME_ETHER, *tcp;
    uint32_t at = frame_ip4_ours(frame, ROUTER, IPPROTO_TCP, 24);

    gd_put32(ip + 12, 0x2d000000u + n); /* 45.0.0.0 and up */
    tcp = frame + at;
    memset(tcp, 0, 20);
    gd_put16(tcp, (uint16_t)(1024 + n % 60000));
    gd_put16(tcp + 2, SERVER_PORT);
    gd_put32(tcp + 4, n * 2654435761u);
    tcp[12] = 0x60;
    tcp[13] = GD_TCP_SYN;
    gd_put16(tcp + 14, 65535);
    memcpy(tcp + 20, mss, 4);
    frame_fix_checksums(frame, at + 24);
    gd_pipe_inject(world->wire, frame, at + 24, world->now);
}

static uint64_t received(const struct world *world)
{
    uint64_t total = 0;

    for (int i = 0; i < STREAMS; i++)
        total += world->streams[i].received;
    return total;
}

/* Newcomers knock all along the first half, so that a SYN that the wire loses can come again; who says
 * hello is greeted. */
static void welcome(struct world *world, uint32_t i, uint32_t ms)
{
    struct gd_sock *sock;

    if (world->asked < NEWCOMERS && i % (ms / 2 / NEWCOMERS) == 0)
        world->newcomers[world->asked++] = begin_connect(world);
    for (uint32_t j = 0; j < world->asked; j++) /* a cookie's connection is made by the first segment that arrives */
        if (gd_tcb(world->newcomers[j])->state == GD_ESTABLISHED && !world->spoken[j])
            world->spoken[j] = gd_sock_send(world->newcomers[j], "hello", 5, 0) == 5;
    while (world->naccepted < NEWCOMERS && gd_sock_accept(world->listener, &sock) == 0) {
        world->accepted[world->naccepted++] = sock;
        CHECK(gd_sock_send(sock, "welcome", 7, 0) == 7);
    }
}

static uint32_t welcomed(const struct world *world)
{
    uint32_t found = 0;

    for (uint32_t i = 0; i < world->asked; i++)
        found += gd_sock_unread(world->newcomers[i]) == 7;
    return found;
}

/* So many ms of traffic, with that many SYNs in each. Returns the bytes that arrived. */
static uint64_t run(struct world *world, uint32_t ms, uint32_t syns, bool newcomers)
{
    uint64_t before = received(world);

    for (uint32_t i = 0; i < ms; i++) {
        for (uint32_t j = 0; j < syns; j++) {
            advance(world, world->now + (j % 20 == 0 ? MS / 20 * 20 / syns : 0)); /* evenly, twenty at a time */
            spoof(world);
        }
        if (newcomers)
            welcome(world, i, ms);
        advance(world, world->now / MS * MS + MS);
        move_streams(world);
    }
    return received(world) - before;
}

static uint32_t established(struct gd_sock *const *socks, uint32_t count)
{
    uint32_t found = 0;

    for (uint32_t i = 0; i < count; i++)
        found += gd_tcb(socks[i])->state == GD_ESTABLISHED;
    return found;
}

static uint64_t counter(const struct gd_stack *stack, const char *name)
{
    for (int i = 0; i < gd_stack_counter_count(); i++)
        if (strcmp(gd_stack_counter_name(i), name) == 0)
            return gd_stack_counter((struct gd_stack *)stack, i);
    return 0;
}

int main(int count, char **words)
{
    uint32_t ms = count > 1 ? (uint32_t)strtoul(words[1], NULL, 10) : 5000;
    uint32_t syns = count > 2 ? (uint32_t)strtoul(words[2], NULL, 10) : 200; /* a ms */
    uint32_t cookies = count > 3 ? (uint32_t)strtoul(words[3], NULL, 10) : GD_COOKIES_WHEN_FULL;
    struct world world;
    struct gd_sock *ends[2 * STREAMS];
    uint32_t in_flood;
    uint64_t calm, flooded, calm_peak, held, alive;
    clock_t began, calm_cpu, flood_cpu;

    open_world(&world, cookies);
    open_streams(&world);
    run(&world, 1000, 0, false); /* windows open */
    alloc_reset_peak();
    began = clock();
    calm = run(&world, ms, 0, false);
    calm_cpu = clock() - began;
    calm_peak = alloc_peak();
    alloc_reset_peak();
    began = clock();
    flooded = run(&world, ms, syns, true);
    flood_cpu = clock() - began;
    for (int i = 0; i < STREAMS; i++) {
        ends[2 * i] = world.streams[i].source;
        ends[2 * i + 1] = world.streams[i].sink;
    }
    alive = established(ends, 2 * STREAMS);
    held = alloc_peak();
    in_flood = established(world.newcomers, world.asked);
    for (int i = 0; i < PATIENCE && welcomed(&world) < world.asked; i++) /* the wire may have lost a hello, and again */
        run(&world, 1000, 0, true);
    printf("{\"spoofed\": %u, \"calm_bytes\": %llu, \"flood_bytes\": %llu, \"ends_alive\": %llu, \"newcomers\": %u, "
           "\"newcomers_in\": %u, \"welcomed\": %u, ",
           world.spoofed, (unsigned long long)calm, (unsigned long long)flooded, (unsigned long long)alive, world.asked,
           in_flood, welcomed(&world));
    printf(
        "\"most_half_open\": %u, \"bytes_each\": %zu, \"peak_calm\": %llu, \"peak_flood\": %llu, \"cpu_ns_per_syn\": "
        "%.0f, \"cookies\": %llu, \"dropped_syns\": %llu, \"cap\": %u}\n",
        world.most_requests, sizeof(struct gd_request), (unsigned long long)calm_peak, (unsigned long long)held,
        syns ? (double)(flood_cpu - calm_cpu) * 1e9 / CLOCKS_PER_SEC / world.spoofed : 0.0,
        (unsigned long long)counter(world.server, "tcp_syncookies_sent"),
        (unsigned long long)counter(world.server, "tcp_drop_syn_queue"), world.server->config.syn_cap);
    gd_stack_free(world.server);
    gd_stack_free(world.client);
    CHECK(alloc_blocks() == 0);
    return 0;
}
