/* The internet checksum (RFC 1071). Called by net/; calls nothing. */
#ifndef GD_UTIL_CHECKSUM_H
#define GD_UTIL_CHECKSUM_H
#include <stdint.h>
#include <stddef.h>

/* Adds bytes to a running sum (start with 0); a part of odd length may only come last. */
uint64_t gd_checksum_add(uint64_t sum, const uint8_t *data, size_t len);
/* Folds and complements: what is written big-endian into the header by gd_put16. */
uint16_t gd_checksum_finish(uint64_t sum);
#endif
