/*
 * The decoders of decode.h. Quoted-printable is a machine over the states of enum decode_state;
 * each state has one function, which answers whether it took the octet: if not, what was held has
 * been written out, and the octet is looked at again as text.
 */
#include "common/mime/decode.h"

#include "common/mime/token.h"
#include "common/size.h"

bool decode_encoding_is_known(struct slice name)
{
    static const struct slice names[] = {SLICE("7bit"), SLICE("8bit"), SLICE("binary"),
                                         SLICE("quoted-printable"), SLICE("base64")};
    for (size_t i = 0; i < ARRAY_LENGTH(names); i++) {
        if (slice_equal_nocase(name, names[i]))
            return true;
    }
    return false;
}

enum decode_encoding decode_encoding_find(struct slice name)
{
    if (slice_equal_nocase(name, SLICE("quoted-printable")))
        return DECODE_QUOTED_PRINTABLE;
    return slice_equal_nocase(name, SLICE("base64")) ? DECODE_BASE64 : DECODE_IDENTITY;
}

void decode_init(struct decode *decode, enum decode_encoding encoding)
{
    *decode = (struct decode){.encoding = encoding};
}

/* --- quoted-printable, RFC 2045 6.7 --- */

static bool is_blank(uint8_t octet)
{
    return octet == ' ' || octet == '\t';
}

static void drop_held(struct decode *decode)
{
    decode->held_octets = 0;
    decode->state = DECODE_TEXT;
}

static bool write_held(struct decode *decode, struct buffer *octets)
{
    buffer_append(octets, slice_of(decode->held, decode->held_octets));
    drop_held(decode);
    return false;
}

static bool hold(struct decode *decode, enum decode_state state, uint8_t octet)
{
    decode->state = state;
    decode->held[decode->held_octets++] = octet;
    return true;
}

static bool in_text(struct decode *decode, uint8_t octet, struct buffer *octets)
{
    if (octet == '=')
        return hold(decode, DECODE_ESCAPE, octet);
    if (is_blank(octet))
        return hold(decode, DECODE_SPACE, octet);
    buffer_append_octet(octets, octet);
    return true;
}

static bool in_space(struct decode *decode, uint8_t octet, struct buffer *octets)
{
    if (is_blank(octet) && decode->held_octets < DECODE_HELD_LIMIT)
        return hold(decode, DECODE_SPACE, octet);
    if (octet == '\r' || octet == '\n')
        drop_held(decode);
    return write_held(decode, octets);
}

static bool in_escape(struct decode *decode, uint8_t octet, struct buffer *octets)
{
    if (token_hex_value(octet) >= 0)
        return hold(decode, DECODE_DIGIT, octet);
    if (is_blank(octet))
        return hold(decode, DECODE_SOFT, octet);
    if (octet == '\r')
        return hold(decode, DECODE_SOFT_CR, octet);
    if (octet != '\n')
        return write_held(decode, octets);
    drop_held(decode);
    return true;
}

static bool in_digit(struct decode *decode, uint8_t octet, struct buffer *octets)
{
    if (token_hex_value(octet) < 0)
        return write_held(decode, octets);
    buffer_append_octet(octets,
                        (uint8_t)(token_hex_value(decode->held[1]) << 4 | token_hex_value(octet)));
    drop_held(decode);
    return true;
}

static bool in_soft(struct decode *decode, uint8_t octet, struct buffer *octets)
{
    if (is_blank(octet) && decode->held_octets < DECODE_HELD_LIMIT - 1)
        return hold(decode, DECODE_SOFT, octet);
    if (octet == '\r')
        return hold(decode, DECODE_SOFT_CR, octet);
    if (octet != '\n')
        return write_held(decode, octets);
    drop_held(decode);
    return true;
}

static bool in_soft_cr(struct decode *decode, uint8_t octet, struct buffer *octets)
{
    if (octet != '\n')
        return write_held(decode, octets);
    drop_held(decode);
    return true;
}

static bool (*const steps[])(struct decode *, uint8_t, struct buffer *) = {
    [DECODE_TEXT] = in_text,   [DECODE_SPACE] = in_space, [DECODE_ESCAPE] = in_escape,
    [DECODE_DIGIT] = in_digit, [DECODE_SOFT] = in_soft,   [DECODE_SOFT_CR] = in_soft_cr,
};

static void feed_quoted_printable(struct decode *decode, struct slice piece, struct buffer *octets)
{
    for (size_t i = 0; i < piece.len; i++)
        if (!steps[decode->state](decode, piece.ptr[i], octets))
            in_text(decode, piece.ptr[i], octets);
}

/* --- base64, RFC 2045 6.8: "characters outside of the base64 alphabet are to be ignored" --- */

static int base64_value(uint8_t octet)
{
    if (octet >= 'A' && octet <= 'Z')
        return octet - 'A';
    if (octet >= 'a' && octet <= 'z')
        return octet - 'a' + 26;
    if (ascii_is_digit(octet))
        return octet - '0' + 52;
    if (octet == '+')
        return 62;
    return octet == '/' ? 63 : -1;
}

static void feed_base64(struct decode *decode, struct slice piece, struct buffer *octets)
{
    for (size_t i = 0; i < piece.len; i++) {
        int value = base64_value(piece.ptr[i]);
        if (piece.ptr[i] == '=')
            decode->bit_count = 0; /* the end, or that of one of several texts in a row */
        if (value < 0)
            continue;
        decode->bits = decode->bits << 6 | (uint32_t)value;
        decode->bit_count += 6;
        if (decode->bit_count >= 8) {
            decode->bit_count -= 8;
            buffer_append_octet(octets, (uint8_t)(decode->bits >> decode->bit_count));
        }
    }
}

void decode_feed(struct decode *decode, struct slice piece, struct buffer *octets)
{
    if (decode->encoding == DECODE_QUOTED_PRINTABLE)
        feed_quoted_printable(decode, piece, octets);
    else if (decode->encoding == DECODE_BASE64)
        feed_base64(decode, piece, octets);
    else
        buffer_append(octets, piece);
}

void decode_finish(struct decode *decode, struct buffer *octets)
{
    if (decode->state == DECODE_DIGIT)
        write_held(decode, octets);
    drop_held(decode);
}
