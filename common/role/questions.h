/*
 * Questions that a role has put to another one, from its loop, until they are answered or given up:
 * the half of common/dns/dns_client and smtpd/fetch/fetch_client that is the same for both. Each
 * client has its own struct, with the struct open_question as its first member.
 */
#ifndef COMMON_ROLE_QUESTIONS_H
#define COMMON_ROLE_QUESTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include <ev.h>

#include "common/hash_table.h"

struct open_question {
    UT_hash_handle hh;
    uint64_t request; /* of the record that asks, and of the one that answers */
    uint64_t by_ms;   /* turn_now_ms(): then it is given up; 0: in the next turn */
    uint32_t peer;    /* number of the role_peer that has it; 0: none */
};

/* Its time is over: to be removed, and its owner told. He may ask and cancel meanwhile. */
typedef void open_question_given_up(struct open_question *question);

struct questions {
    struct ev_loop *loop;        /* borrowed */
    struct open_question *first; /* by request; to walk: hh.next */
    uint64_t last_request;
    open_question_given_up *give_up;
    ev_timer timer;
};

void questions_init(struct questions *questions, struct ev_loop *loop,
                    open_question_given_up *give_up);

/* Takes it in under a number of its own. False: no memory, it stays the caller's. */
bool questions_add(struct questions *questions, struct open_question *question);

/* NULL: it was cancelled, or given up. */
struct open_question *questions_find(struct questions *questions, uint64_t request);

/* Takes it out; it is the caller's to free. */
void questions_remove(struct questions *questions, struct open_question *question);

/* After by_ms of any of them was set. */
void questions_look(struct questions *questions);

#endif
