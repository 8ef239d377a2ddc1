/*
 * Whether a message is what a SEARCH asks for. What costs nothing is looked at first: while the
 * keys cannot be decided by what is known of the message, more is found out, in the order of the
 * costs. Pure; imapd-mailbox.
 */
#ifndef IMAPD_SEARCH_SEARCH_MATCH_H
#define IMAPD_SEARCH_SEARCH_MATCH_H

#include "imapd/search/search_key.h"
#include "imapd/search/search_text.h"
#include "storage/email_id.h"
#include "storage/index.h"

/* What has to be found out. */
enum search_need {
    SEARCH_NEEDS_OCTETS = 1 << 0,
    SEARCH_NEEDS_DATE = 1 << 1,
    SEARCH_NEEDS_SENT_DAY = 1 << 2,
    SEARCH_NEEDS_HEADER = 1 << 3, /* looked through for terms */
    SEARCH_NEEDS_BODY = 1 << 4,
    SEARCH_NEEDS_SAVE_DAY = 1 << 5, /* cheap */
    SEARCH_NEEDS_EMAIL_ID = 1 << 6, /* cheap */
    SEARCH_NEEDS_GRAMS = 1 << 7,    /* what the index rules out of header and body */
};

/* What is known of one message. */
struct search_facts {
    uint32_t number;
    uint32_t uid;
    uint32_t flags;
    uint32_t letters;
    uint64_t modseq;
    bool recent;
    unsigned known; /* enum search_need: what is valid of the rest, and of the terms */
    uint64_t octets;
    int64_t internal_date; /* seconds since 1970 */
    int32_t day;           /* of that */
    int32_t save_day;      /* SAVEDATE */
    char email_id[EMAIL_ID_SIZE];
    int32_t sent_day; /* Date field; INDEX_NO_DAY: has none */
};

enum search_verdict { SEARCH_NO, SEARCH_YES, SEARCH_UNDECIDED };

struct charset;

/* Terms of all keys that look for strings, in the arena; each such key has its `term` set. The
 * strings are in `charset`. False: the arena is full. */
bool search_make_terms(struct search_key *key, const struct charset *charset, struct arena *arena,
                       struct search_term **terms);

/* All that these keys might need. */
unsigned search_needs(const struct search_key *key);

enum search_verdict search_match(const struct search_key *key, const struct search_facts *facts);

#endif
