/* Included before each file of the engine (-include, with FUZZ_ALLOC_ENGINE defined): its memory is
 * counted, and may be refused.
 * Called by the engine instead of malloc; calls malloc. The counts are the process's: a harness runs one thread.
 */
#ifndef FUZZ_ALLOC_H
#define FUZZ_ALLOC_H
#define _GNU_SOURCE /* first of all, as it is included before the engine's files, of which some want it */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

void *alloc_malloc(size_t size);
void *alloc_calloc(size_t count, size_t size);
void *alloc_realloc(void *old, size_t size);
void alloc_free(void *pointer);

uint64_t alloc_bytes(void); /* held now, as malloc_usable_size counts them */
uint64_t alloc_blocks(void);
uint64_t alloc_peak(void);  /* the most that was held since alloc_reset_peak */
void alloc_reset_peak(void);
/* After `after` more allocations refuse `count` of them; count 0: none. */
void alloc_refuse(uint32_t after, uint32_t count);

#ifdef FUZZ_ALLOC_ENGINE
#define malloc alloc_malloc
#define calloc alloc_calloc
#define realloc alloc_realloc
#define free alloc_free
#endif
#endif
