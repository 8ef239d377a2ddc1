/* Dates of any octets: what is taken is written and read back as the same. */
#include <stdlib.h>

#include "common/text/date.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds)
        abort();
}

static void check_same(const struct date *date, const struct date *read)
{
    must(date->seconds == read->seconds && date->zone_minutes == read->zone_minutes);
    must(date->zone_unknown == read->zone_unknown);
}

/* Dates at the ends of the years that can be written may change; others may not. */
static bool is_common(const struct date *date)
{
    return date->seconds > -2200000000 && date->seconds < 253402000000;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = slice_of(data, size);
    struct date date, read;
    char written[DATE_TEXT_OCTETS];
    int32_t day;
    date_parse_day(text, &day);
    if (date_parse_message(text, &date) && is_common(&date)) {
        size_t length = date_format_message(&date, written);
        must(length < sizeof(written) && date_parse_message(slice_of(written, length), &read));
        check_same(&date, &read);
    }
    if (date_parse_internet(text, &date) && is_common(&date)) {
        size_t length = date_format_internet(date.seconds, written);
        must(length < sizeof(written) && date_parse_internet(slice_of(written, length), &read));
        must(read.seconds == date.seconds && read.zone_minutes == 0);
    }
    if (date_parse_internal(text, &date) && is_common(&date)) {
        size_t length = date_format_internal(&date, written);
        must(length < sizeof(written) && date_parse_internal(slice_of(written, length), &read));
        check_same(&date, &read);
        date_day(&date);
    }
    return 0;
}
