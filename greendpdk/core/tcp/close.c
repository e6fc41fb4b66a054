/* The ends of a connection: shutdown, close, abort, and what is freed when.
 * Called by sock/sock.c and the other files of tcp/; calls tcp/emit.c, listen.c.
 *
 *   close ─┬ unread bytes or SO_LINGER 0 ─► RST, done          done ─┬ a handle is left ─► CLOSED, waits for close
 *          └ else ─► FIN; an orphan until done                       └ none ─► buried, freed at the poll's end
 */
#include "tcp.h"
#include "window.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

void gd_tcb_free(struct gd_tcb *tcb)
{
    gd_tcp_timers_stop(tcb);
    gd_list_remove(&tcb->output_link);
    gd_tcp_unstarve(tcb);
    gd_list_remove(&tcb->accept_link);
    gd_flight_clear(&tcb->flight);
    gd_islands_clear(&tcb->islands);
    gd_buffer_clear(&tcb->sock.stack->pool, &tcb->snd);
    gd_buffer_clear(&tcb->sock.stack->pool, &tcb->rcv);
    free(tcb->listener);
    tcb->listener = NULL;
    tcb->sock.stack->norphans -= tcb->counted ? 1 : 0;
    tcb->counted = false;
    gd_sock_bury(&tcb->sock);
}

static void leave_accept_queue(struct gd_tcb *tcb)
{
    if (tcb->parent == NULL)
        return;
    gd_list_remove(&tcb->accept_link);
    tcb->parent->listener->queued--;
    tcb->parent = NULL;
}

void gd_tcp_done(struct gd_tcb *tcb, int error)
{
    if (tcb->state == GD_SYN_SENT || (tcb->state == GD_SYN_RECEIVED && !tcb->passive))
        gd_count(&tcb->sock.stack->stats, GD_STAT_tcp_attempt_fails);
    gd_tcp_become(tcb, GD_CLOSED);
    gd_tcp_timers_stop(tcb);
    gd_list_remove(&tcb->output_link);
    gd_tcp_unstarve(tcb);
    gd_flow_remove(tcb->sock.stack, &tcb->sock.flow);
    gd_buffer_clear(&tcb->sock.stack->pool, &tcb->snd);
    gd_flight_clear(&tcb->flight);
    /* One that waits for accept stays, as on Linux: who accepts it learns of its end. */
    if (tcb->sock.orphan && (tcb->parent == NULL || !tcb->ever_connected)) {
        leave_accept_queue(tcb);
        gd_tcb_free(tcb);
        return;
    }
    /* Linux keeps what has arrived readable; a port that the user did not name is free again. */
    if (!tcb->sock.bound_port)
        gd_bind_release(tcb->sock.stack, &tcb->sock.flow);
    tcb->sock.shut_wr = tcb->ever_connected;
    if (error != 0)
        gd_sock_fail(&tcb->sock, error);
    gd_sock_wake(&tcb->sock, GD_READ | GD_WRITE | GD_RDHUP | GD_HUP);
}

void gd_tcp_abort(struct gd_tcb *tcb, int error, uint64_t now)
{
    if (tcb->state & (GD_SYNCHRONIZED | GD_SYN_RECEIVED))
        gd_tcp_emit(tcb, gd_tcp_ack_seq(tcb), 0, GD_TCP_RST | GD_TCP_ACK, now); /* best effort, as any RST */
    gd_tcp_done(tcb, error);
}

/* The user has no more to send. */
static void send_fin(struct gd_tcb *tcb)
{
    if (tcb->sock.shut_wr)
        return;
    tcb->sock.shut_wr = true;
    if (tcb->state == GD_ESTABLISHED)
        gd_tcp_become(tcb, GD_FIN_WAIT_1);
    else if (tcb->state == GD_CLOSE_WAIT)
        gd_tcp_become(tcb, GD_LAST_ACK);
    gd_tcp_want_output(tcb); /* in SYN-RECEIVED, established() goes on */
}

int gd_tcp_shutdown(struct gd_sock *sock, int how)
{
    struct gd_tcb *tcb = gd_tcb(sock);

    if (how < SHUT_RD || how > SHUT_RDWR)
        return -EINVAL;
    if (tcb->state == GD_LISTEN && how != SHUT_WR) { /* Linux: a listener hears no more, and its accept fails */
        gd_listener_free(tcb, sock->stack->now);
        gd_sock_wake(sock, GD_READ | GD_HUP | GD_RDHUP);
        return 0;
    }
    if (tcb->state & (GD_CLOSED | GD_LISTEN))
        return -ENOTCONN;
    if (tcb->state == GD_SYN_SENT) {
        gd_tcp_done(tcb, 0);
        return 0;
    }
    if (how != SHUT_WR)
        sock->shut_rd = true;
    if (how != SHUT_RD)
        send_fin(tcb);
    gd_sock_wake(sock, GD_READ | GD_WRITE | GD_RDHUP | (sock->shut_wr && (sock->shut_rd || tcb->fin_received) ? GD_HUP : 0u));
    return 0;
}

/* tcp(7), TCP_LINGER2; not less than the peer needs to hear and answer (Linux's tcp_fin_time). */
bool gd_tcp_await_fin(struct gd_tcb *tcb, uint64_t now)
{
    int32_t seconds = tcb->sock.options.linger2_s;
    uint64_t wait = seconds > 0 ? (uint32_t)seconds * GD_S : GD_TCP_FIN_TIMEOUT, least = 4 * tcb->rto - tcb->rto / 2;

    if (seconds < 0) {
        gd_tcp_abort(tcb, 0, now);
        return false;
    }
    gd_tcp_timer_set(tcb, GD_T_FIN_WAIT_2, now + (wait > least ? wait : least));
    return true;
}

/* RFC 9293 3.6: closing with bytes unread, or by SO_LINGER 0, resets. */
static bool must_reset(const struct gd_tcb *tcb)
{
    bool linger_zero = tcb->sock.options.linger_on && tcb->sock.options.linger_s == 0;

    return tcb->rcv.len > 0 || linger_zero;
}

void gd_tcp_close(struct gd_sock *sock)
{
    struct gd_tcb *tcb = gd_tcb(sock);
    uint64_t now = sock->stack->now;

    sock->orphan = true;
    sock->posted = 0;
    gd_list_remove(&sock->ready_link);
    if (tcb->state == GD_LISTEN)
        gd_listener_free(tcb, now);
    if (tcb->state == GD_CLOSED) {
        gd_tcb_free(tcb);
        return;
    }
    if (tcb->state == GD_SYN_SENT) {
        gd_tcp_done(tcb, 0);
        return;
    }
    if (must_reset(tcb)) {
        gd_tcp_output(tcb, now); /* send() has said it is sent: a TLS alert before the RST, as on Linux */
        gd_tcp_abort(tcb, 0, now);
        return;
    }
    if (sock->stack->norphans >= sock->stack->config.orphan_cap) { /* Linux's tcp_max_orphans: memory nobody asks for */
        gd_count(&sock->stack->stats, GD_STAT_tcp_orphans_refused);
        gd_tcp_abort(tcb, 0, now);
        return;
    }
    tcb->counted = true;
    sock->stack->norphans++;
    gd_buffer_clear(&sock->stack->pool, &tcb->rcv); /* islands; what comes now is answered by RST */
    gd_islands_clear(&tcb->islands);
    send_fin(tcb);
    if (tcb->state == GD_FIN_WAIT_2)
        gd_tcp_await_fin(tcb, now);
}
