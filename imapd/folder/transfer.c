/* The transfers of transfer.h. */
#include "imapd/folder/transfer.h"

#include "common/config/config.h"
#include "imapd/mailbox.h"

enum { UNKNOWN_LETTER = 0, NO_LETTER = 255 }; /* else 1 + the letter */

void transfer_begin(struct transfer *transfer, struct folder *from, struct folder *to, bool move,
                    struct arena *arena)
{
    *transfer = (struct transfer){
        .from = from,
        .to = to,
        .move = move,
        .flush = MAILDIR_FLUSH_START(&to->mailbox->file_system),
    };
    sequence_set_init(&transfer->from_uids, arena);
    sequence_set_init(&transfer->to_uids, arena);
}

/* A keyword can have a different letter in the target. If no letter is left, it is lost. */
static bool translate_letter(struct transfer *transfer, unsigned letter, uint32_t *there,
                             struct error *error)
{
    unsigned found;
    uint8_t *known = &transfer->letters[letter];
    const char *keyword = transfer->from->record.keywords[letter];
    if (*known == UNKNOWN_LETTER) {
        if (keyword[0] != '\0'
            && folder_keyword(transfer->to, slice_of_string(keyword), &found, error))
            *known = (uint8_t)(1 + found);
        else if (keyword[0] == '\0' || error->kind == ERROR_PERMANENT)
            *known = NO_LETTER;
        else
            return false;
    }
    if (*known != NO_LETTER)
        *there |= (uint32_t)1 << (*known - 1);
    return true;
}

static bool translate_letters(struct transfer *transfer, uint32_t letters, uint32_t *there,
                              struct error *error)
{
    *there = 0;
    for (uint32_t left = letters; left != 0; left &= left - 1) {
        if (!translate_letter(transfer, (unsigned)__builtin_ctz(left), there, error))
            return false;
    }
    return true;
}

static bool carry(struct transfer *transfer, const struct message *message,
                  const struct maildir_name *wanted, char name[MAILDIR_NAME_SIZE],
                  struct error *error)
{
    struct mailbox *mailbox = transfer->to->mailbox;
    struct maildir_transfer way = {
        .inbox = &mailbox->inbox,
        .from = &transfer->from->box,
        .place = MAILDIR_CUR,
        .name = message->name,
        .to = &transfer->to->box,
        .wanted = wanted,
        .host = slice_of_string(mailbox->config->hostname),
        .now = mailbox_now(),
    };
    return transfer->move ? maildir_move(&way, &transfer->flush, name, error)
                          : maildir_copy(&way, &transfer->flush, name, error);
}

static void count(struct transfer *transfer, const char *name)
{
    struct mailbox *mailbox = transfer->to->mailbox;
    bool is_new = !transfer->move || expunged_holds(transfer->from->directory);
    if (!is_new || !quota_is_set(&mailbox->quota))
        return;
    mailbox_count_quota(mailbox, (int64_t)quota_octets_of(&transfer->to->box, MAILDIR_CUR, name),
                        1);
}

bool transfer_one(struct transfer *transfer, uint32_t uid, struct error *error)
{
    struct maildir_name wanted = {.uidvalidity = transfer->to->record.uidvalidity};
    char name[MAILDIR_NAME_SIZE];
    struct message *message = folder_find(transfer->from, uid);
    if (!message)
        return error_set(error, ERROR_NOT_FOUND, "message is gone");
    wanted.flags = message->flags;
    if (!translate_letters(transfer, message->letters, &wanted.keywords, error)
        || !folder_next_uid(transfer->to, &wanted.uid, error)
        || !carry(transfer, message, &wanted, name, error))
        return false;
    if (transfer->move)
        folder_moved_out(transfer->from, message);
    count(transfer, name);
    /* From here on it is there; whatever fails below, it is found by the next look. */
    if (!folder_add(transfer->to, wanted.uid, name, error))
        return false;
    return (sequence_set_add(&transfer->from_uids, uid)
            && sequence_set_add(&transfer->to_uids, wanted.uid))
           || error_memory(error);
}

bool transfer_commit(struct transfer *transfer, struct error *error)
{
    const struct maildir *from = transfer->move ? &transfer->from->box : NULL;
    return maildir_flush_commit(&transfer->flush, &transfer->to->box, from, error);
}

bool transfer_list_unflushed(const struct transfer *transfer, int fds[MAILDIR_FLUSH_FDS],
                             size_t *count, struct error *error)
{
    const struct maildir *from = transfer->move ? &transfer->from->box : NULL;
    return maildir_flush_list(&transfer->flush, &transfer->to->box, from, fds, count, error);
}

void transfer_undo(struct transfer *transfer)
{
    struct error error;
    const struct sequence_set *done = &transfer->to_uids;
    for (size_t i = 0; i < done->count; i++) {
        for (uint64_t uid = done->ranges[i].first; uid <= done->ranges[i].last; uid++) {
            struct message *message = folder_find(transfer->to, (uint32_t)uid);
            if (message && !folder_remove(transfer->to, message, &error))
                LOG(transfer->to->mailbox->log, LOG_ERROR, "copy_not_undone", log_failure(&error));
        }
    }
}

void transfer_end(struct transfer *transfer)
{
    if (!transfer->to)
        return;
    maildir_flush_discard(&transfer->flush);
    folder_close(transfer->to);
    transfer->to = NULL;
}

void transfer_append_code(const struct transfer *transfer, struct buffer *code)
{
    if (transfer->to_uids.count == 0)
        return;
    buffer_append_format(code, "COPYUID %u ", transfer->to->record.uidvalidity);
    sequence_set_format(&transfer->from_uids, code);
    buffer_append_octet(code, ' ');
    sequence_set_format(&transfer->to_uids, code);
}
