/*
 * The criteria of SORT (RFC 5256 3 and 5, RFC 5957) and the comparison of messages by them.
 * Pure; imapd-mailbox.
 */
#ifndef IMAPD_SEARCH_SORT_KEY_H
#define IMAPD_SEARCH_SORT_KEY_H

#include "imapd/syntax/parser.h"

enum sort_kind {
    SORT_ARRIVAL, /* INTERNALDATE */
    SORT_CC,      /* the mailbox of the first address */
    SORT_DATE,    /* the Date field in UTC, or INTERNALDATE */
    SORT_FROM,
    SORT_SIZE,
    SORT_SUBJECT, /* base subject */
    SORT_TO,
    SORT_DISPLAYFROM, /* the name of the first address, or the address, RFC 5957 3 */
    SORT_DISPLAYTO,
};

enum { SORT_KEYS_MAX = 20 };

struct sort_key {
    enum sort_kind kind;
    bool reverse;
};

struct sort_program {
    struct sort_key keys[SORT_KEYS_MAX];
    size_t count;
};

/* "(" sort-criterion *(SP sort-criterion) ")" */
bool sort_program_parse(struct imap_parser *parser, struct sort_program *program);

/* A message's value for one key. */
struct sort_value {
    int64_t number;
    struct slice text; /* in the form that i;unicode-casemap compares */
};

struct sort_entry {
    uint32_t position; /* in the view; breaks ties */
    const struct sort_value *values;
};

void sort_entries(struct sort_entry *entries, size_t count, const struct sort_program *program);

#endif
