/*
 * Addresses; see downgrade_address.h. The list is cut at its commas, colons and semicolons; what is
 * between two of them is a mailbox, or the name of a group. Pure but for libidn2; relay.
 */
#include "smtpd/relay/downgrade/downgrade_address.h"

#include "common/mime/token.h"
#include "common/text/address.h"
#include "smtpd/relay/downgrade/downgrade_field.h"

/* A line that long is folded at parentheses too. */
enum { FULL_LINE = 70 };

struct list {
    struct word_writer *writer;
    struct slice blank; /* white space read, to be written before the next word */
    bool in_group;
    struct buffer scratch; /* of one word or address */
};

/* ---- reading ---- */

/* Skips past the closing octet, or to the end if it is missing. */
static void skip_to(struct cursor *in, uint8_t closing)
{
    struct slice rest = cursor_rest(in);
    size_t at = slice_find_octet(rest, closing);
    in->at += at < rest.len ? at + 1 : at;
}

/* "<" to ">", with quoted strings between. */
static void skip_angle(struct cursor *in)
{
    while (!cursor_at_end(in) && *in->at != '>')
        if (!token_take_quoted(in, NULL))
            in->at++;
    cursor_skip(in, '>');
}

/* Skips one octet, or the whole construct that it opens. */
static void skip_something(struct cursor *in)
{
    if (token_take_quoted(in, NULL) || token_take_comment(in, NULL))
        return;
    uint8_t octet = *in->at++;
    if (octet == '<')
        skip_angle(in);
    else if (octet == '[')
        skip_to(in, ']');
}

/* Takes the text up to the next separator, which is skipped; 0: the end. */
static struct slice take_element(struct cursor *in, uint8_t *separator)
{
    struct cursor start = *in;
    while (!cursor_at_end(in) && *in->at != ',' && *in->at != ':' && *in->at != ';')
        skip_something(in);
    struct slice element = cursor_since(in, &start);
    *separator = cursor_at_end(in) ? 0 : *in->at++;
    return element;
}

/* mailbox = name-addr / addr-spec    RFC 5322 3.4; runs of the element, in its order */
struct mailbox {
    struct slice phrase;  /* text before the address; all of it if there is no address */
    struct slice address; /* an addr-spec, maybe with a route, without white space around */
    bool in_angles;
    struct slice rest; /* comments */
};

/* The end of the last item that is not a comment or white space. */
static const uint8_t *end_of_address(struct slice text)
{
    struct cursor in = cursor_of(text);
    const uint8_t *end = in.at;
    for (token_skip_cfws(&in); !cursor_at_end(&in); token_skip_cfws(&in)) {
        skip_something(&in);
        end = in.at;
    }
    return end;
}

static struct mailbox split_bare(struct slice element)
{
    struct cursor in = cursor_of(element), start = in;
    token_skip_cfws(&in);
    struct mailbox mailbox = {.phrase = cursor_since(&in, &start)};
    struct slice behind = cursor_rest(&in);
    size_t octets = behind.len > 0 ? (size_t)(end_of_address(behind) - behind.ptr) : 0;
    mailbox.address = slice_range(behind, 0, octets);
    mailbox.rest = slice_from(behind, octets);
    return mailbox;
}

static struct mailbox split_angled(struct slice element, size_t at)
{
    struct cursor in = cursor_of(slice_from(element, at + 1)), start = in;
    skip_angle(&in);
    struct slice inner = cursor_since(&in, &start);
    if (slice_ends_with(inner, SLICE(">")))
        inner.len--;
    return (struct mailbox){.phrase = slice_range(element, 0, at),
                            .address = token_trim(inner),
                            .in_angles = true,
                            .rest = cursor_rest(&in)};
}

static struct mailbox split(struct slice element)
{
    struct cursor in = cursor_of(element), start = in;
    bool has_at = false;
    while (!cursor_at_end(&in) && *in.at != '<') {
        has_at = has_at || *in.at == '@';
        skip_something(&in);
    }
    if (!cursor_at_end(&in))
        return split_angled(element, cursor_since(&in, &start).len);
    return has_at ? split_bare(element) : (struct mailbox){.phrase = element};
}

/* ---- addresses ---- */

/* Appends the address with A-labels. False, with nothing appended, if it needs more than that. */
static bool to_ascii(struct slice text, struct buffer *out)
{
    struct address address;
    size_t before = out->len;
    if (!address_parse_mailbox(text, &address, NULL) || !slice_is_ascii(address.local_part))
        return false;
    buffer_append(out, address.local_part);
    buffer_append_octet(out, '@');
    if (address_canonicalise_domain(&address, out, NULL))
        return true;
    buffer_truncate(out, before);
    return false;
}

/* Whether only SMTPUTF8 could carry the address. */
static bool is_international(struct list *list, struct slice element)
{
    struct mailbox mailbox = split(element);
    buffer_reset(&list->scratch);
    return !slice_is_ascii(mailbox.address) && !to_ascii(mailbox.address, &list->scratch);
}

/* ---- writing ---- */

static struct slice take_blank(struct list *list, struct cursor *in)
{
    struct cursor start = *in;
    token_skip_space(in);
    struct slice blank = cursor_since(in, &start);
    if (blank.len == 0)
        blank = list->blank;
    list->blank = SLICE("");
    return blank;
}

static bool is_special_in_comment(uint8_t octet)
{
    return octet == '(' || octet == ')' || token_is(octet, TOKEN_SPACE);
}

/* A word of a comment; without its backslashes where it is encoded. */
static void write_comment_word(struct list *list, struct slice blank, struct cursor *in)
{
    struct cursor start = *in;
    buffer_reset(&list->scratch);
    while (!cursor_at_end(in) && !is_special_in_comment(*in->at)) {
        if (*in->at == '\\' && cursor_left(in) > 1)
            in->at++;
        buffer_append_octet(&list->scratch, *in->at++);
    }
    struct slice word = cursor_since(in, &start);
    if (word.len > DOWNGRADE_WORD_OCTETS)
        word_writer_text(list->writer, blank, buffer_slice(&list->scratch));
    else
        downgrade_word(list->writer, blank,
                       slice_is_ascii(word) ? word : buffer_slice(&list->scratch));
}

/* comment = "(" *([FWS] ccontent) [FWS] ")"    RFC 5322 3.2.2; all that is open is closed */
static void write_comment(struct list *list, struct slice blank, struct slice comment)
{
    struct cursor in = cursor_of(comment);
    size_t depth = 0;
    do {
        uint8_t octet = *in.at;
        if (octet == '(' || octet == ')') {
            in.at++;
            if (blank.len == 0 && list->writer->column > FULL_LINE)
                blank = SLICE(" ");
            word_writer_plain(list->writer, blank, octet == '(' ? SLICE("(") : SLICE(")"));
            depth += octet == '(' ? 1 : (size_t)-1;
        } else {
            write_comment_word(list, blank, &in);
        }
        blank = take_blank(list, &in);
    } while (!cursor_at_end(&in));
    for (; depth > 0; depth--)
        word_writer_plain(list->writer, SLICE(" "), SLICE(")"));
}

static void write_quoted(struct list *list, struct slice blank, struct slice quoted)
{
    struct cursor in = cursor_of(quoted);
    buffer_reset(&list->scratch);
    token_take_quoted(&in, &list->scratch);
    word_writer_text(list->writer, blank, buffer_slice(&list->scratch));
}

static struct slice take_atoms(struct cursor *in)
{
    struct cursor start = *in;
    while (!cursor_at_end(in) && *in->at != '(' && *in->at != '"'
           && !token_is(*in->at, TOKEN_SPACE))
        in->at++;
    return cursor_since(in, &start);
}

/* phrase = 1*word, with comments between; what else stands there is taken for a word */
static void write_phrase(struct list *list, struct slice phrase)
{
    struct cursor in = cursor_of(phrase);
    for (;;) {
        struct slice blank = take_blank(list, &in);
        struct cursor start = in;
        if (cursor_at_end(&in)) {
            list->blank = blank;
            return;
        }
        bool is_quoted = token_take_quoted(&in, NULL);
        bool is_comment = !is_quoted && token_take_comment(&in, NULL);
        struct slice token = is_quoted || is_comment ? cursor_since(&in, &start) : take_atoms(&in);
        bool is_plain = slice_is_ascii(token) && token.len <= DOWNGRADE_WORD_OCTETS;
        if ((is_quoted || is_comment) && is_plain)
            word_writer_plain(list->writer, blank, token);
        else if (is_quoted)
            write_quoted(list, blank, token);
        else if (is_comment)
            write_comment(list, blank, token);
        else if (token.len > DOWNGRADE_WORD_OCTETS)
            word_writer_text(list->writer, blank, token);
        else
            downgrade_word(list->writer, blank, token);
    }
}

static struct slice owed_blank(struct list *list)
{
    struct slice blank = list->blank;
    list->blank = SLICE("");
    return blank;
}

/* RFC 6857 3.1.8: writes a name that tells the address instead of the address. */
static void write_lost(struct list *list, struct slice text)
{
    word_writer_text(list->writer, owed_blank(list), text);
    word_writer_plain(list->writer, SLICE(" "), SLICE(":;"));
}

static void write_mailbox(struct list *list, struct slice element)
{
    struct mailbox mailbox = split(element);
    if (slice_is_ascii(mailbox.address) && !mailbox.in_angles) {
        write_phrase(list, element);
        return;
    }
    write_phrase(list, mailbox.phrase);
    buffer_reset(&list->scratch);
    if (mailbox.in_angles)
        buffer_append_octet(&list->scratch, '<');
    bool is_ascii = slice_is_ascii(mailbox.address) && mailbox.address.len <= DOWNGRADE_WORD_OCTETS;
    if (is_ascii)
        buffer_append(&list->scratch, mailbox.address);
    bool is_written = is_ascii || to_ascii(mailbox.address, &list->scratch);
    if (mailbox.in_angles)
        buffer_append_octet(&list->scratch, '>');
    if (is_written)
        word_writer_plain(list->writer, owed_blank(list), buffer_slice(&list->scratch));
    else
        write_lost(list, mailbox.address);
    write_phrase(list, mailbox.rest);
}

/* group = display-name ":" [group-list] ";"    RFC 5322 3.4, at its list. True if that had an
 * address that cannot be written: then there is one encoded word for the list. */
static bool write_lost_group(struct list *list, struct cursor *in)
{
    struct cursor start = *in, ahead = *in, end = *in;
    bool is_lost = false;
    for (uint8_t separator = ','; separator != ';' && separator != 0;) {
        struct slice element = take_element(&ahead, &separator);
        is_lost = is_lost || is_international(list, element);
        end.at = element.len > 0 ? element.ptr + element.len : end.at;
    }
    if (!is_lost)
        return false;
    write_lost(list, token_trim(cursor_since(&end, &start)));
    *in = ahead;
    return true;
}

static void write_separator(struct list *list, uint8_t separator)
{
    word_writer_plain(list->writer, SLICE(""), slice_of(&separator, 1));
    list->blank = SLICE(" "); /* a place where the line may be folded */
}

void downgrade_addresses(struct slice body, struct word_writer *writer)
{
    struct list list = {.writer = writer,
                        .scratch = BUFFER_WITH_LIMIT(body.len + ADDRESS_CANONICAL_LIMIT)};
    struct cursor in = cursor_of(body);
    while (!cursor_at_end(&in)) {
        uint8_t separator;
        struct slice element = take_element(&in, &separator);
        bool is_group = separator == ':' && !list.in_group;
        if (is_group)
            write_phrase(&list, element);
        else
            write_mailbox(&list, element);
        if (is_group && write_lost_group(&list, &in)) {
            uint8_t comma = ',';
            token_skip_space(&in);
            if (cursor_skip(&in, comma))
                write_separator(&list, comma);
            continue;
        }
        if (separator != 0)
            write_separator(&list, separator);
        list.in_group = (list.in_group || is_group) && separator != ';';
    }
    writer->out->failed |= list.scratch.failed;
    buffer_clear(&list.scratch);
}
