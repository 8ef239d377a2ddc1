/* Records of the queue: what parses comes back octet for octet from format, unless it is of an
 * older version, and nothing else is read than the record. The first octet chooses the kind. */
#include <stdlib.h>

#include "smtpd/queue/store/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t size);

/* Whether it is as we would write it. */
static bool is_ours(struct slice record)
{
    return record.ptr[0] == 2;
}

static void check_message(struct slice record)
{
    struct stored_message message;
    if (!stored_message_parse(record, &message, NULL))
        return;
    struct filter_cut cuts[FILTER_CUTS_MAX];
    for (size_t i = 0; i < message.cut_count; i++)
        cuts[i] = stored_cut(&message, i);
    if (!stored_cuts_fit(cuts, message.cut_count, message.body_octets))
        abort();
    struct buffer again = BUFFER_WITH_LIMIT(STORED_MESSAGE_MAX + record.len);
    stored_message_format(&message, cuts, &again);
    if (again.failed || (is_ours(record) && !slice_equal(buffer_slice(&again), record)))
        abort();
    buffer_clear(&again);
}

static void check_recipient(struct slice record)
{
    struct stored_recipient recipient;
    if (!stored_recipient_parse(record, &recipient, NULL))
        return;
    struct buffer again = BUFFER_WITH_LIMIT(STORED_RECIPIENT_MAX);
    stored_recipient_format(&recipient, &again);
    /* A longer reply than we write ourselves is cut. */
    bool same = recipient.reply.len > OUTCOME_TEXT_MAX || slice_equal(buffer_slice(&again), record);
    if (again.failed || (is_ours(record) && !same))
        abort();
    buffer_clear(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t size)
{
    if (size == 0)
        return 0;
    struct slice record = slice_of(octets + 1, size - 1);
    if (octets[0] & 1)
        check_message(record);
    else
        check_recipient(record);
    return 0;
}
