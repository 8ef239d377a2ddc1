/* imapd/syntax/message_url.h: a URL that parses names a UID and one item that leaves \Seen alone;
 * it means the same with every octet of the mailbox %-encoded. */
#include <stdlib.h>

#include "common/arena.h"
#include "common/buffer.h"
#include "imapd/syntax/message_url.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

static bool is_same(const struct message_url *a, const struct message_url *b)
{
    return slice_equal(a->mailbox, b->mailbox) && a->uidvalidity == b->uidvalidity
           && a->uid == b->uid && slice_equal(a->item->label, b->item->label);
}

/* "%2F" for an octet of the mailbox's name, and all else as it was, is the same URL. */
static void check_encoded(const struct message_url *url, struct slice text, struct arena *arena)
{
    static const char digits[] = "0123456789ABCDEF";
    struct buffer again = BUFFER_WITH_LIMIT(1 << 20);
    struct message_url other;
    size_t at = 1;
    buffer_append_octet(&again, '/');
    for (size_t i = 0; i < url->mailbox.len; i++) {
        uint8_t octet = url->mailbox.ptr[i];
        buffer_append_octet(&again, '%');
        buffer_append_octet(&again, (uint8_t)digits[octet >> 4]);
        buffer_append_octet(&again, (uint8_t)digits[octet & 15]);
        at += text.ptr[at] == '%' ? 3 : 1;
    }
    buffer_append(&again, slice_from(text, at));
    check(!again.failed && message_url_parse(buffer_slice(&again), arena, &other));
    check(is_same(url, &other));
    buffer_clear(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct message_url url;
    struct slice text = slice_of(data, size);
    arena_init(&arena, 4 << 20);
    if (size < 65536 && message_url_parse(text, &arena, &url)) {
        check(url.uid > 0 && url.item && !url.item->next && !url.item->sets_seen);
        if (url.mailbox.len > 0)
            check_encoded(&url, text, &arena);
    }
    arena_clear(&arena);
    return 0;
}
