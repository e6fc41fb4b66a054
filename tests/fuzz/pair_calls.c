/* The applications at both ends: connect, accept, send, receive, shut, close, as the input says.
 * Called by fuzz_wire.c, pair.c; calls the engine's public functions.
 */
#include "pair_calls.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>

#define PORT 80
#define PORT_DATAGRAM 53
#define CHUNK 40000u

/* The byte at a place of any stream: no piece repeats within 64 KiB. */
static uint8_t pattern(uint64_t at)
{
    return (uint8_t)(at * 31 + (at >> 8) * 7);
}

static struct pair_sock *free_place(struct pair_side *side)
{
    for (int i = 0; i < PAIR_SOCKS; i++)
        if (!side->socks[i].sock)
            return &side->socks[i];
    return NULL;
}

static int domain(const struct pair_side *side)
{
    return side->pair->v6 ? AF_INET6 : AF_INET;
}

static void bind_any(const struct pair_side *side, struct gd_sock *sock, uint16_t port)
{
    static const uint8_t any[16] = {[10] = 0xff, [11] = 0xff}, any6[16];

    gd_sock_bind(sock, side->pair->v6 ? any6 : any, port);
}

static void open_listener(struct pair_side *side)
{
    struct pair_sock *place = free_place(side);

    if (!place || gd_sock_new(side->stack, domain(side), SOCK_STREAM, &place->sock) != 0)
        return;
    bind_any(side, place->sock, PORT);
    gd_sock_listen(place->sock, 2);
}

static void open_datagram(struct pair_side *side)
{
    struct pair_sock *place = free_place(side);

    if (place && gd_sock_new(side->stack, domain(side), SOCK_DGRAM, &place->sock) == 0)
        bind_any(side, place->sock, PORT_DATAGRAM);
}

/* Urgent bytes are of the stream, too: what is compared has no holes. */
static void made(struct pair_sock *place)
{
    int on = 1;

    gd_sock_setsockopt(place->sock, SOL_SOCKET, SO_OOBINLINE, &on, sizeof on);
    place->stream = true;
    place->sent = place->received = 0;
}

static void open_connection(struct pair_side *side, int other)
{
    struct gd_addr to = pair_addr(side->pair, other);
    struct pair_sock *place = free_place(side);

    if (!place || gd_sock_new(side->stack, domain(side), SOCK_STREAM, &place->sock) != 0)
        return;
    gd_sock_connect(place->sock, to.b, PORT);
    made(place);
}

static void accept_one(struct pair_side *side, struct pair_sock *listener)
{
    struct pair_sock *place = free_place(side);

    if (place && gd_sock_accept(listener->sock, &place->sock) == 0)
        made(place);
}

static void send_some(const struct pair *pair, struct pair_sock *place, struct input *in, int other)
{
    struct gd_addr to = pair_addr(pair, other);
    uint32_t len = input_16(in) % CHUNK;
    uint8_t *data = malloc(len);
    int64_t done;

    if (!data && len)
        abort();
    for (uint32_t i = 0; i < len; i++)
        data[i] = pattern(place->sent + i);
    if (place->stream) {
        done = gd_sock_send(place->sock, data, len, len % 8 == 7 ? MSG_OOB : 0);
        place->sent += done > 0 ? (uint64_t)done : 0;
    } else {
        gd_sock_sendto(place->sock, data, len, 0, to.b, PORT_DATAGRAM);
    }
    free(data);
}

static int64_t receive(const struct pair *pair, struct pair_sock *place, uint32_t room)
{
    uint8_t *data = malloc(room);
    int64_t got;

    if (!data && room)
        abort();
    got = gd_sock_recv(place->sock, data, room, 0);
    if (place->stream && !pair->forge)
        for (int64_t i = 0; i < got; i++)
            HOST_CHECK(data[i] == pattern(place->received + (uint64_t)i));
    if (place->stream && got > 0)
        place->received += (uint64_t)got;
    free(data);
    return got;
}

static void set_option(struct pair_sock *place, struct input *in)
{
    static const struct {
        int level, name;
    } options[] = {{IPPROTO_TCP, TCP_NODELAY}, {IPPROTO_TCP, TCP_CORK},     {IPPROTO_TCP, TCP_QUICKACK},
                   {SOL_SOCKET, SO_RCVBUF},    {SOL_SOCKET, SO_SNDBUF},     {IPPROTO_TCP, TCP_MAXSEG},
                   {SOL_SOCKET, SO_KEEPALIVE}, {IPPROTO_TCP, TCP_KEEPIDLE}, {IPPROTO_TCP, TCP_USER_TIMEOUT}};
    uint32_t row = input_below(in, sizeof options / sizeof options[0]);
    static const char names[3][6] = {"reno", "cubic", "bbr"};
    int value = input_16(in);

    if (row == 0 && value & 1)
        gd_sock_setsockopt(place->sock, IPPROTO_TCP, TCP_CONGESTION, names[value / 2 % 3], 5);
    gd_sock_setsockopt(place->sock, options[row].level, options[row].name, &value, sizeof value);
}

static void close_one(struct pair_sock *place)
{
    gd_sock_close(place->sock);
    *place = (struct pair_sock){0};
}

void pair_read_all(struct pair *pair)
{
    for (int side = 0; side < 2; side++)
        for (int i = 0; i < PAIR_SOCKS; i++) {
            struct pair_sock *place = &pair->sides[side].socks[i];

            while (place->sock && receive(pair, place, CHUNK) > 0)
                ;
        }
}

void pair_call(struct pair *pair, int index, struct input *in)
{
    struct pair_side *side = &pair->sides[index];
    uint8_t what = input_8(in);
    struct pair_sock *place = &side->socks[what >> 4 & (PAIR_SOCKS - 1)];

    what &= 15;
    if (what == 0)
        open_listener(side);
    else if (what == 1)
        open_connection(side, !index);
    else if (what == 2)
        open_datagram(side);
    if (what <= 2 || !place->sock) {
        pair_advance(pair, 0);
        return;
    }
    if (what == 3)
        accept_one(side, place);
    else if (what <= 7)
        send_some(pair, place, in, !index);
    else if (what <= 11)
        receive(pair, place, input_16(in) % CHUNK);
    else if (what == 12)
        set_option(place, in);
    else if (what == 13)
        gd_sock_shutdown(place->sock, (int)input_below(in, 3));
    else if (what == 14)
        close_one(place);
    else
        gd_sock_ready(place->sock);
    pair_advance(pair, 0);
}
