/* Parsing a session's records; see submit_record.h. Pure. */
#include "smtpd/queue/intake/submit_record.h"

#include "common/role/master_protocol.h"

/* Whether the text has no control characters, which could end a line of a header field, a report or
 * the log. */
static bool is_one_line(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] < ' ' || text.ptr[i] == 0x7f)
            return false;
    return true;
}

static bool take_octets(struct slice *tail, size_t octets, size_t most, struct slice *taken)
{
    if (octets > most || octets > tail->len)
        return false;
    *taken = slice_range(*tail, 0, octets);
    *tail = slice_from(*tail, octets);
    return true;
}

static bool take_text(struct slice *tail, size_t octets, size_t most, struct slice *text)
{
    return take_octets(tail, octets, most, text) && is_one_line(*text);
}

bool recipient_record_parse(struct slice record, struct recipient_texts *result,
                            struct error *error)
{
    const struct queue_recipient *fixed = (const void *)record.ptr;
    struct slice tail = slice_from(record, sizeof(*fixed));
    struct recipient_texts texts = {.notify = fixed->notify,
                                    .permit = fixed->permit,
                                    .forwarded = (fixed->flags & QUEUE_FORWARDED) != 0};
    if (!take_text(&tail, fixed->account_octets, MASTER_ACCOUNT_MAX, &texts.account)
        || !take_text(&tail, fixed->address_octets, QUEUE_ADDRESS_MAX, &texts.address)
        || !take_text(&tail, fixed->orcpt_octets, QUEUE_ADDRESS_MAX, &texts.orcpt) || tail.len > 0
        || texts.address.len == 0 || (texts.notify & ~STORED_NOTIFY_ALL) != 0
        || (fixed->flags & ~(uint32_t)QUEUE_FORWARDED) != 0)
        return error_set(error, ERROR_PEER, "malformed recipient");
    *result = texts;
    return true;
}

static bool take_cuts(const struct queue_submit *fixed, struct slice *tail,
                      struct submitted *submitted)
{
    struct slice octets;
    if (!take_octets(tail, fixed->cuts * sizeof(submitted->cuts[0]), sizeof(submitted->cuts),
                     &octets))
        return false;
    if (octets.len > 0)
        memcpy(submitted->cuts, octets.ptr, octets.len);
    submitted->message.cut_count = fixed->cuts;
    return stored_cuts_fit(submitted->cuts, fixed->cuts, fixed->body_octets);
}

/* Aligned as a separate record would be. */
_Static_assert(sizeof(struct queue_submit) % _Alignof(struct queue_recipient) == 0,
               "a recipient follows aligned");

static bool take_last(const struct queue_submit *fixed, struct slice *tail,
                      struct submitted *submitted)
{
    struct slice record;
    submitted->has_last = fixed->recipient_octets > 0;
    if (!submitted->has_last)
        return true;
    return fixed->recipient_octets >= sizeof(struct queue_recipient)
           && take_octets(tail, fixed->recipient_octets, IPC_RECORD_MAX, &record)
           && recipient_record_parse(record, &submitted->last, NULL);
}

/* The rest of the record is the body, unless that is a file. */
static bool take_body(const struct queue_submit *fixed, struct slice tail,
                      struct stored_message *message)
{
    uint64_t wanted = fixed->flags & QUEUE_IN_SPOOL ? 0 : fixed->body_octets;
    message->body = tail;
    message->body_octets = fixed->body_octets;
    return tail.len == wanted && tail.len <= FILTER_INLINE_MAX;
}

static bool parse_tail(const struct queue_submit *fixed, struct slice tail,
                       struct submitted *submitted)
{
    struct stored_message *message = &submitted->message;
    return take_last(fixed, &tail, submitted)
           && take_text(&tail, fixed->reverse_path_octets, QUEUE_ADDRESS_MAX,
                        &message->reverse_path)
           && take_text(&tail, fixed->envid_octets, QUEUE_ENVID_MAX, &message->envid)
           && take_text(&tail, fixed->account_octets, MASTER_ACCOUNT_MAX, &message->account)
           && take_octets(&tail, fixed->prefix_octets, FILTER_PREFIX_MAX, &message->prefix)
           && take_cuts(fixed, &tail, submitted) && take_body(fixed, tail, message);
}

bool submit_record_parse(struct slice record, struct submitted *submitted, struct error *error)
{
    const struct queue_submit *fixed = (const void *)record.ptr;
    bool has_account = (fixed->flags & QUEUE_SUBMITTED) != 0;
    submitted->id = fixed->id;
    submitted->recipients = fixed->recipients;
    submitted->token = fixed->token;
    submitted->deliver_by = fixed->deliver_by;
    submitted->hold_until = fixed->hold_until;
    submitted->message = (struct stored_message){
        .arrival = fixed->arrival, .session = fixed->session, .flags = fixed->flags};
    if (fixed->recipients == 0 || fixed->deliver_by < 0 || fixed->hold_until < 0
        || (fixed->flags & ~STORED_FLAGS_ALL) != 0 || has_account != (fixed->account_octets > 0)
        || !parse_tail(fixed, slice_from(record, sizeof(*fixed)), submitted))
        return error_set(error, ERROR_PEER, "malformed message");
    return true;
}
