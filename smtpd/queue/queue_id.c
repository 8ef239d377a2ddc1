/* Numbers of messages as text and back; see queue_id.h. Pure. */
#include "smtpd/queue/queue_id.h"

#include <assert.h>

enum { PREFIX_TEXT = 4, COUNT_TEXT = 9, BITS = 5 };

static const char digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

uint64_t queue_id_make(unsigned place, unsigned epoch, uint64_t count)
{
    assert(place <= QUEUE_ID_PLACE_MAX && epoch <= QUEUE_ID_EPOCH_MAX
           && count <= QUEUE_ID_COUNT_MAX);
    uint64_t prefix = (uint64_t)place << 10 | epoch;
    return prefix << QUEUE_ID_COUNT_BITS | count;
}

static void format_digits(uint64_t number, char *text, size_t count)
{
    for (size_t i = count; i-- > 0; number >>= BITS)
        text[i] = digits[number & 31];
}

const char *queue_id_format(uint64_t id, char text[QUEUE_ID_SIZE])
{
    format_digits(id >> QUEUE_ID_COUNT_BITS, text, PREFIX_TEXT);
    format_digits(id & QUEUE_ID_COUNT_MAX, text + PREFIX_TEXT, COUNT_TEXT);
    text[QUEUE_ID_TEXT] = '\0';
    return text;
}

static bool parse_digits(struct slice text, uint64_t *number)
{
    uint64_t value = 0;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t wanted = ascii_upper(text.ptr[i]);
        const char *digit = memchr(digits, wanted, sizeof(digits) - 1);
        if (!digit)
            return false;
        value = value << BITS | (uint64_t)(digit - digits);
    }
    *number = value;
    return true;
}

bool queue_id_parse(struct slice text, uint64_t *id)
{
    uint64_t prefix, count;
    if (text.len != QUEUE_ID_TEXT || !parse_digits(slice_range(text, 0, PREFIX_TEXT), &prefix)
        || !parse_digits(slice_from(text, PREFIX_TEXT), &count) || count > QUEUE_ID_COUNT_MAX)
        return false;
    *id = prefix << QUEUE_ID_COUNT_BITS | count;
    return true;
}
