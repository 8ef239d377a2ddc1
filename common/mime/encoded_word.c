/* The decoder of encoded_word.h. Pure; any process. */
#include "common/mime/encoded_word.h"

#include "common/mime/charset.h"
#include "common/mime/decode.h"
#include "common/mime/token.h"
#include "common/text/cursor.h"

struct encoded_word {
    struct slice charset; /* with the language after it */
    bool base64;
    struct slice text;
};

/* What is known while words in a row may share a character. */
struct word_run {
    struct charset_decoder decoder; /* .charset is NULL outside of a run */
    struct slice blank;             /* the white space since the last word */
};

/* Up to the next "?"; *part is what stands before it. Linear: what fails here has no "?" after it,
 * or is read again only from after that. */
static bool take_part(struct cursor *in, struct slice *part)
{
    struct cursor start = *in;
    while (in->at != in->end && *in->at != '?' && *in->at > ' ' && *in->at < 0x7f)
        in->at++;
    *part = cursor_since(in, &start);
    return cursor_skip(in, '?');
}

/* encoded-word = "=?" charset ["*" language] "?" encoding "?" encoded-text "?=" */
static bool take_encoded_word(struct cursor *in, struct encoded_word *word)
{
    struct cursor ahead = *in;
    struct slice encoding;
    if (!cursor_skip(&ahead, '=') || !cursor_skip(&ahead, '?') || !take_part(&ahead, &word->charset)
        || !take_part(&ahead, &encoding) || !take_part(&ahead, &word->text)
        || !cursor_skip(&ahead, '='))
        return false;
    word->base64 = slice_equal_nocase(encoding, SLICE("B"));
    if (!word->base64 && !slice_equal_nocase(encoding, SLICE("Q")))
        return false;
    *in = ahead;
    return true;
}

bool encoded_word_skip(struct cursor *in)
{
    struct encoded_word word;
    return take_encoded_word(in, &word);
}

static const struct charset *charset_of(const struct encoded_word *word)
{
    return charset_find(slice_range(word->charset, 0, slice_find_octet(word->charset, '*')));
}

/* The "Q" encoding, RFC 2047 4.2: quoted-printable with "_" for a space, and no line ends. */
static void decode_q(struct slice text, struct buffer *octets)
{
    struct decode decode;
    decode_init(&decode, DECODE_QUOTED_PRINTABLE);
    while (text.len > 0) {
        size_t run = slice_find_octet(text, '_');
        decode_feed(&decode, slice_range(text, 0, run), octets);
        if (run < text.len) {
            decode_finish(&decode, octets);
            buffer_append_octet(octets, ' ');
        }
        text = slice_from(text, run + 1);
    }
    decode_finish(&decode, octets);
}

static void end_run(struct word_run *run, struct buffer *text)
{
    if (run->decoder.charset)
        charset_decoder_finish(&run->decoder, text);
    buffer_append(text, run->blank);
    *run = (struct word_run){.blank = {NULL, 0}};
}

static void append_word(struct word_run *run, const struct encoded_word *word,
                        const struct charset *charset, struct buffer *text)
{
    struct buffer octets = BUFFER_WITH_LIMIT(word->text.len);
    struct decode decode;
    if (run->decoder.charset)
        run->blank.len = 0;
    if (run->decoder.charset != charset) {
        end_run(run, text);
        charset_decoder_init(&run->decoder, charset);
    }
    decode_init(&decode, DECODE_BASE64);
    if (word->base64)
        decode_feed(&decode, word->text, &octets);
    else
        decode_q(word->text, &octets);
    charset_decoder_feed(&run->decoder, buffer_slice(&octets), text);
    text->failed |= octets.failed;
    buffer_clear(&octets);
}

void encoded_word_decode(struct slice body, struct buffer *text)
{
    struct cursor in = cursor_of(body);
    struct word_run run = {.blank = {NULL, 0}};
    while (!cursor_at_end(&in)) {
        struct cursor start = in;
        struct encoded_word word;
        token_skip_space(&in);
        run.blank = cursor_since(&in, &start);
        start = in;
        const struct charset *charset = take_encoded_word(&in, &word) ? charset_of(&word) : NULL;
        if (charset) {
            append_word(&run, &word, charset, text);
            continue;
        }
        in = start;
        end_run(&run, text);
        while (in.at != in.end && !token_is(*in.at, TOKEN_SPACE)
               && (in.at == start.at || *in.at != '='))
            in.at++;
        charset_decode(charset_utf8(), cursor_since(&in, &start), text);
    }
    end_run(&run, text);
}
