/* Values of the configuration as text. No I/O, no allocation; any process. */
#include "common/config/config_value.h"

#include <inttypes.h>
#include <stdio.h>

#include "common/size.h"
#include "common/text/cursor.h"

struct unit {
    const char *name;
    uint64_t factor;
};

/* Largest first, so that formatting finds the shortest text. */
static const struct unit size_units[] = {
    {"T", 1ULL << 40}, {"G", 1ULL << 30}, {"M", 1ULL << 20}, {"K", 1ULL << 10}, {"", 1},
};

static const struct unit duration_units[] = {
    {"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1},
};

static bool parse_with_unit(struct slice text, const struct unit *units, size_t count,
                            uint64_t *value)
{
    struct cursor in = cursor_of(text);
    uint64_t number = 0;
    if (!cursor_take_number(&in, &number))
        return false;
    for (size_t i = 0; i < count; i++)
        if (slice_equal(cursor_rest(&in), slice_of_string(units[i].name)))
            return u64_mul(number, units[i].factor, value);
    return false;
}

static const char *format_with_unit(uint64_t value, const struct unit *units, size_t count,
                                    char text[CONFIG_VALUE_TEXT_SIZE])
{
    size_t i = 0;
    while (i + 1 < count && (value < units[i].factor || value % units[i].factor != 0))
        i++;
    snprintf(text, CONFIG_VALUE_TEXT_SIZE, "%" PRIu64 "%s", value / units[i].factor,
             value ? units[i].name : "");
    return text;
}

bool config_parse_size(struct slice text, uint64_t *octets)
{
    uint64_t value = 0;
    if (!parse_with_unit(text, size_units, ARRAY_LENGTH(size_units), &value))
        return false;
    *octets = value;
    return true;
}

bool config_parse_duration(struct slice text, uint64_t *ms)
{
    uint64_t value = 0;
    if (!slice_equal(text, SLICE("0"))
        && !parse_with_unit(text, duration_units, ARRAY_LENGTH(duration_units), &value))
        return false;
    *ms = value;
    return true;
}

bool config_parse_bool(struct slice text, bool *value)
{
    bool yes = slice_equal(text, SLICE("yes"));
    if (!yes && !slice_equal(text, SLICE("no")))
        return false;
    *value = yes;
    return true;
}

const char *config_format_size(uint64_t octets, char text[CONFIG_VALUE_TEXT_SIZE])
{
    return format_with_unit(octets, size_units, ARRAY_LENGTH(size_units), text);
}

const char *config_format_duration(uint64_t ms, char text[CONFIG_VALUE_TEXT_SIZE])
{
    return format_with_unit(ms, duration_units, ARRAY_LENGTH(duration_units), text);
}

static bool is_label(struct slice label)
{
    if (label.len == 0 || label.len > 63 || label.ptr[0] == '-' || label.ptr[label.len - 1] == '-')
        return false;
    for (size_t i = 0; i < label.len; i++)
        if (!ascii_is_alpha(label.ptr[i]) && !ascii_is_digit(label.ptr[i]) && label.ptr[i] != '-')
            return false;
    return true;
}

bool config_is_host_name(struct slice text)
{
    if (text.len > 253)
        return false;
    for (;;) {
        size_t dot = slice_find_octet(text, '.');
        if (!is_label(slice_range(text, 0, dot)))
            return false;
        if (dot == text.len)
            return true;
        text = slice_from(text, dot + 1);
    }
}
