/* send and recv of a stream. Called by sock/sock.c; calls tcp/. */
#ifndef GD_SOCK_STREAM_H
#define GD_SOCK_STREAM_H
#include "sock.h"

/* Bytes taken; -EAGAIN, -EPIPE, -ENOBUFS, -EOPNOTSUPP, or the socket's error. */
int64_t gd_tcp_send(struct gd_sock *sock, const void *data, size_t len, int flags);
/* Bytes given, 0 at the end; -EAGAIN, -ENOTCONN, -EINVAL, -EOPNOTSUPP, or the socket's error. */
int64_t gd_tcp_recv(struct gd_sock *sock, void *data, size_t len, int flags);
#endif
