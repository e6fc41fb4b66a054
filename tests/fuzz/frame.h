/* Frames for harnesses: written, made right after a mutation, and judged when a stack has sent them.
 * Called by the scenes and targets; calls util/bytes.h.
 */
#ifndef FUZZ_FRAME_H
#define FUZZ_FRAME_H
#include "core/util/addr.h"

#include <stdbool.h>
#include <stdint.h>

#define FRAME_MAX 4096u
#define FRAME_ETHER 14u
#define FRAME_IP4 20u
#define FRAME_IP6 40u

/* The cast: MAC addresses 02:00:00:00:00:xx, IPv4 10.0.0.xx, IPv6 fe80::xx and 2001:db8::xx. */
enum { OURS = 1, PEER = 2, OTHER = 3, WITNESS = 9, ROUTER = 254 };

/* -- writing: each returns the bytes up to where the next header goes ----------------------------------------- */
uint32_t frame_ether(uint8_t *frame, const uint8_t *to, uint8_t from, uint16_t type);
/* To the stack's MAC address, from that member of the cast. */
uint32_t frame_ether_ours(uint8_t *frame, uint8_t from, uint16_t type);
/* From 10.0.0.from to a v4 address; l4_len bytes follow. */
uint32_t frame_ip4(uint8_t *frame, uint8_t from, uint32_t to, uint8_t proto, uint32_t l4_len);
uint32_t frame_ip4_ours(uint8_t *frame, uint8_t from, uint8_t proto, uint32_t l4_len);
/* Sixteen bytes each. A group `to` gets its MAC address. */
uint32_t frame_ip6(uint8_t *frame, uint8_t from, const uint8_t *src, const uint8_t *to, uint8_t next, uint8_t hops,
                   uint32_t l4_len);
/* fe80::number, 2001:db8::number. */
struct gd_addr frame_link_local(uint8_t number);
struct gd_addr frame_global(uint8_t number);
struct gd_addr frame_v4(uint8_t number); /* 10.0.0.number */
struct gd_addr frame_group6(uint8_t number); /* ff02::number */
void frame_mac(uint8_t *mac, uint8_t number);

/* -- making right: what a sender of good will would have put there ------------------------------------------- */
/* IP's and UDP's lengths, as far as the frame looks like one of these. */
void frame_fix_lengths(uint8_t *frame, uint32_t len);
/* The checksums of IPv4, TCP, UDP, ICMP, IGMP, ICMPv6; those of a fragment's payload are left alone. */
void frame_fix_checksums(uint8_t *frame, uint32_t len);
/* Where the transport header begins, by its protocol; 0: there is none to be found. first: no later fragment. */
uint32_t frame_transport(const uint8_t *frame, uint32_t len, uint8_t *proto, bool *whole);

/* -- judging -------------------------------------------------------------------------------------------------- */
/* What is wrong with a frame that the stack has sent; NULL: nothing. */
const char *frame_fault(const uint8_t *frame, uint32_t len, uint32_t mtu);
/* True if the frame names that v4 or v6 member of the cast as its source or inside (ICMP's quote, ARP, ND). */
bool frame_names(const uint8_t *frame, uint32_t len, uint8_t number);
#endif
