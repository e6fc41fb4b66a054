/* Datagrams that are being put together. Included by stack.h; filled by net/reassembly*.c. */
#ifndef GD_NET_REASSEMBLY_H
#define GD_NET_REASSEMBLY_H
#include "../sock/buffer.h"
#include "net.h"

#define GD_DATAGRAMS 256                        /* under way at once */
#define GD_REASSEMBLY_BYTES (4u << 20)          /* of their data: Linux's ipfrag_high_thresh */
#define GD_REASSEMBLY_SHARES 256                /* sources are told apart by hash */
#define GD_REASSEMBLY_UNITS 8192u               /* of 8 bytes, in 64 KiB */
#define GD_REASSEMBLY_HEADER 136u               /* what is kept of the headers before the data; longer ones are refused */
#define GD_REASSEMBLY_LEN 65535u                /* of IPv4's total and IPv6's payload length */

/* What a fragment says beside its packet, whose l4 is the fragment's data. In IPv6 the fragment header stands between
 * ip_len and l4, and next_at is where it is named. */
struct gd_fragment {
    uint32_t id;
    uint32_t offset; /* bytes */
    bool more;
};

struct gd_datagram {
    struct gd_node node;       /* reassembly.table */
    struct gd_list age_link;   /* reassembly.ages, oldest first, or reassembly.free */
    struct gd_list share_link; /* of its share, oldest first */
    struct gd_timer timer;
    struct gd_netif *netif;
    struct gd_addr src, dst;
    uint32_t id;
    uint8_t proto, tos, ttl;
    uint8_t ecn;         /* one bit for each of the four codes that came */
    bool to_group, dead; /* dead: nothing of it is taken any more (RFC 5722 4) */
    uint16_t share;
    uint32_t total; /* bytes in all, known from the last fragment on; 0 before */
    uint32_t end;   /* the furthest byte */
    uint32_t units; /* that are there */
    uint32_t bytes; /* of chunks in data */
    struct gd_buffer data;
    uint32_t first_len;            /* of the fragment at offset 0; 0: has not come */
    uint32_t header_len, next_at;  /* of that one's headers; without IPv6's fragment header, which stands behind them */
    uint8_t header[GD_REASSEMBLY_HEADER];
    uint64_t have[GD_REASSEMBLY_UNITS / 64];   /* units that are there */
    uint64_t starts[GD_REASSEMBLY_UNITS / 64]; /* units at which a fragment began */
};

struct gd_share {
    struct gd_list datagrams; /* oldest first */
    uint32_t count, bytes;
};

struct gd_reassembly {
    struct gd_datagram *slots; /* NULL until the first fragment; so is whole */
    uint8_t *whole;            /* headers and data of the one that was finished last */
    struct gd_table table;     /* by (source, destination, protocol, identification) */
    struct gd_list ages, free;
    uint32_t bytes;
    struct gd_share shares[GD_REASSEMBLY_SHARES];
};

/* reassembly.c */
/* Takes a fragment, copied. True: its datagram is whole, and packet is that now, until the next call. False: kept for
 * later, or dropped and counted. */
bool gd_reassemble(struct gd_stack *stack, struct gd_packet *packet, const struct gd_fragment *fragment, uint64_t now);
/* reassembly_table.c */
/* The one that a fragment belongs to, maybe made, which may evict others; NULL: no memory. */
struct gd_datagram *gd_datagram_get(struct gd_stack *stack, const struct gd_packet *packet, uint32_t id, uint64_t now);
/* Room for so many bytes more of it within the limits; may evict others. False: it must not grow. */
bool gd_datagram_room(struct gd_stack *stack, const struct gd_datagram *datagram, uint32_t bytes);
void gd_datagram_clear(struct gd_stack *stack, struct gd_datagram *datagram); /* its data */
void gd_datagram_release(struct gd_stack *stack, struct gd_datagram *datagram);
/* Forgets what came by an interface (NULL: by any). */
void gd_reassembly_forget(struct gd_stack *stack, const struct gd_netif *netif);
/* Forgets all and frees the memory. */
void gd_reassembly_free(struct gd_stack *stack);
#endif
