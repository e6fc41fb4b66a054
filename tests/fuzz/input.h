/* A fuzzer's bytes, read one after the other; past their end there are zeros.
 * Included by the targets; calls nothing.
 */
#ifndef FUZZ_INPUT_H
#define FUZZ_INPUT_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct input {
    const uint8_t *at, *end;
};

static inline bool input_left(const struct input *in)
{
    return in->at < in->end;
}

static inline uint8_t input_8(struct input *in)
{
    return in->at < in->end ? *in->at++ : 0;
}

static inline uint16_t input_16(struct input *in)
{
    uint16_t low = input_8(in);

    return (uint16_t)(low | input_8(in) << 8);
}

static inline uint32_t input_32(struct input *in)
{
    uint32_t low = input_16(in);

    return low | (uint32_t)input_16(in) << 16;
}

/* 0..bound-1 */
static inline uint32_t input_below(struct input *in, uint32_t bound)
{
    return input_8(in) % bound;
}

/* Up to len bytes to out; returns how many there were. */
static inline uint32_t input_bytes(struct input *in, uint8_t *out, uint32_t len)
{
    uint32_t n = 0;

    while (n < len && in->at < in->end)
        out[n++] = *in->at++;
    return n;
}
#endif
