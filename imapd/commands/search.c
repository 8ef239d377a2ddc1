/* SEARCH and UID SEARCH (RFC 3501 6.4.4, 6.4.8, RFC 7162 3.1.5, 3.1.6). */
#include "imapd/search.h"

#include "common/mime/charset.h"
#include "imapd/commands/commands.h"

enum {
    CHEAP_A_SLICE = 5000,
    FILES_A_SLICE = 50,
    FOUND_OCTETS = 1 << 28, /* 11 octets for each of some 24 million messages */
};

struct search_work {
    struct search_program program;
    struct search search;
    size_t index;
    struct buffer found; /* " 2 3 5" */
    bool tells_modseq;
    uint64_t modseq; /* the highest of those that were found */
};

static void give_back(struct session *session)
{
    struct search_work *work = session->work;
    search_clear(&work->search);
    buffer_clear(&work->found);
}

static void finish(struct session *session, const struct search_work *work)
{
    struct buffer *text = &session->writer.text;
    buffer_append(text, SLICE("* SEARCH"));
    buffer_append(text, buffer_slice(&work->found));
    if (work->tells_modseq && work->found.len > 0) {
        buffer_append(text, SLICE(" (MODSEQ "));
        buffer_append_number(text, work->modseq);
        buffer_append_octet(text, ')');
    }
    buffer_append(text, SLICE("\r\n"));
    session_ok(session, SLICE(""), "Searched");
}

/* A message that is gone is not found; its EXPUNGE is due. */
static enum source_result search_one(struct session *session, struct search_work *work,
                                     struct error *error)
{
    const struct view *view = &session->view;
    bool matches = false;
    enum source_result result = search_message(&work->search, view, work->index, &matches, error);
    if (result == SOURCE_FAILED && error->kind == ERROR_NOT_FOUND)
        return SOURCE_DONE;
    if (result != SOURCE_DONE || !matches)
        return result;
    if (work->search.facts.modseq > work->modseq)
        work->modseq = work->search.facts.modseq;
    buffer_append_octet(&work->found, ' ');
    buffer_append_number(&work->found,
                         session->by_uid ? view->slots[work->index].uid : work->index + 1);
    if (!work->found.failed)
        return SOURCE_DONE;
    error_memory(error);
    return SOURCE_FAILED;
}

static void search_step(struct session *session)
{
    struct search_work *work = session->work;
    struct error error;
    int files = FILES_A_SLICE;
    for (int i = 0; i < CHEAP_A_SLICE && files > 0; i++, work->index++) {
        if (work->index >= session->view.count) {
            finish(session, work);
            return;
        }
        enum source_result result = search_one(session, work, &error);
        if (result == SOURCE_MORE)
            return;
        if (result == SOURCE_FAILED) {
            session_failed(session, &error, "The search could not be ended");
            return;
        }
        files -= search_opened_file(&work->search);
    }
}

/* Without a charset, US-ASCII (RFC 3501 6.4.4); UTF-8 has that in itself, and some clients send it.
 */
static const struct charset *charset_of(const struct search_program *program)
{
    return program->charset.len > 0 ? charset_find(program->charset) : charset_utf8();
}

static void begin(struct session *session, struct search_work *work)
{
    const struct charset *charset = charset_of(&work->program);
    if (!charset) {
        session_no(session, SLICE("BADCHARSET (UTF-8 US-ASCII ISO-8859-1)"),
                   "That charset is not known here");
        return;
    }
    work->tells_modseq = search_key_has(work->program.key, SEARCH_MODSEQ);
    if (work->tells_modseq)
        session_enable(session, VIEW_TELLS_MODSEQ);
    buffer_init(&work->found, FOUND_OCTETS);
    session->work = work;
    session->on_end = give_back;
    if (search_init(&work->search, work->program.key, charset, &session->view, &session->arena))
        session_continue(session, search_step);
    else
        session_no(session, SLICE("LIMIT"), "The arguments need too much memory");
}

void command_search(struct session *session, struct imap_parser *arguments)
{
    struct search_work *work = session_alloc(session, sizeof(*work));
    if (!work)
        return;
    if (imap_parse_space(arguments) && search_program_parse(arguments, &work->program)
        && imap_parse_end(arguments))
        begin(session, work);
    else
        session_bad_arguments(session, arguments);
}
