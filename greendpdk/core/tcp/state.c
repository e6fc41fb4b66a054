/* The eleven states and the moves between them (RFC 9293 3.3.2), as one table; the only writer of tcb->state.
 * Called by every file of tcp/; calls nothing.
 */
#include "tcp.h"

#include <assert.h>

struct moves {
    enum gd_tcp_state from;
    unsigned to; /* states, or'ed */
    const char *name;
    uint8_t number; /* Linux's */
};

/* Every state may fall to CLOSED: by a RST, a timeout or an abort. */
static const struct moves table[] = {
    {GD_CLOSED, GD_LISTEN | GD_SYN_SENT | GD_SYN_RECEIVED, "CLOSED", 7},
    {GD_LISTEN, GD_CLOSED, "LISTEN", 10},
    {GD_SYN_SENT, GD_SYN_RECEIVED | GD_ESTABLISHED | GD_CLOSED, "SYN-SENT", 2},
    {GD_SYN_RECEIVED, GD_ESTABLISHED | GD_FIN_WAIT_1 | GD_CLOSED, "SYN-RECEIVED", 3},
    {GD_ESTABLISHED, GD_FIN_WAIT_1 | GD_CLOSE_WAIT | GD_CLOSED, "ESTABLISHED", 1},
    {GD_FIN_WAIT_1, GD_FIN_WAIT_2 | GD_CLOSING | GD_TIME_WAIT | GD_CLOSED, "FIN-WAIT-1", 4},
    {GD_FIN_WAIT_2, GD_TIME_WAIT | GD_CLOSED, "FIN-WAIT-2", 5},
    {GD_CLOSE_WAIT, GD_LAST_ACK | GD_CLOSED, "CLOSE-WAIT", 8},
    {GD_CLOSING, GD_TIME_WAIT | GD_CLOSED, "CLOSING", 11},
    {GD_LAST_ACK, GD_CLOSED, "LAST-ACK", 9},
    {GD_TIME_WAIT, GD_CLOSED, "TIME-WAIT", 6},
};

static const struct moves *row(enum gd_tcp_state state)
{
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        if (table[i].from == state)
            return &table[i];
    return &table[0];
}

void gd_tcp_become(struct gd_tcb *tcb, enum gd_tcp_state state)
{
    assert((row(tcb->state)->to & state) != 0 || (tcb->state == state && state == GD_CLOSED));
    tcb->state = state;
}

const char *gd_tcp_state_name(enum gd_tcp_state state)
{
    return row(state)->name;
}

uint8_t gd_tcp_state_number(enum gd_tcp_state state)
{
    return row(state)->number;
}
