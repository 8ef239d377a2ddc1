/*
 * ESEARCH (RFC 7377): one search over several mailboxes, one after the other, independent of the
 * selected one. Each has a view of its own, so the client's message numbers do not change. The
 * criteria are parsed again for each mailbox, because "*" and numbers depend on it.
 * Mailboxes of other accounts come last: their owners' processes search them, for a visitor.
 */
#include <stdlib.h>

#include "common/mime/charset.h"
#include "imapd/commands/commands.h"
#include "imapd/folder/mailbox_tree.h"
#include "imapd/mailbox.h"
#include "imapd/search/search.h"
#include "imapd/search/search_result.h"
#include "imapd/shared/rights.h"
#include "imapd/shared/shared_names.h"
#include "imapd/shared/shared_search.h"
#include "imapd/syntax/mailbox_filter.h"
#include "imapd/syntax/mailbox_name.h"

enum {
    SOURCES_MAX = 50,
    CRITERIA_MEMORY = 16 << 20,
};

struct multisearch_work {
    struct mailbox_filter sources[SOURCES_MAX];
    size_t source_count;
    bool wants_selected;
    struct search_return returns;
    struct slice criteria; /* the search-program as received; in the arena */
    struct slice said;     /* the same with the preceding RETURN */
    struct shared_question *shared;
    struct shared_search elsewhere;

    struct mailbox_tree tree;
    size_t next; /* entry of the tree */

    /* The mailbox being searched: */
    const struct tree_entry *entry;
    struct folder *folder; /* open, but no view of it yet */
    struct view view;
    struct arena memory;
    struct search_program program;
    struct search search;
    struct search_result found;
    size_t looked_at;
};

static void leave_mailbox(struct multisearch_work *work)
{
    search_clear(&work->search);
    search_result_clear(&work->found);
    view_close(&work->view);
    if (work->folder)
        folder_close(work->folder);
    work->folder = NULL;
    arena_clear(&work->memory);
}

static void give_back(struct session *session)
{
    struct multisearch_work *work = session->work;
    leave_mailbox(work);
    shared_names_end(work->shared);
    shared_search_clear(&work->elsewhere);
    mailbox_tree_clear(&work->tree);
}

/* ---- arguments ---- */

/* source-mbox = filter-mailboxes *(SP filter-mailboxes), without "selected-delayed" (2.2) */
static bool parse_sources(struct imap_parser *parser, struct multisearch_work *work)
{
    if (!imap_parse_space(parser) || !imap_parse_octet(parser, '(', "mailboxes in parentheses"))
        return false;
    do {
        struct mailbox_filter *source = &work->sources[work->source_count];
        if (work->source_count == SOURCES_MAX)
            return imap_parser_exhaust(parser);
        if (!mailbox_filter_parse(parser, ~(unsigned)FILTER_SELECTED_DELAYED, source))
            return false;
        if (source->kind == FILTER_SELECTED)
            work->wants_selected = true;
        else
            work->source_count++;
    } while (imap_skip_octet(parser, ' '));
    return imap_parse_octet(parser, ')', "a mailbox or \")\"") && imap_parse_space(parser);
}

/* esearch = "ESEARCH" [SP esearch-source-opts] [SP search-return-opts] SP search-program */
static bool parse(struct session *session, struct imap_parser *parser,
                  struct multisearch_work *work)
{
    if (!imap_parse_space(parser))
        return false;
    work->wants_selected = !imap_skip_word(parser, SLICE("IN"));
    if (!work->wants_selected && !parse_sources(parser, work))
        return false;
    struct cursor before = parser->in;
    if (!search_return_parse(parser, &work->returns))
        return false;
    struct cursor start = parser->in;
    if (!search_program_parse(parser, &work->program) || !imap_parse_end(parser))
        return false;
    work->criteria = arena_copy(&session->arena, cursor_since(&parser->in, &start));
    work->said = arena_copy(&session->arena, cursor_since(&parser->in, &before));
    if (!work->criteria.ptr || !work->said.ptr)
        return imap_parser_exhaust(parser);
    if (work->returns.items == 0)
        work->returns.items = SEARCH_RETURNS_ALL;
    if (work->wants_selected && session->state == SESSION_AUTHENTICATED)
        return imap_parser_fail(parser, "a selected mailbox");
    if ((work->returns.items & (SEARCH_SAVES | SEARCH_UPDATES)) && work->source_count > 0)
        return imap_parser_fail(parser, "SAVE and UPDATE with the selected mailbox alone");
    return true;
}

/* ---- which mailboxes ---- */

static bool is_selected(const struct session *session, const struct tree_entry *entry)
{
    return session->state == SESSION_SELECTED
           && strcmp(session->view.folder->directory, entry->directory) == 0;
}

static bool is_named(const struct session *session, const struct tree_entry *entry)
{
    const struct multisearch_work *work = session->work;
    struct buffer called = BUFFER_WITH_LIMIT(2 * MAILBOX_NAME_MAX);
    bool is_subscribed = !session->visitor && (entry->traits & TREE_SUBSCRIBED);
    bool named = false;
    rights_append_name(session, slice_of_string(entry->name), &called);
    for (size_t i = 0; !named && i < work->source_count; i++)
        named = mailbox_filter_matches(&work->sources[i], buffer_slice(&called), is_subscribed);
    buffer_clear(&called);
    return named;
}

/* RFC 4314 4: "r", and "l" unless it is selected already. */
static bool may_search(const struct session *session, const struct tree_entry *entry)
{
    unsigned rights, needed = ACL_READ | (is_selected(session, entry) ? 0U : ACL_LOOKUP);
    return !session->visitor
           || (rights_find(session, entry->directory, &rights, NULL)
               && (rights & needed) == needed);
}

static bool is_meant(const struct session *session, const struct tree_entry *entry)
{
    const struct multisearch_work *work = session->work;
    return entry->directory
           && ((work->wants_selected && is_selected(session, entry)) || is_named(session, entry))
           && may_search(session, entry);
}

/* ---- one mailbox ---- */

/* "$" is the saved result of the selected mailbox. */
static bool lend_saved(struct session *session, struct view *view, struct error *error)
{
    size_t octets = session->view.saved_count * sizeof(*session->view.saved);
    if (session->view.folder != view->folder || octets == 0)
        return true;
    struct sequence_range *saved = malloc(octets);
    if (!saved)
        return error_memory(error);
    memcpy(saved, session->view.saved, octets);
    view_take_saved(view, saved, session->view.saved_count);
    return true;
}

/* The syntax was checked when the command arrived. */
static bool begin_search(struct session *session, struct error *error)
{
    struct multisearch_work *work = session->work;
    struct imap_parser parser;
    if (!view_open(&work->view, work->folder, true, error))
        return false;
    work->folder = NULL; /* the view has it */
    if (!lend_saved(session, &work->view, error))
        return false;
    work->looked_at = 0;
    arena_init(&work->memory, CRITERIA_MEMORY);
    imap_parser_init(&parser, work->criteria, &work->memory);
    parser.utf8 = session->view.manner & VIEW_UTF8;
    if (!search_program_parse(&parser, &work->program))
        return error_memory(error);
    const struct charset *charset =
        work->program.charset.len > 0 ? charset_find(work->program.charset) : charset_utf8();
    return search_init(&work->search, work->program.key, charset, &work->view, &work->memory)
           || error_memory(error);
}

static enum source_result search_one(struct multisearch_work *work, struct error *error)
{
    bool matches = false;
    enum source_result result =
        search_message(&work->search, &work->view, work->looked_at, &matches, error);
    if (result == SOURCE_FAILED && error->kind == ERROR_NOT_FOUND)
        return SOURCE_DONE;
    if (result != SOURCE_DONE || !matches)
        return result;
    return search_result_add(&work->found, work->looked_at, error) ? SOURCE_DONE : SOURCE_FAILED;
}

/* "$" refers to the view of the selected mailbox (2.2): its positions are found by UID. */
static bool save(struct session *session, struct error *error)
{
    const struct multisearch_work *work = session->work;
    struct search_result found = {.count = 0};
    bool saved = true;
    for (size_t i = 0; saved && i < work->found.count; i++) {
        uint32_t uid = work->view.slots[work->found.positions[i]].uid;
        size_t position = view_position(&session->view, uid);
        if (position < session->view.count && session->view.slots[position].uid == uid)
            saved = search_result_add(&found, position, error);
    }
    saved = saved && search_result_save(&found, &work->returns, &session->view, error);
    search_result_clear(&found);
    return saved;
}

static bool finish_mailbox(struct session *session, struct error *error)
{
    struct multisearch_work *work = session->work;
    struct buffer called = BUFFER_WITH_LIMIT(2 * MAILBOX_NAME_MAX);
    rights_append_name(session, slice_of_string(work->entry->name), &called);
    buffer_append_octet(&called, '\0');
    const struct search_telling telling = {
        .view = &work->view,
        .tag = session->tag,
        .by_uid = true,
        .mailbox = (const char *)called.ptr,
        .form = session_name_form(session),
        .tells_modseq = search_key_has(work->program.key, SEARCH_MODSEQ),
    };
    bool finished = called.failed ? error_memory(error)
                                  : !(work->returns.items & SEARCH_SAVES) || save(session, error);
    if (finished) {
        search_result_write(&work->found, &work->returns, &telling, &session->writer.text);
        leave_mailbox(work);
    }
    buffer_clear(&called);
    return finished;
}

/* SOURCE_DONE: the mailbox's result was sent. */
static enum source_result search_slice(struct session *session, struct error *error)
{
    struct multisearch_work *work = session->work;
    do {
        if (work->looked_at == work->view.count)
            return finish_mailbox(session, error) ? SOURCE_DONE : SOURCE_FAILED;
        enum source_result result = search_one(work, error);
        if (result != SOURCE_DONE)
            return result;
        work->looked_at++;
    } while (!search_was_dear(&work->search) || !session_turn_is_over(session));
    return SOURCE_MORE;
}

/* ---- all of them ---- */

/* A command that ends in NO empties "$" (RFC 5182 2.1). */
static void forget_saved(struct session *session, const struct multisearch_work *work)
{
    if (work->returns.items & SEARCH_SAVES)
        view_take_saved(&session->view, NULL, 0);
}

/* A mailbox removed meanwhile is left out. */
static bool open_next(struct session *session, struct error *error)
{
    struct multisearch_work *work = session->work;
    for (; work->next < work->tree.count && !work->folder; work->next++) {
        work->entry = &work->tree.entries[work->next];
        if (is_meant(session, work->entry)
            && !folder_open(session->mailbox, work->entry->directory, &work->folder, error)
            && error->kind != ERROR_NOT_FOUND)
            return false;
    }
    return true;
}

/* RFC 5267 4.3.1: SEARCH has them. */
static void refuse_updates(struct session *session, const struct multisearch_work *work)
{
    struct buffer *text = &session->writer.text;
    if (!(work->returns.items & SEARCH_UPDATES))
        return;
    buffer_append(text, SLICE("* NO [NOUPDATE \""));
    buffer_append(text, session->tag);
    buffer_append(text, SLICE("\"] UID SEARCH is kept up to date\r\n"));
}

/* All of ours are searched. */
static void elsewhere_step(struct session *session)
{
    struct multisearch_work *work = session->work;
    switch (shared_search_step(&work->elsewhere)) {
    case SHARED_SEARCH_WAITS:
        break;
    case SHARED_SEARCH_FAILED:
        session_no(session, SLICE("UNAVAILABLE"), "Not all of others' mailboxes can be searched");
        break;
    case SHARED_SEARCH_DONE:
        refuse_updates(session, work);
        session_ok(session, SLICE(""), "Searched");
    }
}

static void esearch_step(struct session *session)
{
    struct multisearch_work *work = session->work;
    struct error error;
    bool fine = true;
    /* A visitor must not learn how many mailboxes exist. */
    session_tell_progress(session, work->next, session->visitor ? 0 : work->tree.count);
    if (work->folder && folder_step(work->folder))
        return;
    if (work->folder)
        fine = begin_search(session, &error);
    else if (work->view.folder)
        fine = search_slice(session, &error) != SOURCE_FAILED;
    else
        fine = open_next(session, &error);
    if (!fine) {
        forget_saved(session, work);
        session_failed(session, &error, "The search could not be ended");
    } else if (!work->folder && !work->view.folder && work->next == work->tree.count) {
        session_continue(session, elsewhere_step);
    }
}

/* The shared mailboxes are known by now. */
static void read_step(struct session *session)
{
    struct multisearch_work *work = session->work;
    struct mailbox *mailbox = session->mailbox;
    struct error error;
    if (!mailbox_tree_read(&work->tree, mailbox->account_fd, &mailbox->subscriptions, NULL,
                           &error)) {
        session_failed(session, &error, "The mailboxes cannot be listed now");
        return;
    }
    for (size_t i = 0; i < work->source_count; i++)
        shared_search_add(&work->elsewhere, &work->sources[i], shared_names_told(work->shared));
    if (work->wants_selected && session->state == SESSION_VISITING)
        shared_search_add_selected(&work->elsewhere);
    if (search_key_has(work->program.key, SEARCH_MODSEQ))
        session_enable(session, VIEW_TELLS_MODSEQ);
    session->by_uid = true; /* what is news may be told in any form */
    session_continue(session, esearch_step);
}

static bool wants_names(const struct multisearch_work *work)
{
    for (size_t i = 0; i < work->source_count; i++)
        if (shared_search_wants_names(&work->sources[i]))
            return true;
    return false;
}

static void begin(struct session *session, struct multisearch_work *work)
{
    bool names_charset = work->program.charset.len > 0;
    if (names_charset && (session->view.manner & VIEW_NO_CHARSET)) {
        session_bad(session, "UTF8=ACCEPT is enabled: a SEARCH is in UTF-8 and names no charset");
        return;
    }
    if (names_charset && !charset_find(work->program.charset)) {
        forget_saved(session, work);
        session_no_charset(session);
        return;
    }
    session->work = work;
    session->on_end = give_back;
    shared_search_init(&work->elsewhere, session, work->said);
    if (wants_names(work))
        work->shared = shared_names_ask(session, read_step);
    if (!work->shared)
        read_step(session);
}

bool esearch_is_of_selected(struct imap_parser arguments)
{
    if (!imap_parse_space(&arguments) || !imap_skip_word(&arguments, SLICE("IN")))
        return true;
    return imap_parse_space(&arguments) && imap_skip_octet(&arguments, '(')
           && imap_skip_word(&arguments, SLICE("selected")) && imap_skip_octet(&arguments, ')');
}

void command_esearch(struct session *session, struct imap_parser *arguments)
{
    struct multisearch_work *work = session_alloc(session, sizeof(*work));
    if (!work)
        return;
    if (!parse(session, arguments, work))
        session_bad_arguments(session, arguments);
    else if ((session->view.manner & VIEW_UID_ONLY) && search_key_names_numbers(work->program.key))
        session_bad_numbers(session);
    else
        begin(session, work);
}
