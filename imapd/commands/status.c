/* STATUS (RFC 3501 6.3.10, RFC 7162 3.1.7). The mailbox is opened like any other, but nobody is
 * told that messages are recent. */
#include "common/size.h"
#include "imapd/commands/commands.h"
#include "imapd/folder_argument.h"
#include "imapd/mailbox_name.h"

struct status_work {
    struct folder *folder;
    unsigned items;
    struct slice name;
};

struct status_counts {
    uint32_t recent;
    uint32_t unseen;
};

static void give_back(struct session *session)
{
    struct status_work *work = session->work;
    folder_close(work->folder);
}

static struct status_counts count(const struct folder *folder)
{
    struct status_counts counts = {0, 0};
    for (size_t i = 0; i < folder->count; i++) {
        const struct message *message = &folder->messages[i];
        if (!message->name)
            continue;
        counts.recent += message->recent;
        counts.unseen += !(message->flags & MAILDIR_SEEN);
    }
    return counts;
}

static void write_status(struct session *session, const struct status_work *work)
{
    const struct folder *folder = work->folder;
    struct buffer *text = &session->writer.text;
    struct status_counts counts = count(folder);
    const struct {
        const char *name;
        uint64_t value;
        enum imap_status_item item;
    } values[] = {
        {"MESSAGES", folder_message_count(folder), STATUS_MESSAGES},
        {"RECENT", counts.recent, STATUS_RECENT},
        {"UIDNEXT", folder->uid_next, STATUS_UIDNEXT},
        {"UIDVALIDITY", folder->record.uidvalidity, STATUS_UIDVALIDITY},
        {"UNSEEN", counts.unseen, STATUS_UNSEEN},
        {"HIGHESTMODSEQ", folder_highest_modseq(folder), STATUS_HIGHESTMODSEQ},
    };
    const char *separator = "";
    struct buffer wire = BUFFER_WITH_LIMIT(2 * MAILBOX_NAME_MAX);
    mailbox_name_format(work->name, MAILBOX_NAME_UTF7, &wire);
    buffer_append(text, SLICE("* STATUS "));
    imap_append_astring(text, buffer_slice(&wire));
    buffer_append(text, SLICE(" ("));
    for (size_t i = 0; i < ARRAY_LENGTH(values); i++) {
        if (!(work->items & values[i].item))
            continue;
        buffer_append_format(text, "%s%s ", separator, values[i].name);
        buffer_append_number(text, values[i].value);
        separator = " ";
    }
    if (work->items & STATUS_MAILBOXID)
        buffer_append_format(text, "%sMAILBOXID (%s)", separator, folder->record.mailbox_id);
    buffer_append(text, SLICE(")\r\n"));
    buffer_clear(&wire);
}

static void status_step(struct session *session)
{
    const struct status_work *work = session->work;
    if (folder_step(work->folder))
        return;
    write_status(session, work);
    session_ok(session, SLICE(""), "That is its status");
}

void command_status(struct session *session, struct imap_parser *arguments)
{
    struct folder_argument folder;
    struct error error;
    unsigned items;
    if (!imap_parse_space(arguments) || !folder_argument_parse(arguments, &folder)
        || !imap_parse_space(arguments) || !imap_parse_status_items(arguments, &items)
        || !imap_parse_end(arguments)) {
        session_bad_arguments(session, arguments);
        return;
    }
    if (folder.problem) {
        session_no(session, SLICE("NONEXISTENT"), folder.problem);
        return;
    }
    struct status_work *work = session_alloc(session, sizeof(*work));
    if (!work)
        return;
    if (!folder_open(session->mailbox, folder.directory, &work->folder, &error)) {
        session_failed(session, &error,
                       error.kind == ERROR_NOT_FOUND ? "There is no such mailbox"
                                                     : "The mailbox cannot be opened now");
        return;
    }
    if (items & STATUS_HIGHESTMODSEQ)
        session_enable(session, VIEW_TELLS_MODSEQ); /* RFC 7162 3.1 */
    work->items = items;
    work->name = folder.name;
    session->work = work;
    session->on_end = give_back;
    session_continue(session, status_step);
}
