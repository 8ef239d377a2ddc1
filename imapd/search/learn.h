/*
 * What clients will ask of a message is found out before they ask: ENVELOPE, BODYSTRUCTURE, what
 * SEARCH compares and what it can rule out go into the index in one reading, of messages that came
 * while the process lives, in whatever folder, of those that another server left in a folder that
 * was taken over, and of those that a search left half read. In slices, when no session has
 * anything to do. One a mailbox; where the index fails, it does nothing. imapd-mailbox.
 */
#ifndef IMAPD_SEARCH_LEARN_H
#define IMAPD_SEARCH_LEARN_H

#include "imapd/fetch/fetch_value.h"
#include "imapd/search/search_grams.h"

struct learner {
    struct mailbox *mailbox; /* borrowed */
    struct folder *folder;   /* whose messages are being read, in use; NULL: none */
    uint32_t next_uid;
    struct fetch_item items[2];
    struct fetch_values values;
    struct index_reader known; /* what has been learnt: INDEX_BODY_GRAMS comes last */
    struct search_grams grams;
    struct deferred in_next_turn;
    ev_timer quiet; /* nothing has come for a while */
};

void learner_init(struct learner *learner, struct mailbox *mailbox);
void learner_clear(struct learner *learner); /* may run twice */

/* Leaves the folder that it reads, as sessions do that are ended. */
void learner_rest(struct learner *learner);

/* There may be something to learn of messages of the folder from that UID on. */
void learner_note(struct learner *learner, struct folder *folder, uint32_t uid);

#endif
