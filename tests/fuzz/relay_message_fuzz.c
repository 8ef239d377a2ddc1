/* A record of queue: parsed, its content read to the end, also for a server without 8BITMIME, its
 * envelope and its outcomes written. */
#include <assert.h>
#include <stdlib.h>

#include "smtpd/relay/data_encoder.h"
#include "smtpd/relay/downgrade/downgrade.h"
#include "smtpd/relay/envelope.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void collect(void *owner, struct slice octets)
{
    buffer_append(owner, octets);
}

/* Nothing but CRLF ends a line, and the dot that ends the message is the only one. */
static void check_sent(struct slice sent)
{
    for (size_t i = 0; i < sent.len; i++) {
        assert(sent.ptr[i] != '\n' || (i > 0 && sent.ptr[i - 1] == '\r'));
        assert(sent.ptr[i] != '\r' || (i + 1 < sent.len && sent.ptr[i + 1] == '\n'));
    }
    size_t end = slice_find(sent, SLICE("\r\n.\r\n"));
    assert(end + 5 == sent.len || slice_equal(sent, SLICE(".\r\n")));
}

/* What goes to a server without 8BITMIME ends, has no octet above 127, and is the same when it is
 * written again; a message that has none stays as it is. */
static void check_downgrade(const struct outgoing *message, bool is_ascii)
{
    static uint8_t chunk[OUTGOING_CHUNK];
    const struct mime_limits limits = {.depth = 10, .parts = 100};
    struct downgrade *downgrade;
    struct slice octets;
    uint64_t total[2] = {0, 0};
    enum downgrade_progress progress = DOWNGRADE_MORE;
    if (!downgrade_new(message, &limits, &downgrade, NULL))
        return;
    while (progress == DOWNGRADE_MORE)
        progress = downgrade_plan(downgrade, chunk, NULL);
    assert(is_ascii == (progress == DOWNGRADE_NOT_NEEDED));
    bool is_planned = progress == DOWNGRADE_PLANNED;
    for (int i = 0; is_planned && i < 2; i++) {
        downgrade_rewind(downgrade);
        while (downgrade_read(downgrade, &octets, NULL) && octets.len > 0) {
            assert(slice_is_ascii(octets));
            total[i] += octets.len;
        }
    }
    assert(total[0] == total[1] && (!is_planned || total[0] > 0));
    downgrade_free(downgrade);
}

static void check_message(struct outgoing *message)
{
    static uint8_t chunk[OUTGOING_CHUNK];
    struct buffer out = BUFFER_WITH_LIMIT(1 << 20);
    const struct capabilities offers = {.offered = ~0U};
    envelope_append_mail(message, &offers, envelope_needs(message, chunk), 0, &out);
    for (size_t i = 0; i < message->recipient_count; i++)
        envelope_append_rcpt(&message->recipients[i], &offers, &out);
    size_t lines = 0;
    for (size_t i = 0; i < out.len; i++)
        lines += out.ptr[i] == '\n';
    assert(lines == 1 + message->recipient_count);
    buffer_reset(&out);
    struct data_encoder encoder;
    struct outgoing_cursor at = {.offset = 0};
    struct slice octets;
    uint64_t total = 0;
    bool is_ascii = true;
    data_encoder_init(&encoder, collect, &out);
    while (outgoing_read(message, &at, chunk, &octets, NULL) && octets.len > 0) {
        total += octets.len;
        is_ascii = is_ascii && slice_is_ascii(octets);
        data_encoder_write(&encoder, octets);
    }
    data_encoder_end(&encoder);
    assert(total == outgoing_octets(message));
    check_sent(buffer_slice(&out));
    check_downgrade(message, is_ascii);
    buffer_reset(&out);
    outgoing_settle_rest(message, &(struct outcome){RELAY_DONE, 0, SLICE("2.0.0 done")});
    assert(message->unsettled == 0);
    outgoing_append_outcomes(message, &out);
    buffer_clear(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int none = -1;
    struct outgoing *message = outgoing_new(slice_of(data, size), &none, NULL);
    if (message)
        check_message(message);
    outgoing_free(message);
    return 0;
}
