/* One row an option: what option.c, option_tcp.c and option_ip.c put in their tables. Included by those only. */
#ifndef GD_SOCK_OPTION_H
#define GD_SOCK_OPTION_H
#include "sock.h"

#include <netinet/in.h>
#include <stddef.h>

enum gd_option_for { GD_ANY, GD_STREAM, GD_DGRAM };

struct gd_option {
    int level, name;
    enum gd_option_for type;
    /* An int: lengths are checked by the caller. NULL: cannot be set (ENOPROTOOPT), cannot be read. */
    int (*set)(struct gd_sock *sock, const struct gd_option *option, int value);
    int (*get)(struct gd_sock *sock, const struct gd_option *option);
    size_t at;    /* of the field in gd_options, for the plain ones below */
    int min, max; /* outside: EINVAL */
    /* Anything but an int: these come instead. *len in: room, out: bytes written. 0, -errno. */
    int (*set_raw)(struct gd_sock *sock, const void *value, uint32_t len);
    int (*get_raw)(struct gd_sock *sock, void *value, uint32_t *len);
};

#define GD_AT(field) .at = offsetof(struct gd_options, field)

/* option.c: plain fields of gd_options, at option->at: a bool, a uint32_t between min and max. */
uint32_t *gd_option_number(struct gd_sock *sock, const struct gd_option *option); /* that field */
int gd_option_set_flag(struct gd_sock *sock, const struct gd_option *option, int value);
int gd_option_get_flag(struct gd_sock *sock, const struct gd_option *option);
int gd_option_set_number(struct gd_sock *sock, const struct gd_option *option, int value);
int gd_option_get_number(struct gd_sock *sock, const struct gd_option *option);
/* A structure to the caller: as much of it as there is room for. */
int gd_option_put(void *value, uint32_t *len, const void *from, uint32_t size);

/* The tables of the other levels; *count gets the number of rows. */
const struct gd_option *gd_option_socket(size_t *count); /* option_socket.c: SOL_SOCKET, but for control.c's and device.c's */
const struct gd_option *gd_option_tcp(size_t *count); /* option_tcp.c: IPPROTO_TCP */
const struct gd_option *gd_option_ip(size_t *count);  /* option_ip.c: IPPROTO_IP, IPPROTO_IPV6 */
const struct gd_option *gd_option_udp(size_t *count); /* dgram_cork.c: IPPROTO_UDP */
const struct gd_option *gd_option_group(size_t *count); /* option_group.c: the same levels, multicast */
const struct gd_option *gd_option_control(size_t *count); /* option_control.c: of every level, control messages */
const struct gd_option *gd_option_device(size_t *count);  /* option_device.c: of every level, devices */
/* option_group.c: an interface by its index, by an address of its own, or by the route to the group; NULL: there is none. */
struct gd_netif *gd_option_interface(struct gd_stack *stack, const struct gd_addr *group, int ifindex,
                                     const struct in_addr *address);

/* option_source.c: options that only set, and that have no row: whose datagrams to a group a socket wants. */
bool gd_option_is_source(const struct gd_sock *sock, int level, int name);
int gd_option_set_source(struct gd_sock *sock, int level, int name, const void *value, uint32_t len);
#endif
