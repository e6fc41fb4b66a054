/* Connections that wait for memory of the stack's pool, and how they learn that some came back.
 * Called by sock/stream.c, tcp/open.c, emit.c, close.c, and by stack.c at the end of each turn; calls sock/sock.c.
 *
 *     EAGAIN for want of memory, or a window that only the pool keeps shut ─► stack->starved ─► pool.given moved:
 *     a pass over the list, the first first; who may go on leaves it (GD_WRITE, or a window update), the rest goes behind
 *
 * A pass begins only when chunks came back since the last one, and looks at a bounded number a turn: waiting costs
 * nothing, and the turn after a large buffer was freed is no longer than others.
 */
#include "tcp.h"
#include "window.h"

#define A_TURN 16u

void gd_tcp_starve(struct gd_tcb *tcb)
{
    struct gd_stack *stack = tcb->sock.stack;

    if (gd_list_linked(&tcb->starved_link))
        return;
    gd_count(&stack->stats, GD_STAT_tcp_memory_waits);
    gd_list_append(&stack->starved, &tcb->starved_link);
    stack->nstarved++;
}

void gd_tcp_want_room(struct gd_tcb *tcb)
{
    tcb->want_write = true;
    if (gd_tcp_snd_short(tcb))
        gd_tcp_starve(tcb);
}

void gd_tcp_unstarve(struct gd_tcb *tcb)
{
    if (!gd_list_linked(&tcb->starved_link))
        return;
    gd_list_remove(&tcb->starved_link);
    tcb->sock.stack->nstarved--;
}

/* True if it waits no more. */
static bool feed(struct gd_tcb *tcb)
{
    bool waits;

    gd_tcp_wake_writer(tcb);
    waits = tcb->want_write && gd_tcp_snd_short(tcb);
    if ((tcb->state & GD_CAN_RECEIVE) != 0 && gd_tcp_rcv_short(tcb))
        return false;
    tcb->was_read = true; /* the window may open, as if by a reader */
    gd_tcp_want_output(tcb);
    return !waits;
}

void gd_tcp_feed(struct gd_stack *stack)
{
    struct gd_list *link;

    if (stack->fed != stack->pool.given) {
        stack->fed = stack->pool.given;
        stack->to_feed = stack->nstarved;
    }
    for (uint32_t i = 0; i < A_TURN && stack->to_feed > 0; i++) {
        struct gd_tcb *tcb;

        stack->to_feed--;
        link = gd_list_pop(&stack->starved);
        if (link == NULL)
            break;
        tcb = GD_ENTRY(link, struct gd_tcb, starved_link);
        if (feed(tcb))
            stack->nstarved--;
        else
            gd_list_append(&stack->starved, link);
    }
    if (gd_list_empty(&stack->starved))
        stack->to_feed = 0;
}
