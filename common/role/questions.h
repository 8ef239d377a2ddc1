/*
 * The questions that a role has asked another one and that are not answered yet: the common part of
 * the clients (common/dns/dns_client, smtpd/fetch/fetch_client, common/auth/introspection). Each
 * client has its own struct for a question, whose first member is a struct open_question.
 */
#ifndef COMMON_ROLE_QUESTIONS_H
#define COMMON_ROLE_QUESTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include <ev.h>

#include "common/hash_table.h"

struct open_question {
    UT_hash_handle hh;
    uint64_t request; /* of both records, question and answer */
    uint64_t by_ms;   /* deadline, by turn_now_ms(); 0: give up in the next turn */
    uint32_t peer;    /* number of the role_peer that was asked; 0: none yet */
};

/* Called when the deadline of a question has passed: must remove it and tell its owner, who may ask
 * and cancel questions at that. */
typedef void open_question_given_up(struct open_question *question);

struct questions {
    struct ev_loop *loop;        /* borrowed */
    struct open_question *first; /* hash table by request; iterate by hh.next */
    uint64_t last_request;
    open_question_given_up *give_up;
    ev_timer timer;
};

void questions_init(struct questions *questions, struct ev_loop *loop,
                    open_question_given_up *give_up);

/* Gives the question a new request number and takes it. False: no memory; it stays the caller's. */
bool questions_add(struct questions *questions, struct open_question *question);

/* NULL: the question was cancelled or given up. */
struct open_question *questions_find(struct questions *questions, uint64_t request);

/* Removes the question; the caller frees it. */
void questions_remove(struct questions *questions, struct open_question *question);

/* To be called after a by_ms was set: adjusts the timer. */
void questions_look(struct questions *questions);

#endif
