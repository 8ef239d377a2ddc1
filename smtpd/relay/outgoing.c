/* A message under way; see outgoing.h. relay. */
#include "smtpd/relay/outgoing.h"

#include <assert.h>
#include <stdlib.h>

#include "common/disk/fd.h"
#include "common/role/turn.h"
#include "common/text/cursor.h"
#include "smtpd/queue/queue_protocol.h"

/* ---- the record ---- */

static bool take(struct cursor *in, size_t octets, struct slice *taken)
{
    if (cursor_left(in) < octets)
        return false;
    *taken = slice_of(in->at, octets);
    in->at += octets;
    return true;
}

/* These texts go into commands: a line end in one would begin another command. */
static bool take_text(struct cursor *in, size_t octets, struct slice *taken)
{
    if (!take(in, octets, taken))
        return false;
    for (size_t i = 0; i < octets; i++)
        if (taken->ptr[i] < 0x20 || taken->ptr[i] == 0x7f)
            return false;
    return true;
}

static bool take_recipients(struct cursor *in, struct outgoing *message)
{
    struct slice structs;
    if (!take(in, message->recipient_count * sizeof(struct relay_recipient), &structs)
        || !structs.ptr)
        return false;
    for (size_t i = 0; i < message->recipient_count; i++) {
        struct outgoing_recipient *recipient = &message->recipients[i];
        struct relay_recipient record;
        memcpy(&record, structs.ptr + i * sizeof(record), sizeof(record));
        if (record.address_octets == 0 || !take_text(in, record.address_octets, &recipient->address)
            || !take_text(in, record.orcpt_octets, &recipient->orcpt))
            return false;
        recipient->notify = record.notify;
    }
    return true;
}

static struct filter_cut cut_at(const struct outgoing *message, size_t place)
{
    struct filter_cut cut;
    memcpy(&cut, message->cuts.ptr + place * sizeof(cut), sizeof(cut));
    return cut;
}

static size_t cut_count(const struct outgoing *message)
{
    return message->cuts.len / sizeof(struct filter_cut);
}

static bool cuts_are_in_order(const struct outgoing *message)
{
    uint64_t end = 0;
    for (size_t i = 0; i < cut_count(message); i++) {
        struct filter_cut cut = cut_at(message, i);
        if (cut.offset < end)
            return false;
        end = (uint64_t)cut.offset + cut.octets;
    }
    return end <= message->body_octets;
}

static bool take_destination(struct cursor *in, size_t octets, struct outgoing *message)
{
    if (!take_text(in, octets, &message->destination_name))
        return false;
    bool is_marked = slice_starts_with(message->destination_name, SLICE("!"));
    message->requires_tls = (message->flags & QUEUE_REQUIRETLS) != 0;
    message->tls_is_optional = slice_starts_with(message->destination_name, SLICE("~"));
    message->destination_name =
        slice_from(message->destination_name, is_marked || message->tls_is_optional);
    return message->destination_name.len > 0;
}

static bool parse(struct outgoing *message, const struct relay_message *record, struct cursor *in,
                  bool body_in_file)
{
    message->request = record->header.request;
    message->id = record->id;
    message->flags = record->flags;
    message->deliver_by = record->deliver_by;
    message->body_octets = record->body_octets;
    bool valid =
        take_recipients(in, message) && take_destination(in, record->destination_octets, message)
        && take_text(in, record->reverse_path_octets, &message->reverse_path)
        && take_text(in, record->envid_octets, &message->envid)
        && take_text(in, record->id_octets, &message->id_text)
        && record->prefix_octets <= FILTER_PREFIX_MAX
        && take(in, record->prefix_octets, &message->prefix) && record->cuts <= FILTER_CUTS_MAX
        && take(in, record->cuts * sizeof(struct filter_cut), &message->cuts)
        && cuts_are_in_order(message);
    if (valid && !body_in_file)
        valid = record->body_octets <= FILTER_INLINE_MAX
                && take(in, (size_t)record->body_octets, &message->body);
    return valid && cursor_at_end(in);
}

static struct outgoing *allocate(struct slice record, size_t recipients)
{
    struct outgoing *message =
        calloc(1, sizeof(*message) + recipients * sizeof(struct outgoing_recipient));
    uint8_t *copy = malloc(record.len);
    if (!message || !copy) {
        free(message);
        free(copy);
        return NULL;
    }
    memcpy(copy, record.ptr, record.len);
    message->record = copy;
    message->body_fd = -1;
    message->recipient_count = message->unsettled = recipients;
    message->began_ms = turn_now_ms();
    buffer_init(&message->texts, recipients * RELAY_TEXT_MAX);
    return message;
}

struct outgoing *outgoing_new(struct slice record, int *body_fd, struct error *error)
{
    struct relay_message fixed;
    if (record.len < sizeof(fixed)) {
        error_set(error, ERROR_PEER, "message record is too short");
        return NULL;
    }
    memcpy(&fixed, record.ptr, sizeof(fixed));
    if (fixed.recipients == 0 || fixed.recipients > RELAY_RECIPIENTS_MAX) {
        error_set(error, ERROR_PEER, "message record with %u recipients", fixed.recipients);
        return NULL;
    }
    struct outgoing *message = allocate(record, fixed.recipients);
    if (!message) {
        error_memory(error);
        return NULL;
    }
    struct cursor in = cursor_of(slice_from(slice_of(message->record, record.len), sizeof(fixed)));
    if (!parse(message, &fixed, &in, *body_fd >= 0)) {
        error_set(error, ERROR_PEER, "message record is malformed");
        outgoing_free(message);
        return NULL;
    }
    message->body_fd = *body_fd;
    *body_fd = -1;
    return message;
}

void outgoing_free(struct outgoing *message)
{
    if (!message)
        return;
    fd_discard(&message->body_fd);
    buffer_clear(&message->texts);
    transcript_clear(&message->transcript);
    free(message->record);
    free(message);
}

/* ---- the content ---- */

uint64_t outgoing_octets(const struct outgoing *message)
{
    uint64_t octets = message->prefix.len + message->body_octets;
    for (size_t i = 0; i < cut_count(message); i++)
        octets -= cut_at(message, i).octets;
    return octets;
}

/* Returns the end of the run that begins at at->offset; skips a cut that begins there. */
static uint64_t next_run(const struct outgoing *message, struct outgoing_cursor *at)
{
    while (at->cut < cut_count(message)) {
        struct filter_cut cut = cut_at(message, at->cut);
        if (cut.offset > at->offset)
            return cut.offset;
        at->offset = (uint64_t)cut.offset + cut.octets;
        at->cut++;
    }
    return message->body_octets;
}

bool outgoing_read(const struct outgoing *message, struct outgoing_cursor *at,
                   uint8_t chunk[OUTGOING_CHUNK], struct slice *octets, struct error *error)
{
    if (!at->behind_prefix) {
        at->behind_prefix = true;
        *octets = message->prefix;
        if (octets->len > 0)
            return true;
    }
    uint64_t end = next_run(message, at);
    uint64_t left = end - at->offset;
    if (message->body_fd < 0) {
        *octets = slice_range(message->body, (size_t)at->offset, (size_t)end);
        at->offset = end;
        return true;
    }
    size_t size = left < OUTGOING_CHUNK ? (size_t)left : OUTGOING_CHUNK, got;
    if (!fd_pread_full(message->body_fd, chunk, size, at->offset, &got, error))
        return error_prefix(error, "body");
    if (got < size)
        return error_set(error, ERROR_TEMPORARY, "the body's file became shorter");
    *octets = slice_of(chunk, got);
    at->offset += got;
    return true;
}

/* ---- outcomes ---- */

void outgoing_settle(struct outgoing *message, size_t place, const struct outcome *outcome)
{
    struct outgoing_recipient *recipient = &message->recipients[place];
    assert(recipient->state != RECIPIENT_SETTLED);
    recipient->state = RECIPIENT_SETTLED;
    recipient->status = outcome->status;
    recipient->flags = outcome->flags;
    message->unsettled--;
    struct slice text = slice_range(outcome->text, 0, RELAY_TEXT_MAX);
    size_t before = message->texts.len;
    if (place > 0 && slice_equal(outgoing_text(message, place - 1), text)) {
        /* An answer to the whole message is stored once for all its recipients. */
        recipient->text_offset = message->recipients[place - 1].text_offset;
        recipient->text_octets = text.len;
        return;
    }
    buffer_append(&message->texts, text);
    recipient->text_offset = before;
    recipient->text_octets = message->texts.len - before;
}

void outgoing_settle_rest(struct outgoing *message, const struct outcome *outcome)
{
    for (size_t i = 0; i < message->recipient_count; i++)
        if (message->recipients[i].state != RECIPIENT_SETTLED)
            outgoing_settle(message, i, outcome);
}

size_t outgoing_first_undelivered(const struct outgoing *message)
{
    size_t i = 0;
    while (i < message->recipient_count && message->recipients[i].state == RECIPIENT_SETTLED
           && message->recipients[i].status == RELAY_DONE)
        i++;
    return i;
}

struct slice outgoing_text(const struct outgoing *message, size_t place)
{
    const struct outgoing_recipient *recipient = &message->recipients[place];
    return slice_range(buffer_slice(&message->texts), recipient->text_offset,
                       recipient->text_offset + recipient->text_octets);
}

void outgoing_append_outcomes(const struct outgoing *message, struct buffer *tail)
{
    for (size_t i = 0; i < message->recipient_count; i++) {
        const struct outgoing_recipient *recipient = &message->recipients[i];
        struct relay_outcome outcome = {.status = (uint16_t)recipient->status,
                                        .flags = recipient->flags,
                                        .text_octets = (uint16_t)recipient->text_octets};
        buffer_append(tail, slice_of(&outcome, sizeof(outcome)));
    }
    for (size_t i = 0; i < message->recipient_count; i++)
        buffer_append(tail, outgoing_text(message, i));
}
