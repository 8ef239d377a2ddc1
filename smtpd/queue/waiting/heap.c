/* A pairing heap; see heap.h. Without recursion: a list of children may be as long as the heap. */
#include "smtpd/queue/waiting/heap.h"

#include <stdbool.h>

static bool is_before(const struct heap_node *a, const struct heap_node *b)
{
    return a->key != b->key ? a->key < b->key : a->order < b->order;
}

/* Merges two heaps; both nodes are roots. */
static struct heap_node *merge(struct heap_node *a, struct heap_node *b)
{
    if (is_before(b, a)) {
        struct heap_node *swapped = a;
        a = b;
        b = swapped;
    }
    b->prev = a;
    b->next = a->child;
    if (a->child)
        a->child->prev = b;
    a->child = b;
    a->prev = a->next = NULL;
    return a;
}

/* Takes a root, or two merged, from the front of a list of siblings. */
static struct heap_node *take_pair(struct heap_node **list)
{
    struct heap_node *one = *list, *two = one->next;
    *list = two ? two->next : NULL;
    one->next = one->prev = NULL;
    return two ? merge(one, two) : one;
}

/* Merges in pairs from the left, then all pairs from the right. */
static struct heap_node *merge_all(struct heap_node *list)
{
    struct heap_node *pairs = NULL, *root = NULL;
    while (list) {
        struct heap_node *pair = take_pair(&list);
        pair->next = pairs;
        pairs = pair;
    }
    while (pairs) {
        struct heap_node *pair = pairs;
        pairs = pair->next;
        pair->next = pair->prev = NULL;
        root = root ? merge(root, pair) : pair;
    }
    return root;
}

void heap_add(struct heap *heap, struct heap_node *node)
{
    node->child = node->next = node->prev = NULL;
    heap->first = heap->first ? merge(heap->first, node) : node;
}

static void leave_siblings(struct heap_node *node)
{
    if (node->prev->child == node)
        node->prev->child = node->next;
    else
        node->prev->next = node->next;
    if (node->next)
        node->next->prev = node->prev;
}

void heap_remove(struct heap *heap, struct heap_node *node)
{
    if (node == heap->first) {
        heap->first = merge_all(node->child);
        return;
    }
    leave_siblings(node);
    struct heap_node *below = merge_all(node->child);
    if (below)
        heap->first = merge(heap->first, below);
}
