/* The part of cursor.h that is more than a line. Pure; any process. */
#include "common/text/cursor.h"

bool cursor_take_number(struct cursor *in, uint64_t *value)
{
    struct cursor start = *in;
    while (in->at != in->end && ascii_is_digit(*in->at))
        in->at++;
    if (slice_parse_number(cursor_since(in, &start), value))
        return true;
    *in = start;
    return false;
}
