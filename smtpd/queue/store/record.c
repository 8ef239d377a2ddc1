/* Formats and parses records of the queue; see record.h. Numbers are big-endian. Pure. */
#include "smtpd/queue/store/record.h"

#include "common/text/cursor.h"
#include "smtpd/queue/queue_protocol.h"

enum { VERSION = 2, CUT_OCTETS = 8 };

enum recipient_flags { IS_WARNED = 1, IS_BY_RETURN = 2, IS_FORWARDED = 4 };

_Static_assert(STORED_FLAGS_ALL
                   == (QUEUE_IN_SPOOL | QUEUE_SUBMITTED | QUEUE_UTF8 | QUEUE_8BITMIME
                       | QUEUE_RET_FULL | QUEUE_RET_HDRS | QUEUE_REQUIRETLS | QUEUE_BY_RETURN
                       | QUEUE_BY_TRACE | QUEUE_TLS_OPTIONAL),
               "all flags of a message");
_Static_assert(STORED_NOTIFY_ALL
                   == (QUEUE_NOTIFY_SUCCESS | QUEUE_NOTIFY_FAILURE | QUEUE_NOTIFY_DELAY
                       | QUEUE_NOTIFY_NEVER),
               "all that NOTIFY can ask for");

/* ---- numbers and texts ---- */

static void put_number(struct buffer *out, uint64_t number, size_t octets)
{
    for (size_t i = octets; i-- > 0;)
        buffer_append_octet(out, (uint8_t)(number >> (8 * i)));
}

static uint64_t number_at(const uint8_t *octets, size_t count)
{
    uint64_t number = 0;
    for (size_t i = 0; i < count; i++)
        number = number << 8 | octets[i];
    return number;
}

static bool take_octets(struct cursor *in, size_t count, struct slice *octets)
{
    if (cursor_left(in) < count)
        return false;
    *octets = slice_of(in->at, count);
    in->at += count;
    return true;
}

static bool take_number(struct cursor *in, size_t octets, uint64_t *number)
{
    struct slice text;
    if (!take_octets(in, octets, &text))
        return false;
    *number = number_at(text.ptr, octets);
    return true;
}

static bool take_u32(struct cursor *in, uint32_t *number)
{
    uint64_t value;
    if (!take_number(in, 4, &value))
        return false;
    *number = (uint32_t)value;
    return true;
}

static bool take_time(struct cursor *in, int64_t *seconds)
{
    uint64_t value;
    if (!take_number(in, 8, &value))
        return false;
    *seconds = (int64_t)value;
    return true;
}

static void put_text(struct buffer *out, struct slice text)
{
    if (text.len > STORED_TEXT_MAX) {
        out->failed = true;
        return;
    }
    put_number(out, text.len, 2);
    buffer_append(out, text);
}

static bool take_text(struct cursor *in, struct slice *text)
{
    uint64_t octets;
    return take_number(in, 2, &octets) && take_octets(in, (size_t)octets, text);
}

static bool take_version(struct cursor *in, unsigned *version)
{
    uint64_t value;
    if (!take_number(in, 1, &value) || value < 1 || value > VERSION)
        return false;
    *version = (unsigned)value;
    return true;
}

/* ---- cuts ---- */

static bool cut_fits(struct filter_cut cut, uint64_t after, uint64_t body_octets)
{
    return cut.octets > 0 && cut.offset >= after
           && (uint64_t)cut.offset + cut.octets <= body_octets;
}

bool stored_cuts_fit(const struct filter_cut *cuts, size_t count, uint64_t body_octets)
{
    uint64_t after = 0;
    for (size_t i = 0; i < count; i++) {
        if (!cut_fits(cuts[i], after, body_octets))
            return false;
        after = (uint64_t)cuts[i].offset + cuts[i].octets;
    }
    return true;
}

struct filter_cut stored_cut(const struct stored_message *message, size_t place)
{
    const uint8_t *at = message->cuts.ptr + place * CUT_OCTETS;
    return (struct filter_cut){.offset = (uint32_t)number_at(at, 4),
                               .octets = (uint32_t)number_at(at + 4, 4)};
}

static bool all_cuts_fit(const struct stored_message *message)
{
    uint64_t after = 0;
    for (size_t i = 0; i < message->cut_count; i++) {
        struct filter_cut cut = stored_cut(message, i);
        if (!cut_fits(cut, after, message->body_octets))
            return false;
        after = (uint64_t)cut.offset + cut.octets;
    }
    return true;
}

/* ---- messages ---- */

void stored_message_format(const struct stored_message *message, const struct filter_cut *cuts,
                           struct buffer *out)
{
    buffer_append_octet(out, VERSION);
    put_number(out, message->flags, 4);
    put_number(out, (uint64_t)message->arrival, 8);
    put_number(out, (uint64_t)message->deliver_by, 8);
    put_number(out, message->session, 8);
    put_text(out, message->reverse_path);
    put_text(out, message->envid);
    put_text(out, message->account);
    put_text(out, message->prefix);
    put_number(out, message->cut_count, 2);
    for (size_t i = 0; i < message->cut_count; i++) {
        put_number(out, cuts[i].offset, 4);
        put_number(out, cuts[i].octets, 4);
    }
    put_number(out, message->body_octets, 8);
    buffer_append(out, message->body);
}

static bool take_cuts(struct cursor *in, struct stored_message *message)
{
    uint64_t count;
    if (!take_number(in, 2, &count) || count > FILTER_CUTS_MAX
        || !take_octets(in, (size_t)count * CUT_OCTETS, &message->cuts))
        return false;
    message->cut_count = (size_t)count;
    return true;
}

/* The rest of the record is the whole body, unless the body is a file. */
static bool take_body(struct cursor *in, struct stored_message *message)
{
    if (!take_number(in, 8, &message->body_octets))
        return false;
    message->body = cursor_rest(in);
    if (message->flags & QUEUE_IN_SPOOL)
        return message->body.len == 0;
    return message->body.len == message->body_octets;
}

bool stored_message_parse(struct slice record, struct stored_message *result, struct error *error)
{
    struct cursor in = cursor_of(record);
    struct stored_message message = {0};
    unsigned version;
    if (!take_version(&in, &version))
        return error_set(error, ERROR_PERMANENT, "message record of an unknown version");
    if (!take_u32(&in, &message.flags) || (message.flags & ~STORED_FLAGS_ALL) != 0
        || !take_time(&in, &message.arrival)
        || (version > 1 && !take_time(&in, &message.deliver_by))
        || !take_number(&in, 8, &message.session) || !take_text(&in, &message.reverse_path)
        || !take_text(&in, &message.envid) || !take_text(&in, &message.account)
        || !take_text(&in, &message.prefix) || !take_cuts(&in, &message)
        || !take_body(&in, &message) || !all_cuts_fit(&message))
        return error_set(error, ERROR_PERMANENT, "message record is damaged");
    *result = message;
    return true;
}

/* ---- recipients ---- */

static uint64_t flags_of(const struct stored_recipient *recipient)
{
    return (recipient->warned ? IS_WARNED : 0U) | (recipient->by_return ? IS_BY_RETURN : 0U)
           | (recipient->forwarded ? IS_FORWARDED : 0U);
}

void stored_recipient_format(const struct stored_recipient *recipient, struct buffer *out)
{
    buffer_append_octet(out, VERSION);
    buffer_append_octet(out, (uint8_t)recipient->state);
    buffer_append_octet(out, (uint8_t)recipient->purpose);
    put_number(out, flags_of(recipient), 1);
    put_number(out, recipient->notify, 4);
    put_number(out, recipient->attempts, 4);
    put_number(out, (uint64_t)recipient->arrival, 8);
    put_number(out, (uint64_t)recipient->due, 8);
    put_number(out, (uint64_t)recipient->release, 8);
    put_number(out, (uint64_t)recipient->deliver_by, 8);
    put_number(out, recipient->sender, 8);
    put_text(out, recipient->account);
    put_text(out, recipient->destination);
    put_text(out, recipient->address);
    put_text(out, recipient->orcpt);
    put_text(out, slice_range(recipient->reply, 0, OUTCOME_TEXT_MAX));
}

static bool take_state(struct cursor *in, enum stored_state *state)
{
    uint64_t value;
    if (!take_number(in, 1, &value) || (value != STORED_WAITING && value != STORED_HELD))
        return false;
    *state = (enum stored_state)value;
    return true;
}

static bool take_purpose(struct cursor *in, struct stored_recipient *recipient)
{
    uint64_t purpose, flags;
    if (!take_number(in, 1, &purpose) || purpose > STORED_COPY || !take_number(in, 1, &flags)
        || (flags & ~(uint64_t)(IS_WARNED | IS_BY_RETURN | IS_FORWARDED)) != 0)
        return false;
    recipient->purpose = (enum stored_purpose)purpose;
    recipient->warned = (flags & IS_WARNED) != 0;
    recipient->by_return = (flags & IS_BY_RETURN) != 0;
    recipient->forwarded = (flags & IS_FORWARDED) != 0;
    return true;
}

static bool take_counts(struct cursor *in, struct stored_recipient *recipient)
{
    return take_u32(in, &recipient->notify) && (recipient->notify & ~STORED_NOTIFY_ALL) == 0
           && take_u32(in, &recipient->attempts) && take_time(in, &recipient->arrival)
           && take_time(in, &recipient->due);
}

static bool take_recipient(struct cursor *in, struct stored_recipient *recipient)
{
    return take_state(in, &recipient->state) && take_purpose(in, recipient)
           && take_counts(in, recipient) && take_time(in, &recipient->release)
           && take_time(in, &recipient->deliver_by) && take_number(in, 8, &recipient->sender)
           && take_text(in, &recipient->account) && take_text(in, &recipient->destination)
           && take_text(in, &recipient->address) && take_text(in, &recipient->orcpt)
           && take_text(in, &recipient->reply)
           && (recipient->account.len == 0 || recipient->destination.len == 0);
}

/* Format 1 predates relaying: recipients elsewhere, mostly of reports, were held until then and are
 * sent now. */
static bool take_recipient_1(struct cursor *in, struct stored_recipient *recipient)
{
    if (!take_state(in, &recipient->state) || !take_counts(in, recipient)
        || !take_text(in, &recipient->account) || !take_text(in, &recipient->address)
        || !take_text(in, &recipient->orcpt) || !take_text(in, &recipient->reply))
        return false;
    if (recipient->account.len > 0)
        return true;
    recipient->state = STORED_WAITING;
    recipient->purpose = recipient->notify == QUEUE_NOTIFY_NEVER ? STORED_REPORT : STORED_MAIL;
    return true;
}

bool stored_recipient_parse(struct slice record, struct stored_recipient *result,
                            struct error *error)
{
    struct cursor in = cursor_of(record);
    struct stored_recipient recipient = {0};
    unsigned version;
    if (!take_version(&in, &version))
        return error_set(error, ERROR_PERMANENT, "recipient record of an unknown version");
    bool taken = version == 1 ? take_recipient_1(&in, &recipient) : take_recipient(&in, &recipient);
    if (!taken || !cursor_at_end(&in))
        return error_set(error, ERROR_PERMANENT, "recipient record is damaged");
    *result = recipient;
    return true;
}
