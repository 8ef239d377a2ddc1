/* NOTIFY (RFC 5465). */
#include "imapd/session/notify.h"

#include <stdio.h>

#include "imapd/commands/commands.h"
#include "imapd/mailbox.h"
#include "imapd/shared/forward.h"
#include "imapd/shared/listeners.h"
#include "imapd/shared/shared_names.h"

enum { REQUEST_MEMORY = 1 << 20 };

struct notify_work {
    struct notify *notify;          /* until the session has it */
    struct shared_question *shared; /* names shared by other accounts; NULL: not needed */
};

static void give_back(struct session *session)
{
    struct notify_work *work = session->work;
    shared_names_end(work->shared);
    notify_free(work->notify);
}

static void refuse(struct session *session, const struct error *error)
{
    LOG(session->mailbox->log, LOG_WARNING, "notify_refused", log_hex("session", session->number),
        log_failure(error));
    session_no(session, SLICE("NOTIFICATIONOVERFLOW"), "That is more than can be watched at once");
}

/* "A successful NOTIFY SET command MUST cause the server to immediately return any accumulated
 * changes": by the rules that held so far. */
static void take_over(struct session *session, struct notify *notify)
{
    struct notify_work *work = session->work;
    work->notify = NULL;
    session_tell_news(session, VIEW_ALL);
    session_set_notify(session, notify);
    notify_tell(notify); /* 3.1: the STATUS of others' mailboxes comes before the answer, too */
    session_ok(session, SLICE(""), "Listen");
}

static void take_over_step(struct session *session)
{
    const struct notify_work *work = session->work;
    if (forward_is_setting_up(session))
        session_wait(session, take_over_step);
    else
        take_over(session, work->notify);
}

static void listen_step(struct session *session)
{
    struct notify_work *work = session->work;
    struct notify *notify = work->notify;
    struct error error;
    enum listeners_result result = listeners_step(notify_listeners(notify), &error);
    if (result == LISTENERS_WAIT) {
        session_wait(session, listen_step);
    } else if (result == LISTENERS_READY && session->state == SESSION_VISITING) {
        forward_listen(session, notify, take_over_step);
    } else if (result == LISTENERS_READY) {
        take_over(session, notify);
    } else if (error.kind == ERROR_TEMPORARY) {
        session_no(session, SLICE("UNAVAILABLE"), "Another account cannot be asked now");
    } else {
        refuse(session, &error);
    }
}

static void open_step(struct session *session)
{
    struct notify_work *work = session->work;
    struct notify *notify = work->notify;
    struct error error;
    bool failed;
    if (notify_open_step(notify, &failed, &error)) {
        if (failed)
            refuse(session, &error);
        return;
    }
    session_continue(session, listen_step);
}

static void find_step(struct session *session)
{
    struct notify_work *work = session->work;
    struct error error;
    if (notify_find_mailboxes(work->notify, &error)
        && listeners_begin(notify_listeners(work->notify), notify_wanted(work->notify),
                           shared_names_told(work->shared), &error))
        session_continue(session, open_step);
    else
        refuse(session, &error);
}

static void begin(struct session *session, struct notify_work *work)
{
    session->work = work;
    session->on_end = give_back;
    if (listeners_want_names(session, notify_wanted(work->notify)))
        work->shared = shared_names_ask(session, find_step);
    if (!work->shared)
        find_step(session);
}

static void refuse_event(struct session *session)
{
    char code[200];
    snprintf(code, sizeof(code), "BADEVENT (%s)", notify_events);
    session_no(session, slice_of_string(code), "There is no such event here");
}

void command_notify(struct session *session, struct imap_parser *arguments)
{
    struct notify_request request;
    struct arena arena; /* the request outlives the command */
    struct notify_work *work = session_alloc(session, sizeof(*work));
    if (!work)
        return;
    arena_init(&arena, REQUEST_MEMORY);
    arguments->arena = &arena;
    bool parsed = notify_request_parse(arguments, &request);
    if (parsed && request.knows_all_events)
        work->notify = notify_new(session, &request, &arena);
    if (!work->notify)
        arena_clear(&arena);
    if (!parsed)
        session_bad_arguments(session, arguments);
    else if (!request.knows_all_events)
        refuse_event(session);
    else if (!work->notify)
        session_no(session, SLICE("LIMIT"), "Out of memory, try again later");
    else
        begin(session, work);
}
