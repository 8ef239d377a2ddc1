/*
 * Runs a SEARCH over a folder, one message after another (RFC 3501 6.4.4), in slices; reads only as
 * much of each message as decides whether it matches. imapd-mailbox.
 */
#ifndef IMAPD_SEARCH_SEARCH_H
#define IMAPD_SEARCH_SEARCH_H

#include "imapd/fetch/message_source.h"
#include "imapd/folder/view.h"
#include "imapd/search/search_body.h"
#include "imapd/search/search_fields.h"
#include "imapd/search/search_grams.h"
#include "imapd/search/search_match.h"

enum { SEARCH_CHEAP_MESSAGES = 50 };

struct search {
    const struct search_key *key;
    unsigned needs; /* enum search_need, of all keys */
    struct search_text text;
    struct message_source source;
    bool entered;               /* message_cache_enter() was called */
    struct index *index;        /* NULL: none */
    struct index_reader reader; /* reads facts */
    bool asks_fields;           /* field records of the index decide all header terms */
    unsigned groups;            /* field groups that the terms look into, one bit each */
    struct index_reader fields[SEARCH_FIELDS_GROUPS];
    uint32_t asked_block; /* index block whose fields were checked at once: its number plus one */
    uint32_t ruled_out_from; /* no message in this range of UIDs matches; 0: unknown */
    uint32_t ruled_out_to;
    bool asks_grams; /* messages ruled out by the index are not read */
    struct index_reader header_grams;
    struct index_reader body_grams;
    struct search_grams *grams; /* collects those of the text being searched; NULL: not wanted */
    bool grams_known;           /* the index has them for this message */
    bool left_out;              /* the index lacks them for some message that was read */
    unsigned cheap;             /* messages until search_was_dear() returns true in any case */
    /* For the current message: */
    bool begun;
    struct search_facts facts;
    struct index_facts indexed; /* facts to be stored in the index */
    bool fields_known;          /* the index has the fields, but too long for so many terms */
    bool body_begun;
    bool in_body;          /* `run` is valid */
    struct search_run run; /* current run of the body; after the last one, none */
    uint64_t offset;       /* of the next octets in `run` */
    struct search_body body;
};

/* Prepares the keys: resolves sets, decodes and folds strings, in the arena. `charset` must not be
 * NULL. Borrows folder, keys and arena until search_clear(), which must be called in any case.
 * False: the arena is full. */
bool search_init(struct search *search, struct search_key *key, const struct charset *charset,
                 const struct view *view, struct arena *arena);
void search_clear(struct search *search); /* may run twice, and on a zeroed struct */

/* Decides whether the message at this index of the view matches. SOURCE_DONE: *matches is set.
 * SOURCE_MORE: call again for the same message. ERROR_NOT_FOUND: the message was removed. */
enum source_result search_message(struct search *search, const struct view *view, size_t index,
                                  bool *matches, struct error *error);

/* The day of the Date field of a message whose header was read; INDEX_NO_DAY: it has none. */
int32_t search_sent_day(const struct message_source *source);

/* To be called after each message. True: check whether the turn is over, after a message that had
 * to be looked up or read, or after SEARCH_CHEAP_MESSAGES others. */
static inline bool search_was_dear(struct search *search)
{
    bool dear = search->cheap == 0;
    search->cheap = dear ? SEARCH_CHEAP_MESSAGES : search->cheap - 1;
    return dear;
}

#endif
