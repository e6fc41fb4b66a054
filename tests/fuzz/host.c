/* The stack under attack of host.h. Called by the targets; calls the engine, box.c, peer.c, alloc.c. */
#include "host.h"

#include "alloc.h"
#include "core/tcp/tcp.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>

#define POLLS_NOW 64          /* at one moment: each takes 8 bursts of 32 */
#define POLLS_PER_S 200       /* while the clock moves: a socket's timers are tens of milliseconds long */
#define DRAIN (4000 * HOST_S) /* 15 retransmissions, TIME-WAIT, neighbours' ten minutes: all is over by then */
#define ROUNDS 200            /* that the witness gets to move its bytes, 100 ms each */

_Noreturn void host_fail(const char *what, const char *detail)
{
    fprintf(stderr, "invariant broken: %s (%s)\n", what, detail);
    abort();
}

static void on_sent(void *context, const uint8_t *data, uint32_t len)
{
    struct host *host = context;
    const char *fault = frame_fault(data, len, host->box.port.mtu);

    if (fault)
        host_fail("the stack sent a bad frame", fault);
    host->sent++;
    if (len >= 50 && data[23] == IPPROTO_UDP && gd_get16(data + 36) == 67)
        host->dhcp_xid = gd_get32(data + 46);
    if (peer_hears(&host->witness, data, len))
        return;
    if (host->tell_peer)
        peer_hears(&host->peer, data, len);
    memcpy(host->last, data, len < FRAME_MAX ? len : FRAME_MAX);
    host->last_len = len < FRAME_MAX ? len : FRAME_MAX;
}

void host_poll(struct host *host)
{
    uint64_t deadline;
    int left = POLLS_NOW;

    do {
        HOST_CHECK(left-- > 0); /* it spins */
        deadline = gd_stack_poll(host->stack, host->now);
        host->polls++;
    } while (deadline <= host->now);
    HOST_CHECK(host->box.out <= GD_TX_QUEUE + GD_NEIGHS * 8);
}

void host_advance(struct host *host, uint64_t ns)
{
    uint64_t target = host->now + ns, budget = POLLS_NOW + (ns / HOST_S + 1) * POLLS_PER_S * HOST_SOCKS;

    for (;;) {
        uint64_t deadline;
        int left = POLLS_NOW;

        while ((deadline = gd_stack_poll(host->stack, host->now)) <= host->now)
            HOST_CHECK(left-- > 0);
        HOST_CHECK(budget-- > 0); /* it spins slowly */
        if (deadline > target)
            break;
        host->now = deadline;
    }
    host->now = target;
    host_poll(host);
}

void host_put(struct host *host, const uint8_t *frame, uint32_t len)
{
    box_put(host->by_second && host->second_index ? &host->second : &host->box, frame, len, 0);
}

void host_plug(struct host *host)
{
    struct gd_addr four = frame_v4(OURS), six = frame_global(OURS);
    uint8_t mac[6];

    if (host->second_index) {
        HOST_CHECK(gd_stack_detach(host->stack, host->second_index) == 0);
        HOST_CHECK(host->second.out == 0);
        host->second_index = 0;
        return;
    }
    frame_mac(mac, OURS);
    box_init(&host->second, mac, 1280, on_sent, host);
    host->second_index = gd_stack_attach(host->stack, &host->second.port, "box1");
    if (host->second_index < 0) { /* no memory: it is closed */
        host->second_index = 0;
        return;
    }
    four.b[14] = six.b[5] = 1; /* 10.0.1.1, 2001:db9::1 */
    gd_stack_add_address(host->stack, host->second_index, four.b, 24);
    gd_stack_add_address(host->stack, host->second_index, six.b, 64);
}

void host_frame(struct host *host, uint8_t *frame, uint32_t len, bool fix)
{
    uint32_t before = host->sent;

    if (fix)
        frame_fix_checksums(frame, len);
    if (frame_names(frame, len, WITNESS))
        return;
    host_put(host, frame, len);
    host->asked++;
    if (host->waiting++ < host->burst)
        return;
    host->waiting = 0;
    host_poll(host);
    /* No amplifier: an ACK clocks out a window's worth at most, and that window is bounded. */
    HOST_CHECK(host->sent - before <= 4096);
}

void host_add(struct host *host, struct gd_sock *sock)
{
    for (int i = 0; i < HOST_SOCKS; i++)
        if (!host->socks[i]) {
            host->socks[i] = sock;
            return;
        }
    gd_sock_close(sock);
}

struct gd_sock *host_socket(struct host *host, int domain, int type)
{
    struct gd_sock *sock;

    if (gd_sock_new(host->stack, domain, type, &sock) != 0)
        return NULL;
    host_add(host, sock);
    return sock;
}

static void open_witness(struct host *host)
{
    static const uint8_t any[16] = {[10] = 0xff, [11] = 0xff};
    uint8_t frame[FRAME_MAX];
    struct gd_sock *listener;

    HOST_CHECK(gd_sock_new(host->stack, AF_INET, SOCK_STREAM, &listener) == 0);
    HOST_CHECK(gd_sock_bind(listener, any, PORT_WITNESS) == 0);
    HOST_CHECK(gd_sock_listen(listener, 1) == 0);
    peer_init(&host->witness, WITNESS, false, 4242, PORT_WITNESS);
    host_put(host, frame, peer_next(&host->witness, frame, GD_TCP_SYN, NULL, 0));
    host_poll(host);
    HOST_CHECK(host->witness.heard_syn);
    host_put(host, frame, peer_next(&host->witness, frame, GD_TCP_ACK, NULL, 0));
    host_poll(host);
    HOST_CHECK(gd_sock_accept(listener, &host->witness_sock) == 0);
    gd_sock_close(listener);
}

static void set_neighbour(struct host *host, struct gd_addr addr, uint8_t number)
{
    uint8_t mac[6];

    frame_mac(mac, number);
    HOST_CHECK(gd_stack_set_neighbour(host->stack, host->ifindex, addr.b, mac) == 0);
}

void host_open(struct host *host, uint8_t mode)
{
    struct gd_config config = {0};
    struct gd_addr own = frame_v4(OURS), router = frame_v4(ROUTER);
    static const struct gd_addr everything = {.b = {[10] = 0xff, [11] = 0xff}};
    uint8_t mac[6];

    memset(host, 0, sizeof *host);
    HOST_CHECK(alloc_blocks() == 0);
    alloc_refuse(0, 0);
    if (mode & HOST_SMALL) {
        config.buffer_cap = 128 << 10;
        config.time_wait_cap = 2;
        config.syn_cap = 2;
        config.time_wait_ms = 500;
    }
    host->ecn = (mode & HOST_ECN) != 0;
    if (host->ecn)
        config.ecn = GD_ECN_ASK;
    if (mode & HOST_COOKIES)
        config.syn_cookies = GD_COOKIES_ALWAYS;
    host->now = 1000 * HOST_S;
    HOST_CHECK(gd_stack_new(&config, host->now, &host->stack) == 0);
    frame_mac(mac, OURS);
    box_init(&host->box, mac, 1500, on_sent, host);
    if (mode & HOST_NO_CSUM)
        host->box.port.caps = GD_CAP_RX_CSUM;
    host->ifindex = gd_stack_attach(host->stack, &host->box.port, "box0");
    HOST_CHECK(host->ifindex > 0);
    HOST_CHECK(gd_stack_add_address(host->stack, host->ifindex, own.b, 24) == 0);
    HOST_CHECK(gd_stack_add_route(host->stack, everything.b, 0, router.b, host->ifindex) == 0);
    set_neighbour(host, frame_v4(WITNESS), WITNESS);
    own = frame_global(OURS);
    HOST_CHECK(gd_stack_add_address(host->stack, host->ifindex, own.b, 64) == 0);
    own = frame_link_local(OURS);
    HOST_CHECK(gd_stack_add_address(host->stack, host->ifindex, own.b, 64) == 0);
    HOST_CHECK(gd_stack_autoconf(host->stack, host->ifindex) == 0); /* routers are listened to */
    host_advance(host, 3 * HOST_S);                                 /* duplicate address detection */
    open_witness(host);
    peer_init(&host->peer, PEER, false, 5000, PORT_OPEN);
    host->tell_peer = true;
}

void host_check_caps(const struct host *host)
{
    const struct gd_stack *stack = host->stack;

    HOST_CHECK(gd_stack_buffer_bytes(host->stack) <= stack->config.buffer_cap);
    HOST_CHECK(stack->nrequests <= stack->config.syn_cap);
    HOST_CHECK(stack->ntime_waits <= stack->config.time_wait_cap);
    HOST_CHECK(stack->neigh_count <= GD_NEIGHS);
    host_check_sockets(stack);
}

/* The peer acknowledges what it has heard, and the clock goes on a little. */
static void witness_turn(struct host *host)
{
    uint8_t frame[FRAME_MAX];

    if (host->witness.unacked > 0)
        host_put(host, frame, peer_next(&host->witness, frame, GD_TCP_ACK, NULL, 0));
    host_advance(host, 100 * HOST_MS);
}

void host_check_witness(struct host *host)
{
    static const uint8_t words[32] = "the witness says what it saw";
    uint8_t frame[FRAME_MAX], heard[sizeof words];
    uint32_t want = host->witness.received + sizeof words, seq = host->witness.snd_nxt;
    int64_t got = -EAGAIN;

    for (int i = 0; i < ROUNDS && got == -EAGAIN; i++) { /* sent again, if there was no memory for it at first */
        host->witness.snd_nxt = seq;
        host_put(host, frame, peer_next(&host->witness, frame, GD_TCP_ACK | GD_TCP_PSH, words, sizeof words));
        host_poll(host);
        got = gd_sock_recv(host->witness_sock, heard, sizeof heard, 0);
        if (got == -EAGAIN)
            host_advance(host, 100 * HOST_MS);
    }
    HOST_CHECK(got == sizeof words && memcmp(words, heard, sizeof words) == 0);
    got = -EAGAIN;
    for (int i = 0; i < ROUNDS && got < 0; i++) {
        got = gd_sock_send(host->witness_sock, words, sizeof words, 0);
        HOST_CHECK(got == sizeof words || got == -EAGAIN || got == -ENOBUFS);
        if (got < 0)
            host_advance(host, 100 * HOST_MS);
    }
    for (int i = 0; i < ROUNDS && (host->witness.received != want || gd_sock_unacked(host->witness_sock) > 0); i++) {
        host_poll(host);
        witness_turn(host);
    }
    HOST_CHECK(host->witness.received == want && gd_sock_unacked(host->witness_sock) == 0);
    HOST_CHECK(!host->witness.heard_rst && !host->witness.heard_fin);
}

/* The witness ends in good order: its FIN first, so that the stack keeps no TIME-WAIT. */
static void close_witness(struct host *host)
{
    uint8_t frame[FRAME_MAX];

    host_put(host, frame, peer_next(&host->witness, frame, GD_TCP_ACK | GD_TCP_FIN, NULL, 0));
    host_poll(host);
    gd_sock_close(host->witness_sock);
    for (int i = 0; i < ROUNDS && !host->witness.heard_fin; i++)
        witness_turn(host);
    HOST_CHECK(host->witness.heard_fin && !host->witness.heard_rst);
    witness_turn(host);
    host_advance(host, HOST_S);
}

void host_recover(struct host *host)
{
    host->by_second = false;
    gd_dhcp_stop(host->stack, host->ifindex); /* a lease may well have routes that lead the witness astray */
    host->box.dry = host->box.stuck = false;
    alloc_refuse(0, 0);
}

static void close_socks(struct host *host)
{
    for (int i = 0; i < HOST_SOCKS; i++) {
        if (host->socks[i])
            gd_sock_close(host->socks[i]);
        host->socks[i] = NULL;
    }
}

void host_close_socks(struct host *host)
{
    host_poll(host);
    close_socks(host);
    host_advance(host, DRAIN);
}

void host_close(struct host *host, bool abort_all)
{
    host_recover(host);
    host->tell_peer = false;
    host->by_second = false;
    if (host->second_index)
        host_plug(host);
    close_socks(host);
    if (abort_all) {
        gd_stack_abort_all(host->stack, ECONNABORTED); /* the witness as well */
        host_poll(host);
        gd_sock_close(host->witness_sock);
        host_advance(host, 70 * HOST_S); /* TIME-WAIT and half-open ones */
    } else {
        host_advance(host, DRAIN);
        HOST_CHECK(gd_stack_sockets(host->stack) == 1);
        host_check_witness(host);
        close_witness(host);
    }
    HOST_CHECK(gd_stack_sockets(host->stack) == 0);
    HOST_CHECK(gd_stack_buffer_bytes(host->stack) == 0);
    HOST_CHECK(gd_stack_unsent(host->stack) == 0);
    host_check_caps(host);
    gd_stack_free(host->stack);
    HOST_CHECK(host->box.out == 0);
    HOST_CHECK(alloc_blocks() == 0);
}
