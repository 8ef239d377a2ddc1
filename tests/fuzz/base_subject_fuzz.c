/* imapd/search/base_subject.h: a base lies within its text, has no space at its ends, and is its
 * own base unless something was unwrapped from what it is now. */
#include <stdlib.h>

#include "imapd/search/base_subject.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buffer text = BUFFER_WITH_LIMIT(3 * size + 1);
    bool is_reply, again_reply;
    base_subject_decode(slice_of(data, size), &text);
    must(!text.failed);
    struct slice base = base_subject_find(buffer_slice(&text), &is_reply);
    must(base.len <= text.len);
    must(base.len == 0 || (base.ptr >= text.ptr && base.ptr + base.len <= text.ptr + text.len));
    must(base.len == 0 || (base.ptr[0] != ' ' && base.ptr[base.len - 1] != ' '));
    struct slice again = base_subject_find(base, &again_reply);
    must(slice_equal(again, base));
    must(base.len > 0 || !again_reply);
    buffer_clear(&text);
    return 0;
}
