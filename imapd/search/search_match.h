/*
 * Decides whether a message matches a SEARCH. While the known facts do not decide the keys, the
 * caller finds out more, cheapest first. Pure; imapd-mailbox.
 */
#ifndef IMAPD_SEARCH_SEARCH_MATCH_H
#define IMAPD_SEARCH_SEARCH_MATCH_H

#include "imapd/search/search_key.h"
#include "imapd/search/search_text.h"
#include "storage/email_id.h"
#include "storage/index.h"

/* Facts to be found out. */
enum search_need {
    SEARCH_NEEDS_OCTETS = 1 << 0,
    SEARCH_NEEDS_DATE = 1 << 1,
    SEARCH_NEEDS_SENT_DAY = 1 << 2,
    SEARCH_NEEDS_HEADER = 1 << 3, /* header searched for terms */
    SEARCH_NEEDS_BODY = 1 << 4,
    SEARCH_NEEDS_SAVE_DAY = 1 << 5, /* cheap */
    SEARCH_NEEDS_EMAIL_ID = 1 << 6, /* cheap */
    SEARCH_NEEDS_GRAMS = 1 << 7,    /* terms that the index rules out in header and body */
};

/* The known facts of one message. */
struct search_facts {
    uint32_t number;
    uint32_t uid;
    uint32_t flags;
    uint32_t letters;
    uint64_t modseq;
    bool recent;
    unsigned known; /* enum search_need: which of the rest, and of the terms, is valid */
    uint64_t octets;
    int64_t internal_date; /* seconds since 1970 */
    int32_t day;           /* of internal_date */
    int32_t save_day;      /* SAVEDATE */
    char email_id[EMAIL_ID_SIZE];
    int32_t sent_day; /* of the Date field; INDEX_NO_DAY: there is none */
};

enum search_verdict { SEARCH_NO, SEARCH_YES, SEARCH_UNDECIDED };

struct charset;

/* Makes terms, in the arena, for all keys that search for strings, and sets their `term`. The
 * strings are in `charset`. False: the arena is full. */
bool search_make_terms(struct search_key *key, const struct charset *charset, struct arena *arena,
                       struct search_term **terms);

/* All facts that these keys may need. */
unsigned search_needs(const struct search_key *key);

enum search_verdict search_match(const struct search_key *key, const struct search_facts *facts);

#endif
