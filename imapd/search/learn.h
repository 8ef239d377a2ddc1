/*
 * Fills the index before clients ask: reads a message once and stores its ENVELOPE, BODYSTRUCTURE
 * and what SEARCH compares or rules out by. It does so for messages that arrive while the process
 * runs, in any folder, for those of folders taken over from another server, and for those that a
 * search read only in part. Works in slices, when all sessions are idle. One per mailbox; does
 * nothing if the index fails. imapd-mailbox.
 */
#ifndef IMAPD_SEARCH_LEARN_H
#define IMAPD_SEARCH_LEARN_H

#include "imapd/fetch/fetch_value.h"
#include "imapd/search/search_grams.h"

struct learner {
    struct mailbox *mailbox; /* borrowed */
    struct folder *folder;   /* being read; one use of it; NULL: none */
    uint32_t next_uid;
    struct fetch_item items[2];
    struct fetch_values values;
    struct index_reader known; /* messages already done have INDEX_BODY_GRAMS, stored last */
    struct search_grams grams;
    struct deferred in_next_turn;
    ev_timer quiet; /* fires when nothing has arrived for a while */
};

void learner_init(struct learner *learner, struct mailbox *mailbox);
void learner_clear(struct learner *learner); /* may run twice */

/* Stops reading and closes its folder. */
void learner_rest(struct learner *learner);

/* Notes that messages of the folder from this UID on may need to be read. */
void learner_note(struct learner *learner, struct folder *folder, uint32_t uid);

#endif
