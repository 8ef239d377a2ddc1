/* Any record of queue: refused, or a message whose pieces lie within it and add up. */
#include <stdlib.h>

#include "smtpd/deliver/deliver_message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t octets_cut(const struct deliver_request *request)
{
    uint64_t octets = 0;
    for (size_t at = 0; at < request->cuts.len; at += sizeof(struct filter_cut)) {
        struct filter_cut cut;
        memcpy(&cut, request->cuts.ptr + at, sizeof(cut));
        octets += cut.octets;
    }
    return octets;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct deliver_request request;
    struct deliver_message_pieces made;
    struct error error;
    /* As a channel's buffer is: aligned. */
    void *record = aligned_alloc(16, (size + 16) / 16 * 16);
    if (!record)
        return 0;
    if (size > 0)
        memcpy(record, data, size);
    if (deliver_request_parse(slice_of(record, size), -1, &request, &error)) {
        deliver_make_pieces(&request, SLICE("own"), &made);
        struct buffer whole = BUFFER_WITH_LIMIT(1 << 20);
        for (size_t i = 0; i < made.count; i++)
            buffer_append(&whole, made.pieces[i].octets);
        buffer_clear(&whole);
        if (made.count > DELIVER_PIECES_MAX
            || pieces_octets(made.pieces, made.count)
                   != 3 + request.prefix.len + request.body_octets - octets_cut(&request))
            abort();
        deliver_was_here(request.body, SLICE("a@b.example"));
    } else if (error.kind != ERROR_PEER) {
        abort();
    }
    free(record);
    return 0;
}
