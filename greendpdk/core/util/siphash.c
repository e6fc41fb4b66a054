/* SipHash-2-4, after the paper. Called by util/random.c, tcp/isn.c, sock/demux.c, net/neighbour.c; calls nothing. */
#include "siphash.h"

#include <endian.h>
#include <string.h>

struct state {
    uint64_t v0, v1, v2, v3;
};

static inline uint64_t rotate(uint64_t x, int bits)
{
    return x << bits | x >> (64 - bits);
}

static inline uint64_t load(const uint8_t *p)
{
    uint64_t word;

    memcpy(&word, p, 8);
    return le64toh(word);
}

static inline void sip_round(struct state *s)
{
    s->v0 += s->v1;
    s->v2 += s->v3;
    s->v1 = rotate(s->v1, 13) ^ s->v0;
    s->v3 = rotate(s->v3, 16) ^ s->v2;
    s->v0 = rotate(s->v0, 32);
    s->v2 += s->v1;
    s->v0 += s->v3;
    s->v1 = rotate(s->v1, 17) ^ s->v2;
    s->v3 = rotate(s->v3, 21) ^ s->v0;
    s->v2 = rotate(s->v2, 32);
}

static inline void absorb(struct state *s, uint64_t word)
{
    s->v3 ^= word;
    sip_round(s);
    sip_round(s);
    s->v0 ^= word;
}

uint64_t gd_siphash(const struct gd_key *key, const void *data, size_t len)
{
    const uint8_t *p = data;
    uint64_t last = (uint64_t)len << 56; /* the length's low byte ends the last word */
    struct state s = {
        key->k0 ^ 0x736f6d6570736575u, /* "somepseudorandomlygeneratedbytes", section 2.1 */
        key->k1 ^ 0x646f72616e646f6du,
        key->k0 ^ 0x6c7967656e657261u,
        key->k1 ^ 0x7465646279746573u,
    };

    for (; len >= 8; len -= 8, p += 8)
        absorb(&s, load(p));
    for (size_t i = 0; i < len; i++)
        last |= (uint64_t)p[i] << (8 * i);
    absorb(&s, last);
    s.v2 ^= 0xff;
    for (int i = 0; i < 4; i++)
        sip_round(&s);
    return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}
