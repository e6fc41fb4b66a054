/* What net_af_xdp keeps to itself: its socket, and what its libraries say. Called by dpdk_open.c; calls the kernel,
 * libbpf and libxdp.
 *
 * The socket is what a sleeping stack waits for. And the driver of DPDK 22.11.11 forgets to close it (a count is one
 * off), so that its queue could not be opened again while the process lives. Which fd it is, /proc tells, looked at
 * before and after; that the number still means the same socket, the kernel's cookie (SO_COOKIE, socket(7)).
 */
#include "dpdk.h"

#include <rte_log.h>

#include <dirent.h>
#include <dlfcn.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef AF_XDP
#define AF_XDP 44 /* <linux/socket.h> */
#endif

typedef int (*print)(int level, const char *format, va_list words); /* libbpf_print_fn_t, libxdp_print_fn_t */

static uint32_t driver_log(void)
{
    return (uint32_t)rte_log_register("pmd.net.af_xdp"); /* the number that it has */
}

static int print_to_log(int level, const char *format, va_list words)
{
    /* Below warnings: their level 0 says as well that bpffs, which is not needed, is not mounted. */
    return rte_vlog(level == 0 ? RTE_LOG_NOTICE : RTE_LOG_DEBUG, driver_log(), format, words);
}

/* Calls set(print_to_log) of a library that the driver has brought with it. */
static void set_print(const char *library, const char *set)
{
    void *handle = dlopen(library, RTLD_NOW | RTLD_NOLOAD);
    print (*function)(print) = NULL;

    if (!handle)
        return;
    *(void **)&function = dlsym(handle, set); /* as dlopen(3) has it */
    if (function)
        function(print_to_log);
    dlclose(handle);
}

uint32_t gd_xdp_log(void)
{
    set_print("libbpf.so.1", "libbpf_set_print");
    set_print("libxdp.so.1", "libxdp_set_print");
    return driver_log();
}

static int option(int fd, int name, void *value, socklen_t size)
{
    return getsockopt(fd, SOL_SOCKET, name, value, &size);
}

int gd_xdp_sockets(int fds[GD_XDP_MOST])
{
    DIR *folder = opendir("/proc/self/fd");
    struct dirent *entry;
    int count = 0, domain;

    if (!folder)
        return 0;
    while (count < GD_XDP_MOST && (entry = readdir(folder))) {
        fds[count] = atoi(entry->d_name);
        if (entry->d_name[0] != '.' && option(fds[count], SO_DOMAIN, &domain, sizeof domain) == 0 && domain == AF_XDP)
            count++;
    }
    closedir(folder);
    return count;
}

static bool holds(const int *fds, int count, int fd)
{
    while (count > 0 && fds[count - 1] != fd)
        count--;
    return count > 0;
}

void gd_xdp_find(struct gd_dpdk *dpdk, const int *before, int count)
{
    int after[GD_XDP_MOST], more = gd_xdp_sockets(after);

    for (int i = 0; i < more; i++)
        if (!holds(before, count, after[i]) &&
            option(after[i], SO_COOKIE, &dpdk->xdp_cookie, sizeof dpdk->xdp_cookie) == 0)
            dpdk->xdp_fd = after[i];
}

void gd_xdp_close(struct gd_dpdk *dpdk)
{
    uint64_t cookie;

    if (dpdk->xdp_fd >= 0 && option(dpdk->xdp_fd, SO_COOKIE, &cookie, sizeof cookie) == 0 && cookie == dpdk->xdp_cookie)
        close(dpdk->xdp_fd);
}
