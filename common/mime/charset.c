/*
 * The table of charset.h. Two ways of decoding so far: UTF-8, which is checked and passed on, and
 * the charsets of one octet a character, which are ASCII below 128 and a table of 128 above.
 */
#include "common/mime/charset.h"

#include "common/size.h"

struct charset {
    const char *name;
    void (*feed)(struct charset_decoder *decoder, struct slice piece, struct buffer *text);
    const uint16_t *high; /* characters of the octets 128 to 255; 0: none. NULL: none at all */
};

static const uint16_t latin1[128] = {
    0x0080, 0x0081, 0x0082, 0x0083, 0x0084, 0x0085, 0x0086, 0x0087, 0x0088, 0x0089, 0x008a, 0x008b,
    0x008c, 0x008d, 0x008e, 0x008f, 0x0090, 0x0091, 0x0092, 0x0093, 0x0094, 0x0095, 0x0096, 0x0097,
    0x0098, 0x0099, 0x009a, 0x009b, 0x009c, 0x009d, 0x009e, 0x009f, 0x00a0, 0x00a1, 0x00a2, 0x00a3,
    0x00a4, 0x00a5, 0x00a6, 0x00a7, 0x00a8, 0x00a9, 0x00aa, 0x00ab, 0x00ac, 0x00ad, 0x00ae, 0x00af,
    0x00b0, 0x00b1, 0x00b2, 0x00b3, 0x00b4, 0x00b5, 0x00b6, 0x00b7, 0x00b8, 0x00b9, 0x00ba, 0x00bb,
    0x00bc, 0x00bd, 0x00be, 0x00bf, 0x00c0, 0x00c1, 0x00c2, 0x00c3, 0x00c4, 0x00c5, 0x00c6, 0x00c7,
    0x00c8, 0x00c9, 0x00ca, 0x00cb, 0x00cc, 0x00cd, 0x00ce, 0x00cf, 0x00d0, 0x00d1, 0x00d2, 0x00d3,
    0x00d4, 0x00d5, 0x00d6, 0x00d7, 0x00d8, 0x00d9, 0x00da, 0x00db, 0x00dc, 0x00dd, 0x00de, 0x00df,
    0x00e0, 0x00e1, 0x00e2, 0x00e3, 0x00e4, 0x00e5, 0x00e6, 0x00e7, 0x00e8, 0x00e9, 0x00ea, 0x00eb,
    0x00ec, 0x00ed, 0x00ee, 0x00ef, 0x00f0, 0x00f1, 0x00f2, 0x00f3, 0x00f4, 0x00f5, 0x00f6, 0x00f7,
    0x00f8, 0x00f9, 0x00fa, 0x00fb, 0x00fc, 0x00fd, 0x00fe, 0x00ff,
};

static const uint16_t latin9[128] = {
    0x0080, 0x0081, 0x0082, 0x0083, 0x0084, 0x0085, 0x0086, 0x0087, 0x0088, 0x0089, 0x008a, 0x008b,
    0x008c, 0x008d, 0x008e, 0x008f, 0x0090, 0x0091, 0x0092, 0x0093, 0x0094, 0x0095, 0x0096, 0x0097,
    0x0098, 0x0099, 0x009a, 0x009b, 0x009c, 0x009d, 0x009e, 0x009f, 0x00a0, 0x00a1, 0x00a2, 0x00a3,
    0x20ac, 0x00a5, 0x0160, 0x00a7, 0x0161, 0x00a9, 0x00aa, 0x00ab, 0x00ac, 0x00ad, 0x00ae, 0x00af,
    0x00b0, 0x00b1, 0x00b2, 0x00b3, 0x017d, 0x00b5, 0x00b6, 0x00b7, 0x017e, 0x00b9, 0x00ba, 0x00bb,
    0x0152, 0x0153, 0x0178, 0x00bf, 0x00c0, 0x00c1, 0x00c2, 0x00c3, 0x00c4, 0x00c5, 0x00c6, 0x00c7,
    0x00c8, 0x00c9, 0x00ca, 0x00cb, 0x00cc, 0x00cd, 0x00ce, 0x00cf, 0x00d0, 0x00d1, 0x00d2, 0x00d3,
    0x00d4, 0x00d5, 0x00d6, 0x00d7, 0x00d8, 0x00d9, 0x00da, 0x00db, 0x00dc, 0x00dd, 0x00de, 0x00df,
    0x00e0, 0x00e1, 0x00e2, 0x00e3, 0x00e4, 0x00e5, 0x00e6, 0x00e7, 0x00e8, 0x00e9, 0x00ea, 0x00eb,
    0x00ec, 0x00ed, 0x00ee, 0x00ef, 0x00f0, 0x00f1, 0x00f2, 0x00f3, 0x00f4, 0x00f5, 0x00f6, 0x00f7,
    0x00f8, 0x00f9, 0x00fa, 0x00fb, 0x00fc, 0x00fd, 0x00fe, 0x00ff,
};

static const uint16_t windows1252[128] = {
    0x20ac, 0x0000, 0x201a, 0x0192, 0x201e, 0x2026, 0x2020, 0x2021, 0x02c6, 0x2030, 0x0160, 0x2039,
    0x0152, 0x0000, 0x017d, 0x0000, 0x0000, 0x2018, 0x2019, 0x201c, 0x201d, 0x2022, 0x2013, 0x2014,
    0x02dc, 0x2122, 0x0161, 0x203a, 0x0153, 0x0000, 0x017e, 0x0178, 0x00a0, 0x00a1, 0x00a2, 0x00a3,
    0x00a4, 0x00a5, 0x00a6, 0x00a7, 0x00a8, 0x00a9, 0x00aa, 0x00ab, 0x00ac, 0x00ad, 0x00ae, 0x00af,
    0x00b0, 0x00b1, 0x00b2, 0x00b3, 0x00b4, 0x00b5, 0x00b6, 0x00b7, 0x00b8, 0x00b9, 0x00ba, 0x00bb,
    0x00bc, 0x00bd, 0x00be, 0x00bf, 0x00c0, 0x00c1, 0x00c2, 0x00c3, 0x00c4, 0x00c5, 0x00c6, 0x00c7,
    0x00c8, 0x00c9, 0x00ca, 0x00cb, 0x00cc, 0x00cd, 0x00ce, 0x00cf, 0x00d0, 0x00d1, 0x00d2, 0x00d3,
    0x00d4, 0x00d5, 0x00d6, 0x00d7, 0x00d8, 0x00d9, 0x00da, 0x00db, 0x00dc, 0x00dd, 0x00de, 0x00df,
    0x00e0, 0x00e1, 0x00e2, 0x00e3, 0x00e4, 0x00e5, 0x00e6, 0x00e7, 0x00e8, 0x00e9, 0x00ea, 0x00eb,
    0x00ec, 0x00ed, 0x00ee, 0x00ef, 0x00f0, 0x00f1, 0x00f2, 0x00f3, 0x00f4, 0x00f5, 0x00f6, 0x00f7,
    0x00f8, 0x00f9, 0x00fa, 0x00fb, 0x00fc, 0x00fd, 0x00fe, 0x00ff,
};

static const struct slice replacement = SLICE("\xef\xbf\xbd"); /* U+FFFD */

static void append_character(struct buffer *text, uint16_t character)
{
    uint8_t octets[3];
    if (character < 0x80) {
        buffer_append_octet(text, (uint8_t)character);
        return;
    }
    if (character < 0x800) {
        octets[0] = (uint8_t)(0xc0 | character >> 6);
        octets[1] = (uint8_t)(0x80 | (character & 0x3f));
        buffer_append(text, slice_of(octets, 2));
        return;
    }
    octets[0] = (uint8_t)(0xe0 | character >> 12);
    octets[1] = (uint8_t)(0x80 | (character >> 6 & 0x3f));
    octets[2] = (uint8_t)(0x80 | (character & 0x3f));
    buffer_append(text, slice_of(octets, 3));
}

static size_t ascii_run(struct slice octets)
{
    size_t length = 0;
    while (length < octets.len && octets.ptr[length] < 0x80)
        length++;
    return length;
}

static void feed_single(struct charset_decoder *decoder, struct slice piece, struct buffer *text)
{
    const uint16_t *high = decoder->charset->high;
    while (piece.len > 0) {
        size_t run = ascii_run(piece);
        buffer_append(text, slice_range(piece, 0, run));
        piece = slice_from(piece, run);
        if (piece.len == 0)
            return;
        uint16_t character = high ? high[piece.ptr[0] - 0x80] : 0;
        append_character(text, character ? character : 0xfffd);
        piece = slice_from(piece, 1);
    }
}

/* The octets of the sequence that this one begins; 0: none (RFC 3629 4). */
static size_t utf8_length(uint8_t first)
{
    if (first < 0x80)
        return 1;
    if (first >= 0xc2 && first <= 0xdf)
        return 2;
    if (first >= 0xe0 && first <= 0xef)
        return 3;
    return first >= 0xf0 && first <= 0xf4 ? 4 : 0;
}

/* Whether `octet` may follow the `held` octets: no overlong form, no surrogate, nothing above
 * U+10FFFF (RFC 3629 4, UTF8-3 and UTF8-4). */
static bool utf8_continues(const uint8_t held[4], size_t held_octets, uint8_t octet)
{
    uint8_t least = 0x80, most = 0xbf;
    if (held_octets == 1 && held[0] == 0xe0)
        least = 0xa0;
    else if (held_octets == 1 && held[0] == 0xed)
        most = 0x9f;
    else if (held_octets == 1 && held[0] == 0xf0)
        least = 0x90;
    else if (held_octets == 1 && held[0] == 0xf4)
        most = 0x8f;
    return octet >= least && octet <= most;
}

/* Begins a character at an octet above 127; what begins none is replaced. */
static void utf8_begin(struct charset_decoder *decoder, uint8_t octet, struct buffer *text)
{
    if (utf8_length(octet) == 0) {
        buffer_append(text, replacement);
        return;
    }
    decoder->held[0] = octet;
    decoder->held_octets = 1;
}

/* The next octet of the held character. False if it is none: then it begins another. */
static bool utf8_continue(struct charset_decoder *decoder, uint8_t octet, struct buffer *text)
{
    if (!utf8_continues(decoder->held, decoder->held_octets, octet)) {
        buffer_append(text, replacement);
        decoder->held_octets = 0;
        return false;
    }
    decoder->held[decoder->held_octets++] = octet;
    if (decoder->held_octets == utf8_length(decoder->held[0])) {
        buffer_append(text, slice_of(decoder->held, decoder->held_octets));
        decoder->held_octets = 0;
    }
    return true;
}

static void feed_utf8(struct charset_decoder *decoder, struct slice piece, struct buffer *text)
{
    while (piece.len > 0) {
        if (decoder->held_octets > 0) {
            if (utf8_continue(decoder, piece.ptr[0], text))
                piece = slice_from(piece, 1);
            continue;
        }
        size_t run = ascii_run(piece);
        buffer_append(text, slice_range(piece, 0, run));
        piece = slice_from(piece, run);
        if (piece.len > 0)
            utf8_begin(decoder, piece.ptr[0], text);
        piece = slice_from(piece, 1);
    }
}

static const struct charset charsets[] = {
    {"utf-8", feed_utf8, NULL},
    {"us-ascii", feed_single, NULL},
    {"utf8", feed_utf8, NULL},
    {"csutf8", feed_utf8, NULL},
    {"ascii", feed_single, NULL},
    {"ansi_x3.4-1968", feed_single, NULL},
    {"iso646-us", feed_single, NULL},
    {"csascii", feed_single, NULL},
    {"iso-8859-1", feed_single, latin1},
    {"iso8859-1", feed_single, latin1},
    {"iso_8859-1", feed_single, latin1},
    {"iso_8859-1:1987", feed_single, latin1},
    {"latin1", feed_single, latin1},
    {"l1", feed_single, latin1},
    {"cp819", feed_single, latin1},
    {"iso-8859-15", feed_single, latin9},
    {"iso8859-15", feed_single, latin9},
    {"iso_8859-15", feed_single, latin9},
    {"latin-9", feed_single, latin9},
    {"latin9", feed_single, latin9},
    {"windows-1252", feed_single, windows1252},
    {"cp1252", feed_single, windows1252},
    {"x-cp1252", feed_single, windows1252},
};

const struct charset *charset_utf8(void)
{
    return &charsets[0];
}

const struct charset *charset_ascii(void)
{
    return &charsets[1];
}

const struct charset *charset_find(struct slice name)
{
    for (size_t i = 0; i < ARRAY_LENGTH(charsets); i++)
        if (slice_equal_nocase(name, slice_of_string(charsets[i].name)))
            return &charsets[i];
    return NULL;
}

void charset_decoder_init(struct charset_decoder *decoder, const struct charset *charset)
{
    *decoder = (struct charset_decoder){.charset = charset};
}

void charset_decoder_feed(struct charset_decoder *decoder, struct slice piece, struct buffer *text)
{
    decoder->charset->feed(decoder, piece, text);
}

void charset_decoder_finish(struct charset_decoder *decoder, struct buffer *text)
{
    if (decoder->held_octets > 0)
        buffer_append(text, replacement);
    decoder->held_octets = 0;
}

void charset_decode(const struct charset *charset, struct slice octets, struct buffer *text)
{
    struct charset_decoder decoder;
    charset_decoder_init(&decoder, charset);
    charset_decoder_feed(&decoder, octets, text);
    charset_decoder_finish(&decoder, text);
}
