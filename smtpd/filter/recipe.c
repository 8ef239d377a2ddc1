/*
 * The maker of recipe.h: one walk over the fields, which counts, cuts and notes what is there, then
 * the prefix from what was noted.
 */
#include "smtpd/filter/recipe.h"

#include <stdarg.h>
#include <stdio.h>

#include "common/mime/header.h"
#include "common/mime/header_address.h"
#include "common/net/ip_address.h"
#include "common/size.h"
#include "common/text/address.h"
#include "common/text/date.h"

/* What the walk found. */
struct found {
    size_t received;
    size_t from;
    bool date;
    bool message_id;
};

struct walk {
    const struct recipe_question *question;
    struct recipe *recipe;
    struct recipe_refusal *refusal;
    struct found found;
};

void recipe_init(struct recipe *recipe)
{
    *recipe = (struct recipe){
        .prefix = BUFFER_WITH_LIMIT(FILTER_PREFIX_MAX),
        .from = BUFFER_WITH_LIMIT(FILTER_FROM_MAX * (ADDRESS_LIMIT + sizeof(uint16_t))),
    };
}

void recipe_clear(struct recipe *recipe)
{
    buffer_clear(&recipe->prefix);
    buffer_clear(&recipe->from);
}

static bool refuse(struct recipe_refusal *refusal, uint16_t code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static bool refuse(struct recipe_refusal *refusal, uint16_t code, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    refusal->code = code;
    vsnprintf(refusal->text, sizeof(refusal->text), format, arguments);
    va_end(arguments);
    return false;
}

static bool refuse_memory(struct recipe_refusal *refusal)
{
    return refuse(refusal, 451, "4.3.0 Out of memory, please try again later");
}

static bool is_submission(const struct recipe_question *question)
{
    return (question->flags & FILTER_SUBMISSION) != 0;
}

/* --- cuts --- */

static bool cut(struct walk *walk, const struct header_field *field)
{
    struct recipe *recipe = walk->recipe;
    struct filter_cut *last = recipe->cut_count > 0 ? &recipe->cuts[recipe->cut_count - 1] : NULL;
    uint32_t offset = (uint32_t)(field->whole.ptr - walk->question->header.ptr);
    uint32_t octets = (uint32_t)field->whole.len;
    if (last && last->offset + last->octets == offset) {
        last->octets += octets;
        return true;
    }
    if (recipe->cut_count == FILTER_CUTS_MAX)
        return refuse(walk->refusal, 550, "5.6.0 More than %d fields to remove in the header",
                      FILTER_CUTS_MAX);
    recipe->cuts[recipe->cut_count++] = (struct filter_cut){offset, octets};
    return true;
}

/* --- From and Sender of a submission --- */

static bool report_address(struct walk *walk, const struct header_address *from, const char *name)
{
    struct recipe *recipe = walk->recipe;
    struct buffer text = BUFFER_WITH_LIMIT(ADDRESS_LIMIT);
    struct address address;
    bool reported = false;
    header_address_append_local_part(&text, from->local_part);
    buffer_append_octet(&text, '@');
    buffer_append(&text, from->domain);
    uint16_t octets = (uint16_t)text.len;
    if (from->malformed || text.failed
        || !address_parse_mailbox(buffer_slice(&text), &address, NULL)) {
        refuse(walk->refusal, 550, "5.6.0 The field %s does not hold valid addresses", name);
    } else if (recipe->from_count == FILTER_FROM_MAX) {
        refuse(walk->refusal, 550, "5.6.0 More than %d addresses in From and Sender",
               FILTER_FROM_MAX);
    } else {
        buffer_append(&recipe->from, slice_of(&octets, sizeof(octets)));
        buffer_append(&recipe->from, buffer_slice(&text));
        recipe->from_count++;
        reported = true;
    }
    buffer_clear(&text);
    return reported;
}

/* Every address of the field; there must be one. */
static bool report_addresses(struct walk *walk, const struct header_field *field, const char *name)
{
    struct header_address_reader reader;
    struct header_address address;
    size_t before = walk->recipe->from_count;
    bool reported = true;
    header_address_reader_init(&reader, field->body);
    while (reported && header_address_next(&reader, &address))
        if (address.kind == HEADER_ADDRESS_MAILBOX)
            reported = report_address(walk, &address, name);
    if (reported && header_address_reader_failed(&reader))
        reported = refuse_memory(walk->refusal);
    else if (reported && walk->recipe->from_count == before)
        reported = refuse(walk->refusal, 550, "5.6.0 The field %s holds no address", name);
    header_address_reader_clear(&reader);
    return reported;
}

/* --- the walk: one function a field that matters --- */

static bool on_received(struct walk *walk, const struct header_field *field)
{
    (void)field;
    if (++walk->found.received <= walk->question->received_limit)
        return true;
    return refuse(walk->refusal, 554,
                  "5.4.6 Mail loop: the message passed more than %zu servers (limits.received)",
                  walk->question->received_limit);
}

static bool on_from(struct walk *walk, const struct header_field *field)
{
    if (++walk->found.from > 1)
        return refuse(walk->refusal, 550, "5.6.0 More than one From field (RFC 5322 3.6)");
    return report_addresses(walk, field, "From");
}

static bool on_sender(struct walk *walk, const struct header_field *field)
{
    return report_addresses(walk, field, "Sender");
}

static bool on_date(struct walk *walk, const struct header_field *field)
{
    (void)field;
    walk->found.date = true;
    return true;
}

/* message-id = "Message-ID:" msg-id CRLF; msg-id = [CFWS] "<" id-left "@" id-right ">" [CFWS]
 * (RFC 5322 3.6.4): long ones stand in a line of their own. What is none is taken as it stands. */
static struct slice find_msg_id(struct slice body)
{
    size_t open = slice_find_octet(body, '<');
    size_t close = open + slice_find_octet(slice_from(body, open), '>');
    size_t fold = open + slice_find_octet(slice_from(body, open), '\r');
    if (close < fold && close < body.len)
        return slice_range(body, open, close + 1);
    while (body.len > 0 && (body.ptr[0] == '\r' || body.ptr[0] == '\n'))
        body = slice_trim(slice_from(body, 1));
    return slice_trim(slice_range(body, 0, slice_find_octet(body, '\r')));
}

static bool on_message_id(struct walk *walk, const struct header_field *field)
{
    if (!walk->found.message_id)
        walk->recipe->message_id = find_msg_id(slice_trim(field->body));
    walk->found.message_id = true;
    return true;
}

/* tls-required-value = "No"    RFC 8689 3; any other is as if the field were not there */
static bool on_tls_required(struct walk *walk, const struct header_field *field)
{
    struct buffer value = BUFFER_WITH_LIMIT(16);
    header_unfold(field->body, &value);
    if (!value.failed && slice_equal_nocase(buffer_slice(&value), SLICE("No")))
        walk->recipe->findings |= FILTER_TLS_OPTIONAL;
    buffer_clear(&value);
    return true;
}

static const struct {
    struct slice name;
    bool of_submission; /* looked at there only */
    bool (*handle)(struct walk *walk, const struct header_field *field);
} handlers[] = {
    {SLICE("Received"), false, on_received},
    {SLICE("Return-Path"), false, cut},
    {SLICE("TLS-Required"), false, on_tls_required},
    {SLICE("Bcc"), true, cut},
    {SLICE("Resent-Bcc"), true, cut},
    {SLICE("From"), true, on_from},
    {SLICE("Sender"), true, on_sender},
    {SLICE("Date"), true, on_date},
    {SLICE("Message-ID"), false, on_message_id},
};

static bool handle_field(struct walk *walk, const struct header_field *field)
{
    for (size_t i = 0; i < ARRAY_LENGTH(handlers); i++) {
        if (!slice_equal_nocase(field->name, handlers[i].name))
            continue;
        return (handlers[i].of_submission && !is_submission(walk->question))
               || handlers[i].handle(walk, field);
    }
    return true;
}

/* A first line that is no field makes all of the message its body, save for the "From " line of an
 * mbox, after which a header follows. */
static bool begins_with_body(struct slice header)
{
    struct cursor in = cursor_of(header);
    struct header_field field;
    return header_next(&in, &field) && field.name.len == 0
           && !slice_starts_with(header, SLICE("From "))
           && !slice_starts_with(header, SLICE(">From "));
}

static bool walk_fields(struct walk *walk)
{
    const struct recipe_question *question = walk->question;
    struct cursor in = cursor_of(question->header);
    struct header_field field;
    while (header_next(&in, &field))
        if (!handle_field(walk, &field))
            return false;
    size_t octets = (size_t)(in.at - question->header.ptr);
    if (octets <= question->header_limit && (question->header_is_whole || !cursor_at_end(&in)))
        return true;
    return refuse(walk->refusal, 552,
                  "5.3.4 The header is longer than %zu octets (limits.header-size)",
                  question->header_limit);
}

/* --- the prefix --- */

/* address-literal = "[" ( IPv4 / "IPv6:" IPv6 ) "]"    RFC 5321 4.1.3 */
static void append_client(struct buffer *text, struct slice client)
{
    bool is_ipv6 = slice_find_octet(client, ':') < client.len;
    buffer_append_string(text, is_ipv6 ? "[IPv6:" : "[");
    buffer_append(text, client);
    buffer_append_octet(text, ']');
}

/* Extended-Domain of the client: what it called itself, if that may stand there, and its address */
static void append_from(struct buffer *text, const struct recipe_question *question)
{
    struct address helo;
    buffer_append_string(text, "Received: from ");
    if (address_parse_host(question->helo, &helo, NULL) && !helo.utf8)
        buffer_append(text, question->helo);
    else
        append_client(text, question->client);
    buffer_append_string(text, " (");
    append_client(text, question->client);
    buffer_append_string(text, ")");
}

/* with = "SMTP" / "ESMTP" / ...: RFC 3848, RFC 6531 4.3 */
static void append_protocol(struct buffer *text, const struct recipe_question *question)
{
    bool extended = (question->flags & FILTER_ESMTP) != 0;
    bool utf8 = (question->flags & FILTER_UTF8) != 0;
    buffer_append_string(text, utf8 ? "UTF8SMTP" : extended ? "ESMTP" : "SMTP");
    if (!extended)
        return;
    if (question->tls.len > 0)
        buffer_append_octet(text, 'S');
    if (is_submission(question))
        buffer_append_octet(text, 'A');
}

/* tls-cipher = tls-cipher-name = ALPHA *(ALPHA / DIGIT / "_")    RFC 8314 4.3 */
static bool is_cipher_name(struct slice name)
{
    for (size_t i = 0; i < name.len; i++)
        if (!ascii_is_alpha(name.ptr[i])
            && (i == 0 || (!ascii_is_digit(name.ptr[i]) && name.ptr[i] != '_')))
            return false;
    return name.len > 0;
}

/* The tls clause of RFC 8314 4.3, the version as a comment after the cipher suite; all of it as a
 * comment if the suite has no name that may stand in the clause. */
static void append_tls(struct buffer *text, struct slice tls)
{
    size_t space = slice_find_octet(tls, ' ');
    struct slice cipher = slice_from(tls, space + 1);
    if (tls.len == 0)
        return;
    buffer_append_string(text, "\r\n\t");
    if (is_cipher_name(cipher)) {
        buffer_append_string(text, "tls ");
        buffer_append(text, cipher);
        buffer_append_octet(text, ' ');
        tls.len = space;
    }
    buffer_append_octet(text, '(');
    buffer_append(text, tls);
    buffer_append_octet(text, ')');
}

/* "for": with one recipient only, or it would tell each of the others (RFC 5321 7.2) */
static void append_for(struct buffer *text, const struct recipe_question *question)
{
    struct address recipient;
    bool utf8 = (question->flags & FILTER_UTF8) != 0;
    if (!address_parse_mailbox(question->recipient, &recipient, NULL) || (recipient.utf8 && !utf8))
        return;
    buffer_append_string(text, "\r\n\tfor ");
    address_format_path(&recipient, text);
}

static void append_date(struct buffer *text, const struct recipe_question *question)
{
    struct date date = {.seconds = question->arrival, .zone_minutes = 0, .zone_unknown = false};
    char written[DATE_TEXT_OCTETS];
    date_format_message(&date, written);
    buffer_append_string(text, written);
    buffer_append_string(text, "\r\n");
}

/* Time-stamp-line    RFC 5321 4.4 */
static void append_received(struct buffer *text, const struct recipe_question *question)
{
    append_from(text, question);
    buffer_append_string(text, "\r\n\tby ");
    buffer_append_string(text, question->hostname);
    buffer_append_string(text, " with ");
    append_protocol(text, question);
    buffer_append_string(text, "\r\n\tid ");
    buffer_append(text, question->id);
    append_for(text, question);
    append_tls(text, question->tls);
    buffer_append_string(text, ";\r\n\t");
    append_date(text, question);
}

/* A message without author is its account's. False if that is no address. */
static bool append_author(struct buffer *text, const struct recipe_question *question)
{
    struct buffer author = BUFFER_WITH_LIMIT(ADDRESS_LIMIT);
    struct address address;
    buffer_append(&author, question->account);
    if (slice_find_octet(question->account, '@') == question->account.len) {
        buffer_append_octet(&author, '@');
        buffer_append_string(&author, question->domain);
    }
    bool named = address_parse_mailbox(buffer_slice(&author), &address, NULL);
    if (named) {
        buffer_append_string(text, "From: ");
        address_format(&address, text);
        buffer_append_string(text, "\r\n");
    }
    buffer_clear(&author);
    return named;
}

/* What the client left out    RFC 6409 8.2, 8.3 */
static bool append_completions(struct buffer *text, const struct walk *walk)
{
    const struct recipe_question *question = walk->question;
    if (!walk->found.date) {
        buffer_append_string(text, "Date: ");
        append_date(text, question);
    }
    if (!walk->found.message_id) {
        buffer_append_string(text, "Message-ID: <");
        buffer_append(text, question->id);
        buffer_append_octet(text, '@');
        buffer_append_string(text, question->hostname);
        buffer_append_string(text, ">\r\n");
    }
    return walk->found.from > 0 || append_author(text, question)
           || refuse(walk->refusal, 550, "5.6.0 The message has no From field (RFC 5322 3.6)");
}

bool recipe_make(const struct recipe_question *question, struct recipe *recipe,
                 struct recipe_refusal *refusal)
{
    struct walk walk = {.question = question, .recipe = recipe, .refusal = refusal};
    bool all_body = begins_with_body(question->header);
    if (!all_body && !walk_fields(&walk))
        return false;
    append_received(&recipe->prefix, question);
    if (is_submission(question) && !append_completions(&recipe->prefix, &walk))
        return false;
    if (all_body)
        buffer_append_string(&recipe->prefix, "\r\n");
    if (recipe->prefix.failed || recipe->from.failed)
        return refuse_memory(refusal);
    return true;
}
