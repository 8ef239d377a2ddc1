/* CREATE, DELETE and RENAME (RFC 3501 6.3.3 to 6.3.5); CREATE with a special use (RFC 6154 3). A
 * visitor needs "k" to the mailbox above the new one, and "x" to the one that goes (RFC 4314 4). */
#include <errno.h>
#include <stdio.h>

#include "common/config/config.h"
#include "imapd/commands/commands.h"
#include "imapd/commands/list.h"
#include "imapd/commands/metadata.h"
#include "imapd/folder/mailbox_tree.h"
#include "imapd/folder/transfer.h"
#include "imapd/mailbox.h"
#include "imapd/session/notify.h"
#include "imapd/shared/rights.h"
#include "imapd/shared/shares.h"
#include "imapd/syntax/folder_argument.h"
#include "imapd/syntax/mailbox_name.h"
#include "storage/acl.h"
#include "storage/folder_name.h"
#include "storage/folder_record.h"
#include "storage/folders.h"

static bool load_record(const struct mailbox *mailbox, const char *directory,
                        struct folder_record *record)
{
    struct maildir box;
    if (!folders_exists(mailbox->account_fd, directory)
        || !maildir_open(mailbox->account_fd, directory, &box, NULL))
        return false;
    bool loaded = folder_record_load(box.fd, record, NULL);
    maildir_close(&box);
    return loaded;
}

/* ---- visitors ---- */

/* The owner's name for the mailbox, also if the client is a visitor. */
static struct slice name_of(const struct session *session, const struct folder_argument *folder)
{
    return rights_name_at_home(session, folder->name);
}

/* Of the last mailbox above it that there is; false: none. */
static bool find_above(const struct mailbox *mailbox, struct slice name,
                       char directory[MAILDIR_NAME_SIZE])
{
    while (name.len > 0) {
        size_t end = name.len;
        while (end > 0 && name.ptr[end - 1] != FOLDER_SEPARATOR)
            end--;
        name = slice_range(name, 0, end > 0 ? end - 1 : 0);
        if (name.len > 0 && folder_name_to_directory(name, directory, NULL)
            && folders_exists(mailbox->account_fd, directory))
            return true;
    }
    return false;
}

/* False: the command was ended. *above is where the rights of the new mailbox come from. */
static bool may_create(struct session *session, const struct folder_argument *folder,
                       char above[MAILDIR_NAME_SIZE])
{
    above[0] = '\0';
    if (!session->visitor)
        return true;
    if (find_above(session->mailbox, name_of(session, folder), above))
        return rights_suffice(session, above, ACL_CREATE);
    session_no(session, SLICE("NOPERM"), "Only below a mailbox that is shared with you");
    return false;
}

/* What a visitor makes has the rights of what is above: else he would not see it. RFC 4314 leaves
 * to the server what the first rights are; what the owner makes is his alone. */
static void inherit_rights(struct session *session, struct slice name, const char *above)
{
    char directory[MAILDIR_NAME_SIZE];
    struct error error = {.kind = ERROR_NONE};
    if (!folder_name_to_directory(name, directory, &error)
        || !acl_copy(session->mailbox->account_fd, above, directory,
                     slice_of_string(session->mailbox->account), &error))
        LOG(session->mailbox->log, LOG_ERROR, "rights_not_inherited", log_bytes("folder", name),
            log_failure(&error));
    shares_changed(session->mailbox);
}

/* ---- what is made, with rights from `above`; "": its owner's alone ---- */

static bool make(struct session *session, struct slice name, unsigned special_use,
                 const char *above, struct error *error)
{
    if (!mailbox_create_folder(session->mailbox, name, special_use, error))
        return false;
    if (above[0] != '\0')
        inherit_rights(session, name, above);
    notify_on_created(session, name);
    return true;
}

/* "the server SHOULD create any superior hierarchical names that are needed" (RFC
 * 9051 6.3.4, 6.3.6). Those who listen hear of each (RFC 5465 5.4). */
static bool make_superiors(struct session *session, struct slice name, const char *above,
                           struct error *error)
{
    size_t end = slice_find_octet(name, FOLDER_SEPARATOR);
    while (end < name.len) {
        struct slice superior = slice_range(name, 0, end);
        if (!mailbox_name_is_inbox(superior) && !make(session, superior, 0, above, error)
            && error->kind != ERROR_EXISTS)
            return false;
        end += 1 + slice_find_octet(slice_from(name, end + 1), FOLDER_SEPARATOR);
    }
    return true;
}

/* ---- CREATE ---- */

static bool has_room_for_folder(const struct mailbox *mailbox, struct error *error)
{
    struct folder_list list;
    folder_list_init(&list);
    bool listed = folders_list(mailbox->account_fd, &list, error);
    bool room = list.count < mailbox->config->limits.mailboxes;
    folder_list_clear(&list);
    if (!listed)
        return false;
    return room || error_set(error, ERROR_PERMANENT, "too many folders");
}

/* "OK [MAILBOXID (F2212ea87-6097-4256-9d51-71338625)]" (RFC 8474 4.1) */
static void tell_created(struct session *session, const struct folder_argument *folder)
{
    struct folder_record record;
    char code[FOLDER_MAILBOX_ID_MAX + 16] = "";
    if (load_record(session->mailbox, folder->directory, &record))
        snprintf(code, sizeof(code), "MAILBOXID (%s)", record.mailbox_id);
    if (folder->given.ptr)
        list_write_mailbox(session, folder->name, folder->given);
    session_ok(session, slice_of_string(code), "Created");
}

static void create(struct session *session, const struct folder_argument *folder,
                   unsigned special_use)
{
    struct error error;
    char above[MAILDIR_NAME_SIZE];
    struct slice name = name_of(session, folder);
    if (!may_create(session, folder, above))
        return;
    if (!has_room_for_folder(session->mailbox, &error))
        session_failed(session, &error, "There are as many mailboxes as one account may have");
    else if (make_superiors(session, name, above, &error)
             && make(session, name, special_use, above, &error))
        tell_created(session, folder);
    else if (error.kind == ERROR_EXISTS)
        session_failed(session, &error, "There is such a mailbox already");
    else
        session_failed(session, &error, "The mailbox could not be made");
}

struct create_uses {
    unsigned special_use;
    bool refused; /* one that we do not know, or that no folder can have */
};

/* use-attr = "\All" / "\Archive" / ... / "\" atom. What is for views of all mail is not for a
 * folder that holds its own. */
static bool parse_use(struct imap_parser *arguments, struct create_uses *uses)
{
    struct cursor start = arguments->in;
    struct slice atom;
    if (!imap_parse_octet(arguments, '\\', "a special use such as \\Sent")
        || !imap_parse_atom(arguments, &atom))
        return false;
    unsigned bit = special_use_find(cursor_since(&arguments->in, &start));
    uses->special_use |= bit;
    uses->refused |= bit == 0 || bit == SPECIAL_ALL || bit == SPECIAL_FLAGGED;
    return true;
}

/* create-param =/ "USE" SP "(" [use-attr *(SP use-attr)] ")", all in parentheses (RFC 4466 2.2) */
static bool parse_uses(struct imap_parser *arguments, struct create_uses *uses)
{
    if (!imap_parse_octet(arguments, '(', "parameters in parentheses"))
        return false;
    if (!imap_skip_word(arguments, SLICE("USE")))
        return imap_parser_fail(arguments, "USE");
    if (!imap_parse_space(arguments)
        || !imap_parse_octet(arguments, '(', "a list of special uses in parentheses"))
        return false;
    if (!imap_skip_octet(arguments, ')')) {
        do {
            if (!parse_use(arguments, uses))
                return false;
        } while (imap_skip_octet(arguments, ' '));
        if (!imap_parse_octet(arguments, ')', "a special use or \")\""))
            return false;
    }
    return imap_parse_octet(arguments, ')', "\")\"");
}

void command_create(struct session *session, struct imap_parser *arguments)
{
    struct folder_argument folder;
    struct create_uses uses = {0, false};
    if (!imap_parse_space(arguments) || !folder_argument_parse_new(arguments, &folder)
        || (imap_skip_octet(arguments, ' ') && !parse_uses(arguments, &uses))
        || !imap_parse_end(arguments))
        session_bad_arguments(session, arguments);
    else if (folder.problem)
        session_no(session, SLICE("CANNOT"), folder.problem);
    else if (folder.is_expunged)
        session_no(session, SLICE("CANNOT"), FOLDER_ARGUMENT_EXPUNGED);
    else if (mailbox_name_is_inbox(name_of(session, &folder)))
        session_no(session, SLICE("ALREADYEXISTS"), "INBOX is always there");
    else if (uses.refused || (uses.special_use && session->visitor))
        session_no(session, SLICE("USEATTR"), "No mailbox here can have that special use");
    else
        create(session, &folder, uses.special_use);
}

/* ---- DELETE ---- */

/* A name that exists only because others lie below it: "It is an error to attempt to delete a name
 * that has inferior hierarchical names and also has the \Noselect mailbox name attribute." */
static bool has_inferiors(const struct mailbox *mailbox, struct slice name)
{
    struct mailbox_tree tree;
    bool found = false;
    if (!mailbox_tree_read(&tree, mailbox->account_fd, NULL, NULL, NULL))
        return false;
    for (size_t i = 0; i < tree.count && !found; i++)
        found = (tree.entries[i].below & TREE_FOLDER)
                && slice_equal(slice_of_string(tree.entries[i].name), name);
    mailbox_tree_clear(&tree);
    return found;
}

/* 0: it has none, so nothing is known of its messages. */
static uint32_t uidvalidity_of(const struct mailbox *mailbox, const char *directory)
{
    struct folder_record record;
    return load_record(mailbox, directory, &record) ? record.uidvalidity : 0;
}

struct delete_work {
    uint32_t uidvalidity; /* of the folder that is deleted */
};

/* It is gone; what the index knows of it goes in slices. */
static void forget_step(struct session *session)
{
    const struct delete_work *work = session->work;
    if (work->uidvalidity == 0 || message_cache_forget(&session->mailbox->cache, work->uidvalidity))
        session_ok(session, SLICE(""), "Deleted");
}

static void delete (struct session *session, const struct folder_argument *folder)
{
    struct mailbox *mailbox = session->mailbox;
    struct error error;
    struct delete_work *work = session_alloc(session, sizeof(*work));
    if (!work)
        return;
    work->uidvalidity = uidvalidity_of(mailbox, folder->directory);
    if (undo_keep_folder(&mailbox->undo, folder->directory, &error)) {
        folder_on_deleted(mailbox, folder->directory);
        notify_on_deleted(session, name_of(session, folder));
        shares_on_folders(mailbox);
        session->work = work;
        session_continue(session, forget_step);
    } else if (error.kind == ERROR_NOT_FOUND && has_inferiors(mailbox, name_of(session, folder))) {
        session_no(session, SLICE("HASCHILDREN"),
                   "Only its inferior mailboxes exist: delete those");
    } else if (error.kind == ERROR_NOT_FOUND) {
        session_failed(session, &error, "There is no such mailbox");
    } else {
        session_failed(session, &error, "The mailbox could not be deleted");
    }
}

void command_delete(struct session *session, struct imap_parser *arguments)
{
    struct folder_argument folder;
    if (!imap_parse_space(arguments) || !folder_argument_parse(arguments, &folder)
        || !imap_parse_end(arguments))
        session_bad_arguments(session, arguments);
    else if (folder.problem)
        session_no(session, SLICE("NONEXISTENT"), folder.problem);
    else if (!rights_suffice(session, folder.directory, ACL_DELETE_MAILBOX))
        return;
    else if (mailbox_name_is_inbox(name_of(session, &folder)))
        session_no(session, SLICE("CANNOT"), "INBOX cannot be deleted");
    else if (folder.is_expunged && strcmp(folder.directory, EXPUNGED_DIRECTORY) == 0)
        session_no(session, SLICE("CANNOT"), "Expunge its messages instead");
    else
        delete (session, &folder);
}

/* ---- RENAME ---- */

/* A deleted folder comes back with its messages, which count again. */
static bool restore(struct mailbox *mailbox, const struct folder_argument *from,
                    const struct folder_argument *to, struct error *error)
{
    struct quota_usage usage;
    if (!expunged_count_folder(mailbox->account_fd, from->directory, &usage, error)
        || !mailbox_has_room(mailbox, (uint64_t)usage.octets, (uint32_t)usage.messages, error)
        || !expunged_restore_folder(&mailbox->inbox, from->directory, to->directory, error))
        return false;
    mailbox_count_quota(mailbox, usage.octets, usage.messages);
    return true;
}

static bool rename_on_disk(struct mailbox *mailbox, const struct folder_argument *from,
                           const struct folder_argument *to, struct error *error)
{
    return from->is_expunged
               ? restore(mailbox, from, to, error)
               : folders_rename(mailbox->account_fd, from->directory, to->directory, error);
}

static void rename_folder(struct session *session, const struct folder_argument *from,
                          const struct folder_argument *to, const char *above)
{
    struct mailbox *mailbox = session->mailbox;
    struct error error;
    if (rename_on_disk(mailbox, from, to, &error)) {
        folder_on_renamed(mailbox, from->directory, to->directory);
        /* What is above the new name only ought to be there: without, it is a name of the tree. */
        if (!make_superiors(session, name_of(session, to), above, &error))
            LOG(mailbox->log, LOG_WARNING, "superiors_not_made", log_failure(&error));
        notify_on_renamed(session, name_of(session, from), name_of(session, to));
        shares_on_folders(mailbox);
        if (to->given.ptr) /* RFC 9051 6.3.6 */
            list_write_mailbox(session, to->name, from->name);
        session_ok(session, SLICE(""), "Renamed");
    } else if (error.kind == ERROR_EXISTS) {
        session_failed(session, &error, "There is a mailbox of the new name, or below it");
    } else if (error.kind == ERROR_NOT_FOUND) {
        session_failed(session, &error, "There is no such mailbox");
    } else if (error.kind == ERROR_PERMANENT && error.code == EDQUOT) {
        session_failed(session, &error, "The mailbox is full");
    } else if (error.kind == ERROR_PERMANENT) {
        session_failed(session, &error, "The new name is too long, or is the mailbox or below it");
    } else {
        session_failed(session, &error, "The mailbox could not be renamed");
    }
}

/* "Renaming INBOX is permitted, and has special behavior. It moves all messages in INBOX to a new
 * mailbox with the given name, leaving INBOX empty." Its inferiors stay. */
struct inbox_work {
    struct folder *inbox;
    struct transfer transfer;
};

static void give_back(struct session *session)
{
    struct inbox_work *work = session->work;
    transfer_end(&work->transfer);
    if (work->inbox)
        folder_close(work->inbox);
}

static bool move_slice(struct inbox_work *work, bool *done, struct error *error)
{
    enum { MOVED_A_SLICE = 50 };
    const struct folder *inbox = work->inbox;
    /* What is gone leaves the array at the end of the turn: each turn begins at its beginning. */
    size_t moved = 0;
    for (size_t i = 0; i < inbox->count && moved < MOVED_A_SLICE; i++) {
        if (!inbox->messages[i].name)
            continue;
        if (!transfer_one(&work->transfer, inbox->messages[i].uid, error)
            && error->kind != ERROR_NOT_FOUND)
            return false;
        moved++;
    }
    *done = moved == 0;
    return true;
}

static void inbox_step(struct session *session)
{
    struct inbox_work *work = session->work;
    struct error error;
    bool done = false;
    if (folder_step(work->inbox))
        return;
    if (!move_slice(work, &done, &error) || (done && !transfer_commit(&work->transfer, &error)))
        session_failed(session, &error, "Not all messages of INBOX could be moved");
    else if (done)
        session_ok(session, SLICE(""), "INBOX was moved there");
}

static void rename_inbox(struct session *session, const struct folder_argument *to)
{
    struct mailbox *mailbox = session->mailbox;
    struct folder *target;
    struct error error;
    struct inbox_work *work = session_alloc(session, sizeof(*work));
    if (!work)
        return;
    session->work = work;
    session->on_end = give_back;
    if (!make_superiors(session, to->name, "", &error) || !make(session, to->name, 0, "", &error)) {
        session_failed(session, &error,
                       error.kind == ERROR_EXISTS ? "There is such a mailbox already"
                                                  : "The mailbox could not be made");
        return;
    }
    if (!folder_open(mailbox, MAILDIR_INBOX, &work->inbox, &error)
        || !folder_open(mailbox, to->directory, &target, &error)) {
        session_failed(session, &error, "The mailbox cannot be opened now");
        return;
    }
    metadata_copy(session, MAILDIR_INBOX, to->directory);
    transfer_begin(&work->transfer, work->inbox, target, true, &session->arena);
    session_continue(session, inbox_step);
}

/* "Moving a mailbox from one parent to another requires the "x" right on the mailbox itself and the
 * "k" right for the new parent." False: the command was ended. *above as of may_create(). */
static bool may_rename(struct session *session, const struct folder_argument *from,
                       const struct folder_argument *to, char above[MAILDIR_NAME_SIZE])
{
    if (session->visitor && mailbox_name_is_inbox(name_of(session, from))) {
        session_no(session, SLICE("NOPERM"), "Only its owner can rename INBOX");
        return false;
    }
    return rights_suffice(session, from->directory, ACL_DELETE_MAILBOX)
           && may_create(session, to, above);
}

void command_rename(struct session *session, struct imap_parser *arguments)
{
    struct folder_argument from, to;
    char above[MAILDIR_NAME_SIZE];
    if (!imap_parse_space(arguments) || !folder_argument_parse(arguments, &from)
        || !imap_parse_space(arguments) || !folder_argument_parse_new(arguments, &to)
        || !imap_parse_end(arguments))
        session_bad_arguments(session, arguments);
    else if (from.problem)
        session_no(session, SLICE("NONEXISTENT"), from.problem);
    else if (to.problem)
        session_no(session, SLICE("CANNOT"), to.problem);
    else if (to.is_expunged || strcmp(from.directory, EXPUNGED_DIRECTORY) == 0)
        session_no(session, SLICE("CANNOT"), FOLDER_ARGUMENT_EXPUNGED);
    else if (!may_rename(session, &from, &to, above))
        return;
    else if (mailbox_name_is_inbox(name_of(session, &to)))
        session_no(session, SLICE("ALREADYEXISTS"), "INBOX is always there");
    else if (mailbox_name_is_inbox(from.name))
        rename_inbox(session, &to);
    else
        rename_folder(session, &from, &to, above);
}
