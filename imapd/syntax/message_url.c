/* The parser of message_url.h: imessagelist without a scheme, RFC 5092 11. */
#include "imapd/syntax/message_url.h"

#include <string.h>

#include "common/size.h"

static bool take_hexadecimal(uint8_t octet, unsigned *value)
{
    uint8_t lower = ascii_lower(octet);
    bool is_letter = lower >= 'a' && lower <= 'f';
    *value = is_letter ? lower - 'a' + 10U : lower - (unsigned)'0';
    return is_letter || ascii_is_digit(octet);
}

struct slice message_url_decode(struct slice text, struct arena *arena)
{
    uint8_t *octets = arena_alloc(arena, text.len + 1);
    size_t len = 0;
    for (size_t i = 0; octets && i < text.len; i++) {
        unsigned high, low;
        octets[len] = text.ptr[i];
        if (text.ptr[i] == '%') {
            if (text.len - i < 3 || !take_hexadecimal(text.ptr[i + 1], &high)
                || !take_hexadecimal(text.ptr[i + 2], &low))
                return slice_of(NULL, 0);
            octets[len] = (uint8_t)(high << 4 | low);
            i += 2;
        }
        len++;
    }
    return slice_of(octets, octets ? len : 0);
}

/* Offset of the word in the text, ignoring case; text.len: none. */
static size_t find_nocase(struct slice text, struct slice word)
{
    for (size_t i = 0; i + word.len <= text.len; i++) {
        if (slice_starts_with_nocase(slice_from(text, i), word))
            return i;
    }
    return text.len;
}

static bool take_nz_number(struct cursor *in, uint32_t *number)
{
    uint64_t value;
    if (!cursor_take_number(in, &value) || value == 0 || value > UINT32_MAX)
        return false;
    *number = (uint32_t)value;
    return true;
}

/* imailbox-ref = enc-mailbox [";UIDVALIDITY=" nz-number] */
static bool parse_mailbox(struct slice text, struct arena *arena, struct message_url *url)
{
    static const struct slice word = SLICE(";UIDVALIDITY=");
    size_t at = find_nocase(text, word);
    struct cursor in = cursor_of(slice_from(text, at));
    if (at < text.len) {
        in.at += word.len;
        if (!take_nz_number(&in, &url->uidvalidity) || !cursor_at_end(&in))
            return false;
    }
    url->mailbox = message_url_decode(slice_range(text, 0, at), arena);
    return url->mailbox.ptr != NULL;
}

/* The section and partial range, in the form of FETCH. */
static bool make_item(struct slice section, struct slice partial, struct arena *arena,
                      struct message_url *url)
{
    struct buffer text;
    struct imap_parser parser;
    buffer_init(&text, section.len + partial.len + 100);
    buffer_append(&text, SLICE("BODY.PEEK["));
    buffer_append(&text, section);
    buffer_append_octet(&text, ']');
    if (partial.len > 0) {
        bool has_end = slice_find_octet(partial, '.') < partial.len;
        buffer_append_octet(&text, '<');
        buffer_append(&text, partial);
        buffer_append_string(&text, has_end ? ">" : ".9223372036854775807>");
    }
    struct slice copy = arena_copy(arena, buffer_slice(&text));
    bool made = !text.failed && copy.ptr;
    url->item_text = copy;
    buffer_clear(&text);
    imap_parser_init(&parser, copy, arena);
    return made && fetch_items_parse(&parser, &url->item) && imap_parser_at_end(&parser)
           && url->item->kind == FETCH_SECTION;
}

/* ["/" isection] ["/" ipartial], isection = ";SECTION=" enc-section */
static bool parse_section(struct slice text, struct arena *arena, struct message_url *url)
{
    static const struct slice section_word = SLICE("/;SECTION=");
    static const struct slice partial_word = SLICE("/;PARTIAL=");
    size_t partial_at = find_nocase(text, partial_word);
    struct slice section = slice_range(text, 0, partial_at);
    struct slice partial = slice_from(text, partial_at);
    if (section.len > 0 && !slice_starts_with_nocase(section, section_word))
        return false;
    section = message_url_decode(slice_from(section, section.len ? section_word.len : 0), arena);
    if (partial.len > 0)
        partial = slice_from(partial, partial_word.len);
    return section.ptr && (partial_at == text.len || partial.len > 0)
           && make_item(section, partial, arena, url);
}

/* An absolute path, or one that starts with the message: then it is in the selected mailbox. */
bool message_url_parse(struct slice text, struct arena *arena, struct message_url *url)
{
    static const struct slice word = SLICE("/;UID=");
    *url = (struct message_url){.uid = 0};
    if (slice_starts_with_nocase(text, SLICE(";UID=")))
        text = slice_from(text, 1);
    else if (slice_starts_with(text, SLICE("/")))
        text = slice_from(text, slice_starts_with_nocase(text, word) ? 2 : 1);
    else
        return false;
    bool of_selected = slice_starts_with_nocase(text, SLICE("UID="));
    size_t at = of_selected ? 0 : find_nocase(text, word);
    if (at == text.len || (!of_selected && at == 0))
        return false;
    struct cursor in = cursor_of(slice_from(text, at + (of_selected ? 4 : word.len)));
    return (of_selected || parse_mailbox(slice_range(text, 0, at), arena, url))
           && take_nz_number(&in, &url->uid) && parse_section(cursor_rest(&in), arena, url);
}
