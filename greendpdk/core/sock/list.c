/* Every socket and what is left of some, page by page, for who looks in (ss). O(page) each.
 * Called by Python through api.cdef.h; calls tcp/ and the tables.
 *
 *   cursor   0, 1, …  buckets of `ids`: sockets and orphans      2^32 + 0, 1, …  of `flows`: half-open, TIME-WAIT
 *
 * A table that doubles between two pages moves half a bucket further on: that is shown twice, and nothing is left out.
 */
#include "../tcp/tcp.h"
#include "../tcp/window.h"
#include "dgram.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#define FLOWS (1ull << 32)
#define ESTABLISHED 1 /* include/net/tcp_states.h */
#define SYN_RECEIVED 3
#define TIME_WAIT 6
#define CLOSED 7

static void set_addresses(struct gd_listed *out, const struct gd_flow *flow)
{
    memcpy(out->local, flow->local.addr.b, 16);
    memcpy(out->remote, flow->remote.addr.b, 16);
    out->local_port = flow->local.port;
    out->remote_port = flow->remote.port;
    out->proto = flow->proto;
}

static uint64_t until(const struct gd_stack *stack, uint64_t at)
{
    return at > stack->now ? at - stack->now : 0;
}

static void set_timer(struct gd_listed *out, const struct gd_tcb *tcb)
{
    static const struct {
        enum gd_tcp_timer timer;
        uint8_t shown;
    } order[] = {{GD_T_RETRANSMIT, GD_TIMER_ON},   {GD_T_PROBE, GD_TIMER_ON},
                 {GD_T_REORDER, GD_TIMER_ON},      {GD_T_FIN_WAIT_2, GD_TIMER_TIME_WAIT},
                 {GD_T_PERSIST, GD_TIMER_PERSIST}, {GD_T_KEEPALIVE, GD_TIMER_KEEPALIVE}};

    for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
        if (tcb->deadline[order[i].timer] == UINT64_MAX)
            continue;
        out->timer = order[i].shown;
        out->timer_ns = until(tcb->sock.stack, tcb->deadline[order[i].timer]);
        return;
    }
}

static void set_stream(struct gd_listed *out, struct gd_tcb *tcb)
{
    out->state = gd_tcp_state_number(tcb->state);
    out->retries = tcb->retries > tcb->probes ? tcb->retries : tcb->probes;
    if (tcb->state == GD_LISTEN) {
        out->recv_queue = tcb->listener->queued;
        out->send_queue = tcb->listener->backlog;
        return;
    }
    out->recv_queue = tcb->rcv.len;
    out->send_queue = (uint32_t)gd_sock_unacked(&tcb->sock);
    out->sent = tcb->tally.bytes_sent;
    out->received = tcb->tally.bytes_received;
    set_timer(out, tcb);
}

static void list_socket(struct gd_listed *out, struct gd_sock *sock)
{
    memset(out, 0, sizeof(*out));
    set_addresses(out, &sock->flow);
    out->what = sock->orphan ? GD_LISTED_ORPHAN : GD_LISTED_SOCKET;
    out->id = sock->id;
    if (sock->type == SOCK_STREAM) {
        set_stream(out, gd_tcb(sock));
        return;
    }
    out->state = gd_udp_of(sock)->connected ? ESTABLISHED : CLOSED;
    out->recv_queue = gd_udp_of(sock)->queue.len;
}

static void list_request(struct gd_listed *out, const struct gd_request *request)
{
    memset(out, 0, sizeof(*out));
    set_addresses(out, &request->flow);
    out->what = GD_LISTED_HALF_OPEN;
    out->state = SYN_RECEIVED;
    out->retries = request->retries;
    out->timer = GD_TIMER_ON;
    out->timer_ns = until(request->listener->sock.stack, request->timer.at);
}

static void list_time_wait(struct gd_listed *out, const struct gd_time_wait *tw)
{
    memset(out, 0, sizeof(*out));
    set_addresses(out, &tw->flow);
    out->what = GD_LISTED_TIME_WAIT;
    out->state = TIME_WAIT;
    out->timer = GD_TIMER_TIME_WAIT;
    out->timer_ns = until(tw->stack, tw->timer.at);
}

static bool list_flow(struct gd_listed *out, struct gd_flow *flow)
{
    switch (flow->kind) {
    case GD_FLOW_REQUEST:
        list_request(out, GD_ENTRY(flow, struct gd_request, flow));
        return true;
    case GD_FLOW_TIME_WAIT:
        list_time_wait(out, GD_ENTRY(flow, struct gd_time_wait, flow));
        return true;
    default:
        return false; /* a socket: `ids` has it */
    }
}

static bool list_node(struct gd_listed *out, struct gd_node *node, bool flows)
{
    struct gd_sock *sock;

    if (flows)
        return list_flow(out, GD_ENTRY(node, struct gd_flow, node));
    sock = GD_ENTRY(node, struct gd_sock, id_node);
    list_socket(out, sock);
    return true;
}

/* From bucket *at on, whole buckets; returns the count, *at is mask + 1 when that was the last. */
static int list_table(const struct gd_table *table, uint32_t *at, bool flows, struct gd_listed *out, int max)
{
    int count = 0;

    for (; *at <= table->mask; ++*at) {
        int before = count;

        for (struct gd_node *node = table->buckets[*at]; node != NULL; node = node->next) {
            if (count == max && before > 0)
                return before; /* the bucket comes whole, in the next page */
            if (count == max)
                break; /* longer than a page: SipHash does not make such chains */
            count += list_node(&out[count], node, flows) ? 1 : 0;
        }
    }
    return count;
}

int gd_stack_list(struct gd_stack *stack, uint64_t *cursor, struct gd_listed *out, int max)
{
    bool flows = *cursor >= FLOWS;
    const struct gd_table *table = flows ? &stack->flows : &stack->ids;
    uint32_t at = (uint32_t)*cursor;
    int count = list_table(table, &at, flows, out, max);

    if (at <= table->mask)
        *cursor = (flows ? FLOWS : 0) + at;
    else
        *cursor = flows ? 0 : FLOWS;
    return count;
}

void gd_stack_states(struct gd_stack *stack, uint32_t *sixteen)
{
    memset(sixteen, 0, 16 * sizeof(*sixteen));
    for (struct gd_list *link = stack->socks.next; link != &stack->socks; link = link->next) {
        struct gd_sock *sock = GD_ENTRY(link, struct gd_sock, all_link);

        sixteen[sock->type == SOCK_STREAM ? gd_tcp_state_number(gd_tcb(sock)->state) & 15 : 0]++;
    }
    sixteen[SYN_RECEIVED] += stack->nrequests;
    sixteen[TIME_WAIT] += stack->ntime_waits;
}

int gd_stack_tcp_info(struct gd_stack *stack, uint32_t id, void *info, char *congestion)
{
    for (struct gd_node *node = gd_table_first(&stack->ids, id); node != NULL; node = node->next) {
        struct gd_sock *sock = GD_ENTRY(node, struct gd_sock, id_node);
        struct gd_tcp_info found;

        if (sock->id != id || sock->type != SOCK_STREAM)
            continue;
        gd_tcp_info(gd_tcb(sock), &found);
        memcpy(info, &found, sizeof(found));
        memset(congestion, 0, 16);
        if (gd_tcb(sock)->cc != NULL)
            memcpy(congestion, gd_tcb(sock)->cc->name, strnlen(gd_tcb(sock)->cc->name, 15));
        return 0;
    }
    return -ENOENT;
}
