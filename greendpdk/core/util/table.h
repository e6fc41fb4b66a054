/* A hash table of chains through a member of its entries; doubles when it is full, so a look-up is O(1).
 * Called by sock/ and net/; calls malloc only when it grows. Owns no entry.
 */
#ifndef GD_UTIL_TABLE_H
#define GD_UTIL_TABLE_H
#include <stdbool.h>
#include <stdint.h>

struct gd_node {
    struct gd_node *next;
    struct gd_node **slot; /* what points at this node; NULL while it is in no table */
    uint64_t hash;
};

struct gd_table {
    struct gd_node **buckets;
    uint32_t mask;  /* buckets - 1, a power of two less one */
    uint32_t count; /* entries */
};

/* 0, -ENOMEM. buckets: a power of two. */
int gd_table_init(struct gd_table *table, uint32_t buckets);
void gd_table_free(struct gd_table *table); /* the buckets only */
/* Never fails: without memory to grow it only gets slower. */
void gd_table_insert(struct gd_table *table, struct gd_node *node, uint64_t hash);
/* Legal for one that is in no table. */
void gd_table_remove(struct gd_table *table, struct gd_node *node);

/* The first node of that bucket; go on by ->next and compare ->hash, then the key. */
static inline struct gd_node *gd_table_first(const struct gd_table *table, uint64_t hash)
{
    return table->buckets[hash & table->mask];
}
#endif
