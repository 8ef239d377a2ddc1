/* The writer of word_writer.h. Pure; any process. */
#include "common/mime/word_writer.h"

#include <unistr.h>

#include "common/text/base64.h"

enum {
    LINE_OCTETS = 76,  /* of a line with an encoded word, RFC 2047 2 */
    WORD_OCTETS = 75,  /* of an encoded word, RFC 2047 2 */
    WORD_MARKS = 7,    /* octets of an encoded word besides its charset and text */
    WORTH_A_WORD = 40, /* octets left on a line that are used for the beginning of a text */
    BLANK_OCTETS = 30, /* white space is cut to that, so that a line always has room for a word */
    TEXT_LIMIT = 1 << 20,
};

void word_writer_init(struct word_writer *writer, struct buffer *out, size_t column)
{
    *writer = (struct word_writer){
        .out = out, .column = column, .text = BUFFER_WITH_LIMIT(TEXT_LIMIT), .blank = {NULL, 0}};
}

/* ---- lines ---- */

static void put(struct word_writer *writer, struct slice octets)
{
    buffer_append(writer->out, octets);
    writer->column += octets.len;
}

static void fold(struct word_writer *writer)
{
    buffer_append(writer->out, SLICE("\r\n"));
    writer->column = 0;
}

/* White space, on a new line if `octets` after it would pass the end of this one. */
static void put_blank(struct word_writer *writer, struct slice blank, size_t octets)
{
    blank = slice_range(blank, 0, BLANK_OCTETS);
    if (blank.len > 0 && writer->column + blank.len + octets > LINE_OCTETS)
        fold(writer);
    put(writer, blank);
}

/* ---- encoded words ---- */

/* The only ones that Q leaves as they are in a phrase, RFC 2047 5 (3); "_" means a space. */
static bool is_safe(uint8_t octet)
{
    return ascii_is_alpha(octet) || ascii_is_digit(octet) || octet == '!' || octet == '*'
           || octet == '+' || octet == '-' || octet == '/';
}

static size_t q_octets(uint8_t octet)
{
    return is_safe(octet) || octet == ' ' ? 1 : 3;
}

static void put_q(struct word_writer *writer, struct slice text)
{
    static const char digits[] = "0123456789ABCDEF";
    for (size_t i = 0; i < text.len; i++) {
        uint8_t octet = text.ptr[i];
        if (is_safe(octet)) {
            put(writer, slice_of(&octet, 1));
        } else if (octet == ' ') {
            put(writer, SLICE("_"));
        } else {
            put(writer, SLICE("="));
            put(writer, slice_of(&digits[octet >> 4], 1));
            put(writer, slice_of(&digits[octet & 15], 1));
        }
    }
}

/* How a text is encoded. */
struct manner {
    struct slice charset;
    bool utf8;
    bool base64;
};

/* Q can be read by eye, base64 is shorter where most octets are not letters. */
static struct manner manner_of(struct slice text)
{
    size_t unsafe = 0;
    for (size_t i = 0; i < text.len; i++)
        unsafe += q_octets(text.ptr[i]) > 1;
    bool utf8 = u8_check(text.ptr, text.len) == NULL;
    return (struct manner){.charset = utf8 ? SLICE("utf-8") : SLICE("unknown-8bit"),
                           .utf8 = utf8,
                           .base64 = unsafe > text.len / 2};
}

/* The octets of the character that the text begins with. */
static size_t character_octets(struct slice text, bool utf8)
{
    size_t octets = 1;
    while (utf8 && octets < text.len && (text.ptr[octets] & 0xc0) == 0x80)
        octets++;
    return octets;
}

/* As much of the text as fits into an encoded word of that many octets, at least one character. */
static struct slice first_piece(struct slice text, const struct manner *manner, size_t octets)
{
    size_t left = octets - WORD_MARKS - manner->charset.len;
    size_t end = 0, written = 0;
    while (end < text.len) {
        size_t next = character_octets(slice_from(text, end), manner->utf8);
        for (size_t i = 0; i < next; i++)
            written += q_octets(text.ptr[end + i]);
        if (end > 0 && (manner->base64 ? BASE64_LENGTH(end + next) : written) > left)
            break;
        end += next;
    }
    return slice_range(text, 0, end);
}

static void put_encoded_word(struct word_writer *writer, const struct manner *manner,
                             struct slice piece)
{
    put(writer, SLICE("=?"));
    put(writer, manner->charset);
    if (manner->base64) {
        put(writer, SLICE("?B?"));
        base64_encode(piece, writer->out);
        writer->column += BASE64_LENGTH(piece.len);
    } else {
        put(writer, SLICE("?Q?"));
        put_q(writer, piece);
    }
    put(writer, SLICE("?="));
}

/* ---- runs of text ---- */

static bool is_behind_parenthesis(const struct word_writer *writer)
{
    return writer->out->len > 0 && writer->out->ptr[writer->out->len - 1] == '(';
}

/* The octets a line must have room for: the whole text or a beginning of it. */
static size_t wanted_octets(struct slice text, const struct manner *manner)
{
    size_t octets = WORD_MARKS + manner->charset.len;
    if (manner->base64 && text.len < WORTH_A_WORD)
        octets += BASE64_LENGTH(text.len);
    for (size_t i = 0; !manner->base64 && i < text.len && octets < WORTH_A_WORD; i++)
        octets += q_octets(text.ptr[i]);
    return text.len < WORTH_A_WORD && octets < WORTH_A_WORD ? octets : (size_t)WORTH_A_WORD;
}

/* Octets of an encoded word after that white space, on this line or on the next. */
static size_t room_behind(const struct word_writer *writer, struct slice blank, size_t wanted)
{
    size_t used = writer->column + blank.len;
    size_t room = LINE_OCTETS - (used + wanted > LINE_OCTETS ? blank.len : used);
    return room < WORD_OCTETS ? room : (size_t)WORD_OCTETS;
}

static void put_text(struct word_writer *writer)
{
    struct slice text = buffer_slice(&writer->text);
    struct manner manner = manner_of(text);
    struct slice blank = slice_range(writer->blank, 0, BLANK_OCTETS);
    bool is_full = writer->column + wanted_octets(text, &manner) > LINE_OCTETS;
    if (blank.len == 0 && (is_full || !is_behind_parenthesis(writer)))
        blank = SLICE(" ");
    while (text.len > 0) {
        size_t wanted = wanted_octets(text, &manner);
        struct slice piece = first_piece(text, &manner, room_behind(writer, blank, wanted));
        put_blank(writer, blank, wanted);
        put_encoded_word(writer, &manner, piece);
        text = slice_from(text, piece.len);
        blank = SLICE(" ");
    }
    writer->out->failed |= writer->text.failed;
    buffer_reset(&writer->text);
}

/* Ends the pending text, if any; the white space after it belongs to it if an encoded word follows.
 * Returns the white space still to be written. */
static struct slice end_text(struct word_writer *writer, struct slice blank, bool encoded_follows)
{
    if (writer->text.len == 0)
        return blank;
    if (encoded_follows)
        buffer_append(&writer->text, blank);
    put_text(writer);
    return encoded_follows || blank.len == 0 ? SLICE(" ") : blank;
}

void word_writer_plain(struct word_writer *writer, struct slice blank, struct slice word)
{
    bool closes = blank.len == 0 && slice_starts_with(word, SLICE(")"));
    blank = end_text(writer, blank, false);
    put_blank(writer, closes ? SLICE("") : blank, word.len);
    put(writer, word);
    writer->after_encoded = false;
}

void word_writer_encoded(struct word_writer *writer, struct slice blank, struct slice word)
{
    put_blank(writer, end_text(writer, blank, true), word.len);
    put(writer, word);
    writer->after_encoded = true;
}

void word_writer_text(struct word_writer *writer, struct slice blank, struct slice text)
{
    if (writer->text.len > 0 || writer->after_encoded)
        buffer_append(&writer->text, blank);
    else
        writer->blank = blank;
    if (writer->after_encoded)
        writer->blank = SLICE(" ");
    writer->after_encoded = false;
    buffer_append(&writer->text, text);
}

void word_writer_end(struct word_writer *writer)
{
    end_text(writer, slice_of(NULL, 0), false);
    buffer_clear(&writer->text);
}
