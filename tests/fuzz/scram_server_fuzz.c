/* What a client says in SCRAM: its first message, behind a line end its last, behind another one a
 * verifier as it stands in a file. */
#include <stdlib.h>

#include "common/login/scram_server.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

static struct slice take_line(struct slice *text)
{
    size_t end = slice_find_octet(*text, '\n');
    struct slice line = slice_range(*text, 0, end);
    *text = slice_from(*text, end + 1);
    return line;
}

static void converse(const struct scram_client_first *first, struct slice final)
{
    static const struct scram_bindings none = {{0}, {0}};
    struct scram_server server = {.verifier = {.iterations = 4096, .salt_octets = 16}};
    struct scram_server_first sent;
    struct buffer out = BUFFER_WITH_LIMIT(2 * SCRAM_MESSAGE_MAX);
    if (scram_server_first(&server, first, false, &none, SLICE("ours"), &out) == SCRAM_RIGHT) {
        /* Our client understands it as long as it is not too long for it. */
        require(out.len > SCRAM_MESSAGE_MAX || scram_server_first_parse(buffer_slice(&out), &sent));
        buffer_reset(&out);
        require(scram_server_final(&server, final, &out) != SCRAM_RIGHT && out.len == 0);
    }
    scram_server_clear(&server);
    buffer_clear(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = slice_of(data, size);
    struct slice first_text = take_line(&text);
    struct slice final_text = take_line(&text);
    struct scram_client_first first;
    struct scram_client_final final;
    struct scram_verifier verifier;
    struct buffer name = BUFFER_WITH_LIMIT(4096);
    if (scram_client_first_parse(first_text, &first)) {
        require(first.header.len + first.bare.len == first_text.len && first.nonce.len > 0);
        require((first.flag == 'p') == (first.binding.len > 0));
        if (scram_name_decode(first.name, &name))
            require(slice_find_octet(buffer_slice(&name), '\0') == name.len);
        converse(&first, final_text);
    }
    if (scram_client_final_parse(final_text, &final))
        require(final.channel_octets <= sizeof(final.channel)
                && slice_starts_with(final_text, final.without_proof));
    if (scram_verifier_parse(text, &verifier))
        require(verifier.iterations >= SCRAM_ITERATIONS_LEAST && verifier.salt_octets > 0
                && verifier.salt_octets <= SCRAM_SALT_MAX);
    buffer_clear(&name);
    return 0;
}
