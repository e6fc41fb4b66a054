/* The internet checksum (RFC 1071). Called by net/; calls nothing. */
#ifndef GD_UTIL_CHECKSUM_H
#define GD_UTIL_CHECKSUM_H
#include <stdint.h>
#include <stddef.h>

/* Adds bytes to a running sum (start with 0); a part of odd length may only come last. The sum is that of
 * the big-endian 16-bit words, so numbers may be added to it by hand. */
uint64_t gd_checksum_add(uint64_t sum, const uint8_t *data, size_t len);
/* The sum in 16 bits, not complemented; 0xffff over a part that carries its own right checksum. */
uint16_t gd_checksum_fold(uint64_t sum);
/* Folds and complements: what is written big-endian into the header by gd_put16. */
uint16_t gd_checksum_finish(uint64_t sum);
#endif
