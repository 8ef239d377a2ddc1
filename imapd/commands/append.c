/* APPEND (RFC 3501 6.3.11, with APPENDUID of RFC 4315 3) of one message or several (RFC 3502), as
 * literal8 (RFC 3516 4.4) and in UTF-8 (RFC 6855 4), and
 * REPLACE (RFC 8508), which removes a message with the same answer. What can be refused is refused
 * before a message comes. */
#include "common/config.h"
#include "imapd/commands/commands.h"
#include "imapd/folder_argument.h"
#include "imapd/intake.h"
#include "imapd/mailbox.h"

struct append_work {
    struct intake intake;
    bool replaces;
    uint32_t replaced_uid; /* of the selected folder */
    uint64_t replaced_octets;
};

static void give_back(struct session *session)
{
    struct append_work *work = session->work;
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
static bool has_room(struct session *session, const struct append_work *work,
                     const struct intake_message *message, struct error *error)
{
    const struct intake *intake = &work->intake;
    uint64_t octets = intake->octets + message->octets;
    if (!work->replaces)
        return mailbox_has_room(session->mailbox, octets, intake->count + 1, error);
    return octets <= work->replaced_octets
           || mailbox_has_room(session->mailbox, octets - work->replaced_octets, 0, error);
}

static void begin(struct session *session, struct append_work *work, struct intake_message *message)
{
    struct error error;
    if (message->octets == 0) /* RFC 3502 6.3.11: so a client gives up what it has begun */
        session_no(session, SLICE("CANNOT"), "A message is not empty");
    else if (message->octets > session->mailbox->config->limits.message_size_octets)
        session_no(session, SLICE("TOOBIG"), "The message is larger than limits.message-size");
    else if (!has_room(session, work, message, &error))
        session_failed(session, &error, "The mailbox is full");
    else if (!intake_begin(&work->intake, message, &session->arena, &error))
        session_failed(session, &error, "The message cannot be stored now");
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

/* Behind a message, one more. */
static void begin_next(struct session *session, struct imap_parser *arguments)
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
        begin(session, work, message);
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

static bool begin_first(struct session *session, struct imap_parser *arguments, bool replaces)
{
    struct folder_argument folder;
    if (is_name(*arguments, replaces))
        return false;
    struct append_work *work = session_alloc(session, sizeof(*work));
    struct intake_message *message = work ? new_message(session) : NULL;
    if (!message)
        return true;
    work->replaces = replaces;
    session->work = work;
    session->on_end = give_back;
    if (!parse(session, arguments, work, &folder, message))
        session_bad_arguments(session, arguments);
    else if (folder.problem)
        session_no(session, SLICE("CANNOT"), folder.problem);
    else if ((!replaces || find_replaced(session, work))
             && open_folder(session, work, folder.directory))
        begin(session, work, message);
    return true;
}

bool command_append_literal(struct session *session, struct imap_parser *arguments)
{
    if (!session->work)
        return begin_first(session, arguments, false);
    begin_next(session, arguments);
    return true;
}

bool command_replace_literal(struct session *session, struct imap_parser *arguments)
{
    if (!session->work)
        return begin_first(session, arguments, true);
    begin_next(session, arguments);
    return true;
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
             || (session->reader.literal.left == 0 && !intake_finish(&work->intake, &error)))
        refuse_octets(session, &error);
}

/* ---- behind them ---- */

static bool store(struct session *session, struct append_work *work)
{
    struct error error;
    if (work->intake.folder->deleted)
        session_no(session, SLICE("TRYCREATE"), "The mailbox was deleted meanwhile");
    else if (!intake_commit(&work->intake, &error))
        session_failed(session, &error, "The message cannot be stored now");
    else
        return true;
    return false;
}

/* The new message is there already, so that a kill leaves one of them at least. One that another
 * session has removed meanwhile is replaced all the same. */
static bool remove_replaced(struct session *session, const struct append_work *work,
                            struct error *error)
{
    struct folder *folder = session->view.folder;
    struct message *message = folder_find(folder, work->replaced_uid);
    return !message || folder_remove(folder, message, error) || error->kind == ERROR_NOT_FOUND;
}

/* The replacement goes again: RFC 8508 3.1 wants both or neither. */
static void undo(struct session *session, const struct append_work *work)
{
    struct error error;
    struct folder *folder = work->intake.folder;
    struct message *message = folder_find(folder, work->intake.first->uid);
    if (message && !folder_remove(folder, message, &error))
        LOG(session->mailbox->log, LOG_ERROR, "replace_not_undone", log_failure(&error));
}

static void finish_append(struct session *session, struct append_work *work)
{
    char code[INTAKE_CODE_SIZE];
    if (!store(session, work))
        return;
    intake_format_code(&work->intake, code);
    session_ok(session, slice_of_string(code), "Appended");
}

/* RFC 8508 3: APPENDUID in an untagged OK, before the EXPUNGE. */
static void finish_replace(struct session *session, struct append_work *work)
{
    struct error error;
    char code[INTAKE_CODE_SIZE];
    if (!store(session, work))
        return;
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

static void finish(struct session *session, struct imap_parser *arguments, bool replaces)
{
    struct append_work *work = session->work;
    struct append_work unused = {.replaces = replaces};
    struct intake_message message = {.octets = 0};
    struct folder_argument folder;
    if (!work) { /* no literal, or none at the end of a line */
        parse(session, arguments, &unused, &folder, &message);
        session_bad_arguments(session, arguments);
    } else if (!intake_parse_behind(arguments, &work->intake) || !imap_parse_end(arguments)) {
        session_bad_arguments(session, arguments);
    } else if (replaces) {
        finish_replace(session, work);
    } else {
        finish_append(session, work);
    }
}

void command_append(struct session *session, struct imap_parser *arguments)
{
    finish(session, arguments, false);
}

void command_replace(struct session *session, struct imap_parser *arguments)
{
    finish(session, arguments, true);
}
