/* Invariant: whatever options are set and messages sent, by whatever bytes, no call reads or writes beyond what it was
 * given (each buffer is of its exact size), getsockopt and recvmsg never claim more than there was room for, nothing spins,
 * and once all sockets are closed no buffer is left.
 * Called by libFuzzer or replay.c; calls the engine's public functions, on the stack's own loopback.
 */
#include "host.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SOCKS 6
#define STEPS 120
#define CONTROL_MAX 160u
#define PARTS 4

struct world {
    struct gd_stack *stack;
    uint64_t now;
    struct gd_sock *socks[SOCKS];
};

static const struct {
    int domain, type;
} kinds[SOCKS] = {{AF_INET, SOCK_DGRAM},  {AF_INET, SOCK_DGRAM},  {AF_INET6, SOCK_DGRAM},
                  {AF_INET6, SOCK_DGRAM}, {AF_INET, SOCK_STREAM}, {AF_INET, SOCK_STREAM}};

/* ::1 and 127.0.0.1; port 1000 + the socket's place. */
static const uint8_t six[16] = {[15] = 1}, four[16] = {[10] = 0xff, 0xff, 127, 0, 0, 1};

static const uint8_t *address(int place)
{
    return kinds[place].domain == AF_INET ? four : six;
}

static void turn(struct world *world, uint64_t ns)
{
    int left = 1000;

    world->now += ns;
    while (gd_stack_poll(world->stack, world->now) <= world->now)
        HOST_CHECK(left-- > 0);
}

static void open_one(struct world *world, int place)
{
    struct gd_sock *sock;

    if (gd_sock_new(world->stack, kinds[place].domain, kinds[place].type, &sock) != 0)
        return;
    world->socks[place] = sock;
    if (place == 5) { /* the other stream's client */
        gd_sock_connect(sock, four, 1004);
        return;
    }
    gd_sock_bind(sock, address(place), (uint16_t)(1000 + place));
    if (place == 4)
        gd_sock_listen(sock, 2);
}

/* So many bytes of the input, in memory of that size. */
static uint8_t *exact(struct input *in, uint32_t len)
{
    uint8_t *bytes = malloc(len > 0 ? len : 1);

    HOST_CHECK(bytes != NULL);
    memset(bytes, 0, len);
    input_bytes(in, bytes, len);
    return bytes;
}

static int level_of(struct input *in)
{
    static const int levels[] = {SOL_SOCKET, IPPROTO_IP, IPPROTO_IPV6, IPPROTO_TCP, IPPROTO_UDP, 77};

    return levels[input_below(in, sizeof levels / sizeof levels[0])];
}

/* An address of a group, or of a source, of four or sixteen that there are of each. */
static void fill_address(struct input *in, uint8_t *out, int family, bool group)
{
    struct sockaddr_in four_of = {.sin_family = AF_INET};
    struct sockaddr_in6 six_of = {.sin6_family = AF_INET6};
    uint8_t last = input_8(in);

    four_of.sin_addr.s_addr = htonl(group ? 0xefffff00u | (last & 3) : 0x0a000000u | (last & 15));
    six_of.sin6_addr.s6_addr[0] = group ? 0xff : 0xfe;
    six_of.sin6_addr.s6_addr[1] = group ? 0x05 : 0x80;
    six_of.sin6_addr.s6_addr[15] = group ? last & 3 : last & 15;
    if (family == AF_INET)
        memcpy(out, &four_of, sizeof four_of);
    else
        memcpy(out, &six_of, sizeof six_of);
}

/* Multicast and devices, in the layouts of RFC 3678 and socket(7), which chance alone does not find. */
static void set_well_formed(struct gd_sock *sock, struct input *in)
{
    static const int names[] = {MCAST_JOIN_GROUP,         MCAST_LEAVE_GROUP,  MCAST_JOIN_SOURCE_GROUP,
                                MCAST_LEAVE_SOURCE_GROUP, MCAST_BLOCK_SOURCE, MCAST_UNBLOCK_SOURCE,
                                MCAST_MSFILTER,           0};
    int name = names[input_8(in) & 7], family = sock->domain == AF_INET || input_8(in) & 1 ? AF_INET : AF_INET6;
    uint32_t count = name == MCAST_MSFILTER ? input_8(in) % 70 : 1, len = (uint32_t)GROUP_FILTER_SIZE(count);
    struct group_filter *filter = calloc(1, len);
    struct group_source_req request = {.gsr_interface = 1};

    HOST_CHECK(filter != NULL);
    filter->gf_interface = 1;
    filter->gf_fmode = input_8(in) & 1;
    filter->gf_numsrc = count;
    fill_address(in, (uint8_t *)&filter->gf_group, family, true);
    request.gsr_group = filter->gf_group;
    for (uint32_t i = 0; i < count; i++)
        fill_address(in, (uint8_t *)(filter->gf_slist + i), family, false);
    memcpy(&request.gsr_source, (uint8_t *)filter + GROUP_FILTER_SIZE(0), count ? sizeof request.gsr_source : 0);
    if (name == 0)
        gd_sock_setsockopt(sock, SOL_SOCKET, SO_BINDTODEVICE, "lo", filter->gf_fmode ? 2 : 0);
    else if (name == MCAST_MSFILTER)
        gd_sock_setsockopt(sock, family == AF_INET ? IPPROTO_IP : IPPROTO_IPV6, name, filter, len);
    else
        gd_sock_setsockopt(sock, family == AF_INET ? IPPROTO_IP : IPPROTO_IPV6, name, &request, sizeof request);
    free(filter);
}

static void set_option(struct gd_sock *sock, struct input *in)
{
    int level = level_of(in), name = input_8(in) % 90;
    uint32_t len = input_8(in);
    uint8_t *value;

    if (len >= 192) {
        set_well_formed(sock, in);
        return;
    }
    len %= 24;
    value = exact(in, len);

    HOST_CHECK(gd_sock_setsockopt(sock, level, name, value, len) <= 0);
    free(value);
}

static void get_option(struct gd_sock *sock, struct input *in)
{
    int level = level_of(in), name = input_8(in) % 90;
    uint32_t room = input_8(in), len = room;
    uint8_t *value = exact(in, room);

    if (gd_sock_getsockopt(sock, level, name, value, &len) == 0)
        HOST_CHECK(len <= room);
    free(value);
}

/* Well-formed ones, of types that mean something, or any bytes. */
static uint32_t fill_control(struct input *in, uint8_t *control)
{
    static const int types[] = {IP_PKTINFO,     IP_TTL,      IP_TOS,        IPV6_PKTINFO, IPV6_HOPLIMIT, IPV6_TCLASS,
                                IPV6_DONTFRAG,  SCM_RIGHTS,  IPV6_HOPOPTS,  SO_MARK};
    uint32_t used = 0, count = input_8(in) % 4;

    if (count == 3)
        return input_bytes(in, control, CONTROL_MAX);
    while (count-- > 0) {
        uint32_t len = input_8(in) % 24;
        struct cmsghdr header = {.cmsg_level = level_of(in)};

        header.cmsg_type = types[input_below(in, sizeof types / sizeof types[0])];
        header.cmsg_len = CMSG_LEN(len);
        memset(control + used, 0, CMSG_SPACE(len));
        memcpy(control + used, &header, sizeof header);
        input_bytes(in, control + used + sizeof header, len);
        used += (uint32_t)CMSG_SPACE(len);
    }
    return used;
}

static uint64_t make_parts(struct input *in, struct gd_iovec *parts, uint32_t *nparts)
{
    uint64_t total = 0;

    *nparts = input_8(in) % (PARTS + 1);
    for (uint32_t i = 0; i < *nparts; i++) {
        parts[i].len = input_8(in) & 1 ? input_16(in) % 3000 : input_8(in) % 9;
        parts[i].base = exact(in, (uint32_t)parts[i].len < 9 ? (uint32_t)parts[i].len : 0);
        if (parts[i].len >= 9)
            parts[i].base = realloc(parts[i].base, parts[i].len);
        HOST_CHECK(parts[i].base != NULL);
        memset(parts[i].base, 7, parts[i].len);
        total += parts[i].len;
    }
    return total;
}

static void send_message(struct world *world, int place, struct input *in)
{
    struct gd_iovec parts[PARTS];
    struct gd_message message = {.parts = parts};
    uint8_t control[CONTROL_MAX], *copy;
    int to = (int)input_below(in, SOCKS + 1); /* the last: a port that nobody has */
    uint64_t total = make_parts(in, parts, &message.nparts);
    int64_t sent;
    uint8_t how;

    message.control_len = fill_control(in, control);
    copy = malloc(message.control_len > 0 ? message.control_len : 1);
    HOST_CHECK(copy != NULL);
    memcpy(copy, control, message.control_len);
    message.control = copy;
    message.named = input_8(in) & 3;
    memcpy(message.addr, to < SOCKS ? address(to) : address(place), 16);
    message.port = (uint16_t)(1000 + to);
    how = input_8(in);
    sent = gd_sock_sendmsg(world->socks[place], &message,
                           (how & 1 ? MSG_DONTROUTE : 0) | (how & 2 ? MSG_MORE : 0) | (how & 4 ? MSG_OOB : 0));
    HOST_CHECK(sent <= (int64_t)total);
    free(copy);
    for (uint32_t i = 0; i < message.nparts; i++)
        free(parts[i].base);
}

static void receive_message(struct gd_sock *sock, struct input *in)
{
    static const int flags[] = {0, MSG_PEEK, MSG_TRUNC, MSG_ERRQUEUE, MSG_ERRQUEUE, MSG_OOB, MSG_PEEK | MSG_TRUNC, 0};
    struct gd_iovec parts[PARTS];
    struct gd_message message = {.parts = parts, .epoch_ns = 12345};
    uint32_t room = input_8(in) % CONTROL_MAX;
    int flag = flags[input_8(in) % 8];
    uint64_t total = make_parts(in, parts, &message.nparts);
    int64_t got;

    message.control = exact(in, 0);
    message.control = realloc(message.control, room > 0 ? room : 1);
    HOST_CHECK(message.control != NULL);
    message.control_len = room;
    got = gd_sock_recvmsg(sock, &message, flag);
    HOST_CHECK(got <= (int64_t)total || flag & MSG_TRUNC);
    HOST_CHECK(got < 0 || message.control_len <= room);
    free(message.control);
    for (uint32_t i = 0; i < message.nparts; i++)
        free(parts[i].base);
}

static void step(struct world *world, struct input *in)
{
    uint8_t what = input_8(in);
    int place = what >> 4 & 7;
    struct gd_sock *other = NULL;

    if (place >= SOCKS || !world->socks[place]) {
        if (place < SOCKS)
            open_one(world, place);
        turn(world, 1000000ull * (what & 15));
        return;
    }
    what &= 15;
    if (what < 3)
        set_option(world->socks[place], in);
    else if (what < 6)
        get_option(world->socks[place], in);
    else if (what < 10)
        send_message(world, place, in);
    else if (what < 13)
        receive_message(world->socks[place], in);
    else if (what == 13 && gd_sock_accept(world->socks[place], &other) == 0) {
        receive_message(other, in);
        gd_sock_close(other);
    } else if (what == 14)
        gd_sock_connect(world->socks[place], address(place), (uint16_t)(1000 + input_below(in, SOCKS)));
    else if (what == 15) {
        gd_sock_close(world->socks[place]);
        world->socks[place] = NULL;
    }
    turn(world, 1000);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, data + size};
    struct gd_config config = {.time_wait_ms = 1000};
    struct world world = {.now = 1000 * HOST_S};

    HOST_CHECK(gd_stack_new(&config, world.now, &world.stack) == 0);
    HOST_CHECK(gd_stack_add_address(world.stack, 1, four, 8) <= 0);
    for (int i = 0; i < SOCKS; i++)
        open_one(&world, i);
    turn(&world, 0);
    for (int i = 0; i < STEPS && input_left(&in); i++)
        step(&world, &in);
    for (int i = 0; i < SOCKS; i++)
        if (world.socks[i])
            gd_sock_close(world.socks[i]);
    gd_stack_abort_all(world.stack, ECONNABORTED);
    turn(&world, HOST_S);
    HOST_CHECK(gd_stack_buffer_bytes(world.stack) == 0);
    gd_stack_free(world.stack);
    return 0;
}
