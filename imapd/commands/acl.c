/*
 * Access control (RFC 4314). An account's process has the uid of its mail and sees no other
 * account's, and no other process sees this one's: its owner has all rights to every mailbox,
 * always, and nobody else can be given any. That is what these commands say; LISTRIGHTS tells it
 * before a client tries, so nobody believes to have shared what he has not.
 */
#include "imapd/commands/acl.h"

#include "imapd/commands/commands.h"
#include "imapd/mailbox.h"
#include "imapd/syntax/folder_argument.h"
#include "imapd/syntax/mailbox_name.h"
#include "storage/folders.h"

/* 2.1; "c" and "d" are for clients of RFC 2086 (2.1.1). */
#define ALL_RIGHTS SLICE("lrswipkxtecda")
/* Where what was expunged is kept: nothing is put there, nobody makes a mailbox. */
#define RIGHTS_TO_EXPUNGED SLICE("lrswxted")

/* ---- arguments ---- */

struct acl_arguments {
    struct folder_argument folder;
    struct slice identifier;
    struct slice rights; /* without the sign */
    uint8_t sign;        /* '+', '-', or 0: they replace what there is */
};

/* identifier = astring. What prepares to nothing, or cannot be prepared, is BAD (3). */
static bool parse_identifier(struct imap_parser *parser, struct slice *identifier)
{
    if (!imap_parse_astring(parser, identifier))
        return imap_parser_fail(parser, "an identifier");
    for (size_t i = 0; i < identifier->len; i++)
        if (identifier->ptr[i] < ' ' || identifier->ptr[i] == 0x7f)
            return imap_parser_fail(parser, "an identifier without control characters");
    return identifier->len > 0 || imap_parser_fail(parser, "an identifier");
}

/* mod-rights = astring: [+ / -] *right. "An unrecognized right MUST cause the command to return the
 * BAD response." */
static bool parse_rights(struct imap_parser *parser, struct acl_arguments *arguments)
{
    struct slice all = ALL_RIGHTS, *rights = &arguments->rights;
    if (!imap_parse_astring(parser, rights))
        return imap_parser_fail(parser, "rights");
    bool has_sign = rights->len > 0 && (rights->ptr[0] == '+' || rights->ptr[0] == '-');
    arguments->sign = has_sign ? rights->ptr[0] : 0;
    *rights = slice_from(*rights, has_sign);
    for (size_t i = 0; i < rights->len; i++)
        if (slice_find_octet(all, rights->ptr[i]) == all.len)
            return imap_parser_fail(parser, "rights of \"lrswipkxteacd\"");
    return true;
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

static bool is_owner(const struct session *session, struct slice identifier)
{
    return slice_equal_nocase(identifier, slice_of_string(session->mailbox->account));
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

void acl_tell_my_rights(struct session *session, struct slice name)
{
    begin_response(session, "MYRIGHTS", name);
    append_word(session,
                undo_is_name(&session->mailbox->undo, name) ? RIGHTS_TO_EXPUNGED : ALL_RIGHTS);
    buffer_append(&session->writer.text, SLICE("\r\n"));
}

/* ---- commands ---- */

/* myrights = "MYRIGHTS" SP mailbox */
void command_myrights(struct session *session, struct imap_parser *parser)
{
    struct acl_arguments arguments;
    if (!check(session, parser, &arguments, parse_folder(parser, &arguments)))
        return;
    acl_tell_my_rights(session, arguments.folder.name);
    session_ok(session, SLICE(""), "Those are your rights");
}

/* getacl = "GETACL" SP mailbox */
void command_getacl(struct session *session, struct imap_parser *parser)
{
    struct acl_arguments arguments;
    if (!check(session, parser, &arguments, parse_folder(parser, &arguments)))
        return;
    begin_response(session, "ACL", arguments.folder.name);
    append_word(session, slice_of_string(session->mailbox->account));
    append_word(session, ALL_RIGHTS);
    buffer_append(&session->writer.text, SLICE("\r\n"));
    session_ok(session, SLICE(""), "Those have rights");
}

/* listrights = "LISTRIGHTS" SP mailbox SP identifier. The first string are rights that the
 * identifier always has; there are no others that it could be given. */
void command_listrights(struct session *session, struct imap_parser *parser)
{
    struct acl_arguments arguments;
    bool parsed = parse_folder(parser, &arguments) && imap_parse_space(parser)
                  && parse_identifier(parser, &arguments.identifier);
    if (!check(session, parser, &arguments, parsed))
        return;
    begin_response(session, "LISTRIGHTS", arguments.folder.name);
    append_word(session, arguments.identifier);
    append_word(session, is_owner(session, arguments.identifier) ? ALL_RIGHTS : SLICE(""));
    buffer_append(&session->writer.text, SLICE("\r\n"));
    session_ok(session, SLICE(""), "Those rights can be given");
}

static bool has_all(struct slice rights)
{
    struct slice all = ALL_RIGHTS;
    bool creates = slice_find_octet(rights, 'c') < rights.len;
    bool deletes = slice_find_octet(rights, 'd') < rights.len;
    for (size_t i = 0; i < all.len; i++) {
        bool is_virtual = all.ptr[i] == 'c' || all.ptr[i] == 'd';
        bool implied = (creates && slice_find_octet(SLICE("kx"), all.ptr[i]) < 2)
                       || (deletes && slice_find_octet(SLICE("te"), all.ptr[i]) < 2);
        if (!is_virtual && !implied && slice_find_octet(rights, all.ptr[i]) == rights.len)
            return false;
    }
    return true;
}

static bool leaves_all(const struct acl_arguments *arguments)
{
    if (arguments->sign == '-')
        return arguments->rights.len == 0;
    return arguments->sign == '+' || has_all(arguments->rights);
}

static bool leaves_none(const struct acl_arguments *arguments)
{
    return arguments->sign == '-' || arguments->rights.len == 0;
}

/* setacl = "SETACL" SP mailbox SP identifier SP mod-rights. What changes nothing can be done. */
void command_setacl(struct session *session, struct imap_parser *parser)
{
    struct acl_arguments arguments;
    bool parsed = parse_folder(parser, &arguments) && imap_parse_space(parser)
                  && parse_identifier(parser, &arguments.identifier) && imap_parse_space(parser)
                  && parse_rights(parser, &arguments);
    if (!check(session, parser, &arguments, parsed))
        return;
    bool owner = is_owner(session, arguments.identifier);
    if (owner ? leaves_all(&arguments) : leaves_none(&arguments))
        session_ok(session, SLICE(""), "So it is already");
    else
        session_no(session, SLICE("CANNOT"),
                   owner ? "The owner always has all rights"
                         : "Nobody but the owner can have rights here");
}

/* deleteacl = "DELETEACL" SP mailbox SP identifier */
void command_deleteacl(struct session *session, struct imap_parser *parser)
{
    struct acl_arguments arguments;
    bool parsed = parse_folder(parser, &arguments) && imap_parse_space(parser)
                  && parse_identifier(parser, &arguments.identifier);
    if (!check(session, parser, &arguments, parsed))
        return;
    if (is_owner(session, arguments.identifier))
        session_no(session, SLICE("CANNOT"), "The owner always has all rights");
    else
        session_ok(session, SLICE(""), "That one has no rights");
}
