/* The DPDK side of the ports as the rest of the program sees it. Included by eal.c, dpdk.c and the generated
 * module, only in builds with DPDK; includes no rte_*.
 */
#ifndef GD_PORT_DPDK_H
#define GD_PORT_DPDK_H
#include "port.h"

#include "dpdk.cdef.h"
#endif
