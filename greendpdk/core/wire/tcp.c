/* Takes TCP headers apart and puts them together.
 * Called by tcp/input.c, tcp/emit.c; calls util/bytes.h.
 */
#include "tcp.h"

#include <errno.h>

enum { KIND_END = 0, KIND_NOP = 1, KIND_MSS = 2, KIND_WSCALE = 3, KIND_SACK_OK = 4, KIND_SACK = 5, KIND_TS = 8 };

static void take_option(uint8_t kind, const uint8_t *body, uint32_t len, struct gd_tcp_options *options)
{
    if (kind == KIND_MSS && len == 2) {
        options->mss = gd_get16(body);
        options->has_mss = options->mss != 0; /* as Linux: zero is none */
    } else if (kind == KIND_WSCALE && len == 1) {
        options->has_wscale = true;
        options->wscale = body[0] > 14 ? 14 : body[0]; /* RFC 7323 2.3 */
    } else if (kind == KIND_TS && len == 8) {
        options->has_ts = true;
        options->tsval = gd_get32(body);
        options->tsecr = gd_get32(body + 4);
    } else if (kind == KIND_SACK_OK && len == 0) {
        options->sack_ok = true;
    } else if (kind == KIND_SACK && len % 8 == 0) {
        for (uint32_t at = 0; at < len && options->nsacks < GD_TCP_SACKS; at += 8)
            options->sacks[options->nsacks++] = (struct gd_range){gd_get32(body + at), gd_get32(body + at + 4)};
    }
}

static void parse_options(const uint8_t *p, uint32_t len, struct gd_tcp_options *options)
{
    uint32_t at = 0;

    while (at < len && p[at] != KIND_END) {
        if (p[at] == KIND_NOP) {
            at++;
            continue;
        }
        if (at + 2 > len || p[at + 1] < 2 || at + p[at + 1] > len)
            return;
        take_option(p[at], p + at + 2, p[at + 1] - 2u, options);
        at += p[at + 1];
    }
}

int gd_tcp_parse(const uint8_t *data, uint32_t len, struct gd_tcp_header *header)
{
    memset(header, 0, sizeof(*header));
    if (len < GD_TCP_HEADER)
        return -EINVAL;
    header->len = (uint32_t)(data[12] >> 4) * 4;
    if (header->len < GD_TCP_HEADER || header->len > len)
        return -EINVAL;
    header->source = gd_get16(data);
    header->destination = gd_get16(data + 2);
    header->seq = gd_get32(data + 4);
    header->ack = gd_get32(data + 8);
    header->flags = data[13];
    header->window = gd_get16(data + 14);
    header->urgent = gd_get16(data + 18);
    parse_options(data + GD_TCP_HEADER, header->len - GD_TCP_HEADER, &header->options);
    return 0;
}

uint32_t gd_tcp_options_len(const struct gd_tcp_options *options)
{
    return (options->has_mss ? 4u : 0u) + (options->has_wscale ? 4u : 0u) + (options->has_ts ? 12u : 0u) +
           (options->sack_ok && !options->has_ts ? 4u : 0u) + (options->nsacks > 0 ? 4u + 8u * options->nsacks : 0u);
}

static void write_options(uint8_t *p, const struct gd_tcp_options *options)
{
    if (options->has_mss) {
        p[0] = KIND_MSS;
        p[1] = 4;
        gd_put16(p + 2, options->mss);
        p += 4;
    }
    if (options->sack_ok || options->has_ts) /* RFC 7323 appendix A: words stay aligned, by SACK-permitted or two NOPs */
        p[0] = p[1] = KIND_NOP;
    if (options->sack_ok) {
        p[0] = KIND_SACK_OK;
        p[1] = 2;
    }
    if (options->has_ts) {
        p[2] = KIND_TS;
        p[3] = 10;
        gd_put32(p + 4, options->tsval);
        gd_put32(p + 8, options->tsecr);
        p += 12;
    } else if (options->sack_ok) {
        p[2] = p[3] = KIND_NOP;
        p += 4;
    }
    if (options->has_wscale) {
        p[0] = KIND_NOP;
        p[1] = KIND_WSCALE;
        p[2] = 3;
        p[3] = options->wscale;
        p += 4;
    }
    if (options->nsacks == 0)
        return;
    p[0] = p[1] = KIND_NOP;
    p[2] = KIND_SACK;
    p[3] = (uint8_t)(2 + 8 * options->nsacks);
    for (int i = 0; i < options->nsacks; i++) {
        gd_put32(p + 4 + 8 * i, options->sacks[i].start);
        gd_put32(p + 8 + 8 * i, options->sacks[i].end);
    }
}

uint32_t gd_tcp_write(uint8_t *data, struct gd_tcp_header *header)
{
    header->len = GD_TCP_HEADER + gd_tcp_options_len(&header->options);
    gd_put16(data, header->source);
    gd_put16(data + 2, header->destination);
    gd_put32(data + 4, header->seq);
    gd_put32(data + 8, header->ack);
    data[12] = (uint8_t)(header->len / 4 << 4);
    data[13] = header->flags;
    gd_put16(data + 14, header->window);
    gd_put16(data + 16, 0); /* checksum */
    gd_put16(data + 18, header->urgent);
    write_options(data + GD_TCP_HEADER, &header->options);
    return header->len;
}
