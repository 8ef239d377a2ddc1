/* A response of a server that mail is fetched from: each token lies within it and takes at least an
 * octet, what is a flag may stand in a command to ours, and a string that is written into a command
 * is the same string there. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/import/imap_client.h"

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t count);

static void check_flag(struct slice text)
{
    struct buffer flags = BUFFER_WITH_LIMIT(1 << 20);
    imap_append_flag(text, &flags);
    struct slice flag = buffer_slice(&flags);
    assert(flag.len == 0 || slice_equal(flag, text));
    for (size_t i = 0; i < flag.len; i++)
        assert(flag.ptr[i] > ' ' && flag.ptr[i] < 0x7f && !strchr("(){%*\"]", flag.ptr[i]));
    buffer_clear(&flags);
}

/* "{5+}" as a server writes it, and as it is read here. */
static struct imap_token take_written(const struct buffer *command)
{
    struct cursor in = cursor_of(buffer_slice(command));
    uint8_t *plus = command->ptr[0] == '{' ? memchr(command->ptr, '+', command->len) : NULL;
    if (plus) {
        memmove(command->ptr + 1, command->ptr, (size_t)(plus - command->ptr));
        in = cursor_of(slice_from(buffer_slice(command), 1));
    }
    struct imap_token token = imap_take_token(&in);
    assert(cursor_at_end(&in));
    return token;
}

static void check_string(struct imap_token token)
{
    struct buffer text = BUFFER_WITH_LIMIT(1 << 20), command = BUFFER_WITH_LIMIT(1 << 20);
    struct buffer again = BUFFER_WITH_LIMIT(1 << 20);
    imap_append_string(token, &text);
    imap_append_quoted(buffer_slice(&text), &command);
    struct imap_token written = take_written(&command);
    assert(written.kind == IMAP_STRING);
    imap_append_string(written, &again);
    assert(slice_equal(buffer_slice(&text), buffer_slice(&again)));
    buffer_clear(&text);
    buffer_clear(&command);
    buffer_clear(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t count)
{
    uint8_t *copy = malloc(count + 1); /* ends where it ends, for the sanitizer */
    if (!copy)
        abort();
    memcpy(copy, octets, count);
    struct cursor in = cursor_of(slice_of(copy, count));
    struct cursor whole = in;
    imap_enter_fetch(&whole);
    for (;;) {
        const uint8_t *before = in.at;
        struct imap_token token = imap_take_token(&in);
        if (token.kind == IMAP_END || token.kind == IMAP_BAD)
            break;
        assert(in.at > before && cursor_left(&in) <= count);
        assert(token.text.len == 0
               || (token.text.ptr >= copy && token.text.ptr + token.text.len <= in.at));
        if (token.kind == IMAP_ATOM)
            check_flag(token.text);
        if (token.kind == IMAP_STRING)
            check_string(token);
    }
    free(copy);
    return 0;
}
