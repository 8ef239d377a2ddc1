/* One header field; see downgrade_field.h. Pure; relay. */
#include "smtpd/relay/downgrade/downgrade_field.h"

#include "common/mime/encoded_word.h"
#include "common/size.h"
#include "smtpd/relay/downgrade/downgrade_address.h"
#include "smtpd/relay/downgrade/downgrade_parameters.h"
#include "smtpd/relay/downgrade/transfer_mender.h"

enum {
    BODY_LIMIT = 4 << 20,
    CUT_OCTETS =
        960, /* of a word that has no place to be folded: what is left of it is a word yet */
};

bool downgrade_is_needed(struct slice lines)
{
    if (!slice_is_ascii(lines))
        return true;
    while (lines.len > DOWNGRADE_LINE_OCTETS) {
        size_t end = slice_find_octet(lines, '\n');
        bool ends_in_cr = end > 0 && end < lines.len && lines.ptr[end - 1] == '\r';
        if (end - ends_in_cr > DOWNGRADE_LINE_OCTETS)
            return true;
        lines = slice_from(lines, end + 1);
    }
    return false;
}

/* ---- words ---- */

static bool is_blank(uint8_t octet)
{
    return octet == ' ' || octet == '\t';
}

static struct slice take_run(struct cursor *in, bool blank)
{
    struct cursor start = *in;
    while (in->at != in->end && is_blank(*in->at) == blank)
        in->at++;
    return cursor_since(in, &start);
}

/* Writes the text between encoded words. */
static void put_piece(struct word_writer *writer, struct slice blank, struct slice piece)
{
    if (slice_is_ascii(piece))
        word_writer_plain(writer, blank, piece);
    else
        word_writer_text(writer, blank, piece);
}

void downgrade_word(struct word_writer *writer, struct slice blank, struct slice word)
{
    struct cursor in = cursor_of(word), start = in;
    while (!cursor_at_end(&in)) {
        struct cursor before = in;
        if (!encoded_word_skip(&in)) {
            in.at++;
            continue;
        }
        if (before.at != start.at) {
            put_piece(writer, blank, cursor_since(&before, &start));
            blank = SLICE("");
        }
        word_writer_encoded(writer, blank, cursor_since(&in, &before));
        blank = SLICE("");
        start = in;
    }
    if (start.at != in.at)
        put_piece(writer, blank, cursor_since(&in, &start));
}

/* ---- the kinds of fields ---- */

static void write_text(struct slice body, struct word_writer *writer)
{
    struct cursor in = cursor_of(body);
    while (!cursor_at_end(&in)) {
        struct slice blank = take_run(&in, true);
        struct slice word = take_run(&in, false);
        if (word.len > DOWNGRADE_WORD_OCTETS)
            word_writer_text(writer, blank, word);
        else
            downgrade_word(writer, blank, word);
    }
}

static void write_escaped(struct slice body, char sign, struct word_writer *writer)
{
    struct buffer escaped = BUFFER_WITH_LIMIT(BODY_LIMIT);
    struct cursor in = cursor_of(body);
    while (!cursor_at_end(&in)) {
        struct slice blank = take_run(&in, true);
        buffer_reset(&escaped);
        transfer_mend_octets(take_run(&in, false), sign, &escaped);
        word_writer_plain(writer, blank, buffer_slice(&escaped));
        writer->out->failed |= escaped.failed;
    }
    buffer_clear(&escaped);
}

static void write_grammar(struct slice body, struct word_writer *writer)
{
    write_escaped(body, '=', writer);
}

static void write_uris(struct slice body, struct word_writer *writer)
{
    write_escaped(body, '%', writer);
}

static void write_type(struct slice body, struct word_writer *writer)
{
    if (!downgrade_content_type(body, writer))
        write_grammar(body, writer);
}

static void write_disposition(struct slice body, struct word_writer *writer)
{
    if (!downgrade_content_disposition(body, writer))
        write_grammar(body, writer);
}

typedef void write_body(struct slice body, struct word_writer *writer);

static const struct kind {
    const char *name;
    write_body *write;
} kinds[] = {
    {"From", downgrade_addresses},
    {"Sender", downgrade_addresses},
    {"Reply-To", downgrade_addresses},
    {"To", downgrade_addresses},
    {"Cc", downgrade_addresses},
    {"Bcc", downgrade_addresses},
    {"Resent-From", downgrade_addresses},
    {"Resent-Sender", downgrade_addresses},
    {"Resent-Reply-To", downgrade_addresses},
    {"Resent-To", downgrade_addresses},
    {"Resent-Cc", downgrade_addresses},
    {"Resent-Bcc", downgrade_addresses},
    {"Disposition-Notification-To", downgrade_addresses},
    {"Return-Receipt-To", downgrade_addresses},
    {"Errors-To", downgrade_addresses},
    {"Apparently-To", downgrade_addresses},
    {"Mail-Followup-To", downgrade_addresses},
    {"Mail-Reply-To", downgrade_addresses},
    {"Keywords", downgrade_addresses}, /* phrases with commas between */
    {"Content-Type", write_type},
    {"Content-Disposition", write_disposition},
    {"Received", write_grammar},
    {"Return-Path", write_grammar},
    {"Delivered-To", write_grammar},
    {"Date", write_grammar},
    {"Resent-Date", write_grammar},
    {"MIME-Version", write_grammar},
    {"Content-Transfer-Encoding", write_grammar},
    {"Content-ID", write_grammar},
    {"Content-MD5", write_grammar},
    {"Content-Language", write_grammar},
    {"Auto-Submitted", write_grammar},
    {"Authentication-Results", write_grammar},
    {"Received-SPF", write_grammar},
    {"DKIM-Signature", write_grammar},
    {"ARC-Seal", write_grammar},
    {"ARC-Message-Signature", write_grammar},
    {"ARC-Authentication-Results", write_grammar},
    {"List-ID", downgrade_addresses},
    {"List-Help", write_uris},
    {"List-Subscribe", write_uris},
    {"List-Unsubscribe", write_uris},
    {"List-Post", write_uris},
    {"List-Owner", write_uris},
    {"List-Archive", write_uris},
    {"Archived-At", write_uris},
};

static write_body *kind_of(struct slice name)
{
    for (size_t i = 0; i < ARRAY_LENGTH(kinds); i++)
        if (slice_equal_nocase(name, slice_of_string(kinds[i].name)))
            return kinds[i].write;
    return write_text;
}

static bool is_identifier(struct slice name)
{
    static const char *const names[] = {"Message-ID", "Resent-Message-ID", "In-Reply-To",
                                        "References"};
    for (size_t i = 0; i < ARRAY_LENGTH(names); i++)
        if (slice_equal_nocase(name, slice_of_string(names[i])))
            return true;
    return false;
}

/* ---- the field ---- */

/* Writes the body on one line after a space. A bare CR would end a line when it is sent. */
static void unfold(struct slice folded, struct buffer *body)
{
    buffer_append(body, SLICE(" "));
    header_unfold(folded, body);
    for (size_t i = 0; i < body->len; i++)
        if (body->ptr[i] == '\r')
            body->ptr[i] = ' ';
}

static void write_field(const struct header_field *field, struct slice body, struct buffer *out)
{
    struct word_writer writer;
    size_t before = out->len;
    write_body *write = kind_of(field->name);
    if (is_identifier(field->name) && slice_is_ascii(body))
        write = write_grammar;
    else if (is_identifier(field->name))
        buffer_append(out, SLICE("Downgraded-"));
    buffer_append(out, field->name);
    buffer_append(out, SLICE(":"));
    word_writer_init(&writer, out, out->len - before);
    write(body, &writer);
    word_writer_end(&writer);
    buffer_append(out, SLICE("\r\n"));
}

static bool is_all_blank(struct slice text)
{
    struct cursor in = cursor_of(text);
    return take_run(&in, true).len == text.len;
}

static void put_cut(struct slice line, struct buffer *out)
{
    while (line.len > DOWNGRADE_LINE_OCTETS + SLICE("\r\n").len) {
        struct slice piece = slice_range(line, 0, CUT_OCTETS);
        line = slice_from(line, CUT_OCTETS);
        if (is_all_blank(piece)) /* no line may be that, RFC 5322 3.2.2 */
            continue;
        buffer_append(out, piece);
        buffer_append(out, SLICE("\r\n "));
    }
    buffer_append(out, line);
}

/* RFC 5322 2.1.1 has no exception for a word, a name or a parameter that is longer than a line: the
 * folds add spaces, which DKIM and URIs (RFC 2369 2) ignore. */
static void cut_lines(struct buffer *out, size_t before)
{
    struct buffer text = BUFFER_WITH_LIMIT(out->limit);
    buffer_append(&text, slice_from(buffer_slice(out), before));
    buffer_truncate(out, before);
    for (struct slice rest = buffer_slice(&text); rest.len > 0;) {
        size_t end = slice_find_octet(rest, '\n');
        put_cut(slice_range(rest, 0, end + 1), out);
        rest = slice_from(rest, end + 1);
    }
    out->failed |= text.failed;
    buffer_clear(&text);
}

void downgrade_field_anew(const struct header_field *field, struct buffer *out)
{
    size_t before = out->len;
    struct buffer body = BUFFER_WITH_LIMIT(BODY_LIMIT);
    unfold(field->body, &body);
    write_field(field, buffer_slice(&body), out);
    if (downgrade_is_needed(slice_from(buffer_slice(out), before)))
        cut_lines(out, before);
    out->failed |= body.failed;
    buffer_clear(&body);
}

void downgrade_field(const struct header_field *field, struct buffer *out)
{
    if (!downgrade_is_needed(field->whole)) {
        buffer_append(out, field->whole);
    } else if (field->name.len > 0) {
        downgrade_field_anew(field, out);
    } else {
        struct transfer_mender mender = {.kind = MEND_LINE};
        transfer_mend(&mender, field->whole, out);
    }
}
