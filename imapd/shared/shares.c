/* What an account shares; see shares.h. */
#include "imapd/shared/shares.h"

#include <fcntl.h>

#include "common/config/config.h"
#include "common/disk/fd.h"
#include "common/role/master_protocol.h"
#include "imapd/mailbox.h"
#include "storage/acl.h"
#include "storage/folders.h"

static void append_entries(const struct acl *acl, const char *name, struct buffer *text)
{
    struct slice rest = buffer_slice(&acl->text);
    struct acl_entry entry;
    while (acl_next(&rest, &entry)) {
        size_t before = text->len;
        acl_rights_format(entry.rights, text);
        buffer_append_octet(text, ' ');
        if (entry.negative)
            buffer_append_octet(text, '-');
        buffer_append(text, entry.identifier);
        buffer_append_octet(text, '\t');
        buffer_append_string(text, name);
        buffer_append_octet(text, '\n');
        if (text->failed) {
            text->failed = false;
            buffer_truncate(text, before);
            return;
        }
    }
}

static void append_folder(struct mailbox *mailbox, const struct folder_entry *folder,
                          struct acl *acl, struct buffer *text)
{
    struct error error = {.kind = ERROR_NONE};
    int fd = openat(mailbox->account_fd, folder->directory,
                    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0 && acl_load(fd, slice_of_string(mailbox->account), acl, &error))
        append_entries(acl, folder->name, text);
    else if (fd >= 0)
        LOG(mailbox->log, LOG_ERROR, "rights_not_read",
            log_bytes("folder", slice_of_string(folder->directory)), log_failure(&error));
    fd_discard(&fd);
}

static void tell(struct mailbox *mailbox, struct slice lines)
{
    struct master_shares record = {.header = {.type = MASTER_SHARES}};
    mailbox->shares = lines.len > 0;
    mailbox->tell_master(mailbox, &record.header, sizeof(record), lines);
}

void shares_changed(struct mailbox *mailbox)
{
    struct folder_list list;
    struct acl acl;
    struct buffer text = BUFFER_WITH_LIMIT(SHARES_OCTETS_MAX);
    struct error error;
    if (!mailbox->config->imap.shared.text || !mailbox->tell_master)
        return;
    folder_list_init(&list);
    acl_init(&acl);
    if (folders_list(mailbox->account_fd, &list, &error)) {
        for (size_t i = 0; i < list.count; i++)
            if (list.entries[i].name)
                append_folder(mailbox, &list.entries[i], &acl, &text);
        tell(mailbox, buffer_slice(&text));
    } else {
        LOG(mailbox->log, LOG_ERROR, "shares_not_told", log_failure(&error));
    }
    acl_clear(&acl);
    folder_list_clear(&list);
    buffer_clear(&text);
}

void shares_on_folders(struct mailbox *mailbox)
{
    if (mailbox->shares)
        shares_changed(mailbox);
}
