/* STATUS (RFC 3501 6.3.10). */
#include "imapd/commands/commands.h"
#include "imapd/folder/folder_status.h"
#include "imapd/shared/rights.h"
#include "imapd/syntax/folder_argument.h"

struct status_work {
    struct folder_status status;
    struct slice name;
};

static void give_back(struct session *session)
{
    struct status_work *work = session->work;
    folder_status_end(&work->status);
}

static void status_step(struct session *session)
{
    struct status_work *work = session->work;
    if (folder_status_step(&work->status))
        return;
    folder_status_write(&work->status, work->name, session_name_form(session),
                        &session->writer.text);
    session_ok(session, SLICE(""), "That is its status");
}

void command_status(struct session *session, struct imap_parser *arguments)
{
    struct folder_argument folder;
    struct error error;
    unsigned items;
    if (!imap_parse_space(arguments) || !folder_argument_parse(arguments, &folder)
        || !imap_parse_space(arguments) || !imap_parse_status_items(arguments, &items)
        || !imap_parse_end(arguments)) {
        session_bad_arguments(session, arguments);
        return;
    }
    if (folder.problem) {
        session_no(session, SLICE("NONEXISTENT"), folder.problem);
        return;
    }
    if (!rights_suffice(session, folder.directory, ACL_READ))
        return;
    struct status_work *work = session_alloc(session, sizeof(*work));
    if (!work)
        return;
    if (!folder_status_begin(&work->status, session->mailbox, folder.directory, items, &error)) {
        session_failed(session, &error,
                       error.kind == ERROR_NOT_FOUND ? "There is no such mailbox"
                                                     : "The mailbox cannot be opened now");
        return;
    }
    if (items & STATUS_HIGHESTMODSEQ)
        session_enable(session, VIEW_TELLS_MODSEQ); /* RFC 7162 3.1 */
    work->name = folder.name;
    session->work = work;
    session->on_end = give_back;
    session_continue(session, status_step);
}
