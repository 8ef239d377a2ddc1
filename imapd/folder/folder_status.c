/* The counting of folder_status.h. */
#include "imapd/folder/folder_status.h"

#include "common/config/config.h"
#include "common/size.h"
#include "imapd/mailbox.h"
#include "imapd/syntax/parser.h"
#include "imapd/syntax/writer.h"
#include "storage/message_file.h"

enum { NAMES_A_SLICE = 5000, NAMES_FOR_A_FILE = 500 };

bool folder_status_begin(struct folder_status *status, struct mailbox *mailbox,
                         const char *directory, unsigned items, struct error *error)
{
    *status = (struct folder_status){.items = items};
    return folder_open(mailbox, directory, &status->folder, error);
}

void folder_status_end(struct folder_status *status)
{
    if (status->folder)
        folder_close(status->folder);
    status->folder = NULL;
}

/* ---- sizes ---- */

/* Reads the file if its name, made by another program, does not have the size. 0: it was removed,
 * or cut short and so is not shown. */
static uint64_t measure(const struct folder *folder, const struct message *message)
{
    struct message_file file = MESSAGE_FILE_CLOSED;
    if (!message_file_open(&folder->box, MAILDIR_CUR, message->name, &file, NULL))
        return 0;
    uint64_t octets = file.crlf_octets;
    message_file_close(&file);
    return octets;
}

/* Messages that arrive meanwhile are at the end and are counted; removed ones may be counted too:
 * RFC 8438 3 allows a larger sum than the true one, never a smaller. */
static bool add_sizes(struct folder_status *status)
{
    const struct folder *folder = status->folder;
    size_t i = folder_position(folder, status->next_uid);
    int left = NAMES_A_SLICE;
    for (; i < folder->count && left > 0; i++, left--) {
        const struct message *message = &folder->messages[i];
        uint64_t octets = 0;
        status->next_uid = message->uid + 1;
        if (!message->name)
            continue;
        if (!message_file_octets_from_name(message->name, &octets)) {
            octets = measure(folder, message);
            left -= NAMES_FOR_A_FILE;
        }
        status->octets += octets;
        if ((status->items & STATUS_DELETED_STORAGE) && (message->flags & MAILDIR_TRASHED))
            status->deleted_octets += quota_octets_of(&folder->box, MAILDIR_CUR, message->name);
    }
    return i < folder->count;
}

bool folder_status_step(struct folder_status *status)
{
    bool wants_sizes = status->items & (STATUS_SIZE | STATUS_DELETED_STORAGE);
    return folder_step(status->folder) || (wants_sizes && add_sizes(status));
}

/* ---- the response ---- */

struct counts {
    uint32_t recent;
    uint32_t unseen;
    uint32_t deleted;
};

static struct counts count(const struct folder *folder)
{
    struct counts counts = {0, 0, 0};
    for (size_t i = 0; i < folder->count; i++) {
        const struct message *message = &folder->messages[i];
        if (!message->name)
            continue;
        counts.recent += message->recent;
        counts.unseen += !(message->flags & MAILDIR_SEEN);
        counts.deleted += (message->flags & MAILDIR_TRASHED) != 0;
    }
    return counts;
}

void folder_status_write(const struct folder_status *status, struct slice name,
                         enum mailbox_name_form form, struct buffer *text)
{
    const struct folder *folder = status->folder;
    struct counts counts = count(folder);
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
        {"SIZE", status->octets, STATUS_SIZE},
        {"DELETED", counts.deleted, STATUS_DELETED},
        {"DELETED-STORAGE", status->deleted_octets, STATUS_DELETED_STORAGE},
        {"APPENDLIMIT", folder->mailbox->config->limits.message_size_octets, STATUS_APPENDLIMIT},
    };
    const char *separator = "";
    struct buffer wire = BUFFER_WITH_LIMIT(2 * MAILBOX_NAME_MAX);
    mailbox_name_format(name, form, &wire);
    buffer_append(text, SLICE("* STATUS "));
    imap_append_mailbox(text, buffer_slice(&wire), form);
    buffer_append(text, SLICE(" ("));
    for (size_t i = 0; i < ARRAY_LENGTH(values); i++) {
        if (!(status->items & values[i].item))
            continue;
        buffer_append_format(text, "%s%s ", separator, values[i].name);
        buffer_append_number(text, values[i].value);
        separator = " ";
    }
    if (status->items & STATUS_MAILBOXID)
        buffer_append_format(text, "%sMAILBOXID (%s)", separator, folder->record.mailbox_id);
    buffer_append(text, SLICE(")\r\n"));
    buffer_clear(&wire);
}
