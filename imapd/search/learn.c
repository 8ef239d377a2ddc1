/* The learner of learn.h. */
#include "imapd/search/learn.h"

#include <stddef.h>

#include <utlist.h>

#include "imapd/mailbox.h"
#include "imapd/search/search.h"
#include "imapd/session/session.h"

enum {
    READ_A_SLICE = 4,         /* messages */
    LOOKED_AT_A_SLICE = 2000, /* that are known already */
    /* What is looked through in one turn, and never of longer ones: a search reads those. */
    SEARCHED_OCTETS = 1 << 20,
    INDEXED_OCTETS = 64 << 10,
};

static const double QUIET_SECONDS = 0.05;

/* ---- one message: all of it has been read ---- */

static bool fail(struct learner *learner, const struct error *error)
{
    message_cache_on_failure(learner->values.source.cache, error);
    return false;
}

static bool put(struct learner *learner, enum index_kind kind, const struct buffer *record)
{
    const struct message_source *source = &learner->values.source;
    struct error error;
    return record->failed || record->len > INDEXED_OCTETS
           || index_put_text(learner->values.index, source->folder->record.uidvalidity, source->uid,
                             kind, buffer_slice(record), &error)
           || fail(learner, &error);
}

static bool put_grams(struct learner *learner, enum index_kind kind, const struct search_text *text)
{
    struct buffer record = BUFFER_WITH_LIMIT(SEARCH_GRAM_BITS / 8);
    search_grams_format(&learner->grams, &record);
    bool done = text->failed || put(learner, kind, &record);
    buffer_clear(&record);
    return done;
}

static bool learn_fields(struct learner *learner, struct slice header)
{
    bool done = true;
    for (unsigned group = 0; group < SEARCH_FIELDS_GROUPS && done; group++) {
        struct buffer record = BUFFER_WITH_LIMIT(INDEXED_OCTETS);
        search_fields_format(header, (enum search_fields_group)group, &record);
        done = put(learner, search_fields_kind((enum search_fields_group)group), &record);
        buffer_clear(&record);
    }
    return done;
}

static bool learn_header(struct learner *learner, struct search_text *text, struct error *error)
{
    struct message_source *source = &learner->values.source;
    struct buffer header = BUFFER_WITH_LIMIT(SEARCH_HEADER_OCTETS);
    uint64_t octets = source->root->header.octets;
    size_t looked_at = octets < SEARCH_HEADER_OCTETS ? (size_t)octets : SEARCH_HEADER_OCTETS;
    search_grams_init(&learner->grams);
    bool done = message_source_append(source, 0, looked_at, &header, error);
    if (done) {
        search_text_feed_header(text, buffer_slice(&header), false);
        done = learn_fields(learner, buffer_slice(&header))
               && put_grams(learner, INDEX_HEADER_GRAMS, text);
    }
    buffer_clear(&header);
    return done;
}

static bool feed_run(struct message_source *source, struct search_text *text,
                     const struct search_run *run, struct error *error)
{
    struct search_body body;
    bool read = true;
    search_body_begin(&body, text, run);
    for (uint64_t offset = 0; offset < run->span.octets && read; offset += SEARCH_PIECE_OCTETS) {
        struct buffer piece = BUFFER_WITH_LIMIT(SEARCH_PIECE_OCTETS);
        uint64_t left = run->span.octets - offset;
        size_t octets = left < SEARCH_PIECE_OCTETS ? (size_t)left : SEARCH_PIECE_OCTETS;
        read = message_source_append(source, run->span.offset + offset, octets, &piece, error);
        if (read)
            search_body_feed(&body, buffer_slice(&piece));
        buffer_clear(&piece);
    }
    while (read && !search_body_end(&body)) /* without terms it has one turn */
        ;
    search_body_clear(&body);
    return read;
}

static bool learn_body(struct learner *learner, struct search_text *text, struct error *error)
{
    struct message_source *source = &learner->values.source;
    struct search_run run = search_run_first(source->root);
    search_grams_init(&learner->grams);
    for (; run.part; run = search_run_next(&run))
        if (!feed_run(source, text, &run, error))
            return false;
    return put_grams(learner, INDEX_BODY_GRAMS, text);
}

/* FETCH knows no Date field. */
static bool learn_facts(struct learner *learner)
{
    struct error error;
    const struct message_source *source = &learner->values.source;
    const struct index_facts facts = {.internal_date = source->file.mtime.tv_sec,
                                      .crlf_octets = source->file.crlf_octets,
                                      .sent_day = search_sent_day(source),
                                      .sent_day_known = true,
                                      .key = message_source_key(source)};
    return index_put_facts(learner->values.index, source->folder->record.uidvalidity, source->uid,
                           &facts, &error)
           || fail(learner, &error);
}

static bool learn_text(struct learner *learner, struct error *error)
{
    struct search_text text;
    search_text_init(&text, NULL);
    text.grams = &learner->grams;
    bool done = learn_facts(learner) && learn_header(learner, &text, error)
                && learn_body(learner, &text, error);
    search_text_clear(&text);
    message_cache_commit(learner->values.source.cache);
    return done;
}

static enum source_result learn_message(struct learner *learner, uint32_t uid, struct error *error)
{
    struct message_source *source = &learner->values.source;
    uint64_t octets;
    if (source->uid != uid)
        fetch_values_turn_to(&learner->values, uid);
    enum source_result result = fetch_values_prepare(&learner->values, error);
    if (result != SOURCE_DONE
        || (message_source_octets(source, &octets) && octets > SEARCHED_OCTETS))
        return result;
    result = message_source_read(source, SOURCE_PARTS, error);
    if (result != SOURCE_DONE || source->file.crlf_octets > SEARCHED_OCTETS)
        return result;
    return learn_text(learner, error) ? SOURCE_DONE : SOURCE_FAILED;
}

/* ---- many ---- */

static bool is_known(struct learner *learner, uint32_t uid)
{
    struct slice record;
    struct error error;
    return index_reader_find(&learner->known, uid, &record, &error);
}

static void end_folder(struct learner *learner)
{
    struct folder *folder = learner->folder;
    if (!folder)
        return;
    index_reader_clear(&learner->known);
    fetch_values_clear(&learner->values);
    learner->folder = NULL;
    folder_close(folder);
}

static struct folder *find_folder(const struct mailbox *mailbox)
{
    struct folder *folder;
    DL_FOREACH (mailbox->folders, folder)
        if (!folder->deleted && folder->learn_from != 0)
            return folder;
    return NULL;
}

/* False: nothing is left to learn. */
static bool begin_folder(struct learner *learner)
{
    const struct folder *found = find_folder(learner->mailbox);
    struct folder *folder;
    char directory[MAILDIR_NAME_SIZE]; /* a folder that was replaced ends as it is opened */
    if (!found)
        return false;
    memcpy(directory, found->directory, sizeof(directory));
    if (!folder_open(learner->mailbox, directory, &folder, NULL))
        return false;
    learner->folder = folder;
    learner->next_uid = folder->learn_from;
    folder->learn_from = 0;
    fetch_values_init(&learner->values, folder, learner->items);
    index_reader_init(&learner->known, learner->values.index, folder->record.uidvalidity,
                      INDEX_BODY_GRAMS);
    return true;
}

static bool can_learn(const struct learner *learner)
{
    return !learner->folder->deleted && learner->values.index
           && message_cache_index(learner->values.source.cache);
}

/* True: on to the next. */
static bool learn_next(struct learner *learner, const struct message *message, int *left)
{
    struct error error;
    (*left)--;
    if (!is_known(learner, message->uid)) {
        *left -= LOOKED_AT_A_SLICE / READ_A_SLICE;
        enum source_result result = learn_message(learner, message->uid, &error);
        if (result == SOURCE_MORE)
            return false; /* one that cannot be read is for those to tell who want it */
    }
    learner->next_uid = message->uid + 1;
    return true;
}

/* A slice. */
static void learn(struct learner *learner)
{
    int left = LOOKED_AT_A_SLICE;
    while (left > 0 && can_learn(learner)) {
        const struct folder *folder = learner->folder;
        size_t at = folder_position(folder, learner->next_uid);
        while (at < folder->count && !folder->messages[at].name)
            at++;
        if (at == folder->count || learner->next_uid == 0) {
            end_folder(learner);
            return;
        }
        if (!learn_next(learner, &folder->messages[at], &left))
            return;
    }
    if (!can_learn(learner))
        end_folder(learner);
}

static bool somebody_waits(const struct mailbox *mailbox)
{
    const struct session *session;
    DL_FOREACH (mailbox->sessions, session)
        if (deferred_waits(&session->in_next_turn))
            return true;
    return false;
}

static void step(struct deferred *deferred)
{
    struct learner *learner =
        (void *)((uint8_t *)deferred - offsetof(struct learner, in_next_turn));
    struct mailbox *mailbox = learner->mailbox;
    if (somebody_waits(mailbox)) {
        ev_timer_again(mailbox->turn.loop, &learner->quiet);
        return;
    }
    if (!learner->folder && !begin_folder(learner))
        return;
    learn(learner);
    turn_again(&mailbox->turn, &learner->in_next_turn);
}

static void on_quiet(struct ev_loop *loop, ev_timer *timer, int events)
{
    struct learner *learner = timer->data;
    (void)events;
    ev_timer_stop(loop, timer);
    turn_again(&learner->mailbox->turn, &learner->in_next_turn);
}

void learner_init(struct learner *learner, struct mailbox *mailbox)
{
    *learner = (struct learner){.mailbox = mailbox, .in_next_turn = {.run = step}};
    learner->items[0] = (struct fetch_item){.next = &learner->items[1], .kind = FETCH_ENVELOPE};
    learner->items[1] = (struct fetch_item){.kind = FETCH_BODYSTRUCTURE};
    ev_timer_init(&learner->quiet, on_quiet, 0, QUIET_SECONDS);
    learner->quiet.data = learner;
}

void learner_rest(struct learner *learner)
{
    ev_timer_stop(learner->mailbox->turn.loop, &learner->quiet);
    turn_cancel(&learner->in_next_turn);
    end_folder(learner);
}

void learner_clear(struct learner *learner)
{
    if (!learner->mailbox)
        return;
    learner_rest(learner);
    learner->mailbox = NULL;
}

void learner_note(struct learner *learner, struct folder *folder, uint32_t uid)
{
    if (!learner->mailbox)
        return;
    if (folder->learn_from == 0 || uid < folder->learn_from)
        folder->learn_from = uid;
    if (!deferred_waits(&learner->in_next_turn))
        ev_timer_again(learner->mailbox->turn.loop, &learner->quiet);
}
