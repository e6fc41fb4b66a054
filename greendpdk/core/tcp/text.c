/* Steps six to eight of a segment's arrival: its urgent pointer (urgent.c), its text, in order or not, and its FIN (RFC 9293 3.10.7.4).
 * Called by tcp/input.c; calls sock/buffer.c, tcp/emit.c, time_wait.c.
 */
#include "tcp.h"
#include "urgent.h"
#include "window.h"

#include <errno.h>

#define DUPLICATES 3u /* RFC 5681 3.2 */

/* rcv_nxt moves to seq, and over the islands that it reaches. */
static void advance(struct gd_tcb *tcb, uint32_t seq)
{
    seq = gd_islands_join(&tcb->islands, seq);
    gd_buffer_extend(&tcb->rcv, seq - tcb->rcv_nxt);
    tcb->tally.bytes_received += seq - tcb->rcv_nxt;
    tcb->rcv_nxt = seq;
    tcb->dupacks_out = 0;
}

/* RFC 9293 3.8.6.3: an ACK at least for every second full segment. */
static void schedule_ack(struct gd_tcb *tcb, uint32_t bytes, uint64_t now)
{
    tcb->unacked_in += bytes;
    if (bytes < tcb->rcv_mss && tcb->small_in < 2)
        tcb->small_in++;
    if (tcb->sock.options.quickack || tcb->unacked_in >= 2 * tcb->rcv_mss) {
        tcb->ack_now = true;
    } else if (!tcb->ack_later) {
        tcb->ack_later = true;
        gd_tcp_timer_set(tcb, GD_T_DELACK, now + tcb->sock.stack->config.delayed_ack_ms * GD_MS);
    }
    gd_tcp_want_output(tcb);
}

/* Cuts off what we have and what lies beyond the window. False: nothing is left. */
static bool trim(struct gd_tcb *tcb, struct gd_segment *segment)
{
    uint32_t room = gd_tcp_rcv_limit(tcb) - segment->seq;

    if (gd_seq_lt(segment->seq, tcb->rcv_nxt)) {
        uint32_t old = tcb->rcv_nxt - segment->seq;

        tcb->dsack = (struct gd_range){segment->seq, segment->seq + (old < segment->len ? old : segment->len)};
        if (old >= segment->len) {
            gd_count(&tcb->sock.stack->stats, GD_STAT_tcp_drop_duplicate);
            segment->seq += segment->len; /* where a FIN of it stands */
            segment->len = 0;
            return false;
        }
        segment->seq += old;
        segment->data += old;
        segment->len -= old;
        room = gd_tcp_rcv_limit(tcb) - segment->seq;
    }
    if (segment->len > room) {
        gd_count(&tcb->sock.stack->stats, GD_STAT_tcp_drop_window);
        segment->len = room;
        segment->fin = false;
    }
    return segment->len > 0;
}

/* True if the text is in the buffer. */
static bool store(struct gd_tcb *tcb, const struct gd_segment *segment)
{
    uint32_t at = tcb->rcv.len + (segment->seq - tcb->rcv_nxt);

    if (gd_buffer_write(&tcb->sock.stack->pool, &tcb->rcv, at, segment->data, segment->len) == 0)
        return true;
    gd_count(&tcb->sock.stack->stats, GD_STAT_tcp_drop_memory);
    return false;
}

/* The byte that is next comes before those behind a gap, or they would hold what would close it, for ever. Their SACK is
 * taken back, which RFC 2018 8 allows: the peer keeps them until they are acknowledged. */
static bool make_room(struct gd_tcb *tcb)
{
    if (tcb->islands.count == 0)
        return false;
    gd_count(&tcb->sock.stack->stats, GD_STAT_tcp_out_of_order_pruned);
    gd_islands_clear(&tcb->islands);
    gd_buffer_cut(&tcb->sock.stack->pool, &tcb->rcv);
    return true;
}

/* RFC 5681 4.2 asks for an ACK of each. A sender that understands SACK has its three (RFC 6675, DupThresh) and then needs
 * no more than the last of a burst that goes on where the one before ended: as Linux compresses them, without its delay. */
static void ack_out_of_order(struct gd_tcb *tcb, bool goes_on, uint64_t now)
{
    if (tcb->sack_ok && goes_on && tcb->dupacks_out >= DUPLICATES) {
        tcb->ack_now = true;
        gd_tcp_want_output(tcb);
        return;
    }
    tcb->dupacks_out++;
    gd_tcp_ack_at_once(tcb, now);
}

/* Text that is next. If not all of it finds room, then what does: or one larger than the reserve would never pass. */
static bool store_next(struct gd_tcb *tcb, struct gd_segment *segment)
{
    uint64_t room;

    if (store(tcb, segment) || (make_room(tcb) && store(tcb, segment)))
        return true;
    room = gd_buffer_room(&tcb->sock.stack->pool, &tcb->rcv);
    if (room == 0 || room >= segment->len)
        return false;
    segment->len = (uint32_t)room;
    segment->fin = false;
    return store(tcb, segment);
}

static void out_of_order(struct gd_tcb *tcb, struct gd_segment *segment, uint64_t now)
{
    struct gd_stats *stats = &tcb->sock.stack->stats;
    bool goes_on = gd_islands_goes_on(&tcb->islands, segment->seq);

    segment->answered = true;
    if (gd_islands_have(&tcb->islands, segment->seq, segment->seq + segment->len)) { /* RFC 2883 4.1 */
        gd_count(stats, GD_STAT_tcp_drop_duplicate);
        tcb->dsack = (struct gd_range){segment->seq, segment->seq + segment->len};
        gd_islands_touch(&tcb->islands, segment->seq);
        gd_tcp_ack_at_once(tcb, now);
        return;
    }
    if (!gd_buffer_may_spare(&tcb->sock.stack->pool, &tcb->rcv, segment->len)) {
        gd_count(stats, GD_STAT_tcp_drop_memory);
    } else if (store(tcb, segment)) {
        bool kept = gd_islands_add(&tcb->islands, segment->seq, segment->seq + segment->len);

        tcb->tally.out_of_order += kept ? 1 : 0;
        gd_count(stats, kept ? GD_STAT_tcp_out_of_order : GD_STAT_tcp_drop_out_of_order);
    }
    ack_out_of_order(tcb, goes_on, now);
}

bool gd_tcp_take_text(struct gd_tcb *tcb, struct gd_segment *segment, uint64_t now)
{
    bool had_gap = tcb->islands.count > 0;
    uint32_t before = tcb->rcv_nxt;

    if (gd_urgent_concerns(tcb, segment) && (tcb->state & GD_CAN_RECEIVE) != 0) /* step six; with a zero window too (MUST-66) */
        gd_urgent_take(tcb, segment);
    if (segment->len == 0)
        return true;
    if ((tcb->state & GD_CAN_RECEIVE) == 0) {
        gd_count(&tcb->sock.stack->stats, GD_STAT_tcp_drop_state);
        return false;
    }
    gd_ecn_take_text(tcb, segment);
    if (!trim(tcb, segment)) {
        segment->answered = true;
        gd_tcp_ack_at_once(tcb, now);
        return segment->fin;
    }
    if (tcb->sock.orphan && !tcb->parent) { /* RFC 1122 4.2.2.13: nobody will ever read this */
        gd_count(&tcb->sock.stack->stats, GD_STAT_tcp_drop_state);
        gd_tcp_reset_segment(tcb->sock.stack, segment); /* its ACK is the number that the peer believes at once */
        gd_tcp_done(tcb, ECONNRESET);
        return false;
    }
    if (segment->seq != tcb->rcv_nxt) {
        out_of_order(tcb, segment, now);
        return true;
    }
    if (!store_next(tcb, segment))
        return false;
    if (segment->len > tcb->rcv_mss)
        tcb->rcv_mss = segment->len;
    advance(tcb, segment->seq + segment->len);
    gd_tcp_tune_arrived(tcb, segment, now);
    if (gd_tcp_readable(tcb))
        gd_sock_wake(&tcb->sock, GD_READ);
    schedule_ack(tcb, tcb->rcv_nxt - before, now);
    if (had_gap) /* RFC 5681 4.2: also when a gap is filled, in part or whole */
        tcb->ack_now = true;
    return true;
}

static void fin_arrived(struct gd_tcb *tcb, uint64_t now)
{
    tcb->fin_received = true;
    tcb->rcv_nxt++;
    tcb->rcv_adv = gd_seq_max(tcb->rcv_adv, tcb->rcv_nxt);
    tcb->ack_now = true;
    gd_tcp_want_output(tcb);
    gd_sock_wake(&tcb->sock, GD_READ | GD_RDHUP | (tcb->sock.shut_wr ? GD_HUP : 0u));
    if (tcb->state == GD_ESTABLISHED) {
        gd_tcp_become(tcb, GD_CLOSE_WAIT);
    } else if (tcb->state == GD_FIN_WAIT_1) {
        gd_tcp_become(tcb, GD_CLOSING);
    } else if (tcb->state == GD_FIN_WAIT_2) {
        gd_tcp_ack_at_once(tcb, now);
        gd_tcp_enter_time_wait(tcb, now);
    }
}

bool gd_tcp_take_fin(struct gd_tcb *tcb, struct gd_segment *segment, uint64_t now)
{
    if (segment->fin && !tcb->rcv_fin && (tcb->state & GD_CAN_RECEIVE) != 0) {
        tcb->rcv_fin = true;
        tcb->fin_at = segment->seq + segment->len;
    }
    if (!tcb->rcv_fin || tcb->fin_received)
        return true;
    if (tcb->rcv_nxt == tcb->fin_at)
        fin_arrived(tcb, now);
    else if (segment->fin && !segment->answered)
        gd_tcp_ack_at_once(tcb, now); /* it lies behind a gap */
    return true;
}
