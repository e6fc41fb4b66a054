/* Invariant: whatever a DHCP server says, and when, no byte outside of its message is read, the interface has an
 * address and routes just while a lease is in force, and the client goes on; afterwards nothing is left. Called by
 * libFuzzer or replay.c; calls net/dhcp.c past UDP, whose checks fuzz_net.c looks after.
 */
#include "host.h"

#include "core/net/dhcp.h"

#include <stdlib.h>

#define OPTIONS_MOST 120u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct world {
    struct gd_stack *stack;
    struct gd_netif *netif;
    struct box box;
    uint64_t now;
};

static void ignore(void *context, const uint8_t *data, uint32_t len)
{
    (void)context;
    (void)data;
    (void)len;
}

static void advance(struct world *world, uint64_t ns)
{
    uint64_t target = world->now + ns, next = gd_stack_poll(world->stack, world->now);

    for (int turns = 0; next <= target; turns++) {
        HOST_CHECK(turns < 10000); /* a client that spins */
        world->now = next > world->now ? next : world->now;
        next = gd_stack_poll(world->stack, world->now);
    }
    world->now = target;
    gd_stack_poll(world->stack, world->now);
}

/* In memory of just its length, so that AddressSanitizer sees a byte too many. */
static void hear(struct world *world, const uint8_t *message, uint32_t len)
{
    uint8_t *exact = malloc(len);

    HOST_CHECK(exact != NULL || len == 0);
    if (len > 0)
        memcpy(exact, message, len);
    gd_dhcp_input(world->netif, GD_DHCP_SERVER, exact, len, world->now);
    free(exact);
}

/* A message that passes for an answer, and then whatever the input has for options. */
static void answer(struct world *world, struct input *in)
{
    static const uint8_t reply[3] = {2, 1, 6}, servers[2][6] = {{54, 4, 10, 0, 0, 2}, {54, 4, 10, 0, 0, 3}};
    uint8_t message[GD_DHCP_HEADER + 3 + 6 + 6 + OPTIONS_MOST] = {0}, *at = message + GD_DHCP_HEADER;
    uint8_t address[4] = {10, 0, 0, 0}, how;

    memcpy(message, reply, sizeof reply);
    gd_put32(message + 4, world->netif->dhcp->xid);
    address[3] = input_8(in);
    memcpy(message + 16, address, sizeof address);
    memcpy(message + 28, world->netif->port->mac, 6);
    gd_put32(message + 236, GD_DHCP_COOKIE);
    at[0] = GD_DHCP_OPT_TYPE;
    at[1] = 1;
    at[2] = (uint8_t)(1 + input_below(in, 8));
    at += 3;
    how = input_8(in);
    memcpy(at, servers[how & 1], 6);
    at += 6;
    at[0] = GD_DHCP_OPT_LEASE;
    at[1] = 4;
    gd_put32(at + 2, how & 2 ? input_32(in) : 100);
    at += 6;
    if (how & 4) /* options in file and sname, too */
        input_bytes(in, message + 44, 64 + 128);
    at += input_bytes(in, at, input_below(in, OPTIONS_MOST));
    hear(world, message, (uint32_t)(at - message));
}

static void noise(struct world *world, struct input *in)
{
    uint8_t message[GD_DHCP_HEADER + OPTIONS_MOST];

    hear(world, message, input_bytes(in, message, input_below(in, 255) + 40));
}

static void claim(struct world *world, struct input *in)
{
    struct gd_addr any = {.b = {[10] = 0xff, [11] = 0xff}}, offered = world->netif->dhcp->offer.address;
    bool probe = input_8(in) & 1;

    gd_dhcp_hear_arp(world->netif, probe ? &any : &offered, &offered, world->now);
}

static void check(const struct world *world)
{
    const struct gd_dhcp *dhcp = world->netif->dhcp;
    bool bound = dhcp->bound, renewed = dhcp->state == GD_DHCP_CHECKING; /* maybe, with another address */

    HOST_CHECK(bound == (dhcp->state >= GD_DHCP_BOUND) || (bound && renewed));
    HOST_CHECK(world->netif->naddrs == (bound ? 1 : 0));
    HOST_CHECK(bound || world->stack->nroutes == 0);
    HOST_CHECK(dhcp->timer.at != GD_NEVER || (bound && dhcp->ends_at == GD_NEVER));
    if (!bound)
        return;
    HOST_CHECK(gd_addr_eq(&world->netif->addrs[0].addr, &dhcp->lease.address));
    HOST_CHECK(dhcp->lease.prefix_length >= 1 && dhcp->lease.prefix_length <= 32);
    HOST_CHECK(world->netif->mtu4 == 0 || world->netif->mtu4 >= 576);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint64_t steps[] = {HOST_MS, 250 * HOST_MS, 5 * HOST_S, 90 * HOST_S};
    static const uint8_t mac[6] = {2, 0, 0, 0, 0, 1};
    struct world world = {.now = 1000 * HOST_S};
    struct gd_config config = {0};
    struct input in = {data, data + size};
    int ifindex;

    HOST_CHECK(gd_stack_new(&config, world.now, &world.stack) == 0);
    box_init(&world.box, mac, 1500, ignore, NULL);
    ifindex = gd_stack_attach(world.stack, &world.box.port, "box0");
    HOST_CHECK(gd_dhcp_start(world.stack, ifindex, "fuzz") == 0);
    world.netif = gd_netif_find(world.stack, ifindex);
    advance(&world, 2 * HOST_MS);
    while (input_left(&in)) {
        uint8_t what = input_8(&in);

        if ((what & 3) == 0)
            answer(&world, &in);
        else if ((what & 3) == 1)
            advance(&world, steps[what >> 2 & 3] * (1 + (what >> 4)));
        else if ((what & 3) == 2)
            noise(&world, &in);
        else
            claim(&world, &in);
        check(&world);
    }
    HOST_CHECK(gd_dhcp_stop(world.stack, ifindex) == 0);
    HOST_CHECK(world.netif->naddrs == 0 && world.stack->nroutes == 0);
    gd_stack_free(world.stack);
    return 0;
}
