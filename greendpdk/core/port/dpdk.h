/* The DPDK side of the ports: what Python may call, and what dpdk_open.c and dpdk.c share. Included by those two, by
 * eal.c and by the generated module, only in builds with DPDK; includes no rte_*.
 */
#ifndef GD_PORT_DPDK_H
#define GD_PORT_DPDK_H
#include "port.h"

#include "dpdk.cdef.h"

struct rte_device;
struct rte_mempool;

struct gd_dpdk {
    struct gd_port port;      /* first: ops get a pointer to it */
    uint16_t id;              /* ethdev's port number */
    bool started;
    int rx_fd;                /* the driver's; -1: none */
    int xdp_fd;               /* net_af_xdp's socket, the driver's; -1: none */
    uint64_t xdp_cookie;      /* the kernel's name for it */
    int ifindex;              /* the kernel's, or 0 */
    struct rte_device *device;
    struct rte_mempool *pool; /* owned */
    uint32_t trusted;         /* frames whose checksum the device has called right */
    uint64_t too_long, refused; /* frames dropped here: received, to be sent */
    char driver[64], name[64]; /* ethdev: RTE_ETH_NAME_MAX_LEN is 64 */
};

static inline struct gd_dpdk *gd_dpdk_of(struct gd_port *port)
{
    return (struct gd_dpdk *)(void *)port;
}

extern const struct gd_port_ops gd_dpdk_ops; /* dpdk.c */
void gd_dpdk_close(struct gd_port *port);    /* dpdk_open.c */

/* dpdk_pool.c: mbufs of at least `room` bytes for data, headroom included, each with a gd_frame; NULL: out of memory. */
struct rte_mempool *gd_dpdk_pool(const char *name, uint32_t frames, uint16_t room);

#define GD_XDP_MOST 64 /* AF_XDP sockets in a process that are told apart: twice the ports that DPDK can have */

/* dpdk_xdp.c: the driver's log type, in which its libraries write from now on. */
uint32_t gd_xdp_log(void);
/* The numbers of the process's AF_XDP sockets; returns how many. */
int gd_xdp_sockets(int fds[GD_XDP_MOST]);
/* Sets xdp_fd to the one that was not there before; leaves it if there is none (no /proc). */
void gd_xdp_find(struct gd_dpdk *dpdk, const int *before, int count);
/* Closes what the driver, now closed, has left open. */
void gd_xdp_close(struct gd_dpdk *dpdk);
#endif
