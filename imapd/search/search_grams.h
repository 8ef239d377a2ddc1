/*
 * Which runs of three octets a text has, as a set of bits: it tells most messages that cannot hold
 * a string from those that may, without reading them. The text is what SEARCH compares
 * (search_text.h), so nothing that it would find is ever ruled out. Pure; imapd-mailbox.
 */
#ifndef IMAPD_SEARCH_SEARCH_GRAMS_H
#define IMAPD_SEARCH_SEARCH_GRAMS_H

#include "common/buffer.h"

enum {
    SEARCH_GRAM_BITS = 1 << 15, /* of a long text: 4 KiB; a short one takes less */
    SEARCH_GRAM_WORDS = SEARCH_GRAM_BITS / 64,
};

struct search_grams {
    uint64_t bits[SEARCH_GRAM_WORDS];
    size_t count;  /* of those that are set */
    uint32_t last; /* octets of the text, the latest lowest */
    unsigned seen; /* of the text that is being fed; at most 2 */
};

void search_grams_init(struct search_grams *grams);

/* Folded octets, in pieces; the end of one text: no string goes on after it. */
void search_grams_feed(struct search_grams *grams, struct slice folded);
void search_grams_end(struct search_grams *grams);

/* Appends the set, as short as it still tells something; of too many different runs nothing, which
 * means that the text may have anything. Failure is the buffer's. */
void search_grams_format(const struct search_grams *grams, struct buffer *record);

/* False: the string is not in what was fed. */
bool search_grams_may_have(struct slice record, struct slice folded);

#endif
