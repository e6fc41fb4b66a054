/* TCP's header and options (RFC 9293 3.1, RFC 2018, RFC 7323 2.2 and 3.2), on the wire and parsed.
 * Called by tcp/; calls util/bytes.h.
 */
#ifndef GD_WIRE_TCP_H
#define GD_WIRE_TCP_H
#include "../util/bytes.h"

#include <stdbool.h>

#define GD_TCP_HEADER 20u
#define GD_TCP_OPTIONS_MAX 40u
#define GD_TCP_SACKS 4 /* as many blocks as fit without timestamps; three with (RFC 2018 3) */

struct gd_range {
    uint32_t start, end; /* [start, end) of sequence numbers */
};

enum {
    GD_TCP_FIN = 0x01,
    GD_TCP_SYN = 0x02,
    GD_TCP_RST = 0x04,
    GD_TCP_PSH = 0x08,
    GD_TCP_ACK = 0x10,
    GD_TCP_URG = 0x20,
    GD_TCP_ECE = 0x40, /* RFC 3168 6.1 */
    GD_TCP_CWR = 0x80,
};

struct gd_tcp_options {
    bool has_mss, has_wscale, has_ts, sack_ok;
    uint8_t wscale; /* at most 14 (RFC 7323 2.3) */
    uint8_t nsacks;
    uint16_t mss;
    uint32_t tsval, tsecr;
    struct gd_range sacks[GD_TCP_SACKS]; /* the first nsacks (RFC 2018 3) */
};

struct gd_tcp_header {
    uint16_t source, destination;
    uint32_t seq, ack;
    uint8_t flags;
    uint16_t window; /* not scaled */
    uint16_t urgent; /* RFC 9293 3.8.5: from seq to behind the urgent byte, if GD_TCP_URG is set */
    uint32_t len;    /* of the header with its options */
    struct gd_tcp_options options;
};

/* 0, or -EINVAL: too short, or its own length is wrong. Options that make no sense end the options, as on Linux. */
int gd_tcp_parse(const uint8_t *data, uint32_t len, struct gd_tcp_header *header);
/* Writes header and options (checksum zero) and sets header->len; returns it. At most 60 bytes. */
uint32_t gd_tcp_write(uint8_t *data, struct gd_tcp_header *header);
/* Bytes that the options take, padding included. */
uint32_t gd_tcp_options_len(const struct gd_tcp_options *options);
#endif
