/* Connections whose receiver tells of holes, marks and duplicates, and those that are rare: a tiny MSS, large buffers,
 * a search for the path's MTU, an accept that is put off, a connection that nobody accepted, a pair that is used again.
 * Called by attack.c through scenes_tcp.c; calls host.c, peer.c. Both ends speak ECN.
 */
#include "scene.h"

#include "core/net/net.h"
#include "core/tcp/tcp.h"
#include "core/util/seq.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#define LARGE (64 << 20)
#define TEXT (1u << 20)
#define SEARCH_AFTER (601 * HOST_S) /* tcp/mtu.c's AGAIN */
#define RTT (40 * HOST_MS)          /* else RACK waits for nothing that is out of order */
#define CE 3u

static void send_text(struct host *host, uint32_t len)
{
    static const uint8_t text[TEXT];

    if (host->socks[0] != NULL) /* the input may have closed it */
        gd_sock_send(host->socks[0], text, len, 0);
    host_poll(host);
}

static void set_number(struct host *host, int level, int name, int value)
{
    HOST_CHECK(gd_sock_setsockopt(host->socks[0], level, name, &value, sizeof value) == 0);
}

static void open_for(struct host *host, bool v6, const char *cc)
{
    scene_listen(host, v6);
    host->peer.ecn = true;
    HOST_CHECK(gd_sock_setsockopt(host->socks[0], IPPROTO_TCP, TCP_CONGESTION, cc, (uint32_t)strlen(cc)) == 0);
}

void set_loss(struct host *host)
{
    open_for(host, false, "cubic");
    scene_establish(host, RTT);
    send_text(host, 60000);
}

void set_loss6(struct host *host)
{
    open_for(host, true, "cubic");
    scene_establish(host, RTT);
    send_text(host, 60000);
}

void set_loss_reno(struct host *host)
{
    open_for(host, false, "reno");
    scene_establish(host, RTT);
    send_text(host, 60000);
}

/* So much text that the application limits no sample. */
void set_loss_bbr(struct host *host)
{
    open_for(host, false, "bbr");
    set_number(host, SOL_SOCKET, SO_SNDBUF, 2 * TEXT);
    scene_establish(host, RTT);
    send_text(host, TEXT);
}

void set_newreno(struct host *host)
{
    open_for(host, false, "reno");
    host->peer.use_sack = host->peer.use_ts = false;
    scene_establish(host, RTT);
    send_text(host, 60000);
}

/* The path's MTU is known of another connection, and may be larger by now. */
static void know_path(struct host *host)
{
    struct gd_addr peer = frame_v4(PEER);

    gd_pmtu_learn(host->stack, &peer, 1000);
}

void set_tiny(struct host *host)
{
    open_for(host, false, "cubic");
    host->peer.mss = 1;
    host->peer.wscale = 14;
    know_path(host);
    scene_establish(host, RTT);
    host_advance(host, SEARCH_AFTER);
    send_text(host, 5000);
}

void set_probe(struct host *host)
{
    open_for(host, false, "cubic");
    know_path(host);
    scene_establish(host, RTT);
    host_advance(host, SEARCH_AFTER);
    send_text(host, 60000);
}

void set_large(struct host *host)
{
    open_for(host, false, "cubic");
    set_number(host, SOL_SOCKET, SO_SNDBUF, LARGE);
    set_number(host, SOL_SOCKET, SO_RCVBUF, LARGE);
    host->peer.wscale = 14;
    scene_establish(host, RTT);
    send_text(host, TEXT);
}

void set_deferred(struct host *host)
{
    scene_listen(host, false);
    set_number(host, IPPROTO_TCP, TCP_DEFER_ACCEPT, 5);
    scene_say(host, GD_TCP_SYN, 0);
    scene_say(host, GD_TCP_ACK, 0);
}

void set_queued(struct host *host)
{
    scene_listen(host, false);
    scene_say(host, GD_TCP_SYN, 0);
    scene_say(host, GD_TCP_ACK, 0);
}

/* TIME-WAIT, and the listener is still there (RFC 6191). */
void set_reused(struct host *host)
{
    struct gd_sock *sock;

    set_queued(host);
    HOST_CHECK(gd_sock_accept(host->socks[0], &sock) == 0);
    gd_sock_close(sock);
    host_poll(host);
    scene_say(host, GD_TCP_ACK | GD_TCP_FIN, 0);
}

/* What the receiver has, by the kind: its acknowledgment and blocks. place: somewhere in the flight. */
static void acknowledge(struct peer *peer, uint8_t kind, uint32_t place, struct gd_tcp_options *options)
{
    struct gd_range *block = &options->sacks[0];

    switch (kind) {
    case 1: /* a segment, wherever they are cut, or two have arrived */
        *block = (struct gd_range){place, place + 2 * peer->mss};
        if (gd_seq_gt(block->end, peer->rcv_nxt))
            block->end = peer->rcv_nxt;
        break;
    case 2: /* all from there on */
        *block = (struct gd_range){place, peer->rcv_nxt};
        break;
    case 3: /* all up to there */
        peer->una = place;
        break;
    case 4: /* all */
        peer->una = peer->rcv_nxt;
        break;
    case 5: /* a duplicate has arrived (RFC 2883) */
        *block = (struct gd_range){peer->una - 100, peer->una};
        break;
    case 6: /* the hole is filled; there is another */
        peer->una = place;
        *block = (struct gd_range){place + (peer->rcv_nxt - place) / 2, peer->rcv_nxt};
        break;
    default:
        break;
    }
    options->nsacks = peer->use_sack && block->start != block->end ? 1 : 0;
}

/* bits 0 to 2: the kind, 7: text that a router has marked; 3: with ECE; 4: at once, not a round trip later; 5 to 7: the
 * place, in eighths of the flight; in front of a duplicate, how much our application writes; whether text has CWR. */
uint32_t write_acks(struct host *host, uint8_t *frame, uint8_t variant)
{
    struct peer *peer = &host->peer;
    bool text = (variant & 7) == 7;
    struct peer_segment segment = {.flags = GD_TCP_ACK, .seq = peer->snd_nxt, .window = PEER_WINDOW};
    uint32_t len;

    if ((variant & 7) == 0 && variant >> 5 != 0)
        send_text(host, (variant >> 5) * 10000u);
    host_advance(host, variant & 16 ? 0 : RTT);
    peer->ts += PEER_TIME_STEP;
    acknowledge(peer, variant & 7, peer->una + (peer->rcv_nxt - peer->una) / 8 * (variant >> 5), &segment.options);
    segment.ack = peer->una;
    segment.options.has_ts = peer->use_ts;
    segment.options.tsval = peer->ts;
    segment.options.tsecr = peer->their_ts;
    if (variant & 8)
        segment.flags |= GD_TCP_ECE;
    if (text && variant & 32)
        segment.flags |= GD_TCP_CWR;
    segment.len = text ? 100 : 0;
    peer->snd_nxt += segment.len;
    len = peer_write(peer, frame, &segment);
    if (text)
        frame[FRAME_ETHER + 1] |= peer->v6 ? CE << 4 : CE;
    return len;
}
