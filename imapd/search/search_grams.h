/*
 * The trigrams (runs of three octets) of a text, as a set of bits, which rules out most messages
 * that cannot contain a string without reading them. The text is what SEARCH compares
 * (search_text.h), so nothing that it would find is ever ruled out. Pure; imapd-mailbox.
 */
#ifndef IMAPD_SEARCH_SEARCH_GRAMS_H
#define IMAPD_SEARCH_SEARCH_GRAMS_H

#include "common/buffer.h"

enum {
    SEARCH_GRAM_BITS = 1 << 15, /* 4 KiB for a long text; a short one takes less */
    SEARCH_GRAM_WORDS = SEARCH_GRAM_BITS / 64,
};

struct search_grams {
    uint64_t bits[SEARCH_GRAM_WORDS];
    size_t count;  /* bits set */
    uint32_t last; /* the last octets of the text, the latest lowest */
    unsigned seen; /* octets of the current text; at most 2 */
};

void search_grams_init(struct search_grams *grams);

/* Feeds folded octets, in pieces; ends one text: no string continues past its end. */
void search_grams_feed(struct search_grams *grams, struct slice folded);
void search_grams_end(struct search_grams *grams);

/* Appends the set, shortened as far as it stays useful; nothing for a text with too many trigrams,
 * which means that it may contain anything. Failure is the buffer's. */
void search_grams_format(const struct search_grams *grams, struct buffer *record);

/* False: the string is not in what was fed. */
bool search_grams_may_have(struct slice record, struct slice folded);

#endif
