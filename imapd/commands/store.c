/* STORE and UID STORE (RFC 3501 6.4.6, 6.4.8), also conditional (RFC 7162 3.1.3). */
#include "imapd/commands/commands.h"
#include "imapd/shared/rights.h"

enum {
    CHANGED_A_SLICE = 200, /* renames of 13 µs */
    CODE_OCTETS = 1 << 22,
};

enum store_action { STORE_REPLACE, STORE_ADD, STORE_REMOVE };

struct store_work {
    struct sequence_set set;
    struct view_walk walk;
    struct message_change change;
    bool silent;
    bool conditional;
    uint64_t unchanged_since;     /* messages with a higher MODSEQ are not changed */
    struct sequence_set modified; /* those */
    bool missed;                  /* some messages are gone */
    size_t done;
    size_t count; /* of messages that the set names */
};

static const uint32_t settable = MAILDIR_ANSWERED | MAILDIR_FLAGGED | MAILDIR_TRASHED | MAILDIR_SEEN
                                 | MAILDIR_DRAFT | MAILDIR_PASSED;

/* ["+" / "-"] "FLAGS" [".SILENT"] */
static bool parse_action(struct imap_parser *arguments, enum store_action *action, bool *silent)
{
    *action = STORE_REPLACE;
    if (imap_skip_octet(arguments, '+'))
        *action = STORE_ADD;
    else if (imap_skip_octet(arguments, '-'))
        *action = STORE_REMOVE;
    *silent = imap_skip_word(arguments, SLICE("FLAGS.SILENT"));
    return *silent || imap_skip_word(arguments, SLICE("FLAGS"))
           || imap_parser_fail(arguments, "FLAGS, +FLAGS or -FLAGS, with or without .SILENT");
}

static void make_change(enum store_action action, uint32_t flags, uint32_t letters,
                        struct message_change *change)
{
    *change = (struct message_change){.flags_off = 0};
    if (action == STORE_REPLACE) {
        change->flags_off = settable;
        change->letters_off = UINT32_MAX;
    }
    if (action == STORE_REMOVE) {
        change->flags_off = flags;
        change->letters_off = letters;
    } else {
        change->flags_on = flags;
        change->letters_on = letters;
    }
}

/* RFC 4314 4: flags that the client has no right to change are left out. False: none remain, and
 * the command was ended. */
static bool keep_to_rights(struct session *session, struct message_change *change)
{
    unsigned rights = rights_to_selected(session);
    uint32_t flags = rights_changeable_flags(rights);
    change->flags_on &= flags;
    change->flags_off &= flags;
    if (!(rights & ACL_WRITE))
        change->letters_on = change->letters_off = 0;
    if (change->flags_on || change->flags_off || change->letters_on || change->letters_off)
        return true;
    session_no(session, SLICE("NOPERM"), "You have no right to change these flags");
    return false;
}

/* A keyword that cannot be stored is left out, as PERMANENTFLAGS without \* announced; an unknown
 * one need not be created to be removed. */
static bool find_letters(struct session *session, const struct imap_flags *flags,
                         enum store_action action, uint32_t *letters, struct error *error)
{
    struct folder *folder = session->view.folder;
    *letters = 0;
    if (session->visitor && !(rights_to_selected(session) & ACL_WRITE))
        return true; /* nor are new ones made for him */
    for (size_t i = 0; i < flags->keyword_count; i++) {
        unsigned letter;
        bool found = action == STORE_REMOVE
                         ? folder_record_find_keyword(&folder->record, flags->keywords[i], &letter)
                         : folder_keyword(folder, flags->keywords[i], &letter, error);
        if (found)
            *letters |= (uint32_t)1 << letter;
        else if (action != STORE_REMOVE && error->kind != ERROR_PERMANENT)
            return false;
    }
    return true;
}

/* A nonexistent UID is ignored (RFC 3501 6.4.8). With .SILENT existing messages get no response, so
 * a removed one misses none: "the server SHOULD return a tagged OK" (RFC
 * 2180 4.2.1). */
static void finish(struct session *session, const struct store_work *work)
{
    struct buffer code = BUFFER_WITH_LIMIT(CODE_OCTETS);
    bool missed = work->missed && !session->by_uid;
    if (work->modified.count > 0) {
        buffer_append(&code, SLICE("MODIFIED "));
        sequence_set_format(&work->modified, &code);
    } else if (missed) {
        buffer_append(&code, SLICE("EXPUNGEISSUED"));
    }
    if (code.failed || work->modified.full)
        session_no(session, SLICE("LIMIT"),
                   "Not all was stored, and what was not is too long a list");
    else if (missed && !work->silent)
        session_no(session, buffer_slice(&code), "Some of the messages have been deleted");
    else
        session_ok(session, buffer_slice(&code), "Stored");
    buffer_clear(&code);
}

/* False: another client was faster. A message that is gone is for folder_change() to miss. */
static bool is_meant(struct session *session, struct store_work *work, size_t index)
{
    const struct view *view = &session->view;
    const struct message *message = view_message(view, index);
    if (!work->conditional || !message || message->modseq <= work->unchanged_since)
        return true;
    sequence_set_add(&work->modified, session->by_uid ? message->uid : (uint32_t)index + 1);
    return false;
}

/* "An untagged FETCH response MUST be sent, even if the .SILENT suffix is specified, and the
 * response MUST include the MODSEQ message data item." */
static void tell(struct session *session, const struct store_work *work, size_t index)
{
    struct view *view = &session->view;
    if (!work->silent)
        view_write_flags(view, index, session->by_uid, &session->writer);
    else if (view->manner & VIEW_TELLS_MODSEQ)
        view_write_modseq(view, index, session->by_uid, &session->writer);
}

static void store_step(struct session *session)
{
    struct store_work *work = session->work;
    struct view *view = &session->view;
    struct error error;
    size_t index;
    session_tell_progress(session, work->done, work->count);
    for (int i = 0; i < CHANGED_A_SLICE; i++, work->done++) {
        if (!view_walk_next(view, &work->walk, &index)) {
            finish(session, work);
            return;
        }
        if (!is_meant(session, work, index))
            continue;
        bool changed =
            folder_change(view->folder, view->slots[index].uid, &work->change, view, &error);
        if (!changed && error.kind != ERROR_NOT_FOUND) {
            session_failed(session, &error, "The flags could not be stored");
            return;
        }
        work->missed = work->missed || !changed;
        if (changed)
            tell(session, work, index);
    }
}

/* [SP "(" "UNCHANGEDSINCE" SP mod-sequence-valzer ")"]    RFC 7162 7, store-modifier */
static bool parse_modifier(struct imap_parser *arguments, struct store_work *work)
{
    if (!imap_skip_octet(arguments, '('))
        return true;
    work->conditional = imap_skip_word(arguments, SLICE("UNCHANGEDSINCE"));
    if (!work->conditional)
        return imap_parser_fail(arguments, "UNCHANGEDSINCE");
    return imap_parse_space(arguments) && imap_parse_modseq(arguments, &work->unchanged_since)
           && imap_parse_octet(arguments, ')', "\")\"") && imap_parse_space(arguments);
}

static bool parse(struct session *session, struct imap_parser *arguments, struct store_work *work,
                  struct imap_flags *flags, enum store_action *action)
{
    return imap_parse_space(arguments) && imap_parse_sequence_set(arguments, &work->set)
           && imap_parse_space(arguments) && parse_modifier(arguments, work)
           && parse_action(arguments, action, &work->silent) && imap_parse_space(arguments)
           && imap_parse_store_flags(arguments, flags) && imap_parse_end(arguments)
           && session_resolve(session, arguments, &work->set);
}

void command_store(struct session *session, struct imap_parser *arguments)
{
    struct imap_flags flags;
    enum store_action action;
    uint32_t letters;
    struct error error;
    const struct view *view = &session->view;
    struct store_work *work = session_alloc(session, sizeof(*work));
    if (!work)
        return;
    if (!parse(session, arguments, work, &flags, &action)) {
        session_bad_arguments(session, arguments);
    } else if (view->read_only) {
        session_no(session, SLICE("READ-ONLY"), "The mailbox was examined, not selected");
    } else if (!find_letters(session, &flags, action, &letters, &error)) {
        session_failed(session, &error, "The keyword could not be stored");
    } else {
        if (work->conditional)
            session_enable(session, VIEW_TELLS_MODSEQ);
        sequence_set_init(&work->modified, &session->arena);
        make_change(action, flags.flags, letters, &work->change);
        if (session->visitor && !keep_to_rights(session, &work->change))
            return;
        session_keep_to_limit(session, &work->set);
        work->walk = view_walk_begin(&work->set, session->by_uid);
        work->count = view_walk_count(view, work->walk);
        session->work = work;
        session_continue(session, store_step);
    }
}
