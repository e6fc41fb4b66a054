/* A socket's bytes: a sparse queue in chunks of 4 KiB, all chunks under the stack's one cap.
 * Called by sock/stream.c, sock/dgram.c, tcp/output.c, tcp/reassembly.c; calls malloc (slabs of chunks).
 *
 *        head (chunk, offset)                 head + len
 *          │◄──────────── len ─────────────────►│   then maybe holes and islands, up to the chunks' end
 *     [chunk][chunk][chunk][chunk][ NULL ][chunk]      a ring of pointers: any offset is found in O(1)
 *
 * Chunks come on the first byte and go back as the head passes them; an empty buffer owns nothing.
 */
#ifndef GD_SOCK_BUFFER_H
#define GD_SOCK_BUFFER_H
#include "../util/list.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GD_CHUNK 4096u

struct gd_chunk_pool {
    uint64_t cap;       /* bytes, all buffers of the stack */
    uint64_t used;      /* bytes of chunks in buffers */
    uint64_t owned;     /* bytes of all chunks, the free ones too */
    void *free_chunks;  /* linked through their first bytes */
    void *slabs;        /* what malloc gave, linked */
};

struct gd_buffer {
    uint8_t **ring;     /* NULL while empty */
    uint32_t slots;     /* of the ring, a power of two, or 0 */
    uint32_t first;     /* slot of the chunk that head is in */
    uint32_t offset;    /* of head in its chunk */
    uint32_t len;       /* bytes from head that are there without a hole */
};

void gd_pool_init(struct gd_chunk_pool *pool, uint64_t cap);
void gd_pool_free(struct gd_chunk_pool *pool);

/* Writes at an offset from head, beyond len as well (an island); len does not move. 0, -ENOBUFS (cap or malloc; what
 * was there stays as it was). */
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
/* Gives everything back. */
void gd_buffer_clear(struct gd_chunk_pool *pool, struct gd_buffer *buffer);
/* write at len, then extend: bytes appended, 0..len (less when memory is short). */
uint32_t gd_buffer_append(struct gd_chunk_pool *pool, struct gd_buffer *buffer, const void *data, uint32_t len);
#endif
