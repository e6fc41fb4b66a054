/* The DPDK side as Python sees it; absent from builds without DPDK. Read by _build.py and port/dpdk.h.
 * Called by _stack.py; calls nothing.
 */
/* rte_eal_init with these words (argv[0] included). Restores the caller's CPU affinity. 0 or -errno. */
int gd_eal_init(int argc, char **argv);
const char *gd_eal_version(void);
/* EAL's and the drivers' last log lines (stderr is not written to); a static buffer, "" if none. */
const char *gd_eal_log(void);
/* What they have said since the last call: (digit of the level in rte_log.h, text, NUL) again and again. Returns the bytes;
 * room must be 16 KiB. */
int gd_eal_log_take(char *out, int room);
/* An eventfd that is readable when there is something to take; for the life of the process. -errno. */
int gd_eal_log_fd(void);
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

/* -- DPDK telemetry, if EAL was started with it ---------------------------------------------- */
const char *gd_eal_runtime_dir(void); /* where its socket is; static */
/* From now on questions are answered: an fd that is readable when there is one, the stack's until gd_telemetry_close. -errno. */
int gd_telemetry_open(void);
void gd_telemetry_close(void); /* who still waits is told so */
/* A command ("/greendpdk/…") and what its help shows. 0, -EINVAL, -ENOMEM. For good: there is no way to take one back. */
int gd_telemetry_register(const char *cmd, const char *help);
/* Takes a question; the texts hold until gd_telemetry_done, which must follow in any case. 1, or 0: there is none. */
int gd_telemetry_take(const char **cmd, const char **parameters);
void gd_telemetry_done(int rc);
/* The answer is a dictionary. gd_telemetry_item begins one in it, of that name, which takes all that follows (DPDK 22.11 has
 * no lists of dictionaries, and nothing deeper). Names are of [A-Za-z0-9_/], texts shorter than 128 bytes, 256 entries in a
 * dictionary; 16,384 bytes of JSON in all: DPDK leaves out what is more without a word. 0, -ENOSPC, -EINVAL, -E2BIG, -ENOMEM. */
int gd_telemetry_item(const char *name);
int gd_telemetry_text(const char *name, const char *value);
int gd_telemetry_number(const char *name, uint64_t value);
