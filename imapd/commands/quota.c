/* GETQUOTA, GETQUOTAROOT, SETQUOTA (RFC 9208). An account with a quota has one quota root, named
 * "", for all its mailboxes; one without has none. A visitor, whose own root is "", sees it under
 * the account's name, "Shared/alice@example.org". Only the administrator sets limits: QUOTASET is
 * not announced. */
#include "imapd/commands/commands.h"
#include "imapd/mailbox.h"
#include "imapd/shared/rights.h"
#include "imapd/syntax/folder_argument.h"
#include "imapd/syntax/mailbox_name.h"
#include "storage/folders.h"

enum { STORAGE_UNIT = 1024 }; /* 5.1: octets */

/* quota-resource = resource-name SP resource-usage SP resource-limit */
static void append_resource(struct buffer *text, const char *name, uint64_t usage, uint64_t limit)
{
    if (text->len > 0 && text->ptr[text->len - 1] != '(')
        buffer_append_octet(text, ' ');
    buffer_append_format(text, "%s %llu %llu", name, (unsigned long long)usage,
                         (unsigned long long)limit);
}

static struct slice name_of_root(const struct session *session)
{
    return session->visitor ? slice_of_string(session->visitor->top) : SLICE("");
}

/* quota-response = "QUOTA" SP quota-root-name SP quota-list. False: the command was ended. */
static bool tell_quota(struct session *session)
{
    struct mailbox *mailbox = session->mailbox;
    struct buffer *text = &session->writer.text;
    const struct quota_limits *limits = &mailbox->quota;
    struct quota_usage usage;
    struct error error;
    if (!quota_load(&mailbox->inbox, limits, &usage, &error)) {
        session_failed(session, &error, "The quota cannot be read now");
        return false;
    }
    uint64_t octets = (uint64_t)usage.octets;
    buffer_append(text, SLICE("* QUOTA "));
    imap_append_astring(text, name_of_root(session));
    buffer_append(text, SLICE(" ("));
    if (limits->octets > 0)
        append_resource(text, "STORAGE", octets / STORAGE_UNIT + (octets % STORAGE_UNIT > 0),
                        limits->octets / STORAGE_UNIT);
    if (limits->messages > 0)
        append_resource(text, "MESSAGE", (uint64_t)usage.messages, limits->messages);
    buffer_append(text, SLICE(")\r\n"));
    return true;
}

/* enum acl_right, of all mailboxes together. */
static bool find_rights(const struct session *session, unsigned *rights, struct error *error)
{
    struct folder_list list;
    *rights = 0;
    folder_list_init(&list);
    bool listed = folders_list(session->mailbox->account_fd, &list, error);
    for (size_t i = 0; i < list.count && (*rights & ACL_READ) == 0; i++) {
        unsigned there = 0;
        rights_find(session, list.entries[i].directory, &there, NULL);
        *rights |= there;
    }
    folder_list_clear(&list);
    return listed;
}

/* "The resource usage of other users is likely to be considered confidential" (10): it is
 * shown only to those who may see it by GETQUOTAROOT of some mailbox; others do not learn that
 * there is a quota. False: the command was ended. */
static bool may_see_root(struct session *session)
{
    unsigned rights;
    struct error error;
    if (rights_guest(session).len == 0)
        return true;
    if (!find_rights(session, &rights, &error)) {
        session_failed(session, &error, "Your rights cannot be found out now");
        return false;
    }
    if (rights & ACL_READ)
        return true;
    if (rights & ACL_LOOKUP)
        session_no(session, SLICE("NOPERM"), "You have no right to that");
    else
        session_no(session, SLICE("NONEXISTENT"), "There is no such quota root");
    return false;
}

/* Its name is an astring. False: the command was ended. */
static bool find_root(struct session *session, struct slice root)
{
    bool is_named = slice_equal(root, name_of_root(session));
    if (is_named && !may_see_root(session))
        return false;
    if (is_named && quota_is_set(&session->mailbox->quota))
        return true;
    session_no(session, SLICE("NONEXISTENT"), "There is no such quota root");
    return false;
}

/* getquota = "GETQUOTA" SP quota-root-name */
void command_getquota(struct session *session, struct imap_parser *arguments)
{
    struct slice root;
    if (!imap_parse_space(arguments) || !imap_parse_astring(arguments, &root)
        || !imap_parse_end(arguments))
        session_bad_arguments(session, arguments);
    else if (find_root(session, root) && tell_quota(session))
        session_ok(session, SLICE(""), "That is the quota");
}

/* quotaroot-response = "QUOTAROOT" SP mailbox *(SP quota-root-name) */
static void tell_root(struct session *session, struct slice name)
{
    struct buffer *text = &session->writer.text;
    bool has_root = quota_is_set(&session->mailbox->quota);
    struct buffer wire = BUFFER_WITH_LIMIT(2 * MAILBOX_NAME_MAX);
    mailbox_name_format(name, session_name_form(session), &wire);
    buffer_append(text, SLICE("* QUOTAROOT "));
    imap_append_mailbox(text, buffer_slice(&wire), session_name_form(session));
    if (has_root) {
        buffer_append_octet(text, ' ');
        imap_append_astring(text, name_of_root(session));
    }
    buffer_append(text, SLICE("\r\n"));
    buffer_clear(&wire);
    if (!has_root || tell_quota(session))
        session_ok(session, SLICE(""), has_root ? "That is its quota" : "It has no quota");
}

/* getquotaroot = "GETQUOTAROOT" SP mailbox */
void command_getquotaroot(struct session *session, struct imap_parser *arguments)
{
    struct folder_argument folder;
    if (!imap_parse_space(arguments) || !folder_argument_parse(arguments, &folder)
        || !imap_parse_end(arguments))
        session_bad_arguments(session, arguments);
    else if (folder.problem)
        session_no(session, folder_argument_code(&folder), folder.problem);
    else if (!folders_exists(session->mailbox->account_fd, folder.directory))
        session_no(session, SLICE("NONEXISTENT"), "There is no such mailbox");
    else if (rights_suffice(session, folder.directory, ACL_READ))
        tell_root(session, folder.name);
}

/* setquota-list = "(" [setquota-resource *(SP setquota-resource)] ")", each a name and a number */
static bool parse_limits(struct imap_parser *arguments)
{
    struct slice name;
    uint64_t limit;
    if (!imap_parse_octet(arguments, '(', "a list of limits in parentheses"))
        return false;
    if (imap_skip_octet(arguments, ')'))
        return true;
    do {
        if (!imap_parse_atom(arguments, &name) || !imap_parse_space(arguments)
            || !imap_parse_number64(arguments, &limit))
            return imap_parser_fail(arguments, "the name of a resource and its limit");
    } while (imap_skip_octet(arguments, ' '));
    return imap_parse_octet(arguments, ')', "a resource or \")\"");
}

/* setquota = "SETQUOTA" SP quota-root-name SP setquota-list */
void command_setquota(struct session *session, struct imap_parser *arguments)
{
    struct slice root;
    if (!imap_parse_space(arguments) || !imap_parse_astring(arguments, &root)
        || !imap_parse_space(arguments) || !parse_limits(arguments) || !imap_parse_end(arguments))
        session_bad_arguments(session, arguments);
    else
        session_no(session, SLICE("NOPERM"), "Only the administrator sets quotas");
}
