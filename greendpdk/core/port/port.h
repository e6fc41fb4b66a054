/* The seam below the engine: what a port can do. Everything that can carry frames implements it
 * (dpdk.c, pipe.c, loopback.c). Called by net/ether.c and stack.c; calls the port's own functions.
 *
 *    alloc ──► the engine fills data/len/flags ──► tx takes it ──► the port frees it
 *                                              └─► (tx refused) the engine keeps it, or free
 *    rx lends ──► the engine reads ──► free
 */
#ifndef GD_PORT_PORT_H
#define GD_PORT_PORT_H
#include "../api.h"

#include <stdbool.h>

#define GD_BURST 32 /* frames in one rx or tx call, as DPDK's drivers are tuned for */

/* Flags of a received frame: what the hardware has checked. */
#define GD_RX_IP_CSUM_OK 0x01u
#define GD_RX_IP_CSUM_BAD 0x02u
#define GD_RX_L4_CSUM_OK 0x04u
#define GD_RX_L4_CSUM_BAD 0x08u
#define GD_RX_L4_CSUM_DOUBT 0x100u /* in place of OK: the hardware says so, and as a sample it is looked at */
/* Flags of a frame to send: what the port must still fill in. For TCP and UDP the checksum field holds
 * the folded, not complemented, sum of the pseudo header (as rte_ipv4_phdr_cksum gives it). */
#define GD_TX_IP_CSUM 0x10u
#define GD_TX_TCP_CSUM 0x20u
#define GD_TX_UDP_CSUM 0x40u
#define GD_TX_IPV6 0x80u

/* What a port can do. */
#define GD_CAP_RX_CSUM 0x01u /* sets GD_RX_ flags */
#define GD_CAP_TX_IP_CSUM 0x02u
#define GD_CAP_TX_L4_CSUM 0x04u
#define GD_CAP_LOOPBACK 0x08u /* no Ethernet neighbours: what is sent comes back; checksums left out */

struct gd_frame {
    uint8_t *data;  /* the Ethernet header's first byte */
    uint32_t len;   /* bytes from data on */
    uint32_t room;  /* bytes that fit from data on; MTU + 14 at least for one from alloc */
    uint32_t flags; /* GD_RX_ or GD_TX_ */
    uint16_t l2_len, l3_len, l4_len; /* of headers, set with GD_TX_ flags */
};

struct gd_port_ops {
    /* Lends up to max (<= GD_BURST) frames that have arrived by now; the engine frees each. */
    int (*rx)(struct gd_port *port, struct gd_frame **frames, int max, uint64_t now);
    /* A frame to fill, NULL if there is none now. */
    struct gd_frame *(*alloc)(struct gd_port *port);
    /* Takes the first k of n frames (their order is kept) and returns k; the rest stay the engine's. */
    int (*tx)(struct gd_port *port, struct gd_frame **frames, int n, uint64_t now);
    void (*free)(struct gd_port *port, struct gd_frame **frames, int n);
    /* When rx may have a frame with nothing happening outside; GD_NEVER (UINT64_MAX) for a real port. */
    uint64_t (*next)(struct gd_port *port);
    /* Readable when frames wait, or -1. */
    int (*rx_fd)(struct gd_port *port);
    void (*close)(struct gd_port *port);
};

struct gd_port {
    const struct gd_port_ops *ops;
    uint8_t mac[6];
    uint32_t mtu;  /* bytes of an IP packet */
    uint32_t caps; /* GD_CAP_ */
};

/* loopback.c: the stack's own. NULL: out of memory. */
struct gd_port *gd_loopback_new(void);
#endif
