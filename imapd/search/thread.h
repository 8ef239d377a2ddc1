/*
 * Which messages belong together: THREAD=ORDEREDSUBJECT and THREAD=REFERENCES (RFC 5256 3), and
 * THREAD=REFS, which is the latter without a look at subjects, the thread with the newest message
 * last (draft-ietf-morg-inthread). Pure; imapd-mailbox.
 */
#ifndef IMAPD_SEARCH_THREAD_H
#define IMAPD_SEARCH_THREAD_H

#include "common/arena.h"
#include "common/buffer.h"

enum thread_algorithm { THREAD_NONE, THREAD_ORDEREDSUBJECT, THREAD_REFERENCES, THREAD_REFS };

/* All borrowed, for as long as the threads are looked at. */
struct thread_message {
    uint32_t position;    /* in the mailbox; ascending in an array of them */
    int64_t date;         /* sent date; of THREAD=REFS, of arrival */
    struct slice subject; /* base subject, for comparison */
    bool is_reply;
    struct slice ids; /* of message_ids.h: its own, if any, then its references, oldest first */
};

enum {
    THREAD_REFERENCES_MAX = 1000, /* of a message; of more, the last are used */
    THREAD_CLIMB_MAX = 1000,      /* a reference that may close a loop above so many is ignored */
};

struct thread_node {
    struct thread_node *prev, *next; /* siblings; of roots, the other roots */
    struct thread_node *parent;
    struct thread_node *children;
    const struct thread_message *message; /* NULL: it only holds its children together */
    int64_t date;                         /* by which it is sorted: its own, or its first child's */
    uint32_t position;
};

/* The first of the roots, in *roots; NULL without messages. False: the arena is full. */
bool thread_build(enum thread_algorithm algorithm, const struct thread_message *messages,
                  size_t count, struct arena *arena, struct thread_node **roots);

/* "(2)(3 6 (4 23)(44 7 96))" (RFC 5256 4, thread-list), with the name that each position has. */
typedef uint32_t thread_name(const void *owner, uint32_t position);
void thread_format(const struct thread_node *roots, thread_name *name, const void *owner,
                   struct buffer *text);

#endif
