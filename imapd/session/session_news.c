/* Unsolicited responses: changes of the selected folder, and, for NOTIFY and search contexts,
 * internal commands whose responses are sent without a tagged line. */
#include "imapd/session/session_internal.h"

#include <stddef.h>

#include "common/config/config.h"
#include "imapd/mailbox.h"
#include "imapd/search/search_context.h"
#include "imapd/session/notify.h"
#include "imapd/shared/forward.h"
#include "imapd/shared/rights.h"

/* ---- of the selected folder ---- */

/* A visitor may have lost the right to read. */
static bool may_hear(const struct session *session)
{
    return !session->visitor || (rights_to_selected(session) & ACL_READ);
}

static bool wants_news(const struct session *session)
{
    if (!may_hear(session))
        return false;
    return !session->notify || notify_manner(session->notify) != NOTIFY_TELLS_NOTHING
           || (session->command && (session->command->traits & COMMAND_REMOVES));
}

/* RFC 5465 5.1: after NOTIFY, FETCH responses include the UID. */
void session_tell_news(struct session *session, enum view_extent extent)
{
    struct error error;
    bool with_uid = session->by_uid || session->notify;
    if (session->state != SESSION_SELECTED || !wants_news(session))
        return;
    if (extent == VIEW_ALL)
        search_contexts_tell_gone(session);
    if (!view_sync(&session->view, extent, with_uid, &session->writer, &error))
        LOG(session->mailbox->log, LOG_ERROR, "news_wait", log_hex("session", session->number),
            log_failure(&error));
}

void session_has_news(struct session *session)
{
    turn_defer(&session->mailbox->turn, &session->at_turn_end);
}

static void on_news(struct view *view)
{
    struct session *session = (void *)((uint8_t *)view - offsetof(struct session, view));
    if (session->on_line || session->notify)
        session_has_news(session);
}

void session_set_notify(struct session *session, struct notify *notify)
{
    notify_free(session->notify);
    session->notify = notify;
    session->data_uid = session->view.last_uid;
    session->view.manner &= ~(unsigned)VIEW_HIDES_CHANGES;
    if (!notify_tells_flags(notify))
        session->view.manner |= VIEW_HIDES_CHANGES;
}

/* ---- commands of ours ---- */

/* Begins an internal command, of which only the untagged responses are sent. IDLE goes on after it.
 * False: no memory. */
static bool begin_unasked(struct session *session, struct slice name)
{
    buffer_reset(&session->interrupted_tag);
    buffer_append(&session->interrupted_tag, session->tag);
    if (session->interrupted_tag.failed)
        return false;
    session->interrupted = session->command;
    session->interrupted_line = session->on_line;
    session->is_unasked = session->by_uid = true;
    session->command = command_find(name);
    session->on_line = NULL;
    session->tag = SLICE("");
    return true;
}

/* Ends an internal FETCH without a tagged response. */
void session_end_unasked(struct session *session)
{
    session_end_command(session);
    session->is_unasked = false;
    buffer_append(&session->writer.text, buffer_slice(&session->answer_behind));
    buffer_reset(&session->answer_behind);
    session->command = session->interrupted;
    session->on_line = session->interrupted_line;
    session->tag = arena_copy(&session->arena, buffer_slice(&session->interrupted_tag));
    if (!session->tag.ptr)
        session_bye(session, "Out of memory; log in again");
}

bool session_has_searches_to_look_at(const struct session *session)
{
    const struct command_spec *spec = session->command;
    return session->state == SESSION_SELECTED && spec && !spec->on_literal
           && !(spec->traits & COMMAND_GOES_ON) && search_contexts_are_due(session);
}

void session_look_at_searches(struct session *session, size_t answered_at)
{
    struct buffer *text = &session->writer.text;
    buffer_append(&session->answer_behind, slice_from(buffer_slice(text), answered_at));
    if (session->answer_behind.failed || !begin_unasked(session, SLICE("SEARCH"))) {
        buffer_reset(&session->answer_behind); /* then what they find comes after it */
        return;
    }
    buffer_truncate(text, answered_at);
    search_contexts_update(session);
}

/* FETCH with those arguments. */
static void fetch_unasked(struct session *session, struct slice arguments)
{
    struct imap_parser parser;
    struct slice text = arena_copy(&session->arena, arguments);
    if (!text.ptr || !begin_unasked(session, SLICE("FETCH")))
        return;
    session_init_parser(session, &parser, text);
    session->command->handler(session, &parser);
}

/* RFC 5465 5.2: fetches the requested data of messages reported by EXISTS. */
static bool wants_message_data(struct session *session, struct buffer *text)
{
    struct slice data = session->notify ? notify_message_data(session->notify) : SLICE("");
    uint32_t first = session->data_uid + 1, last = session->view.last_uid;
    if (last < first)
        return false;
    session->data_uid = last;
    if (data.len == 0)
        return false;
    buffer_append_format(text, " %u:%u ", first, last);
    buffer_append(text, data);
    return !text->failed;
}

/* Runs one at a time: a FETCH that is due, or an update of the search contexts. */
static void work_unasked(struct session *session)
{
    struct buffer text = BUFFER_WITH_LIMIT(SESSION_COMMAND_MEMORY);
    if (session->state == SESSION_SELECTED && may_hear(session)) {
        if (wants_message_data(session, &text) || search_contexts_take_fetch(session, &text))
            fetch_unasked(session, buffer_slice(&text));
        else if (search_contexts_are_due(session) && begin_unasked(session, SLICE("SEARCH")))
            search_contexts_update(session);
    }
    buffer_clear(&text);
}

/* What the client listens for: while it idles, or, with NOTIFY, between commands. */
static void tell_news_unasked(struct session *session, bool idles)
{
    struct notify *notify = session->notify;
    if (notify)
        notify_tell(notify);
    if (!idles)
        forward_tell_unasked(session);
    bool delayed = notify && !idles && notify_manner(notify) == NOTIFY_TELLS_DELAYED;
    session_tell_news(session, delayed ? VIEW_KEEP_NUMBERS : VIEW_ALL);
}

void session_tell_unasked(struct session *session)
{
    bool idles = session->on_line != NULL;
    if (!(session->state & SESSION_OPEN) || stream_output_full(&session->stream)
        || stream_is_changing(&session->stream) || (!idles && session->command)
        || forward_is_within_line(session))
        return;
    if (idles || session->notify)
        tell_news_unasked(session, idles);
    work_unasked(session);
}

void session_init_news(struct session *session)
{
    session->view.on_news = on_news;
    buffer_init(&session->interrupted_tag, session->mailbox->config->limits.imap_line_octets);
    buffer_init(&session->answer_behind, SESSION_ANSWER_OCTETS);
}
