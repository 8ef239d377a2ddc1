/* SEARCH and UID SEARCH (RFC 3501 6.4.4, 6.4.8). */
#include "imapd/search.h"

#include "imapd/commands/commands.h"
#include "imapd/mailbox.h"

enum { CHEAP_A_SLICE = 5000, FILES_A_SLICE = 50 };

struct search_work {
    struct search_program program;
    struct message_source source;
    size_t index;
    struct buffer found; /* " 2 3 5" */
};

enum { FOUND_OCTETS = 1 << 28 }; /* 11 octets for each of some 24 million messages */

static void give_back(struct session *session)
{
    struct search_work *work = session->work;
    message_source_clear(&work->source);
    buffer_clear(&work->found);
}

static void finish(struct session *session, const struct search_work *work)
{
    struct buffer *text = &session->writer.text;
    buffer_append(text, SLICE("* SEARCH"));
    buffer_append(text, buffer_slice(&work->found));
    buffer_append(text, SLICE("\r\n"));
    session_ok(session, SLICE(""), "Searched");
}

/* A message that is gone is not found; its EXPUNGE is due. */
static bool search_one(struct session *session, struct search_work *work, struct error *error)
{
    const struct view *view = &session->view;
    bool matches = false;
    if (!search_matches(work->program.key, view, work->index, &work->source, &matches, error)
        && error->kind != ERROR_NOT_FOUND)
        return false;
    if (!matches)
        return true;
    buffer_append_octet(&work->found, ' ');
    buffer_append_number(&work->found,
                         session->by_uid ? view->slots[work->index].uid : work->index + 1);
    return !work->found.failed || error_memory(error);
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
        if (!search_one(session, work, &error)) {
            session_failed(session, &error, "The search could not be ended");
            return;
        }
        files -= work->source.file.fd >= 0;
    }
}

static void begin(struct session *session, struct search_work *work)
{
    const char *problem = NULL;
    if (!search_charset_is_known(work->program.charset)) {
        session_no(session, SLICE("BADCHARSET (UTF-8 US-ASCII ISO-8859-1)"),
                   "That charset is not known here");
    } else if (!search_prepare(&work->program, &session->view, &session->arena, &problem)) {
        if (problem)
            session_bad(session, problem);
        else
            session_no(session, SLICE("LIMIT"), "The arguments need too much memory");
    } else {
        message_source_init(&work->source, session->mailbox->config);
        buffer_init(&work->found, FOUND_OCTETS);
        session->work = work;
        session->on_end = give_back;
        session_continue(session, search_step);
    }
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
