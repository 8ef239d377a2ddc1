/*
 * The keys of a SEARCH (RFC 3501 6.4.4 and 9, search-key; RFC 5032, 7162, 8474, 8514), parsed into
 * a tree with few kinds of nodes: UNSEEN becomes NOT SEEN, FROM becomes HEADER. Pure;
 * imapd-mailbox.
 */
#ifndef IMAPD_SEARCH_SEARCH_KEY_H
#define IMAPD_SEARCH_SEARCH_KEY_H

#include "imapd/syntax/parser.h"

struct search_term;

enum { SEARCH_DEPTH_MAX = 500 }; /* clients write long OR chains, each OR inside the last */

enum search_kind {
    SEARCH_ALL,
    SEARCH_AND,      /* all of `keys` */
    SEARCH_OR,       /* one of the two of `keys` */
    SEARCH_NOT,      /* not the one of `keys` */
    SEARCH_SEQUENCE, /* `set`, of sequence numbers */
    SEARCH_UID,      /* `set`, of UIDs */
    SEARCH_FLAG,     /* `flag` */
    SEARCH_KEYWORD,  /* `text`, an atom */
    SEARCH_RECENT,
    SEARCH_BEFORE, /* INTERNALDATE, without its time, against `day` */
    SEARCH_ON,
    SEARCH_SINCE,
    SEARCH_SENT_BEFORE, /* the Date field, without time and zone, against `day` */
    SEARCH_SENT_ON,
    SEARCH_SENT_SINCE,
    SEARCH_LARGER, /* than `octets` */
    SEARCH_SMALLER,
    SEARCH_HEADER, /* `text` in a `field`; an empty text: there is such a field */
    SEARCH_BODY,   /* `text` in the body */
    SEARCH_TEXT,   /* `text` in header or body */
    SEARCH_OLDER,  /* INTERNALDATE, `seconds` ago or earlier, RFC 5032 */
    SEARCH_YOUNGER,
    SEARCH_SAVED_BEFORE, /* SAVEDATE, without its time, against `day`, RFC 8514 4.3 */
    SEARCH_SAVED_ON,
    SEARCH_SAVED_SINCE,
    SEARCH_EMAIL_ID, /* `text`, RFC 8474 5.4 */
    SEARCH_MODSEQ,   /* that or a higher one, RFC 7162 3.1.5 */
};

struct search_key {
    struct search_key *next; /* sibling in the parent's `keys` */
    enum search_kind kind;
    struct search_key *keys;
    struct sequence_set set; /* as parsed, not resolved */
    uint32_t flag;           /* one of enum maildir_flag */
    int32_t day;             /* since 1970-01-01 */
    uint64_t octets;
    uint32_t seconds;
    uint64_t modseq;
    struct slice field;
    struct slice text; /* in the charset of the program; may be empty */

    /* Set by search_init() and used for matching: */
    struct search_term *term; /* for SEARCH_HEADER, _BODY, _TEXT */
    int64_t moment;           /* for SEARCH_OLDER, _YOUNGER: seconds since 1970 */
    uint32_t letters;         /* for SEARCH_KEYWORD, as in maildir_name; 0: no message has it */
};

struct search_program {
    struct slice charset; /* as written; empty: US-ASCII */
    struct search_key *key;
};

/* ["CHARSET" SP astring SP] search-key *(SP search-key): what follows "SEARCH ". Allocated in the
 * parser's arena. */
bool search_program_parse(struct imap_parser *parser, struct search_program *program);

/* search-criteria = charset 1*(SP search-key): what follows the criteria of SORT and THREAD
 * (RFC 5256 5). */
bool search_criteria_parse(struct imap_parser *parser, struct search_program *program);

/* Whether one of the keys is a set of sequence numbers, not counting "$". */
bool search_key_names_numbers(const struct search_key *key);

/* Whether one of the keys is of this kind. */
bool search_key_has(const struct search_key *key, enum search_kind kind);

#endif
