/* One stack under attack, and what must hold whatever comes: the invariants of every target of this folder.
 * Called by the targets; calls the engine as any program does, box.c, peer.c, alloc.c.
 *
 *     input ─► frames ─► box ─► stack ─► box ─► judged (frame_fault), heard by the peers
 *              calls of sockets[]              witness: a connection that the input never names
 */
#ifndef FUZZ_HOST_H
#define FUZZ_HOST_H
#include "box.h"
#include "core/stack.h"
#include "frame.h"
#include "input.h"
#include "peer.h"

#define HOST_SOCKS 16
#define HOST_MS 1000000ull
#define HOST_S 1000000000ull
#define PORT_OPEN 80     /* a listener */
#define PORT_UDP 53      /* a bound datagram socket */
#define PORT_WITNESS 7

struct host {
    struct gd_stack *stack;
    struct box box;
    int ifindex;
    struct box second; /* a port that comes and goes */
    int second_index;  /* 0: it is not there */
    bool by_second;    /* frames come in there, while it is */
    uint64_t now;
    struct gd_sock *socks[HOST_SOCKS]; /* the input's; NULL: none */
    struct peer peer;                  /* of the connection under attack */
    bool tell_peer;
    struct peer witness;
    struct gd_sock *witness_sock;
    uint8_t last[FRAME_MAX];      /* the last frame sent, for the input to send back */
    uint32_t last_len;
    uint32_t sent;                     /* frames, in all */
    uint64_t polls, asked;             /* polls; frames put in */
    uint32_t burst, waiting;           /* frames that wait for the next poll, and how many may */
    bool ecn;                          /* both ends speak ECN */
    bool settled;                      /* addresses and routes stay: the storm's next scene relies on them */
    uint32_t dhcp_xid;                 /* of the last DHCP message */
};

/* Prints what broke, and aborts. */
_Noreturn void host_fail(const char *what, const char *detail);
#define HOST_CHECK(condition) ((condition) ? (void)0 : host_fail(#condition, __func__))

/* mode: bits of HOST_; a stack with its address, pinned neighbours and the witness. */
enum {
    HOST_SMALL = 1,     /* caps so low that they are reached */
    HOST_NO_CSUM = 2,   /* the port claims to have checked */
    HOST_ECN = 16,      /* asks for ECN, as the peer does */
    HOST_COOKIES = 32,  /* each SYN gets a cookie */
};
void host_open(struct host *host, uint8_t mode);
/* Ends everything: sockets closed, time passed, all counts at zero, the witness alive to the last. */
void host_close(struct host *host, bool abort_all);

/* Frames and memory are there again. */
void host_recover(struct host *host);
/* Closes the input's sockets, and lets so much time pass that nothing of them is left. */
void host_close_socks(struct host *host);

/* Polls until there is no work left now. */
void host_poll(struct host *host);
/* Moves the clock on, with a turn at every deadline on the way. */
void host_advance(struct host *host, uint64_t ns);
/* A frame from the wire, dropped if it names the witness; then a poll. */
void host_frame(struct host *host, uint8_t *frame, uint32_t len, bool fix);
/* The same without judging or polling: the harness's own. */
void host_put(struct host *host, const uint8_t *frame, uint32_t len);
/* A new socket in a free place, or NULL. */
struct gd_sock *host_socket(struct host *host, int domain, int type);
void host_add(struct host *host, struct gd_sock *sock);
/* Memory and tables within their caps, now. */
void host_check_caps(const struct host *host);
/* The second port comes, or goes with all that hangs on it. */
void host_plug(struct host *host);
/* Every socket is consistent, and nothing hangs (check.c). */
void host_check_sockets(const struct gd_stack *stack);
/* The witness moves data both ways. */
void host_check_witness(struct host *host);
/* One call of one socket, as the input says (calls.c). */
void host_call(struct host *host, struct input *in);
#endif
