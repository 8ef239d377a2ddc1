/* Reading DELIVER_MESSAGE and putting the message together; see deliver_message.h. */
#include "smtpd/deliver/deliver_message.h"

#include <unistd.h>

#include "common/disk/fd.h"
#include "common/text/cursor.h"

/* ---- the record ---- */

static bool take(struct cursor *in, size_t octets, struct slice *taken)
{
    if (cursor_left(in) < octets)
        return false;
    *taken = slice_of(in->at, octets);
    in->at += octets;
    return true;
}

/* They become header fields: a line end in one would be somebody else's field. */
static bool is_one_line(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] < 0x20 || text.ptr[i] == 0x7f)
            return false;
    return true;
}

/* It becomes part of a file name. */
static bool take_id_text(struct slice text, struct deliver_request *request)
{
    if (text.len == 0 || text.len >= sizeof(request->id_copy))
        return false;
    for (size_t i = 0; i < text.len; i++)
        if (!ascii_is_alpha(text.ptr[i]) && !ascii_is_digit(text.ptr[i]))
            return false;
    memcpy(request->id_copy, text.ptr, text.len);
    request->id_copy[text.len] = '\0';
    request->id_text = request->id_copy;
    return true;
}

static struct filter_cut cut_at(struct slice cuts, size_t place)
{
    struct filter_cut cut;
    memcpy(&cut, cuts.ptr + place * sizeof(cut), sizeof(cut));
    return cut;
}

static size_t cut_count(const struct deliver_request *request)
{
    return request->cuts.len / sizeof(struct filter_cut);
}

static bool cuts_are_in_order(const struct deliver_request *request)
{
    uint64_t end = 0;
    for (size_t i = 0; i < cut_count(request); i++) {
        struct filter_cut cut = cut_at(request->cuts, i);
        if (cut.offset < end)
            return false;
        end = (uint64_t)cut.offset + cut.octets;
    }
    return end <= request->body_octets;
}

/* The recipients' structs are within the record and aligned: the record is, and the struct before
 * them has a multiple of eight octets. */
_Static_assert(sizeof(struct deliver_message) % _Alignof(struct deliver_recipient) == 0,
               "recipients follow aligned");

static bool take_recipients(struct cursor *in, size_t count, struct deliver_request *request)
{
    struct slice structs;
    size_t address_octets = 0;
    if (count == 0 || count > DELIVER_RECIPIENTS_MAX
        || !take(in, count * sizeof(struct deliver_recipient), &structs))
        return false;
    request->recipients = (const void *)structs.ptr;
    request->recipient_count = count;
    for (size_t i = 0; i < count; i++) {
        if (request->recipients[i].address_octets == 0)
            return false;
        address_octets += request->recipients[i].address_octets;
    }
    return take(in, address_octets, &request->addresses) && is_one_line(request->addresses);
}

bool deliver_request_parse(struct slice record, int body_fd, struct deliver_request *request,
                           struct error *error)
{
    struct cursor in = cursor_of(record);
    struct slice fixed, id_text;
    struct deliver_message message;
    *request = (struct deliver_request){.body_fd = body_fd};
    if (!take(&in, sizeof(message), &fixed))
        return error_set(error, ERROR_PEER, "message record is too short");
    memcpy(&message, fixed.ptr, sizeof(message));
    request->id = message.id;
    request->arrival = message.arrival;
    request->body_octets = message.body_octets;
    bool valid = take_recipients(&in, message.recipients, request)
                 && take(&in, message.reverse_path_octets, &request->reverse_path)
                 && is_one_line(request->reverse_path) && take(&in, message.id_octets, &id_text)
                 && take_id_text(id_text, request) && message.prefix_octets <= FILTER_PREFIX_MAX
                 && take(&in, message.prefix_octets, &request->prefix)
                 && message.cuts <= FILTER_CUTS_MAX
                 && take(&in, message.cuts * sizeof(struct filter_cut), &request->cuts)
                 && cuts_are_in_order(request);
    if (valid && body_fd < 0)
        valid = message.body_octets <= FILTER_INLINE_MAX
                && take(&in, (size_t)message.body_octets, &request->body);
    return (valid && cursor_at_end(&in))
           || error_set(error, ERROR_PEER, "message record is malformed");
}

/* ---- the message ---- */

void deliver_own_fields(const struct deliver_request *request, struct slice address,
                        struct buffer *own)
{
    buffer_append(own, SLICE("Return-Path: <"));
    buffer_append(own, request->reverse_path);
    buffer_append(own, SLICE(">\r\nDelivered-To: "));
    buffer_append(own, address);
    buffer_append(own, SLICE("\r\n"));
}

static void add_body(const struct deliver_request *request, uint64_t from, uint64_t to,
                     struct deliver_message_pieces *made)
{
    if (from == to)
        return;
    made->pieces[made->count++] =
        request->body_fd < 0 ? piece_of(slice_range(request->body, (size_t)from, (size_t)to))
                             : piece_of_file(request->body_fd, from, to - from);
}

void deliver_make_pieces(const struct deliver_request *request, struct slice own,
                         struct deliver_message_pieces *made)
{
    uint64_t at = 0;
    made->count = 0;
    made->pieces[made->count++] = piece_of(own);
    made->pieces[made->count++] = piece_of(request->prefix);
    for (size_t i = 0; i < cut_count(request); i++) {
        struct filter_cut cut = cut_at(request->cuts, i);
        add_body(request, at, cut.offset, made);
        at = (uint64_t)cut.offset + cut.octets;
    }
    add_body(request, at, request->body_octets, made);
}

void deliver_make_copy_pieces(const struct deliver_request *request,
                              struct deliver_message_pieces *made)
{
    made->count = 0;
    made->pieces[made->count++] = piece_of(request->prefix);
    add_body(request, 0, request->body_octets, made);
}

/* ---- loops ---- */

bool deliver_read_header(const struct deliver_request *request, struct buffer *octets,
                         struct slice *header, struct error *error)
{
    size_t got;
    *header = request->body;
    if (request->body_fd < 0)
        return true;
    size_t size =
        request->body_octets < octets->limit ? (size_t)request->body_octets : octets->limit;
    if (!buffer_reserve(octets, size))
        return error_memory(error);
    if (!fd_pread_full(request->body_fd, octets->ptr, size, 0, &got, error))
        return error_prefix(error, "body");
    buffer_commit(octets, got);
    *header = buffer_slice(octets);
    return true;
}

/* A line without its end, be that CRLF or, where the configuration lets it through, LF. */
static bool take_line(struct slice *rest, struct slice *line)
{
    if (rest->len == 0)
        return false;
    size_t end = slice_find_octet(*rest, '\n');
    *line = slice_range(*rest, 0, end);
    *rest = slice_from(*rest, end + 1);
    if (slice_ends_with(*line, SLICE("\r")))
        line->len--;
    return true;
}

static struct slice without_brackets(struct slice text)
{
    if (text.len >= 2 && text.ptr[0] == '<' && text.ptr[text.len - 1] == '>')
        return slice_range(text, 1, text.len - 1);
    return text;
}

bool deliver_was_here(struct slice message, struct slice address)
{
    const struct slice field = SLICE("Delivered-To:");
    struct slice line;
    while (take_line(&message, &line) && line.len > 0) {
        if (!slice_starts_with_nocase(line, field))
            continue;
        struct slice value = slice_trim(slice_from(line, field.len));
        if (slice_equal_nocase(without_brackets(value), address))
            return true;
    }
    return false;
}
