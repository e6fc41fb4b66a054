/* The peer of peer.h. Called by host.c and the scenes; calls frame.c and the engine's parser, wire/tcp.c. */
#include "peer.h"

#include "core/util/seq.h"
#include "frame.h"

#include <netinet/in.h>

void peer_init(struct peer *peer, uint8_t number, bool v6, uint16_t port, uint16_t their_port)
{
    /* 3,000 below the wrap: each connection crosses it */
    *peer = (struct peer){.number = number,
                          .v6 = v6,
                          .port = port,
                          .their_port = their_port,
                          .iss = 0u - 3000,
                          .snd_nxt = 0u - 3000,
                          .use_ts = true,
                          .use_sack = true,
                          .mss = 1460,
                          .wscale = 3,
                          .ts = 0u - 100};
}

uint32_t peer_write(const struct peer *peer, uint8_t *frame, const struct peer_segment *segment)
{
    struct gd_tcp_header header = {.source = peer->port,
                                   .destination = peer->their_port,
                                   .seq = segment->seq,
                                   .ack = segment->ack,
                                   .flags = segment->flags,
                                   .window = segment->window,
                                   .urgent = segment->urgent,
                                   .options = segment->options};
    struct gd_addr src = frame_global(peer->number), dst = frame_global(OURS);
    uint32_t options = segment->raw_options ? segment->raw_len : gd_tcp_options_len(&header.options);
    uint32_t l4_len = GD_TCP_HEADER + options + segment->len, at;

    at = peer->v6 ? frame_ip6(frame, peer->number, src.b, dst.b, IPPROTO_TCP, 64, l4_len)
                  : frame_ip4_ours(frame, peer->number, IPPROTO_TCP, l4_len);
    gd_tcp_write(frame + at, &header);
    if (segment->raw_options) {
        memcpy(frame + at + GD_TCP_HEADER, segment->raw_options, segment->raw_len);
        frame[at + 12] = (uint8_t)((GD_TCP_HEADER + options) / 4 << 4);
    }
    if (segment->data)
        memcpy(frame + at + GD_TCP_HEADER + options, segment->data, segment->len);
    else
        memset(frame + at + GD_TCP_HEADER + options, 0, segment->len);
    frame_fix_checksums(frame, at + l4_len);
    return at + l4_len;
}

uint32_t peer_next(struct peer *peer, uint8_t *frame, uint8_t flags, const uint8_t *data, uint32_t len)
{
    bool syn = (flags & GD_TCP_SYN) != 0;
    struct peer_segment segment = {.flags = flags,
                                   .seq = peer->snd_nxt,
                                   .ack = flags & GD_TCP_ACK ? peer->rcv_nxt : 0,
                                   .window = PEER_WINDOW,
                                   .options = {.has_mss = syn,
                                               .mss = peer->mss,
                                               .has_wscale = syn,
                                               .wscale = peer->wscale,
                                               .sack_ok = syn && peer->use_sack,
                                               .has_ts = peer->use_ts,
                                               .tsval = peer->ts,
                                               .tsecr = flags & GD_TCP_ACK ? peer->their_ts : 0},
                                   .data = data,
                                   .len = len};

    if (syn && peer->ecn) /* RFC 3168 6.1.1 */
        segment.flags |= flags & GD_TCP_ACK ? GD_TCP_ECE : GD_TCP_ECE | GD_TCP_CWR;
    peer->ts += PEER_TIME_STEP;
    peer->snd_nxt += len + (syn ? 1 : 0) + ((flags & GD_TCP_FIN) ? 1 : 0);
    if (flags & GD_TCP_ACK) {
        peer->unacked = 0;
        peer->una = peer->rcv_nxt;
    }
    return peer_write(peer, frame, &segment);
}

static bool is_ours(const struct peer *peer, const uint8_t *frame, uint32_t at)
{
    const uint8_t *ip = frame + FRAME_ETHER;
    struct gd_addr six = frame_global(peer->number), four = frame_v4(peer->number);

    if (memcmp(peer->v6 ? ip + 24 : ip + 16, peer->v6 ? six.b : four.b + 12, peer->v6 ? 16 : 4) != 0)
        return false;
    return gd_get16(frame + at) == peer->their_port && gd_get16(frame + at + 2) == peer->port;
}

bool peer_hears(struct peer *peer, const uint8_t *frame, uint32_t len)
{
    struct gd_tcp_header header;
    uint8_t proto = 0;
    bool whole;
    uint32_t at = frame_transport(frame, len, &proto, &whole), bytes;

    if (at == 0 || proto != IPPROTO_TCP || !whole || (gd_get16(frame + 12) == 0x86dd) != peer->v6 ||
        !is_ours(peer, frame, at) || gd_tcp_parse(frame + at, len - at, &header) != 0)
        return false;
    bytes = len - at - header.len;
    if (header.options.has_ts)
        peer->their_ts = header.options.tsval;
    if (header.flags & GD_TCP_RST) {
        peer->heard_rst = true;
        return true;
    }
    if (header.flags & GD_TCP_SYN) {
        peer->heard_syn = true;
        peer->una = peer->rcv_nxt = header.seq + 1;
        peer->unacked++;
        return true;
    }
    if (bytes == 0 && (header.flags & GD_TCP_FIN) == 0)
        return true;
    peer->unacked++;
    if (gd_seq_gt(header.seq, peer->rcv_nxt) || gd_seq_lt(header.seq + bytes + 1, peer->rcv_nxt))
        return true;
    if (gd_seq_gt(header.seq + bytes, peer->rcv_nxt)) {
        peer->received += header.seq + bytes - peer->rcv_nxt;
        peer->rcv_nxt = header.seq + bytes;
    }
    if ((header.flags & GD_TCP_FIN) && peer->rcv_nxt == header.seq + bytes) {
        peer->heard_fin = true;
        peer->rcv_nxt++;
    }
    return true;
}
