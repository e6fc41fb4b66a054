/* IGMP's messages (RFC 3376 4, RFC 2236 2) and MLD's (RFC 3810 5), which are their larger sisters.
 * Called by net/igmp.c, net/mld.c; calls util/bytes.h.
 */
#ifndef GD_WIRE_IGMP_H
#define GD_WIRE_IGMP_H
#include "../util/bytes.h"

enum {
    GD_IGMP_QUERY = 0x11,
    GD_IGMP_REPORT1 = 0x12,
    GD_IGMP_REPORT2 = 0x16,
    GD_IGMP_LEAVE2 = 0x17,
    GD_IGMP_REPORT3 = 0x22,
};

enum { GD_MLD_REPORT1 = 131, GD_MLD_DONE1 = 132, GD_MLD_REPORT2 = 143 };

#define GD_IGMP_LEN 8u    /* of versions 1 and 2, and of what stands before version 3's records */
#define GD_IGMP_QUERY3 12u
#define GD_IGMP_RECORD 8u /* without sources */
#define GD_MLD_LEN 24u    /* of version 1 */
#define GD_MLD_QUERY2 28u
#define GD_MLD_REPORT 8u  /* before version 2's records */
#define GD_MLD_RECORD 20u

/* A number of `bits` bits whose highest says that the rest is a mantissa (4 or 12 bits) and an exponent of 3 bits
 * (RFC 3376 4.1.1, RFC 3810 5.1.3). */
static inline uint32_t gd_igmp_number(uint32_t code, uint32_t bits)
{
    uint32_t mantissa_bits = bits - 4, top = 1u << (bits - 1);

    if (code < top)
        return code;
    return ((code & ((1u << mantissa_bits) - 1)) | 1u << mantissa_bits) << ((code >> mantissa_bits & 7) + 3);
}
#endif
