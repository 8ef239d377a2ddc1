/* Modified UTF-7 to UTF-8 and back; see modified_utf7.h. Pure; any process. */
#include "common/text/modified_utf7.h"

#include <unistr.h>

#include "common/text/cursor.h"

enum { ALPHABET = 64 };

static const uint8_t alphabet[ALPHABET + 1] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";

static bool stands_for_itself(uint32_t character, uint8_t shifted)
{
    return character >= 0x20 && character <= 0x7e && character != shifted;
}

/* ---- encoding ---- */

/* The octets of UTF-16BE, given out six bits at a time. */
struct shift {
    uint32_t bits;
    unsigned count; /* of bits not yet written, below 6 between calls */
    bool open;      /* "&" is written, "-" is not */
};

static void put_unit(struct shift *shift, uint32_t unit, struct buffer *out)
{
    shift->bits = shift->bits << 16 | unit;
    shift->count += 16;
    while (shift->count >= 6) {
        shift->count -= 6;
        buffer_append_octet(out, alphabet[shift->bits >> shift->count & 0x3f]);
    }
    shift->bits &= (1U << shift->count) - 1;
}

static void put_shifted(struct shift *shift, uint32_t character, struct buffer *out)
{
    if (!shift->open)
        buffer_append_octet(out, '&');
    shift->open = true;
    if (character < 0x10000) {
        put_unit(shift, character, out);
        return;
    }
    put_unit(shift, 0xd800 + ((character - 0x10000) >> 10), out);
    put_unit(shift, 0xdc00 + ((character - 0x10000) & 0x3ff), out);
}

static void close_shift(struct shift *shift, struct buffer *out)
{
    if (!shift->open)
        return;
    if (shift->count > 0)
        buffer_append_octet(out, alphabet[shift->bits << (6 - shift->count) & 0x3f]);
    buffer_append_octet(out, '-');
    *shift = (struct shift){0, 0, false};
}

static void put_direct(uint8_t octet, struct buffer *out)
{
    buffer_append_octet(out, octet);
    if (octet == '&')
        buffer_append_octet(out, '-');
}

bool modified_utf7_encode_without(struct slice utf8, uint8_t shifted, struct buffer *out)
{
    struct shift shift = {0, 0, false};
    struct slice rest = utf8;
    while (rest.len > 0) {
        ucs4_t character;
        int octets = u8_mbtoucr(&character, rest.ptr, rest.len);
        if (octets <= 0 || character == 0)
            return false;
        rest = slice_from(rest, (size_t)octets);
        if (!stands_for_itself(character, shifted)) {
            put_shifted(&shift, character, out);
            continue;
        }
        close_shift(&shift, out);
        put_direct((uint8_t)character, out);
    }
    close_shift(&shift, out);
    return true;
}

bool modified_utf7_encode(struct slice utf8, struct buffer *out)
{
    return modified_utf7_encode_without(utf8, 0, out);
}

/* ---- decoding ---- */

/* -1: not of the alphabet. */
static int value_of(uint8_t letter)
{
    size_t place = slice_find_octet(slice_of(alphabet, ALPHABET), letter);
    return place < ALPHABET ? (int)place : -1;
}

/* UTF-16 units until the shift's end; what they spell is not looked at yet. */
struct units {
    struct cursor in; /* base64 of one shift, without "&" and "-" */
    uint32_t bits;
    unsigned count;
};

static bool take_unit(struct units *units, uint32_t *unit)
{
    while (units->count < 16) {
        uint8_t letter;
        int value;
        if (!cursor_peek(&units->in, &letter) || (value = value_of(letter)) < 0)
            return false;
        units->in.at++;
        units->bits = units->bits << 6 | (uint32_t)value;
        units->count += 6;
    }
    units->count -= 16;
    *unit = units->bits >> units->count & 0xffff;
    units->bits &= (1U << units->count) - 1;
    return true;
}

static bool take_character(struct units *units, uint32_t *character)
{
    uint32_t low;
    if (!take_unit(units, character))
        return false;
    if (*character < 0xd800 || *character > 0xdfff)
        return true;
    if (*character > 0xdbff || !take_unit(units, &low) || low < 0xdc00 || low > 0xdfff)
        return false;
    *character = 0x10000 + ((*character - 0xd800) << 10) + (low - 0xdc00);
    return true;
}

static void put_utf8(uint32_t character, struct buffer *out)
{
    uint8_t octets[6];
    int count = u8_uctomb(octets, character, sizeof(octets));
    if (count > 0)
        buffer_append(out, slice_of(octets, (size_t)count));
}

/* Everything within one shift: at least one character, none that stands for itself, and after the
 * last nothing but fewer than six zero bits. */
static bool decode_shift(struct slice base64, uint8_t shifted, struct buffer *out)
{
    struct units units = {cursor_of(base64), 0, 0};
    do {
        uint32_t character;
        if (!take_character(&units, &character) || character == 0
            || stands_for_itself(character, shifted))
            return false;
        put_utf8(character, out);
    } while (!cursor_at_end(&units.in));
    return units.count < 6 && units.bits == 0;
}

/* "&" base64 "-", or "&-" for the ampersand itself */
static bool take_shift(struct cursor *in, uint8_t shifted, bool *was_base64, struct buffer *out)
{
    struct slice rest = cursor_rest(in);
    size_t end = slice_find_octet(rest, '-');
    if (end == rest.len)
        return false;
    in->at += end + 1;
    *was_base64 = end > 1;
    if (*was_base64)
        return decode_shift(slice_range(rest, 1, end), shifted, out);
    buffer_append_octet(out, '&');
    return true;
}

bool modified_utf7_decode_without(struct slice text, uint8_t shifted, struct buffer *out)
{
    struct cursor in = cursor_of(text);
    bool after_base64 = false; /* another shift here should have been part of the one before */
    uint8_t octet;
    while (cursor_peek(&in, &octet)) {
        bool base64 = false;
        if (!stands_for_itself(octet, shifted))
            return false;
        if (octet == '&') {
            if (!take_shift(&in, shifted, &base64, out) || (base64 && after_base64))
                return false;
        } else {
            buffer_append_octet(out, octet);
            in.at++;
        }
        after_base64 = base64;
    }
    return true;
}

bool modified_utf7_decode(struct slice text, struct buffer *out)
{
    return modified_utf7_decode_without(text, 0, out);
}
