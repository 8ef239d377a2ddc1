/* FETCH and UID FETCH (RFC 3501 6.4.5, 6.4.8, RFC 7162 3.1.4, RFC 9394 3.3): which messages and
 * items; imapd/fetch/fetch_value.h has the values. */
#include "imapd/commands/commands.h"
#include "imapd/fetch/fetch_value.h"
#include "imapd/folder/resync.h"
#include "imapd/mailbox.h"
#include "imapd/search/search_return.h"

enum {
    MESSAGES_A_SLICE = 1000, /* of flags and the like */
    FLUSH_OCTETS = 32768,
};

struct fetch_work {
    struct sequence_set set;
    struct view_walk walk;
    struct fetch_item *items;
    uint64_t changed_since; /* messages with a lower MODSEQ, or the same, are left out */
    bool wants_changed;     /* CHANGEDSINCE */
    bool wants_vanished;
    bool is_partial; /* PARTIAL: only some of the set's messages */
    bool sets_seen;
    bool opens_files;
    bool wants_uid_alone;
    bool missed;               /* some messages were removed */
    bool undecodable;          /* some have parts in an unknown encoding */
    struct sequence_set known; /* of VANISHED: where "*" is the last UID that there ever was */
    struct partial_range partial;
    size_t walked; /* messages of the set passed so far */
    size_t first;  /* index in the set of the first one wanted */
    size_t end;    /* index in the set after the last one wanted */
    struct fetch_values values;

    /* The message that is being answered. */
    size_t index;
    const struct fetch_item *item; /* the next to write; NULL: none is being answered */
    uint64_t position;             /* in its value */
    bool preparing;
    bool labelled;
    bool adds_flags; /* \Seen was set, and FLAGS not asked for */
};

static void give_back(struct session *session)
{
    struct fetch_work *work = session->work;
    fetch_values_clear(&work->values);
}

static bool asks_for(const struct fetch_item *items, enum fetch_kind kind)
{
    for (; items; items = items->next) {
        if (items->kind == kind)
            return true;
    }
    return false;
}

/* ---- one message ---- */

/* "implicitly sets the \Seen flag"; "and if the flags have changed, they are included as part of
 * the FETCH responses" (RFC 3501 6.4.5). A flag that cannot be set now does not keep the mail back.
 */
static void set_seen(struct session *session, struct fetch_work *work,
                     const struct message *message)
{
    static const struct message_change seen = {.flags_on = MAILDIR_SEEN};
    struct view *view = &session->view;
    struct error error;
    work->adds_flags = false;
    if (!work->sets_seen || view->read_only || (message->flags & MAILDIR_SEEN)
        || (view->fixed & VIEW_FIXED_SEEN))
        return;
    if (folder_change(view->folder, message->uid, &seen, view, &error))
        work->adds_flags = !asks_for(work->items, FETCH_FLAGS);
    else
        LOG(session->mailbox->log, LOG_WARNING, "seen_not_set", log_hex("session", session->number),
            log_failure(&error));
}

/* Until all is there that can fail: then the answer may begin. */
static enum source_result prepare_message(struct session *session, struct fetch_work *work,
                                          struct error *error)
{
    const struct message *message = view_message(&session->view, work->index);
    if (!message && work->wants_uid_alone)
        return SOURCE_DONE; /* the number stays its own until EXPUNGE was told */
    if (!message) {
        error_set(error, ERROR_NOT_FOUND, "message is gone");
        return SOURCE_FAILED;
    }
    if (!work->preparing)
        fetch_values_turn_to(&work->values, message->uid);
    work->preparing = true;
    if (!work->opens_files)
        return SOURCE_DONE;
    return fetch_values_prepare(&work->values, error);
}

static void begin_message(struct session *session, struct fetch_work *work)
{
    const struct message *message = view_message(&session->view, work->index);
    if (message)
        set_seen(session, work, message);
    view_begin_fetch(&session->view, work->index, &session->writer);
    work->preparing = false;
    work->item = work->items;
    work->labelled = false;
    work->position = 0;
}

static enum source_result write_item(struct session *session, struct fetch_work *work,
                                     struct error *error)
{
    struct buffer *text = &session->writer.text;
    const struct fetch_item *item = work->item;
    if (!work->labelled) {
        buffer_append(text, item->label);
        buffer_append_octet(text, ' ');
        work->labelled = true;
    }
    const struct message *message = view_message(&session->view, work->index);
    if (item->kind == FETCH_UID) {
        buffer_append_number(text, session->view.slots[work->index].uid);
        return SOURCE_DONE;
    }
    if (item->kind != FETCH_FLAGS && item->kind != FETCH_MODSEQ)
        return fetch_value_write(&work->values, item, &work->position, &session->writer, error);
    if (!message)
        buffer_append_string(text, item->kind == FETCH_FLAGS ? "()" : "(1)");
    else if (item->kind == FETCH_FLAGS)
        view_append_flags(&session->view, work->index, message, text);
    else
        view_append_modseq(message, text);
    return SOURCE_DONE;
}

static void end_message(struct session *session, struct fetch_work *work)
{
    struct buffer *text = &session->writer.text;
    const struct message *message = view_message(&session->view, work->index);
    if (work->adds_flags && message) {
        buffer_append(text, SLICE(" FLAGS "));
        view_append_flags(&session->view, work->index, message, text);
        if ((session->view.manner & VIEW_TELLS_MODSEQ) && !asks_for(work->items, FETCH_MODSEQ)) {
            buffer_append(text, SLICE(" MODSEQ "));
            view_append_modseq(message, text);
        }
    }
    buffer_append(text, SLICE(")\r\n"));
}

/* Hands on what has gathered. True: the stream wants no more, or the turn is over. */
static bool must_pause(struct session *session, const struct fetch_work *work)
{
    if (session->writer.text.len >= FLUSH_OCTETS) {
        writer_flush(&session->writer);
        if (stream_output_full(&session->stream))
            return true;
    }
    return work->values.source.depth >= SOURCE_OPEN && session_turn_is_over(session);
}

/* A client may ask for thousands of items, each of which reads a long header. */
static enum source_result write_items(struct session *session, struct fetch_work *work,
                                      struct error *error)
{
    while (work->item) {
        enum source_result result = write_item(session, work, error);
        if (result != SOURCE_DONE)
            return result;
        work->labelled = false;
        work->position = 0;
        work->item = work->item->next;
        if (!work->item)
            break;
        buffer_append_octet(&session->writer.text, ' ');
        if (must_pause(session, work))
            return SOURCE_MORE;
    }
    end_message(session, work);
    return SOURCE_DONE;
}

/* ---- all of them ---- */

static void finish(struct session *session, const struct fetch_work *work)
{
    if (work->undecodable) /* RFC 3516 4.3 */
        session_no(session, SLICE("UNKNOWN-CTE"), "A part's encoding is not known here");
    else if (work->missed
             && !session->by_uid) /* a UID that is no more is ignored, RFC 3501 6.4.8 */
        session_no(session, SLICE("EXPUNGEISSUED"), "Some of the messages have been deleted");
    else
        session_ok(session, SLICE(""), "Fetched");
}

/* An answer that was begun and cannot be ended leaves the client with half of it: all there is to
 * do is to end the connection. */
static void break_off(struct session *session, const struct error *error)
{
    LOG(session->mailbox->log, LOG_ERROR, "fetch_broke_off", log_hex("session", session->number),
        log_failure(error));
    stream_fail(&session->stream, error);
}

/* The message could not be read: it is gone, or the command fails. True: on to the next. */
static bool skip_message(struct session *session, struct fetch_work *work,
                         const struct error *error)
{
    work->preparing = false;
    if (error->kind == ERROR_PERMANENT) {
        work->undecodable = true;
        return true;
    }
    if (error->kind != ERROR_NOT_FOUND) {
        session_failed(session, error, "A message could not be read");
        return false;
    }
    work->missed = true;
    return true;
}

/* Has it changed since the client was here last? One that is gone is for the others to miss. */
static bool is_meant(const struct session *session, const struct fetch_work *work)
{
    const struct message *message = view_message(&session->view, work->index);
    return !work->wants_changed || (message && message->modseq > work->changed_since);
}

/* The next of those that PARTIAL leaves, if any. */
static bool walk_on(const struct session *session, struct fetch_work *work)
{
    while (view_walk_next(&session->view, &work->walk, &work->index)) {
        size_t at = work->walked++;
        if (!work->is_partial || (at >= work->first && at < work->end))
            return true;
        if (at >= work->end)
            return false;
    }
    return false;
}

/* False: the command is over, or must wait. */
static bool fetch_next(struct session *session, struct fetch_work *work)
{
    struct error error;
    if (!work->item && !work->preparing && !walk_on(session, work)) {
        finish(session, work);
        return false;
    }
    if (!work->item && !work->preparing && !is_meant(session, work))
        return true;
    if (!work->item) {
        enum source_result prepared = prepare_message(session, work, &error);
        if (prepared == SOURCE_MORE)
            return false;
        if (prepared == SOURCE_FAILED)
            return skip_message(session, work, &error);
        begin_message(session, work);
    }
    enum source_result result = write_items(session, work, &error);
    if (result == SOURCE_FAILED)
        break_off(session, &error);
    return result == SOURCE_DONE;
}

static void fetch_step(struct session *session)
{
    struct fetch_work *work = session->work;
    int left = MESSAGES_A_SLICE;
    while (left-- > 0 && fetch_next(session, work) && !must_pause(session, work))
        ;
}

static bool add_item(struct session *session, struct fetch_work *work, enum fetch_kind kind,
                     struct slice label)
{
    if (asks_for(work->items, kind))
        return true;
    struct fetch_item *item = session_alloc(session, sizeof(*item));
    if (!item)
        return false;
    *item = (struct fetch_item){.next = work->items, .kind = kind, .label = label};
    work->items = item;
    return true;
}

/* "UID FETCH ... implicitly includes the UID" (RFC 3501 6.4.8), and CHANGEDSINCE the MODSEQ (RFC
 * 7162 3.1.4.1). */
static bool add_implied(struct session *session, struct fetch_work *work)
{
    bool wants_uid = session->by_uid && !(session->view.manner & VIEW_UID_ONLY); /* RFC 9586 3.3 */
    return (!work->wants_changed || add_item(session, work, FETCH_MODSEQ, SLICE("MODSEQ")))
           && (!wants_uid || add_item(session, work, FETCH_UID, SLICE("UID")));
}

static void examine_items(struct fetch_work *work)
{
    work->wants_uid_alone = work->items->kind == FETCH_UID && !work->items->next;
    for (const struct fetch_item *item = work->items; item; item = item->next) {
        work->sets_seen = work->sets_seen || item->sets_seen;
        work->opens_files =
            work->opens_files
            || (item->kind != FETCH_FLAGS && item->kind != FETCH_UID && item->kind != FETCH_MODSEQ);
    }
}

/* "PARTIAL" SP partial-range    RFC 9394 4, modifier-partial: of UID FETCH */
static bool parse_partial(const struct session *session, struct imap_parser *arguments,
                          struct fetch_work *work)
{
    if (work->is_partial || !session->by_uid)
        return imap_parser_fail(arguments, "PARTIAL once, and only in a UID FETCH,");
    work->is_partial = true;
    return imap_parse_space(arguments) && partial_range_parse(arguments, &work->partial);
}

/* "CHANGEDSINCE" SP mod-sequence-value / "VANISHED" / modifier-partial    RFC 7162 7,
 * chgsince-fetch-mod, rexpunges-fetch-mod */
static bool parse_modifier(const struct session *session, struct imap_parser *arguments,
                           struct fetch_work *work)
{
    if (imap_skip_word(arguments, SLICE("PARTIAL")))
        return parse_partial(session, arguments, work);
    if (imap_skip_word(arguments, SLICE("VANISHED"))) {
        work->wants_vanished = true;
        return true;
    }
    if (!imap_skip_word(arguments, SLICE("CHANGEDSINCE")))
        return imap_parser_fail(arguments, "CHANGEDSINCE");
    work->wants_changed = true;
    return imap_parse_space(arguments) && imap_parse_modseq(arguments, &work->changed_since);
}

/* "VANISHED UID FETCH modifier MUST only be specified together with the CHANGEDSINCE UID FETCH
 * modifier", and after ENABLE QRESYNC (RFC 7162 3.2.6). */
static bool may_want_vanished(const struct session *session, const struct fetch_work *work)
{
    return session->by_uid && work->wants_changed && (session->view.manner & VIEW_TELLS_VANISHED);
}

/* [SP "(" fetch-modifier *(SP fetch-modifier) ")"]    RFC 4466 2.4 */
static bool parse_modifiers(struct session *session, struct imap_parser *arguments,
                            struct fetch_work *work)
{
    if (imap_parser_at_end(arguments))
        return true;
    if (!imap_parse_space(arguments) || !imap_parse_octet(arguments, '(', "\"(\""))
        return false;
    do {
        if (!parse_modifier(session, arguments, work))
            return false;
    } while (imap_skip_octet(arguments, ' '));
    if (!imap_parse_octet(arguments, ')', "\")\""))
        return false;
    if (!work->wants_vanished)
        return true;
    if (may_want_vanished(session, work))
        return sequence_set_copy(&work->set, &session->arena, &work->known)
               || imap_parser_exhaust(arguments);
    return imap_parser_fail(arguments, "VANISHED only in a UID FETCH with CHANGEDSINCE, and after "
                                       "ENABLE QRESYNC,");
}

/* fetch = "FETCH" SP sequence-set SP ("ALL" / "FULL" / "FAST" / fetch-att / ...)
 *         [fetch-modifiers] */
static bool parse(struct session *session, struct imap_parser *arguments, struct fetch_work *work)
{
    return imap_parse_space(arguments) && imap_parse_sequence_set(arguments, &work->set)
           && imap_parse_space(arguments) && fetch_items_parse(arguments, &work->items)
           && parse_modifiers(session, arguments, work) && imap_parse_end(arguments)
           && session_resolve(session, arguments, &work->set);
}

/* False: the command was ended. */
static bool tell_vanished(struct session *session, struct fetch_work *work)
{
    struct error error;
    if (!work->wants_vanished)
        return true;
    sequence_set_resolve(&work->known, session->view.folder->uid_next - 1);
    if (resync_write_vanished(&session->view, &work->known, work->changed_since, &session->arena,
                              &session->writer, &error))
        return true;
    session_failed(session, &error, "Out of memory, try again later");
    return false;
}

/* How many messages the set names decides which of them a range means. */
static void resolve_partial(const struct session *session, struct fetch_work *work)
{
    if (work->is_partial)
        partial_range_resolve(&work->partial, view_walk_count(&session->view, work->walk),
                              &work->first, &work->end);
}

void command_fetch(struct session *session, struct imap_parser *arguments)
{
    struct fetch_work *work = session_alloc(session, sizeof(*work));
    if (!work)
        return;
    if (!parse(session, arguments, work)) {
        session_bad_arguments(session, arguments);
        return;
    }
    if (work->wants_changed || asks_for(work->items, FETCH_MODSEQ))
        session_enable(session, VIEW_TELLS_MODSEQ);
    if (!add_implied(session, work) || !tell_vanished(session, work))
        return;
    examine_items(work);
    fetch_values_init(&work->values, session->view.folder, work->items);
    if (!work->is_partial)
        session_keep_to_limit(session, &work->set);
    work->walk = view_walk_begin(&work->set, session->by_uid);
    resolve_partial(session, work);
    session->work = work;
    session->on_end = give_back;
    if (work->end - work->first > session->limit)
        session_over_limit(session, "Too many messages for one FETCH, ask for a smaller part");
    else
        session_continue(session, fetch_step);
}
