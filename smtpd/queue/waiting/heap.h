/*
 * A pairing heap: finds the smallest of many keys. Its nodes live in the objects themselves, so
 * adding never fails. Adding takes constant time, removing logarithmic time on average. Empty when
 * zeroed. The queue only.
 */
#ifndef SMTPD_QUEUE_WAITING_HEAP_H
#define SMTPD_QUEUE_WAITING_HEAP_H

#include <stddef.h>
#include <stdint.h>

struct heap_node {
    uint64_t key;   /* smallest first; not to be changed in a heap */
    uint64_t order; /* among equal keys; smallest first */
    struct heap_node *child;
    struct heap_node *next;
    struct heap_node *prev; /* or the parent, of its first child */
};

struct heap {
    struct heap_node *first; /* NULL: empty */
};

/* Key and order are set; the node is in no heap. */
void heap_add(struct heap *heap, struct heap_node *node);

/* The node is in this heap. */
void heap_remove(struct heap *heap, struct heap_node *node);

#endif
