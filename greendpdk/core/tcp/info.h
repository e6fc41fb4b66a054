/* What a connection has counted, and TCP_INFO, which tells of it in Linux's layout (linux/tcp.h).
 * Included by tcp/tcp.h; info.c is called by tcp/input.c, emit.c, output.c, timer.c, ack.c, sock/option_tcp.c.
 */
#ifndef GD_TCP_INFO_H
#define GD_TCP_INFO_H
#include <stdbool.h>
#include <stdint.h>

/* What holds a sender up (RFC 4898's "triage"). */
enum gd_doing { GD_DOING_NOTHING, GD_DOING_SENDING, GD_DOING_RWND, GD_DOING_SNDBUF, GD_DOINGS };

struct gd_tally {
    uint64_t bytes_sent, bytes_resent, bytes_acked, bytes_received;
    uint32_t segs_in, segs_out, data_segs_in, data_segs_out;
    uint32_t delivered, delivered_ce;     /* segments */
    uint32_t dsacks, reorders, out_of_order;
    uint32_t timeouts, timeout_spells;    /* and rows of them without progress between */
    uint64_t timeout_since, timeout_time; /* ns; since: 0 while there is progress */
    uint64_t text_at, ack_at;             /* the last that came */
    uint64_t doing_since, spent[GD_DOINGS];
    uint8_t doing; /* enum gd_doing */
};

/* struct tcp_info of Linux 6.12. */
struct gd_tcp_info {
    uint8_t state, ca_state, retransmits, probes, backoff, options;
    uint8_t wscales; /* the peer's in the low half, ours in the high one */
    uint8_t app_limited_and_fastopen;
    uint32_t rto, ato, snd_mss, rcv_mss;
    uint32_t unacked, sacked, lost, retrans, fackets;
    uint32_t last_data_sent, last_ack_sent, last_data_recv, last_ack_recv;
    uint32_t pmtu, rcv_ssthresh, rtt, rttvar, snd_ssthresh, snd_cwnd, advmss, reordering;
    uint32_t rcv_rtt, rcv_space;
    uint32_t total_retrans;
    uint64_t pacing_rate, max_pacing_rate, bytes_acked, bytes_received;
    uint32_t segs_out, segs_in;
    uint32_t notsent_bytes, min_rtt, data_segs_in, data_segs_out;
    uint64_t delivery_rate;
    uint64_t busy_time, rwnd_limited, sndbuf_limited;
    uint32_t delivered, delivered_ce;
    uint64_t bytes_sent, bytes_retrans;
    uint32_t dsack_dups, reord_seen, rcv_ooopack, snd_wnd, rcv_wnd, rehash;
    uint16_t total_rto, total_rto_recoveries;
    uint32_t total_rto_time;
};

struct gd_segment;
struct gd_tcb;

void gd_tally_in(struct gd_tcb *tcb, const struct gd_segment *segment, uint64_t now);
/* A segment of len bytes has left. */
void gd_tally_out(struct gd_tcb *tcb, uint32_t seq, uint32_t len);
void gd_tally_timeout(struct gd_tcb *tcb, uint64_t now);
/* New data was acknowledged. */
void gd_tally_progress(struct gd_tcb *tcb, uint32_t bytes, uint64_t now);
/* From now on. */
void gd_tally_doing(struct gd_tcb *tcb, enum gd_doing doing, uint64_t now);
void gd_tcp_info(const struct gd_tcb *tcb, struct gd_tcp_info *info);
#endif
