/* Explicit congestion notification of one connection (RFC 3168): its state, and the calls of ecn.c.
 * Included by tcp/tcp.h; ecn.c is called by tcp/emit.c, text.c, ack.c, syn_sent.c, listen.c, open.c.
 *
 *     a router marks CE ─► ecn.echo: ECE in each ACK ─► the sender reduces (recover.c, GD_CWR), ecn.cwr: CWR with its
 *     next new data ─► ecn.echo off
 */
#ifndef GD_TCP_ECN_H
#define GD_TCP_ECN_H
#include <stdbool.h>
#include <stdint.h>

#define GD_ECN_ECT0 0x02u /* RFC 3168 5: the two low bits of the traffic class */
#define GD_ECN_CE 0x03u

struct gd_ecn {
    bool asked; /* our first SYN said so */
    bool ok;    /* both ends speak it */
    bool seen;  /* data came that was ECT or CE (TCP_INFO) */
    bool echo;  /* CE came: ECE in each ACK until the peer says CWR */
    bool cwr;   /* the window was reduced: CWR with the next new data */
};

struct gd_tcb;
struct gd_stack;
struct gd_segment;
struct gd_tcp_header;
struct gd_ip_fields;

/* A connection of ours begins. */
void gd_ecn_open(struct gd_tcb *tcb);
/* A SYN asks for it, and we answer such (gd_config.ecn). */
bool gd_ecn_is_asked(const struct gd_stack *stack, const struct gd_segment *segment);
/* The SYN or SYN-ACK that answers our SYN. */
void gd_ecn_take_syn(struct gd_tcb *tcb, const struct gd_segment *segment);
/* Text in the window: was it marked, has the peer reduced? An ACK at once then. */
void gd_ecn_take_text(struct gd_tcb *tcb, const struct gd_segment *segment);
/* Adds what ECN says to a segment of ours with len bytes. */
void gd_ecn_stamp(const struct gd_tcb *tcb, struct gd_tcp_header *header, struct gd_ip_fields *fields, uint32_t len);
/* The peer tells of congestion. */
bool gd_ecn_is_echo(const struct gd_tcb *tcb, const struct gd_segment *segment);
#endif
