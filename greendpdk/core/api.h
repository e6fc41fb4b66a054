/* What Python may call, with the types it needs. Included by every file that defines one of the calls. */
#ifndef GD_API_H
#define GD_API_H
#include <stddef.h>
#include <stdint.h>

struct gd_stack;
struct gd_sock;
struct gd_port;

#include "api.cdef.h"
#endif
