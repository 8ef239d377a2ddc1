/* EXPUNGE (RFC 3501 6.4.3) and UID EXPUNGE (RFC 4315 2.1), which tell the highest MODSEQ too (RFC
 * 7162). The EXPUNGE responses are news like any other: the answer tells them. */
#include <stdio.h>

#include "imapd/commands/commands.h"
#include "imapd/commands/remove.h"
#include "imapd/mailbox.h"
#include "imapd/shared/rights.h"

enum { REMOVED_A_SLICE = 100 };

struct remove_work {
    const struct sequence_set *uids; /* NULL: all */
    size_t index;
    bool any; /* message was removed */
};

struct remove_work *remove_begin(struct session *session, const struct sequence_set *uids)
{
    struct remove_work *work = session_alloc(session, sizeof(*work));
    if (work)
        work->uids = uids;
    return work;
}

static bool is_meant(const struct remove_work *work, const struct message *message)
{
    return message && (message->flags & MAILDIR_TRASHED)
           && (!work->uids || sequence_set_contains(work->uids, message->uid));
}

enum remove_result remove_deleted(struct session *session, struct remove_work *work,
                                  struct error *error)
{
    const struct view *view = &session->view;
    size_t removed = 0;
    for (; work->index < view->count && removed < REMOVED_A_SLICE; work->index++) {
        struct message *message = view_message(view, work->index);
        if (!is_meant(work, message))
            continue;
        if (!folder_expunge(view->folder, message, error))
            return REMOVE_FAILED;
        work->any = true;
        removed++;
    }
    return work->index < view->count ? REMOVE_MORE : REMOVE_DONE;
}

void remove_flush(struct session *session, const struct remove_work *work, session_flushed *flushed)
{
    int fds[FOLDER_REMOVED_FDS];
    if (!work->any) {
        flushed(session, NULL);
        return;
    }
    size_t count = folder_list_removed(session->view.folder, fds);
    session_wait_for_flush(session, fds, count, flushed);
}

void remove_fail(struct session *session, const struct error *why)
{
    session_failed(session, why, "Not all deleted messages could be removed");
}

/* RFC 7162 3.2.7, 3.2.8 */
static void finish(struct session *session, const struct error *why)
{
    char code[64] = "";
    if (why) {
        remove_fail(session, why);
        return;
    }
    if (session->view.manner & VIEW_TELLS_MODSEQ)
        snprintf(code, sizeof(code), "HIGHESTMODSEQ %llu",
                 (unsigned long long)folder_highest_modseq(session->view.folder));
    session_ok(session, slice_of_string(code), "Expunged");
}

static void expunge_step(struct session *session)
{
    const struct remove_work *work = session->work;
    struct error error;
    session_tell_progress(session, work->index, session->view.count);
    switch (remove_deleted(session, session->work, &error)) {
    case REMOVE_MORE:
        return;
    case REMOVE_DONE:
        remove_flush(session, session->work, finish);
        return;
    case REMOVE_FAILED:
        remove_fail(session, &error);
        return;
    }
}

/* UID EXPUNGE, and it alone, keeps to the limit (RFC 9738 3): it begins that much before the end.
 */
static void keep_to_limit(struct session *session, struct remove_work *work)
{
    const struct view *view = &session->view;
    size_t count = 0, lowest = 0;
    for (size_t i = view->count; i-- > 0;) {
        if (!is_meant(work, view_message(view, i)))
            continue;
        if (count++ == session->limit) {
            session->stopped_at = view->slots[lowest].uid;
            work->index = lowest;
            return;
        }
        lowest = i;
    }
}

void command_expunge(struct session *session, struct imap_parser *arguments)
{
    struct sequence_set *uids = NULL;
    if (session->by_uid) {
        uids = session_alloc(session, sizeof(*uids));
        if (!uids)
            return;
        if (!imap_parse_space(arguments) || !imap_parse_sequence_set(arguments, uids)
            || !session_resolve(session, arguments, uids)) {
            session_bad_arguments(session, arguments);
            return;
        }
    }
    if (!imap_parse_end(arguments)) {
        session_bad_arguments(session, arguments);
        return;
    }
    if (session->view.read_only) {
        session_no(session, SLICE("READ-ONLY"), "The mailbox was examined, not selected");
        return;
    }
    if (!rights_suffice(session, session->view.folder->directory, ACL_EXPUNGE))
        return;
    session->work = remove_begin(session, uids);
    if (!session->work)
        return;
    if (uids && session->view.count > session->limit)
        keep_to_limit(session, session->work);
    session_continue(session, expunge_step);
}
