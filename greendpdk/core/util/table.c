/* The hash table of table.h. Called by sock/ and net/; calls malloc when it grows. */
#include "table.h"

#include <errno.h>
#include <stdlib.h>

int gd_table_init(struct gd_table *table, uint32_t buckets)
{
    table->buckets = calloc(buckets, sizeof *table->buckets);
    table->mask = buckets - 1;
    table->count = 0;
    return table->buckets ? 0 : -ENOMEM;
}

void gd_table_free(struct gd_table *table)
{
    free(table->buckets);
    table->buckets = NULL;
    table->count = 0;
}

static void push(struct gd_node **slot, struct gd_node *node)
{
    node->next = *slot;
    node->slot = slot;
    if (node->next)
        node->next->slot = &node->next;
    *slot = node;
}

static void grow(struct gd_table *table)
{
    uint32_t mask = table->mask * 2 + 1;
    struct gd_node **buckets;

    if (mask == UINT32_MAX)
        return;
    buckets = calloc((size_t)mask + 1, sizeof *buckets);
    if (!buckets)
        return;
    for (uint32_t i = 0; i <= table->mask; i++) {
        struct gd_node *next, *node = table->buckets[i];

        for (; node; node = next) {
            next = node->next;
            push(&buckets[node->hash & mask], node);
        }
    }
    free(table->buckets);
    table->buckets = buckets;
    table->mask = mask;
}

void gd_table_insert(struct gd_table *table, struct gd_node *node, uint64_t hash)
{
    if (table->count > table->mask)
        grow(table);
    node->hash = hash;
    push(&table->buckets[hash & table->mask], node);
    table->count++;
}

void gd_table_remove(struct gd_table *table, struct gd_node *node)
{
    if (!node->slot)
        return;
    *node->slot = node->next;
    if (node->next)
        node->next->slot = node->slot;
    node->next = NULL;
    node->slot = NULL;
    table->count--;
}
