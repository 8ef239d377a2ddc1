/* SELECT, EXAMINE, CLOSE (RFC 3501 6.3.1, 6.3.2, 6.4.2) and UNSELECT (RFC 3691). */
#include "imapd/commands/commands.h"
#include "imapd/commands/remove.h"
#include "imapd/folder_argument.h"
#include "imapd/mailbox.h"

struct select_work {
    struct folder *folder; /* NULL once the view has it */
    bool read_only;
};

static void give_back(struct session *session)
{
    struct select_work *work = session->work;
    if (work->folder)
        folder_close(work->folder);
}

/* The number of the first message without \Seen; 0: there is none. */
static size_t first_unseen(const struct view *view)
{
    for (size_t i = 0; i < view->count; i++) {
        const struct message *message = view_message(view, i);
        if (message && !(message->flags & MAILDIR_SEEN))
            return i + 1;
    }
    return 0;
}

static void describe(struct session *session)
{
    const struct view *view = &session->view;
    struct writer *writer = &session->writer;
    size_t unseen = first_unseen(view);
    view_write_flag_lists(view, writer);
    writer_count(writer, (uint32_t)view->count, "EXISTS");
    writer_count(writer, (uint32_t)view->recent, "RECENT");
    if (unseen > 0)
        buffer_append_format(&writer->text, "* OK [UNSEEN %zu] The first unseen message\r\n",
                             unseen);
    buffer_append_format(&writer->text,
                         "* OK [UIDVALIDITY %u] UIDs are valid\r\n"
                         "* OK [UIDNEXT %u] The next UID\r\n",
                         view->folder->record.uidvalidity, view->folder->uid_next);
}

static void select_step(struct session *session)
{
    struct select_work *work = session->work;
    struct error error;
    if (folder_step(work->folder))
        return;
    if (!view_open(&session->view, work->folder, work->read_only, &error)) {
        session_failed(session, &error, "Out of memory, try again later");
        return;
    }
    work->folder = NULL;
    session_select(session);
    describe(session);
    if (session->view.read_only)
        session_ok(session, SLICE("READ-ONLY"), "Examined");
    else
        session_ok(session, SLICE("READ-WRITE"), "Selected");
}

static void select_or_examine(struct session *session, struct imap_parser *arguments,
                              bool read_only)
{
    struct folder_argument folder;
    struct error error;
    if (!imap_parse_space(arguments) || !folder_argument_parse(arguments, &folder)
        || !imap_parse_end(arguments)) {
        session_bad_arguments(session, arguments);
        return;
    }
    /* "if the SELECT fails, no mailbox is selected" */
    session_unselect(session);
    if (folder.problem) {
        session_no(session, SLICE("NONEXISTENT"), folder.problem);
        return;
    }
    struct select_work *work = session_alloc(session, sizeof(*work));
    if (!work)
        return;
    if (!folder_open(session->mailbox, folder.directory, &work->folder, &error)) {
        session_failed(session, &error,
                       error.kind == ERROR_NOT_FOUND ? "There is no such mailbox"
                                                     : "The mailbox cannot be opened now");
        return;
    }
    work->read_only = read_only;
    session->work = work;
    session->on_end = give_back;
    session_continue(session, select_step);
}

void command_select(struct session *session, struct imap_parser *arguments)
{
    select_or_examine(session, arguments, false);
}

void command_examine(struct session *session, struct imap_parser *arguments)
{
    select_or_examine(session, arguments, true);
}

void command_unselect(struct session *session, struct imap_parser *arguments)
{
    if (!imap_parse_end(arguments)) {
        session_bad_arguments(session, arguments);
        return;
    }
    session_unselect(session);
    session_ok(session, SLICE(""), "Unselected");
}

/* ---- CLOSE ---- */

static void close_step(struct session *session)
{
    struct error error;
    switch (remove_deleted(session, session->work, &error)) {
    case REMOVE_MORE:
        return;
    case REMOVE_DONE:
        session_unselect(session);
        session_ok(session, SLICE(""), "Closed");
        return;
    case REMOVE_FAILED:
        session_failed(session, &error, "Not all deleted messages could be removed");
        return;
    }
}

/* "permanently removes all messages that have the \Deleted flag set ... no untagged EXPUNGE
 * responses are sent"; of an examined mailbox, none. */
void command_close(struct session *session, struct imap_parser *arguments)
{
    if (!imap_parse_end(arguments)) {
        session_bad_arguments(session, arguments);
        return;
    }
    if (session->view.read_only) {
        session_unselect(session);
        session_ok(session, SLICE(""), "Closed");
        return;
    }
    session->work = remove_begin(session, NULL);
    if (session->work)
        session_continue(session, close_step);
}
