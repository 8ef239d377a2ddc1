/*
 * The writer of structure.h: one function a rule of RFC 3501 9. It recurses into parts; their depth
 * is bounded by MIME_DEPTH_MAX.
 */
#include "common/mime/structure.h"

#include "common/mime/content.h"
#include "common/mime/header_address.h"
#include "common/mime/token.h"

enum {
    PARAMETERS_ARENA = 16 * MIME_CONTENT_FIELD_LIMIT, /* of one field, %-encoding included */
    LONGEST_QUOTED = 1000, /* octets; longer ones are literals, for clients that read by lines */
};

struct writer {
    struct buffer *text;
    struct arena scratch; /* parameters of one field */
    struct buffer words;  /* of one text */
    bool extended;        /* BODYSTRUCTURE */
    bool failed;          /* no memory for scratch or words */
};

static const struct slice absent = {NULL, 0};

/* --- strings --- */

/* quoted = DQUOTE *QUOTED-CHAR DQUOTE, of TEXT-CHAR: 7 bits, no NUL, CR or LF    RFC 3501 9 */
static bool can_quote(struct slice string)
{
    for (size_t i = 0; i < string.len; i++) {
        uint8_t octet = string.ptr[i];
        if (octet == 0 || octet == '\r' || octet == '\n' || octet > 0x7f)
            return false;
    }
    return string.len <= LONGEST_QUOTED;
}

void structure_append_quoted(struct buffer *text, struct slice string)
{
    buffer_append_octet(text, '"');
    for (size_t begin = 0, i = 0; begin < string.len; i++) {
        if (i < string.len && string.ptr[i] != '"' && string.ptr[i] != '\\')
            continue;
        buffer_append(text, slice_range(string, begin, i));
        if (i < string.len)
            buffer_append_octet(text, '\\');
        begin = i; /* the escaped octet is written with the text after it */
    }
    buffer_append_octet(text, '"');
}

static void append_literal(struct buffer *text, struct slice string)
{
    size_t nuls = 0;
    for (size_t i = 0; i < string.len; i++)
        nuls += string.ptr[i] == 0;
    buffer_append_octet(text, '{');
    buffer_append_number(text, string.len - nuls);
    buffer_append(text, SLICE("}\r\n"));
    while (string.len > 0) {
        size_t run = slice_find_octet(string, 0);
        buffer_append(text, slice_range(string, 0, run));
        string = slice_from(string, run + 1);
    }
}

void structure_append_string(struct buffer *text, struct slice string)
{
    if (can_quote(string))
        structure_append_quoted(text, string);
    else
        append_literal(text, string);
}

/* Writes a run of white space, mostly tabs left by folds, as one space: clients show these texts in
 * lists. */
static void append_words(struct writer *writer, struct slice string)
{
    struct buffer *words = &writer->words;
    buffer_reset(words);
    token_append_words(string, words);
    writer->failed = writer->failed || words->failed;
    structure_append_string(writer->text, buffer_slice(words));
}

/* nstring = string / nil: NIL where string.ptr is NULL */
static void append_nstring(struct buffer *text, struct slice string)
{
    if (string.ptr)
        structure_append_string(text, string);
    else
        buffer_append(text, SLICE("NIL"));
}

/* --- ENVELOPE --- */

static struct slice field_text(const struct mime_part *part, enum mime_field_id id)
{
    const struct mime_field *field = mime_part_field(part, id);
    return field ? field->body : absent;
}

static struct slice nil_if_empty(struct slice string)
{
    return string.len > 0 ? string : absent;
}

/* address = "(" addr-name SP addr-adl SP addr-mailbox SP addr-host ")". A group begins with its
 * name as mailbox, and host NIL, and ends with both NIL. */
static void append_address(struct writer *writer, const struct header_address *address)
{
    struct buffer *text = writer->text;
    bool mailbox = address->kind == HEADER_ADDRESS_MAILBOX;
    bool group = address->kind == HEADER_ADDRESS_GROUP;
    static const struct slice empty = SLICE("");
    struct slice local_part = address->local_part.len > 0 ? address->local_part : empty;
    struct slice domain = address->domain.len > 0 ? address->domain : empty;
    buffer_append_octet(text, '(');
    if (mailbox && address->name.len > 0)
        append_words(writer, address->name);
    else
        append_nstring(text, absent);
    buffer_append_octet(text, ' ');
    append_nstring(text, nil_if_empty(address->route));
    buffer_append_octet(text, ' ');
    append_nstring(text, mailbox ? local_part : group ? address->name : absent);
    buffer_append_octet(text, ' ');
    append_nstring(text, mailbox ? domain : absent);
    buffer_append_octet(text, ')');
}

static bool append_addresses(struct writer *writer, struct slice body)
{
    struct header_address_reader reader;
    struct header_address address;
    header_address_reader_init(&reader, body);
    while (header_address_next(&reader, &address))
        append_address(writer, &address);
    bool read = !header_address_reader_failed(&reader);
    header_address_reader_clear(&reader);
    return read;
}

/* "(" 1*address ")" / nil, from all fields of that name. True if it was not NIL. */
static bool append_address_list(struct writer *writer, const struct mime_part *message,
                                enum mime_field_id id)
{
    struct buffer *text = writer->text;
    size_t before = text->len;
    buffer_append_octet(text, '(');
    size_t empty = text->len;
    for (const struct mime_field *field = message->fields; field; field = field->next)
        if (field->id == id && !append_addresses(writer, field->body))
            writer->failed = true;
    if (text->len > empty) {
        buffer_append_octet(text, ')');
        return true;
    }
    buffer_truncate(text, before);
    return false;
}

/* env-sender and env-reply-to: "the server sets the corresponding member of the envelope to be the
 * same value as the from member" if the field is absent or empty    RFC 3501 7.4.2 */
static void append_address_field(struct writer *writer, const struct mime_part *message,
                                 enum mime_field_id id, enum mime_field_id otherwise)
{
    buffer_append_octet(writer->text, ' ');
    if (!append_address_list(writer, message, id)
        && (otherwise == id || !append_address_list(writer, message, otherwise)))
        buffer_append(writer->text, SLICE("NIL"));
}

static void append_subject(struct writer *writer, const struct mime_part *message)
{
    struct slice subject = field_text(message, MIME_SUBJECT);
    if (subject.ptr)
        append_words(writer, subject);
    else
        append_nstring(writer->text, absent);
}

/* envelope = "(" env-date SP env-subject SP env-from SP env-sender SP env-reply-to SP env-to SP
 *            env-cc SP env-bcc SP env-in-reply-to SP env-message-id ")" */
static void append_envelope(struct writer *writer, const struct mime_part *message)
{
    struct buffer *text = writer->text;
    buffer_append_octet(text, '(');
    append_nstring(text, field_text(message, MIME_DATE));
    buffer_append_octet(text, ' ');
    append_subject(writer, message);
    append_address_field(writer, message, MIME_FROM, MIME_FROM);
    append_address_field(writer, message, MIME_SENDER, MIME_FROM);
    append_address_field(writer, message, MIME_REPLY_TO, MIME_FROM);
    append_address_field(writer, message, MIME_TO, MIME_TO);
    append_address_field(writer, message, MIME_CC, MIME_CC);
    append_address_field(writer, message, MIME_BCC, MIME_BCC);
    buffer_append_octet(text, ' ');
    append_nstring(text, field_text(message, MIME_IN_REPLY_TO));
    buffer_append_octet(text, ' ');
    append_nstring(text, field_text(message, MIME_MESSAGE_ID));
    buffer_append_octet(text, ')');
}

/* --- BODY, BODYSTRUCTURE --- */

/* body-fld-param = "(" string SP string *(SP string SP string) ")" / nil. Text that names no
 * charset is US-ASCII (RFC 2045 5.2), and said to be. */
static void append_parameters(struct writer *writer, struct slice body, bool is_text)
{
    struct buffer *text = writer->text;
    struct content_parameters parameters;
    struct slice charset;
    arena_reset(&writer->scratch);
    if (!content_parameters_parse(body, &writer->scratch, &parameters)) {
        writer->failed = true;
        return;
    }
    bool add_charset =
        is_text
        && !content_parameters_find(&parameters, SLICE("charset"), &writer->scratch, &charset);
    if (parameters.count == 0 && !add_charset) {
        buffer_append(text, SLICE("NIL"));
        return;
    }
    buffer_append_octet(text, '(');
    for (size_t i = 0; i < parameters.count; i++) {
        buffer_append(text, i > 0 ? SLICE(" ") : SLICE(""));
        structure_append_string(text, parameters.list[i].name);
        buffer_append_octet(text, ' ');
        structure_append_string(text, parameters.list[i].value);
    }
    if (add_charset) {
        buffer_append(text, parameters.count > 0 ? SLICE(" ") : SLICE(""));
        buffer_append(text, SLICE("\"charset\" \"us-ascii\""));
    }
    buffer_append_octet(text, ')');
}

static void append_encoding(struct writer *writer, const struct mime_part *part)
{
    struct slice word, rest;
    if (content_word_parse(field_text(part, MIME_CONTENT_TRANSFER_ENCODING), &word, &rest))
        structure_append_string(writer->text, word);
    else
        buffer_append(writer->text, SLICE("\"7bit\""));
}

/* body-fields = body-fld-param SP body-fld-id SP body-fld-desc SP body-fld-enc SP body-fld-octets
 */
static void append_body_fields(struct writer *writer, const struct mime_part *part, bool is_text)
{
    struct buffer *text = writer->text;
    append_parameters(writer, part->parameters, is_text);
    buffer_append_octet(text, ' ');
    append_nstring(text, field_text(part, MIME_CONTENT_ID));
    buffer_append_octet(text, ' ');
    append_nstring(text, field_text(part, MIME_CONTENT_DESCRIPTION));
    buffer_append_octet(text, ' ');
    append_encoding(writer, part);
    buffer_append_octet(text, ' ');
    buffer_append_number(text, part->body.crlf_octets);
}

/* body-fld-dsp = "(" string SP body-fld-param ")" / nil */
static void append_disposition(struct writer *writer, const struct mime_part *part)
{
    struct slice word, parameters;
    if (!content_word_parse(field_text(part, MIME_CONTENT_DISPOSITION), &word, &parameters)) {
        buffer_append(writer->text, SLICE("NIL"));
        return;
    }
    buffer_append_octet(writer->text, '(');
    structure_append_string(writer->text, word);
    buffer_append_octet(writer->text, ' ');
    append_parameters(writer, parameters, false);
    buffer_append_octet(writer->text, ')');
}

/* body-fld-lang = nstring / "(" string *(SP string) ")" */
static void append_languages(struct writer *writer, const struct mime_part *part)
{
    struct cursor in = cursor_of(field_text(part, MIME_CONTENT_LANGUAGE));
    struct slice tag;
    if (!content_language_next(&in, &tag)) {
        buffer_append(writer->text, SLICE("NIL"));
        return;
    }
    buffer_append_octet(writer->text, '(');
    structure_append_string(writer->text, tag);
    while (content_language_next(&in, &tag)) {
        buffer_append_octet(writer->text, ' ');
        structure_append_string(writer->text, tag);
    }
    buffer_append_octet(writer->text, ')');
}

/* What body-ext-1part and body-ext-mpart share: disposition, languages, location. */
static void append_extension(struct writer *writer, const struct mime_part *part)
{
    buffer_append_octet(writer->text, ' ');
    append_disposition(writer, part);
    buffer_append_octet(writer->text, ' ');
    append_languages(writer, part);
    buffer_append_octet(writer->text, ' ');
    append_nstring(writer->text, field_text(part, MIME_CONTENT_LOCATION));
}

static void append_part(struct writer *writer, const struct mime_part *part);

/* media-message body-fields SP envelope SP body SP body-fld-lines, and media-text with its lines */
static void append_type_specific(struct writer *writer, const struct mime_part *part, bool is_text)
{
    struct buffer *text = writer->text;
    if (part->kind == MIME_MESSAGE) {
        buffer_append_octet(text, ' ');
        append_envelope(writer, part->children);
        buffer_append_octet(text, ' ');
        append_part(writer, part->children);
    }
    if (part->kind == MIME_MESSAGE || is_text) {
        buffer_append_octet(text, ' ');
        buffer_append_number(text, part->body.lines);
    }
}

/* body-type-1part = (body-type-basic / body-type-msg / body-type-text) [SP body-ext-1part] */
static void append_single_part(struct writer *writer, const struct mime_part *part)
{
    struct buffer *text = writer->text;
    bool is_text = slice_equal_nocase(part->type, SLICE("text"));
    if (part->opaque) {
        buffer_append(text, SLICE("\"application\" \"octet-stream\""));
    } else {
        structure_append_string(text, part->type);
        buffer_append_octet(text, ' ');
        structure_append_string(text, part->subtype);
    }
    buffer_append_octet(text, ' ');
    append_body_fields(writer, part, is_text);
    append_type_specific(writer, part, is_text);
    if (!writer->extended)
        return;
    buffer_append_octet(text, ' ');
    append_nstring(text, field_text(part, MIME_CONTENT_MD5));
    append_extension(writer, part);
}

/* body-type-mpart = 1*body SP media-subtype [SP body-ext-mpart] */
static void append_multipart(struct writer *writer, const struct mime_part *part)
{
    static const struct mime_part empty_part = {
        .kind = MIME_LEAF,
        .type = SLICE("text"),
        .subtype = SLICE("plain"),
    };
    struct buffer *text = writer->text;
    if (!part->children)
        append_part(writer, &empty_part);
    for (const struct mime_part *child = part->children; child; child = child->next)
        append_part(writer, child);
    buffer_append_octet(text, ' ');
    structure_append_string(text, part->subtype);
    if (!writer->extended)
        return;
    buffer_append_octet(text, ' ');
    append_parameters(writer, part->parameters, false);
    append_extension(writer, part);
}

/* body = "(" (body-type-1part / body-type-mpart) ")" */
static void append_part(struct writer *writer, const struct mime_part *part)
{
    buffer_append_octet(writer->text, '(');
    if (part->kind == MIME_MULTIPART)
        append_multipart(writer, part);
    else
        append_single_part(writer, part);
    buffer_append_octet(writer->text, ')');
}

/* --- the three items --- */

static bool format(void (*append)(struct writer *, const struct mime_part *), bool extended,
                   const struct mime_part *part, struct buffer *text)
{
    struct writer writer = {
        .text = text, .words = BUFFER_WITH_LIMIT(MIME_FIELD_LIMIT), .extended = extended};
    arena_init(&writer.scratch, PARAMETERS_ARENA);
    append(&writer, part);
    arena_clear(&writer.scratch);
    buffer_clear(&writer.words);
    return !writer.failed && !text->failed;
}

bool structure_format_envelope(const struct mime_part *message, struct buffer *text)
{
    return format(append_envelope, false, message, text);
}

bool structure_format_body(const struct mime_part *root, struct buffer *text)
{
    return format(append_part, false, root, text);
}

bool structure_format_bodystructure(const struct mime_part *root, struct buffer *text)
{
    return format(append_part, true, root, text);
}
