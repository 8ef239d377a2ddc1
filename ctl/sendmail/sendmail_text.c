/* The message of `staffetta sendmail`; see sendmail.h. Pure but for memory. */
#include <inttypes.h>

#include "common/mime/header.h"
#include "common/mime/header_address.h"
#include "common/text/address.h"
#include "common/text/date.h"
#include "ctl/sendmail/sendmail.h"

enum { RECIPIENTS_MAX = 10000 };

/* --- Addresses -------------------------------------------------------------------------------- */

/* The address in the arena. A name without a domain is of ours, and no mistake here. */
static bool complete(struct sendmail *mail, const struct header_address *written,
                     struct slice *address, struct error *error)
{
    struct buffer text = BUFFER_WITH_LIMIT(ADDRESS_LIMIT);
    struct address parsed;
    header_address_append_local_part(&text, written->local_part);
    buffer_append_octet(&text, '@');
    if (written->domain.len > 0)
        buffer_append(&text, written->domain);
    else
        buffer_append_string(&text, mail->domain);
    /* To the reader of headers a name alone is malformed. */
    bool is_name = written->domain.len == 0 && header_address_is_dot_string(written->local_part);
    bool valid = !text.failed && (!written->malformed || is_name)
                 && address_parse_mailbox(buffer_slice(&text), &parsed, NULL);
    *address = valid ? arena_copy(&mail->arena, buffer_slice(&text)) : slice_of(NULL, 0);
    buffer_clear(&text);
    struct slice said = written->local_part.len > 0 ? written->local_part : written->name;
    if (!valid)
        return error_set(error, ERROR_PERMANENT, "\"%.*s%s%.*s\" is no address", SLICE_PRINTF(said),
                         written->domain.len > 0 ? "@" : "", SLICE_PRINTF(written->domain));
    return address->ptr ? true : error_memory(error);
}

static bool add_recipient(struct sendmail *mail, struct slice address, struct error *error)
{
    struct sendmail_list *list = &mail->recipients;
    for (size_t i = 0; i < list->count; i++)
        if (slice_equal(list->items[i], address))
            return true;
    if (list->count == RECIPIENTS_MAX)
        return error_set(error, ERROR_PERMANENT, "more than %d recipients", RECIPIENTS_MAX);
    if (!list->items)
        list->items = arena_alloc_array(&mail->arena, RECIPIENTS_MAX, sizeof(*list->items));
    if (!list->items)
        return error_memory(error);
    list->items[list->count++] = address;
    return true;
}

bool sendmail_add_recipients(struct sendmail *mail, struct slice list, struct error *error)
{
    struct header_address_reader reader;
    struct header_address written;
    bool added = true;
    header_address_reader_init(&reader, list);
    while (added && header_address_next(&reader, &written)) {
        struct slice address;
        if (written.kind == HEADER_ADDRESS_MAILBOX)
            added =
                complete(mail, &written, &address, error) && add_recipient(mail, address, error);
    }
    if (added && header_address_reader_failed(&reader))
        added = error_memory(error);
    header_address_reader_clear(&reader);
    return added;
}

bool sendmail_set_sender(struct sendmail *mail, struct slice address, struct error *error)
{
    struct header_address_reader reader;
    struct header_address written;
    mail->sender = SLICE("");
    if (address.len == 0 || slice_equal(address, SLICE("<>")))
        return true;
    header_address_reader_init(&reader, address);
    bool set = header_address_next(&reader, &written) && written.kind == HEADER_ADDRESS_MAILBOX
                   ? complete(mail, &written, &mail->sender, error)
                   : error_set(error, ERROR_PERMANENT, "the sender is no address");
    header_address_reader_clear(&reader);
    return set;
}

/* --- The message ------------------------------------------------------------------------------ */

/* Lines with CRLF, whatever they came with, up to a lone dot where that ends them. The "From " line
 * that some programs put first is none of the message's. */
static void convert_lines(const struct sendmail *mail, struct slice input, struct buffer *lines)
{
    if (slice_starts_with(input, SLICE("From ")))
        input = slice_from(input, slice_find_octet(input, '\n') + 1);
    while (input.len > 0) {
        size_t end = slice_find_octet(input, '\n');
        struct slice line = slice_range(input, 0, end);
        input = slice_from(input, end + 1);
        if (line.len > 0 && line.ptr[line.len - 1] == '\r')
            line.len--;
        if (mail->dot_ends && slice_equal(line, SLICE(".")))
            return;
        buffer_append(lines, line);
        buffer_append(lines, SLICE("\r\n"));
    }
}

struct fields {
    bool from, date, message_id;
    bool resent; /* has recipients of its own (RFC 5322 3.6.6) */
};

static void append_from(const struct sendmail *mail, struct buffer *text)
{
    buffer_append_string(text, "From: ");
    if (mail->name.len > 0) {
        header_address_append_local_part(
            text, mail->name); /* quoted, as a local part is, where it must be */
        buffer_append_octet(text, ' ');
    }
    buffer_append_octet(text, '<');
    buffer_append(text, mail->author);
    buffer_append_string(text, ">\r\n");
}

static void append_missing(const struct sendmail *mail, const struct fields *fields, int64_t now,
                           uint64_t unique, struct buffer *text)
{
    const struct date date = {.seconds = now};
    char written[DATE_TEXT_OCTETS];
    date_format_message(&date, written);
    if (!fields->from)
        append_from(mail, text);
    if (!fields->date)
        buffer_append_format(text, "Date: %s\r\n", written);
    if (!fields->message_id)
        buffer_append_format(text, "Message-ID: <%" PRIx64 ".%" PRIx64 "@%s>\r\n", (uint64_t)now,
                             unique, mail->hostname);
}

static bool is_named(const struct header_field *field, struct slice name)
{
    return slice_equal_nocase(field->name, name);
}

/* RFC 5322 3.6.6: a message that is sent on goes to whom its Resent- fields name, and not once more
 * to those it went to first. */
static bool is_resent(struct slice lines)
{
    struct cursor in = cursor_of(lines);
    struct header_field field;
    while (header_next(&in, &field) && field.name.len > 0)
        if (is_named(&field, SLICE("Resent-To")) || is_named(&field, SLICE("Resent-Cc"))
            || is_named(&field, SLICE("Resent-Bcc")))
            return true;
    return false;
}

/* Keeps the field, unless it is Bcc. */
static bool take_field(struct sendmail *mail, const struct header_field *field,
                       struct fields *fields, struct error *error)
{
    bool is_resent_bcc = is_named(field, SLICE("Resent-Bcc"));
    bool is_bcc = is_resent_bcc || is_named(field, SLICE("Bcc"));
    bool addressed = fields->resent
                         ? is_resent_bcc || is_named(field, SLICE("Resent-To"))
                               || is_named(field, SLICE("Resent-Cc"))
                         : is_bcc || is_named(field, SLICE("To")) || is_named(field, SLICE("Cc"));
    fields->from |= is_named(field, SLICE("From"));
    fields->date |= is_named(field, SLICE("Date"));
    fields->message_id |= is_named(field, SLICE("Message-ID"));
    if (!is_bcc)
        buffer_append(&mail->text, field->whole);
    return !mail->from_header || !addressed || sendmail_add_recipients(mail, field->body, error);
}

/* A message that begins with no field is all body: an empty line goes before it. */
static bool take_message(struct sendmail *mail, struct slice lines, struct fields *fields,
                         struct error *error)
{
    struct cursor in = cursor_of(lines);
    struct cursor start = in;
    struct header_field field;
    fields->resent = is_resent(lines);
    while (header_next(&in, &field) && field.name.len > 0) {
        if (!take_field(mail, &field, fields, error))
            return false;
        start = in;
    }
    struct slice rest = cursor_rest(&start);
    if (!slice_starts_with(rest, SLICE("\r\n")))
        buffer_append(&mail->text, SLICE("\r\n"));
    buffer_append(&mail->text, rest);
    return true;
}

bool sendmail_make_text(struct sendmail *mail, struct slice input, int64_t now, uint64_t unique,
                        struct error *error)
{
    struct buffer lines = BUFFER_WITH_LIMIT(mail->text.limit);
    struct fields fields = {0};
    struct buffer missing = BUFFER_WITH_LIMIT(4096);
    convert_lines(mail, input, &lines);
    bool taken = take_message(mail, buffer_slice(&lines), &fields, error);
    append_missing(mail, &fields, now, unique, &missing);
    struct buffer whole = BUFFER_WITH_LIMIT(mail->text.limit);
    buffer_append(&whole, buffer_slice(&missing));
    buffer_append(&whole, buffer_slice(&mail->text));
    bool fits = !lines.failed && !missing.failed && !whole.failed && !mail->text.failed;
    buffer_clear(&lines);
    buffer_clear(&missing);
    buffer_clear(&mail->text);
    mail->text = whole;
    if (!taken)
        return false;
    return fits
           || error_set(error, ERROR_PERMANENT,
                        "the message is too large for the memory there is, or longer than "
                        "limits.message-size");
}
