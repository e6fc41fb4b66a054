/* The counting allocator of alloc.h. Called by the engine as the harness builds it; calls malloc. */
#include "alloc.h"

#include <malloc.h>
#include <stdbool.h>

static uint64_t bytes, blocks, peak;
static uint32_t refuse_after, refuse_count;

static bool refused(void)
{
    if (refuse_count == 0)
        return false;
    if (refuse_after > 0) {
        refuse_after--;
        return false;
    }
    refuse_count--;
    return true;
}

static void *taken(void *pointer)
{
    if (pointer == NULL)
        return NULL;
    bytes += malloc_usable_size(pointer);
    blocks++;
    if (bytes > peak)
        peak = bytes;
    return pointer;
}

static void given(void *pointer)
{
    bytes -= malloc_usable_size(pointer);
    blocks--;
}

void *alloc_malloc(size_t size)
{
    return refused() ? NULL : taken(malloc(size));
}

void *alloc_calloc(size_t count, size_t size)
{
    return refused() ? NULL : taken(calloc(count, size));
}

void *alloc_realloc(void *old, size_t size)
{
    void *grown;

    if (old == NULL)
        return alloc_malloc(size);
    if (refused())
        return NULL;
    given(old);
    grown = realloc(old, size);
    if (grown == NULL) /* the old one lives on */
        return taken(old), NULL;
    return taken(grown);
}

void alloc_free(void *pointer)
{
    if (pointer == NULL)
        return;
    given(pointer);
    free(pointer);
}

uint64_t alloc_bytes(void)
{
    return bytes;
}

uint64_t alloc_blocks(void)
{
    return blocks;
}

uint64_t alloc_peak(void)
{
    return peak;
}

void alloc_reset_peak(void)
{
    peak = bytes;
}

void alloc_refuse(uint32_t after, uint32_t count)
{
    refuse_after = after;
    refuse_count = count;
}
