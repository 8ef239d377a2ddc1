/* imapd/syntax/auth_url.h: what parses lies in the text, names somebody and a place, and its rump
 * parses to the same without a mechanism. */
#include <stdlib.h>

#include "imapd/syntax/auth_url.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct auth_url url, rump;
    struct slice text = slice_of(data, size);
    arena_init(&arena, 1 << 20);
    if (size < 65536 && auth_url_parse(text, &arena, &url)) {
        check(url.rump.ptr == text.ptr && url.rump.len <= text.len);
        check(url.user.len > 0 && url.host.len > 0 && url.path.len > 0);
        check(auth_url_parse(url.rump, &arena, &rump));
        check(rump.mechanism.len == 0 && rump.access == url.access && rump.until == url.until);
        check(slice_equal(rump.path, url.path) && slice_equal(rump.reader, url.reader));
    }
    arena_clear(&arena);
    return 0;
}
