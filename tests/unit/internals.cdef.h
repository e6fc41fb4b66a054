/* The engine's internals as the unit tests see them. Read by internals.py, after api.cdef.h. */
struct gd_list { ...; };
struct gd_timer { uint64_t at; ...; };
typedef void gd_timer_fn(struct gd_timer *timer, uint64_t now);
struct gd_wheel { uint64_t tick; uint64_t occupied[8]; ...; };
void gd_wheel_init(struct gd_wheel *wheel, uint64_t now);
void gd_timer_init(struct gd_timer *timer, gd_timer_fn *fire);
void gd_timer_set(struct gd_wheel *wheel, struct gd_timer *timer, uint64_t at);
void gd_timer_cancel(struct gd_wheel *wheel, struct gd_timer *timer);
void gd_wheel_run(struct gd_wheel *wheel, uint64_t now);
uint64_t gd_wheel_next(const struct gd_wheel *wheel);
extern "Python" void on_timer(struct gd_timer *timer, uint64_t now);

struct gd_key { uint64_t k0, k1; };
uint64_t gd_siphash(const struct gd_key *key, const void *data, size_t len);
struct gd_random { struct gd_key key; uint64_t count; };
uint64_t gd_random_next(struct gd_random *random);
struct gd_streams { ...; };
void gd_streams_reset(struct gd_streams *streams);
struct gd_random gd_streams_next(struct gd_streams *streams, uint64_t seed, const uint8_t *frame, uint32_t len);
uint32_t gd_random_below(struct gd_random *random, uint32_t bound);
uint64_t gd_checksum_add(uint64_t sum, const uint8_t *data, size_t len);
uint16_t gd_checksum_fold(uint64_t sum);
uint16_t gd_checksum_finish(uint64_t sum);

struct gd_node { struct gd_node *next; struct gd_node **slot; uint64_t hash; };
struct gd_table { uint32_t mask, count; ...; };
int gd_table_init(struct gd_table *table, uint32_t buckets);
void gd_table_free(struct gd_table *table);
void gd_table_insert(struct gd_table *table, struct gd_node *node, uint64_t hash);
void gd_table_remove(struct gd_table *table, struct gd_node *node);
struct gd_node *gd_table_first(const struct gd_table *table, uint64_t hash);

struct gd_chunk_pool { uint64_t cap, used, taken, owned, given; ...; };
struct gd_buffer { uint8_t **ring, *only; uint32_t slots, first, offset, len, chunks; };
#define GD_RESERVE ...
void gd_pool_init(struct gd_chunk_pool *pool, uint64_t cap);
void gd_pool_free(struct gd_chunk_pool *pool);
int gd_buffer_write(struct gd_chunk_pool *pool, struct gd_buffer *buffer, uint32_t at, const void *data, uint32_t len);
void gd_buffer_extend(struct gd_buffer *buffer, uint32_t len);
void gd_buffer_read(const struct gd_buffer *buffer, uint32_t at, void *data, uint32_t len);
void gd_buffer_consume(struct gd_chunk_pool *pool, struct gd_buffer *buffer, uint32_t len, bool keep);
uint64_t gd_pool_room(const struct gd_chunk_pool *pool, uint32_t chunks);
uint64_t gd_buffer_room(const struct gd_chunk_pool *pool, const struct gd_buffer *buffer);
bool gd_buffer_may_spare(const struct gd_chunk_pool *pool, const struct gd_buffer *buffer, uint32_t len);
void gd_buffer_cut(struct gd_chunk_pool *pool, struct gd_buffer *buffer);
void gd_buffer_clear(struct gd_chunk_pool *pool, struct gd_buffer *buffer);
uint32_t gd_buffer_append(struct gd_chunk_pool *pool, struct gd_buffer *buffer, const void *data, uint32_t len);

struct gd_addr { uint8_t b[16]; };
struct gd_ifaddr { struct gd_addr addr; uint8_t prefix_length; bool tentative, deprecated; ...; };
struct gd_netif { int index; bool csum_lies; int naddrs; struct gd_ifaddr addrs[...]; int ntx; ...; };
struct gd_stack { struct gd_netif *netifs[...]; int last_index, nroutes; uint32_t neigh_count; uint64_t generation; ...; };
struct gd_route { struct gd_addr prefix; uint8_t bits, origin; bool via; struct gd_addr gateway; struct gd_netif *netif; ...; };
enum gd_route_origin { GD_ROUTE_STATIC, GD_ROUTE_LINK, GD_ROUTE_DHCP, GD_ROUTE_RA };
const struct gd_route *gd_route_find(const struct gd_stack *stack, const struct gd_addr *to,
                                     const struct gd_netif *netif);
int gd_route_add(struct gd_stack *stack, const struct gd_route *route);
int gd_route_remove(struct gd_stack *stack, const struct gd_route *route);
void gd_route_withdraw(struct gd_stack *stack, struct gd_netif *netif, enum gd_route_origin origin);
void gd_route_forget(struct gd_stack *stack, struct gd_netif *netif);
int gd_ip_source(struct gd_stack *stack, const struct gd_addr *to, int only, struct gd_addr *src);
const struct gd_addr *gd_ip_own(const struct gd_netif *netif, const struct gd_addr *on);
bool gd_ip_within(const struct gd_addr *addr, const struct gd_addr *prefix, uint32_t bits);
uint64_t gd_ip_pseudo(const struct gd_addr *src, const struct gd_addr *dst, uint8_t proto, uint32_t l4_len);
struct gd_neigh;
struct gd_dst { uint64_t generation; struct gd_netif *netif; struct gd_neigh *neigh; uint32_t mtu; ...; };
int gd_dst_resolve(struct gd_stack *stack, struct gd_dst *dst, const struct gd_addr *to);
void gd_neigh_confirm(struct gd_stack *stack, const struct gd_dst *dst, uint64_t now);
#define GD_TX_QUEUE ...
#define GD_NEIGHS ...

struct gd_frame { uint8_t *data; uint32_t len, room, flags; ...; };
struct gd_port_ops {
    int (*rx)(struct gd_port *port, struct gd_frame **frames, int max, uint64_t now);
    struct gd_frame *(*alloc)(struct gd_port *port);
    int (*tx)(struct gd_port *port, struct gd_frame **frames, int n, uint64_t now);
    void (*free)(struct gd_port *port, struct gd_frame **frames, int n);
    uint64_t (*next)(struct gd_port *port);
    ...;
};
struct gd_port { const struct gd_port_ops *ops; uint32_t mtu, caps; ...; };
struct gd_port *gd_loopback_new(void);

#define GD_DHCP_FOREVER ...
struct gd_dhcp_route { struct gd_addr prefix, gateway; uint8_t bits; ...; };
struct gd_dhcp_lease {
    struct gd_addr address, server;
    struct gd_addr dns[4];
    struct gd_dhcp_route routes[16];
    char domain[...];
    uint8_t prefix_length, ndns, nroutes;
    uint16_t mtu;
    uint32_t seconds, renew, rebind;
    ...;
};
struct gd_dhcp_message { uint32_t xid; uint8_t type; bool has_server; ...; };
bool gd_dhcp_parse(const uint8_t *bytes, uint32_t len, struct gd_dhcp_message *message);
bool gd_dhcp_parse_lease(const struct gd_dhcp_message *message, struct gd_dhcp_lease *lease);
struct gd_range { uint32_t start, end; };
struct gd_islands { struct gd_range *at; uint32_t count, room, bytes; uint32_t recent[...]; int nrecent; };
bool gd_islands_add(struct gd_islands *islands, uint32_t start, uint32_t end);
bool gd_islands_have(const struct gd_islands *islands, uint32_t start, uint32_t end);
void gd_islands_touch(struct gd_islands *islands, uint32_t seq);
uint32_t gd_islands_join(struct gd_islands *islands, uint32_t seq);
int gd_islands_report(const struct gd_islands *islands, struct gd_range *blocks, int max);
void gd_islands_clear(struct gd_islands *islands);

struct gd_allocations { long seen, fail_from, fail_to, failed, live; };
extern struct gd_allocations gd_allocations;

struct gd_netif *gd_netif_find(struct gd_stack *stack, int ifindex);
void gd_ip4_input(struct gd_netif *netif, const uint8_t *data, uint32_t len, uint32_t rx_flags, bool to_group, uint64_t now);
