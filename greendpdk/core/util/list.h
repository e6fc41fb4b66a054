/* A doubly linked list through a member of its entries; an empty or unlinked one points at itself.
 * Called by everything that queues; calls nothing. Owns nothing.
 */
#ifndef GD_UTIL_LIST_H
#define GD_UTIL_LIST_H
#include <stdbool.h>
#include <stddef.h>

struct gd_list {
    struct gd_list *next, *prev;
};

/* The structure of `type` whose `member` the pointer is. */
#define GD_ENTRY(pointer, type, member) ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

static inline void gd_list_init(struct gd_list *list)
{
    list->next = list;
    list->prev = list;
}

static inline bool gd_list_empty(const struct gd_list *list)
{
    return list->next == list;
}

/* True if the link stands in some list. */
static inline bool gd_list_linked(const struct gd_list *link)
{
    return link->next != link;
}

static inline void gd_list_append(struct gd_list *list, struct gd_list *link)
{
    link->prev = list->prev;
    link->next = list;
    list->prev->next = link;
    list->prev = link;
}

/* Legal for one that is not linked. */
static inline void gd_list_remove(struct gd_list *link)
{
    link->prev->next = link->next;
    link->next->prev = link->prev;
    gd_list_init(link);
}

/* The first link, taken out; NULL if the list is empty. */
static inline struct gd_list *gd_list_pop(struct gd_list *list)
{
    struct gd_list *link = list->next;

    if (link == list)
        return NULL;
    gd_list_remove(link);
    return link;
}

/* Moves all of `from` to the end of `to`; `from` is empty afterwards. */
static inline void gd_list_splice(struct gd_list *to, struct gd_list *from)
{
    if (gd_list_empty(from))
        return;
    from->next->prev = to->prev;
    to->prev->next = from->next;
    from->prev->next = to;
    to->prev = from->prev;
    gd_list_init(from);
}
#endif
