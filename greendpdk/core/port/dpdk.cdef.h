/* The DPDK side as Python sees it; absent from builds without DPDK. Read by _build.py and port/dpdk.h.
 * Called by _stack.py; calls nothing.
 */
/* rte_eal_init with these words (argv[0] included). Restores the caller's CPU affinity. 0 or -errno. */
int gd_eal_init(int argc, char **argv);
const char *gd_eal_version(void);
/* EAL's and the drivers' last log lines (stderr is not written to); a static buffer, "" if none. */
const char *gd_eal_log(void);
struct gd_dpdk_settings {
    const char *devargs;   /* "net_tap0,iface=x" or "0000:03:00.0" */
    uint32_t mtu;          /* 0: the driver's own */
    const uint8_t *mac;    /* six bytes, NULL: the driver's own */
    uint32_t descriptors;  /* of each ring; 0: 512 */
    uint32_t frames;       /* mbufs in the pool; 0: by the rings */
    int offload;           /* checksums: 0 ours always, 1 the device's where it has them, 2 the driver's software too */
};
/* Probes (hot-plugs) the device, configures one queue, starts it. 0 or -errno: -ENODEV (no such driver or device, or it
 * refused), -EMSGSIZE (the driver does not take that MTU), -ENOMEM, -EPROTONOSUPPORT (no Ethernet), ... */
int gd_dpdk_open(const struct gd_dpdk_settings *settings, struct gd_port **out);
/* The driver's name ("net_tap") and the device's ("net_tap0"); static while the port lives. */
const char *gd_dpdk_driver(struct gd_port *port);
const char *gd_dpdk_name(struct gd_port *port);
/* The kernel's index of the interface that stands behind the device (net_tap's own end, af_packet's), 0 if none. */
int gd_dpdk_kernel_ifindex(struct gd_port *port);
/* rte_eth_stats: ipackets, opackets, ibytes, obytes, imissed, ierrors, oerrors, rx_nombuf. 0 or -errno. */
int gd_dpdk_stats(struct gd_port *port, uint64_t *eight);
/* 1 if the link is up. */
int gd_dpdk_link(struct gd_port *port);
