/*
 * The search of search.h. While a message is undecided, the next fact that the keys need is
 * determined, cheapest first:
 *
 *     begin ─> undecided ─> name, octets, date, sent day ─> what the index rules out ─> header
 *       ─> body, piece by piece
 *
 * A text searched to its end has its trigrams stored in the index, to rule out strings in later
 * searches (search_grams.h).
 */
#include "imapd/search/search.h"

#include "common/mime/charset.h"
#include "common/size.h"
#include "common/text/date.h"
#include "imapd/mailbox.h"
#include "storage/index_block.h"

enum {
    PIECES_A_SLICE = 8,        /* of a body */
    PIECE_COST = 64,           /* cost of looking for a term in an empty text, in octets */
    PIECE_OCTETS_LEAST = 512,  /* however many terms there are */
    INDEXED_OCTETS = 64 << 10, /* longer records are not stored: they are rare */
};

/* --- keys --- */

/* Nonexistent message numbers match nothing instead of the BAD of RFC 3501 9: clients search "1:*"
 * without knowing whether the mailbox is empty. */
static bool prepare_key(struct search_key *key, const struct view *view)
{
    unsigned letter;
    if (key->kind == SEARCH_UID || key->kind == SEARCH_SEQUENCE)
        view_resolve(view, &key->set, key->kind == SEARCH_UID);
    if (key->set.full)
        return false;
    if (key->kind == SEARCH_OLDER || key->kind == SEARCH_YOUNGER)
        key->moment = mailbox_now() - key->seconds;
    if (key->kind == SEARCH_KEYWORD
        && folder_record_find_keyword(&view->folder->record, key->text, &letter))
        key->letters = (uint32_t)1 << letter;
    for (struct search_key *each = key->keys; each; each = each->next)
        if (!prepare_key(each, view))
            return false;
    return true;
}

static void init_readers(struct search *search, uint32_t uidvalidity)
{
    struct index *index = search->index;
    index_reader_init(&search->reader, index, uidvalidity, INDEX_FACTS);
    for (int group = 0; group < SEARCH_FIELDS_GROUPS; group++)
        index_reader_init(&search->fields[group], index, uidvalidity,
                          search_fields_kind((enum search_fields_group)group));
    index_reader_init(&search->header_grams, index, uidvalidity, INDEX_HEADER_GRAMS);
    index_reader_init(&search->body_grams, index, uidvalidity, INDEX_BODY_GRAMS);
}

static void clear_readers(struct search *search)
{
    index_reader_clear(&search->reader);
    for (int group = 0; group < SEARCH_FIELDS_GROUPS; group++)
        index_reader_clear(&search->fields[group]);
    index_reader_clear(&search->header_grams);
    index_reader_clear(&search->body_grams);
}

/* Without memory for them nothing is stored. */
static void want_grams(struct search *search, struct arena *arena)
{
    search->asks_grams = true;
    search->grams = arena_alloc(arena, sizeof(*search->grams));
}

bool search_init(struct search *search, struct search_key *key, const struct charset *charset,
                 const struct view *view, struct arena *arena)
{
    struct search_term *terms = NULL;
    *search = (struct search){.key = key, .needs = search_needs(key)};
    message_source_init(&search->source, view->folder);
    bool ready = prepare_key(key, view) && search_make_terms(key, charset, arena, &terms);
    search_text_init(&search->text, terms);
    search->asks_fields = ready && (search->needs & SEARCH_NEEDS_HEADER)
                          && search_fields_decide(terms, &search->groups);
    if (ready && (search->needs & SEARCH_NEEDS_BODY))
        want_grams(search, arena);
    if (ready
        && (search->asks_fields || search->asks_grams || (search->needs & SEARCH_NEEDS_SENT_DAY))) {
        message_cache_enter(search->source.cache, view->folder);
        search->entered = true;
        search->index = message_cache_index(search->source.cache);
    }
    if (search->index)
        init_readers(search, view->folder->record.uidvalidity);
    return ready;
}

static void leave_body(struct search *search)
{
    if (search->body_begun)
        search_body_clear(&search->body);
    search->body_begun = false;
}

void search_clear(struct search *search)
{
    if (!search->key)
        return;
    leave_body(search);
    if (search->left_out || search->text.grams)
        learner_note(&search->source.folder->mailbox->learner, search->source.folder, 1);
    search_text_clear(&search->text);
    if (search->index)
        clear_readers(search);
    if (search->entered)
        message_cache_leave(search->source.cache);
    message_source_clear(&search->source);
    search->key = NULL;
}

/* --- from the index: the day that a message was sent, and the fields --- */

static struct index *index_of(const struct search *search)
{
    return search->index ? message_cache_index(search->source.cache) : NULL;
}

static void look_up(struct search *search)
{
    struct error error;
    search->indexed = (struct index_facts){.sent_day_known = false};
    if (!index_of(search))
        return;
    if (!index_reader_find_facts(&search->reader, search->source.uid, &search->indexed, &error)) {
        search->indexed = (struct index_facts){.sent_day_known = false};
        message_cache_on_failure(search->source.cache, &error);
    }
}

static void put_into_index(struct search *search)
{
    struct error error;
    const struct message_source *source = &search->source;
    struct index *index = index_of(search);
    if (!index)
        return;
    search->indexed = (struct index_facts){
        .internal_date = source->file.mtime.tv_sec,
        .crlf_octets = source->file.crlf_octets,
        .sent_day = search->facts.sent_day,
        .sent_day_known = true,
        .key = message_source_key(source),
    };
    if (!index_put_facts(index, source->folder->record.uidvalidity, source->uid, &search->indexed,
                         &error))
        message_cache_on_failure(source->cache, &error);
    message_cache_commit(source->cache);
}

/* --- determining a fact: each returns SOURCE_DONE once it is known --- */

static enum source_result find_octets(struct search *search, struct error *error)
{
    if (message_source_octets(&search->source, &search->facts.octets))
        return SOURCE_DONE;
    enum source_result result = message_source_read(&search->source, SOURCE_OPEN, error);
    if (result == SOURCE_DONE)
        message_source_octets(&search->source, &search->facts.octets);
    return result;
}

/* "the internal date (disregarding time and timezone)": as INTERNALDATE shows it, in UTC */
static enum source_result find_date(struct search *search, struct error *error)
{
    struct date date = {.zone_minutes = 0};
    if (!message_source_date(&search->source, &date.seconds, error))
        return SOURCE_FAILED;
    search->facts.internal_date = date.seconds;
    search->facts.day = date_day(&date);
    return SOURCE_DONE;
}

/* If the file name lacks it, INTERNALDATE is used, as for a mailbox without save dates (RFC 8514
 * 4.3). */
static enum source_result find_save_day(struct search *search, struct error *error)
{
    struct date date = {.zone_minutes = 0};
    if (!message_source_saved(&search->source, &date.seconds, error)
        || (date.seconds == 0 && !message_source_date(&search->source, &date.seconds, error)))
        return SOURCE_FAILED;
    search->facts.save_day = date_day(&date);
    return SOURCE_DONE;
}

static enum source_result find_email_id(struct search *search, struct error *error)
{
    return message_source_email_id(&search->source, search->facts.email_id, error) ? SOURCE_DONE
                                                                                   : SOURCE_FAILED;
}

int32_t search_sent_day(const struct message_source *source)
{
    struct date date;
    const struct mime_field *field = mime_part_field(source->root, MIME_DATE);
    return field && date_parse_message(field->body, &date) ? date_day(&date) : INDEX_NO_DAY;
}

static enum source_result find_sent_day(struct search *search, struct error *error)
{
    look_up(search);
    if (search->indexed.sent_day_known) {
        search->facts.sent_day = search->indexed.sent_day;
        return SOURCE_DONE;
    }
    enum source_result result = message_source_read(&search->source, SOURCE_HEADER, error);
    if (result != SOURCE_DONE)
        return result;
    search->facts.sent_day = search_sent_day(&search->source);
    put_into_index(search);
    return SOURCE_DONE;
}

static bool is_too_much(const struct search *search, struct slice record)
{
    return record.len > SEARCH_COMPARED_OCTETS / (search->text.count + 1);
}

/* False: not all are in the index, or the header must be searched in slices. */
static bool match_indexed_fields(struct search *search)
{
    struct error error;
    struct slice record;
    if (!search->asks_fields || !index_of(search))
        return false;
    for (unsigned group = 0; group < SEARCH_FIELDS_GROUPS; group++) {
        if (!(search->groups & 1U << group))
            continue;
        if (!index_reader_find(&search->fields[group], search->source.uid, &record, &error)) {
            message_cache_on_failure(search->source.cache, &error);
            return false;
        }
        if (is_too_much(search, record)) {
            search->fields_known = true;
            return false;
        }
        if (!search_fields_match(record, search->text.terms))
            return false;
    }
    return true;
}

/* Every record includes the facts. The header has been read. */
static void put_facts_of_header(struct search *search)
{
    look_up(search);
    if (search->indexed.sent_day_known)
        return;
    search->facts.sent_day = search_sent_day(&search->source);
    put_into_index(search);
}

static void put_record(struct search *search, enum index_kind kind, const struct buffer *record)
{
    struct error error;
    const struct message_source *source = &search->source;
    struct index *index = index_of(search);
    if (index && !record->failed
        && !index_put_text(index, source->folder->record.uidvalidity, source->uid, kind,
                           buffer_slice(record), &error))
        message_cache_on_failure(source->cache, &error);
    message_cache_commit(source->cache);
}

static void put_fields_into_index(struct search *search, struct slice header)
{
    put_facts_of_header(search);
    for (unsigned group = 0; group < SEARCH_FIELDS_GROUPS; group++) {
        struct buffer record = BUFFER_WITH_LIMIT(INDEXED_OCTETS);
        search_fields_format(header, (enum search_fields_group)group, &record);
        put_record(search, search_fields_kind((enum search_fields_group)group), &record);
        buffer_clear(&record);
    }
}

/* --- what the index rules out --- */

/* False: nothing is known. */
static bool find_grams(struct search *search, struct index_reader *reader, struct slice *record)
{
    struct error error;
    if (!index_of(search))
        return false;
    if (index_reader_find(reader, search->source.uid, record, &error))
        return true;
    message_cache_on_failure(search->source.cache, &error);
    return false;
}

/* Terms of header fields are for the header itself. */
static enum source_result rule_out(struct search *search, struct error *error)
{
    struct slice header = SLICE(""), body = SLICE("");
    (void)error;
    bool knows_body = find_grams(search, &search->body_grams, &body);
    bool knows_header = find_grams(search, &search->header_grams, &header);
    search->grams_known = knows_body && (knows_header || !(search->needs & SEARCH_NEEDS_HEADER));
    for (struct search_term *term = search->text.terms; term; term = term->next) {
        if ((term->scopes & SEARCH_IN_FIELD) || term->found)
            continue;
        bool in_body = !knows_body || search_grams_may_have(body, term->folded);
        bool in_header = (term->scopes & SEARCH_IN_HEADER)
                         && (!knows_header || search_grams_may_have(header, term->folded));
        term->excluded = !in_body && !in_header;
    }
    return SOURCE_DONE;
}

static void begin_grams(struct search *search)
{
    if (!search->grams || search->grams_known || !index_of(search))
        return;
    search_grams_init(search->grams);
    search->text.grams = search->grams;
}

/* All of it has been fed. */
static void end_grams(struct search *search, enum index_kind kind)
{
    struct buffer record = BUFFER_WITH_LIMIT(SEARCH_GRAM_BITS / 8);
    if (search->text.grams && !search->text.failed) {
        put_facts_of_header(search);
        search_grams_format(search->grams, &record);
        put_record(search, kind, &record);
    }
    search->text.grams = NULL;
    buffer_clear(&record);
}

/* The whole header has been searched. */
static void learn_from_header(struct search *search, struct slice header)
{
    end_grams(search, INDEX_HEADER_GRAMS);
    if (search->asks_fields && !search->fields_known && index_of(search))
        put_fields_into_index(search, header);
}

static enum source_result find_in_header(struct search *search, struct error *error)
{
    struct buffer header = BUFFER_WITH_LIMIT(SEARCH_HEADER_OCTETS);
    bool begins = search->text.first == search->text.terms;
    if (begins && match_indexed_fields(search))
        return SOURCE_DONE;
    enum source_result result = message_source_read(&search->source, SOURCE_HEADER, error);
    if (result != SOURCE_DONE)
        return result;
    uint64_t octets = search->source.root->header.octets;
    size_t looked_at = octets < SEARCH_HEADER_OCTETS ? (size_t)octets : SEARCH_HEADER_OCTETS;
    if (!message_source_append(&search->source, 0, looked_at, &header, error)) {
        result = SOURCE_FAILED;
    } else {
        if (begins)
            begin_grams(search);
        if (search_text_feed_header(&search->text, buffer_slice(&header), false))
            learn_from_header(search, buffer_slice(&header));
        else
            result = SOURCE_MORE;
    }
    buffer_clear(&header);
    return result;
}

/* Less for many terms, since each piece is searched for each. */
static size_t piece_octets(const struct search *search)
{
    size_t octets = SEARCH_COMPARED_OCTETS / (search->text.count + 1);
    if (octets > SEARCH_PIECE_OCTETS)
        return SEARCH_PIECE_OCTETS;
    return octets < PIECE_OCTETS_LEAST ? PIECE_OCTETS_LEAST : octets;
}

/* The next piece of the run, or of the next run at its end. */
static bool feed_piece(struct search *search, size_t *fed, struct error *error)
{
    struct buffer piece = BUFFER_WITH_LIMIT(SEARCH_PIECE_OCTETS);
    uint64_t left = search->run.span.octets - search->offset;
    *fed = left < piece_octets(search) ? (size_t)left : piece_octets(search);
    if (!search->body_begun)
        search_body_begin(&search->body, &search->text, &search->run);
    search->body_begun = true;
    bool read = message_source_append(&search->source, search->run.span.offset + search->offset,
                                      *fed, &piece, error);
    if (read)
        search_body_feed(&search->body, buffer_slice(&piece));
    buffer_clear(&piece);
    search->offset += *fed;
    if (read && *fed == left && search_body_end(&search->body)) {
        leave_body(search);
        search->run = search_run_next(&search->run);
        search->offset = 0;
    }
    return read;
}

static enum source_result find_in_body(struct search *search, struct error *error)
{
    bool begins = search->source.depth < SOURCE_PARTS || !search->in_body;
    enum source_result result = message_source_read(&search->source, SOURCE_PARTS, error);
    if (result != SOURCE_DONE)
        return result;
    if (begins) {
        leave_body(search);
        search->in_body = true;
        search->run = search_run_first(search->source.root);
        search->offset = 0;
        begin_grams(search);
    }
    size_t slice = PIECES_A_SLICE * piece_octets(search);
    for (size_t looked_at = 0, fed = 0; looked_at < slice; looked_at += fed + PIECE_COST) {
        if (!search->run.part) {
            end_grams(search, INDEX_BODY_GRAMS);
            return SOURCE_DONE;
        }
        if (!search_text_wants(&search->text, SEARCH_IN_BODY)) {
            leave_body(search);
            return SOURCE_DONE;
        }
        if (!feed_piece(search, &fed, error))
            return SOURCE_FAILED;
        if (search_match(search->key, &search->facts) != SEARCH_UNDECIDED)
            return SOURCE_DONE;
        if (search->body_begun && search->offset == search->run.span.octets)
            return SOURCE_MORE; /* a header of a part, with terms still to be searched */
    }
    return SOURCE_MORE;
}

/* The cheap ones first. */
static const struct {
    enum search_need need;
    enum source_result (*find)(struct search *search, struct error *error);
} finders[] = {
    {SEARCH_NEEDS_EMAIL_ID, find_email_id}, {SEARCH_NEEDS_SAVE_DAY, find_save_day},
    {SEARCH_NEEDS_OCTETS, find_octets},     {SEARCH_NEEDS_DATE, find_date},
    {SEARCH_NEEDS_SENT_DAY, find_sent_day}, {SEARCH_NEEDS_GRAMS, rule_out},
    {SEARCH_NEEDS_HEADER, find_in_header},  {SEARCH_NEEDS_BODY, find_in_body},
};

/* Determines the next unknown fact. */
static enum source_result find_next(struct search *search, struct error *error)
{
    unsigned wanted = search->needs & ~search->facts.known;
    search->cheap = 0;
    for (size_t i = 0; i < ARRAY_LENGTH(finders); i++) {
        if (!(wanted & finders[i].need))
            continue;
        enum source_result result = finders[i].find(search, error);
        if (result == SOURCE_DONE)
            search->facts.known |= finders[i].need;
        return result;
    }
    return SOURCE_DONE;
}

/* --- many messages at once --- */

/* Whether every match needs one of the absent terms. */
static bool hangs_on_absent(const struct search_key *key)
{
    if (key->term)
        return key->term->absent;
    for (const struct search_key *each = key->keys; each; each = each->next) {
        if (key->kind == SEARCH_AND && hangs_on_absent(each))
            return true;
        if (key->kind == SEARCH_OR && !hangs_on_absent(each))
            return false;
    }
    return key->kind == SEARCH_OR;
}

/* Shortens the run of messages, starting at that index, to those in the block. */
static size_t count_known(const struct index_block *block, const struct view *view, size_t index,
                          size_t most)
{
    size_t count = 0;
    for (uint32_t at = 0; at < block->count && count < most; at++) {
        uint32_t uid = view->slots[index + count].uid;
        if (block->entries[at].uid > uid)
            break;
        count += block->entries[at].uid == uid;
    }
    return count;
}

/* If nothing in a block can match, rules out its messages up to the first that is not in the
 * index. */
static void ask_block(struct search *search, const struct view *view, uint32_t uid)
{
    struct error error;
    const struct index_block *block;
    uint32_t number = uid / INDEX_BLOCK_UIDS;
    size_t index = view_position(view, number * INDEX_BLOCK_UIDS);
    size_t count = view->count - index;
    search->asked_block = number + 1;
    search->ruled_out_from = 0;
    search->cheap = 0;
    for (unsigned group = 0; group < SEARCH_FIELDS_GROUPS; group++) {
        if (!(search->groups & 1U << group))
            continue;
        if (!index_reader_find_block(&search->fields[group], uid, &block, &error)) {
            message_cache_on_failure(search->source.cache, &error);
            return;
        }
        if (is_too_much(search, buffer_slice(&block->texts)))
            return;
        search_fields_mark_absent(buffer_slice(&block->texts), (enum search_fields_group)group,
                                  search->text.terms);
        count = count_known(block, view, index, count);
    }
    if (count == 0 || !hangs_on_absent(search->key))
        return;
    search->ruled_out_from = view->slots[index].uid;
    search->ruled_out_to = view->slots[index + count - 1].uid;
}

/* By the index entries of the message and its neighbours. */
static bool is_ruled_out(struct search *search, const struct view *view, size_t index)
{
    uint32_t uid = view->slots[index].uid;
    if (!search->asks_fields || !index_of(search))
        return false;
    if (search->asked_block != uid / INDEX_BLOCK_UIDS + 1)
        ask_block(search, view, uid);
    if (search->ruled_out_from == 0 || uid < search->ruled_out_from || uid > search->ruled_out_to)
        return false;
    message_source_turn_to(&search->source, 0); /* no file is open */
    return true;
}

/* --- one message --- */

static void begin(struct search *search, const struct view *view, size_t index,
                  const struct message *message)
{
    leave_body(search);
    search->in_body = false;
    search->fields_known = false;
    search_text_reset(&search->text);
    search->left_out = search->left_out || search->text.grams;
    search->text.grams = NULL;
    search->grams_known = false;
    message_source_turn_to(&search->source, message->uid);
    search->facts = (struct search_facts){
        .number = (uint32_t)index + 1,
        .uid = message->uid,
        .flags = message->flags,
        .letters = message->letters,
        .modseq = message->modseq,
        .recent = (view->slots[index].marks & VIEW_RECENT) != 0,
    };
    search->begun = true;
}

enum source_result search_message(struct search *search, const struct view *view, size_t index,
                                  bool *matches, struct error *error)
{
    enum source_result result = SOURCE_DONE;
    enum search_verdict verdict;
    *matches = false;
    if (!search->begun && is_ruled_out(search, view, index))
        return SOURCE_DONE;
    const struct message *message = view_message(view, index);
    if (!message) {
        search->begun = false;
        error_set(error, ERROR_NOT_FOUND, "message is gone");
        return SOURCE_FAILED;
    }
    if (!search->begun)
        begin(search, view, index, message);
    while ((verdict = search_match(search->key, &search->facts)) == SEARCH_UNDECIDED
           && result == SOURCE_DONE)
        result = find_next(search, error);
    if (search->text.failed) {
        error_memory(error);
        result = SOURCE_FAILED;
    }
    if (result == SOURCE_MORE)
        return result;
    search->begun = false;
    *matches = verdict == SEARCH_YES;
    return result;
}
