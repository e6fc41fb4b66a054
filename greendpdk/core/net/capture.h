/* Frames as they come and go, written as pcapng blocks to a ring for whoever asked. Included by ether.c and stack.c. */
#ifndef GD_NET_CAPTURE_H
#define GD_NET_CAPTURE_H
#include "net.h"

struct gd_capture;

/* Around the work on a received frame: what that counts as a drop is the frame's comment. */
void gd_capture_begin(struct gd_netif *netif);
void gd_capture_end(struct gd_netif *netif, const struct gd_frame *frame, uint64_t now);
void gd_capture_out(struct gd_netif *netif, const struct gd_frame *frame, uint64_t now);
#endif
