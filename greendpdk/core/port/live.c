/* The loop with the real clock: the one place that asks the time. Called by loop.py and socket.py; calls stack.c and
 * sock/.
 *
 * Where the loop's time goes is told from the looks at the clock that a poll takes anyway:
 *
 *   poll ──── handlers ──── poll ──── poll ─── yield ─┐── asleep ─── epoll ─── awake ── handlers ── poll
 *   └ found something: busy ┘└ nothing: spinning, ────┘└ asleep ────────────────┘└ busy ────────────┘
 *                               what is beyond TURN_NS busy
 */
#define _GNU_SOURCE /* sched_getcpu */
#include "../stack.h"
#include "watch.h"

#include <errno.h>
#include <sched.h>
#include <sys/socket.h>
#include <time.h>

#define TURN_NS 20000u /* a turn of the loop in which nothing is to do takes 1 us, and an epoll or a timer more */

/* A program that sends or receives in a loop and never blocks must not stop the network: once in so many calls the
 * network gets its turn. 64 full segments are 90 KB, less than a window, so the peer does not run dry meanwhile. */
#define CALLS_A_POLL 64u

uint64_t gd_live_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* What went on since the last poll, or since the loop woke. The watchdog's thread reads `at`. */
static void account(struct gd_loop *loop, uint64_t now, uint64_t spin_ns)
{
    uint64_t took = now - loop->at, spun = 0;

    if (loop->idle)
        spun = took < spin_ns + TURN_NS ? took : spin_ns + TURN_NS;
    if (loop->at != 0) {
        loop->spinning += spun;
        loop->busy += took - spun;
        if (took - spun > loop->longest)
            loop->longest = took - spun;
    }
    __atomic_store_n(&loop->at, now, __ATOMIC_RELAXED);
}

struct gd_loop *gd_stack_loop(struct gd_stack *stack)
{
    return &stack->loop;
}

uint64_t gd_loop_frames(struct gd_stack *stack)
{
    return stack->frames;
}

void gd_loop_asleep(struct gd_stack *stack)
{
    uint64_t now = gd_live_now();

    account(&stack->loop, now, 0);
    stack->loop.slept_at = now;
    __atomic_store_n(&stack->loop.at, 0, __ATOMIC_RELAXED);
}

void gd_loop_awake(struct gd_stack *stack)
{
    struct gd_loop *loop = &stack->loop;
    uint64_t now = gd_live_now();

    if (loop->slept_at == 0)
        return;
    loop->asleep += now - loop->slept_at;
    loop->slept_at = 0;
    loop->idle = 0;
    __atomic_store_n(&loop->at, now, __ATOMIC_SEQ_CST);
    if (stack->watch != NULL)
        gd_watch_ring(stack->watch);
}

void gd_loop_yield(struct gd_stack *stack)
{
    uint64_t now;

    sched_yield();
    now = gd_live_now();
    if (stack->loop.at != 0)
        stack->loop.spinning += now - stack->loop.at;
    __atomic_store_n(&stack->loop.at, now, __ATOMIC_RELAXED);
}

/* The CPU on which frames came last is what SO_INCOMING_CPU tells. */
static uint64_t poll_once(struct gd_stack *stack, uint64_t now)
{
    uint64_t received = stack->frames;
    uint64_t next = gd_stack_poll(stack, now);

    if (stack->frames != received)
        stack->cpu = sched_getcpu();
    return next;
}

int gd_live_poll(struct gd_stack *stack, uint64_t spin_ns, uint32_t *pairs, int max, int64_t *next_in_ns,
                 uint32_t *frames)
{
    uint64_t received = stack->frames;
    uint64_t now = gd_live_now();
    uint64_t until = now + spin_ns;
    uint64_t next;
    int count;

    account(&stack->loop, now, spin_ns);
    stack->loop.turns++;
    stack->calls = 0;
    for (;;) {
        next = poll_once(stack, now);
        stack->loop.polls++;
        count = gd_stack_events(stack, pairs, max);
        if (count || spin_ns == 0)
            break;
        now = gd_live_now();
        if (now >= until)
            break;
    }
    *next_in_ns = next == GD_NEVER ? INT64_MAX : (int64_t)(next - now);
    *frames = (uint32_t)(stack->frames - received);
    stack->loop.idle = count == 0 && *frames == 0;
    stack->loop.events += (uint64_t)count;
    if (stack->loop.watched && !stack->loop.idle)
        stack->loop.polling += gd_live_now() - now;
    return count;
}

static void turn(struct gd_stack *stack)
{
    stack->calls = 0;
    poll_once(stack, gd_live_now()); /* its events stay on the ready list, for the loop */
}

static void count_call(struct gd_stack *stack)
{
    if (++stack->calls >= CALLS_A_POLL)
        turn(stack);
}

int64_t gd_live_send(struct gd_sock *sock, const void *data, size_t len, int flags)
{
    int64_t sent;

    count_call(sock->stack);
    sent = gd_sock_send(sock, data, len, flags);
    if (sent != -EAGAIN)
        return sent;
    turn(sock->stack);
    return gd_sock_send(sock, data, len, flags);
}

int64_t gd_live_recv(struct gd_sock *sock, void *data, size_t len, int flags)
{
    int64_t received;

    count_call(sock->stack);
    received = gd_sock_recv(sock, data, len, flags);
    if (received != -EAGAIN)
        return received;
    turn(sock->stack);
    return gd_sock_recv(sock, data, len, flags);
}

int64_t gd_live_recvfrom(struct gd_sock *sock, void *data, size_t len, int flags, struct gd_sender *out)
{
    int64_t received;

    count_call(sock->stack);
    received = gd_sock_recvfrom(sock, data, len, flags, out->addr, &out->port, &out->msg_flags);
    if (received != -EAGAIN)
        return received;
    turn(sock->stack);
    return gd_sock_recvfrom(sock, data, len, flags, out->addr, &out->port, &out->msg_flags);
}

int gd_live_accept(struct gd_sock *listener, struct gd_sock **out)
{
    int result;

    count_call(listener->stack);
    result = gd_sock_accept(listener, out);
    if (result != -EAGAIN)
        return result;
    turn(listener->stack);
    return gd_sock_accept(listener, out);
}

/* Of the clocks as they are now: a real time that was set meanwhile counts at once. */
static int64_t epoch(void)
{
    struct timespec real;
    uint64_t now = gd_live_now();

    clock_gettime(CLOCK_REALTIME, &real);
    return (int64_t)real.tv_sec * 1000000000 + real.tv_nsec - (int64_t)now;
}

int64_t gd_live_recvmsg(struct gd_sock *sock, struct gd_message *message, int flags)
{
    uint32_t room = message->control_len;
    int64_t received;

    count_call(sock->stack);
    message->epoch_ns = sock->options.stamps != 0 ? epoch() : 0;
    received = gd_sock_recvmsg(sock, message, flags);
    if (received != -EAGAIN)
        return received;
    turn(sock->stack);
    message->control_len = room;
    return gd_sock_recvmsg(sock, message, flags);
}

int64_t gd_live_sendmsg(struct gd_sock *sock, const struct gd_message *message, int flags)
{
    int64_t sent;

    count_call(sock->stack);
    sent = gd_sock_sendmsg(sock, message, flags);
    if (sent != -EAGAIN)
        return sent;
    turn(sock->stack);
    return gd_sock_sendmsg(sock, message, flags);
}
