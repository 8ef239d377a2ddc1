/* Records of a session: whatever comes is refused, or consists of what it says. The first octet
 * chooses the kind. */
#include <stdlib.h>

#include "smtpd/queue/intake/submit_record.h"

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t size);

static void require(bool true_always)
{
    if (!true_always)
        abort();
}

static size_t recipient_octets(const struct recipient_texts *texts)
{
    return sizeof(struct queue_recipient) + texts->account.len + texts->address.len
           + texts->orcpt.len;
}

static void check_submit(struct slice record)
{
    static struct submitted submitted;
    struct error error = {0};
    if (!submit_record_parse(record, &submitted, &error)) {
        require(error.kind == ERROR_PEER);
        return;
    }
    const struct stored_message *message = &submitted.message;
    size_t texts = message->reverse_path.len + message->envid.len + message->account.len;
    size_t last = submitted.has_last ? recipient_octets(&submitted.last) : 0;
    require(sizeof(struct queue_submit) + last + texts + message->prefix.len
                + message->cut_count * sizeof(struct filter_cut) + message->body.len
            == record.len);
    require(submitted.recipients > 0);
    require((message->account.len > 0) == ((message->flags & QUEUE_SUBMITTED) != 0));
    require(stored_cuts_fit(submitted.cuts, message->cut_count, message->body_octets));
    /* What is taken can be stored, and is read again. */
    struct buffer stored = BUFFER_WITH_LIMIT(STORED_MESSAGE_MAX);
    struct stored_message again;
    stored_message_format(message, submitted.cuts, &stored);
    require(!stored.failed && stored_message_parse(buffer_slice(&stored), &again, NULL));
    require(slice_equal(again.body, message->body));
    buffer_clear(&stored);
}

static void check_recipient(struct slice record)
{
    struct recipient_texts texts;
    if (recipient_record_parse(record, &texts, NULL))
        require(recipient_octets(&texts) == record.len);
}

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t size)
{
    if (size == 0)
        return 0;
    bool is_submit = octets[0] & 1;
    size_t fixed = is_submit ? sizeof(struct queue_submit) : sizeof(struct queue_recipient);
    if (size - 1 < fixed || size - 1 > IPC_RECORD_MAX)
        return 0;
    uint8_t *aligned = malloc(size - 1);
    require(aligned != NULL);
    memcpy(aligned, octets + 1, size - 1);
    if (is_submit)
        check_submit(slice_of(aligned, size - 1));
    else
        check_recipient(slice_of(aligned, size - 1));
    free(aligned);
    return 0;
}
