/* What must hold of every socket between two turns: numbers in order, queues that add up, and a timer for whatever
 * waits, so that nothing hangs for ever. Called by host.c after each step; reads the engine's structures.
 */
#include "host.h"

#include "core/tcp/tcp.h"
#include "core/tcp/window.h"
#include "core/util/seq.h"

#include <netinet/in.h>
#include <stdio.h>

/* Its entries follow each other from snd_una to snd_nxt, and its sums are those of the entries. */
static void check_flight(const struct gd_tcb *tcb)
{
    const struct gd_flight *flight = &tcb->flight;
    uint32_t pipe = 0, sacked = 0, lost = 0, at = tcb->snd_una;

    for (uint32_t i = 0; i < flight->count; i++) {
        const struct gd_sent *sent = gd_flight_at(flight, flight->first + i);
        uint32_t len = sent->end - sent->seq;

        HOST_CHECK(sent->seq == at && len > 0 && len <= 1u << 20);
        at = sent->end;
        pipe += sent->fate == GD_SENT_OUT ? len : 0;
        sacked += sent->fate == GD_SENT_SACKED ? len : 0;
        lost += sent->fate == GD_SENT_LOST;
    }
    HOST_CHECK(flight->count == 0 || at == tcb->snd_nxt);
    HOST_CHECK(flight->pipe == pipe && flight->sacked == sacked && flight->nlost == lost);
}

static void check_numbers(const struct gd_tcb *tcb)
{
    HOST_CHECK(gd_seq_le(tcb->snd_una, tcb->snd_nxt));
    HOST_CHECK(tcb->snd_nxt - tcb->snd_una <= tcb->snd.len + 2); /* SYN and FIN take a number, no byte */
    HOST_CHECK(gd_seq_le(tcb->rcv_nxt, gd_tcp_rcv_limit(tcb)));
    HOST_CHECK((tcb->state & GD_SYNCHRONIZED) == 0 || tcb->mss > 0);
    HOST_CHECK((tcb->state & GD_SYNCHRONIZED) == 0 || tcb->recovery != GD_OPEN ||
               tcb->cwnd > 0); /* PRR may ask for 0 */
    HOST_CHECK(tcb->rto >= GD_TCP_RTO_MIN && tcb->rto <= GD_TCP_RTO_MAX);
}

/* Nobody has read past a mark that stands, and a mark of ours is at a byte that is written and not acknowledged. */
static void check_urgent(const struct gd_tcb *tcb)
{
    HOST_CHECK(tcb->urgent_in == GD_URGENT_NONE || gd_seq_ge(tcb->rcv_up, gd_tcp_read_seq(tcb)));
    HOST_CHECK(!tcb->urgent_out || (gd_seq_gt(tcb->snd_up, tcb->snd_una) &&
                                    gd_seq_le(tcb->snd_up, gd_tcp_snd_base(tcb) + tcb->snd.len)));
}

/* The wheel holds the first deadline, or an earlier time. */
static void check_timers(const struct gd_tcb *tcb)
{
    for (int i = 0; i < GD_TIMERS; i++)
        HOST_CHECK(tcb->deadline[i] == GD_NEVER || tcb->timer.at <= tcb->deadline[i]);
}

/* Something is in flight, or waits: then a timer or the next turn will see to it. */
static void check_progress(const struct gd_tcb *tcb)
{
    bool waits = tcb->snd_una != tcb->snd_nxt || tcb->snd.len > 0;
    bool armed = tcb->deadline[GD_T_RETRANSMIT] != GD_NEVER || tcb->deadline[GD_T_PERSIST] != GD_NEVER ||
                 tcb->deadline[GD_T_CORK] != GD_NEVER || tcb->deadline[GD_T_PACE] != GD_NEVER ||
                 gd_list_linked(&tcb->output_link);
    bool ends = tcb->sock.orphan && !tcb->parent;

    HOST_CHECK(!waits || armed);
    /* Nobody holds it any more: it must end by itself. */
    HOST_CHECK(!ends || armed || tcb->deadline[GD_T_FIN_WAIT_2] != GD_NEVER);
}

static void check_listener(const struct gd_tcb *tcb)
{
    uint32_t queued = 0;

    HOST_CHECK(tcb->listener != NULL);
    for (struct gd_list *link = tcb->listener->accept_queue.next; link != &tcb->listener->accept_queue;
         link = link->next)
        queued++;
    HOST_CHECK(queued == tcb->listener->queued);
}

void host_check_sockets(const struct gd_stack *stack)
{
    uint32_t count = 0;

    for (struct gd_list *link = stack->socks.next; link != &stack->socks; link = link->next) {
        struct gd_sock *sock = GD_ENTRY(link, struct gd_sock, all_link);
        const struct gd_tcb *tcb = gd_tcb(sock);

        count++;
        if (sock->flow.proto != IPPROTO_TCP || tcb->state == GD_CLOSED)
            continue;
        if (tcb->state == GD_LISTEN) {
            check_listener(tcb);
            continue;
        }
        check_numbers(tcb);
        check_urgent(tcb);
        check_flight(tcb);
        check_timers(tcb);
        check_progress(tcb);
    }
    HOST_CHECK(count == stack->nsocks);
}
