/*
 * A SEARCH over a folder, one message after the other (RFC 3501 6.4.4): of each only as much is
 * read as decides whether it matches, in slices. imapd-mailbox.
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
    bool entered;               /* the cache, for its index */
    struct index *index;        /* NULL: none */
    struct index_reader reader; /* of facts */
    bool asks_fields; /* the index's records of fields decide all that looks into headers */
    unsigned groups;  /* of fields, that are looked into */
    struct index_reader fields[SEARCH_FIELDS_GROUPS];
    uint32_t asked_block; /* whose fields were looked through at once; one more than its number */
    uint32_t ruled_out_from; /* none of the messages of these UIDs matches; 0: nothing is known */
    uint32_t ruled_out_to;
    bool asks_grams; /* whatever is ruled out by the index is not read */
    struct index_reader header_grams;
    struct index_reader body_grams;
    struct search_grams *grams; /* of what is being looked through; NULL: nobody wants them */
    bool grams_known;           /* they are in the index */
    bool left_out;              /* of some message they are not, though it was read */
    unsigned cheap;             /* messages until search_was_dear() says so, whatever they cost */
    /* Of the message that is looked at: */
    bool begun;
    struct search_facts facts;
    struct index_facts indexed; /* what the index is to know */
    bool fields_known;          /* it has the fields, too much of them for so many terms */
    bool body_begun;
    bool in_body;          /* `run` says where; the run behind the last one is none */
    struct search_run run; /* of the body; the next octets are at `offset` of it */
    uint64_t offset;
    struct search_body body;
};

/* Makes the keys ready: sets resolved, strings decoded and folded, in the arena. `charset` may not
 * be NULL. The folder, keys and arena are borrowed until search_clear(), which is wanted in any
 * case. False if the arena is full. */
bool search_init(struct search *search, struct search_key *key, const struct charset *charset,
                 const struct view *view, struct arena *arena);
void search_clear(struct search *search); /* may run twice, and on a zeroed struct */

/* *matches, once it is done, for the message at that index of the view. SOURCE_MORE: call again,
 * for the same one. ERROR_NOT_FOUND: it is gone. */
enum source_result search_message(struct search *search, const struct view *view, size_t index,
                                  bool *matches, struct error *error);

/* The day of the Date field, of a message whose header was read; INDEX_NO_DAY: it has none. */
int32_t search_sent_day(const struct message_source *source);

/* After each message: is it time to ask whether the turn is over? It is after one of which anything
 * had to be found out, and after some of which nothing had. */
static inline bool search_was_dear(struct search *search)
{
    bool dear = search->cheap == 0;
    search->cheap = dear ? SEARCH_CHEAP_MESSAGES : search->cheap - 1;
    return dear;
}

#endif
