/* The words of token.h. Pure; any process. */
#include "common/mime/token.h"

enum {
    /* letters, digits and the signs that no grammar excludes */
    PLAIN = TOKEN_ATEXT | TOKEN_MIME | TOKEN_FIELD_NAME | TOKEN_ATTRIBUTE | TOKEN_DTEXT,
    /* signs with a meaning in RFC 2231 */
    EXTENDED = TOKEN_ATEXT | TOKEN_MIME | TOKEN_FIELD_NAME | TOKEN_DTEXT,
    /* tspecials of RFC 2045 that are atext of RFC 5322 */
    TSPECIAL = TOKEN_ATEXT | TOKEN_FIELD_NAME | TOKEN_DTEXT,
    /* specials of both */
    SPECIAL = TOKEN_FIELD_NAME | TOKEN_DTEXT,
    /* RFC 6532, and the raw octets of older mail */
    HIGH = TOKEN_ATEXT | TOKEN_MIME | TOKEN_DTEXT,
};

const uint8_t token_classes[256] = {
    ['\t'] = TOKEN_SPACE,
    ['\n'] = TOKEN_SPACE,
    ['\r'] = TOKEN_SPACE,
    [' '] = TOKEN_SPACE,
    ['0' ... '9'] = PLAIN,
    ['A' ... 'Z'] = PLAIN,
    ['a' ... 'z'] = PLAIN,
    ['!'] = PLAIN,
    ['#'] = PLAIN,
    ['$'] = PLAIN,
    ['&'] = PLAIN,
    ['+'] = PLAIN,
    ['-'] = PLAIN,
    ['^'] = PLAIN,
    ['_'] = PLAIN,
    ['`'] = PLAIN,
    ['{'] = PLAIN,
    ['|'] = PLAIN,
    ['}'] = PLAIN,
    ['~'] = PLAIN,
    ['%'] = EXTENDED,
    ['\''] = EXTENDED,
    ['*'] = EXTENDED,
    ['='] = TSPECIAL,
    ['?'] = TSPECIAL,
    ['/'] = TSPECIAL,
    ['.'] = TOKEN_MIME | TOKEN_FIELD_NAME | TOKEN_ATTRIBUTE | TOKEN_DTEXT,
    ['('] = SPECIAL,
    [')'] = SPECIAL,
    ['<'] = SPECIAL,
    ['>'] = SPECIAL,
    ['@'] = SPECIAL,
    [','] = SPECIAL,
    [';'] = SPECIAL,
    ['"'] = SPECIAL,
    [':'] = TOKEN_DTEXT,
    ['['] = TOKEN_FIELD_NAME,
    [']'] = TOKEN_FIELD_NAME,
    ['\\'] = TOKEN_FIELD_NAME,
    [0x80 ... 0xff] = HIGH,
};

void token_skip_space(struct cursor *in)
{
    cursor_take_class(in, token_classes, TOKEN_SPACE);
}

void token_skip_cfws(struct cursor *in)
{
    do
        token_skip_space(in);
    while (token_take_comment(in, NULL));
}

static void keep(struct buffer *text, uint8_t octet)
{
    if (text)
        buffer_append_octet(text, octet);
}

/* ccontent = ctext / quoted-pair / comment    RFC 5322 3.2.2, a loop and no recursion */
bool token_take_comment(struct cursor *in, struct buffer *text)
{
    if (!cursor_skip(in, '('))
        return false;
    for (size_t depth = 1; in->at != in->end;) {
        uint8_t octet = *in->at++;
        if (octet == ')' && --depth == 0)
            break;
        if (octet == '(')
            depth++;
        if (octet == '\r' || octet == '\n')
            continue;
        if (octet == '\\' && in->at != in->end)
            octet = *in->at++;
        keep(text, octet);
    }
    return true;
}

/* quoted-string = DQUOTE *([FWS] qcontent) [FWS] DQUOTE    RFC 5322 3.2.4 */
bool token_take_quoted(struct cursor *in, struct buffer *text)
{
    if (!cursor_skip(in, '"'))
        return false;
    while (in->at != in->end) {
        uint8_t octet = *in->at++;
        if (octet == '"')
            break;
        if (octet == '\r' || octet == '\n')
            continue;
        if (octet == '\\' && in->at != in->end)
            octet = *in->at++;
        keep(text, octet);
    }
    return true;
}

bool token_take(struct cursor *in, enum token_class class, struct slice *run)
{
    *run = cursor_take_class(in, token_classes, (uint8_t) class);
    return run->len > 0;
}

int token_hex_value(uint8_t octet)
{
    if (ascii_is_digit(octet))
        return octet - '0';
    uint8_t letter = ascii_lower(octet);
    return letter >= 'a' && letter <= 'f' ? letter - 'a' + 10 : -1;
}

struct slice token_trim_end(struct slice text)
{
    while (text.len > 0 && token_is(text.ptr[text.len - 1], TOKEN_SPACE))
        text.len--;
    return text;
}

struct slice token_trim(struct slice text)
{
    while (text.len > 0 && token_is(text.ptr[0], TOKEN_SPACE))
        text = slice_from(text, 1);
    return token_trim_end(text);
}

void token_append_words(struct slice text, struct buffer *words)
{
    struct slice space = SLICE("");
    for (struct slice rest = token_trim(text); rest.len > 0;) {
        size_t length = 0;
        while (length < rest.len && !token_is(rest.ptr[length], TOKEN_SPACE))
            length++;
        buffer_append(words, space);
        buffer_append(words, slice_range(rest, 0, length));
        rest = token_trim(slice_from(rest, length));
        space = SLICE(" ");
    }
}
