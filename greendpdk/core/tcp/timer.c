/* A connection's timers: one entry on the wheel for the first of them, moved lazily.
 * Called by util/timer.c; calls tcp/output.c through the output list, close.c, cc.h.
 */
#include "tcp.h"
#include "urgent.h"

#include <errno.h>

/* Later deadlines than the wheel's are found when it fires: a timer that each segment pushes on costs a store. */
void gd_tcp_timer_set(struct gd_tcb *tcb, enum gd_tcp_timer which, uint64_t at)
{
    tcb->deadline[which] = at;
    if (at < tcb->timer.at)
        gd_timer_set(&tcb->sock.stack->wheel, &tcb->timer, at);
}

void gd_tcp_timer_stop(struct gd_tcb *tcb, enum gd_tcp_timer which)
{
    tcb->deadline[which] = GD_NEVER;
}

void gd_tcp_timers_stop(struct gd_tcb *tcb)
{
    for (int i = 0; i < GD_TIMERS; i++)
        tcb->deadline[i] = GD_NEVER;
    gd_timer_cancel(&tcb->sock.stack->wheel, &tcb->timer);
}

void gd_tcp_keepalive_restart(struct gd_tcb *tcb, uint64_t now)
{
    if (!tcb->sock.options.keepalive || (tcb->state & GD_SYNCHRONIZED) == 0)
        gd_tcp_timer_stop(tcb, GD_T_KEEPALIVE);
    else
        gd_tcp_timer_set(tcb, GD_T_KEEPALIVE, now + tcb->sock.options.keepidle_s * GD_S);
}

/* R2 has passed (RFC 1122 4.2.3.5): tell the user why, if a soft error said (4.2.3.9). */
static void give_up(struct gd_tcb *tcb, uint64_t now)
{
    int error = tcb->sock.soft_error != 0 ? tcb->sock.soft_error : ETIMEDOUT;

    gd_count(&tcb->sock.stack->stats, GD_STAT_tcp_aborts);
    if (tcb->state & (GD_SYN_SENT | GD_SYN_RECEIVED)) {
        gd_count(&tcb->sock.stack->stats, GD_STAT_tcp_attempt_fails);
        gd_tcp_done(tcb, error);
    } else {
        gd_tcp_abort(tcb, error, now);
    }
}

static uint32_t retry_limit(const struct gd_tcb *tcb)
{
    if (tcb->state == GD_SYN_SENT)
        return tcb->sock.options.syncnt != 0 ? tcb->sock.options.syncnt : GD_TCP_SYN_RETRIES;
    if (tcb->state == GD_SYN_RECEIVED)
        return GD_TCP_SYNACK_RETRIES;
    return tcb->sock.orphan ? GD_TCP_ORPHAN_RETRIES : GD_TCP_RETRIES;
}

/* TCP_USER_TIMEOUT (RFC 5482): data has waited that long for its ACK. */
static bool user_timed_out(const struct gd_tcb *tcb, uint64_t now)
{
    uint64_t limit = tcb->sock.options.user_timeout_ms * GD_MS;

    return limit != 0 && now - tcb->first_unacked_at >= limit;
}

/* Not past the user's timeout, which would be noticed too late. */
static uint64_t next_try(const struct gd_tcb *tcb, uint64_t wait, uint64_t now)
{
    uint64_t at = now + wait;
    uint64_t limit = tcb->first_unacked_at + tcb->sock.options.user_timeout_ms * GD_MS;

    return tcb->sock.options.user_timeout_ms != 0 && limit < at && limit > now ? limit : at;
}

/* The peer has taken its window back behind what is in flight, and says so: what is sent again is a probe, and no number
 * of them is too many (RFC 9293 3.8.6, SHLD-17; Linux's tcp_retransmit_timer). An orphan is not kept so. */
static bool is_held(const struct gd_tcb *tcb, uint64_t now)
{
    return tcb->snd_wnd == 0 && (tcb->state & GD_SYNCHRONIZED) != 0 && !tcb->sock.orphan &&
           now - tcb->last_received_at < 2 * GD_TCP_RTO_MAX;
}

/* RFC 6298 5.4 to 5.7: all that is in flight is lost; twice the time. */
static void on_retransmit(struct gd_tcb *tcb, uint64_t now)
{
    if ((tcb->retries >= retry_limit(tcb) && !is_held(tcb, now)) || user_timed_out(tcb, now)) {
        give_up(tcb, now);
        return;
    }
    gd_count(&tcb->sock.stack->stats, GD_STAT_tcp_timeouts);
    gd_tally_timeout(tcb, now);
    tcb->retries++;
    if (tcb->syn_acked) {
        gd_mtu_timeout(tcb, now);
        gd_tcp_recover_timeout(tcb, now);
    } else {
        tcb->syn_due = true;
    }
    tcb->rtt_at = 0;
    gd_tcp_back_off(tcb);
    gd_tcp_timer_set(tcb, GD_T_RETRANSMIT, next_try(tcb, tcb->rto, now));
    gd_tcp_want_output(tcb);
}

/* An ACK by itself waits for the peer to ask again: nothing would ever be acknowledged that stops this timer. */
void gd_tcp_no_route(struct gd_tcb *tcb, uint64_t now)
{
    bool waits = !tcb->syn_acked || tcb->snd.len > 0 || (tcb->sock.shut_wr && !tcb->fin_sent);

    if (!waits)
        return;
    tcb->sock.soft_error = ENETUNREACH;
    if (tcb->deadline[GD_T_RETRANSMIT] != GD_NEVER)
        return;
    tcb->first_unacked_at = now; /* nothing is in flight: the user's patience begins here */
    gd_tcp_timer_set(tcb, GD_T_RETRANSMIT, next_try(tcb, tcb->rto, now));
}

/* As Linux's tcp_xmit_probe_skb: a number the peer has already acknowledged, which it must answer. */
static void probe(struct gd_tcb *tcb, uint64_t now)
{
    tcb->probes++;
    gd_tcp_emit(tcb, tcb->snd_una - 1, 0, GD_TCP_ACK, now);
}

/* Who acknowledges probes may keep a user waiting for ever (RFC 1122 4.2.2.17), unless that user has set a limit. An
 * orphan has no user: it waits until the pauses are as long as they get, which makes some minutes (Linux: tcp_probe_timer).
 */
static bool persisted_enough(const struct gd_tcb *tcb, uint64_t now)
{
    bool slow = tcb->sock.orphan && gd_tcp_persist_wait(tcb) >= GD_TCP_RTO_MAX;

    return tcb->probes >= retry_limit(tcb) || slow || (tcb->retries > 0 && user_timed_out(tcb, now));
}

/* RFC 9293 3.8.6.1; where the window is not zero but small, what fits goes out (3.8.6.2.1's override). */
static void on_persist(struct gd_tcb *tcb, uint64_t now)
{
    if (persisted_enough(tcb, now)) {
        give_up(tcb, now);
        return;
    }
    if (tcb->retries == 0)
        tcb->first_unacked_at = now;
    tcb->retries++;
    if (tcb->snd_wnd > 0) {
        tcb->force = true;
        gd_tcp_want_output(tcb);
        return;
    }
    gd_count(&tcb->sock.stack->stats, GD_STAT_tcp_zero_window_probes);
    if (gd_urgent_can_tell(tcb)) /* Linux's tcp_write_wakeup: the probe's own number is old, and its URG not heard */
        gd_tcp_emit(tcb, tcb->snd_una, 0, GD_TCP_ACK, now);
    probe(tcb, now);
    gd_tcp_timer_set(tcb, GD_T_PERSIST, next_try(tcb, gd_tcp_persist_wait(tcb), now));
}

static void on_delayed_ack(struct gd_tcb *tcb, uint64_t now)
{
    (void)now;
    gd_count(&tcb->sock.stack->stats, GD_STAT_tcp_delayed_acks);
    tcb->ack_now = true;
    gd_tcp_want_output(tcb);
}

/* RFC 9293 3.8.4: only an idle connection is probed. */
static void on_keepalive(struct gd_tcb *tcb, uint64_t now)
{
    const struct gd_options *options = &tcb->sock.options;
    uint64_t idle_until = tcb->last_received_at + options->keepidle_s * GD_S;

    if (!options->keepalive)
        return;
    if (tcb->snd_una != tcb->snd_nxt || tcb->snd.len > 0 || now < idle_until) {
        gd_tcp_timer_set(tcb, GD_T_KEEPALIVE, now < idle_until ? idle_until : now + options->keepidle_s * GD_S);
        return;
    }
    if (options->user_timeout_ms != 0 ? tcb->probes > 0 && now - tcb->last_received_at >= options->user_timeout_ms * GD_MS
                                      : tcb->probes >= options->keepcnt) { /* tcp(7): the one overrides the other */
        give_up(tcb, now);
        return;
    }
    gd_count(&tcb->sock.stack->stats, GD_STAT_tcp_keepalive_probes);
    probe(tcb, now);
    gd_tcp_timer_set(tcb, GD_T_KEEPALIVE, now + options->keepintvl_s * GD_S);
}

static void on_cork(struct gd_tcb *tcb, uint64_t now)
{
    (void)now;
    tcb->force = true;
    gd_tcp_want_output(tcb);
}

static void on_pace(struct gd_tcb *tcb, uint64_t now)
{
    (void)now;
    gd_tcp_want_output(tcb);
}

static void on_fin_wait_2(struct gd_tcb *tcb, uint64_t now)
{
    (void)now;
    gd_tcp_done(tcb, 0);
}

static void fire(struct gd_timer *timer, uint64_t now)
{
    static void (*const actions[GD_TIMERS])(struct gd_tcb *, uint64_t) = {
        [GD_T_RETRANSMIT] = on_retransmit, [GD_T_PERSIST] = on_persist, [GD_T_DELACK] = on_delayed_ack,
        [GD_T_KEEPALIVE] = on_keepalive,   [GD_T_CORK] = on_cork,       [GD_T_FIN_WAIT_2] = on_fin_wait_2,
        [GD_T_REORDER] = gd_tcp_on_reorder, [GD_T_PROBE] = gd_tcp_on_probe, [GD_T_PACE] = on_pace,
    };
    struct gd_tcb *tcb = GD_ENTRY(timer, struct gd_tcb, timer);
    uint64_t first = GD_NEVER;

    for (int i = 0; i < GD_TIMERS && tcb->state != GD_CLOSED; i++) {
        if (tcb->deadline[i] > now)
            continue;
        tcb->deadline[i] = GD_NEVER;
        actions[i](tcb, now);
    }
    if (tcb->state == GD_CLOSED)
        return;
    for (int i = 0; i < GD_TIMERS; i++)
        if (tcb->deadline[i] < first)
            first = tcb->deadline[i];
    if (first != GD_NEVER)
        gd_timer_set(&tcb->sock.stack->wheel, &tcb->timer, first);
}

void gd_tcp_timer_init(struct gd_tcb *tcb)
{
    gd_timer_init(&tcb->timer, fire);
    for (int i = 0; i < GD_TIMERS; i++)
        tcb->deadline[i] = GD_NEVER;
}
