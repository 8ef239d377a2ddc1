/*
 * Threading: THREAD=ORDEREDSUBJECT and THREAD=REFERENCES (RFC 5256 3), and THREAD=REFS, which is
 * REFERENCES without comparing subjects, with the thread of the newest message last
 * (draft-ietf-morg-inthread). Pure; imapd-mailbox.
 */
#ifndef IMAPD_SEARCH_THREAD_H
#define IMAPD_SEARCH_THREAD_H

#include "common/arena.h"
#include "common/buffer.h"

enum thread_algorithm { THREAD_NONE, THREAD_ORDEREDSUBJECT, THREAD_REFERENCES, THREAD_REFS };

/* All borrowed for as long as the threads are used. */
struct thread_message {
    uint32_t position;    /* in the mailbox; ascending in an array of them */
    int64_t date;         /* sent date; with THREAD=REFS the arrival date */
    struct slice subject; /* base subject, for comparison */
    bool is_reply;
    struct slice ids; /* as in message_ids.h: its own id, if any, then references, oldest first */
};

enum {
    THREAD_REFERENCES_MAX = 1000, /* per message; if there are more, the last are used */
    THREAD_CLIMB_MAX = 1000,      /* ancestors checked for a loop; a reference beyond is ignored */
};

struct thread_node {
    struct thread_node *prev, *next; /* siblings; of roots, the other roots */
    struct thread_node *parent;
    struct thread_node *children;
    const struct thread_message *message; /* NULL: the node only groups its children */
    int64_t date;                         /* sort key: its own date, or its first child's */
    uint32_t position;
};

/* *roots receives the first root; NULL if there are no messages. False: the arena is full. */
bool thread_build(enum thread_algorithm algorithm, const struct thread_message *messages,
                  size_t count, struct arena *arena, struct thread_node **roots);

/* "(2)(3 6 (4 23)(44 7 96))" (RFC 5256 4, thread-list); `name` gives the number for a position. */
typedef uint32_t thread_name(const void *owner, uint32_t position);
void thread_format(const struct thread_node *roots, thread_name *name, const void *owner,
                   struct buffer *text);

#endif
