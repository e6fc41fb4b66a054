/* The two stacks of pair.h: life, wire and time. Called by fuzz_wire.c; calls the engine, box.c, alloc.c. */
#include "pair.h"

#include "alloc.h"
#include "pair_calls.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>

#define TURNS 100000 /* until nothing is under way at one moment */
#define LONG (100 * HOST_S)
#define DRAIN (4000 * HOST_S)
#define WAIT (1000 * HOST_S) /* for the witness, whose timers may have backed off */

static void pass(struct pair *pair, int side, const uint8_t *data, uint32_t len)
{
    box_put(&pair->sides[!side].box, data, len, 0);
}

static int number(const struct pair_side *side)
{
    return (int)(side - side->pair->sides);
}

static void on_sent(void *context, const uint8_t *data, uint32_t len)
{
    struct pair_side *side = context;
    struct pair_frame *frame;

    if (frame_names(data, len, WITNESS) || side->count == PAIR_QUEUE) {
        pass(side->pair, number(side), data, len);
        return;
    }
    frame = &side->queue[side->count++];
    frame->data = malloc(len);
    if (!frame->data)
        abort();
    memcpy(frame->data, data, len);
    frame->len = len;
}

/* Both have their turns now, until neither has work left. */
static uint64_t poll_both(struct pair *pair)
{
    uint64_t first, second;
    int left = TURNS;

    do {
        HOST_CHECK(left-- > 0);
        first = gd_stack_poll(pair->sides[0].stack, pair->now);
        second = gd_stack_poll(pair->sides[1].stack, pair->now);
    } while (first <= pair->now || second <= pair->now || pair->sides[0].box.head || pair->sides[1].box.head);
    return first < second ? first : second;
}

static void check(const struct pair *pair)
{
    for (int side = 0; side < 2; side++)
        host_check_sockets(pair->sides[side].stack);
}

void pair_advance(struct pair *pair, uint64_t ns)
{
    uint64_t target = pair->now + ns, budget = 10000 + ns / HOST_S * 2000;
    uint64_t deadline;

    if (ns > LONG) { /* a stack looks after a port that is stuck each millisecond */
        for (int side = 0; side < 2; side++)
            pair->sides[side].box.dry = pair->sides[side].box.stuck = false;
        alloc_refuse(0, 0);
    }
    deadline = poll_both(pair);
    while (deadline <= target) {
        HOST_CHECK(budget-- > 0);
        pair->now = deadline;
        deadline = poll_both(pair);
    }
    pair->now = target;
    poll_both(pair);
    check(pair);
}

static void release(struct pair *pair)
{
    for (int side = 0; side < 2; side++) {
        struct pair_side *from = &pair->sides[side];

        from->box.dry = from->box.stuck = false;
        for (uint32_t i = 0; i < from->count; i++) {
            pass(pair, side, from->queue[i].data, from->queue[i].len);
            free(from->queue[i].data);
        }
        from->count = 0;
    }
    alloc_refuse(0, 0);
}

static struct pair_frame take(struct pair_side *from, uint32_t at)
{
    struct pair_frame frame = from->queue[at];

    memmove(&from->queue[at], &from->queue[at + 1], (from->count - at - 1) * sizeof from->queue[0]);
    from->count--;
    return frame;
}

/* A router with a queue: CE on what is ECT (RFC 3168 5). */
static void mark(uint8_t *data, uint32_t len)
{
    bool v6 = gd_get16(data + 12) == 0x86dd;
    uint8_t *class = data + FRAME_ETHER + 1, shift = v6 ? 4 : 0;

    if (len < FRAME_ETHER + FRAME_IP4 || (*class >> shift & 3) == 0)
        return;
    *class |= (uint8_t)(3 << shift);
    frame_fix_checksums(data, len);
}

void pair_deliver(struct pair *pair, int side, struct input *in)
{
    struct pair_side *from = &pair->sides[side];
    uint8_t fate = input_8(in);
    struct pair_frame frame;
    uint32_t at;

    if (from->count == 0) {
        poll_both(pair);
        return;
    }
    frame = take(from, fate & 0x10 ? input_8(in) % from->count : 0); /* another overtakes it */
    at = fate & 7 ? input_16(in) % frame.len : 0;
    switch (fate & 7) {
    case 1:
        frame.len = 0;
        break;
    case 2:
        pass(pair, side, frame.data, frame.len);
        break;
    case 3:
        frame.len = at;
        break;
    case 4:
    case 5:
        frame.data[at] ^= (uint8_t)(1u << (fate >> 5)); /* one bit: a sum of 16-bit words always sees it */
        break;
    case 6:
        mark(frame.data, frame.len);
        break;
    default:
        break;
    }
    if (pair->forge)
        frame_fix_checksums(frame.data, frame.len);
    if (frame.len > 0 && !(pair->forge && frame_names(frame.data, frame.len, WITNESS)))
        pass(pair, side, frame.data, frame.len);
    free(frame.data);
    poll_both(pair);
    check(pair);
}

void pair_starve(struct pair *pair, int side, struct input *in)
{
    uint8_t how = input_8(in);

    pair->sides[side].box.dry = how & 1;
    pair->sides[side].box.stuck = (how & 2) != 0;
    alloc_refuse(how >> 4, how & 4 ? 1 : how & 8 ? UINT32_MAX : 0);
}

static void open_side(struct pair *pair, int index, uint8_t mode)
{
    struct pair_side *side = &pair->sides[index];
    struct gd_config config = {.seed = {[0] = (uint8_t)index}};
    struct gd_addr own = frame_v4((uint8_t)(OURS + index)), own6 = frame_global(own.b[15]),
                   witness = frame_v4((uint8_t)(WITNESS + 128 * index));
    uint8_t mac[6];
    int ifindex;

    config.ecn = mode & HOST_ECN ? GD_ECN_ASK : 0;
    config.syn_cookies = mode & HOST_COOKIES ? GD_COOKIES_ALWAYS : 0;
    if (mode & HOST_SMALL)
        config.buffer_cap = 128 << 10, config.syn_cap = 2, config.time_wait_cap = 2;
    side->pair = pair;
    HOST_CHECK(gd_stack_new(&config, pair->now, &side->stack) == 0);
    frame_mac(mac, (uint8_t)(OURS + index));
    box_init(&side->box, mac, 1500, on_sent, side);
    ifindex = gd_stack_attach(side->stack, &side->box.port, "box0");
    HOST_CHECK(ifindex > 0);
    HOST_CHECK(gd_stack_add_address(side->stack, ifindex, own.b, 24) == 0);
    HOST_CHECK(gd_stack_add_address(side->stack, ifindex, witness.b, 24) == 0);
    if (mode & PAIR_V6)
        HOST_CHECK(gd_stack_add_address(side->stack, ifindex, own6.b, 64) == 0);
    frame_mac(mac, (uint8_t)(OURS + !index));
    witness = frame_v4((uint8_t)(WITNESS + 128 * !index));
    HOST_CHECK(gd_stack_set_neighbour(side->stack, ifindex, witness.b, mac) == 0);
}

/* Side 0's witness address is 10.0.0.9, so each of its frames names it: the input does not touch them. */
static void open_witness(struct pair *pair)
{
    struct gd_addr here = frame_v4(WITNESS), there = frame_v4(WITNESS + 128);
    struct gd_sock *listener;

    HOST_CHECK(gd_sock_new(pair->sides[0].stack, AF_INET, SOCK_STREAM, &pair->sides[0].witness) == 0);
    HOST_CHECK(gd_sock_new(pair->sides[1].stack, AF_INET, SOCK_STREAM, &listener) == 0);
    HOST_CHECK(gd_sock_bind(listener, there.b, PORT_WITNESS) == 0);
    HOST_CHECK(gd_sock_listen(listener, 1) == 0);
    HOST_CHECK(gd_sock_bind(pair->sides[0].witness, here.b, 0) == 0);
    HOST_CHECK(gd_sock_connect(pair->sides[0].witness, there.b, PORT_WITNESS) == -EINPROGRESS);
    poll_both(pair);
    HOST_CHECK(gd_sock_accept(listener, &pair->sides[1].witness) == 0);
    gd_sock_close(listener);
}

struct gd_addr pair_addr(const struct pair *pair, int side)
{
    return pair->v6 ? frame_global((uint8_t)(OURS + side)) : frame_v4((uint8_t)(OURS + side));
}

void pair_open(struct pair *pair, uint8_t mode)
{
    memset(pair, 0, sizeof *pair);
    HOST_CHECK(alloc_blocks() == 0);
    alloc_refuse(0, 0);
    pair->now = 1000 * HOST_S;
    pair->forge = (mode & PAIR_FORGE) != 0;
    pair->v6 = (mode & PAIR_V6) != 0;
    open_side(pair, 0, mode);
    open_side(pair, 1, mode);
    open_witness(pair);
    release(pair); /* the announcements */
    poll_both(pair);
    if (!pair->v6)
        return;
    pair_advance(pair, 3 * HOST_S); /* duplicate address detection */
    release(pair);
    poll_both(pair);
}

static void check_witness(struct pair *pair)
{
    for (int side = 0; side < 2; side++) {
        uint64_t until = pair->now + WAIT;
        uint8_t words[64], heard[64];
        int64_t put, got = -EAGAIN;

        memset(words, 0x30 + side, sizeof words);
        while ((put = gd_sock_send(pair->sides[side].witness, words, sizeof words, 0)) < 0 && pair->now < until)
            pair_advance(pair, 100 * HOST_MS);
        HOST_CHECK(put == sizeof words);
        while (got == -EAGAIN && pair->now < until) {
            pair_advance(pair, 100 * HOST_MS);
            release(pair);
            got = gd_sock_recv(pair->sides[!side].witness, heard, sizeof heard, 0);
        }
        HOST_CHECK(got == sizeof words && memcmp(words, heard, sizeof words) == 0);
    }
}

static void close_socks(struct pair *pair)
{
    for (int side = 0; side < 2; side++) {
        for (int i = 0; i < PAIR_SOCKS; i++)
            if (pair->sides[side].socks[i].sock)
                gd_sock_close(pair->sides[side].socks[i].sock);
    }
}

void pair_close(struct pair *pair, bool abort_all)
{
    release(pair);
    poll_both(pair);
    pair_read_all(pair);
    close_socks(pair);
    for (uint64_t end = pair->now + (abort_all ? 0 : DRAIN); pair->now < end;) { /* the wire is whole now */
        pair_advance(pair, 100 * HOST_S);
        release(pair);
    }
    if (!abort_all) {
        check_witness(pair);
        HOST_CHECK(gd_stack_sockets(pair->sides[0].stack) == 1 && gd_stack_sockets(pair->sides[1].stack) == 1);
    }
    gd_sock_close(pair->sides[0].witness);
    gd_sock_close(pair->sides[1].witness);
    if (abort_all) {
        gd_stack_abort_all(pair->sides[0].stack, ECONNABORTED);
        gd_stack_abort_all(pair->sides[1].stack, ECONNABORTED);
    }
    for (int i = 0; i < 3; i++) {
        pair_advance(pair, 70 * HOST_S);
        release(pair);
    }
    for (int side = 0; side < 2; side++) {
        HOST_CHECK(gd_stack_sockets(pair->sides[side].stack) == 0);
        HOST_CHECK(gd_stack_buffer_bytes(pair->sides[side].stack) == 0);
        gd_stack_free(pair->sides[side].stack);
        HOST_CHECK(pair->sides[side].box.out == 0);
    }
    HOST_CHECK(alloc_blocks() == 0);
}
