/* TCP's states, each reached by the calls and segments that lead there; what belongs there is the next segment.
 * Called by attack.c; calls host.c, peer.c. socks[0] is the socket in that state, or its listener.
 */
#include "scene.h"

#include "core/tcp/tcp.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>

#define HERE 80
#define THERE 5000

void scene_say(struct host *host, uint8_t flags, uint32_t len)
{
    static const uint8_t words[100] = "whatever";
    uint8_t frame[FRAME_MAX];

    host_put(host, frame, peer_next(&host->peer, frame, flags, len ? words : NULL, len));
    host_poll(host);
}

static void pin_peer(struct host *host)
{
    struct gd_addr four = frame_v4(PEER), six = frame_global(PEER);
    uint8_t mac[6];

    frame_mac(mac, PEER);
    HOST_CHECK(gd_stack_set_neighbour(host->stack, host->ifindex, four.b, mac) == 0);
    HOST_CHECK(gd_stack_set_neighbour(host->stack, host->ifindex, six.b, mac) == 0);
}

void scene_listen(struct host *host, bool v6)
{
    static const uint8_t any[16] = {[10] = 0xff, [11] = 0xff}, any6[16];
    struct gd_sock *sock = host_socket(host, v6 ? AF_INET6 : AF_INET, SOCK_STREAM);

    pin_peer(host);
    HOST_CHECK(gd_sock_bind(sock, v6 ? any6 : any, HERE) == 0);
    HOST_CHECK(gd_sock_listen(sock, 4) == 0);
    peer_init(&host->peer, PEER, v6, THERE, HERE);
    host->peer.ecn = host->ecn;
}

static void set_listen(struct host *host)
{
    scene_listen(host, false);
}

static void set_listen6(struct host *host)
{
    scene_listen(host, true);
}

void scene_syn_sent(struct host *host)
{
    struct gd_addr peer = frame_v4(PEER);
    struct gd_sock *sock = host_socket(host, AF_INET, SOCK_STREAM);
    uint8_t own[16];
    uint16_t port;

    pin_peer(host);
    HOST_CHECK(gd_sock_connect(sock, peer.b, THERE) == -EINPROGRESS);
    gd_sock_getsockname(sock, own, &port);
    peer_init(&host->peer, PEER, false, THERE, port);
    host->peer.ecn = host->ecn;
    host_poll(host);
    HOST_CHECK(host->peer.heard_syn);
}

/* By crossing SYNs (RFC 9293 3.5, figure 7): the one way that leads a socket there. */
static void set_syn_received(struct host *host)
{
    scene_syn_sent(host);
    scene_say(host, GD_TCP_SYN, 0);
}

static void set_half_open(struct host *host)
{
    set_listen(host);
    scene_say(host, GD_TCP_SYN, 0);
}

void scene_establish(struct host *host, uint64_t rtt)
{
    struct gd_sock *sock;

    scene_say(host, GD_TCP_SYN, 0);
    host_advance(host, rtt);
    scene_say(host, GD_TCP_ACK, 0);
    HOST_CHECK(gd_sock_accept(host->socks[0], &sock) == 0);
    gd_sock_close(host->socks[0]);
    host->socks[0] = sock;
}

static void set_established(struct host *host)
{
    set_listen(host);
    scene_establish(host, 0);
}

static void set_established6(struct host *host)
{
    set_listen6(host);
    scene_establish(host, 0);
}

/* The same from the other side, with data under way both ways. */
static void set_busy(struct host *host)
{
    static const uint8_t data[60000];

    scene_syn_sent(host);
    scene_say(host, GD_TCP_SYN | GD_TCP_ACK, 0);
    gd_sock_send(host->socks[0], data, sizeof data, 0);
    host_poll(host);
    scene_say(host, GD_TCP_ACK, 100);
    host->peer.snd_nxt += 100; /* a gap */
    scene_say(host, GD_TCP_ACK, 100);
}

static void set_fin_wait_1(struct host *host)
{
    set_established(host);
    gd_sock_shutdown(host->socks[0], SHUT_WR);
    host_poll(host);
}

static void set_fin_wait_2(struct host *host)
{
    set_fin_wait_1(host);
    scene_say(host, GD_TCP_ACK, 0);
}

static void set_orphan(struct host *host)
{
    set_established(host);
    gd_sock_close(host->socks[0]);
    host->socks[0] = NULL;
    host_poll(host);
    scene_say(host, GD_TCP_ACK, 0);
}

static void set_close_wait(struct host *host)
{
    set_established(host);
    scene_say(host, GD_TCP_ACK | GD_TCP_FIN, 0);
}

/* A FIN that does not acknowledge ours. */
static void set_closing(struct host *host)
{
    set_fin_wait_1(host);
    host->peer.rcv_nxt--;
    scene_say(host, GD_TCP_ACK | GD_TCP_FIN, 0);
    host->peer.rcv_nxt++;
}

static void set_last_ack(struct host *host)
{
    set_close_wait(host);
    gd_sock_shutdown(host->socks[0], SHUT_WR);
    host_poll(host);
}

static void set_time_wait(struct host *host)
{
    set_fin_wait_2(host);
    scene_say(host, GD_TCP_ACK | GD_TCP_FIN, 0);
}

/* The same connection, over IPv6. */
static void set_busy6(struct host *host)
{
    static const uint8_t data[60000];

    set_established6(host);
    gd_sock_send(host->socks[0], data, sizeof data, 0);
    host_poll(host);
}

static uint32_t write_next(struct host *host, uint8_t *frame, uint8_t variant)
{
    static const struct {
        uint8_t flags;
        uint32_t len;
    } kinds[] = {
        {GD_TCP_ACK, 0},
        {GD_TCP_ACK | GD_TCP_PSH, 100},
        {GD_TCP_ACK | GD_TCP_FIN, 0},
        {GD_TCP_SYN, 0},
        {GD_TCP_RST | GD_TCP_ACK, 0},
        {GD_TCP_SYN | GD_TCP_ACK, 0},
        {GD_TCP_ACK | GD_TCP_FIN | GD_TCP_PSH, 1400},
        {GD_TCP_ACK, 1460},
    };
    uint32_t kind = variant % (sizeof kinds / sizeof kinds[0]);
    struct peer before = host->peer;
    uint32_t len = peer_next(&host->peer, frame, kinds[kind].flags, NULL, kinds[kind].len);

    if (variant & 8) /* said, but not counted as said */
        host->peer = before;
    return len;
}

const struct scene scenes_tcp[] = {
    {"listen", set_listen, write_next},
    {"syn-sent", scene_syn_sent, write_next},
    {"syn-received", set_syn_received, write_next},
    {"half-open", set_half_open, write_next},
    {"established", set_established, write_next},
    {"busy", set_busy, write_next},
    {"fin-wait-1", set_fin_wait_1, write_next},
    {"fin-wait-2", set_fin_wait_2, write_next},
    {"orphan", set_orphan, write_next},
    {"close-wait", set_close_wait, write_next},
    {"closing", set_closing, write_next},
    {"last-ack", set_last_ack, write_next},
    {"time-wait", set_time_wait, write_next},
    {"listen6", set_listen6, write_next},
    {"established6", set_established6, write_next},
    {"icmp", set_busy, write_icmp},
    {"icmp6", set_busy6, write_icmp6},
    {"loss", set_loss, write_acks},
    {"loss-v6", set_loss6, write_acks},
    {"loss-reno", set_loss_reno, write_acks},
    {"loss-bbr", set_loss_bbr, write_acks},
    {"newreno", set_newreno, write_acks},
    {"tiny-mss", set_tiny, write_acks},
    {"mtu-probe", set_probe, write_acks},
    {"mtu-probe-icmp", set_probe, write_icmp},
    {"large", set_large, write_acks},
    {"deferred", set_deferred, write_next},
    {"queued", set_queued, write_next},
    {"reused", set_reused, write_next},
};
const uint32_t scenes_tcp_count = sizeof scenes_tcp / sizeof scenes_tcp[0];
