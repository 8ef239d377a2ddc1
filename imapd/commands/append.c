/* APPEND (RFC 3501 6.3.11, with APPENDUID of RFC 4315 3) of one message or several (RFC 3502), as
 * literal8 (RFC 3516 4.4), in UTF-8 (RFC 6855 4), assembled from pieces (RFC 4469); and REPLACE
 * (RFC 8508), which also removes a message. Errors are answered before a message is received, if
 * possible. CATENATE into another account's mailbox is handled here too; any other APPEND there
 * goes through imapd/shared/forward.c. */
#include "common/config/config.h"
#include "imapd/commands/commands.h"
#include "imapd/folder/catenate.h"
#include "imapd/folder/intake.h"
#include "imapd/folder/sent_twin.h"
#include "imapd/mailbox.h"
#include "imapd/shared/rights.h"
#include "imapd/shared/shared_names.h"
#include "imapd/shared/upload.h"
#include "imapd/syntax/folder_argument.h"

struct append_work {
    struct intake intake;
    bool replaces;
    unsigned rights;       /* to the folder, enum acl_right */
    uint32_t replaced_uid; /* of the selected folder */
    uint64_t replaced_octets;
    struct sent_search twin; /* that the submission has filed */
    bool used_twin;
    struct slice elsewhere; /* another account's mailbox, by its name: what is put together is for
                               that; or empty */
    struct upload upload;

    /* CATENATE, RFC 4469: */
    bool catenating;    /* pieces of the last message are still to come */
    bool in_utf8;       /* the piece before is UTF8 (...) */
    bool at_literal;    /* `rest` ends in one that is announced */
    bool before_text;   /* and is a piece; else the message is whole before it */
    uint64_t announced; /* the octets of that piece, perhaps none */
    struct slice *urls; /* pieces that are copied first */
    size_t url_count;
    size_t urls_copied;
    struct catenate catenate;
    struct imap_parser rest; /* after them */
};

enum { URLS_MAX = 1000 }; /* between two literals */

static void give_back(struct session *session)
{
    struct append_work *work = session->work;
    catenate_clear(&work->catenate);
    upload_end(&work->upload);
    sent_search_end(&work->twin);
    intake_end(&work->intake);
}

/* ---- before the messages ---- */

/* Of the selected folder, by number or UID. False: bad syntax. */
static bool parse_replaced(struct session *session, struct imap_parser *arguments,
                           struct append_work *work)
{
    const struct view *view = &session->view;
    uint32_t number;
    if (!imap_parse_space(arguments) || !imap_parse_nz_number(arguments, &number))
        return false;
    if (!session->by_uid && number > view->count)
        return imap_parser_fail(arguments, "the number of a message that there is");
    work->replaced_uid = session->by_uid ? number : view->slots[number - 1].uid;
    return true;
}

/* append = "APPEND" SP mailbox 1*append-message
 * replace = "REPLACE" SP seq-number SP mailbox append-message, both up to the first literal */
static bool parse(struct session *session, struct imap_parser *arguments, struct append_work *work,
                  struct folder_argument *folder, struct intake_message *message)
{
    return (!work->replaces || parse_replaced(session, arguments, work))
           && imap_parse_space(arguments) && folder_argument_parse(arguments, folder)
           && intake_parse(arguments, message);
}

/* RFC 8508 4: the rights to remove it are needed, too. */
static bool may_replace(struct session *session)
{
    return rights_suffice(session, session->view.folder->directory,
                          ACL_DELETE_MESSAGE | ACL_EXPUNGE);
}

/* False: the command was ended. */
static bool find_replaced(struct session *session, struct append_work *work)
{
    const struct folder *folder = session->view.folder;
    const struct message *message = folder_find(folder, work->replaced_uid);
    if (!message)
        session_no(session, SLICE("NONEXISTENT"), "There is no such message");
    else if (session->view.read_only)
        session_no(session, SLICE("READ-ONLY"), "The mailbox was examined, not selected");
    else
        work->replaced_octets = quota_octets_of(&folder->box, MAILDIR_CUR, message->name);
    return message && !session->view.read_only;
}

/* False: the command was ended. */
static bool open_folder(struct session *session, struct append_work *work, const char *directory)
{
    struct error error;
    if (folder_open(session->mailbox, directory, &work->intake.folder, &error))
        return true;
    if (error.kind == ERROR_NOT_FOUND)
        session_no(session, SLICE("TRYCREATE"), "There is no such mailbox");
    else
        session_failed(session, &error, "The mailbox cannot be opened now");
    return false;
}

/* What is replaced makes room for what replaces it: RFC 8508 3.1 wants no quota between them. */
static bool has_room(struct session *session, const struct append_work *work, uint64_t octets,
                     uint32_t count, struct error *error)
{
    if (work->elsewhere.len > 0)
        return true; /* it is not our room */
    if (!work->replaces)
        return mailbox_has_room(session->mailbox, octets, count, error);
    return octets <= work->replaced_octets
           || mailbox_has_room(session->mailbox, octets - work->replaced_octets, 0, error);
}

/* No quota bounds what lies here until another account's mailbox has it. */
static bool is_too_much_elsewhere(const struct session *session, const struct append_work *work)
{
    return work->elsewhere.len > 0
           && work->intake.octets > session->mailbox->config->limits.message_size_octets;
}

static void catenate(struct session *session, struct imap_parser *arguments, bool at_literal);

/* RFC 4314 4: flags that the client may not set are left out. */
static void keep_to_rights(const struct append_work *work, struct intake_message *message)
{
    message->flags.flags &= rights_changeable_flags(work->rights);
    if (!(work->rights & ACL_WRITE))
        message->flags.keyword_count = 0;
}

static void begin(struct session *session, struct append_work *work, struct intake_message *message,
                  struct imap_parser *arguments, bool at_literal)
{
    const struct intake *intake = &work->intake;
    struct error error;
    keep_to_rights(work, message);
    if (message->octets == 0
        && !message->is_catenated) /* RFC 3502 6.3.11: so a client gives up what it has begun */
        session_no(session, SLICE("CANNOT"), "A message is not empty");
    else if (intake->count >= session->limit)
        session_over_limit(session, "Too many messages for one APPEND");
    else if (message->is_catenated && session->visitor) /* a URL names any mailbox of the owner's */
        session_no(session, SLICE("NOPERM"), "Not in a mailbox of another account");
    else if (message->octets > session->mailbox->config->limits.message_size_octets)
        session_no(session, SLICE("TOOBIG"), "The message is larger than limits.message-size");
    else if (!has_room(session, work, intake->octets + message->octets, intake->count + 1, &error))
        session_failed(session, &error, "The mailbox is full");
    else if (!intake_begin(&work->intake, message, &session->arena, &error))
        session_failed(session, &error, "The message cannot be stored now");
    else if (message->is_catenated)
        catenate(session, arguments, at_literal);
    else
        session_stream_literal(session);
}

static struct intake_message *new_message(struct session *session)
{
    struct intake_message *message = session_alloc(session, sizeof(*message));
    if (message)
        message->append = MAILDIR_APPEND_NONE;
    return message;
}

/* Another message after the last one. */
static void begin_next(struct session *session, struct imap_parser *arguments, bool at_literal)
{
    struct append_work *work = session->work;
    struct intake_message *message = new_message(session);
    if (!message)
        return;
    if (work->replaces)
        session_bad(session, "Expected one message, not several");
    else if (!intake_parse_behind(arguments, &work->intake) || !intake_parse(arguments, message))
        session_bad_arguments(session, arguments);
    else
        begin(session, work, message, arguments, at_literal);
}

/* Its name is kept; what comes lies at home, in the INBOX's tmp/. False: the command was ended. */
static bool open_elsewhere(struct session *session, struct append_work *work, struct slice name)
{
    work->elsewhere = arena_copy(&session->arena, name);
    work->rights = ACL_ALL;
    if (!work->elsewhere.ptr)
        session_no(session, SLICE("LIMIT"), "The arguments need too much memory");
    else if (slice_equal(shared_names_owner(session, name),
                         slice_of_string(session->mailbox->account)))
        session_no(session, SLICE("NONEXISTENT"), "Only mailboxes of others are there");
    else
        return open_folder(session, work, MAILDIR_INBOX);
    return false;
}

/* The mailbox may come as a literal, too. */
static bool is_name(struct imap_parser arguments, bool replaces)
{
    uint64_t octets;
    uint32_t number;
    if (replaces && (!imap_parse_space(&arguments) || !imap_parse_nz_number(&arguments, &number)))
        return false;
    return imap_parse_space(&arguments) && imap_parse_announcement(&arguments, &octets);
}

static void begin_first(struct session *session, struct imap_parser *arguments, bool replaces,
                        bool at_literal)
{
    struct folder_argument folder;
    struct append_work *work = session_alloc(session, sizeof(*work));
    struct intake_message *message = work ? new_message(session) : NULL;
    if (!message)
        return;
    work->replaces = replaces;
    session->work = work;
    session->on_end = give_back;
    bool parsed = parse(session, arguments, work, &folder, message);
    bool is_elsewhere = parsed && folder.is_shared && message->is_catenated && !replaces;
    if (!parsed)
        session_bad_arguments(session, arguments);
    else if (is_elsewhere && open_elsewhere(session, work, folder.name))
        begin(session, work, message, arguments, at_literal);
    else if (is_elsewhere)
        return; /* it was ended */
    else if (folder.problem)
        session_no(session, SLICE("CANNOT"), folder.problem);
    else if (folder.is_expunged)
        session_no(session, SLICE("CANNOT"), FOLDER_ARGUMENT_EXPUNGED);
    else if (rights_suffice_some(session, folder.directory, ACL_INSERT, &work->rights)
             && (!replaces || may_replace(session)) && (!replaces || find_replaced(session, work))
             && open_folder(session, work, folder.directory))
        begin(session, work, message, arguments, at_literal);
}

/* ---- CATENATE ---- */

/* TEXT SP literal, "UTF8" SP "(" literal8 ")", up to the octets. */
static bool parse_text(struct imap_parser *arguments, struct append_work *work)
{
    work->in_utf8 = arguments->utf8 && imap_skip_word(arguments, SLICE("UTF8"));
    if (!work->in_utf8 && !imap_skip_word(arguments, SLICE("TEXT")))
        return imap_parser_fail(arguments, "URL or TEXT");
    if (!imap_parse_space(arguments)
        || (work->in_utf8
            && (!imap_parse_octet(arguments, '(', "\"(\"")
                || !imap_parse_octet(arguments, '~', "a literal8"))))
        return false;
    work->before_text = imap_parse_announcement(arguments, &work->announced);
    return work->before_text;
}

/* Of the pieces up to the literal or to the end of the list.
 * cat-part = "URL" SP astring / "TEXT" SP literal / "UTF8" SP "(" literal8 ")" */
static bool parse_piece(struct imap_parser *arguments, struct append_work *work)
{
    if (imap_skip_word(arguments, SLICE("URL"))) {
        struct slice *url = &work->urls[work->url_count];
        if (work->url_count == URLS_MAX)
            return imap_parser_exhaust(arguments);
        if (!imap_parse_space(arguments) || !imap_parse_astring(arguments, url))
            return false;
        *url = arena_copy(arguments->arena, *url);
        work->url_count++;
        return url->ptr || imap_parser_exhaust(arguments);
    }
    return parse_text(arguments, work);
}

/* *(SP cat-part) ")", with no space before the first of all */
static bool parse_pieces(struct imap_parser *arguments, struct append_work *work)
{
    bool first = !work->catenating;
    work->url_count = work->urls_copied = 0;
    work->before_text = false;
    work->announced = 0;
    if (work->in_utf8 && !imap_parse_octet(arguments, ')', "\")\""))
        return false;
    work->in_utf8 = false;
    work->catenating = true;
    while (first || !imap_skip_octet(arguments, ')')) {
        if ((!first && !imap_parse_space(arguments)) || !parse_piece(arguments, work))
            return false;
        first = false;
        if (work->before_text || imap_parser_at_end(arguments))
            return work->before_text || imap_parser_fail(arguments, "\")\"");
    }
    work->catenating = false;
    return true;
}

/* What could not be copied, or the message's own fault. */
static void refuse_piece(struct session *session, const struct append_work *work,
                         const struct error *error)
{
    enum { LONGEST = 500 };
    struct slice code = SLICE("");
    const char *problem = intake_problem(&work->intake, &code);
    if (problem) {
        session_no(session, code, problem);
    } else if (error->kind == ERROR_NOT_FOUND) {
        struct buffer text = BUFFER_WITH_LIMIT(LONGEST + 100);
        struct slice url = slice_range(work->urls[work->urls_copied], 0, LONGEST);
        buffer_append(&text, SLICE("BADURL "));
        for (size_t i = 0; i < url.len; i++) /* url-resp-text: no "]", and nothing that steers */
            buffer_append_octet(&text, url.ptr[i] < ' ' || url.ptr[i] == ']' || url.ptr[i] == 0x7f
                                           ? '?'
                                           : url.ptr[i]);
        session_no(session, buffer_slice(&text), "There is no such message or part");
        buffer_clear(&text);
    } else {
        session_failed(session, error, "The message cannot be stored now");
    }
}

static void finish(struct session *session, struct imap_parser *arguments);

/* All of its pieces are there; another message may follow. */
static void end_catenated(struct session *session, struct append_work *work)
{
    struct error error;
    if (work->intake.last->append.octets == 0)
        session_no(session, SLICE("CANNOT"), "A message is not empty");
    else if (!intake_finish(&work->intake, &error))
        session_failed(session, &error, "The message cannot be stored now");
    else if (is_too_much_elsewhere(session, work))
        session_no(session, SLICE("TOOBIG"), "Together they are larger than limits.message-size");
    else if (!has_room(session, work, work->intake.octets, work->intake.count, &error))
        session_failed(session, &error, "The mailbox is full");
    else if (imap_parser_at_end(&work->rest))
        finish(session, &work->rest);
    else
        begin_next(session, &work->rest, work->at_literal);
}

static void end_pieces(struct session *session, struct append_work *work)
{
    uint64_t octets = work->announced + work->intake.last->append.octets;
    session_continue(session, NULL);
    if (!work->before_text)
        end_catenated(session, work);
    else if (octets > session->mailbox->config->limits.message_size_octets)
        session_no(session, SLICE("TOOBIG"), "The message is larger than limits.message-size");
    else
        session_stream_literal(session);
}

/* A command that ends here still has a literal to come. */
static void copy_step(struct session *session)
{
    struct append_work *work = session->work;
    struct error error;
    bool at_literal = work->at_literal;
    enum source_result result = SOURCE_DONE;
    if (work->urls_copied < work->url_count)
        result = catenate_copy(&work->catenate, session, work->urls[work->urls_copied],
                               &work->intake, &error);
    if (result == SOURCE_FAILED)
        refuse_piece(session, work, &error);
    else if (result == SOURCE_DONE && work->urls_copied + 1 >= work->url_count)
        end_pieces(session, work);
    else if (result == SOURCE_DONE)
        work->urls_copied++;
    if (!session->command && at_literal && !command_refuse_literal(&session->reader))
        session_bye(session, "What follows is too long to be skipped");
}

static void catenate(struct session *session, struct imap_parser *arguments, bool at_literal)
{
    struct append_work *work = session->work;
    if (!work->urls)
        work->urls = session_alloc(session, URLS_MAX * sizeof(*work->urls));
    if (!work->urls)
        return;
    if (!parse_pieces(arguments, work)) {
        session_bad_arguments(session, arguments);
        return;
    }
    work->rest = *arguments;
    work->at_literal = at_literal;
    session_continue(session, copy_step);
}

/* A URL that comes as a literal is collected, not streamed: it is the end of what came so far. */
static bool ends_in_url(const struct session *session, const struct imap_parser *arguments)
{
    static const struct slice word = SLICE("CATENATE (");
    const struct append_work *work = session->work;
    struct slice text = cursor_rest(&arguments->in);
    bool inside = work && work->catenating;
    size_t brace = text.len;
    for (size_t i = 0; i < text.len; i++) {
        inside = inside || slice_starts_with_nocase(slice_from(text, i), word);
        if (text.ptr[i] == '{')
            brace = i;
    }
    if (!inside || brace < 5 || brace == text.len)
        return false;
    struct slice before = slice_range(text, brace - 5, brace);
    return (before.ptr[0] == ' ' || before.ptr[0] == '(')
           && slice_equal_nocase(slice_from(before, 1), SLICE("URL "));
}

/* ---- literals ---- */

static bool on_literal(struct session *session, struct imap_parser *arguments, bool replaces)
{
    const struct append_work *work = session->work;
    if (ends_in_url(session, arguments) || (!work && is_name(*arguments, replaces)))
        return false;
    if (!work)
        begin_first(session, arguments, replaces, true);
    else if (work->catenating)
        catenate(session, arguments, true);
    else
        begin_next(session, arguments, true);
    return true;
}

bool command_append_literal(struct session *session, struct imap_parser *arguments)
{
    return on_literal(session, arguments, false);
}

bool command_replace_literal(struct session *session, struct imap_parser *arguments)
{
    return on_literal(session, arguments, true);
}

/* ---- the messages ---- */

/* The message is such as cannot be stored, or it is our fault. */
static void refuse_octets(struct session *session, const struct error *error)
{
    const struct append_work *work = session->work;
    struct slice code;
    const char *problem = intake_problem(&work->intake, &code);
    if (problem)
        session_no(session, code, problem);
    else
        session_failed(session, error, "The message cannot be stored now");
}

/* "*CHAR8": any octet but NUL (RFC 3501 9, literal), save in a literal8. */
void command_append_octets(struct session *session, struct slice octets)
{
    struct append_work *work = session->work;
    struct error error;
    if (!work->intake.last->is_binary && slice_find_octet(octets, 0) < octets.len)
        session_bad(session, "A message cannot contain NUL");
    else if (!intake_write(&work->intake, octets, &error)
             || (!work->catenating && session->reader.literal.left == 0
                 && !intake_finish(&work->intake, &error)))
        refuse_octets(session, &error);
}

/* ---- after them ---- */

static void on_flushed(void *owner, const struct error *why)
{
    struct session *session = owner;
    if (why)
        session_failed(session, why, "The message cannot be stored now");
    session_resume(session);
}

/* The session waits until the messages are on disk, then `step` goes on. */
static void store(struct session *session, struct append_work *work, session_step *step)
{
    struct error error;
    if (work->intake.folder->deleted)
        session_no(session, SLICE("TRYCREATE"), "The mailbox was deleted meanwhile");
    else if (!intake_commit(&work->intake, &error)
             || !intake_flush(&work->intake, on_flushed, session, &error))
        session_failed(session, &error, "The message cannot be stored now");
    else
        session_wait(session, step);
}

/* The new message is there already, so that a kill leaves one of them at least. One that another
 * session has removed meanwhile is replaced all the same. */
static bool remove_replaced(struct session *session, const struct append_work *work,
                            struct error *error)
{
    struct folder *folder = session->view.folder;
    struct message *message = folder_find(folder, work->replaced_uid);
    return !message || folder_expunge(folder, message, error) || error->kind == ERROR_NOT_FOUND;
}

/* Removes the replacement again: RFC 8508 3.1 requires both or neither. */
static void undo(struct session *session, const struct append_work *work)
{
    struct error error;
    struct folder *folder = work->intake.folder;
    struct message *message = folder_find(folder, work->intake.first->uid);
    if (message && !work->used_twin && !folder_remove(folder, message, &error))
        LOG(session->mailbox->log, LOG_ERROR, "replace_not_undone", log_failure(&error));
}

static void finish_append(struct session *session)
{
    const struct append_work *work = session->work;
    char code[INTAKE_CODE_SIZE];
    intake_format_code(&work->intake, code);
    session_ok(session, slice_of_string(code), "Appended");
}

/* RFC 8508 3: APPENDUID in an untagged OK, before the EXPUNGE. */
static void finish_replace(struct session *session)
{
    const struct append_work *work = session->work;
    struct error error;
    char code[INTAKE_CODE_SIZE];
    if (!remove_replaced(session, work, &error)) {
        undo(session, work);
        session_failed(session, &error, "The message cannot be replaced now");
        return;
    }
    if (!folder_flush_removed(session->view.folder, &error)) {
        session_failed(session, &error, "The message is replaced, but may come back");
        return;
    }
    intake_format_code(&work->intake, code);
    writer_untagged(&session->writer, WRITER_OK, slice_of_string(code), "The replacement is there");
    session_ok(session, SLICE(""), "Replaced");
}

static session_step *finish_of(const struct append_work *work)
{
    return work->replaces ? finish_replace : finish_append;
}

/* A message that the client of the account files which it has just sent, and that the submission
 * has filed for it. Several at once are no such thing. */
static bool may_have_twin(const struct session *session, struct append_work *work)
{
    struct folder *folder = work->intake.folder;
    struct message_file file;
    struct error error;
    bool here = folder == session->view.folder; /* what is replaced is not what replaces it */
    return sent_twin_is_possible(folder) && !session->visitor && work->intake.count == 1
           && !folder->deleted && maildir_append_open(&work->intake.first->append, &file, &error)
           && sent_search_begin(&work->twin, folder, here ? work->replaced_uid : 0, &file);
}

static void twin_step(struct session *session)
{
    struct append_work *work = session->work;
    struct error error;
    uint32_t uid;
    if (sent_search_step(&work->twin, &uid) == SOURCE_MORE)
        return;
    sent_search_end(&work->twin);
    work->used_twin =
        uid != 0 && !work->intake.folder->deleted && intake_use(&work->intake, uid, &error);
    session_continue(session, NULL);
    if (work->used_twin)
        finish_of(work)(session);
    else
        store(session, work, finish_of(work));
}

static void upload_on(struct session *session)
{
    struct append_work *work = session->work;
    upload_step(&work->upload, upload_on);
}

/* Nothing but the end may follow the last message. */
static void finish(struct session *session, struct imap_parser *arguments)
{
    struct append_work *work = session->work;
    if (!intake_parse_behind(arguments, &work->intake) || !imap_parse_end(arguments))
        session_bad_arguments(session, arguments);
    else if (work->elsewhere.len > 0)
        upload_begin(&work->upload, session, &work->intake, work->elsewhere, upload_on);
    else if (may_have_twin(session, work))
        session_continue(session, twin_step);
    else
        store(session, work, finish_of(work));
}

/* The command is whole. Without a literal it is a CATENATE, or wrong. */
static void end(struct session *session, struct imap_parser *arguments, bool replaces)
{
    const struct append_work *work = session->work;
    if (!work)
        begin_first(session, arguments, replaces, false);
    else if (work->catenating)
        catenate(session, arguments, false);
    else
        finish(session, arguments);
}

void command_append(struct session *session, struct imap_parser *arguments)
{
    end(session, arguments, false);
}

void command_replace(struct session *session, struct imap_parser *arguments)
{
    end(session, arguments, true);
}
