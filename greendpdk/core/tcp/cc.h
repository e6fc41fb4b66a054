/* Congestion control behind five calls (RFC 5681). Called by tcp/ack.c, recover.c, timer.c; calls an algorithm.
 * An algorithm writes cwnd and ssthresh of the tcb, and nothing else.
 */
#ifndef GD_TCP_CC_H
#define GD_TCP_CC_H
#include <stdbool.h>
#include <stdint.h>

#define GD_CC_NAME 16 /* Linux's TCP_CA_NAME_MAX */

struct gd_tcb;
struct gd_acked;

#define GD_BBR_ROUNDS 10 /* that the largest bandwidth is taken from */

/* The algorithms' own (cubic.c, bbr.c). */
union gd_cc_state {
    struct gd_bbr {
        float bw[GD_BBR_ROUNDS]; /* the largest of each round, bytes a second */
        float full_bw;
        float extra_acked, extra[2]; /* bytes beyond the bandwidth: of this heap; the largest, now and before */
        uint64_t min_rtt, min_rtt_at; /* ns */
        uint64_t phase_at;            /* when PROBE_BW's phase began; PROBE_RTT: when it may end, 0: not yet known */
        uint64_t extra_at, round_end; /* round_end: of rate.delivered */
        uint32_t lost_before;         /* of flight.ever_lost */
        uint32_t prior_cwnd, rounds, probe_round;
        uint8_t mode, round, cycle, full_rounds, extra_rounds;
        bool full, round_start, recovering, conserving;
    } bbr;
    struct gd_cubic {
        double w_max, k, w_est;   /* bytes, seconds, bytes */
        double prior;             /* bytes of cwnd before the last reduction */
        double credit;            /* bytes of cwnd's growth not yet whole */
        uint64_t epoch;           /* when this congestion avoidance began; 0: not yet */
        uint64_t used_at;         /* when the window was last in use */
        struct gd_hystart {
            uint32_t round_end;   /* snd_nxt when the round began */
            uint64_t last_min, current_min, baseline; /* RTTs; 0: none */
            uint32_t samples, css_rounds;
            bool css;
        } hystart;
    } cubic;
};

struct gd_cc {
    const char *name; /* as TCP_CONGESTION names it */
    /* The connection is established, the MSS known. */
    void (*start)(struct gd_tcb *tcb);
    /* New data was acknowledged outside of recovery, while the window was in use. */
    void (*acked)(struct gd_tcb *tcb, const struct gd_acked *acked, uint64_t now);
    /* If it is not NULL, this sets the window after each ACK in whatever state, instead of acked and PRR. */
    void (*model)(struct gd_tcb *tcb, const struct gd_acked *acked, uint64_t now);
    /* A loss was seen by duplicate ACKs: set ssthresh. */
    void (*lost)(struct gd_tcb *tcb, uint64_t now);
    /* ECN told of congestion (RFC 3168 6.1.2): set ssthresh. */
    void (*marked)(struct gd_tcb *tcb, uint64_t now);
    /* The retransmission timer went off: set ssthresh and cwnd. */
    void (*timeout)(struct gd_tcb *tcb, uint64_t now);
};

extern const struct gd_cc gd_cc_reno;
extern const struct gd_cc gd_cc_cubic;
extern const struct gd_cc gd_cc_bbr;
/* By name; NULL: unknown. */
const struct gd_cc *gd_cc_find(const char *name);
/* RFC 6928: ten segments. */
uint32_t gd_cc_initial_window(const struct gd_tcb *tcb);
/* The window that slow start makes, grown by so many bytes: ssthresh at most (RFC 5681 3.1; Linux's tcp_slow_start). */
uint32_t gd_cc_slow_start(const struct gd_tcb *tcb, uint32_t grow);
#endif
