/* Formats words, a reply and a peer as three lines, and parses them; see outcome_text.h. Pure. */
#include "smtpd/queue/outcome/outcome_text.h"

/* ---- writing ---- */

static void append_clean(struct buffer *out, struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t octet = text.ptr[i];
        bool printable = octet >= ' ' && octet != 0x7f;
        buffer_append_octet(out, printable ? octet : octet == '\t' ? ' ' : '?');
    }
}

/* Takes a line from the front, including its end. */
static struct slice take_reply_line(struct slice *text)
{
    size_t end = slice_find_octet(*text, '\n');
    struct slice line = slice_range(*text, 0, end);
    *text = slice_from(*text, end + 1);
    return slice_ends_with(line, SLICE("\r")) ? slice_range(line, 0, line.len - 1) : line;
}

/* Cuts to at most `most` octets, not within a UTF-8 sequence. */
static struct slice cut(struct slice text, size_t most)
{
    if (text.len <= most)
        return text;
    while (most > 0 && (text.ptr[most] & 0xc0) == 0x80)
        most--;
    return slice_range(text, 0, most);
}

static void append_reply(struct buffer *out, struct slice reply, size_t most)
{
    reply = cut(reply, most);
    for (bool first = true; reply.len > 0; first = false) {
        if (!first)
            buffer_append_octet(out, OUTCOME_REPLY_BREAK);
        append_clean(out, take_reply_line(&reply));
    }
}

void outcome_text_format(const struct outcome_text *text, struct buffer *out)
{
    struct slice words = cut(text->words, OUTCOME_WORDS_MAX);
    struct slice peer = cut(text->peer, OUTCOME_PEER_MAX);
    append_clean(out, words);
    if (text->reply.len == 0 && peer.len == 0)
        return;
    buffer_append_octet(out, '\n');
    append_reply(out, text->reply, OUTCOME_TEXT_MAX - 2 - words.len - peer.len);
    if (peer.len == 0)
        return;
    buffer_append_octet(out, '\n');
    append_clean(out, peer);
}

/* ---- reading ---- */

static struct slice take_line(struct slice *text)
{
    size_t end = slice_find_octet(*text, '\n');
    struct slice line = slice_range(*text, 0, end);
    *text = slice_from(*text, end + 1);
    return line;
}

struct outcome_text outcome_text_parse(struct slice text)
{
    struct outcome_text result;
    result.words = take_line(&text);
    result.reply = take_line(&text);
    result.peer = take_line(&text);
    return result;
}

/* Restores the reply as it was before formatting. */
static void append_parsed_reply(struct buffer *out, struct slice reply)
{
    for (size_t i = 0; i < reply.len; i++)
        buffer_append_octet(out, reply.ptr[i] == OUTCOME_REPLY_BREAK ? '\n' : reply.ptr[i]);
}

void outcome_text_give_up(struct slice reason, struct slice last, struct buffer *out)
{
    struct outcome_text text = outcome_text_parse(last);
    struct buffer words = BUFFER_WITH_LIMIT(OUTCOME_TEXT_MAX);
    struct buffer reply = BUFFER_WITH_LIMIT(OUTCOME_TEXT_MAX);
    buffer_append(&words, reason);
    if (text.words.len > 0) {
        buffer_append(&words, SLICE("; the last answer was: "));
        buffer_append(&words, text.words);
    }
    append_parsed_reply(&reply, text.reply);
    text.words = buffer_slice(&words);
    text.reply = buffer_slice(&reply);
    outcome_text_format(&text, out);
    buffer_clear(&words);
    buffer_clear(&reply);
}

/* status-code = class "." 1*3DIGIT "." 1*3DIGIT */
struct slice outcome_text_status(struct slice words)
{
    struct slice code = slice_range(words, 0, slice_find_octet(words, ' '));
    size_t digits = 0, dots = 0;
    for (size_t i = 0; i < code.len; i++) {
        if (code.ptr[i] == '.' && digits > 0) {
            dots++;
            digits = 0;
        } else if (ascii_is_digit(code.ptr[i]) && digits < 3) {
            digits++;
        } else {
            return slice_of(NULL, 0);
        }
    }
    uint8_t class = code.len > 1 && code.ptr[1] == '.' ? code.ptr[0] : 0;
    bool known_class = class == '2' || class == '4' || class == '5';
    return dots == 2 && digits > 0 && known_class ? code : slice_of(NULL, 0);
}
