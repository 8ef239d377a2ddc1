/* A path that is taken is given back by formatting, and its canonical form is its own. */
#include <stdlib.h>

#include "common/text/address.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void check_canonical(const struct address *address)
{
    struct buffer once = BUFFER_WITH_LIMIT(ADDRESS_CANONICAL_LIMIT);
    struct buffer twice = BUFFER_WITH_LIMIT(ADDRESS_CANONICAL_LIMIT);
    struct error error;
    if (address_canonicalise(address, &once, &error)) {
        struct address again;
        /* Requoting and A-labels may pass the limits of what a peer may send; nothing else does. */
        if (address_parse_mailbox(buffer_slice(&once), &again, NULL)) {
            require(address_canonicalise(&again, &twice, NULL));
            require(slice_equal(buffer_slice(&once), buffer_slice(&twice)));
        }
    } else {
        require(error.kind == ERROR_PEER);
    }
    buffer_clear(&once);
    buffer_clear(&twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cursor in = cursor_of(slice_of(data, size));
    struct cursor start = in;
    struct address address;
    if (!address_parse_reverse_path(&in, &address, NULL)) {
        require(in.at == start.at);
        return 0;
    }
    struct buffer text = BUFFER_WITH_LIMIT(ADDRESS_PATH_LIMIT);
    address_format_path(&address, &text);
    struct address again;
    struct cursor formatted = cursor_of(buffer_slice(&text));
    require(address_parse_reverse_path(&formatted, &again, NULL));
    require(slice_equal(again.local_part, address.local_part));
    require(slice_equal(again.domain, address.domain));
    buffer_clear(&text);
    if (address.host != ADDRESS_HOST_NONE)
        check_canonical(&address);
    return 0;
}
