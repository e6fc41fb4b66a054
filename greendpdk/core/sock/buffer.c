/* The sparse byte queue of buffer.h and the chunks it is made of.
 * Called by sock/stream.c, sock/dgram.c, tcp/, net/reassembly.c; calls malloc, a slab at a time.
 *
 *     pool.some ──► [slab│·│chunk│·│chunk│ ... 64]──► ...     free chunks of a slab are linked; · points to the slab
 *     pool.none ──► [ ... ]                                  all of its chunks are in buffers
 *
 * A chunk is in exactly one ring or on the free list. Chunks that hold islands only (bytes beyond len) are in the ring
 * like any other, so gd_buffer_clear and the head's passing give them back; what marks an island as valid is the
 * caller's list of them (tcp/islands.c), hence `keep`: with it an empty head leaves the ring alone.
 */
#include "buffer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SLAB_CHUNKS 64u /* 256 KiB a malloc: rare enough not to be felt, small enough for a small stack */
#define SPARE_SLABS 16u /* kept when empty, so that a stream that comes and goes needs no malloc; others go back */
#define LINE 64u        /* a cache line: the slab's head, and what stands before each chunk */
#define FIRST_SLOTS 4u  /* of a ring from malloc, 16 KiB; what fits into one chunk needs none */

struct slab {
    struct gd_list link;  /* in pool->some or pool->none */
    uint8_t *free_chunks; /* linked through their first bytes */
    uint32_t free;
};

static struct slab *slab_of(const uint8_t *chunk)
{
    struct slab *slab;

    memcpy(&slab, chunk - LINE, sizeof slab);
    return slab;
}

static void push(struct slab *slab, uint8_t *chunk)
{
    memcpy(chunk, &slab->free_chunks, sizeof slab->free_chunks);
    slab->free_chunks = chunk;
    slab->free++;
}

static void free_slab(struct gd_chunk_pool *pool, struct slab *slab)
{
    gd_list_remove(&slab->link);
    pool->owned -= SLAB_CHUNKS * (uint64_t)GD_CHUNK;
    free(slab);
}

/* Slabs that are nearly full stand first, so that the others become empty. */
static void give(struct gd_chunk_pool *pool, struct gd_buffer *buffer, uint8_t *chunk)
{
    struct slab *slab = slab_of(chunk);

    push(slab, chunk);
    pool->used -= GD_CHUNK;
    pool->taken -= GD_CHUNK;
    pool->given += GD_CHUNK;
    buffer->chunks--;
    if (slab->free == 1) {
        gd_list_remove(&slab->link);
        gd_list_append(pool->some.next, &slab->link); /* before the first */
    } else if (slab->free == SLAB_CHUNKS && pool->spare == SPARE_SLABS) {
        free_slab(pool, slab);
    } else if (slab->free == SLAB_CHUNKS) {
        pool->spare++;
        gd_list_remove(&slab->link);
        gd_list_append(&pool->some, &slab->link);
    }
}

/* Only after reserve has seen to it that there is one. */
static uint8_t *take(struct gd_chunk_pool *pool, struct gd_buffer *buffer)
{
    struct slab *slab = GD_ENTRY(pool->some.next, struct slab, link);
    uint8_t *chunk = slab->free_chunks;

    memcpy(&slab->free_chunks, chunk, sizeof slab->free_chunks);
    if (slab->free-- == SLAB_CHUNKS)
        pool->spare--;
    if (slab->free == 0) {
        gd_list_remove(&slab->link);
        gd_list_append(&pool->none, &slab->link);
    }
    pool->used += GD_CHUNK;
    pool->taken += GD_CHUNK;
    buffer->chunks++;
    return chunk;
}

static int add_slab(struct gd_chunk_pool *pool)
{
    struct slab *slab = malloc(LINE + SLAB_CHUNKS * (size_t)(LINE + GD_CHUNK));

    if (!slab)
        return -ENOBUFS;
    *slab = (struct slab){0};
    for (uint32_t i = 0; i < SLAB_CHUNKS; i++) {
        uint8_t *chunk = (uint8_t *)slab + LINE + (size_t)i * (LINE + GD_CHUNK) + LINE;

        memcpy(chunk - LINE, &slab, sizeof slab);
        push(slab, chunk);
    }
    gd_list_append(&pool->some, &slab->link);
    pool->spare++;
    pool->owned += SLAB_CHUNKS * (uint64_t)GD_CHUNK;
    return 0;
}

/* The ring's size when it holds that many chunks. */
static uint32_t slots_for(const struct gd_buffer *buffer, uint64_t chunks)
{
    uint64_t slots = buffer->slots ? buffer->slots : 1;

    while (slots < chunks)
        slots = slots == 1 ? FIRST_SLOTS : 2 * slots;
    return (uint32_t)slots;
}

/* Bytes of a ring that are not in the buffer itself. */
static uint64_t ring_size(uint32_t slots)
{
    return slots > 1 ? slots * sizeof(uint8_t *) : 0;
}

/* Sees to it that the buffer can take count chunks, and a ring of so many slots. */
static int reserve(struct gd_chunk_pool *pool, const struct gd_buffer *buffer, uint64_t count, uint32_t slots)
{
    uint64_t bytes = count * GD_CHUNK, ring = ring_size(slots) - ring_size(buffer->slots);

    if (bytes > gd_pool_room(pool, buffer->chunks) || pool->used + bytes + ring > pool->cap)
        return -ENOBUFS;
    while (pool->owned - pool->taken < bytes)
        if (add_slab(pool) < 0)
            return -ENOBUFS;
    return 0;
}

void gd_pool_init(struct gd_chunk_pool *pool, uint64_t cap)
{
    *pool = (struct gd_chunk_pool){.cap = cap};
    gd_list_init(&pool->some);
    gd_list_init(&pool->none);
}

void gd_pool_free(struct gd_chunk_pool *pool)
{
    gd_list_splice(&pool->some, &pool->none);
    while (!gd_list_empty(&pool->some))
        free_slab(pool, GD_ENTRY(pool->some.next, struct slab, link));
    gd_pool_init(pool, pool->cap);
}

/* The ring's place for the chunk of that number, counted from head's. */
static inline uint8_t **slot_of(const struct gd_buffer *buffer, uint64_t number)
{
    return &buffer->ring[(buffer->first + number) & (buffer->slots - 1)];
}

static void free_ring(struct gd_buffer *buffer)
{
    if (buffer->ring != &buffer->only)
        free(buffer->ring);
}

/* Its bytes count as well: one chunk at the far end of a large window has a ring of many slots. */
static int grow_ring(struct gd_chunk_pool *pool, struct gd_buffer *buffer, uint32_t slots)
{
    uint8_t **ring = slots > 1 ? calloc(slots, sizeof *ring) : &buffer->only;

    if (!ring)
        return -ENOBUFS;
    pool->used += ring_size(slots) - ring_size(buffer->slots);
    for (uint32_t i = 0; i < buffer->slots; i++)
        ring[i] = *slot_of(buffer, i);
    free_ring(buffer);
    buffer->ring = ring;
    buffer->slots = slots;
    buffer->first = 0;
    return 0;
}

int gd_buffer_write(struct gd_chunk_pool *pool, struct gd_buffer *buffer, uint32_t at, const void *data, uint32_t len)
{
    uint64_t position = (uint64_t)buffer->offset + at;
    uint64_t begin = position / GD_CHUNK, end = (position + len + GD_CHUNK - 1) / GD_CHUNK;
    uint64_t missing = 0;
    const uint8_t *from = data;

    if (len == 0)
        return 0;
    for (uint64_t i = begin; i < end; i++)
        missing += i >= buffer->slots || !*slot_of(buffer, i);
    if (missing && reserve(pool, buffer, missing, slots_for(buffer, end)) < 0)
        return -ENOBUFS;
    if (end > buffer->slots && grow_ring(pool, buffer, slots_for(buffer, end)) < 0)
        return -ENOBUFS;
    for (uint64_t i = begin; i < end; i++) {
        uint8_t **slot = slot_of(buffer, i);
        uint32_t skip = i == begin ? (uint32_t)(position % GD_CHUNK) : 0;
        uint32_t part = len < GD_CHUNK - skip ? len : GD_CHUNK - skip;

        if (!*slot)
            *slot = take(pool, buffer);
        memcpy(*slot + skip, from, part);
        from += part;
        len -= part;
    }
    return 0;
}

void gd_buffer_read(const struct gd_buffer *buffer, uint32_t at, void *data, uint32_t len)
{
    uint64_t position = (uint64_t)buffer->offset + at;
    uint8_t *to = data;

    while (len > 0) {
        uint32_t skip = (uint32_t)(position % GD_CHUNK);
        uint32_t part = len < GD_CHUNK - skip ? len : GD_CHUNK - skip;

        memcpy(to, *slot_of(buffer, position / GD_CHUNK) + skip, part);
        position += part;
        to += part;
        len -= part;
    }
}

void gd_buffer_consume(struct gd_chunk_pool *pool, struct gd_buffer *buffer, uint32_t len, bool keep)
{
    uint64_t offset = (uint64_t)buffer->offset + len;

    if (len == 0)
        return;
    buffer->len -= len;
    if (buffer->len == 0 && !keep) {
        gd_buffer_clear(pool, buffer);
        return;
    }
    for (; offset >= GD_CHUNK; offset -= GD_CHUNK) {
        uint8_t **slot = slot_of(buffer, 0);

        if (*slot)
            give(pool, buffer, *slot);
        *slot = NULL;
        buffer->first = (buffer->first + 1) & (buffer->slots - 1);
    }
    buffer->offset = (uint32_t)offset;
}

void gd_buffer_cut(struct gd_chunk_pool *pool, struct gd_buffer *buffer)
{
    uint64_t kept = ((uint64_t)buffer->offset + buffer->len + GD_CHUNK - 1) / GD_CHUNK;

    if (buffer->len == 0) {
        gd_buffer_clear(pool, buffer);
        return;
    }
    for (uint64_t i = kept; i < buffer->slots; i++) {
        uint8_t **slot = slot_of(buffer, i);

        if (*slot)
            give(pool, buffer, *slot);
        *slot = NULL;
    }
}

void gd_buffer_clear(struct gd_chunk_pool *pool, struct gd_buffer *buffer)
{
    for (uint32_t i = 0; i < buffer->slots; i++)
        if (buffer->ring[i])
            give(pool, buffer, buffer->ring[i]);
    pool->used -= ring_size(buffer->slots);
    free_ring(buffer);
    *buffer = (struct gd_buffer){0};
}

uint32_t gd_buffer_append(struct gd_chunk_pool *pool, struct gd_buffer *buffer, const void *data, uint32_t len)
{
    const uint8_t *from = data;
    uint32_t done = 0;

    /* A chunk at a time, so that short memory takes as much as there is. */
    while (done < len) {
        uint32_t skip = (buffer->offset + buffer->len) % GD_CHUNK;
        uint32_t part = len - done < GD_CHUNK - skip ? len - done : GD_CHUNK - skip;

        if (gd_buffer_write(pool, buffer, buffer->len, from + done, part) < 0)
            break;
        buffer->len += part;
        done += part;
    }
    return done;
}
