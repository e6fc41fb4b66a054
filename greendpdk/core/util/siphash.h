/* SipHash-2-4 (Aumasson, Bernstein: "SipHash: a fast short-input PRF", 2012), a keyed hash that a peer
 * who does not know the key cannot steer. Called by tcp/isn.c, util/table.h's users; calls nothing.
 */
#ifndef GD_UTIL_SIPHASH_H
#define GD_UTIL_SIPHASH_H
#include <stddef.h>
#include <stdint.h>

struct gd_key {
    uint64_t k0, k1;
};

uint64_t gd_siphash(const struct gd_key *key, const void *data, size_t len);
#endif
