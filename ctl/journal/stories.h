/*
 * Queries of the message history: `staffetta why`, and the attempts of `staffetta queue show`.
 * Answers may be long, so they are made in parts, and the journal reads events between two parts.
 * The journal only.
 */
#ifndef CTL_JOURNAL_STORIES_H
#define CTL_JOURNAL_STORIES_H

#include <ev.h>

#include "common/role/control.h"

struct journal;
struct stories_job;

struct stories {
    struct stories_job *jobs; /* by turns */
    ev_timer step;
};

void stories_init(struct journal *journal);

/* "why WHAT", or "attempts [--json] ID". Needs an open history. Takes the descriptor. */
void stories_on_why(struct journal *journal, const struct control_words *words, int fd);
void stories_on_attempts(struct journal *journal, const struct control_words *words, int fd);

/* The history is closed: tells all waiting clients. */
void stories_give_up(struct journal *journal);

#endif
