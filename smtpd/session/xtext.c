/* The functions of xtext.h. Pure. */
#include "smtpd/session/xtext.h"

#include "common/text/cursor.h"

/* HEXDIG of hexchar: upper case only. */
static bool take_hex_digit(struct cursor *in, unsigned *value)
{
    uint8_t digit;
    if (!cursor_peek(in, &digit))
        return false;
    if (ascii_is_digit(digit))
        *value = (unsigned)(digit - '0');
    else if (digit >= 'A' && digit <= 'F')
        *value = (unsigned)(digit - 'A' + 10);
    else
        return false;
    in->at++;
    return true;
}

/* hexchar = "+" 2HEXDIG; xchar = any of "!" to "~" but "+" and "=" */
static bool take_character(struct cursor *in, uint8_t *character)
{
    unsigned high;
    unsigned low;
    if (cursor_skip(in, '+')) {
        if (!take_hex_digit(in, &high) || !take_hex_digit(in, &low))
            return false;
        *character = (uint8_t)(high << 4 | low);
        return *character >= ' ' && *character <= '~';
    }
    if (!cursor_peek(in, character) || *character < '!' || *character > '~' || *character == '=')
        return false;
    in->at++;
    return true;
}

bool xtext_is_valid(struct slice text)
{
    struct cursor in = cursor_of(text);
    uint8_t character;
    while (!cursor_at_end(&in))
        if (!take_character(&in, &character))
            return false;
    return true;
}

void xtext_decode(struct slice text, struct buffer *out)
{
    struct cursor in = cursor_of(text);
    uint8_t character;
    while (take_character(&in, &character))
        buffer_append_octet(out, character);
}

void xtext_encode(struct slice octets, struct buffer *out)
{
    static const char digits[] = "0123456789ABCDEF";
    for (size_t i = 0; i < octets.len; i++) {
        uint8_t octet = octets.ptr[i];
        if (octet >= '!' && octet <= '~' && octet != '+' && octet != '=') {
            buffer_append_octet(out, octet);
            continue;
        }
        buffer_append_octet(out, '+');
        buffer_append_octet(out, (uint8_t)digits[octet >> 4]);
        buffer_append_octet(out, (uint8_t)digits[octet & 15]);
    }
}
