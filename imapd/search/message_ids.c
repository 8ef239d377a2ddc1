/* The identifiers of message_ids.h. */
#include "imapd/search/message_ids.h"

#include "common/mime/token.h"

/* A quoted left side is the same as one without quotes, where it needs none. */
static void take_id(struct cursor *in, struct buffer *ids)
{
    uint8_t octet;
    while (cursor_peek(in, &octet) && octet != '>' && octet != '<') {
        if (token_take_quoted(in, ids))
            continue;
        in->at++;
        if (!token_is(octet, TOKEN_SPACE))
            buffer_append_octet(ids, octet);
    }
}

/* msg-id = "<" id-left "@" id-right ">"    RFC 5322 3.6.4. What is none leaves nothing. */
static bool append_id(struct cursor *in, struct buffer *ids)
{
    size_t before = ids->len;
    cursor_skip(in, '<');
    take_id(in, ids);
    struct slice id = slice_from(buffer_slice(ids), before);
    size_t at = slice_find_octet(id, '@');
    bool valid =
        at > 0 && at + 1 < id.len && slice_find_octet(id, '\n') == id.len && cursor_skip(in, '>');
    if (valid)
        buffer_append_octet(ids, '\n');
    else
        buffer_truncate(ids, before);
    return valid;
}

size_t message_ids_append(struct slice body, size_t most, struct buffer *ids)
{
    struct cursor in = cursor_of(body);
    uint8_t octet;
    size_t count = 0;
    while (count < most && cursor_peek(&in, &octet)) {
        if (octet == '(' && token_take_comment(&in, NULL))
            continue;
        if (octet == '<')
            count += append_id(&in, ids);
        else
            in.at++;
    }
    return count;
}

bool message_ids_next(struct cursor *in, struct slice *id)
{
    struct slice rest = cursor_rest(in);
    size_t length = slice_find_octet(rest, '\n');
    if (length == rest.len)
        return false;
    *id = slice_range(rest, 0, length);
    in->at += length + 1;
    return true;
}
