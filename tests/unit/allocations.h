/* The engine's malloc and its like as the tests see them: counted, and made to fail. The linker puts these in front of the
 * C library's (--wrap). Included once, by internals.py.
 */
#include <stdlib.h>

struct gd_allocations {
    long seen;               /* calls that would allocate, since it was zeroed */
    long fail_from, fail_to; /* of those, [from, to) fail; counted from 1 */
    long failed;
    long live;               /* blocks that were not freed */
};

static struct gd_allocations gd_allocations;

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void __real_free(void *block);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
void __wrap_free(void *block);

static int fails(void)
{
    long number = ++gd_allocations.seen;

    if (number < gd_allocations.fail_from || number >= gd_allocations.fail_to)
        return 0;
    gd_allocations.failed++;
    return 1;
}

static void *counted(void *block)
{
    gd_allocations.live += block != NULL;
    return block;
}

void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : counted(__real_malloc(size));
}

void *__wrap_calloc(size_t count, size_t size)
{
    return fails() ? NULL : counted(__real_calloc(count, size));
}

void *__wrap_realloc(void *old, size_t size)
{
    void *block = fails() ? NULL : __real_realloc(old, size);

    gd_allocations.live += block != NULL && old == NULL;
    return block;
}

void __wrap_free(void *block)
{
    gd_allocations.live -= block != NULL;
    __real_free(block);
}
