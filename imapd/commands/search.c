/* SEARCH and UID SEARCH (RFC 3501 6.4.4, 6.4.8, RFC 7162 3.1.5, 3.1.6), with RETURN (RFC 4731, RFC
 * 5182, RFC 9394), SORT and THREAD (RFC 5256 3, RFC 5957, RFC 5267 3), which are a SEARCH whose
 * result is put in order. */
#include "imapd/search/search.h"

#include "common/mime/charset.h"
#include "imapd/commands/commands.h"
#include "imapd/search/search_context.h"
#include "imapd/search/search_result.h"
#include "imapd/search/sort_value.h"
#include "imapd/search/thread.h"

enum { SORTED_OCTETS = 256 << 20 };

struct search_work {
    struct search_return returns;
    struct search_program program;
    struct slice text; /* of the program, as it came */
    struct search search;
    size_t lowest; /* position that is looked at */
    size_t looked_at;
    struct search_result found;

    /* Of SORT and THREAD. */
    struct sort_program order; /* count 0: it is a SEARCH */
    enum thread_algorithm threads;
    struct sort_values values;
    struct arena memory;             /* of what was found out */
    struct sort_entry *entries;      /* those of found.positions that still exist */
    struct thread_message *messages; /* of THREAD, like the entries */
    size_t entry_count;
    size_t valued; /* of found.positions: have an entry, or are gone */
};

static void give_back(struct session *session)
{
    struct search_work *work = session->work;
    search_clear(&work->search);
    search_result_clear(&work->found);
    sort_values_clear(&work->values);
    arena_clear(&work->memory);
}

/* "A SEARCH command with the SAVE result option that caused the server to return the NO tagged
 * response sets the value of the search result variable to the empty sequence" (RFC 5182 2.1). */
static void forget_saved(struct session *session, const struct search_work *work)
{
    if (work->returns.items & SEARCH_SAVES)
        view_take_saved(&session->view, NULL, 0);
}

static void fail(struct session *session, const struct search_work *work, const struct error *error)
{
    forget_saved(session, work);
    session_failed(session, error, "The search could not be ended");
}

static void refuse(struct session *session, const struct search_work *work, struct slice code,
                   const char *text)
{
    forget_saved(session, work);
    session_no(session, code, text);
}

/* RFC 5267 4.3.1. A sorted result is not updated, nor one of message numbers or "$", which refer
 * to the messages at the time of the command. */
static void keep_updated(struct session *session, struct search_work *work)
{
    struct buffer *text = &session->writer.text;
    const struct search_context_request request = {.tag = session->tag,
                                                   .by_uid = session->by_uid,
                                                   .program = work->text,
                                                   .data = work->returns.update_data};
    if (!(work->returns.items & SEARCH_UPDATES))
        return;
    if (session->stopped_at == 0 && work->text.len > 0
        && !search_key_has(work->program.key, SEARCH_SEQUENCE)
        && slice_find_octet(work->text, '$') == work->text.len
        && search_context_add(session, &request, &work->found))
        return;
    buffer_append(text, SLICE("* NO [NOUPDATE \""));
    buffer_append(text, session->tag);
    buffer_append(text, SLICE("\"] Not of that search, or of so many\r\n"));
}

static void finish(struct session *session, struct search_work *work)
{
    struct error error;
    const struct search_telling telling = {
        .view = &session->view,
        .name = work->order.count > 0 ? "SORT" : "SEARCH",
        .tag = session->tag,
        .by_uid = session->by_uid,
        .tells_modseq = search_key_has(work->program.key, SEARCH_MODSEQ),
    };
    if ((work->returns.items & SEARCH_SAVES)
        && !search_result_save(&work->found, &work->returns, &session->view, &error)) {
        session_no(session, SLICE("NOTSAVED"), "There is no memory to save what was found");
        return;
    }
    search_result_write(&work->found, &work->returns, &telling, &session->writer.text);
    keep_updated(session, work);
    session_ok(session, SLICE(""), "Searched");
}

/* --- SORT and THREAD --- */

static uint32_t name_of(const void *owner, uint32_t position)
{
    const struct session *session = owner;
    return session->by_uid ? session->view.slots[position].uid : position + 1;
}

static void finish_threads(struct session *session, struct search_work *work)
{
    struct buffer *text = &session->writer.text;
    struct thread_node *roots;
    if (!thread_build(work->threads, work->messages, work->entry_count, &work->memory, &roots)) {
        session_no(session, SLICE("LIMIT"), "There are too many messages to be threaded");
        return;
    }
    buffer_append_string(text, roots ? "* THREAD " : "* THREAD");
    thread_format(roots, name_of, session, text);
    buffer_append(text, SLICE("\r\n"));
    session_ok(session, SLICE(""), "Threaded");
}

static void finish_sort(struct session *session, struct search_work *work)
{
    if (work->threads != THREAD_NONE) {
        finish_threads(session, work);
        return;
    }
    sort_entries(work->entries, work->entry_count, &work->order);
    for (size_t i = 0; i < work->entry_count; i++)
        work->found.positions[i] = work->entries[i].position;
    work->found.count = work->entry_count;
    finish(session, work);
}

/* The keys of a THREAD are the base subject and a date, or a date alone. */
static bool keep_message(struct search_work *work, const struct sort_entry *entry, bool is_reply,
                         struct error *error)
{
    if (work->threads == THREAD_NONE)
        return true;
    struct slice ids = sort_values_ids(&work->values);
    struct thread_message *message = &work->messages[work->entry_count];
    *message = (struct thread_message){
        .position = entry->position,
        .date = entry->values[work->order.count - 1].number,
        .subject = entry->values[0].text,
        .is_reply = is_reply,
        .ids = ids.ptr ? arena_copy(&work->memory, ids) : SLICE(""),
    };
    return message->ids.ptr || error_memory(error);
}

/* One more match has its values. */
static enum source_result value_one(struct session *session, struct search_work *work,
                                    struct error *error)
{
    struct sort_entry *entry = &work->entries[work->entry_count];
    uint32_t position = work->found.positions[work->valued];
    bool is_reply;
    *entry = (struct sort_entry){.position = position};
    enum source_result result = sort_values_find(&work->values, session->view.slots[position].uid,
                                                 &work->memory, entry, &is_reply, error);
    if (result == SOURCE_FAILED && error->kind == ERROR_NOT_FOUND)
        return SOURCE_DONE;
    if (result != SOURCE_DONE)
        return result;
    if (!keep_message(work, entry, is_reply, error))
        return SOURCE_FAILED;
    work->entry_count++;
    return SOURCE_DONE;
}

static void sort_step(struct session *session)
{
    struct search_work *work = session->work;
    struct error error;
    session_tell_progress(session, work->looked_at + work->valued,
                          work->looked_at + work->found.count);
    do {
        if (work->valued == work->found.count) {
            finish_sort(session, work);
            return;
        }
        enum source_result result = value_one(session, work, &error);
        if (result == SOURCE_MORE)
            return;
        if (result == SOURCE_FAILED) {
            fail(session, work, &error);
            return;
        }
        work->valued++;
    } while (!session_turn_is_over(session));
}

static void begin_sort(struct session *session, struct search_work *work)
{
    arena_init(&work->memory, SORTED_OCTETS);
    size_t room = work->found.count + 1;
    work->entries = arena_alloc_array(&work->memory, room, sizeof(*work->entries));
    if (work->threads != THREAD_NONE)
        work->messages = arena_alloc_array(&work->memory, room, sizeof(*work->messages));
    if (!work->entries || (work->threads != THREAD_NONE && !work->messages)) {
        refuse(session, work, SLICE("LIMIT"), "There are too many messages to be sorted");
        return;
    }
    sort_values_init(&work->values, session->view.folder, &work->order);
    if (work->threads == THREAD_REFERENCES || work->threads == THREAD_REFS)
        sort_values_want_ids(&work->values);
    session_continue(session, sort_step);
}

/* --- SEARCH --- */

/* If only the last match is wanted, the search starts at the end. */
static size_t position_of(const struct session *session, const struct search_work *work)
{
    if (work->order.count == 0 && search_return_wants_last(&work->returns))
        return session->view.count - 1 - work->looked_at;
    return work->lowest + work->looked_at;
}

/* A removed message does not match; its EXPUNGE is pending. */
static enum source_result search_one(struct session *session, struct search_work *work,
                                     struct error *error)
{
    const struct view *view = &session->view;
    size_t position = position_of(session, work);
    bool matches = false;
    enum source_result result = search_message(&work->search, view, position, &matches, error);
    if (result == SOURCE_FAILED && error->kind == ERROR_NOT_FOUND)
        return SOURCE_DONE;
    if (result != SOURCE_DONE || !matches)
        return result;
    return search_result_add(&work->found, position, error) ? SOURCE_DONE : SOURCE_FAILED;
}

static bool is_over(const struct session *session, const struct search_work *work)
{
    const struct search_return *returns = &work->returns;
    bool one_is_enough =
        work->order.count == 0
        && (search_return_wants_first(returns) || search_return_wants_last(returns));
    return work->lowest + work->looked_at >= session->view.count
           || (one_is_enough && work->found.count > 0);
}

static void search_step(struct session *session)
{
    struct search_work *work = session->work;
    struct error error;
    session_tell_progress(session, work->looked_at, 2 * (session->view.count - work->lowest));
    do {
        if (is_over(session, work)) {
            if (work->order.count > 0)
                begin_sort(session, work);
            else
                finish(session, work);
            return;
        }
        enum source_result result = search_one(session, work, &error);
        if (result == SOURCE_MORE)
            return;
        if (result == SOURCE_FAILED) {
            fail(session, work, &error);
            return;
        }
        work->looked_at++;
    } while (!search_was_dear(&work->search) || !session_turn_is_over(session));
}

/* Whether the message at that position is in the sets of the keys, if there are any. */
static bool is_named(const struct search_key *key, const struct view *view, size_t position)
{
    if (key->kind == SEARCH_SEQUENCE)
        return sequence_set_contains(&key->set, (uint32_t)position + 1);
    if (key->kind == SEARCH_UID)
        return sequence_set_contains(&key->set, view->slots[position].uid);
    for (const struct search_key *each = key->keys; each && key->kind == SEARCH_AND;
         each = each->next)
        if (!is_named(each, view, position))
            return false;
    return true;
}

/* "the server processes ... messages with the highest UIDs" (RFC 9738 3.1); messages outside
 * the sets do not count. True: some are below the limit. */
static bool find_lowest(struct session *session, struct search_work *work)
{
    const struct view *view = &session->view;
    size_t count = 0;
    if (view->count <= session->limit)
        return false;
    for (size_t i = view->count; i-- > 0;) {
        if (!is_named(work->program.key, view, i))
            continue;
        if (count++ == session->limit)
            return true;
        work->lowest = i;
    }
    work->lowest = 0;
    return false;
}

static void begin_limited(struct session *session, struct search_work *work)
{
    bool is_limited = find_lowest(session, work);
    if (is_limited && work->order.count > 0) {
        forget_saved(session, work);
        session_over_limit(session, "Too many messages, try a smaller subset");
        return;
    }
    if (is_limited)
        session->stopped_at = session->view.slots[work->lowest].uid;
    session_continue(session, search_step);
}

/* Without a charset, US-ASCII (RFC 3501 6.4.4); UTF-8 includes it, and some clients send it. */
static const struct charset *charset_of(const struct search_program *program)
{
    return program->charset.len > 0 ? charset_find(program->charset) : charset_utf8();
}

static void begin(struct session *session, struct search_work *work)
{
    const struct charset *charset = charset_of(&work->program);
    if (!charset) {
        forget_saved(session, work);
        session_no_charset(session);
        return;
    }
    if ((session->view.manner & VIEW_UID_ONLY) && search_key_names_numbers(work->program.key)) {
        session_bad_numbers(session);
        return;
    }
    if ((work->returns.items & SEARCH_UPDATES) && search_context_has(session, session->tag)) {
        session_bad(session, "That tag has a search already that is kept up to date"); /* 4.3 */
        return;
    }
    if (search_key_has(work->program.key, SEARCH_MODSEQ))
        session_enable(session, VIEW_TELLS_MODSEQ);
    session->work = work;
    session->on_end = give_back;
    if (search_init(&work->search, work->program.key, charset, &session->view, &session->arena))
        begin_limited(session, work);
    else
        refuse(session, work, SLICE("LIMIT"), "The arguments need too much memory");
}

void command_search(struct session *session, struct imap_parser *arguments)
{
    struct search_work *work = session_alloc(session, sizeof(*work));
    if (!work)
        return;
    bool parsed = imap_parse_space(arguments) && search_return_parse(arguments, &work->returns);
    work->text = cursor_rest(&arguments->in);
    if (!parsed || !search_program_parse(arguments, &work->program) || !imap_parse_end(arguments)) {
        session_bad_arguments(session, arguments);
    } else if (work->program.charset.len > 0 && (session->view.manner & VIEW_NO_CHARSET)) {
        session_bad(session, "UTF8=ACCEPT is enabled: a SEARCH is in UTF-8 and names no charset");
    } else {
        if (work->returns.items == 0 && session_is_rev2(session))
            work->returns.items = SEARCH_RETURNS_ALL; /* RFC 9051 6.4.4: always an ESEARCH */
        begin(session, work);
    }
}

/* sort = "SORT" SP [search-return SP] sort-criteria SP search-criteria */
void command_sort(struct session *session, struct imap_parser *arguments)
{
    struct search_work *work = session_alloc(session, sizeof(*work));
    if (!work)
        return;
    if (imap_parse_space(arguments) && search_return_parse(arguments, &work->returns)
        && sort_program_parse(arguments, &work->order) && imap_parse_space(arguments)
        && search_criteria_parse(arguments, &work->program) && imap_parse_end(arguments))
        begin(session, work);
    else
        session_bad_arguments(session, arguments);
}

/* thread-alg = "ORDEREDSUBJECT" / "REFERENCES" / thread-alg-ext */
static bool parse_algorithm(struct imap_parser *arguments, struct search_work *work)
{
    static const struct sort_program subject_and_date = {
        .keys = {{SORT_SUBJECT, false}, {SORT_DATE, false}}, .count = 2};
    static const struct sort_program arrival = {.keys = {{SORT_ARRIVAL, false}}, .count = 1};
    if (imap_skip_word(arguments, SLICE("ORDEREDSUBJECT")))
        work->threads = THREAD_ORDEREDSUBJECT;
    else if (imap_skip_word(arguments, SLICE("REFERENCES")))
        work->threads = THREAD_REFERENCES;
    else if (imap_skip_word(arguments, SLICE("REFS")))
        work->threads = THREAD_REFS;
    else
        return imap_parser_fail(arguments, "ORDEREDSUBJECT, REFERENCES or REFS");
    work->order = work->threads == THREAD_REFS ? arrival : subject_and_date;
    return true;
}

/* thread = "THREAD" SP thread-alg SP search-criteria */
void command_thread(struct session *session, struct imap_parser *arguments)
{
    struct search_work *work = session_alloc(session, sizeof(*work));
    if (!work)
        return;
    if (imap_parse_space(arguments) && parse_algorithm(arguments, work)
        && imap_parse_space(arguments) && search_criteria_parse(arguments, &work->program)
        && imap_parse_end(arguments))
        begin(session, work);
    else
        session_bad_arguments(session, arguments);
}

/* cancelupdate = "CANCELUPDATE" 1*(SP quoted)    RFC 5267 4.3.5 */
void command_cancelupdate(struct session *session, struct imap_parser *arguments)
{
    struct cursor start = arguments->in;
    struct slice tag;
    bool known = true;
    while (imap_skip_octet(arguments, ' ') && imap_parse_astring(arguments, &tag))
        known &= search_context_has(session, tag);
    if (arguments->in.at == start.at || !imap_parse_end(arguments)) {
        session_bad_arguments(session, arguments);
        return;
    }
    if (!known) {
        session_bad(session, "No search of such a tag is kept up to date");
        return;
    }
    arguments->in = start;
    while (imap_skip_octet(arguments, ' ') && imap_parse_astring(arguments, &tag))
        search_context_cancel(session, tag);
    session_ok(session, SLICE(""), "No further updates");
}
