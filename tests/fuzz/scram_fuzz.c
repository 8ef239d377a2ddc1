/* What a server says in SCRAM: its first message, and behind a line end its last. */
#include <stdlib.h>

#include "common/login/scram.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = slice_of(data, size);
    size_t end = slice_find_octet(text, '\n');
    struct scram_server_first first;
    struct scram_server_final final;
    if (scram_server_first_parse(slice_range(text, 0, end), &first)) {
        require(first.nonce.len > 0 && first.iterations > 0);
        require(first.salt_octets <= SCRAM_SALT_MAX);
        require(slice_find_octet(first.nonce, ',') == first.nonce.len);
    }
    if (scram_server_final_parse(slice_from(text, end + 1), &final))
        require((final.refusal.len > 0) == (final.signature_octets == 0)
                && final.signature_octets <= SCRAM_OCTETS_MAX);
    return 0;
}
