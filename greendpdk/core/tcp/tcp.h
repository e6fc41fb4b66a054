/* TCP's control block and the calls between the files of tcp/. Included by tcp/, sock/stream.c, sock/option.c, stack.c.
 *
 *   send                                               receive
 *     snd_una               snd_nxt      snd_una+snd_wnd    rcv_nxt                    rcv_adv
 *   ─────┼─────────────────────┼─────────────┼───         ─────┼───────┬──┬──────┬──┬─────┼───
 *        │ flight (flight.h)   │  may send   │                 │  gap  │▓▓│ gap  │▓▓│ free│
 *        │                     │                               └ rcv.len bytes before it wait for recv
 *   buffer head = snd_una (iss + 1 while the SYN is unacknowledged); ▓ = islands, already in the buffer
 */
#ifndef GD_TCP_TCP_H
#define GD_TCP_TCP_H
#include "../sock/sock.h"
#include "../stack.h"
#include "../util/seq.h"
#include "../wire/tcp.h"
#include "cc.h"
#include "ecn.h"
#include "flight.h"
#include "info.h"
#include "islands.h"
#include "loss.h"
#include "mtu.h"
#include "rate.h"
#include "tune.h"

#define GD_MS 1000000ull
#define GD_S 1000000000ull

#define GD_TCP_RTO_FIRST GD_S            /* RFC 6298 2.1 */
#define GD_TCP_RTO_MIN (200 * GD_MS)     /* Linux TCP_RTO_MIN; RFC 6298 2.4 would have 1 s */
#define GD_TCP_RTO_MAX (120 * GD_S)      /* Linux TCP_RTO_MAX */
#define GD_TCP_RETRIES 15u               /* Linux tcp_retries2: R2 of RFC 1122 4.2.3.5, about 15 minutes */
#define GD_TCP_ORPHAN_RETRIES 8u         /* Linux tcp_orphan_retries */
#define GD_TCP_SYN_RETRIES 6u            /* Linux tcp_syn_retries: 127 s */
#define GD_TCP_SYNACK_RETRIES 5u         /* Linux tcp_synack_retries */
#define GD_TCP_FIN_TIMEOUT (60 * GD_S)   /* Linux tcp_fin_timeout: an orphan in FIN-WAIT-2 */
#define GD_TCP_CORK_TIME (200 * GD_MS)   /* tcp(7), TCP_CORK */
#define GD_TCP_WSCALE_MAX 14             /* RFC 7323 2.3 */
#define GD_TCP_MSS_DEFAULT 536u          /* RFC 9293 3.7.1, IPv4 */
#define GD_TCP_MSS_DEFAULT6 1220u        /* and IPv6 */
#define GD_TCP_MSS_MIN 88u               /* Linux TCP_MIN_MSS: the least TCP_MAXSEG */
#define GD_TCP_SND_MSS_MIN 48u           /* Linux tcp_min_snd_mss: what a peer may ask for at the least */
#define GD_TCP_CHALLENGE_PAUSE (500 * GD_MS) /* Linux tcp_invalid_ratelimit, each connection (RFC 5961 7) */
#define GD_TCP_BUFFER 131072u            /* SO_SNDBUF, SO_RCVBUF as shown, until tuned: Linux's tcp_rmem[1] */
#define GD_TCP_CRUMB 256u                /* bytes of send buffer that a segment in flight takes at least; Linux: 768 */
#define GD_TCP_BUFFER_AUTO (6u << 20)    /* bytes that tuning goes up to: Linux's tcp_rmem[2] */

enum gd_tcp_state {
    GD_CLOSED = 1,
    GD_LISTEN = 2,
    GD_SYN_SENT = 4,
    GD_SYN_RECEIVED = 8,
    GD_ESTABLISHED = 16,
    GD_FIN_WAIT_1 = 32,
    GD_FIN_WAIT_2 = 64,
    GD_CLOSE_WAIT = 128,
    GD_CLOSING = 256,
    GD_LAST_ACK = 512,
    GD_TIME_WAIT = 1024,
};
#define GD_SYNCHRONIZED \
    (GD_ESTABLISHED | GD_FIN_WAIT_1 | GD_FIN_WAIT_2 | GD_CLOSE_WAIT | GD_CLOSING | GD_LAST_ACK | GD_TIME_WAIT)
#define GD_CAN_SEND (GD_ESTABLISHED | GD_CLOSE_WAIT)                   /* the user may queue bytes */
#define GD_CAN_RECEIVE (GD_ESTABLISHED | GD_FIN_WAIT_1 | GD_FIN_WAIT_2) /* text is taken */

enum gd_tcp_timer {
    GD_T_RETRANSMIT,
    GD_T_PERSIST, /* zero window, or one too small to be worth a segment */
    GD_T_DELACK,
    GD_T_KEEPALIVE,
    GD_T_CORK,
    GD_T_FIN_WAIT_2,
    GD_T_REORDER, /* RACK: a segment that may only be late (RFC 8985 6.2) */
    GD_T_PROBE,   /* tail loss probe (RFC 8985 7) */
    GD_T_PACE,    /* the next segment of a paced connection */
    GD_TIMERS
};

struct gd_listener {
    uint32_t backlog;
    uint32_t queued;       /* in accept_queue */
    struct gd_list accept_queue; /* struct gd_tcb.accept_link */
    uint32_t half_open;          /* in requests */
    struct gd_list requests;     /* struct gd_request.link */
    uint64_t cookie_at;          /* when the last SYN cookie was sent; 0: never */
};

struct gd_tcb {
    struct gd_sock sock;
    enum gd_tcp_state state; /* written by gd_tcp_become only */

    uint32_t iss, snd_una, snd_nxt, snd_wnd, snd_wl1, snd_wl2;
    uint32_t max_wnd;   /* the largest window the peer has offered (RFC 9293 3.8.6.2.1) */
    uint32_t snd_sml;   /* end of the last segment sent below the MSS (Minshall's Nagle) */
    uint32_t irs, rcv_nxt, rcv_adv; /* rcv_adv: the right edge that was advertised; from 0 until the peer's SYN is here */
    uint32_t last_ack_sent;         /* RFC 7323 4.3 */
    uint8_t snd_wscale, rcv_wscale;
    bool wscale_ok, ts_ok, sack_ok;
    uint32_t ts_recent, ts_offset;
    uint64_t ts_recent_at;
    uint32_t mss;      /* bytes of data in a full segment, options taken off */
    uint32_t peer_mss; /* its option, or the default */
    uint32_t path_mtu; /* the largest packet that surely passes; 0: the interface's */
    struct gd_mtu mtu;
    uint32_t rcv_mss;  /* the largest segment seen: what "every second full segment" counts */
    uint32_t unacked_in; /* bytes received since the last ACK left */

    bool ack_now, ack_later; /* an ACK is due at once / by the delayed-ACK timer */
    uint8_t small_in;        /* segments below rcv_mss since: of two, no third is waited for once the reader has them */
    bool syn_due;            /* our SYN is to be sent, or sent again */
    bool force;              /* the persist timer: ignore Nagle and silly-window avoidance once */
    bool fin_sent, fin_received, rcv_fin; /* rcv_fin: fin_at is known */
    bool want_write;         /* send reported EAGAIN: wake at room */
    bool syn_acked;          /* snd_una has passed our SYN */
    bool was_read;           /* recv took bytes since the last ACK: only a reader opens the window by an ACK of its own */
    bool more;               /* the last send said MSG_MORE */
    bool connecting;         /* connect was called and has not yet reported success */
    bool ever_connected;
    bool passive;            /* from a listener */
    bool counted;            /* in stack->norphans */
    bool urgent_out;         /* snd_up is ahead of snd_una */
    uint8_t urgent_in, urgent_byte; /* urgent.h: enum gd_urgent, and the byte at rcv_up */
    uint32_t snd_up, rcv_up; /* RFC 9293's SND.UP, behind the urgent byte, and RCV.UP, at it */
    uint32_t fin_at;         /* sequence number of the peer's FIN */

    uint64_t srtt, rttvar, rto; /* ns; srtt 0: no sample yet */
    uint32_t rtt_seq;        /* a timed segment's end, if rtt_at */
    uint64_t rtt_at;
    uint32_t resent_ts;      /* the timestamp of the last segment sent again: an older echo says nothing of the RTT */
    uint32_t retries;        /* time-outs in a row, of the retransmission or the persist timer */
    uint64_t first_unacked_at; /* when the oldest data now unacknowledged was first sent (TCP_USER_TIMEOUT) */
    uint64_t last_received_at; /* a segment whose ACK was good */
    uint64_t last_sent_at;     /* data */
    uint64_t challenged_at;  /* the last answer to a segment that did not fit (RFC 5961 7); 0: none yet */
    uint32_t probes;         /* probes (keepalive, zero window) unanswered in a row */
    uint32_t total_retransmits;

    struct gd_tally tally;
    struct gd_ecn ecn;
    const struct gd_cc *cc;
    uint32_t cwnd, ssthresh, acked_in_ca;
    bool cwnd_limited;

    struct gd_flight flight;
    enum gd_recovery recovery;
    uint32_t recover;        /* snd_nxt when the loss was seen: there it ends */
    uint32_t dupacks;        /* without SACK: segments that must have arrived (RFC 5681 3.2) */
    uint32_t prr_delivered, prr_out, prr_flight; /* RFC 6937 3 */
    uint32_t prior_cwnd, prior_ssthresh; /* before the last reduction */
    bool undo_ok;            /* it may still turn out needless */
    uint32_t undo_resent;    /* segments sent again since that no DSACK has spoken of */
    uint32_t undo_ts;        /* the timestamp of the first of them */

    struct gd_range seen[GD_TCP_SACKS]; /* the last SACK blocks: only what is new in the next is looked at */
    int nseen;
    uint32_t fack;           /* the highest sequence number known to have arrived */
    uint64_t rack_rtt;       /* of the segment sent last among those that have arrived (RFC 8985 5.2) */
    uint32_t rack_serial;    /* and which that is */
    uint64_t min_rtt, min_rtt_at;
    bool reordered;          /* seen on this path */
    uint32_t reorder_steps;  /* quarters of min_rtt to wait; grows with DSACKs */
    uint32_t reorder_round;  /* not again before snd_una is there */
    uint32_t reorder_left;   /* recoveries without a DSACK until the steps are forgotten (RFC 8985's reo_wnd_persist) */
    bool probing, probe_resent; /* a tail loss probe is out; it sent old data */
    uint32_t probe_end;
    union gd_cc_state cc_state;
    struct gd_rate rate;

    uint64_t deadline[GD_TIMERS]; /* GD_NEVER: off; the wheel holds the first, or an earlier time */
    struct gd_timer timer;
    struct gd_list output_link; /* in stack->output */
    struct gd_list starved_link; /* in stack->starved */
    struct gd_buffer snd, rcv;
    struct gd_tune tune;
    struct gd_islands islands;
    uint32_t dupacks_out;    /* ACKs of segments out of order since rcv_nxt moved */
    struct gd_range dsack;   /* a duplicate to report once (RFC 2883); start == end: none */

    struct gd_listener *listener; /* LISTEN only, owned */
    struct gd_tcb *parent;        /* the listener whose accept queue holds it, or NULL */
    struct gd_list accept_link;
};

/* A half-open connection (SYN queue): all that is known before the handshake's last ACK. */
struct gd_request {
    struct gd_flow flow;
    struct gd_list link; /* in its listener's requests */
    struct gd_tcb *listener;
    struct gd_dst dst;
    struct gd_timer timer;
    uint32_t iss, irs, ts_recent, ts_offset;
    uint32_t retries; /* time-outs */
    struct gd_tcp_options options; /* the SYN's */
    uint32_t snd_wnd;
    uint16_t window;    /* that the SYN-ACK offers */
    uint8_t rcv_wscale; /* and its shift */
    bool ecn;           /* agreed to */
    bool cookie;        /* in no list or table, and not from malloc: made for one SYN cookie (cookie.c) */
    uint16_t syn_acks;  /* sent: of two, nobody can say which one an ACK is for */
    uint64_t sent_at;  /* the first */
    uint64_t challenged_at;
    uint64_t acked_at; /* TCP_DEFER_ACCEPT: the handshake is through, text is waited for; 0: no */
};

/* What TIME-WAIT needs to answer (RFC 9293 3.6.1): nothing of the tcb. */
struct gd_time_wait {
    struct gd_flow flow;
    struct gd_list link; /* in stack->time_waits */
    struct gd_timer timer;
    struct gd_stack *stack;
    struct gd_dst dst;
    uint32_t snd_nxt, rcv_nxt, window, ts_recent, ts_offset;
    uint64_t ts_recent_at, challenged_at;
    bool ts_ok;
    int16_t ttl;
    uint8_t tos;
};

/* A received segment, trimmed as the steps go on. */
struct gd_segment {
    const struct gd_packet *packet;
    struct gd_tcp_header header;
    uint32_t seq; /* of data[0], or of the SYN */
    const uint8_t *data;
    uint32_t len;
    uint32_t wnd; /* scaled */
    bool fin;
    bool answered; /* by an ACK of its own: one is enough (RFC 5681 4.2) */
};

/* Of a peer that has no MSS option. */
static inline uint32_t gd_tcp_mss_default(const struct gd_addr *peer)
{
    return gd_addr_is_v4(peer) ? GD_TCP_MSS_DEFAULT : GD_TCP_MSS_DEFAULT6;
}

/* Bytes of IP's and TCP's headers without options (RFC 6691 2). */
static inline uint32_t gd_tcp_headers(const struct gd_addr *peer)
{
    return gd_ip_header_len(peer) + GD_TCP_HEADER;
}

static inline struct gd_tcb *gd_tcb(struct gd_sock *sock)
{
    return GD_ENTRY(sock, struct gd_tcb, sock);
}

/* Sequence number of the send buffer's head. */
static inline uint32_t gd_tcp_snd_base(const struct gd_tcb *tcb)
{
    return tcb->snd_una + (tcb->syn_acked ? 0 : 1);
}

static inline uint32_t gd_tcp_now_ms(uint64_t now)
{
    return (uint32_t)(now / GD_MS);
}

/* state.c */
void gd_tcp_become(struct gd_tcb *tcb, enum gd_tcp_state state);
const char *gd_tcp_state_name(enum gd_tcp_state state);
uint8_t gd_tcp_state_number(enum gd_tcp_state state); /* include/net/tcp_states.h */

/* open.c, close.c: calls of the user */
int gd_tcp_new(struct gd_stack *stack, int domain, struct gd_sock **out);
int gd_tcp_connect(struct gd_sock *sock, const struct gd_endpoint *remote);
int gd_tcp_listen(struct gd_sock *sock, int backlog);
int gd_tcp_accept(struct gd_sock *sock, struct gd_sock **out);
int gd_tcp_shutdown(struct gd_sock *sock, int how);
void gd_tcp_close(struct gd_sock *sock);
uint32_t gd_tcp_ready(struct gd_sock *sock);
/* Puts the tcb on the output list: the next poll asks what it has to send. */
void gd_tcp_want_output(struct gd_tcb *tcb);
/* CLOSED for good: out of the tables; freed with the poll if no handle is left. error: 0 or positive. */
void gd_tcp_done(struct gd_tcb *tcb, int error);
/* RST to the peer where it knows of us, then done. */
void gd_tcp_abort(struct gd_tcb *tcb, int error, uint64_t now);
void gd_tcb_free(struct gd_tcb *tcb);
/* An orphan in FIN-WAIT-2 waits for the peer's FIN, not for ever; false: not at all. */
bool gd_tcp_await_fin(struct gd_tcb *tcb, uint64_t now);

/* input.c's steps, in RFC 9293 3.10.7.4's order; false: the segment is dealt with */
bool gd_tcp_check_ack(struct gd_tcb *tcb, struct gd_segment *segment, uint64_t now);  /* ack.c */
bool gd_tcp_take_text(struct gd_tcb *tcb, struct gd_segment *segment, uint64_t now);  /* text.c */
bool gd_tcp_take_fin(struct gd_tcb *tcb, struct gd_segment *segment, uint64_t now);   /* text.c */
void gd_tcp_steps(struct gd_tcb *tcb, struct gd_segment *segment, uint64_t now);
void gd_tcp_syn_sent(struct gd_tcb *tcb, struct gd_segment *segment, uint64_t now); /* syn_sent.c */
/* The peer's options, first MSS and windows of a connection (syn_sent.c). */
void gd_tcp_take_options(struct gd_tcb *tcb, const struct gd_tcp_options *options, uint64_t now);
void gd_tcp_established(struct gd_tcb *tcb, uint64_t now);
void gd_tcp_update_mss(struct gd_tcb *tcb);

/* listen.c, request.c */
void gd_tcp_listener_input(struct gd_tcb *listener, struct gd_segment *segment, uint32_t iss_above, uint64_t now);
void gd_tcp_request_input(struct gd_stack *stack, struct gd_request *request, struct gd_segment *segment, uint64_t now);
/* What the segment and the listener say of it; in no list or table yet. */
void gd_tcp_request_init(struct gd_request *request, struct gd_tcb *listener, const struct gd_segment *segment);
/* Sends the SYN-ACK, or (without GD_TCP_SYN) an ACK. */
void gd_tcp_request_answer(struct gd_stack *stack, struct gd_request *request, uint8_t flags, uint64_t now);
/* Sends the SYN-ACK and starts its timer. */
void gd_tcp_request_start(struct gd_stack *stack, struct gd_request *request, uint64_t now);
/* The handshake's last ACK: a connection in the accept queue, which takes the segment's text as well. */
void gd_tcp_request_done(struct gd_stack *stack, struct gd_request *request, struct gd_segment *segment, uint64_t now);
void gd_request_free(struct gd_stack *stack, struct gd_request *request);
void gd_listener_free(struct gd_tcb *listener, uint64_t now);

/* cookie.c */
/* Answers a SYN without keeping anything of it. */
void gd_tcp_cookie_send(struct gd_tcb *listener, const struct gd_segment *segment, uint64_t now);
/* An ACK that belongs to nobody: true if it brought a cookie back, and is dealt with. */
bool gd_tcp_cookie_input(struct gd_tcb *listener, struct gd_segment *segment, uint64_t now);
/* The clock with the options in its low bits. */
uint32_t gd_tcp_cookie_tsval(const struct gd_request *request, uint64_t now);

/* time_wait.c */
/* The tcb ends in TIME-WAIT: makes the entry, then done. */
void gd_tcp_enter_time_wait(struct gd_tcb *tcb, uint64_t now);
/* False: the entry is gone, the segment is a SYN for a new connection (RFC 6191). */
bool gd_tcp_time_wait_input(struct gd_stack *stack, struct gd_time_wait *tw, struct gd_segment *segment, uint64_t now);
void gd_time_wait_free(struct gd_stack *stack, struct gd_time_wait *tw);

/* output.c, emit.c */
/* Sends what may be sent. 0, or -ENOBUFS: try again next turn. */
int gd_tcp_output(struct gd_tcb *tcb, uint64_t now);
/* One segment of the connection: len bytes from seq. 0, -ENOBUFS, -ENETUNREACH. */
int gd_tcp_emit(struct gd_tcb *tcb, uint32_t seq, uint32_t len, uint8_t flags, uint64_t now);
/* An ACK at once, as each segment out of order asks for (RFC 5681 4.2). */
void gd_tcp_ack_at_once(struct gd_tcb *tcb, uint64_t now);
/* The same under RFC 5961 7's limit. */
void gd_tcp_challenge(struct gd_tcb *tcb, uint64_t now);
/* *last: when this connection's peer was last answered so; 0: never. Counts what it grants and what it does not. */
bool gd_tcp_may_challenge(struct gd_stack *stack, uint64_t *last, uint64_t now);
/* Recomputes the right edge; true if the peer should hear of it (RFC 9293 3.8.6.2.2). */
bool gd_tcp_window_update_due(const struct gd_tcb *tcb);

/* A segment that belongs to no tcb: RST, or the SYN-ACK and ACKs of requests and TIME-WAITs. */
struct gd_loose {
    const struct gd_endpoint *local, *remote;
    struct gd_dst *dst;
    int16_t ttl;
    uint8_t tos;
    struct gd_tcp_header header; /* seq, ack, flags, window, options; ports are filled in */
};
int gd_tcp_emit_loose(struct gd_stack *stack, struct gd_loose *loose);
/* The RST that answers a segment (RFC 9293 3.10.7.1). */
void gd_tcp_reset_segment(struct gd_stack *stack, const struct gd_segment *segment);

/* timer.c, rtt.c, recover.c */
void gd_tcp_timer_init(struct gd_tcb *tcb);
void gd_tcp_timer_set(struct gd_tcb *tcb, enum gd_tcp_timer which, uint64_t at);
void gd_tcp_timer_stop(struct gd_tcb *tcb, enum gd_tcp_timer which);
void gd_tcp_timers_stop(struct gd_tcb *tcb);
void gd_tcp_keepalive_restart(struct gd_tcb *tcb, uint64_t now);
/* How long the next zero-window probe waits: the RTO, doubled with each (RFC 9293 3.8.6.1). */
uint64_t gd_tcp_persist_wait(const struct gd_tcb *tcb);
/* Nothing reaches the peer now: the retransmission timer tries again, and gives up in the end. */
void gd_tcp_no_route(struct gd_tcb *tcb, uint64_t now);
void gd_tcp_rtt_sample(struct gd_tcb *tcb, uint64_t rtt);
void gd_tcp_back_off(struct gd_tcb *tcb);
/* Back to what the samples say. */
void gd_tcp_rto_restore(struct gd_tcb *tcb);

/* output.c: the segment at that position once more. 0, -ENOBUFS. */
int gd_tcp_send_again(struct gd_tcb *tcb, uint64_t position, uint64_t now);
/* One segment of new data whatever the congestion window. 1 sent, 0 there is none. */
int gd_tcp_send_one(struct gd_tcb *tcb, uint64_t now);

/* isn.c */
uint32_t gd_tcp_isn(struct gd_stack *stack, const struct gd_flow *flow, uint64_t now);
uint32_t gd_tcp_ts_offset(struct gd_stack *stack, const struct gd_flow *flow);
#endif
