/* Any octets, decoded in any way that mail knows: what comes out is UTF-8, within the bounds that
 * the headers promise, and does not depend on the cut. */
#include <stdlib.h>

#include "common/mime/charset.h"
#include "common/mime/decode.h"
#include "common/mime/encoded_word.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds)
        abort();
}

/* Valid UTF-8 passes through its own decoder unchanged. */
static void must_be_utf8(const struct buffer *text)
{
    struct buffer again = BUFFER_WITH_LIMIT(3 * text->len);
    charset_decode(charset_utf8(), buffer_slice(text), &again);
    must(slice_equal(buffer_slice(&again), buffer_slice(text)));
    buffer_clear(&again);
}

static void check_decoding(struct slice text, enum decode_encoding encoding)
{
    struct buffer whole = BUFFER_WITH_LIMIT(text.len), cut = BUFFER_WITH_LIMIT(text.len);
    struct decode decode;
    decode_init(&decode, encoding);
    decode_feed(&decode, text, &whole);
    decode_finish(&decode, &whole);
    decode_init(&decode, encoding);
    for (size_t i = 0; i < text.len; i++)
        decode_feed(&decode, slice_range(text, i, i + 1), &cut);
    decode_finish(&decode, &cut);
    must(!whole.failed && slice_equal(buffer_slice(&whole), buffer_slice(&cut)));
    buffer_clear(&whole);
    buffer_clear(&cut);
}

static void check_charset(struct slice octets, const struct charset *charset)
{
    struct buffer text = BUFFER_WITH_LIMIT(3 * octets.len);
    charset_decode(charset, octets, &text);
    must(!text.failed);
    must_be_utf8(&text);
    buffer_clear(&text);
}

static void check_cut(struct slice octets, const struct charset *charset)
{
    struct buffer whole = BUFFER_WITH_LIMIT(3 * octets.len);
    struct buffer cut = BUFFER_WITH_LIMIT(3 * octets.len);
    struct charset_decoder decoder;
    charset_decode(charset, octets, &whole);
    charset_decoder_init(&decoder, charset);
    for (size_t i = 0; i < octets.len; i++)
        charset_decoder_feed(&decoder, slice_range(octets, i, i + 1), &cut);
    charset_decoder_finish(&decoder, &cut);
    must(slice_equal(buffer_slice(&whole), buffer_slice(&cut)));
    buffer_clear(&whole);
    buffer_clear(&cut);
}

/* In each charset, whole and octet by octet. */
static void check_charsets(struct slice octets)
{
    struct buffer names = BUFFER_WITH_LIMIT(4096);
    charset_append_names(&names);
    struct slice rest = buffer_slice(&names);
    while (rest.len > 0) {
        size_t end = slice_find_octet(rest, ' ');
        const struct charset *charset = charset_find(slice_range(rest, 0, end));
        must(charset != NULL);
        check_charset(octets, charset);
        check_cut(octets, charset);
        rest = slice_from(rest, end < rest.len ? end + 1 : end);
    }
    buffer_clear(&names);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice octets = slice_of(data, size);
    struct buffer text = BUFFER_WITH_LIMIT(3 * size);
    encoded_word_decode(octets, &text);
    must(!text.failed);
    must_be_utf8(&text);
    buffer_clear(&text);
    check_decoding(octets, DECODE_QUOTED_PRINTABLE);
    check_decoding(octets, DECODE_BASE64);
    check_charsets(octets);
    return 0;
}
