/* NOTIFY (RFC 5465). */
#include "imapd/session/notify.h"

#include <stdio.h>

#include "imapd/commands/commands.h"
#include "imapd/mailbox.h"

enum { REQUEST_MEMORY = 1 << 20 };

struct notify_work {
    struct notify *notify; /* until the session has it */
};

static void give_back(struct session *session)
{
    struct notify_work *work = session->work;
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
    session_tell_news(session, VIEW_ALL);
    session_set_notify(session, notify);
    session_ok(session, SLICE(""), "Listen");
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
    work->notify = NULL;
    take_over(session, notify);
}

static void begin(struct session *session, struct notify_work *work)
{
    struct error error;
    session->work = work;
    session->on_end = give_back;
    if (notify_find_mailboxes(work->notify, &error))
        session_continue(session, open_step);
    else
        refuse(session, &error);
}

static void refuse_event(struct session *session)
{
    char code[200];
    snprintf(code, sizeof(code), "BADEVENT (%s)", notify_events);
    session_no(session, slice_of_string(code), "There is no such event here");
}

static bool names_shared(const struct notify_request *request)
{
    for (size_t i = 0; i < request->group_count; i++)
        if (request->groups[i].filter.names_shared)
            return true;
    return false;
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
    bool is_possible = parsed && request.knows_all_events && !names_shared(&request);
    if (is_possible)
        work->notify = notify_new(session, &request, &arena);
    if (!work->notify)
        arena_clear(&arena);
    if (!parsed)
        session_bad_arguments(session, arguments);
    else if (!request.knows_all_events)
        refuse_event(session);
    else if (!is_possible)
        session_no(session, SLICE("CANNOT"),
                   "Mailboxes of others tell news while they are selected");
    else if (!work->notify)
        session_no(session, SLICE("LIMIT"), "Out of memory, try again later");
    else
        begin(session, work);
}
