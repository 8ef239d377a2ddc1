/* The keys of search_key.h held against messages; see search.h. */
#include "imapd/search.h"

#include "common/mime/charset.h"
#include "imapd/search_text.h"

enum { SECONDS_A_DAY = 86400, TEXT_OCTETS = 1 << 22 };

/* ---- preparing ---- */

bool search_charset_is_known(struct slice charset)
{
    return charset.len == 0 || charset_find(charset) != NULL;
}

static bool prepare_text(struct search_key *key, const struct charset *charset, struct arena *arena)
{
    struct buffer text = BUFFER_WITH_LIMIT(TEXT_OCTETS);
    charset_decode(charset, key->text, &text);
    key->text = text.failed ? slice_of(NULL, 0) : search_text_fold(buffer_slice(&text), arena);
    buffer_clear(&text);
    return key->text.ptr != NULL;
}

/* What a key costs: from the view, from the file's status, from its header, from all of it. */
static int cost_of(const struct search_key *key)
{
    int cost = 0;
    switch (key->kind) {
    case SEARCH_BEFORE:
    case SEARCH_ON:
    case SEARCH_SINCE:
    case SEARCH_LARGER:
    case SEARCH_SMALLER:
        return 1;
    case SEARCH_SENT_BEFORE:
    case SEARCH_SENT_ON:
    case SEARCH_SENT_SINCE:
    case SEARCH_HEADER:
        return 2;
    case SEARCH_BODY:
    case SEARCH_TEXT:
        return 3;
    case SEARCH_AND:
    case SEARCH_OR:
    case SEARCH_NOT:
        for (const struct search_key *inner = key->keys; inner; inner = inner->next) {
            int inner_cost = cost_of(inner);
            cost = inner_cost > cost ? inner_cost : cost;
        }
        return cost;
    default:
        return 0;
    }
}

/* A stable distribution by cost: what is dear is asked only of what passed the rest. */
static void put_cheap_first(struct search_key *parent)
{
    enum { COSTS = 4 };
    struct search_key *heads[COSTS] = {NULL};
    struct search_key **tails[COSTS];
    for (int i = 0; i < COSTS; i++)
        tails[i] = &heads[i];
    for (struct search_key *key = parent->keys; key; key = key->next) {
        int cost = cost_of(key);
        *tails[cost] = key;
        tails[cost] = &key->next;
    }
    struct search_key **end = &parent->keys;
    for (int i = 0; i < COSTS; i++) {
        *tails[i] = NULL;
        *end = heads[i];
        end = heads[i] ? tails[i] : end;
    }
}

static bool prepare_key(struct search_key *key, const struct view *view,
                        const struct charset *charset, struct arena *arena, const char **problem)
{
    switch (key->kind) {
    case SEARCH_SEQUENCE:
        *problem = "Expected numbers of messages that there are";
        return view_resolve(view, &key->set, false);
    case SEARCH_UID:
        return view_resolve(view, &key->set, true);
    case SEARCH_HEADER:
    case SEARCH_BODY:
    case SEARCH_TEXT:
        *problem = NULL;
        return prepare_text(key, charset, arena);
    case SEARCH_AND:
    case SEARCH_OR:
    case SEARCH_NOT:
        for (struct search_key *inner = key->keys; inner; inner = inner->next) {
            if (!prepare_key(inner, view, charset, arena, problem))
                return false;
        }
        put_cheap_first(key);
        return true;
    default:
        return true;
    }
}

bool search_prepare(struct search_program *program, const struct view *view, struct arena *arena,
                    const char **problem)
{
    const struct charset *charset =
        program->charset.len ? charset_find(program->charset) : charset_utf8();
    return prepare_key(program->key, view, charset, arena, problem);
}

/* ---- matching ---- */

/* Where a key is held against a message. */
struct candidate {
    const struct view *view;
    size_t index;
    const struct message *message;
    struct message_source *source;
};

static bool match(const struct search_key *key, const struct candidate *candidate, bool *matches,
                  struct error *error);

/* Until one of them decides it. */
static bool match_list(const struct search_key *key, const struct candidate *candidate,
                       bool *matches, struct error *error)
{
    bool decisive = key->kind == SEARCH_OR;
    for (const struct search_key *inner = key->keys; inner; inner = inner->next) {
        if (!match(inner, candidate, matches, error))
            return false;
        if (*matches == decisive)
            return true;
    }
    return true;
}

static bool has_keyword(const struct candidate *candidate, struct slice keyword)
{
    unsigned letter;
    return folder_record_find_keyword(&candidate->view->folder->record, keyword, &letter)
           && (candidate->message->letters >> letter & 1);
}

static int32_t day_of(int64_t seconds)
{
    int64_t day = seconds / SECONDS_A_DAY - (seconds % SECONDS_A_DAY < 0);
    return (int32_t)day;
}

static bool compare_days(enum search_kind kind, int32_t day, int32_t wanted)
{
    switch (kind) {
    case SEARCH_BEFORE:
    case SEARCH_SENT_BEFORE:
        return day < wanted;
    case SEARCH_ON:
    case SEARCH_SENT_ON:
        return day == wanted;
    default:
        return day >= wanted;
    }
}

static bool match_arrival(const struct search_key *key, const struct candidate *candidate,
                          bool *matches, struct error *error)
{
    int64_t seconds;
    if (!message_source_date(candidate->source, &seconds, error))
        return false;
    *matches = compare_days(key->kind, day_of(seconds), key->day);
    return true;
}

static bool match_sent(const struct search_key *key, const struct candidate *candidate,
                       bool *matches, struct error *error)
{
    int32_t day;
    if (!search_text_sent_day(candidate->source, &day, matches, error))
        return false;
    *matches = *matches && compare_days(key->kind, day, key->day);
    return true;
}

static bool match_size(const struct search_key *key, const struct candidate *candidate,
                       bool *matches, struct error *error)
{
    uint64_t octets;
    if (!message_source_octets(candidate->source, &octets, error))
        return false;
    *matches = key->kind == SEARCH_LARGER ? octets > key->octets : octets < key->octets;
    return true;
}

static bool match_not(const struct search_key *key, const struct candidate *candidate,
                      bool *matches, struct error *error)
{
    if (!match(key->keys, candidate, matches, error))
        return false;
    *matches = !*matches;
    return true;
}

static bool match(const struct search_key *key, const struct candidate *candidate, bool *matches,
                  struct error *error)
{
    const struct view_slot *slot = &candidate->view->slots[candidate->index];
    switch (key->kind) {
    case SEARCH_ALL:
        *matches = true;
        return true;
    case SEARCH_AND:
    case SEARCH_OR:
        return match_list(key, candidate, matches, error);
    case SEARCH_NOT:
        return match_not(key, candidate, matches, error);
    case SEARCH_SEQUENCE:
        *matches = sequence_set_contains(&key->set, (uint32_t)candidate->index + 1);
        return true;
    case SEARCH_UID:
        *matches = sequence_set_contains(&key->set, slot->uid);
        return true;
    case SEARCH_FLAG:
        *matches = candidate->message->flags & key->flag;
        return true;
    case SEARCH_KEYWORD:
        *matches = has_keyword(candidate, key->text);
        return true;
    case SEARCH_RECENT:
        *matches = slot->marks & VIEW_RECENT;
        return true;
    case SEARCH_BEFORE:
    case SEARCH_ON:
    case SEARCH_SINCE:
        return match_arrival(key, candidate, matches, error);
    case SEARCH_SENT_BEFORE:
    case SEARCH_SENT_ON:
    case SEARCH_SENT_SINCE:
        return match_sent(key, candidate, matches, error);
    case SEARCH_LARGER:
    case SEARCH_SMALLER:
        return match_size(key, candidate, matches, error);
    case SEARCH_HEADER:
        return search_text_in_field(candidate->source, key->field, key->text, matches, error);
    case SEARCH_BODY:
        return search_text_in_message(candidate->source, key->text, false, matches, error);
    case SEARCH_TEXT:
        return search_text_in_message(candidate->source, key->text, true, matches, error);
    }
    return error_set(error, ERROR_PERMANENT, "search key");
}

bool search_matches(const struct search_key *key, const struct view *view, size_t index,
                    struct message_source *source, bool *matches, struct error *error)
{
    struct candidate candidate = {
        .view = view, .index = index, .message = view_message(view, index), .source = source};
    if (!candidate.message)
        return error_set(error, ERROR_NOT_FOUND, "message is gone");
    message_source_turn_to(source, view->folder, candidate.message->uid);
    return match(key, &candidate, matches, error);
}
