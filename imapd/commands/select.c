/* SELECT, EXAMINE, CLOSE (RFC 3501 6.3.1, 6.3.2, 6.4.2) and UNSELECT (RFC 3691); with QRESYNC
 * also the changes that a client has missed (RFC 7162 3.2.5). */
#include "imapd/commands/commands.h"
#include "imapd/commands/list.h"
#include "imapd/commands/remove.h"
#include "imapd/folder/resync.h"
#include "imapd/mailbox.h"
#include "imapd/shared/rights.h"
#include "imapd/syntax/folder_argument.h"

struct select_work {
    struct folder *folder; /* NULL once the view has it */
    struct slice name;
    bool read_only;
    unsigned rights; /* enum acl_right */
    bool resync;     /* QRESYNC, with the client's state: */
    uint32_t uidvalidity;
    uint64_t modseq;
    bool knows_uids; /* else all possible UIDs */
    bool knows_numbers;
    struct sequence_set uids;
    size_t index; /* the next message that may have changed */
};

enum { LOOKED_AT_A_SLICE = 5000 };

static void give_back(struct session *session)
{
    struct select_work *work = session->work;
    if (work->folder)
        folder_close(work->folder);
}

/* The number of the first message without \Seen; 0: there is none. */
static size_t first_unseen(const struct view *view)
{
    const struct message *message = folder_first_unseen(view->folder);
    return message ? view_position(view, message->uid) + 1 : 0;
}

static void describe(struct session *session, struct slice name)
{
    const struct view *view = &session->view;
    struct writer *writer = &session->writer;
    bool rev2 = session_is_rev2(session); /* RFC 9051 E 10 to 12 */
    bool has_numbers = !(view->manner & VIEW_UID_ONLY);
    size_t unseen = rev2 || !has_numbers ? 0 : first_unseen(view);
    view_write_flag_lists(view, writer);
    writer_count(writer, (uint32_t)view->count, "EXISTS");
    if (rev2)
        list_write_mailbox(session, name, slice_of(NULL, 0));
    else
        writer_count(writer, (uint32_t)view->recent, "RECENT");
    if (unseen > 0)
        buffer_append_format(&writer->text, "* OK [UNSEEN %zu] The first unseen message\r\n",
                             unseen);
    buffer_append_format(&writer->text,
                         "* OK [UIDVALIDITY %u] UIDs are valid\r\n"
                         "* OK [UIDNEXT %u] The next UID\r\n",
                         view->folder->record.uidvalidity, view->folder->uid_next);
    view_write_highest_modseq(view, writer);
    buffer_append_format(&writer->text,
                         "* OK [MAILBOXID (%s)] Its identifier\r\n", /* RFC 8474 4.2 */
                         view->folder->record.mailbox_id);
}

static void finish(struct session *session)
{
    if (session->view.read_only)
        session_ok(session, SLICE("READ-ONLY"), "Examined");
    else
        session_ok(session, SLICE("READ-WRITE"), "Selected");
}

/* The messages that the client knows and that have changed since. */
static void resync_step(struct session *session)
{
    struct select_work *work = session->work;
    struct view *view = &session->view;
    for (int i = 0; i < LOOKED_AT_A_SLICE && work->index < view->count; i++, work->index++) {
        const struct message *message = view_message(view, work->index);
        if (message && message->modseq > work->modseq
            && (!work->knows_uids || sequence_set_contains(&work->uids, message->uid)))
            view_write_flags(view, work->index, true, &session->writer);
    }
    if (work->index >= view->count)
        finish(session);
}

/* "If the provided UIDVALIDITY doesn't match that of the selected mailbox, the server MUST ignore
 * the remaining parameters" (RFC 7162 3.2.5.1). */
static void resync(struct session *session, struct select_work *work)
{
    struct error error;
    const struct folder *folder = session->view.folder;
    if (!work->resync || work->uidvalidity != folder->record.uidvalidity) {
        finish(session);
        return;
    }
    if (work->knows_uids)
        sequence_set_resolve(&work->uids, folder->uid_next - 1);
    if (resync_write_vanished(&session->view, work->knows_uids ? &work->uids : NULL, work->modseq,
                              &session->arena, &session->writer, &error))
        session_continue(session, resync_step);
    else
        session_failed(session, &error, "Out of memory, try again later");
}

static void select_step(struct session *session)
{
    struct select_work *work = session->work;
    struct error error;
    session_tell_progress(session, 0, 0);
    if (folder_step(work->folder))
        return;
    if (!view_open(&session->view, work->folder, work->read_only, &error)) {
        session_failed(session, &error, "Out of memory, try again later");
        return;
    }
    work->folder = NULL;
    session->view.fixed = rights_fix(work->rights);
    session_select(session);
    describe(session, work->name);
    resync(session, work);
}

/* A set from the client's state; "$" is not allowed yet. */
static bool parse_known_set(struct imap_parser *arguments, struct sequence_set *set)
{
    return imap_parse_sequence_set(arguments, set)
           && (!set->saved || imap_parser_fail(arguments, "a set without \"$\""));
}

/* [SP known-uids] [SP seq-match-data]. The client's sequence numbers could only shorten a list
 * that is sent when the history is lost. */
static bool parse_known(struct imap_parser *arguments, struct select_work *work)
{
    struct sequence_set unused;
    work->knows_numbers = false;
    if (!imap_skip_octet(arguments, ' '))
        return true;
    if (!imap_skip_octet(arguments, '(')) {
        work->knows_uids = true;
        if (!parse_known_set(arguments, &work->uids))
            return false;
        if (!imap_skip_octet(arguments, ' '))
            return true;
        if (!imap_parse_octet(arguments, '(', "\"(\""))
            return false;
    }
    work->knows_numbers = true;
    return parse_known_set(arguments, &unused) && imap_parse_space(arguments)
           && parse_known_set(arguments, &unused) && imap_parse_octet(arguments, ')', "\")\"");
}

/* "QRESYNC" SP "(" uidvalidity SP mod-sequence-value [SP known-uids] [SP seq-match-data] ")" */
static bool parse_resync(struct imap_parser *arguments, struct select_work *work)
{
    work->resync = true;
    return imap_parse_space(arguments) && imap_parse_octet(arguments, '(', "\"(\"")
           && imap_parse_nz_number(arguments, &work->uidvalidity) && imap_parse_space(arguments)
           && imap_parse_modseq(arguments, &work->modseq) && parse_known(arguments, work)
           && imap_parse_octet(arguments, ')', "\")\"");
}

/* [SP "(" select-param *(SP select-param) ")"]    RFC 4466 2.4, RFC 7162 7 */
static bool parse_parameters(struct imap_parser *arguments, struct select_work *work,
                             unsigned *manner)
{
    *manner = 0;
    if (imap_parser_at_end(arguments))
        return true;
    if (!imap_parse_space(arguments) || !imap_parse_octet(arguments, '(', "\"(\""))
        return false;
    do {
        if (imap_skip_word(arguments, SLICE("CONDSTORE")))
            *manner = VIEW_TELLS_MODSEQ;
        else if (!imap_skip_word(arguments, SLICE("QRESYNC")))
            return imap_parser_fail(arguments, "CONDSTORE or QRESYNC");
        else if (!parse_resync(arguments, work))
            return false;
    } while (imap_skip_octet(arguments, ' '));
    return imap_parse_octet(arguments, ')', "\")\"");
}

static bool parse(struct imap_parser *arguments, struct folder_argument *folder,
                  struct select_work *work, unsigned *manner)
{
    return imap_parse_space(arguments) && folder_argument_parse(arguments, folder)
           && parse_parameters(arguments, work, manner) && imap_parse_end(arguments);
}

/* "if the SELECT fails, no mailbox is selected"; after CLOSED all responses are about the new one
 * (RFC 7162 3.2.11, RFC 9051 7.1). */
static void leave_selected(struct session *session)
{
    if (session->state == SESSION_SELECTED)
        writer_untagged(&session->writer, WRITER_OK, SLICE("CLOSED"), "Left the other mailbox");
    session_unselect(session);
}

/* False: the command was ended. */
static bool may_use_parameters(struct session *session, const struct select_work *work)
{
    if (work->resync && !(session->view.manner & VIEW_TELLS_VANISHED))
        session_bad(session, "QRESYNC was not enabled");
    else if (work->knows_numbers && (session->view.manner & VIEW_UID_ONLY))
        session_bad_numbers(session);
    else
        return true;
    return false;
}

static void select_or_examine(struct session *session, struct imap_parser *arguments,
                              bool read_only)
{
    struct folder_argument folder;
    struct error error;
    unsigned manner;
    struct select_work *work = session_alloc(session, sizeof(*work));
    if (!work)
        return;
    if (!parse(arguments, &folder, work, &manner)) {
        session_bad_arguments(session, arguments);
        return;
    }
    if (!may_use_parameters(session, work))
        return;
    /* RFC 4314 4: without a right to flag, expunge or insert, the mailbox is read-only. */
    enum { FOR_READ_WRITE = ACL_SEEN | ACL_WRITE | ACL_INSERT | ACL_DELETE_MESSAGE | ACL_EXPUNGE };
    work->rights = ACL_ALL;
    if (session->visitor && !folder.problem) {
        leave_selected(session);
        if (!rights_suffice_some(session, folder.directory, ACL_READ, &work->rights))
            return;
        read_only = read_only || !(work->rights & FOR_READ_WRITE);
    }
    /* Before the old one is left: it may be the same, and then stays open. */
    bool opened =
        !folder.problem && folder_open(session->mailbox, folder.directory, &work->folder, &error);
    leave_selected(session);
    session_enable(session, manner);
    if (folder.problem) {
        session_no(session, SLICE("NONEXISTENT"), folder.problem);
        return;
    }
    if (!opened) {
        session_failed(session, &error,
                       error.kind == ERROR_NOT_FOUND ? "There is no such mailbox"
                                                     : "The mailbox cannot be opened now");
        return;
    }
    work->name = folder.name;
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

static void finish_close(struct session *session, const struct error *why)
{
    if (why) {
        remove_fail(session, why);
        return;
    }
    session_unselect(session);
    session_ok(session, SLICE(""), "Closed");
}

static void close_step(struct session *session)
{
    struct error error;
    switch (remove_deleted(session, session->work, &error)) {
    case REMOVE_MORE:
        return;
    case REMOVE_DONE:
        remove_flush(session, session->work, finish_close);
        return;
    case REMOVE_FAILED:
        remove_fail(session, &error);
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
    if (session->view.read_only || !(rights_to_selected(session) & ACL_EXPUNGE)) {
        session_unselect(session);
        session_ok(session, SLICE(""), "Closed");
        return;
    }
    session->work = remove_begin(session, NULL);
    if (session->work)
        session_continue(session, close_step);
}
