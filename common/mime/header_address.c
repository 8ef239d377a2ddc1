/*
 * The parser of header_address.h. The text of an address gathers in reader->text, in this order:
 * name, route, local part, domain, comment; struct piece says where each ended up.
 */
#include "common/mime/header_address.h"

#include "common/mime/token.h"

/* A run of reader->text; offsets, since the text moves when it grows. */
struct piece {
    size_t start;
    size_t end;
};

struct draft {
    struct piece name, route, local_part, domain;
    bool malformed;
};

void header_address_reader_init(struct header_address_reader *reader, struct slice body)
{
    /* Each octet is kept at most twice: in a comment that is read again as part of the raw text. */
    *reader = (struct header_address_reader){
        .in = cursor_of(body),
        .in_group = false,
        .text = BUFFER_WITH_LIMIT(2 * body.len + 64),
    };
}

void header_address_reader_clear(struct header_address_reader *reader)
{
    buffer_clear(&reader->text);
}

static struct slice piece_text(const struct header_address_reader *reader, struct piece piece)
{
    return slice_range(buffer_slice(&reader->text), piece.start, piece.end);
}

/* word = atom / quoted-string, here with the dots of obs-phrase inside an atom */
static bool take_word(struct header_address_reader *reader, bool dots)
{
    struct slice atom;
    if (token_take(&reader->in, TOKEN_ATEXT, &atom)) {
        buffer_append(&reader->text, atom);
        return true;
    }
    if (dots && cursor_skip(&reader->in, '.')) {
        buffer_append_octet(&reader->text, '.');
        return true;
    }
    return token_take_quoted(&reader->in, &reader->text);
}

/* obs-phrase = word *(word / "." / CFWS)    RFC 5322 4.1; white space becomes one space */
static struct piece take_phrase(struct header_address_reader *reader)
{
    struct piece phrase = {reader->text.len, reader->text.len};
    for (;;) {
        struct cursor before = reader->in;
        token_skip_cfws(&reader->in);
        size_t text_before = reader->text.len;
        if (reader->in.at != before.at && phrase.end > phrase.start)
            buffer_append_octet(&reader->text, ' ');
        if (!take_word(reader, true)) {
            buffer_truncate(&reader->text, text_before);
            return phrase;
        }
        phrase.end = reader->text.len;
    }
}

/* obs-local-part = word *("." word)    RFC 5322 4.4. Dots may also stand first, last and together:
 * such addresses exist. */
static struct piece take_local_part(struct header_address_reader *reader)
{
    struct piece part = {reader->text.len, reader->text.len};
    for (bool after_word = false;;) {
        token_skip_cfws(&reader->in);
        bool dot = cursor_skip(&reader->in, '.');
        if (dot)
            buffer_append_octet(&reader->text, '.');
        else if (after_word || !take_word(reader, false))
            return part;
        after_word = !dot;
        part.end = reader->text.len;
    }
}

/* domain-literal = [CFWS] "[" *([FWS] dtext) [FWS] "]" [CFWS]    RFC 5322 3.4.1 */
static void take_domain_literal(struct header_address_reader *reader)
{
    while (!cursor_at_end(&reader->in)) {
        uint8_t octet = *reader->in.at++;
        if (token_is(octet, TOKEN_SPACE))
            continue;
        if (octet == '\\' && !cursor_at_end(&reader->in))
            octet = *reader->in.at++;
        buffer_append_octet(&reader->text, octet);
        if (octet == ']')
            return;
    }
}

/* obs-domain = atom *("." atom)    RFC 5322 4.4 */
static struct piece take_domain(struct header_address_reader *reader)
{
    struct piece domain = {reader->text.len, reader->text.len};
    token_skip_cfws(&reader->in);
    if (!cursor_at_end(&reader->in) && *reader->in.at == '[')
        take_domain_literal(reader);
    for (bool after_atom = reader->text.len > domain.start;;) {
        domain.end = reader->text.len;
        struct cursor before = reader->in;
        struct slice atom;
        token_skip_cfws(&reader->in);
        bool dot = cursor_skip(&reader->in, '.');
        if (dot) {
            buffer_append_octet(&reader->text, '.');
        } else if (!after_atom && token_take(&reader->in, TOKEN_ATEXT, &atom)) {
            buffer_append(&reader->text, atom);
        } else {
            reader->in = before; /* a comment here is the name */
            return domain;
        }
        after_atom = !dot;
    }
}

/* obs-route = obs-domain-list ":"    RFC 5322 4.4, the list of "@" domain with commas between */
static struct piece take_route(struct header_address_reader *reader)
{
    struct piece route = {reader->text.len, reader->text.len};
    token_skip_cfws(&reader->in);
    while (cursor_skip(&reader->in, '@')) {
        buffer_append(&reader->text, route.end > route.start ? SLICE(",@") : SLICE("@"));
        take_domain(reader);
        route.end = reader->text.len;
        do
            token_skip_cfws(&reader->in);
        while (cursor_skip(&reader->in, ','));
    }
    if (route.end > route.start)
        cursor_skip(&reader->in, ':');
    return route;
}

/* The last comment of [CFWS]; the empty piece if there is none. */
static struct piece take_comments(struct header_address_reader *reader)
{
    struct piece comment = {reader->text.len, reader->text.len};
    for (;;) {
        token_skip_space(&reader->in);
        size_t start = reader->text.len;
        if (!token_take_comment(&reader->in, &reader->text))
            return comment;
        comment = (struct piece){start, reader->text.len};
    }
}

static bool at_separator(const struct header_address_reader *reader)
{
    return cursor_at_end(&reader->in) || *reader->in.at == ',' || *reader->in.at == ';';
}

/* Skips one octet, or a whole quoted string or comment. */
static void skip_something(struct header_address_reader *reader)
{
    if (!token_take_quoted(&reader->in, NULL) && !token_take_comment(&reader->in, NULL))
        reader->in.at++;
}

/* Skips to the next separator outside of quotes and comments. */
static void skip_to_separator(struct header_address_reader *reader)
{
    while (!at_separator(reader))
        skip_something(reader);
}

/* Takes the raw text as the local part of an address without a domain. */
static void take_raw(struct header_address_reader *reader, struct draft *draft)
{
    struct cursor start = reader->in;
    skip_to_separator(reader);
    buffer_truncate(&reader->text, 0);
    buffer_append(&reader->text, token_trim(cursor_since(&reader->in, &start)));
    *draft = (struct draft){.local_part = {0, reader->text.len}, .malformed = true};
}

/* addr-spec = local-part "@" domain    RFC 5322 3.4.1 */
static bool take_addr_spec(struct header_address_reader *reader, struct draft *draft)
{
    draft->local_part = take_local_part(reader);
    if (!cursor_skip(&reader->in, '@'))
        return false;
    draft->domain = take_domain(reader);
    return draft->domain.end > draft->domain.start
           && draft->local_part.end > draft->local_part.start;
}

/* angle-addr = "<" [obs-route] addr-spec ">"    RFC 5322 3.4, after its "<" */
static void take_angle_addr(struct header_address_reader *reader, struct draft *draft)
{
    draft->route = take_route(reader);
    draft->malformed = !take_addr_spec(reader, draft);
    token_skip_cfws(&reader->in);
    if (!cursor_skip(&reader->in, '>'))
        draft->malformed = true;
}

/* "a@b <a@b>", "Info [x] <a@b>": a name that should have quotes, common in mail, before a final
 * angle-addr. False, the cursor anywhere, if it is not that. */
static bool take_loose_name_addr(struct header_address_reader *reader, struct draft *draft)
{
    struct cursor start = reader->in;
    while (!at_separator(reader) && *reader->in.at != '<')
        skip_something(reader);
    struct slice name = token_trim(cursor_since(&reader->in, &start));
    if (!cursor_skip(&reader->in, '<'))
        return false;
    buffer_truncate(&reader->text, 0);
    buffer_append(&reader->text, name);
    *draft = (struct draft){.name = {0, reader->text.len}};
    take_angle_addr(reader, draft);
    take_comments(reader);
    return !draft->malformed && at_separator(reader);
}

/* Takes a mailbox without angle brackets, or any other text. */
static void take_bare_mailbox(struct header_address_reader *reader, struct draft *draft)
{
    struct cursor start = reader->in;
    *draft = (struct draft){.malformed = false};
    draft->malformed = !take_addr_spec(reader, draft);
    draft->name = take_comments(reader);
    if (at_separator(reader))
        return;
    reader->in = start;
    if (take_loose_name_addr(reader, draft))
        return;
    reader->in = start;
    take_raw(reader, draft);
}

/* "Terry Gray", "\"Terry\"": a name without an address. One atom is rather a local part. */
static bool is_mere_name(const struct header_address_reader *reader, const struct draft *draft)
{
    struct slice name = piece_text(reader, draft->name);
    size_t i = 0;
    while (i < name.len && (token_is(name.ptr[i], TOKEN_ATEXT) || name.ptr[i] == '.'))
        i++;
    return i < name.len;
}

/* mailbox = name-addr / addr-spec; group = display-name ":" ...    RFC 5322 3.4 */
static enum header_address_kind take_address(struct header_address_reader *reader,
                                             struct draft *draft)
{
    struct cursor start = reader->in;
    *draft = (struct draft){.name = take_phrase(reader)};
    if (cursor_skip(&reader->in, '<')) {
        take_angle_addr(reader, draft);
        struct piece comment = take_comments(reader);
        if (draft->name.end == draft->name.start)
            draft->name = comment;
    } else if (!reader->in_group && draft->name.end > draft->name.start
               && cursor_skip(&reader->in, ':')) {
        reader->in_group = true;
        return HEADER_ADDRESS_GROUP;
    } else if (at_separator(reader) && is_mere_name(reader, draft)) {
        draft->malformed = true;
    } else {
        reader->in = start;
        buffer_truncate(&reader->text, 0);
        take_bare_mailbox(reader, draft);
    }
    if (!at_separator(reader)) {
        draft->malformed = true;
        skip_to_separator(reader);
    }
    return HEADER_ADDRESS_MAILBOX;
}

/* Steps over the empty elements of obs-addr-list (RFC 5322 4.4), and over the semicolons that some
 * software puts between addresses. True if that ended a group. */
static bool skip_separators(struct header_address_reader *reader)
{
    for (;;) {
        token_skip_cfws(&reader->in);
        if (cursor_skip(&reader->in, ','))
            continue;
        if (!cursor_skip(&reader->in, ';'))
            return false;
        if (reader->in_group)
            return true;
    }
}

bool header_address_next(struct header_address_reader *reader, struct header_address *address)
{
    if (reader->text.failed)
        return false;
    buffer_reset(&reader->text);
    bool group_ended = skip_separators(reader);
    if (group_ended || (reader->in_group && cursor_at_end(&reader->in))) {
        reader->in_group = false;
        *address =
            (struct header_address){.kind = HEADER_ADDRESS_GROUP_END, .malformed = !group_ended};
        return true;
    }
    if (cursor_at_end(&reader->in))
        return false;
    struct draft draft;
    enum header_address_kind kind = take_address(reader, &draft);
    *address = (struct header_address){
        .kind = kind,
        .malformed = draft.malformed,
        .name = slice_trim(piece_text(reader, draft.name)),
        .route = piece_text(reader, draft.route),
        .local_part = piece_text(reader, draft.local_part),
        .domain = piece_text(reader, draft.domain),
    };
    return !reader->text.failed;
}

bool header_address_is_dot_string(struct slice local_part)
{
    bool after_atext = false;
    for (size_t i = 0; i < local_part.len; i++) {
        bool atext = token_is(local_part.ptr[i], TOKEN_ATEXT);
        if (!atext && (local_part.ptr[i] != '.' || !after_atext))
            return false;
        after_atext = atext;
    }
    return after_atext;
}

void header_address_append_local_part(struct buffer *text, struct slice local_part)
{
    if (header_address_is_dot_string(local_part)) {
        buffer_append(text, local_part);
        return;
    }
    buffer_append_octet(text, '"');
    for (size_t i = 0; i < local_part.len; i++) {
        if (local_part.ptr[i] == '"' || local_part.ptr[i] == '\\')
            buffer_append_octet(text, '\\');
        buffer_append_octet(text, local_part.ptr[i]);
    }
    buffer_append_octet(text, '"');
}
