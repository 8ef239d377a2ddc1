/* The encoder and decoder of base64.h: three octets are four letters of six bits. Pure. */
#include "common/text/base64.h"

static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* Value of a letter + 1; 0: not one of the alphabet. */
static const uint8_t values[256] = {
    ['A'] = 1,  ['B'] = 2,  ['C'] = 3,  ['D'] = 4,  ['E'] = 5,  ['F'] = 6,  ['G'] = 7,  ['H'] = 8,
    ['I'] = 9,  ['J'] = 10, ['K'] = 11, ['L'] = 12, ['M'] = 13, ['N'] = 14, ['O'] = 15, ['P'] = 16,
    ['Q'] = 17, ['R'] = 18, ['S'] = 19, ['T'] = 20, ['U'] = 21, ['V'] = 22, ['W'] = 23, ['X'] = 24,
    ['Y'] = 25, ['Z'] = 26, ['a'] = 27, ['b'] = 28, ['c'] = 29, ['d'] = 30, ['e'] = 31, ['f'] = 32,
    ['g'] = 33, ['h'] = 34, ['i'] = 35, ['j'] = 36, ['k'] = 37, ['l'] = 38, ['m'] = 39, ['n'] = 40,
    ['o'] = 41, ['p'] = 42, ['q'] = 43, ['r'] = 44, ['s'] = 45, ['t'] = 46, ['u'] = 47, ['v'] = 48,
    ['w'] = 49, ['x'] = 50, ['y'] = 51, ['z'] = 52, ['0'] = 53, ['1'] = 54, ['2'] = 55, ['3'] = 56,
    ['4'] = 57, ['5'] = 58, ['6'] = 59, ['7'] = 60, ['8'] = 61, ['9'] = 62, ['+'] = 63, ['/'] = 64,
};

static void encode_group(const uint8_t *octets, size_t count, struct buffer *text)
{
    uint32_t bits = 0;
    for (size_t i = 0; i < 3; i++)
        bits = bits << 8 | (i < count ? octets[i] : 0U);
    uint8_t group[4];
    for (size_t i = 0; i < 4; i++)
        group[i] = (uint8_t)letters[bits >> (18 - 6 * i) & 63];
    for (size_t i = count + 1; i < 4; i++)
        group[i] = '=';
    buffer_append(text, slice_of(group, sizeof(group)));
}

void base64_encode(struct slice octets, struct buffer *text)
{
    for (size_t at = 0; at < octets.len; at += 3)
        encode_group(octets.ptr + at, octets.len - at < 3 ? octets.len - at : 3, text);
}

static size_t count_padding(struct slice text)
{
    if (!slice_ends_with(text, SLICE("=")))
        return 0;
    return slice_ends_with(text, SLICE("==")) ? 2 : 1;
}

/* `count` letters, 2 to 4, are count - 1 octets; the bits left over must be zero. */
static bool decode_group(const uint8_t *group, size_t count, uint8_t *octets)
{
    uint32_t bits = 0;
    for (size_t i = 0; i < 4; i++) {
        uint8_t value = i < count ? values[group[i]] : 1;
        if (value == 0)
            return false;
        bits = bits << 6 | (value - 1U);
    }
    size_t length = count - 1;
    for (size_t i = 0; i < length; i++)
        octets[i] = (uint8_t)(bits >> (16 - 8 * i));
    return (bits & (0xffffffU >> 8 * length)) == 0;
}

bool base64_decode(struct slice text, uint8_t *octets, size_t size, size_t *len)
{
    size_t padding = count_padding(text);
    if (text.len % 4 != 0)
        return false;
    size_t length = text.len / 4 * 3 - padding;
    if (length > size)
        return false;
    size_t letters_left = text.len - padding;
    for (size_t at = 0; at < text.len; at += 4, octets += 3) {
        size_t count = letters_left < 4 ? letters_left : 4;
        if (!decode_group(text.ptr + at, count, octets))
            return false;
        letters_left -= count;
    }
    *len = length;
    return true;
}
