/* The parts of slice.h that are more than a line. Pure; any process. */
#include "common/slice.h"

#include "common/size.h"

bool slice_equal_nocase(struct slice a, struct slice b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++)
        if (ascii_lower(a.ptr[i]) != ascii_lower(b.ptr[i]))
            return false;
    return true;
}

bool slice_starts_with(struct slice text, struct slice prefix)
{
    return text.len >= prefix.len && slice_equal(slice_range(text, 0, prefix.len), prefix);
}

bool slice_starts_with_nocase(struct slice text, struct slice prefix)
{
    return text.len >= prefix.len && slice_equal_nocase(slice_range(text, 0, prefix.len), prefix);
}

bool slice_ends_with(struct slice text, struct slice suffix)
{
    return text.len >= suffix.len && slice_equal(slice_from(text, text.len - suffix.len), suffix);
}

size_t slice_find(struct slice text, struct slice needle)
{
    if (needle.len == 0)
        return 0;
    if (text.len == 0)
        return text.len;
    const uint8_t *found = memmem(text.ptr, text.len, needle.ptr, needle.len);
    return found ? (size_t)(found - text.ptr) : text.len;
}

static bool is_blank(uint8_t octet)
{
    return octet == ' ' || octet == '\t';
}

struct slice slice_trim(struct slice text)
{
    while (text.len > 0 && is_blank(text.ptr[0]))
        text = slice_from(text, 1);
    while (text.len > 0 && is_blank(text.ptr[text.len - 1]))
        text.len--;
    return text;
}

/* Eight octets at a time: long messages are looked through for the one that is not. */
bool slice_is_ascii(struct slice text)
{
    enum { BLOCK = 64 };
    uint64_t words[BLOCK / sizeof(uint64_t)];
    uint8_t seen = 0;
    for (; text.len >= BLOCK; text = slice_from(text, BLOCK)) {
        uint64_t together = 0;
        memcpy(words, text.ptr, BLOCK);
        for (size_t i = 0; i < BLOCK / sizeof(uint64_t); i++)
            together |= words[i];
        if ((together & 0x8080808080808080U) != 0)
            return false;
    }
    for (size_t i = 0; i < text.len; i++)
        seen |= text.ptr[i];
    return seen <= 127;
}

bool slice_take_line(struct slice *rest, struct slice *line)
{
    size_t end = slice_find_octet(*rest, '\n');
    if (end == rest->len)
        return false;
    *line = slice_range(*rest, 0, end);
    *rest = slice_from(*rest, end + 1);
    return true;
}

int slice_compare(struct slice a, struct slice b)
{
    size_t shared = a.len < b.len ? a.len : b.len;
    int order = shared ? memcmp(a.ptr, b.ptr, shared) : 0;
    if (order != 0)
        return order;
    return (a.len > b.len) - (a.len < b.len);
}

bool slice_parse_number(struct slice text, uint64_t *value)
{
    uint64_t number = 0;
    if (text.len == 0)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (!ascii_is_digit(text.ptr[i]) || !u64_mul(number, 10, &number)
            || !u64_add(number, (uint64_t)(text.ptr[i] - '0'), &number))
            return false;
    }
    *value = number;
    return true;
}
