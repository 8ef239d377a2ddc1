/*
 * Access control (RFC 4314). The owner always has all rights to every mailbox of the account. With
 * imap.shared-mailboxes set, the owner can give rights to other accounts of this server, and to all
 * of them as "anyone"; otherwise rights cannot be given, and LISTRIGHTS shows that. A visitor with
 * the right "a" uses these commands too (imapd/shared/rights.h).
 */
#include "imapd/commands/acl.h"

#include <fcntl.h>

#include "common/config/config.h"
#include "common/disk/fd.h"
#include "imapd/commands/commands.h"
#include "imapd/commands/metadata.h"
#include "imapd/mailbox.h"
#include "imapd/session/notify.h"
#include "imapd/shared/account_question.h"
#include "imapd/shared/rights.h"
#include "imapd/shared/shares.h"
#include "imapd/syntax/folder_argument.h"
#include "imapd/syntax/mailbox_name.h"
#include "storage/folders.h"

/* In the undo mailbox no client may add messages or create mailboxes. */
enum {
    RIGHTS_TO_EXPUNGED = ACL_ALL & ~(ACL_INSERT | ACL_POST | ACL_CREATE | ACL_ADMINISTER),
    IDENTIFIER_OCTETS = 2 * ACL_IDENTIFIER_MAX,
};

/* ---- arguments ---- */

struct acl_arguments {
    struct folder_argument folder;
    struct slice given;      /* the identifier, as the client wrote it */
    struct slice identifier; /* as it is kept: the name of an account, or "anyone" */
    bool negative;
    uint8_t sign;    /* '+', '-', or 0: they replace what there is */
    unsigned rights; /* enum acl_right */
};

/* The name of an account is in lower case, and has the owner's domain where it is without one. */
static bool prepare_identifier(struct session *session, struct imap_parser *parser,
                               struct acl_arguments *arguments)
{
    struct slice owner = slice_of_string(session->mailbox->account);
    struct buffer name = BUFFER_WITH_LIMIT(IDENTIFIER_OCTETS);
    arguments->negative = arguments->given.ptr[0] == '-';
    struct slice given = slice_from(arguments->given, arguments->negative);
    for (size_t i = 0; i < given.len; i++)
        buffer_append_octet(&name, ascii_lower(given.ptr[i]));
    if (!slice_equal(buffer_slice(&name), SLICE("anyone"))
        && slice_find_octet(given, '@') == given.len)
        buffer_append(&name, slice_from(owner, slice_find_octet(owner, '@')));
    bool prepared = given.len > 0 && !name.failed;
    arguments->identifier = prepared ? arena_copy(parser->arena, buffer_slice(&name)) : SLICE("");
    buffer_clear(&name);
    if (!prepared)
        return imap_parser_fail(parser, "an identifier");
    return arguments->identifier.ptr || imap_parser_exhaust(parser);
}

/* identifier = astring. What prepares to nothing, or cannot be prepared, is BAD (3). */
static bool parse_identifier(struct session *session, struct imap_parser *parser,
                             struct acl_arguments *arguments)
{
    struct slice *given = &arguments->given;
    if (!imap_parse_space(parser) || !imap_parse_astring(parser, given))
        return imap_parser_fail(parser, "an identifier");
    for (size_t i = 0; i < given->len; i++)
        if (given->ptr[i] < ' ' || given->ptr[i] == 0x7f)
            return imap_parser_fail(parser, "an identifier without control characters");
    if (given->len == 0)
        return imap_parser_fail(parser, "an identifier");
    return prepare_identifier(session, parser, arguments);
}

/* mod-rights = astring: [+ / -] *right. "An unrecognized right MUST cause the command to return the
 * BAD response." */
static bool parse_rights(struct imap_parser *parser, struct acl_arguments *arguments)
{
    struct slice rights;
    if (!imap_parse_space(parser) || !imap_parse_astring(parser, &rights))
        return imap_parser_fail(parser, "rights");
    bool has_sign = rights.len > 0 && (rights.ptr[0] == '+' || rights.ptr[0] == '-');
    arguments->sign = has_sign ? rights.ptr[0] : 0;
    return acl_rights_parse(slice_from(rights, has_sign), &arguments->rights)
           || imap_parser_fail(parser, "rights of \"lrswipkxteacd\"");
}

static bool parse_folder(struct imap_parser *parser, struct acl_arguments *arguments)
{
    return imap_parse_space(parser) && folder_argument_parse(parser, &arguments->folder);
}

/* False: the command was ended. */
static bool check(struct session *session, struct imap_parser *parser,
                  const struct acl_arguments *arguments, bool parsed)
{
    const struct folder_argument *folder = &arguments->folder;
    if (!parsed || !imap_parse_end(parser)) {
        session_bad_arguments(session, parser);
    } else if (folder->problem) {
        session_no(session, SLICE("NONEXISTENT"), folder->problem);
    } else if (!folders_exists(session->mailbox->account_fd, folder->directory)) {
        session_no(session, SLICE("NONEXISTENT"), "There is no such mailbox");
    } else {
        return true;
    }
    return false;
}

/* The same of who administers it. */
static bool check_administers(struct session *session, struct imap_parser *parser,
                              const struct acl_arguments *arguments, bool parsed)
{
    return check(session, parser, arguments, parsed)
           && rights_suffice(session, arguments->folder.directory, ACL_ADMINISTER);
}

static bool is_owner(const struct session *session, struct slice identifier)
{
    return slice_equal_nocase(identifier, slice_of_string(session->mailbox->account));
}

static bool can_be_shared(const struct session *session, const struct folder_argument *folder)
{
    return session->mailbox->config->imap.shared.text && !folder->is_expunged;
}

/* ---- the list ---- */

static int open_folder(const struct session *session, const char *directory, struct error *error)
{
    int fd = openat(session->mailbox->account_fd, directory,
                    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        error_errno(error, "open %s", directory);
    return fd;
}

static bool load(const struct session *session, const char *directory, struct acl *acl,
                 struct error *error)
{
    acl_init(acl);
    int fd = open_folder(session, directory, error);
    bool loaded = fd >= 0 && acl_load(fd, slice_of_string(session->mailbox->account), acl, error);
    fd_discard(&fd);
    return loaded;
}

static unsigned change_rights(const struct acl_arguments *arguments, unsigned rights)
{
    if (arguments->sign == '+')
        return rights | arguments->rights;
    return arguments->sign == '-' ? rights & ~arguments->rights : arguments->rights;
}

static bool change(const struct session *session, const struct acl_arguments *arguments,
                   struct error *error)
{
    struct acl acl;
    acl_init(&acl);
    int fd = open_folder(session, arguments->folder.directory, error);
    bool changed = fd >= 0 && acl_load(fd, slice_of_string(session->mailbox->account), &acl, error);
    if (changed) {
        unsigned rights = acl_find(&acl, arguments->identifier, arguments->negative);
        struct acl_entry entry = {.identifier = arguments->identifier,
                                  .negative = arguments->negative,
                                  .rights = change_rights(arguments, rights)};
        changed = acl_set(&acl, &entry, error) && acl_store(fd, &acl, error);
    }
    acl_clear(&acl);
    fd_discard(&fd);
    return changed;
}

/* ---- responses ---- */

/* "* ACL name" and the like, without the end of the line. */
static void begin_response(struct session *session, const char *response, struct slice name)
{
    struct buffer *text = &session->writer.text;
    struct buffer wire = BUFFER_WITH_LIMIT(2 * MAILBOX_NAME_MAX);
    enum mailbox_name_form form = session_name_form(session);
    mailbox_name_format(name, form, &wire);
    buffer_append_format(text, "* %s ", response);
    imap_append_mailbox(text, buffer_slice(&wire), form);
    buffer_clear(&wire);
}

static void append_word(struct session *session, struct slice word)
{
    buffer_append_octet(&session->writer.text, ' ');
    imap_append_astring(&session->writer.text, word);
}

static void append_rights(struct session *session, unsigned rights)
{
    buffer_append_octet(&session->writer.text, ' ');
    if (rights == 0)
        buffer_append(&session->writer.text, SLICE("\"\""));
    acl_rights_format(rights, &session->writer.text);
}

void acl_tell_rights(struct session *session, struct slice name, unsigned rights)
{
    bool is_expunged = undo_is_name(&session->mailbox->undo, name);
    if (rights == 0)
        rights = is_expunged ? RIGHTS_TO_EXPUNGED : ACL_ALL;
    begin_response(session, "MYRIGHTS", name);
    append_rights(session, rights);
    buffer_append(&session->writer.text, SLICE("\r\n"));
}

static void append_entries(struct session *session, const struct acl *acl)
{
    struct slice rest = buffer_slice(&acl->text);
    struct buffer identifier = BUFFER_WITH_LIMIT(ACL_OCTETS_MAX);
    struct acl_entry entry;
    while (acl_next(&rest, &entry)) {
        buffer_reset(&identifier);
        if (entry.negative)
            buffer_append_octet(&identifier, '-');
        buffer_append(&identifier, entry.identifier);
        append_word(session, buffer_slice(&identifier));
        append_rights(session, entry.rights);
    }
    buffer_clear(&identifier);
}

/* ---- commands ---- */

/* myrights = "MYRIGHTS" SP mailbox */
void command_myrights(struct session *session, struct imap_parser *parser)
{
    enum {
        TELL_OF =
            ACL_LOOKUP | ACL_READ | ACL_INSERT | ACL_CREATE | ACL_DELETE_MAILBOX | ACL_ADMINISTER
    }; /* 4: one of these is needed */
    struct acl_arguments arguments;
    unsigned rights;
    if (!check(session, parser, &arguments, parse_folder(parser, &arguments))
        || !rights_suffice_some(session, arguments.folder.directory, TELL_OF, &rights))
        return;
    acl_tell_rights(session, arguments.folder.name, session->visitor ? rights : 0);
    session_ok(session, SLICE(""), "Those are your rights");
}

/* getacl = "GETACL" SP mailbox */
void command_getacl(struct session *session, struct imap_parser *parser)
{
    struct acl_arguments arguments;
    struct acl acl;
    struct error error;
    if (!check_administers(session, parser, &arguments, parse_folder(parser, &arguments)))
        return;
    if (!load(session, arguments.folder.directory, &acl, &error)) {
        acl_clear(&acl);
        session_failed(session, &error, "The rights cannot be read now");
        return;
    }
    begin_response(session, "ACL", arguments.folder.name);
    append_word(session, slice_of_string(session->mailbox->account));
    append_rights(session, ACL_ALL);
    append_entries(session, &acl);
    buffer_append(&session->writer.text, SLICE("\r\n"));
    acl_clear(&acl);
    session_ok(session, SLICE(""), "Those have rights");
}

/* listrights = "LISTRIGHTS" SP mailbox SP identifier. The first string are rights that the
 * identifier always has; the others can be given, each by itself. */
void command_listrights(struct session *session, struct imap_parser *parser)
{
    struct acl_arguments arguments;
    bool parsed = parse_folder(parser, &arguments) && parse_identifier(session, parser, &arguments);
    if (!check_administers(session, parser, &arguments, parsed))
        return;
    begin_response(session, "LISTRIGHTS", arguments.folder.name);
    append_word(session, arguments.given);
    append_rights(session, is_owner(session, arguments.identifier) ? ACL_ALL : 0);
    if (!is_owner(session, arguments.identifier) && can_be_shared(session, &arguments.folder))
        buffer_append(&session->writer.text, SLICE(" l r s w i p k x t e a c d"));
    buffer_append(&session->writer.text, SLICE("\r\n"));
    session_ok(session, SLICE(""), "Those rights can be given");
}

/* The owner has all rights; if sharing is not configured, no other account has any. */
static void set_nothing(struct session *session, const struct acl_arguments *arguments, bool owner)
{
    unsigned rights = owner && !arguments->negative ? ACL_ALL : 0;
    if (change_rights(arguments, rights) == rights)
        session_ok(session, SLICE(""), "So it is already");
    else
        session_no(session, SLICE("CANNOT"),
                   owner ? "The owner always has all rights"
                         : "Nobody but the owner can have rights here");
}

static void set(struct session *session, const struct acl_arguments *arguments)
{
    struct error error;
    if (!change(session, arguments, &error)) {
        session_failed(session, &error, "The rights cannot be changed");
        return;
    }
    shares_changed(session->mailbox);
    rights_on_change(session, arguments->folder.directory);
    metadata_on_rights(session, arguments->folder.directory);
    notify_on_rights(session, rights_name_at_home(session, arguments->folder.name));
    LOG(session->mailbox->log, LOG_INFO, "rights_changed", log_hex("session", session->number),
        log_text("account", session->mailbox->account),
        log_bytes("folder", slice_of_string(arguments->folder.directory)),
        log_bytes("identifier", arguments->given));
    session_ok(session, SLICE(""), "The rights are changed");
}

/* ---- to whom: only accounts that there are are given something ---- */

struct setacl_work {
    struct acl_arguments arguments;
    struct account_question question;
};

static void forget_question(struct session *session)
{
    struct setacl_work *work = session->work;
    account_question_end(&work->question);
}

/* What the list says may have changed meanwhile, and who administers it. */
static void on_known(struct session *session)
{
    const struct setacl_work *work = session->work;
    const struct acl_arguments *arguments = &work->arguments;
    session_continue(session, NULL);
    if (work->question.outcome == ACCOUNT_UNKNOWN)
        session_no(session, SLICE("CANNOT"), "There is no such account");
    else if (work->question.outcome != ACCOUNT_FOUND)
        session_no(session, SLICE("UNAVAILABLE"), "It cannot be found out now whose name that is");
    else if (rights_suffice(session, arguments->folder.directory, ACL_ADMINISTER))
        set(session, arguments);
}

static void ask(struct session *session, const struct acl_arguments *arguments)
{
    struct setacl_work *work = session_alloc(session, sizeof(*work));
    if (!work)
        return;
    work->arguments = *arguments;
    session->work = work;
    session->on_end = forget_question;
    if (!account_ask(&work->question, session, arguments->identifier, on_known))
        session_no(session, SLICE("UNAVAILABLE"), "It cannot be found out now whose name that is");
}

static bool gives_or_denies(const struct acl_arguments *arguments)
{
    return arguments->sign != '-' && arguments->rights != 0
           && !slice_equal(arguments->identifier, SLICE("anyone"));
}

/* setacl = "SETACL" SP mailbox SP identifier SP mod-rights */
void command_setacl(struct session *session, struct imap_parser *parser)
{
    struct acl_arguments arguments;
    bool parsed = parse_folder(parser, &arguments) && parse_identifier(session, parser, &arguments)
                  && parse_rights(parser, &arguments);
    if (!check_administers(session, parser, &arguments, parsed))
        return;
    bool owner = is_owner(session, arguments.identifier);
    if (owner || !can_be_shared(session, &arguments.folder))
        set_nothing(session, &arguments, owner);
    else if (gives_or_denies(&arguments))
        ask(session, &arguments);
    else
        set(session, &arguments);
}

/* deleteacl = "DELETEACL" SP mailbox SP identifier */
void command_deleteacl(struct session *session, struct imap_parser *parser)
{
    struct acl_arguments arguments = {.sign = 0, .rights = 0};
    bool parsed = parse_folder(parser, &arguments) && parse_identifier(session, parser, &arguments);
    if (!check_administers(session, parser, &arguments, parsed))
        return;
    bool owner = is_owner(session, arguments.identifier);
    if (owner || !can_be_shared(session, &arguments.folder))
        set_nothing(session, &arguments, owner);
    else
        set(session, &arguments);
}
