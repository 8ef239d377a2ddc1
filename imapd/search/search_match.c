/*
 * The verdicts of search_match.h, in a logic of three values. It recurses into keys; their depth is
 * bounded by SEARCH_DEPTH_MAX.
 */
#include "imapd/search/search_match.h"

#include "common/mime/charset.h"
#include "common/size.h"

/* --- terms --- */

static unsigned scopes_of(enum search_kind kind)
{
    switch (kind) {
    case SEARCH_HEADER:
        return SEARCH_IN_FIELD;
    case SEARCH_BODY:
        return SEARCH_IN_BODY;
    case SEARCH_TEXT:
        return SEARCH_IN_HEADER | SEARCH_IN_BODY;
    default:
        return 0;
    }
}

static bool make_term(struct search_key *key, const struct charset *charset, struct arena *arena,
                      struct search_term **terms)
{
    struct buffer utf8 = BUFFER_WITH_LIMIT(3 * key->text.len);
    struct buffer folded = BUFFER_WITH_LIMIT(64 + 64 * key->text.len);
    struct search_term *term = arena_alloc(arena, sizeof(*term));
    charset_decode(charset, key->text, &utf8);
    search_fold(buffer_slice(&utf8), &folded);
    if (term) {
        term->scopes = scopes_of(key->kind);
        term->field = key->field;
        term->folded = arena_copy(arena, buffer_slice(&folded));
        term->next = *terms;
        *terms = term;
        key->term = term;
    }
    bool made = term && term->folded.ptr && !utf8.failed && !folded.failed;
    buffer_clear(&utf8);
    buffer_clear(&folded);
    return made;
}

bool search_make_terms(struct search_key *key, const struct charset *charset, struct arena *arena,
                       struct search_term **terms)
{
    for (struct search_key *each = key->keys; each; each = each->next)
        if (!search_make_terms(each, charset, arena, terms))
            return false;
    return scopes_of(key->kind) == 0 || make_term(key, charset, arena, terms);
}

/* --- one key: what it needs, and what it says once that is known --- */

static enum search_verdict verdict_of(bool match)
{
    return match ? SEARCH_YES : SEARCH_NO;
}

static enum search_verdict match_term(const struct search_key *key,
                                      const struct search_facts *facts)
{
    (void)facts;
    return verdict_of(key->term->found);
}

static enum search_verdict match_date(const struct search_key *key,
                                      const struct search_facts *facts)
{
    if (key->kind == SEARCH_ON)
        return verdict_of(facts->day == key->day);
    return verdict_of((facts->day < key->day) == (key->kind == SEARCH_BEFORE));
}

/* "OLDER ... INTERNALDATE is older than or equal to the interval", YOUNGER as well (RFC 5032 3). */
static enum search_verdict match_age(const struct search_key *key, const struct search_facts *facts)
{
    return verdict_of(key->kind == SEARCH_OLDER ? facts->internal_date <= key->moment
                                                : facts->internal_date >= key->moment);
}

static enum search_verdict match_save_day(const struct search_key *key,
                                          const struct search_facts *facts)
{
    if (key->kind == SEARCH_SAVED_ON)
        return verdict_of(facts->save_day == key->day);
    return verdict_of((facts->save_day < key->day) == (key->kind == SEARCH_SAVED_BEFORE));
}

static enum search_verdict match_email_id(const struct search_key *key,
                                          const struct search_facts *facts)
{
    return verdict_of(slice_equal(key->text, slice_of_string(facts->email_id)));
}

static enum search_verdict match_sent_day(const struct search_key *key,
                                          const struct search_facts *facts)
{
    if (facts->sent_day == INDEX_NO_DAY)
        return SEARCH_NO;
    if (key->kind == SEARCH_SENT_ON)
        return verdict_of(facts->sent_day == key->day);
    return verdict_of((facts->sent_day < key->day) == (key->kind == SEARCH_SENT_BEFORE));
}

static enum search_verdict match_octets(const struct search_key *key,
                                        const struct search_facts *facts)
{
    return verdict_of(key->kind == SEARCH_LARGER ? facts->octets > key->octets
                                                 : facts->octets < key->octets);
}

static enum search_verdict match_flag(const struct search_key *key,
                                      const struct search_facts *facts)
{
    return verdict_of((facts->flags & key->flag) != 0);
}

static enum search_verdict match_keyword(const struct search_key *key,
                                         const struct search_facts *facts)
{
    return verdict_of((facts->letters & key->letters) != 0);
}

static enum search_verdict match_modseq(const struct search_key *key,
                                        const struct search_facts *facts)
{
    return verdict_of(facts->modseq >= key->modseq);
}

static enum search_verdict match_recent(const struct search_key *key,
                                        const struct search_facts *facts)
{
    (void)key;
    return verdict_of(facts->recent);
}

static enum search_verdict match_set(const struct search_key *key, const struct search_facts *facts)
{
    uint32_t number = key->kind == SEARCH_UID ? facts->uid : facts->number;
    return verdict_of(sequence_set_contains(&key->set, number));
}

static enum search_verdict match_all(const struct search_key *key, const struct search_facts *facts)
{
    (void)key;
    (void)facts;
    return SEARCH_YES;
}

static enum search_verdict match_and(const struct search_key *key, const struct search_facts *facts)
{
    enum search_verdict verdict = SEARCH_YES;
    for (const struct search_key *each = key->keys; each; each = each->next) {
        enum search_verdict one = search_match(each, facts);
        if (one == SEARCH_NO)
            return SEARCH_NO;
        if (one == SEARCH_UNDECIDED)
            verdict = SEARCH_UNDECIDED;
    }
    return verdict;
}

static enum search_verdict match_or(const struct search_key *key, const struct search_facts *facts)
{
    enum search_verdict verdict = SEARCH_NO;
    for (const struct search_key *each = key->keys; each; each = each->next) {
        enum search_verdict one = search_match(each, facts);
        if (one == SEARCH_YES)
            return SEARCH_YES;
        if (one == SEARCH_UNDECIDED)
            verdict = SEARCH_UNDECIDED;
    }
    return verdict;
}

static enum search_verdict match_not(const struct search_key *key, const struct search_facts *facts)
{
    enum search_verdict verdict = search_match(key->keys, facts);
    if (verdict == SEARCH_UNDECIDED)
        return SEARCH_UNDECIDED;
    return verdict == SEARCH_NO ? SEARCH_YES : SEARCH_NO;
}

static const struct {
    unsigned needs;
    enum search_verdict (*match)(const struct search_key *key, const struct search_facts *facts);
} kinds[] = {
    [SEARCH_ALL] = {0, match_all},
    [SEARCH_AND] = {0, match_and},
    [SEARCH_OR] = {0, match_or},
    [SEARCH_NOT] = {0, match_not},
    [SEARCH_SEQUENCE] = {0, match_set},
    [SEARCH_UID] = {0, match_set},
    [SEARCH_FLAG] = {0, match_flag},
    [SEARCH_KEYWORD] = {0, match_keyword},
    [SEARCH_RECENT] = {0, match_recent},
    [SEARCH_MODSEQ] = {0, match_modseq},
    [SEARCH_BEFORE] = {SEARCH_NEEDS_DATE, match_date},
    [SEARCH_ON] = {SEARCH_NEEDS_DATE, match_date},
    [SEARCH_SINCE] = {SEARCH_NEEDS_DATE, match_date},
    [SEARCH_SENT_BEFORE] = {SEARCH_NEEDS_SENT_DAY, match_sent_day},
    [SEARCH_SENT_ON] = {SEARCH_NEEDS_SENT_DAY, match_sent_day},
    [SEARCH_SENT_SINCE] = {SEARCH_NEEDS_SENT_DAY, match_sent_day},
    [SEARCH_OLDER] = {SEARCH_NEEDS_DATE, match_age},
    [SEARCH_YOUNGER] = {SEARCH_NEEDS_DATE, match_age},
    [SEARCH_SAVED_BEFORE] = {SEARCH_NEEDS_SAVE_DAY, match_save_day},
    [SEARCH_SAVED_ON] = {SEARCH_NEEDS_SAVE_DAY, match_save_day},
    [SEARCH_SAVED_SINCE] = {SEARCH_NEEDS_SAVE_DAY, match_save_day},
    [SEARCH_EMAIL_ID] = {SEARCH_NEEDS_EMAIL_ID, match_email_id},
    [SEARCH_LARGER] = {SEARCH_NEEDS_OCTETS, match_octets},
    [SEARCH_SMALLER] = {SEARCH_NEEDS_OCTETS, match_octets},
    [SEARCH_HEADER] = {SEARCH_NEEDS_HEADER, match_term},
    [SEARCH_BODY] = {SEARCH_NEEDS_GRAMS | SEARCH_NEEDS_BODY, match_term},
    [SEARCH_TEXT] = {SEARCH_NEEDS_GRAMS | SEARCH_NEEDS_HEADER | SEARCH_NEEDS_BODY, match_term},
};

unsigned search_needs(const struct search_key *key)
{
    unsigned needs = kinds[key->kind].needs;
    for (const struct search_key *each = key->keys; each; each = each->next)
        needs |= search_needs(each);
    return needs;
}

enum search_verdict search_match(const struct search_key *key, const struct search_facts *facts)
{
    /* What was found is found, though not all has been looked through. */
    if (key->term && key->term->found)
        return SEARCH_YES;
    if (key->term && key->term->excluded)
        return SEARCH_NO;
    if (kinds[key->kind].needs & ~facts->known)
        return SEARCH_UNDECIDED;
    return kinds[key->kind].match(key, facts);
}
