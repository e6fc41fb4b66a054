/* A socket's bytes: a sparse queue in chunks of 4 KiB, all chunks under the stack's one cap.
 * Called by sock/stream.c, sock/dgram.c, tcp/, net/reassembly.c; calls malloc (slabs of chunks, rings).
 *
 *        head (chunk, offset)                 head + len
 *          │◄──────────── len ─────────────────►│   then maybe holes and islands, up to the chunks' end
 *     [chunk][chunk][chunk][chunk][ NULL ][chunk]      a ring of pointers: any offset is found in O(1)
 *
 * Chunks come on the first byte and go back as the head passes them; an empty buffer owns nothing.
 *
 * Fair shares (docs/decisions/0008-fair-shares.md):          used ──►│◄─── left for bulk ──►│◄─── a quarter ───►│
 *   1. used, rings included, never passes cap.                0                            bulk                  cap
 *   2. Nobody grows beyond what is left for bulk (a dynamic threshold): of n that want all there is, each comes to hold
 *      1/(n + 1) of bulk, one of them is always left, and whoever holds less than the others is served before them.
 *   3. The last quarter is for those that hold at most GD_RESERVE chunks: as long as a chunk is free, a connection with
 *      little in its buffers goes on, whatever the others hold and never read.
 *   4. Bytes out of order get none of that quarter (gd_buffer_may_spare), and give way to the byte that is next.
 */
#ifndef GD_SOCK_BUFFER_H
#define GD_SOCK_BUFFER_H
#include "../util/list.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GD_CHUNK 4096u
#define GD_RESERVE (4u * GD_CHUNK) /* bytes of one buffer that only the cap refuses: ten full segments of Ethernet */

struct gd_chunk_pool {
    uint64_t cap;       /* bytes, all buffers of the stack */
    uint64_t used;      /* bytes of chunks in buffers, and of their rings */
    uint64_t taken;     /* bytes of chunks in buffers */
    uint64_t owned;     /* bytes of all chunks, the free ones too */
    uint64_t given;     /* bytes of chunks that came back, ever: if it moved, who waits for memory may try again */
    struct gd_list some, none; /* slabs with free chunks, and without (buffer.c) */
    uint32_t spare;     /* slabs all of whose chunks are free */
};

struct gd_buffer {
    uint8_t **ring;     /* NULL while empty; &only while one slot is enough, so a buffer stays where it is */
    uint8_t *only;
    uint32_t slots;     /* of the ring, a power of two, or 0 */
    uint32_t first;     /* slot of the chunk that head is in */
    uint32_t offset;    /* of head in its chunk */
    uint32_t len;       /* bytes from head that are there without a hole */
    uint32_t chunks;    /* in the ring */
};

void gd_pool_init(struct gd_chunk_pool *pool, uint64_t cap);
void gd_pool_free(struct gd_chunk_pool *pool);

/* Bytes of chunks that a buffer which holds so many may take more (rules 1 to 3). */
static inline uint64_t gd_pool_room(const struct gd_chunk_pool *pool, uint32_t chunks)
{
    uint64_t held = (uint64_t)chunks * GD_CHUNK;
    uint64_t bulk = pool->cap - pool->cap / 4, left = pool->cap > pool->used ? pool->cap - pool->used : 0;
    uint64_t room = bulk > pool->used + held ? (bulk - pool->used - held) / 2 : 0; /* held + room <= bulk - used - room */

    if (held < GD_RESERVE && room < GD_RESERVE - held)
        room = GD_RESERVE - held;
    return room < left ? room : left;
}

/* Bytes that append would take now: what the last chunk has left, and whole chunks. */
static inline uint64_t gd_buffer_room(const struct gd_chunk_pool *pool, const struct gd_buffer *buffer)
{
    uint32_t tail = (buffer->offset + buffer->len) % GD_CHUNK;

    return (tail != 0 ? GD_CHUNK - tail : 0) + (gd_pool_room(pool, buffer->chunks) & ~(uint64_t)(GD_CHUNK - 1));
}

/* May len bytes out of order be kept? (rule 4) */
static inline bool gd_buffer_may_spare(const struct gd_chunk_pool *pool, const struct gd_buffer *buffer, uint32_t len)
{
    uint64_t want = ((uint64_t)buffer->chunks + len / GD_CHUNK + 2) * GD_CHUNK;

    return pool->used + want <= pool->cap - pool->cap / 4;
}

/* Writes at an offset from head, beyond len as well (an island); len does not move. 0, -ENOBUFS (its share, the cap or malloc;
 * what was there stays as it was). */
int gd_buffer_write(struct gd_chunk_pool *pool, struct gd_buffer *buffer, uint32_t at, const void *data, uint32_t len);
/* Bytes at its end that became contiguous. */
static inline void gd_buffer_extend(struct gd_buffer *buffer, uint32_t len)
{
    buffer->len += len;
}
/* Copies out [at, at + len), which must have been written. */
void gd_buffer_read(const struct gd_buffer *buffer, uint32_t at, void *data, uint32_t len);
/* Drops bytes from the head, at most buffer->len. Islands keep their places. keep: bytes written beyond len exist. */
void gd_buffer_consume(struct gd_chunk_pool *pool, struct gd_buffer *buffer, uint32_t len, bool keep);
/* Drops what was written beyond len. */
void gd_buffer_cut(struct gd_chunk_pool *pool, struct gd_buffer *buffer);
/* Gives everything back. */
void gd_buffer_clear(struct gd_chunk_pool *pool, struct gd_buffer *buffer);
/* write at len, then extend: bytes appended, 0..len (less when memory is short). */
uint32_t gd_buffer_append(struct gd_chunk_pool *pool, struct gd_buffer *buffer, const void *data, uint32_t len);
#endif
