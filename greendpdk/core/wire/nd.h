/* Neighbour discovery's options (RFC 4861 4.6). Called by net/nd.c, net/router.c; calls util/bytes.h. */
#ifndef GD_WIRE_ND_H
#define GD_WIRE_ND_H
#include "../util/bytes.h"

#include <stdbool.h>

#define GD_ND_HEADER 24u /* solicitations and advertisements of neighbours, up to the options */
#define GD_ND_ROUTER 0x80000000u
#define GD_ND_SOLICITED 0x40000000u
#define GD_ND_OVERRIDE 0x20000000u

enum {
    GD_ND_SOURCE_MAC = 1,
    GD_ND_TARGET_MAC = 2,
    GD_ND_PREFIX = 3,
    GD_ND_MTU = 5,
    GD_ND_OPTION_NONCE = 14, /* RFC 3971 5.3.2 */
    GD_ND_RDNSS = 25,        /* RFC 8106 5.1 */
};

/* False: one that is empty, or ends beyond the message: all of it is to be dropped (RFC 4861 7.1). */
static inline bool gd_nd_options_are_sane(const uint8_t *options, uint32_t len)
{
    uint32_t at = 0;

    while (at < len) {
        if (len - at < 8 || options[at + 1] == 0 || options[at + 1] * 8u > len - at)
            return false;
        at += options[at + 1] * 8u;
    }
    return true;
}

/* The first option of that kind, of at least eight bytes, as its second byte says in eights; NULL: none. Of sane ones.
 */
static inline const uint8_t *gd_nd_option(const uint8_t *options, uint32_t len, uint8_t kind)
{
    for (uint32_t at = 0; at < len; at += options[at + 1] * 8u)
        if (options[at] == kind)
            return options + at;
    return NULL;
}
#endif
