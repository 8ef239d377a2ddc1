/* What may be shown; see printable.h. Pure; any process. */
#include "common/text/printable.h"

size_t printable_character(struct slice text)
{
    uint8_t first = text.ptr[0];
    size_t octets = first < 0x80 ? 1 : first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    if (first < 0x80)
        return first >= ' ' && first != 0x7f ? 1 : 0;
    if (first < 0xc2 || first > 0xf4 || text.len < octets)
        return 0;
    uint32_t character = first & (0x7fU >> octets);
    for (size_t i = 1; i < octets; i++) {
        if ((text.ptr[i] & 0xc0) != 0x80)
            return 0;
        character = character << 6 | (text.ptr[i] & 0x3fU);
    }
    static const uint32_t least[] = {[2] = 0xa0, [3] = 0x800, [4] = 0x10000};
    bool is_surrogate = character >= 0xd800 && character <= 0xdfff;
    return character >= least[octets] && character <= 0x10ffff && !is_surrogate ? octets : 0;
}

void printable_append(struct slice text, struct buffer *out)
{
    while (text.len > 0) {
        size_t octets = printable_character(text);
        buffer_append(out, octets > 0 ? slice_range(text, 0, octets) : SLICE("?"));
        text = slice_from(text, octets > 0 ? octets : 1);
    }
}
