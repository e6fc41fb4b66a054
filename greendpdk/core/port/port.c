/* What Python may ask of any port. Called through api.cdef.h (_stack.py, testing/), and gd_port_close by stack.c;
 * calls the port's own functions.
 */
#include "port.h"

#include <string.h>

void gd_port_close(struct gd_port *port)
{
    if (port)
        port->ops->close(port);
}

void gd_port_mac(struct gd_port *port, uint8_t *six)
{
    memcpy(six, port->mac, 6);
}

uint32_t gd_port_mtu(struct gd_port *port)
{
    return port->mtu;
}

int gd_port_rx_fd(struct gd_port *port)
{
    return port->ops->rx_fd(port);
}
