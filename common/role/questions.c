/* The table and the timer of questions.h. */
#include "common/role/questions.h"

#include <stdlib.h>

#include "common/role/turn.h"

/* Requests ascend, and so do most of their times: those that are due stand in front. */
static void on_timer(struct ev_loop *loop, ev_timer *watcher, int events)
{
    (void)events;
    struct questions *questions = watcher->data;
    uint64_t now_ms = turn_now_ms(), next_ms = UINT64_MAX;
    struct open_question *question = questions->first;
    while (question) {
        if (question->by_ms <= now_ms) {
            questions->give_up(question);
            question = questions->first;
            next_ms = UINT64_MAX;
            continue;
        }
        next_ms = question->by_ms < next_ms ? question->by_ms : next_ms;
        question = question->hh.next;
    }
    ev_timer_stop(loop, watcher);
    if (next_ms == UINT64_MAX)
        return;
    ev_timer_set(watcher, (double)(next_ms - now_ms) / 1000.0 + 0.001, 0.0);
    ev_timer_start(loop, watcher);
}

void questions_init(struct questions *questions, struct ev_loop *loop,
                    open_question_given_up *give_up)
{
    *questions = (struct questions){.loop = loop, .give_up = give_up};
    ev_init(&questions->timer, on_timer);
    questions->timer.data = questions;
}

bool questions_add(struct questions *questions, struct open_question *question)
{
    question->request = ++questions->last_request;
    HASH_ADD(hh, questions->first, request, sizeof(question->request), question);
    return hash_table_holds(&question->hh);
}

struct open_question *questions_find(struct questions *questions, uint64_t request)
{
    struct open_question *question;
    HASH_FIND(hh, questions->first, &request, sizeof(request), question);
    return question;
}

void questions_remove(struct questions *questions, struct open_question *question)
{
    HASH_DEL(questions->first, question);
}

/* Not at once: owners are never told while they ask. */
void questions_look(struct questions *questions)
{
    ev_timer_stop(questions->loop, &questions->timer);
    ev_timer_set(&questions->timer, 0.0, 0.0);
    ev_timer_start(questions->loop, &questions->timer);
}
