/* The first octet says where the rest, a server's octets, is split: what is read must not depend on
 * it, nor reach beyond it. */
#include <assert.h>
#include <stdlib.h>

#include "smtpd/relay/capabilities.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A copy that ends where it ends, for the sanitizer. */
static enum parse_result read_part(struct peer_reply_reader *reader, struct slice input,
                                   size_t octets, size_t *taken, struct capabilities *offers)
{
    uint8_t *copy = malloc(octets + 1);
    struct peer_reply reply;
    if (!copy)
        abort();
    memcpy(copy, input.ptr, octets);
    struct cursor in = cursor_of(slice_of(copy, octets));
    enum parse_result result = peer_reply_read(reader, &in, &reply);
    *taken = (size_t)(in.at - copy);
    if (result == PARSE_DONE) {
        assert(reply.code >= 200 && reply.code <= 599 && reply.lines.len == *taken);
        capabilities_read(&reply, offers);
    }
    free(copy);
    return result;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    struct slice input = slice_of(data + 1, size - 1);
    struct peer_reply_reader whole = {.octets = 0}, parts = {.octets = 0};
    struct capabilities offers = {.offered = 0}, offers_of_parts = {.offered = 0};
    size_t taken, taken_of_parts;
    enum parse_result result = read_part(&whole, input, input.len, &taken, &offers);
    size_t first = data[0] % input.len;
    enum parse_result of_parts = read_part(&parts, input, first, &taken_of_parts, &offers_of_parts);
    if (of_parts == PARSE_MORE)
        of_parts = read_part(&parts, input, input.len, &taken_of_parts, &offers_of_parts);
    assert(result == of_parts && taken == taken_of_parts);
    assert(offers.offered == offers_of_parts.offered && offers.size == offers_of_parts.size);
    return 0;
}
