/* A socket's error queue: IP_RECVERR, IPV6_RECVERR and MSG_ERRQUEUE (ip(7), ipv6(7), recv(2)).
 * Included by sock/, tcp/icmp.c, tcp/open.c.
 */
#ifndef GD_SOCK_ERRORS_H
#define GD_SOCK_ERRORS_H
#include "control.h"

/* Has the socket asked for the errors of that family? */
bool gd_errors_wanted(const struct gd_sock *sock, bool v4);
/* Keeps one, with the bytes of the packet that it is about, and wakes GD_ERR; drops and counts it beyond SO_RCVBUF. */
void gd_errors_add(struct gd_sock *sock, const struct gd_icmp_error *error, const void *quote, uint32_t len);
/* One of our own making: that was too long for the path, whose MTU is that. */
void gd_errors_add_local(struct gd_sock *sock, const struct gd_endpoint *to, uint32_t mtu);
bool gd_errors_any(const struct gd_sock *sock);
/* recvmsg with MSG_ERRQUEUE: the oldest. Bytes of the quote, -EAGAIN. Never blocks. */
int64_t gd_errors_receive(struct gd_sock *sock, struct gd_message *message);
/* The same without its control messages. */
int64_t gd_errors_recv(struct gd_sock *sock, void *data, size_t len);
/* IP_RECVERR is off, or the socket goes. */
void gd_errors_clear(struct gd_sock *sock);
#endif
