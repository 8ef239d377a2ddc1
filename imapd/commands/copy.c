/* COPY (RFC 3501 6.4.7, with COPYUID of RFC 4315 3) and MOVE (RFC 6851). */
#include "imapd/commands/commands.h"
#include "imapd/folder/transfer.h"
#include "imapd/mailbox.h"
#include "imapd/shared/rights.h"
#include "imapd/syntax/folder_argument.h"
#include "storage/message_file.h"

enum { CARRIED_A_SLICE = 50, CODE_OCTETS = 1 << 22 };

struct copy_work {
    struct transfer transfer;
    struct sequence_set set;
    struct view_walk walk;
    size_t done;
    size_t count; /* of messages that the set names */
};

static void give_back(struct session *session)
{
    struct copy_work *work = session->work;
    transfer_end(&work->transfer);
}

/* What could not be carried at all leaves things as they were: a COPY is undone, and of a MOVE what
 * is done is told, and stays done. */
static void fail(struct session *session, struct copy_work *work, const struct error *error)
{
    struct error ignored;
    const char *text = work->transfer.move ? "Not all messages could be moved"
                                           : "The messages could not be copied";
    if (!work->transfer.move)
        transfer_undo(&work->transfer);
    else if (transfer_commit(&work->transfer, &ignored) && work->transfer.to_uids.count > 0)
        text = "Only some of the messages could be moved";
    if (work->transfer.to->deleted)
        session_no(session, SLICE("TRYCREATE"), "The mailbox was deleted meanwhile");
    else if (error->kind == ERROR_NOT_FOUND)
        session_no(session, SLICE("EXPUNGEISSUED"), "Some of the messages have been deleted");
    else
        session_failed(session, error, text);
}

static void succeed(struct session *session, const struct copy_work *work)
{
    struct buffer code = BUFFER_WITH_LIMIT(CODE_OCTETS);
    transfer_append_code(&work->transfer, &code);
    if (code.failed) /* the copies are there all the same: the code is a courtesy */
        buffer_reset(&code);
    /* "the server MUST send COPYUID in an untagged OK before the EXPUNGE responses" (RFC 6851 4.3)
     */
    if (work->transfer.move && code.len > 0)
        writer_untagged(&session->writer, WRITER_OK, buffer_slice(&code), "Moved");
    if (work->transfer.move)
        session_ok(session, SLICE(""), "Moved");
    else
        session_ok(session, buffer_slice(&code), "Copied");
    buffer_clear(&code);
}

/* What failed is not flushed again. */
static void on_flushed(struct session *session, const struct error *why)
{
    struct copy_work *work = session->work;
    if (!why) {
        succeed(session, work);
        return;
    }
    if (!work->transfer.move)
        transfer_undo(&work->transfer);
    session_failed(session, why,
                   work->transfer.move ? "The messages were moved, but may come back"
                                       : "The messages could not be copied");
}

static void flush(struct session *session, const struct copy_work *work)
{
    struct error error;
    int fds[MAILDIR_FLUSH_FDS];
    size_t count;
    if (transfer_list_unflushed(&work->transfer, fds, &count, &error))
        session_wait_for_flush(session, fds, count, on_flushed);
    else
        on_flushed(session, &error);
}

static void copy_step(struct session *session)
{
    struct copy_work *work = session->work;
    struct view *view = &session->view;
    struct error error;
    size_t index;
    session_tell_progress(session, work->done, work->count);
    if (work->transfer.to->deleted) {
        error_set(&error, ERROR_PERMANENT, "the mailbox was deleted");
        fail(session, work, &error);
        return;
    }
    for (int i = 0; i < CARRIED_A_SLICE; i++, work->done++) {
        if (!view_walk_next(view, &work->walk, &index)) {
            flush(session, work);
            return;
        }
        if (!transfer_one(&work->transfer, view->slots[index].uid, &error)
            && (error.kind != ERROR_NOT_FOUND || !session->by_uid)) { /* RFC 3501 6.4.8 */
            fail(session, work, &error);
            return;
        }
    }
}

/* Room for all of it, or nothing is begun. */
static bool fits(struct session *session, const struct copy_work *work, struct error *error)
{
    const struct view *view = &session->view;
    struct view_walk walk = work->walk;
    uint64_t sum = 0;
    uint32_t count = 0;
    size_t index;
    if ((work->transfer.move && !expunged_holds(view->folder->directory))
        || !quota_is_set(&session->mailbox->quota))
        return true;
    while (view_walk_next(view, &walk, &index)) {
        const struct message *message = view_message(view, index);
        if (!message)
            continue;
        sum += quota_octets_of(&view->folder->box, MAILDIR_CUR, message->name);
        count++;
    }
    return mailbox_has_room(session->mailbox, sum, count, error);
}

static void begin(struct session *session, struct copy_work *work, struct folder *to, bool move)
{
    struct error error;
    transfer_begin(&work->transfer, session->view.folder, to, move, &session->arena);
    if (move)
        session_keep_to_limit(session, &work->set);
    work->walk = view_walk_begin(&work->set, session->by_uid);
    work->count = view_walk_count(&session->view, work->walk);
    session->work = work;
    session->on_end = give_back;
    if (work->count > session->limit)
        session_over_limit(session, "Too many messages to copy, try a smaller subset");
    else if (fits(session, work, &error))
        session_continue(session, copy_step);
    else
        session_failed(session, &error, "The mailbox is full");
}

/* copy = "COPY" SP sequence-set SP mailbox */
static bool parse(struct session *session, struct imap_parser *arguments, struct copy_work *work,
                  struct folder_argument *folder)
{
    return imap_parse_space(arguments) && imap_parse_sequence_set(arguments, &work->set)
           && imap_parse_space(arguments) && folder_argument_parse(arguments, folder)
           && imap_parse_end(arguments) && session_resolve(session, arguments, &work->set);
}

/* RFC 4314 4. False: the command was ended. */
static bool may(struct session *session, const char *to, bool move)
{
    return (!move
            || rights_suffice(session, session->view.folder->directory,
                              ACL_DELETE_MESSAGE | ACL_EXPUNGE))
           && rights_suffice(session, to, ACL_INSERT);
}

static void copy_or_move(struct session *session, struct imap_parser *arguments, bool move)
{
    struct folder_argument folder;
    struct folder *to;
    struct error error;
    struct copy_work *work = session_alloc(session, sizeof(*work));
    if (!work)
        return;
    if (!parse(session, arguments, work, &folder))
        session_bad_arguments(session, arguments);
    else if (folder.problem)
        session_no(session, SLICE("CANNOT"), folder.problem);
    else if (folder.is_expunged)
        session_no(session, SLICE("CANNOT"), FOLDER_ARGUMENT_EXPUNGED);
    else if (move && session->view.read_only)
        session_no(session, SLICE("READ-ONLY"), "The mailbox was examined, not selected");
    else if (!may(session, folder.directory, move))
        return;
    else if (folder_open(session->mailbox, folder.directory, &to, &error))
        begin(session, work, to, move);
    else if (error.kind == ERROR_NOT_FOUND)
        session_no(session, SLICE("TRYCREATE"), "There is no such mailbox");
    else
        session_failed(session, &error, "The mailbox cannot be opened now");
}

void command_copy(struct session *session, struct imap_parser *arguments)
{
    copy_or_move(session, arguments, false);
}

void command_move(struct session *session, struct imap_parser *arguments)
{
    copy_or_move(session, arguments, true);
}
