/* Opens and closes a DPDK device as a port. Called by _stack.py; calls EAL's hot-plug and ethdev's configuration; the
 * frames are dpdk.c's.
 *
 * net_tap is the one driver with habits of its own. It asks the kernel for a real-time signal at every arriving burst
 * and receives nothing until its handler has run; any system call of the program may be cut short by that. But it also
 * knows what to do when no signal is free: then it looks at its fd at each poll, which is what we want. So while a
 * device is opened, all real-time signals without a handler have one, and afterwards they are as they were.
 *
 * And net_tap gives the kernel's end of the wire its own MAC address. Two hosts on one wire need two: ours differs from
 * it in the last bit, unless `remote=` makes the pair one host on that other interface.
 */
#define _GNU_SOURCE
#include "dpdk.h"

#include <rte_cycles.h>
#include <rte_dev.h>
#include <rte_ethdev.h>
#include <rte_log.h>
#include <rte_mbuf.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RX_CSUM (RTE_ETH_RX_OFFLOAD_IPV4_CKSUM | RTE_ETH_RX_OFFLOAD_UDP_CKSUM | RTE_ETH_RX_OFFLOAD_TCP_CKSUM)
#define TX_L4_CSUM (RTE_ETH_TX_OFFLOAD_UDP_CKSUM | RTE_ETH_TX_OFFLOAD_TCP_CKSUM)
#define DESCRIPTORS 512u /* a ring of each kind; two milliseconds of full frames at 3 Gbit/s */
#define SPARE 1024u      /* mbufs besides the rings': the engine's queues and the pool's cache */
#define XDP_TRIES 20     /* to open the kernel's queue: half a second */
#define XDP_NAP_US 25000
#define FRAME_EXTRA 26u  /* Ethernet header, two VLAN tags, checksum */

struct quiet {
    sigset_t mask;
    uint64_t taken; /* by signal number - SIGRTMIN */
};

static void no_handler(int number)
{
    (void)number;
}

/* Keeps real-time signals from net_tap, and all signals from threads that drivers start. */
static void quiet_begin(struct quiet *quiet)
{
    struct sigaction busy = {.sa_handler = no_handler, .sa_flags = SA_RESTART}, old;
    sigset_t all;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &quiet->mask);
    quiet->taken = 0;
    for (int number = SIGRTMIN; number <= SIGRTMAX; number++) {
        if (sigaction(number, NULL, &old) < 0 || old.sa_handler != SIG_DFL)
            continue;
        if (sigaction(number, &busy, NULL) == 0)
            quiet->taken |= 1ull << (number - SIGRTMIN);
    }
}

static void quiet_end(const struct quiet *quiet)
{
    struct sigaction usual = {.sa_handler = SIG_DFL};

    for (int number = SIGRTMIN; number <= SIGRTMAX; number++)
        if (quiet->taken & 1ull << (number - SIGRTMIN))
            sigaction(number, &usual, NULL);
    pthread_sigmask(SIG_SETMASK, &quiet->mask, NULL);
}

/* Probes the device. 0 and its port number, or -errno. */
static int probe(const char *devargs, uint16_t *id)
{
    bool before[RTE_MAX_ETHPORTS];
    int result;

    for (uint16_t i = 0; i < RTE_MAX_ETHPORTS; i++)
        before[i] = rte_eth_dev_is_valid_port(i);
    result = rte_dev_probe(devargs);
    if (result == -EEXIST)
        return result;
    if (result < 0)
        return -ENODEV; /* drivers return anything here; what they have to say is in the log */
    for (uint16_t i = 0; i < RTE_MAX_ETHPORTS; i++) {
        if (!before[i] && rte_eth_dev_is_valid_port(i)) {
            *id = i;
            return 0;
        }
    }
    return -ENODEV;
}

static int make_pool(struct gd_dpdk *dpdk, const struct gd_dpdk_settings *settings, uint32_t rings)
{
    uint32_t room = RTE_PKTMBUF_HEADROOM + dpdk->port.mtu + FRAME_EXTRA;
    char name[RTE_MEMPOOL_NAMESIZE];

    if (room < RTE_MBUF_DEFAULT_BUF_SIZE)
        room = RTE_MBUF_DEFAULT_BUF_SIZE; /* some NICs want 2 KiB at least */
    if (room > UINT16_MAX)
        return -EMSGSIZE;
    snprintf(name, sizeof name, "greendpdk-%u", dpdk->id);
    dpdk->pool = gd_dpdk_pool(name, settings->frames ? settings->frames : rings + SPARE, (uint16_t)room);
    return dpdk->pool ? 0 : -ENOMEM;
}

/* Queues, offloads, start; `interrupts` if the driver is to give an fd for its receive queue. */
static int configure(struct gd_dpdk *dpdk, const struct gd_dpdk_settings *settings,
                     const struct rte_eth_dev_info *info, bool interrupts)
{
    struct rte_eth_conf conf = {.intr_conf.rxq = interrupts, .rxmode.mtu = dpdk->port.mtu};
    uint16_t rx = (uint16_t)(settings->descriptors ? settings->descriptors : DESCRIPTORS), tx = rx;
    unsigned int socket = (unsigned int)rte_eth_dev_socket_id(dpdk->id); /* -1, "any", for a vdev */
    int result;

    /* net_tap's checksums are loops over bytes like ours, but slower: 1.0 for 1.2 Gbit/s out, 1.4 for 1.8 in. */
    if (settings->offload > (strcmp(dpdk->driver, "net_tap") == 0)) {
        conf.rxmode.offloads = info->rx_offload_capa & RX_CSUM;
        conf.txmode.offloads = info->tx_offload_capa & (RTE_ETH_TX_OFFLOAD_IPV4_CKSUM | TX_L4_CSUM);
    }
    dpdk->port.caps = (conf.rxmode.offloads == RX_CSUM ? GD_CAP_RX_CSUM : 0) |
                      (conf.txmode.offloads & RTE_ETH_TX_OFFLOAD_IPV4_CKSUM ? GD_CAP_TX_IP_CSUM : 0) |
                      ((conf.txmode.offloads & TX_L4_CSUM) == TX_L4_CSUM ? GD_CAP_TX_L4_CSUM : 0);
    result = rte_eth_dev_configure(dpdk->id, 1, 1, &conf);
    if (result < 0)
        return result;
    /* The kernel's end of a tap, too; a driver without the call has been told by the configuration. */
    if (settings->mtu)
        result = rte_eth_dev_set_mtu(dpdk->id, (uint16_t)settings->mtu);
    if (result < 0 && result != -ENOTSUP)
        return result;
    result = rte_eth_dev_adjust_nb_rx_tx_desc(dpdk->id, &rx, &tx);
    if (result < 0)
        return result;
    /* A driver may have rings of its own besides those that it is asked for, of its usual size: net_af_xdp lends 2,048
     * mbufs to the kernel at once, and as many can be on their way back from it. */
    if (!dpdk->pool)
        result = make_pool(dpdk, settings, (uint32_t)rx + tx + info->default_rxportconf.ring_size +
                                               info->default_txportconf.ring_size);
    if (result < 0)
        return result;
    result = rte_eth_rx_queue_setup(dpdk->id, 0, rx, socket, NULL, dpdk->pool);
    if (result < 0)
        return result;
    result = rte_eth_tx_queue_setup(dpdk->id, 0, tx, socket, NULL);
    if (result < 0)
        return result;
    result = rte_eth_dev_start(dpdk->id);
    dpdk->started = result == 0;
    return result;
}

/* 0, or -EMSGSIZE: ethdev would refuse that MTU; the log says what it takes. */
static int choose_mtu(struct gd_dpdk *dpdk, uint32_t wanted, const struct rte_eth_dev_info *info)
{
    uint16_t mtu;
    int result = rte_eth_dev_get_mtu(dpdk->id, &mtu);
    uint32_t overhead = RTE_ETHER_HDR_LEN + RTE_ETHER_CRC_LEN, most = info->max_mtu;

    if (result < 0)
        return result;
    dpdk->port.mtu = wanted ? wanted : mtu;
    if (info->max_mtu != UINT16_MAX && info->max_rx_pktlen > info->max_mtu)
        overhead = info->max_rx_pktlen - info->max_mtu;
    if (info->max_rx_pktlen > overhead && info->max_rx_pktlen - overhead < most)
        most = info->max_rx_pktlen - overhead;
    if (!wanted || (wanted >= info->min_mtu && wanted <= most))
        return 0;
    rte_log(RTE_LOG_ERR, RTE_LOGTYPE_USER1, "greendpdk: %s takes %u to %u\n", dpdk->driver, info->min_mtu, most);
    return -EMSGSIZE;
}

/* Our address on the wire; see the head of the file for net_tap. */
static int choose_mac(struct gd_dpdk *dpdk, const struct gd_dpdk_settings *settings, bool own_wire)
{
    struct rte_ether_addr mac;
    int result = rte_eth_macaddr_get(dpdk->id, &mac);

    if (result < 0)
        return result;
    if (settings->mac)
        memcpy(mac.addr_bytes, settings->mac, sizeof mac.addr_bytes);
    else if (own_wire)
        mac.addr_bytes[5] ^= 1;
    memcpy(dpdk->port.mac, mac.addr_bytes, sizeof mac.addr_bytes);
    if (!settings->mac || own_wire)
        return 0;
    result = rte_eth_dev_default_mac_addr_set(dpdk->id, &mac);
    /* A driver that cannot filter by another address must let everything in; the engine looks at it anyway. */
    if (result == -ENOTSUP)
        result = rte_eth_promiscuous_enable(dpdk->id);
    return result == -ENOTSUP ? 0 : result;
}

static int start(struct gd_dpdk *dpdk, const struct gd_dpdk_settings *settings)
{
    struct rte_eth_dev_info info;
    bool tap, xdp, own_wire;
    int sockets[GD_XDP_MOST], count = 0, result = rte_eth_dev_info_get(dpdk->id, &info);

    if (result < 0)
        return result;
    dpdk->device = info.device;
    dpdk->ifindex = (int)info.if_index;
    snprintf(dpdk->driver, sizeof dpdk->driver, "%s", info.driver_name);
    rte_eth_dev_get_name_by_port(dpdk->id, dpdk->name);
    if (strcmp(dpdk->driver, "net_tun") == 0)
        return -EPROTONOSUPPORT;
    tap = strcmp(dpdk->driver, "net_tap") == 0;
    xdp = strcmp(dpdk->driver, "net_af_xdp") == 0;
    own_wire = tap && !strstr(settings->devargs, "remote=");
    result = choose_mtu(dpdk, settings->mtu, &info);
    if (result < 0)
        return result;
    if (xdp)
        count = gd_xdp_sockets(sockets);
    result = configure(dpdk, settings, &info, tap);
    if (result < 0 && tap)
        result = configure(dpdk, settings, &info, false);
    if (xdp)
        gd_xdp_find(dpdk, sockets, count);
    if (result < 0)
        return result;
    /* An fd that needs no arming and no reading: of the drivers only these two have one. */
    dpdk->rx_fd = tap ? rte_eth_dev_rx_intr_ctl_q_get_fd(dpdk->id, 0) : dpdk->xdp_fd;
    /* Neighbour discovery lives by groups. A driver that cannot filter them lets them in anyway. */
    rte_eth_allmulticast_enable(dpdk->id);
    return choose_mac(dpdk, settings, own_wire);
}

static int open_once(const struct gd_dpdk_settings *settings, struct gd_port **out)
{
    struct gd_dpdk *dpdk = calloc(1, sizeof *dpdk);
    int result;

    if (!dpdk)
        return -ENOMEM;
    dpdk->port.ops = &gd_dpdk_ops;
    dpdk->rx_fd = dpdk->xdp_fd = -1;
    result = probe(settings->devargs, &dpdk->id);
    if (result < 0) {
        free(dpdk);
        return result;
    }
    result = start(dpdk, settings);
    if (result < 0)
        gd_dpdk_close(&dpdk->port);
    else
        *out = &dpdk->port;
    return result;
}

/* The kernel gives a queue back some time after its AF_XDP socket was closed: who opens it again at once, in this
 * process or the next, finds it taken (bind's EBUSY, which the driver makes EINVAL of). Only the last try says so. */
static int open_xdp(const struct gd_dpdk_settings *settings, struct gd_port **out)
{
    uint32_t log = gd_xdp_log();
    int level = rte_log_get_level(log), result = -EINVAL;

    rte_log_set_level(log, RTE_LOG_CRIT);
    for (int tries = 1; tries < XDP_TRIES && result == -EINVAL; tries++) {
        if (tries > 1)
            rte_delay_us_sleep(XDP_NAP_US);
        result = open_once(settings, out);
    }
    rte_log_set_level(log, (uint32_t)level);
    return result < 0 ? open_once(settings, out) : result;
}

int gd_dpdk_open(const struct gd_dpdk_settings *settings, struct gd_port **out)
{
    struct quiet quiet;
    int result;

    quiet_begin(&quiet);
    result = (strncmp(settings->devargs, "net_af_xdp", 10) == 0 ? open_xdp : open_once)(settings, out);
    quiet_end(&quiet);
    return result;
}

void gd_dpdk_close(struct gd_port *port)
{
    struct gd_dpdk *dpdk = gd_dpdk_of(port);

    /* Nobody is left to tell about a failure; the driver's words are in the log. */
    if (dpdk->started)
        rte_eth_dev_stop(dpdk->id);
    rte_eth_dev_close(dpdk->id);
    gd_xdp_close(dpdk);
    if (dpdk->device)
        rte_dev_remove(dpdk->device);
    rte_mempool_free(dpdk->pool);
    free(dpdk);
}
