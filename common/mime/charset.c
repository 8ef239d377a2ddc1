/*
 * The table of charset.h. UTF-8 is checked and passed on; charsets of one octet a character are
 * ASCII below 128 and a table above; those of two have a table of pairs. What shifts between
 * several (ISO-2022, HZ) has its state in the decoder, and the tables of the others. Tables are
 * made at build time: charset_lists.h.
 */
#include "common/mime/charset.h"

#include <string.h>

#include "common/mime/charset_lists.h"
#include "common/size.h"
#include "common/text/cursor.h"

/* Of pairs: row after row; 0: there is no such character. */
struct charset_pairs {
    const uint16_t *single; /* of all octets; 0 and not NUL: none, or the first of a pair */
    const uint16_t *rows;
    uint8_t first_lead, last_lead, first_trail, last_trail;
};

/* Numbers of four octets, from this one to the next run: characters from that one on; 0: none. */
struct charset_run {
    uint16_t number;
    uint16_t character;
};

#include "common/mime/charset_tables.h"

struct charset {
    const char *name;
    const char *aliases; /* with a space around each, in lower case */
    void (*feed)(struct charset_decoder *decoder, struct slice piece, struct buffer *text);
    const uint16_t *high; /* characters of the octets 128 to 255; 0: none. NULL: none at all */
    const struct charset_pairs *pairs;
    /* Takes one octet, for charsets decoded octet by octet. */
    void (*take)(struct charset_decoder *decoder, uint8_t octet, struct buffer *text);
};

static const struct slice replacement = SLICE("\xef\xbf\xbd"); /* U+FFFD */

static void append_character(struct buffer *text, uint32_t character)
{
    uint8_t octets[4];
    size_t count = character < 0x800 ? 2 : character < 0x10000 ? 3 : 4;
    if (character < 0x80) {
        buffer_append_octet(text, (uint8_t)character);
        return;
    }
    for (size_t i = count - 1; i > 0; i--, character >>= 6)
        octets[i] = (uint8_t)(0x80 | (character & 0x3f));
    octets[0] = (uint8_t)(0xf00 >> count | character);
    buffer_append(text, slice_of(octets, count));
}

static void append_or_replace(struct buffer *text, uint32_t character)
{
    append_character(text, character ? character : 0xfffd);
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

/* --- pairs --- */

static bool is_lead(const struct charset_pairs *pairs, uint8_t octet)
{
    return octet >= pairs->first_lead && octet <= pairs->last_lead;
}

static uint16_t find_pair(const struct charset_pairs *pairs, uint8_t lead, uint8_t trail)
{
    if (!is_lead(pairs, lead) || trail < pairs->first_trail || trail > pairs->last_trail)
        return 0;
    size_t width = (size_t)(pairs->last_trail - pairs->first_trail) + 1;
    return pairs->rows[(size_t)(lead - pairs->first_lead) * width + (trail - pairs->first_trail)];
}

/* An invalid second octet that is ASCII starts again: a truncated character must not swallow a
 * "<". */
static void end_pair(struct charset_decoder *decoder, uint16_t character, uint8_t trail,
                     struct buffer *text)
{
    decoder->held_octets = 0;
    append_or_replace(text, character);
    if (character == 0 && trail < 0x80)
        buffer_append_octet(text, trail);
}

static void take_single(struct charset_decoder *decoder, uint8_t octet, struct buffer *text)
{
    const struct charset_pairs *pairs = decoder->charset->pairs;
    if (octet == 0 || pairs->single[octet] != 0) {
        append_character(text, pairs->single[octet]);
    } else if (is_lead(pairs, octet)) {
        decoder->held[0] = octet;
        decoder->held_octets = 1;
    } else {
        buffer_append(text, replacement);
    }
}

static void take_of_pairs(struct charset_decoder *decoder, uint8_t octet, struct buffer *text)
{
    if (decoder->held_octets == 0)
        take_single(decoder, octet, text);
    else
        end_pair(decoder, find_pair(decoder->charset->pairs, decoder->held[0], octet), octet, text);
}

/* 0x8F, then a pair of JIS X 0212. */
static void take_euc_jp(struct charset_decoder *decoder, uint8_t octet, struct buffer *text)
{
    static const struct charset_pairs jis_x_0212 = {NULL, jis_x_0212_rows, 0xa1, 0xfe, 0xa1, 0xfe};
    if (decoder->held_octets == 1 && decoder->held[0] == 0x8f && octet >= 0xa1) {
        decoder->held[1] = octet;
        decoder->held_octets = 2;
    } else if (decoder->held_octets == 2) {
        end_pair(decoder, find_pair(&jis_x_0212, decoder->held[1], octet), octet, text);
    } else {
        take_of_pairs(decoder, octet, text);
    }
}

static uint32_t find_four(const uint8_t held[4])
{
    enum { ASTRAL = 189000, OF_LEAD = 12600 };
    uint32_t number = (uint32_t)(held[0] - 0x81) * OF_LEAD + (uint32_t)(held[1] - 0x30) * 1260
                      + (uint32_t)(held[2] - 0x81) * 10 + (uint32_t)(held[3] - 0x30);
    if (number >= ASTRAL)
        return number - ASTRAL <= 0xfffff ? number - ASTRAL + 0x10000 : 0;
    size_t run = ARRAY_LENGTH(gb18030_runs);
    while (run > 0 && gb18030_runs[run - 1].number > number)
        run--;
    const struct charset_run *found = &gb18030_runs[run - 1];
    uint32_t character = found->character + (number - found->number);
    return found->character && character <= 0xffff ? character : 0;
}

/* A digit for a second octet: four octets, "0x81 0x30 0x81 0x30" and on. */
static void take_gb18030(struct charset_decoder *decoder, uint8_t octet, struct buffer *text)
{
    size_t held = decoder->held_octets;
    bool is_digit = octet >= '0' && octet <= '9';
    if (held == 0 || (held == 1 && !is_digit)) {
        take_of_pairs(decoder, octet, text);
        return;
    }
    bool fits = held == 2 ? octet >= 0x81 && octet <= 0xfe : is_digit;
    decoder->held[held] = octet;
    if (fits && held < 3) {
        decoder->held_octets++;
        return;
    }
    decoder->held_octets = 0;
    append_or_replace(text, fits ? find_four(decoder->held) : 0);
    if (!fits)
        take_single(decoder, octet, text);
}

/* --- those that shift --- */

enum { SHIFT_ASCII, SHIFT_PAIRS, SHIFT_KANA, SHIFT_JIS_X_0212 };

static const struct shift {
    const char *sequence; /* after ESC */
    uint32_t shift;
} shifts[] = {
    {"(B", SHIFT_ASCII}, {"(J", SHIFT_ASCII},       {"(I", SHIFT_KANA},   {"$@", SHIFT_PAIRS},
    {"$B", SHIFT_PAIRS}, {"$(D", SHIFT_JIS_X_0212}, {"$)C", SHIFT_ASCII}, /* KS C 5601 for SO */
};

enum { NO_SEQUENCE, BEGINS_SEQUENCE, WHOLE_SEQUENCE };

/* Of what is held after ESC. */
static int find_shift(struct charset_decoder *decoder)
{
    struct slice held = slice_of(decoder->held + 1, decoder->held_octets - 1);
    for (size_t i = 0; i < ARRAY_LENGTH(shifts); i++) {
        struct slice sequence = slice_of_string(shifts[i].sequence);
        if (held.len > sequence.len || memcmp(held.ptr, sequence.ptr, held.len) != 0)
            continue;
        if (held.len < sequence.len)
            return BEGINS_SEQUENCE;
        decoder->shift = shifts[i].shift;
        return WHOLE_SEQUENCE;
    }
    return NO_SEQUENCE;
}

static void take_escape(struct charset_decoder *decoder, uint8_t octet, struct buffer *text)
{
    decoder->held[decoder->held_octets++] = octet;
    int found = find_shift(decoder);
    if (found == BEGINS_SEQUENCE)
        return;
    decoder->held_octets = 0;
    if (found == NO_SEQUENCE) {
        buffer_append(text, replacement);
        decoder->shift = SHIFT_ASCII;
    }
}

static void take_shifted(struct charset_decoder *decoder, uint8_t octet, struct buffer *text)
{
    static const struct charset_pairs jis_x_0212 = {NULL, jis_x_0212_rows, 0xa1, 0xfe, 0xa1, 0xfe};
    if (decoder->held_octets == 0) {
        decoder->held[0] = octet;
        decoder->held_octets = 1;
        return;
    }
    const struct charset_pairs *pairs =
        decoder->shift == SHIFT_JIS_X_0212 ? &jis_x_0212 : decoder->charset->pairs;
    end_pair(decoder, find_pair(pairs, decoder->held[0] | 0x80, octet | 0x80), octet, text);
}

/* RFC 1468, RFC 2237, and RFC 1557, where SO and SI shift. Lines end in ASCII. */
static void take_iso_2022(struct charset_decoder *decoder, uint8_t octet, struct buffer *text)
{
    enum { ESC = 0x1b, SO = 0x0e, SI = 0x0f };
    if (decoder->held_octets > 0 && decoder->held[0] == ESC) {
        take_escape(decoder, octet, text);
    } else if (octet == ESC && decoder->held_octets == 0) {
        decoder->held[0] = octet;
        decoder->held_octets = 1;
    } else if (octet == SO || octet == SI || octet == '\r' || octet == '\n') {
        if (decoder->held_octets > 0)
            buffer_append(text, replacement);
        decoder->held_octets = 0;
        decoder->shift = octet == SO ? SHIFT_PAIRS : SHIFT_ASCII;
        if (octet != SO && octet != SI)
            buffer_append_octet(text, octet);
    } else if (octet <= ' ' && decoder->held_octets == 0) {
        buffer_append_octet(text, octet);
    } else if (decoder->shift == SHIFT_KANA) {
        append_or_replace(text, octet >= 0x21 && octet <= 0x5f ? 0xff61U + octet - 0x21U : 0);
    } else if (decoder->shift == SHIFT_ASCII) {
        append_or_replace(text, octet < 0x80 ? octet : 0);
    } else {
        take_shifted(decoder, octet, text);
    }
}

/* RFC 1843: "~{" pairs "~}", "~~" is a tilde, "~" and a line feed nothing. */
static void take_hz(struct charset_decoder *decoder, uint8_t octet, struct buffer *text)
{
    if (decoder->held_octets == 0 && octet == '~') {
        decoder->held[0] = octet;
        decoder->held_octets = 1;
    } else if (decoder->held_octets > 0 && decoder->held[0] == '~') {
        decoder->held_octets = 0;
        if (octet == '{' || octet == '}')
            decoder->shift = octet == '{' ? SHIFT_PAIRS : SHIFT_ASCII;
        else if (octet != '\n')
            append_or_replace(text, octet == '~' ? octet : 0);
    } else if (octet == '\n' || octet == '\r' || decoder->shift == SHIFT_ASCII) {
        if (decoder->held_octets > 0)
            buffer_append(text, replacement);
        decoder->held_octets = 0;
        if (octet == '\n')
            decoder->shift = SHIFT_ASCII;
        append_or_replace(text, octet < 0x80 ? octet : 0);
    } else {
        take_shifted(decoder, octet, text);
    }
}

/* --- UTF-16, UTF-32, UTF-7 --- */

/* One unit of UTF-16; `surrogate` is the first half of a pair that waits for its second. */
static void take_unit(struct charset_decoder *decoder, uint32_t unit, struct buffer *text)
{
    bool is_low = unit >= 0xdc00 && unit <= 0xdfff;
    uint32_t high = decoder->surrogate;
    decoder->surrogate = 0;
    if (high && is_low) {
        append_character(text, 0x10000 + ((high - 0xd800) << 10) + (unit - 0xdc00));
        return;
    }
    if (high || is_low)
        buffer_append(text, replacement);
    if (unit >= 0xd800 && unit <= 0xdbff)
        decoder->surrogate = unit;
    else if (!is_low)
        append_character(text, unit);
}

enum { ORDER_UNKNOWN, ORDER_BIG, ORDER_LITTLE };

/* Without a mark, big-endian (RFC 2781 4.3). */
static uint32_t take_in_order(struct charset_decoder *decoder, uint8_t octet, size_t width)
{
    uint32_t unit = 0;
    decoder->held[decoder->held_octets++] = octet;
    if (decoder->held_octets < width)
        return UINT32_MAX;
    decoder->held_octets = 0;
    for (size_t i = 0; i < width; i++)
        unit = unit << 8 | decoder->held[decoder->shift == ORDER_LITTLE ? width - 1 - i : i];
    if (decoder->shift != ORDER_UNKNOWN)
        return unit;
    uint32_t swapped = width == 2 ? 0xfffe : 0xfffe0000;
    decoder->shift = unit == swapped ? ORDER_LITTLE : ORDER_BIG;
    return unit == swapped || unit == 0xfeff ? UINT32_MAX : unit;
}

static void take_utf16(struct charset_decoder *decoder, uint8_t octet, struct buffer *text)
{
    uint32_t unit = take_in_order(decoder, octet, 2);
    if (unit != UINT32_MAX)
        take_unit(decoder, unit, text);
}

static void take_utf16le(struct charset_decoder *decoder, uint8_t octet, struct buffer *text)
{
    decoder->shift = ORDER_LITTLE;
    take_utf16(decoder, octet, text);
}

static void take_utf16be(struct charset_decoder *decoder, uint8_t octet, struct buffer *text)
{
    decoder->shift = ORDER_BIG;
    take_utf16(decoder, octet, text);
}

static void take_utf32(struct charset_decoder *decoder, uint8_t octet, struct buffer *text)
{
    uint32_t character = take_in_order(decoder, octet, 4);
    bool valid = character < 0xd800 || (character > 0xdfff && character <= 0x10ffff);
    if (valid)
        append_character(text, character);
    else if (character != UINT32_MAX)
        buffer_append(text, replacement);
}

static void take_utf32le(struct charset_decoder *decoder, uint8_t octet, struct buffer *text)
{
    decoder->shift = ORDER_LITTLE;
    take_utf32(decoder, octet, text);
}

static void take_utf32be(struct charset_decoder *decoder, uint8_t octet, struct buffer *text)
{
    decoder->shift = ORDER_BIG;
    take_utf32(decoder, octet, text);
}

static int base64_value(uint8_t octet)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *found = octet ? strchr(letters, octet) : NULL;
    return found ? (int)(found - letters) : -1;
}

enum { DIRECT, BASE64_BEGINS, BASE64 };

static void end_base64(struct charset_decoder *decoder, uint8_t octet, struct buffer *text)
{
    if (decoder->surrogate || decoder->bit_count >= 6)
        buffer_append(text, replacement);
    if (octet == '-' && decoder->shift == BASE64_BEGINS)
        buffer_append_octet(text, '+'); /* "+-" */
    else if (octet != '-')
        append_or_replace(text, octet < 0x80 ? octet : 0);
    decoder->shift = DIRECT;
    decoder->surrogate = 0;
}

/* RFC 2152: "+", UTF-16 in base64, and "-" or any other octet. */
static void take_utf7(struct charset_decoder *decoder, uint8_t octet, struct buffer *text)
{
    int value = base64_value(octet);
    if (decoder->shift == DIRECT) {
        decoder->bits = decoder->bit_count = 0;
        if (octet == '+')
            decoder->shift = BASE64_BEGINS;
        else
            append_or_replace(text, octet < 0x80 ? octet : 0);
        return;
    }
    if (value < 0) {
        end_base64(decoder, octet, text);
        return;
    }
    decoder->shift = BASE64;
    decoder->bits = (decoder->bits << 6 | (uint32_t)value) & 0xffffff;
    decoder->bit_count += 6;
    if (decoder->bit_count >= 16) {
        decoder->bit_count -= 16;
        take_unit(decoder, decoder->bits >> decoder->bit_count & 0xffff, text);
    }
}

/* --- all of them --- */

static void feed_octets(struct charset_decoder *decoder, struct slice piece, struct buffer *text)
{
    for (size_t i = 0; i < piece.len; i++)
        decoder->charset->take(decoder, piece.ptr[i], text);
}

/* Runs of ASCII at once, between characters; in Shift_JIS too, whose 0x5C is a backslash to
 * everybody who writes it. */
static void feed_pairs(struct charset_decoder *decoder, struct slice piece, struct buffer *text)
{
    while (piece.len > 0) {
        size_t run = decoder->held_octets == 0 ? ascii_run(piece) : 0;
        buffer_append(text, slice_range(piece, 0, run));
        if (run < piece.len)
            decoder->charset->take(decoder, piece.ptr[run++], text);
        piece = slice_from(piece, run);
    }
}

#define SINGLE_ROW(table, name, aliases) {name, aliases, feed_single, table, NULL, NULL},

static const struct charset charsets[] = {
    {"UTF-8", " utf8 csutf8 unicode-1-1-utf-8 ", feed_utf8, NULL, NULL, NULL},
    {"US-ASCII", " ascii ansi_x3.4-1968 iso646-us csascii us iso_646.irv:1991 646 ", feed_single,
     NULL, NULL, NULL},
    /* clang-format off */ /* it would take the next row for the macro's body */
    CHARSETS_OF_ONE_OCTET(SINGLE_ROW)
    /* clang-format on */
    {"GB18030", " gb2312 gbk cp936 windows-936 ms936 euc-cn x-gbk csgb2312 gb_2312-80 x-euc-cn ",
     feed_pairs, NULL, &gb18030, take_gb18030},
    {"BIG5", " big-5 csbig5 cp950 windows-950 x-x-big5 cn-big5 big5-hkscs ", feed_pairs, NULL,
     &big5, take_of_pairs},
    {"EUC-KR",
     " ks_c_5601-1987 ksc5601 ks_c_5601-1989 ksc_5601 korean cp949 uhc windows-949 ms949 "
     "cseuckr x-windows-949 ",
     feed_pairs, NULL, &uhc, take_of_pairs},
    {"EUC-JP", " eucjp x-euc-jp cseucpkdfmtjapanese ", feed_pairs, NULL, &euc_jp, take_euc_jp},
    {"SHIFT_JIS", " shift-jis sjis x-sjis csshiftjis ms_kanji ", feed_pairs, NULL, &shift_jis,
     take_of_pairs},
    {"WINDOWS-31J", " cp932 windows-932 ms932 x-ms-cp932 cswindows31j ", feed_pairs, NULL,
     &windows_31j, take_of_pairs},
    {"ISO-2022-JP", " iso-2022-jp-1 csiso2022jp ", feed_octets, NULL, &euc_jp, take_iso_2022},
    {"ISO-2022-KR", " csiso2022kr ", feed_octets, NULL, &uhc, take_iso_2022},
    {"HZ-GB-2312", " hz ", feed_octets, NULL, &gb18030, take_hz},
    {"UTF-7", " utf7 unicode-1-1-utf-7 csunicode11utf7 ", feed_octets, NULL, NULL, take_utf7},
    {"UTF-16", " utf16 csutf16 ucs-2 iso-10646-ucs-2 unicode ", feed_octets, NULL, NULL,
     take_utf16},
    {"UTF-16LE", " csutf16le ", feed_octets, NULL, NULL, take_utf16le},
    {"UTF-16BE", " csutf16be ", feed_octets, NULL, NULL, take_utf16be},
    {"UTF-32", " utf32 ucs-4 iso-10646-ucs-4 ", feed_octets, NULL, NULL, take_utf32},
    {"UTF-32LE", " ", feed_octets, NULL, NULL, take_utf32le},
    {"UTF-32BE", " ", feed_octets, NULL, NULL, take_utf32be},
};

const struct charset *charset_utf8(void)
{
    return &charsets[0];
}

const struct charset *charset_ascii(void)
{
    return &charsets[1];
}

/* Is it one of the words, each with a space around it? */
static bool is_among(const char *words, struct slice name)
{
    struct slice rest = slice_of_string(words);
    while (rest.len > 1) {
        rest = slice_from(rest, 1);
        size_t end = slice_find_octet(rest, ' ');
        if (slice_equal_nocase(slice_range(rest, 0, end), name))
            return true;
        rest = slice_from(rest, end);
    }
    return false;
}

const struct charset *charset_find(struct slice name)
{
    if (name.len == 0)
        return NULL;
    for (size_t i = 0; i < ARRAY_LENGTH(charsets); i++)
        if (slice_equal_nocase(name, slice_of_string(charsets[i].name))
            || is_among(charsets[i].aliases, name))
            return &charsets[i];
    return NULL;
}

void charset_append_names(struct buffer *text)
{
    for (size_t i = 0; i < ARRAY_LENGTH(charsets); i++) {
        if (i > 0)
            buffer_append_octet(text, ' ');
        buffer_append_string(text, charsets[i].name);
    }
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
    const struct charset *charset = decoder->charset;
    bool in_base64 =
        charset->take == take_utf7 && (decoder->shift == BASE64_BEGINS || decoder->bit_count >= 6);
    if (decoder->held_octets > 0 || decoder->surrogate || in_base64)
        buffer_append(text, replacement);
    charset_decoder_init(decoder, charset);
}

void charset_decode(const struct charset *charset, struct slice octets, struct buffer *text)
{
    struct charset_decoder decoder;
    charset_decoder_init(&decoder, charset);
    charset_decoder_feed(&decoder, octets, text);
    charset_decoder_finish(&decoder, text);
}
