/* Rewritten senders: whatever can be rewritten comes back as it was, and nothing else comes back.
 */
#include <stdlib.h>

#include <sodium.h>

#include "common/auth/srs.h"
#include "common/text/address.h"

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t size);

static const struct srs_key key = {{1}};
static const int64_t now = 1700000000;

static void require(bool holds)
{
    if (!holds)
        abort();
}

/* Of a sender that another forwarder rewrote SRS0 and SRS1 come back in one spelling. */
static void check_there_and_back(struct slice text)
{
    struct buffer forth = BUFFER_WITH_LIMIT(ADDRESS_LIMIT);
    struct buffer back = BUFFER_WITH_LIMIT(ADDRESS_LIMIT);
    struct address address;
    if (srs_forward(&key, text, "demo.test", now, &forth) && !forth.failed) {
        require(address_parse_mailbox(buffer_slice(&forth), &address, NULL));
        require(srs_is_claimed(address.local_part));
        bool found = srs_reverse(&key, buffer_slice(&forth), now, &back, NULL);
        require(address_parse_mailbox(text, &address, NULL));
        if (!srs_is_claimed(address.local_part))
            require(found && slice_equal(buffer_slice(&back), text));
    }
    buffer_clear(&forth);
    buffer_clear(&back);
}

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t size)
{
    struct buffer back = BUFFER_WITH_LIMIT(ADDRESS_LIMIT);
    if (sodium_init() < 0)
        return 0;
    struct slice text = slice_of(octets, size);
    if (!srs_reverse(&key, text, now, &back, NULL))
        require(back.len == 0);
    buffer_clear(&back);
    check_there_and_back(text);
    return 0;
}
