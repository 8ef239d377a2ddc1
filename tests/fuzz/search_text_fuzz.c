/* A text that is looked through in pieces has in it what it has as a whole. The first octet is the
 * length of the term, the second that of the pieces. */
#include <stdlib.h>

#include "common/mime/charset.h"
#include "imapd/search/search_text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds)
        abort();
}

static void fold(struct slice octets, struct buffer *folded)
{
    struct buffer utf8 = BUFFER_WITH_LIMIT(3 * octets.len);
    charset_decode(charset_utf8(), octets, &utf8);
    search_fold(buffer_slice(&utf8), folded);
    must(!utf8.failed && !folded->failed);
    buffer_clear(&utf8);
}

static void must_be_utf8(struct slice text)
{
    struct buffer again = BUFFER_WITH_LIMIT(3 * text.len);
    charset_decode(charset_utf8(), text, &again);
    must(slice_equal(buffer_slice(&again), text));
    buffer_clear(&again);
}

static bool is_found_in_pieces(struct slice folded, struct slice octets, size_t piece)
{
    struct search_term term = {.scopes = SEARCH_IN_BODY, .folded = folded};
    struct search_text text;
    struct charset_decoder decoder;
    struct buffer utf8 = BUFFER_WITH_LIMIT(3 * octets.len + 3);
    search_text_init(&text, &term);
    search_text_reset(&text);
    charset_decoder_init(&decoder, charset_utf8());
    for (; octets.len > 0; octets = slice_from(octets, piece)) {
        charset_decoder_feed(&decoder, slice_range(octets, 0, piece), &utf8);
        search_text_feed(&text, SEARCH_IN_BODY, SLICE(""), buffer_slice(&utf8));
        buffer_reset(&utf8);
    }
    charset_decoder_finish(&decoder, &utf8);
    search_text_feed(&text, SEARCH_IN_BODY, SLICE(""), buffer_slice(&utf8));
    must(!text.failed && !utf8.failed);
    search_text_clear(&text);
    buffer_clear(&utf8);
    return term.found;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    struct slice rest = slice_of(data + 2, size - 2);
    struct slice octets = slice_from(rest, data[0]);
    struct buffer term = BUFFER_WITH_LIMIT(64 + 64 * size);
    struct buffer text = BUFFER_WITH_LIMIT(64 + 64 * size);
    fold(slice_range(rest, 0, data[0]), &term);
    fold(octets, &text);
    must_be_utf8(buffer_slice(&term));
    must_be_utf8(buffer_slice(&text));
    bool found = term.len == 0 || slice_find(buffer_slice(&text), buffer_slice(&term)) < text.len;
    must(is_found_in_pieces(buffer_slice(&term), octets, (size_t)data[1] + 1) == found);
    buffer_clear(&term);
    buffer_clear(&text);
    return 0;
}
