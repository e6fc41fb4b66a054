/* The whole of the engine as Python sees it: read by _build.py (cffi) and by api.h, so only plain
 * declarations stand here. Called by _stack.py, loop.py, socket.py, testing/; calls nothing.
 *
 * Addresses are 16 bytes, IPv4 as v4-mapped (::ffff:a.b.c.d); one of link scope (fe80::/10, ff02::/16) has the index of
 * its interface, big-endian, in bytes 2 and 3, and 0 there means that none is named. Ports are in host byte order. Times
 * are nanoseconds of one monotonic clock that the caller owns. A call returns 0, a count, or
 * -errno with Linux's numbers. Nothing here blocks; nothing here is thread-safe.
 */

/* -- readiness, as poll(2) means it -------------------------------------------------------- */
enum {
    GD_READ = 1,  /* recv or accept would not report EAGAIN */
    GD_WRITE = 2, /* send would not report EAGAIN */
    GD_RDHUP = 4, /* the peer has sent FIN, or shutdown(SHUT_RD) */
    GD_HUP = 8,   /* both directions are shut */
    GD_ERR = 16,  /* SO_ERROR is set */
    GD_PRI = 32,  /* an urgent byte is here and not read yet: POLLPRI, select's exceptional set (tcp(7)) */
};

/* -- ECN (RFC 3168), as Linux's net.ipv4.tcp_ecn ------------------------------------------- */
enum {
    GD_ECN_ASK = 1,    /* our SYNs ask for it, and we answer */
    GD_ECN_ANSWER = 2, /* we answer only */
    GD_ECN_OFF = 3,    /* Linux's 0, which is the default here */
};

/* -- one stack ----------------------------------------------------------------------------- */
enum {
    GD_COOKIES_WHEN_FULL = 0, /* a cookie (RFC 4987), as Linux by default */
    GD_COOKIES_NEVER = 1,     /* nothing */
    GD_COOKIES_ALWAYS = 2,    /* each SYN gets one, the queue is not used */
};

struct gd_config {
    uint8_t seed[32];        /* keys of ISN, ports, hashes; from os.urandom, zeros in fuzzers */
    uint64_t buffer_cap;     /* bytes of all socket buffers together; 0: the default, 256 MiB */
    uint32_t buffer_max;     /* bytes that SO_SNDBUF and SO_RCVBUF can set; 0: 64 MiB, more is cut to it */
    uint32_t time_wait_cap;  /* TIME-WAIT entries; 0: 65,536 */
    uint32_t syn_cap;        /* half-open connections, all listeners (each: its backlog); 0: 4,096 */
    uint32_t syn_cookies;    /* GD_COOKIES_: what a SYN gets when the SYN queue is full */
    uint32_t time_wait_ms;   /* 0: 60,000 as Linux */
    uint32_t delayed_ack_ms; /* 0: 40 as Linux */
    uint32_t burst_rounds;   /* receive bursts in one poll, each port; 0: 8 */
    uint32_t orphan_cap;     /* connections that go on after close; 0: 65,536 */
    uint32_t ecn;            /* GD_ECN_; 0: GD_ECN_ANSWER, as Linux */
    uint32_t shape_loopback; /* 1: a shaper (gd_shaper_new) stands before the loopback; gd_stack_port(stack, 1) is it */
};

/* Returns 0, -ENOMEM. `*out` is the caller's until gd_stack_free. */
int gd_stack_new(const struct gd_config *config, uint64_t now, struct gd_stack **out);
/* Frees the stack, its sockets and its ports; sends nothing. NULL is legal. Handles die with it. */
void gd_stack_free(struct gd_stack *stack);
/* Takes the port over (also when it fails). Returns an interface index > 0, which is not given again until all of 16 bits
 * have been; -ENOSPC, -ENOMEM. */
int gd_stack_attach(struct gd_stack *stack, struct gd_port *port, const char *name);
/* The interface's port; NULL: no such interface. */
struct gd_port *gd_stack_port(struct gd_stack *stack, int ifindex);
/* Closes the port and forgets its addresses, routes and neighbours. 0, -ENODEV. */
int gd_stack_detach(struct gd_stack *stack, int ifindex);
/* Adds an address and its on-link route; announces it (gratuitous ARP). An IPv6 one is tentative for a second, until nobody
 * has objected (RFC 4862), and the first of an interface brings a link-local address along.
 * 0, -ENODEV, -EEXIST, -EINVAL, -ENOSPC. */
int gd_stack_add_address(struct gd_stack *stack, int ifindex, const uint8_t *addr, int prefix_length);
/* Takes it away with its on-link route. Nothing is killed: its connections' packets stop, until they time out or it is
 * added again. 0, -ENODEV, -EADDRNOTAVAIL. */
int gd_stack_del_address(struct gd_stack *stack, int ifindex, const uint8_t *addr);
/* The interface's address number `at`, counted from 0, in the order of adding. 0, -ENODEV, -ENOENT. */
int gd_stack_address(struct gd_stack *stack, int ifindex, int at, uint8_t *addr, int *prefix_length);
/* IPv6 by router advertisements (RFC 4862): a link-local address now, and what routers say when they say it. 0, -ENODEV,
 * -ENOSPC, -EINVAL (an MTU below 1,280 carries no IPv6). */
int gd_stack_autoconf(struct gd_stack *stack, int ifindex);
enum {
    GD_ADDRESS_TENTATIVE = 1,  /* not ours yet */
    GD_ADDRESS_DUPLICATE = 2,  /* somebody else's: never used */
    GD_ADDRESS_DEPRECATED = 4, /* new connections use another, if there is one */
    GD_ADDRESS_MADE = 8,       /* not added by hand */
};
/* GD_ADDRESS_ bits of that address. -ENODEV, -ENOENT. */
int gd_stack_address_state(struct gd_stack *stack, int ifindex, int at);
/* How many default routers are known there by their advertisements. -ENODEV. */
int gd_stack_routers(struct gd_stack *stack, int ifindex);
/* A name server that a router told of, counted from 0 (RFC 8106). 0, -ENODEV, -ENOENT. */
int gd_stack_nameserver(struct gd_stack *stack, int ifindex, int at, uint8_t *addr);
/* gateway NULL: on-link. Stays when the interface's addresses go. 0, -ENODEV, -EINVAL, -ENOSPC. */
int gd_stack_add_route(struct gd_stack *stack, const uint8_t *prefix, int prefix_length,
                       const uint8_t *gateway, int ifindex);
/* What packets by such a route come from while that is an address of ours, if their socket has bound none (`src` of
 * ip-route(8)). 0, -ENODEV, -EINVAL, -ESRCH. */
int gd_stack_route_source(struct gd_stack *stack, const uint8_t *prefix, int prefix_length, int ifindex,
                          const uint8_t *source);
/* Removes one that gd_stack_add_route added. 0, -ENODEV, -EINVAL, -ESRCH. */
int gd_stack_del_route(struct gd_stack *stack, const uint8_t *prefix, int prefix_length, int ifindex);
/* Interface that reaches dst (a local address: the loopback's), or -ENETUNREACH. src: the source address chosen. */
int gd_stack_route(struct gd_stack *stack, const uint8_t *dst, uint8_t *src);
/* 1 if addr is one of ours, else 0. */
int gd_stack_is_local(struct gd_stack *stack, const uint8_t *addr);
/* Sets a neighbour for good (a static ARP entry). 0, -ENODEV, -ENOMEM. */
int gd_stack_set_neighbour(struct gd_stack *stack, int ifindex, const uint8_t *addr, const uint8_t *mac);

/* -- DHCP (RFC 2131) ------------------------------------------------------------------------ */
enum {
    GD_DHCP_OFF,        /* no client runs on the interface */
    GD_DHCP_INIT,       /* about to look for a server */
    GD_DHCP_SELECTING,  /* nobody has offered anything usable yet */
    GD_DHCP_REQUESTING, /* a server has, and was asked for it */
    GD_DHCP_CHECKING,   /* granted; does another host have it? Of a lease that is renewed with another address the old one serves */
    GD_DHCP_BOUND,      /* the address is the interface's; so it is in the states that follow */
    GD_DHCP_RENEWING,   /* asking the server for more time */
    GD_DHCP_REBINDING,  /* asking every server */
};
struct gd_dhcp_status {
    int state;
    uint32_t changes; /* moves when a lease comes, changes or goes */
    uint32_t discovers, offers, unusable, naks, conflicts; /* seen since the client began */
    uint32_t seconds_left; /* UINT32_MAX: for ever. From here on zero unless a lease is in force */
    uint32_t mtu;          /* 0: the server says none */
    uint32_t dns_count;
    int prefix_length;
    uint8_t address[16], server[16], gateway[16], dns[64]; /* gateway: zeros if there is none */
    char domain[254]; /* where names are searched (option 15): letters, digits, "-_." and a NUL; empty: not said */
};
/* Looks for an address from the next poll on, and keeps it. hostname (63 bytes at most, or NULL) is told to servers.
 * 0, -ENODEV, -EOPNOTSUPP (the loopback), -EALREADY, -ENOMEM. */
int gd_dhcp_start(struct gd_stack *stack, int ifindex, const char *hostname);
/* 0, -ENODEV. */
int gd_dhcp_status(struct gd_stack *stack, int ifindex, struct gd_dhcp_status *out);
/* Gives the lease back (RFC 2131 4.4.6; the frame leaves in the next poll) and ends. 0, -ENODEV, -ENOENT. */
int gd_dhcp_stop(struct gd_stack *stack, int ifindex);

/* One turn: receive, timers, output, transmit. Returns the next deadline (UINT64_MAX: none);
 * a deadline <= now means there is more work already. */
uint64_t gd_stack_poll(struct gd_stack *stack, uint64_t now);
/* Takes up to max (socket id, readiness bits) pairs off the ready list. Edges: bits are what became
 * true since last taken; ask gd_sock_ready for levels. Returns the count of pairs. */
int gd_stack_events(struct gd_stack *stack, uint32_t *pairs, int max);
/* Connections and packets that still have something to send or to have acknowledged. */
int gd_stack_unsent(struct gd_stack *stack);
/* RST for every connection that is left, whose user gets error (ECONNABORTED); the frames leave in the next poll. */
void gd_stack_abort_all(struct gd_stack *stack, int error);
/* The settings that hold for connections made from now on. */
int gd_stack_counter_count(void);
const char *gd_stack_counter_name(int index);
uint64_t gd_stack_counter(struct gd_stack *stack, int index);
/* Fills rx packets, rx bytes, tx packets, tx bytes of an interface. 0, -ENODEV. */
int gd_stack_port_counters(struct gd_stack *stack, int ifindex, uint64_t *four);
/* Bytes of socket buffers in use, and the number of control blocks alive. */
uint64_t gd_stack_buffer_bytes(struct gd_stack *stack);
int gd_stack_sockets(struct gd_stack *stack);

/* -- what there is, for who looks in --------------------------------------------------------- */
enum {
    GD_LISTED_SOCKET,    /* an application has a handle on it */
    GD_LISTED_ORPHAN,    /* closed by its application, not yet through */
    GD_LISTED_HALF_OPEN, /* a listener's, before the handshake's last ACK */
    GD_LISTED_TIME_WAIT,
};
enum { GD_TIMER_OFF, GD_TIMER_ON, GD_TIMER_KEEPALIVE, GD_TIMER_TIME_WAIT, GD_TIMER_PERSIST }; /* as ss(8) names them */
struct gd_listed {
    uint8_t local[16], remote[16];
    uint16_t local_port, remote_port;
    uint8_t proto;       /* IPPROTO_TCP, IPPROTO_UDP */
    uint8_t state;       /* include/net/tcp_states.h; of a datagram socket: 1 connected, 7 not */
    uint8_t what;        /* GD_LISTED_ */
    uint8_t timer;       /* GD_TIMER_ */
    uint32_t id;         /* of gd_sock_id; 0: no socket yet, or no more */
    uint32_t recv_queue; /* bytes unread; a listener: connections that wait for accept */
    uint32_t send_queue; /* bytes (and a FIN) unacknowledged; a listener: its backlog */
    uint32_t retries;    /* time-outs or probes in a row */
    uint64_t timer_ns;   /* until the timer is due */
    uint64_t sent, received; /* bytes of the stream */
};
/* Fills in up to max (16 and more: a bucket of the tables must fit in). *cursor: 0 to begin, 0 again when that was all. Between two calls sockets may come and
 * go: one that stays is shown at least once. Returns the count. */
int gd_stack_list(struct gd_stack *stack, uint64_t *cursor, struct gd_listed *out, int max);
/* How many there are by state: TCP's by include/net/tcp_states.h's numbers, datagram sockets at [0]. O(sockets). */
void gd_stack_states(struct gd_stack *stack, uint32_t *sixteen);
/* TCP_INFO (248 bytes) of a connection by its id, and the name of its congestion control (16 bytes). 0, -ENOENT. */
int gd_stack_tcp_info(struct gd_stack *stack, uint32_t id, void *info, char *congestion);

/* -- messages: several buffers, an address, control messages (recvmsg(2), sendmsg(2)) --------- */
struct gd_iovec {
    void *base;
    size_t len;
};
struct gd_message {
    struct gd_iovec *parts; /* the caller's; filled, or sent, in order: no copy of all is made */
    uint32_t nparts;        /* more than 1,024: -EMSGSIZE */
    uint32_t control_len;   /* recvmsg: in the room, out the bytes; sendmsg: the bytes */
    void *control;          /* control messages in Linux's layout (struct cmsghdr), aligned to nothing */
    int flags;              /* recvmsg, out: MSG_TRUNC, MSG_CTRUNC, MSG_ERRQUEUE */
    int named;              /* recvmsg, out: addr and port are the sender (not on a stream); sendmsg: they are the receiver */
    uint8_t addr[16];
    uint16_t port;
    int64_t epoch_ns;       /* recvmsg, in: the real time at the engine's time 0, for time stamps */
};

/* -- frames captured, as pcapng's enhanced packet blocks -------------------------------------- */
/* Not 0: the frame is wanted. The signature of libpcap's bpf_filter. */
typedef unsigned int gd_match(const void *program, const uint8_t *frame, unsigned int length, unsigned int captured);
/* Keeps up to `bytes` of blocks until they are taken, of each frame the first snaplen bytes (0: all). Times are of the
 * engine's clock + to_realtime, in ns. program must live until the end; match NULL: every frame. The interface's index - 1
 * is the block's interface id. 0, -EALREADY, -ENOMEM. */
int gd_capture_start(struct gd_stack *stack, uint32_t bytes, uint32_t snaplen, int64_t to_realtime, gd_match *match,
                     const void *program);
/* Bytes of whole and cut blocks, in order: a stream. 0: none now. */
int64_t gd_capture_take(struct gd_stack *stack, void *out, uint32_t room);
/* Frames captured, and those left out as nobody took what there was. */
void gd_capture_counts(struct gd_stack *stack, uint64_t *frames, uint64_t *dropped);
void gd_capture_stop(struct gd_stack *stack);

/* -- the live loop: the same with the real clock (CLOCK_MONOTONIC) -------------------------- */
/* Polls until there is an event or spin_ns have passed. Returns the count of pairs; *next_in_ns is
 * the time to the next deadline (INT64_MAX: none; <= 0: poll again at once); *frames counts frames
 * received in this call. */
int gd_live_poll(struct gd_stack *stack, uint64_t spin_ns, uint32_t *pairs, int max,
                 int64_t *next_in_ns, uint32_t *frames);
/* Who has sent a datagram, and recvmsg's flags. */
struct gd_sender {
    uint8_t addr[16];
    uint16_t port;
    int msg_flags;
};
/* gd_sock_send/recv/recvfrom/accept, but poll the network once before they report -EAGAIN, and every 64 calls. */
int64_t gd_live_send(struct gd_sock *sock, const void *data, size_t len, int flags);
int64_t gd_live_recv(struct gd_sock *sock, void *data, size_t len, int flags);
int64_t gd_live_recvfrom(struct gd_sock *sock, void *data, size_t len, int flags, struct gd_sender *out);
int gd_live_accept(struct gd_sock *listener, struct gd_sock **out);
/* gd_sock_recvmsg and gd_sock_sendmsg likewise; epoch_ns is filled in if the socket asks for time stamps. */
int64_t gd_live_recvmsg(struct gd_sock *sock, struct gd_message *message, int flags);
int64_t gd_live_sendmsg(struct gd_sock *sock, const struct gd_message *message, int flags);
uint64_t gd_live_now(void);

/* -- what the loop does with its time (port/live.c) ------------------------------------------ */
struct gd_loop {             /* sums of nanoseconds and counts, since the stack was made */
    uint64_t at;             /* when what goes on now began; 0: the loop is asleep in the kernel, or has not begun */
    uint64_t slept_at;       /* when it fell asleep; 0: it is awake */
    uint64_t busy;           /* packets and handlers */
    uint64_t polling;        /* of busy: in the engine; moves while `watched` is set, as it takes one more look at the clock */
    uint64_t spinning;       /* polls that found nothing */
    uint64_t asleep;
    uint64_t longest;        /* between two polls, awake; Python may set it back */
    uint64_t turns, polls, events; /* frames: gd_loop_frames */
    int idle;                /* the last poll found nothing */
    int watched;             /* Python's */
};
struct gd_loop *gd_stack_loop(struct gd_stack *stack); /* the stack's */
uint64_t gd_loop_frames(struct gd_stack *stack);       /* received in all, also by polls outside the loop */
/* The loop is about to wait in the kernel for longer than a moment; it is back, and handlers may run. */
void gd_loop_asleep(struct gd_stack *stack);
void gd_loop_awake(struct gd_stack *stack);
/* sched_yield(2), which counts as spinning. */
void gd_loop_yield(struct gd_stack *stack);

/* -- a watchdog: has one handler held the loop for too long? (port/watch.c) ------------------ */
struct gd_watch;
/* By the loop's thread. -ENOMEM. */
int gd_watch_new(struct gd_stack *stack, struct gd_watch **out);
/* By another thread: waits until the loop was held for limit_ns while the stack has sockets, not counted what the machine
 * gave to other programs. Returns gd_loop's `at` of that turn, once for each; 0: gd_watch_stop was called. */
uint64_t gd_watch_wait(struct gd_watch *watch, uint64_t limit_ns);
/* By that thread: waits until that turn is over, for most_ns at most. Returns how long it has taken; *over is set. */
uint64_t gd_watch_length(struct gd_watch *watch, uint64_t at, uint64_t most_ns, int *over);
void gd_watch_stop(struct gd_watch *watch);
void gd_watch_free(struct gd_watch *watch); /* when that thread is out of the calls, before the stack is freed */

/* -- sockets ------------------------------------------------------------------------------- */
/* domain AF_INET/AF_INET6; type SOCK_STREAM/SOCK_DGRAM. 0, -ENOMEM, -EAFNOSUPPORT, -ESOCKTNOSUPPORT. */
int gd_sock_new(struct gd_stack *stack, int domain, int type, struct gd_sock **out);
/* The application's handle ends: FIN or RST (SO_LINGER 0, unread data) follow by themselves. */
void gd_sock_close(struct gd_sock *sock);
uint32_t gd_sock_id(const struct gd_sock *sock); /* unique while the handle lives; never 0 */
uint32_t gd_sock_ready(struct gd_sock *sock);    /* GD_ bits, level */
int gd_sock_bind(struct gd_sock *sock, const uint8_t *addr, uint16_t port);
/* 0 (datagram), -EINPROGRESS, -EALREADY, -EISCONN, -ENETUNREACH, ...; addr NULL: AF_UNSPEC, dissolve. */
int gd_sock_connect(struct gd_sock *sock, const uint8_t *addr, uint16_t port);
int gd_sock_listen(struct gd_sock *sock, int backlog);
int gd_sock_accept(struct gd_sock *listener, struct gd_sock **out);
int64_t gd_sock_send(struct gd_sock *sock, const void *data, size_t len, int flags);
int64_t gd_sock_recv(struct gd_sock *sock, void *data, size_t len, int flags);
/* addr NULL: the connected peer. */
int64_t gd_sock_sendto(struct gd_sock *sock, const void *data, size_t len, int flags,
                       const uint8_t *addr, uint16_t port);
/* addr and port may be NULL. Returns the datagram's whole length with MSG_TRUNC, else the bytes copied;
 * *msg_flags gets MSG_TRUNC when the datagram was longer than len. */
int64_t gd_sock_recvfrom(struct gd_sock *sock, void *data, size_t len, int flags, uint8_t *addr,
                         uint16_t *port, int *msg_flags);
/* recvmsg(2): as gd_sock_recvfrom, and with MSG_ERRQUEUE from the error queue. */
int64_t gd_sock_recvmsg(struct gd_sock *sock, struct gd_message *message, int flags);
/* sendmsg(2): as gd_sock_sendto; -EINVAL, -EPERM, -ENODEV for control messages that Linux refuses so. */
int64_t gd_sock_sendmsg(struct gd_sock *sock, const struct gd_message *message, int flags);
int gd_sock_shutdown(struct gd_sock *sock, int how);
/* The local port; 0: not bound. */
uint16_t gd_sock_port(const struct gd_sock *sock);
int gd_sock_getsockname(struct gd_sock *sock, uint8_t *addr, uint16_t *port);
int gd_sock_getpeername(struct gd_sock *sock, uint8_t *addr, uint16_t *port);
/* Linux's levels, names, layouts and errors (setsockopt(2), tcp(7), ip(7), socket(7)). */
int gd_sock_setsockopt(struct gd_sock *sock, int level, int name, const void *value, uint32_t len);
/* *len in: room, out: bytes written. */
int gd_sock_getsockopt(struct gd_sock *sock, int level, int name, void *value, uint32_t *len);
/* SIOCINQ and SIOCOUTQ: bytes unread, bytes not yet acknowledged. */
int gd_sock_unread(struct gd_sock *sock);
/* Seconds that close(2) shall wait by SO_LINGER; 0 also where it resets at once. */
int gd_sock_linger(struct gd_sock *sock);
/* 1 if a connection has fewer unread bytes than want and more may come before an end, an error or an urgent byte. */
int gd_sock_awaits(struct gd_sock *sock, uint32_t want);
int gd_sock_unacked(struct gd_sock *sock);
/* ioctl(2) with SIOCINQ, SIOCOUTQ, SIOCOUTQNSD or SIOCATMARK: the number, -EINVAL (a listener), -ENOTTY. */
int gd_sock_ioctl(struct gd_sock *sock, uint32_t request);
/* RFC 9293's name of the state, "DATAGRAM" for UDP; a static string. */
const char *gd_sock_state(struct gd_sock *sock);

/* -- ports --------------------------------------------------------------------------------- */
struct gd_fault {           /* what a wire does to frames in one direction; chances of 0..1 */
    double loss, duplicate, reorder, corrupt;
    uint64_t delay_ns, jitter_ns, reorder_ns; /* reorder_ns: how long a reordered frame is held more */
    uint64_t rate_bps;      /* 0: no limit */
    uint32_t queue_frames;  /* frames that wait for the rate; 0: no limit but the ring's */
    uint64_t seed;
};
/* Two ends of a wire in memory. 0, -ENOMEM. Each is closed by the stack that it is attached to, or by gd_port_close. */
int gd_pipe_pair(uint32_t mtu, const uint8_t *mac_a, const uint8_t *mac_b, struct gd_port **a, struct gd_port **b);
/* What this end transmits suffers fault (copied). */
void gd_pipe_fault(struct gd_port *end, const struct gd_fault *fault);
/* A partition: frames sent by this end are dropped while down is set. */
void gd_pipe_down(struct gd_port *end, int down);
/* For an end that no stack holds: put a frame on the wire, take the next one that has arrived by now. */
int gd_pipe_inject(struct gd_port *end, const void *frame, uint32_t len, uint64_t now);
/* Bytes of the frame, -EAGAIN (none by now), -EMSGSIZE. */
int gd_pipe_take(struct gd_port *end, void *frame, uint32_t room, uint64_t now);
/* When the next frame arrives at this end (UINT64_MAX: none under way). */
uint64_t gd_pipe_next(struct gd_port *end);
/* A port that passes frames on to inner and back, and lets them suffer on the way: netem in front of any port. It owns
 * inner. NULL: out of memory, inner is still the caller's. */
struct gd_port *gd_shaper_new(struct gd_port *inner);
/* What frames suffer from now on, on their way out or in (copied). Those under way have met their fate. */
void gd_shaper_fault(struct gd_port *shaper, int out, const struct gd_fault *fault);
void gd_shaper_down(struct gd_port *shaper, int out, int down); /* a partition, that way */
struct gd_shaped { /* packets that came to one way of a shaper since it was made; ARP and its like are not counted */
    uint64_t frames, lost, late, twice, damaged; /* late: held longer than the others, by the chance `reorder` */
};
void gd_shaper_shaped(struct gd_port *shaper, int out, struct gd_shaped *shaped);
/* The MTU of an interface whose port is a shaper; 0: the inner port's again. Longer frames that come in are lost.
 * 0, -ENODEV (no such interface, or no shaper), -EINVAL (below 576, or above the inner port's). */
int gd_shaper_mtu(struct gd_stack *stack, int ifindex, uint32_t mtu);
void gd_port_close(struct gd_port *port);
void gd_port_mac(struct gd_port *port, uint8_t *six);
uint32_t gd_port_mtu(struct gd_port *port);
/* An fd that is readable when frames wait, -1 if the driver has none. The port's, never close it. */
int gd_port_rx_fd(struct gd_port *port);

/* -- simulation: bulk streams between two stacks in virtual time ----------------------------- */
struct gd_bulk_wire {
    struct gd_stack *a, *b;
    struct gd_port *end_a, *end_b; /* of gd_pipe_pair, attached to a and b */
};
struct gd_bulk {              /* one stream, of zeros; it may go on over several calls */
    struct gd_sock *source, *sink;
    uint64_t total;           /* bytes that sink is to receive in all */
    uint64_t unsent;          /* bytes that source has not taken yet */
    uint64_t received;        /* bytes that sink has given out */
    uint64_t last_at;         /* when it last gave out any; 0: never */
    uint64_t longest_pause;   /* between two times that it did */
};
/* Turns both stacks, feeds the sources and drains the sinks until that time, or until every stream has arrived.
 * Returns the time reached (before `until` with streams left: a livelock). */
uint64_t gd_bulk_run(const struct gd_bulk_wire *wire, struct gd_bulk *bulks, int n, uint64_t now, uint64_t until);
