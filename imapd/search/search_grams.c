/*
 * The sets of search_grams.h. A set of fewer bits is the longer one folded in halves, so its size
 * can be chosen when all has been seen.
 */
#include "imapd/search/search_grams.h"

#include <string.h>

enum {
    GRAM_OCTETS = 3,
    SMALLEST_WORDS = 1,
    /* Of the bits that are set, in hundredths: a string of n octets is then taken to be in a text
     * that has not got it with a probability of 0.4 to the power of n - 2, at most. */
    FULL_PERCENT = 40,
    USELESS_PERCENT = 80,
};

/* The lowest bits of a hash, of which any number is as good as any. */
static uint32_t bit_of(uint32_t gram)
{
    return gram * UINT32_C(0x9e3779b1) >> 17;
}

void search_grams_init(struct search_grams *grams)
{
    memset(grams, 0, sizeof(*grams));
}

void search_grams_end(struct search_grams *grams)
{
    grams->seen = 0;
}

void search_grams_feed(struct search_grams *grams, struct slice folded)
{
    size_t i = 0;
    for (; i < folded.len && grams->seen < GRAM_OCTETS - 1; i++, grams->seen++)
        grams->last = grams->last << 8 | folded.ptr[i];
    uint32_t last = grams->last;
    for (; i < folded.len; i++) {
        last = (last << 8 | folded.ptr[i]) & 0xffffff;
        uint32_t bit = bit_of(last);
        uint64_t *word = &grams->bits[bit / 64], with = *word | UINT64_C(1) << bit % 64;
        grams->count += with != *word;
        *word = with;
    }
    grams->last = last;
}

/* --- records --- */

/* The words that a set of this many bits needs; 0: too many bits. */
static size_t words_for(size_t count)
{
    size_t words = SMALLEST_WORDS;
    while (words < SEARCH_GRAM_WORDS && count * 100 > words * 64 * FULL_PERCENT)
        words *= 2;
    return count * 100 <= words * 64 * USELESS_PERCENT ? words : 0;
}

void search_grams_format(const struct search_grams *grams, struct buffer *record)
{
    uint64_t bits[SEARCH_GRAM_WORDS] = {0};
    size_t words = words_for(grams->count);
    for (size_t i = 0; i < SEARCH_GRAM_WORDS && words > 0; i++)
        bits[i & (words - 1)] |= grams->bits[i];
    buffer_append(record, slice_of(bits, words * sizeof(bits[0])));
}

static bool is_size(size_t octets)
{
    return octets >= SMALLEST_WORDS * 8 && octets <= SEARCH_GRAM_BITS / 8
           && (octets & (octets - 1)) == 0;
}

bool search_grams_may_have(struct slice record, struct slice folded)
{
    uint32_t gram = 0, mask = (uint32_t)record.len * 8 - 1;
    if (!is_size(record.len))
        return true;
    for (size_t i = 0; i < folded.len; i++) {
        gram = (gram << 8 | folded.ptr[i]) & 0xffffff;
        uint32_t bit = bit_of(gram) & mask;
        uint64_t word;
        memcpy(&word, record.ptr + bit / 64 * 8, sizeof(word));
        if (i >= GRAM_OCTETS - 1 && !(word >> bit % 64 & 1))
            return false;
    }
    return true;
}
